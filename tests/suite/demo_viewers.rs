//! The demo page's simulated viewers: they come, live and go as others do, and nobody can call them
//! who should not.

use std::time::Duration;

use herenow::limits::DEMO_BACK_OFF_MS;
use herenow_protocol::{ChannelName, Event, LeaveReason, LossReason};
use serde_json::{Value, json};

use crate::broker::{Broker, until};
use crate::client::PATIENCE;
use crate::http::{Answer, ask};
use crate::replica::Observer;
use crate::rights;

const PATH: &str = "/demo/crowd";

async fn want(broker: &Broker, channel: &str, viewers: impl Into<Value>) -> Answer {
    let body = json!({"channel": channel, "viewers": viewers.into()}).to_string();
    ask(broker.address(), "PUT", PATH, &[], &body).await
}

async fn shown(broker: &Broker, channel: &str) -> Value {
    let answer = ask(broker.address(), "GET", &format!("{PATH}?channel={channel}"), &[], "").await;
    assert_eq!(answer.status, 200);
    answer.body
}

/// Waits until an observer sees so many members, and returns what it was told on the way.
async fn sees(observer: &mut Observer, members: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while observer.replica.members().len() != members {
        events.extend(observer.events().await);
    }
    events
}

#[tokio::test]
async fn viewers_come_with_names_and_moods_and_go_with_a_goodbye() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let answer = want(&broker, "room", 30).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, json!({"channel": "room", "viewers": 30, "max": 1_200}));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    sees(&mut observer, 30).await;
    assert_eq!(shown(&broker, "room").await, answer.body);
    assert_eq!(broker.hub().connection_count(), 31, "each over a connection of its own");
    for member in observer.replica.members().values() {
        let (name, number) = member.user.as_str().split_once('-').unwrap();
        assert!(name.chars().all(char::is_alphabetic) && number.parse::<u32>().is_ok());
        assert!(member.attributes.to_map()["mood"].is_string());
    }
    // Fewer: the others stay. None: all go.
    want(&broker, "room", 10).await;
    let mut told = sees(&mut observer, 10).await;
    assert_eq!(want(&broker, "room", 0).await.body["viewers"], 0);
    told.extend(sees(&mut observer, 0).await);
    let said = |event: &Event| matches!(event, Event::Leave { reason, .. } if *reason == LeaveReason::Closed);
    assert!(told.iter().filter(|event| said(event)).count() >= 29, "{told:?}");
    assert_eq!(shown(&broker, "room").await["viewers"], 0);
    until("their connections are gone", || broker.hub().connection_count() == 1).await;
    // And anew, by the names that are free again.
    want(&broker, "room", 1).await;
    sees(&mut observer, 1).await;
    assert_eq!(observer.replica.users(), ["Mia-1"]);
}

