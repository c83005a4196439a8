//! What slow readers keep in memory, filled to its bound in a running broker.

use std::net::SocketAddr;
use std::time::Duration;

use herenow_protocol::ServerFrame;
use serde_json::json;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::sleep;

use crate::broker::{Broker, until};
use crate::client::Client;
use crate::replica::Replica;
use crate::slow_lines::line;
use crate::wire::Wire;

/// Bytes of one member's attributes, and so of a part of a snapshot: more than any socket takes.
const LARGE: usize = 600_000;
const WRITE_TIME: Duration = Duration::from_secs(1);

/// A broker in which one rest of such a part is all that may be kept, and a room of two.
async fn full_of_one() -> (Broker, Vec<Client>) {
    let broker = Broker::with(|config| {
        config.limits.max_backlog = 200_000;
        config.limits.max_message_bytes = 1 << 20;
        config.limits.max_attribute_bytes = 1 << 20;
        config.limits.max_write_time = WRITE_TIME;
    });
    let mut members = Vec::new();
    for n in 0..2 {
        let mut member = broker.connect(&format!("member-{n}")).await;
        let attributes = json!({"text": "x".repeat(LARGE)});
        member.ok(json!({"type": "join", "channel": "room", "attributes": attributes})).await;
        members.push(member);
    }
    (broker, members)
}

/// Reads the whole room, and says whenever a part of it has come.
async fn enter(address: SocketAddr, number: usize, parts: Sender<usize>) -> Replica {
    let mut wire = Wire::connect_small(address, &format!("reader-{number}")).await;
    wire.say("sub room").await;
    let mut replica = Replica::lagging("room");
    while !replica.is_whole() {
        let Some(frame) = wire.frame().await else { panic!("reader {number} was closed") };
        if matches!(frame, ServerFrame::Snapshot { .. }) {
            let _ = parts.send(number).await;
        }
        replica.apply(&frame);
    }
    replica
}

/// One slow reader keeps as much as all may. Nothing is begun for those behind it and nothing is done
/// in vain, nobody is closed however long that takes, and small things are told as ever. When there is
/// room each gets in, in the order in which they came.
#[tokio::test]
async fn where_no_more_may_be_kept_everybody_waits_for_its_turn_and_gets_in() {
    const READERS: usize = 6;
    let (broker, members) = full_of_one().await;
    let (hub, address) = (broker.hub(), broker.address());
    let (parts, mut came) = channel(10_000);
    // Some three seconds for the rest of its first part.
    let slow = line(address, 150_000).await;
    let mut readers = vec![tokio::spawn(enter(slow, 0, parts.clone()))];
    until("no more may be kept", || hub.backlog().is_full()).await;
    let kept = hub.backlog().bytes();
    for number in 1..READERS {
        readers.push(tokio::spawn(enter(address, number, parts.clone())));
        sleep(Duration::from_millis(50)).await;
    }
    let mut ada = broker.connect("ada").await;
    let mut bob = broker.observer("other").await;
    ada.ok("join other").await;
    assert_eq!(bob.told().await, "join ada {}");
    let ticks = hub.metrics().ticks.get();
    sleep(2 * WRITE_TIME).await;
    assert_eq!(hub.backlog().bytes(), kept, "more was begun");
    let vain = hub.metrics().ticks.get() - ticks;
    assert!(vain < 20, "{vain} ticks, and nothing happened");
    assert!(came.try_recv().is_err(), "somebody got in");
    for (number, reader) in readers.into_iter().enumerate() {
        let replica = reader.await.unwrap();
        assert_eq!(replica.users().len(), members.len(), "reader {number}");
    }
    let mut order = Vec::new();
    while let Ok(number) = came.try_recv() {
        // Those of the first are longer on their way.
        if number > 0 && !order.contains(&number) {
            order.push(number);
        }
    }
    assert_eq!(order, (1..READERS).collect::<Vec<_>>(), "they got in out of turn");
    until("nothing is kept", || hub.backlog().bytes() == 0).await;
}
