//! From anybody to one user's connections: letters, and kicks.

use std::sync::Arc;

use herenow::delivery::Letter;
use herenow::limits::{MAILBOX_BYTES, MAILBOX_LETTERS, REPLIES_PAUSE_BYTES, SEND_BUFFER_BYTES};
use herenow_protocol::{CloseCode, FrameId, ServerFrame, UserId};
use serde_json::json;

use crate::broker::{Broker, until};
use crate::client::Client;
use crate::wire::small_socket;

fn id(user: &str) -> UserId {
    UserId::parse(user, "user").unwrap()
}

/// A letter that says its number, and so many bytes besides.
fn letter(number: u64, bytes: usize) -> Arc<Letter> {
    let reason = "x".repeat(bytes).into();
    Letter::new(ServerFrame::Goaway { reconnect_in_ms: number, reason })
}

/// The number of the letter that comes next.
async fn received(client: &mut Client) -> u64 {
    match client.next().await {
        ServerFrame::Goaway { reconnect_in_ms, .. } => reconnect_in_ms,
        other => panic!("no letter: {other:?}"),
    }
}

async fn ask(client: &mut Client, id: i64) {
    client.send(json!({"type": "heartbeat", "id": id})).await;
}

async fn answered(client: &mut Client, id: i64) {
    let frame = client.next().await;
    let its =
        matches!(&frame, ServerFrame::Ok { id: FrameId::Number(number), .. } if *number == id);
    assert!(its, "no answer to {id}: {frame:?}");
}

#[tokio::test]
async fn a_letter_reaches_all_connections_of_its_user_among_their_replies() {
    let broker = Broker::start();
    let mut ada = Vec::new();
    for _ in 0..3 {
        ada.push(broker.connect("ada").await);
    }
    let mut bob = broker.connect("bob").await;
    for client in &mut ada {
        ask(client, 1).await;
        answered(client, 1).await;
    }
    assert_eq!(broker.hub().post(&id("ada"), &letter(1, 0)), 3);
    for client in &mut ada {
        // Posted before it was asked, so told before it is answered.
        ask(client, 2).await;
        assert_eq!(received(client).await, 1);
        answered(client, 2).await;
    }
    for number in 2..=4 {
        assert_eq!(broker.hub().post(&id("ada"), &letter(number, 0)), 3);
    }
    for client in &mut ada {
        ask(client, 3).await;
        for number in 2..=4 {
            assert_eq!(received(client).await, number);
        }
        answered(client, 3).await;
    }
    bob.expect_quiet().await;
    assert_eq!(broker.hub().post(&id("carol"), &letter(5, 0)), 0, "she is nowhere");
    // One that left gets none, and its neighbours do.
    ada.remove(1).close(1000).await;
    until("it has left", || broker.hub().post(&id("ada"), &letter(6, 0)) == 2).await;
    for client in &mut ada {
        assert_eq!(received(client).await, 6);
    }
}

/// The slow reader's letters lie in its mailbox until that is full, and all that it took arrive.
#[tokio::test]
async fn a_slow_readers_mailbox_is_bounded_and_loses_nothing_that_it_took() {
    const BYTES: usize = 4_000;
    let broker = Broker::start();
    let mut slow = Client::over(small_socket(broker.address()).await, "ada").await;
    let mut fast = broker.connect("ada").await;
    let mut taken = Vec::new();
    // More than fits into the buffers of the kernel (twice what was asked for, of which a part is
    // its own), the replies and the mailbox.
    let most = (4 * SEND_BUFFER_BYTES + REPLIES_PAUSE_BYTES + MAILBOX_BYTES) / BYTES;
    for number in 0..2 * most as u64 {
        let took = broker.hub().post(&id("ada"), &letter(number, BYTES));
        assert_eq!(received(&mut fast).await, number, "its neighbour is slow, not it");
        if took == 2 {
            assert!(taken.len() < most, "{} letters, and no end", taken.len());
            taken.push(number);
        }
    }
    // The mailbox alone holds some, so that refusals came late.
    assert!(taken.len() > MAILBOX_BYTES / (2 * BYTES), "only {} letters", taken.len());
    assert!(!taken.contains(&(2 * most as u64 - 1)), "it is not full");
    // Asked while its letters wait: answered in their midst, and none is lost.
    slow.send(json!({"type": "heartbeat", "id": 1})).await;
    let mut read = Vec::new();
    let mut answers = 0;
    while read.len() < taken.len() || answers == 0 {
        match slow.next().await {
            ServerFrame::Goaway { reconnect_in_ms, .. } => read.push(reconnect_in_ms),
            ServerFrame::Ok { .. } => answers += 1,
            other => panic!("neither letter nor answer: {other:?}"),
        }
    }
    assert_eq!((read, answers), (taken, 1));
    slow.expect_quiet().await;
    assert_eq!(broker.hub().post(&id("ada"), &letter(1, BYTES)), 2, "it is empty again");
    assert_eq!(received(&mut slow).await, 1);
    // Small ones are bounded by their number. Nobody else runs until this test waits.
    let took = (0..=MAILBOX_LETTERS as u64).map(|n| broker.hub().post(&id("ada"), &letter(n, 0)));
    let took: Vec<_> = took.collect();
    assert_eq!(took.iter().filter(|&&connections| connections == 2).count(), MAILBOX_LETTERS);
    assert_eq!(took.last(), Some(&0));
}

#[tokio::test]
async fn a_kick_closes_its_users_connections_and_no_others() {
    let broker = Broker::start();
    let mut others = Vec::new();
    let mut kicked = Vec::new();
    for number in 0..1_000 {
        match number % 400 {
            100 => kicked.push(broker.connect("ada").await),
            _ => others.push(broker.connect(&format!("user-{number}")).await),
        }
    }
    assert_eq!(kicked.len(), 3);
    let hub = broker.hub();
    assert_eq!(hub.kick(&id("ada"), hub.clock().now()).await, 3);
    for client in &mut kicked {
        assert_eq!(client.ended().await.code(), CloseCode::Kicked.number());
    }
    until("they are gone", || hub.connection_count() == others.len()).await;
    // One is listened to for a while, and the others are asked after that: whatever the kick had
    // them told is there by then.
    others[0].expect_quiet().await;
    for client in &mut others {
        client.expect_quiet_so_far().await;
    }
    assert_eq!(hub.kick(&id("ada"), hub.clock().now()).await, 0, "kicked once");
}