#[tokio::test]
async fn there_are_never_more_than_the_bound_in_all() {
    let broker = Broker::with(|config| config.limits.max_connections = Some(80));
    assert_eq!(shown(&broker, "room").await, json!({"channel": "room", "viewers": 0, "max": 20}));
    assert_eq!(want(&broker, "room", 15).await.status, 200);
    for (channel, viewers, says) in
        [("room", 21, "from 0 to 20"), ("hall", 6, "from 0 to 5"), ("hall", u64::MAX, "20 in all")]
    {
        let refused = want(&broker, channel, viewers).await;
        assert_eq!((refused.status, refused.code()), (400, "invalid_field"));
        assert_eq!(refused.body["field"], "viewers");
        assert!(refused.body["detail"].as_str().unwrap().contains(says), "{refused:?}");
    }
    assert_eq!(want(&broker, "hall", 5).await.status, 200);
    let mut room = broker.observer("room").await;
    let mut hall = broker.observer("hall").await;
    sees(&mut room, 15).await;
    sees(&mut hall, 5).await;
    let distinct: std::collections::BTreeSet<_> =
        room.replica.users().into_iter().chain(hall.replica.users()).collect();
    assert_eq!(distinct.len(), 20, "no two have the same name");
    // Room that one channel gives up is the other's at once.
    want(&broker, "room", 0).await;
    want(&broker, "hall", 20).await;
    sees(&mut hall, 20).await;
    let free = Broker::start();
    let refused = want(&free, "room", 1_201).await;
    assert!(refused.body["detail"].as_str().unwrap().contains("from 0 to 1200"), "{refused:?}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let broker = Broker::start();
    for (body, code, field) in [
        ("", "bad_json", None),
        ("[]", "bad_json", None),
        ("{}", "missing_field", Some("channel")),
        (r#"{"channel":"room"}"#, "missing_field", Some("viewers")),
        (r#"{"channel":"$user:ada","viewers":1}"#, "invalid_field", Some("channel")),
        (r#"{"channel":7,"viewers":1}"#, "invalid_field", Some("channel")),
        (r#"{"channel":"room","viewers":-1}"#, "invalid_field", Some("viewers")),
        (r#"{"channel":"room","viewers":"10"}"#, "invalid_field", Some("viewers")),
    ] {
        let answer = ask(broker.address(), "PUT", PATH, &[], body).await;
        assert_eq!((answer.status, answer.code()), (400, code), "{body}");
        assert_eq!(answer.body["field"].as_str(), field, "{body}");
    }
    let nameless = ask(broker.address(), "GET", PATH, &[], "").await;
    assert_eq!(nameless.code(), "missing_field");
    assert_eq!(ask(broker.address(), "DELETE", PATH, &[], "").await.status, 405);
    let large = format!(r#"{{"channel":"room","viewers":1{:20000}}}"#, "");
    assert_eq!(ask(broker.address(), "PUT", PATH, &[], &large).await.status, 413);
    assert_eq!(broker.hub().channel_count(), 0);
}

/// A page of another origin can make a browser on this machine send requests here.
#[tokio::test]
async fn a_foreign_page_can_not_call_them() {
    let broker = Broker::start();
    let body = r#"{"channel":"room","viewers":1}"#;
    for origin in ["https://evil.example", "null"] {
        let header = format!("origin: {origin}");
        for kind in ["content-type: application/json", "content-type: text/plain"] {
            let refused = ask(broker.address(), "PUT", PATH, &[&header, kind], body).await;
            assert_eq!((refused.status, refused.code()), (403, "forbidden"));
        }
        let preflight = ask(broker.address(), "OPTIONS", PATH, &[&header], "").await;
        assert_eq!(preflight.header("access-control-allow-origin"), None);
    }
    assert_eq!(shown(&broker, "room").await["viewers"], 0);
    let own = format!("origin: http://{}", broker.address());
    assert_eq!(ask(broker.address(), "PUT", PATH, &[&own], body).await.status, 200);
}

#[tokio::test]
async fn where_not_everyone_may_do_everything_there_are_none() {
    let with_tokens = rights::broker_with(|_| {});
    let beyond = Broker::with(|config| {
        config.listen = ([0, 0, 0, 0], 0).into();
        config.insecure_open = true;
    });
    for broker in [with_tokens, beyond] {
        let asked = want(&broker, "room", 1).await;
        let other = ask(broker.address(), "PUT", "/demo/nothing", &[], "{}").await;
        assert_eq!((asked.status, asked.code(), &asked.body), (404, "not_found", &other.body));
        assert_eq!(ask(broker.address(), "GET", PATH, &[], "").await.status, 404);
    }
    let switched_off = Broker::with(|config| config.disable_presence = true);
    assert_eq!(want(&switched_off, "room", 1).await.code(), "presence_disabled");
}

#[tokio::test]
async fn those_that_nobody_asks_for_again_go() {
    let lease = Duration::from_millis(600);
    let broker = Broker::with(|config| config.limits.demo_lease = lease);
    let mut observer = broker.observer("room").await;
    want(&broker, "room", 5).await;
    sees(&mut observer, 5).await;
    // Asked for again and again it outlives its lease.
    for _ in 0..4 {
        tokio::time::sleep(lease / 3).await;
        assert_eq!(want(&broker, "room", 5).await.status, 200);
    }
    assert_eq!(shown(&broker, "room").await["viewers"], 5);
    sees(&mut observer, 0).await;
    assert_eq!(shown(&broker, "room").await["viewers"], 0);
    until("their connections are gone", || broker.hub().connection_count() == 1).await;
}

/// They answer pings and send heartbeats, or they would not be there for long.
#[tokio::test]
async fn viewers_stay_alive() {
    let broker = Broker::with(|config| {
        config.presence_timeout = Duration::from_millis(800);
        config.ping_interval = Duration::from_millis(300);
        config.pong_timeout = Duration::from_millis(300);
    });
    let opened = broker.hub().connections_opened();
    want(&broker, "room", 3).await;
    let here = || broker.hub().count(&ChannelName::parse("room", "channel").unwrap()) == 3;
    until("all are there", here).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(here());
    assert_eq!(broker.hub().connections_opened(), opened + 3, "none had to come back");
}

/// Whoever finds the channel full hangs up, and tries again.
#[tokio::test]
async fn whoever_is_refused_comes_again() {
    let broker = Broker::with(|config| {
        config.limits.max_members = 1;
        // Nobody asks for it again meanwhile.
        config.limits.demo_lease = Duration::from_secs(600);
    });
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let mut observer = broker.observer("room").await;
    want(&broker, "room", 1).await;
    // At least: whoever looks late finds that it tried three times.
    until("it tried twice", || broker.hub().connections_opened() >= 4).await;
    ada.ok("leave room").await;
    // On a busy machine its pause may be the longest that there is, which no frame is waited for.
    let room = ChannelName::parse("room", "channel").unwrap();
    let comes = async {
        while broker.hub().count(&room) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let longest = Duration::from_millis(DEMO_BACK_OFF_MS) + PATIENCE;
    tokio::time::timeout(longest, comes).await.expect("it never comes again");
    // Perhaps both in one frame, so that nobody ever saw an empty room.
    while observer.replica.users() != ["Mia-1"] {
        observer.events().await;
    }
}

/// A viewer whose connection is ended waits, and comes back.
#[tokio::test]
async fn whoever_is_thrown_out_comes_back() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    want(&broker, "room", 1).await;
    sees(&mut observer, 1).await;
    ask(broker.address(), "DELETE", "/v1/users/Mia-1/connections", &[], "").await;
    sees(&mut observer, 0).await;
    sees(&mut observer, 1).await;
}

/// What a viewer does in its turns, seen from outside. The first come after five seconds, and one in
/// ten is a loss.
#[tokio::test]
async fn viewers_live() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    want(&broker, "room", 200).await;
    let (mut moods, mut leaves, mut losses) = (0, 0, 0);
    while moods == 0 || leaves == 0 || losses == 0 {
        for event in observer.events().await {
            match event {
                Event::UpdateAttributes { .. } => moods += 1,
                Event::Leave { reason: LeaveReason::Left, .. } => leaves += 1,
                Event::Timeout { reason: LossReason::Connection, .. } => losses += 1,
                Event::Join { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_them_and_nobody_sees_them_leave() {
    let broker = Broker::with(|config| config.drain_timeout = Duration::from_secs(60));
    let hub = std::sync::Arc::clone(broker.hub());
    let mut observer = broker.observer("room").await;
    want(&broker, "room", 50).await;
    sees(&mut observer, 20).await;
    let stopped = async { tokio::join!(broker.stop(), observer.client.ended()) };
    let ((), end) = tokio::time::timeout(PATIENCE, stopped).await.expect("it does wait");
    assert_eq!(end.code(), 1012);
    assert_eq!(hub.connection_count(), 0);
    while let Some(frame) = observer.client.already() {
        observer.replica.apply(&frame);
    }
    assert!(observer.replica.members().len() >= 20, "{:?}", observer.client.heard());
}
