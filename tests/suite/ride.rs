//! A large snapshot that is told to several at once: the channel goes on ticking meanwhile.

use herenow::chance::Chance;
use herenow::clock::{Clock, Shift};
use herenow::hub::At;
use herenow::presence::{Lasts, Source};
use herenow_protocol::{ChannelName, Event, ServerFrame, UserId};

use crate::broker::{Broker, until};
use crate::client::Client;
use crate::commands;

/// More parts of 64 KiB than are told in one go.
const MEMBERS: usize = 9_000;
const RIDERS: usize = 4;
const SUBSCRIBE: &str = r#"{"type":"subscribe","channel":"room","level":"events","id":1}"#;

/// What a subscriber was told of the member that is the last in each snapshot.
#[derive(Debug)]
struct Rode {
    /// What it carries in the snapshot.
    shown: u64,
    /// What the first frame behind the snapshot says that it carries.
    told: u64,
}

/// Members that no connection keeps present.
fn fill(broker: &Broker) {
    let room = ChannelName::parse("room", "channel").unwrap();
    for n in 0..MEMBERS {
        let user = UserId::parse(&format!("member-with-a-longer-name-{n:05}"), "user").unwrap();
        let lasts = Lasts::Lease { ttl_ms: 3_600_000 };
        let join = commands::join(user, Source::LEASE, None, None, lasts);
        let hub = broker.hub();
        hub.enter(At::Named(&room), |door| door.apply(join, hub.clock().now())).unwrap();
    }
}

/// A subscriber that reads whatever comes, as it comes.
async fn ride(mut client: Client) -> Rode {
    let number = |attributes: &herenow_protocol::Attributes| {
        let json: serde_json::Value = serde_json::to_value(attributes).unwrap();
        json["n"].as_u64().unwrap()
    };
    client.ok(SUBSCRIBE).await;
    let (mut begun, mut known, mut shown) = (None, 0, None);
    loop {
        match client.next().await {
            ServerFrame::Snapshot { seq, members, more, .. } => {
                assert_eq!(*begun.get_or_insert(seq), seq, "a part of another snapshot");
                known += members.len();
                shown = members
                    .iter()
                    .find(|m| m.user.as_str() == "writer")
                    .or(None)
                    .map_or(shown, |writer| Some(number(&writer.attributes)));
                if !more {
                    break;
                }
            }
            other => panic!("told {other:?} in the midst of a snapshot"),
        }
    }
    assert_eq!(known, MEMBERS + 1);
    loop {
        let ServerFrame::Presence { seq, events, .. } = client.next().await else { continue };
        assert_eq!(Some(seq), begun.map(|seq| seq + 1), "a frame is missing behind the snapshot");
        let [Event::UpdateAttributes { attributes, .. }] = &events[..] else {
            panic!("told {events:?}")
        };
        return Rode { shown: shown.unwrap(), told: number(attributes) };
    }
}

/// Changes the member that came first, and lets time pass between any two turns of the others.
async fn write(mut writer: Client, shift: Shift) {
    for n in 1_u64..1_000 {
        writer.send(format!("set room n={n}")).await;
        shift.pass(10);
        tokio::task::yield_now().await;
    }
    std::future::pending().await
}

/// Between the parts of a snapshot that takes long to tell, changes are told: the member that comes
/// last in it is shown as it is by then, and whoever is told the snapshot is told each change behind
/// it.
#[tokio::test]
async fn a_channel_ticks_while_a_snapshot_is_told() {
    let (clock, shift) = Clock::shiftable();
    let broker = Broker::on(clock, Chance::from_seed(7), |_| {});
    let mut writer = broker.connect("writer").await;
    writer.ok("join room n=0").await;
    fill(&broker);
    let mut clients = Vec::new();
    for n in 0..RIDERS {
        clients.push(broker.connect(&format!("rider-{n}")).await);
    }
    until("the room is told", || broker.hub().metrics().ticks.get() > 0).await;
    let writing = tokio::spawn(write(writer, shift));
    let riding: Vec<_> = clients.into_iter().map(|client| tokio::spawn(ride(client))).collect();
    for rode in riding {
        let rode = rode.await.unwrap();
        assert!(rode.shown >= rode.told, "nothing was told while the snapshot was: {rode:?}");
    }
    writing.abort();
    broker.stop().await;
}
