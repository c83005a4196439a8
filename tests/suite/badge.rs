//! A badge: how many are here, with the newest of them and their faces, in a channel of any size.

use std::time::Duration;

use herenow::Config;
use herenow::limits::RECENT_BYTES;
use herenow_protocol::request::MAX_RECENT;
use herenow_protocol::{ErrorCode, ServerFrame};
use serde_json::{Value, json};

use crate::broker::{Broker, took};
use crate::client::{A_ROUND, Client};
use crate::replica::Replica;
use crate::rights::{OPERATOR, broker_with, connect, http, token};
use herenow::clock::Clock;

/// Bytes of a `count` frame around the members that it names.
const AROUND_BYTES: usize = 200;

/// Counts no frames.
fn unhurried(config: &mut Config) {
    config.limits.max_frames_burst = 1_000_000;
    config.limits.max_frames_per_second = 1_000_000;
}

fn badge(recent: usize, attributes: bool) -> Value {
    json!({"type": "subscribe", "channel": "room", "level": "count", "recent": recent,
           "recentAttributes": attributes})
}

/// The next frame, which must be a count, as it came.
async fn count(client: &mut Client) -> Value {
    let frame = client.next().await;
    assert!(matches!(frame, ServerFrame::Count { .. }), "no count: {frame:?}");
    let text = client.heard().iter().rev().find(|text| text.starts_with(r#"{"type":"count""#));
    serde_json::from_str(text.unwrap()).unwrap()
}

/// The count that tells of `users`, newest first, of so many members.
fn told(seq: &Value, members: usize, users: &[&str]) -> Value {
    let recent: Vec<_> = users.iter().map(|user| json!({"user": user})).collect();
    json!({"type": "count", "channel": "room", "seq": seq, "count": members, "recent": recent})
}

async fn joined(broker: &Broker, user: &str) -> Client {
    let mut client = broker.connect(user).await;
    client.ok("join room").await;
    client
}

#[tokio::test]
async fn each_asks_for_its_own_number_and_gets_it() {
    let broker = Broker::with(|config| {
        config.limits.roster_limit = 3;
        unhurried(config);
    });
    let mut badges = Vec::new();
    for recent in [1, 2, 200] {
        let mut client = broker.connect(&format!("badge-{recent}")).await;
        client.ok(badge(recent, false)).await;
        let first = count(&mut client).await;
        assert_eq!(first, told(&json!(0), 0, &[]), "nobody is here, and it is told so");
        badges.push((client, recent));
    }
    let mut auto = broker.connect("auto").await;
    auto.ok(json!({"type": "subscribe", "channel": "room", "recent": 1})).await;
    assert!(matches!(auto.next().await, ServerFrame::Snapshot { .. }), "it is small");
    let mut inside = Vec::new();
    let mut newest: Vec<String> = Vec::new();
    for n in 1..=7 {
        let name = format!("user-{n}");
        inside.push(joined(&broker, &name).await);
        newest.insert(0, name);
        if ![3, 7].contains(&n) {
            continue;
        }
        // Below the size at which members are counted for all, and above it.
        for (client, recent) in &mut badges {
            let told = loop {
                let told = count(client).await;
                if told["count"] == n {
                    break told;
                }
            };
            let names: Vec<_> = newest.iter().take(*recent).map(String::as_str).collect();
            assert_eq!(told, self::told(&told["seq"], n, &names), "of {recent}");
        }
    }
    let mut replica = Replica::new("room").of_recent(1);
    while replica.counted().is_none_or(|counted| counted.count < 7) {
        if let frame @ (ServerFrame::Count { .. } | ServerFrame::Level { .. }) = auto.next().await {
            replica.apply(&frame);
        }
    }
    assert_eq!(replica.counted().unwrap().recent, Some(vec!["user-7".to_owned()]));
    // Whoever asks for none has none, at `auto` too.
    auto.ok(json!({"type": "subscribe", "channel": "room", "recent": 0})).await;
    assert_eq!(count(&mut auto).await.as_object().unwrap().len(), 4);
}

/// Asking again changes the number at once, and tells of no other level; none is asked for as ever.
#[tokio::test]
async fn another_number_can_be_asked_for() {
    let broker = Broker::start();
    let _inside = [joined(&broker, "ada").await, joined(&broker, "bob").await];
    let mut client = broker.connect("badge").await;
    for (recent, users) in [(1, &["bob"][..]), (2, &["bob", "ada"]), (200, &["bob", "ada"])] {
        client.ok(badge(recent, false)).await;
        let now = count(&mut client).await;
        assert_eq!(now, told(&now["seq"], 2, users));
    }
    for without in
        [json!({"type": "subscribe", "channel": "room", "level": "count"}), badge(0, true)]
    {
        client.ok(without).await;
        assert_eq!(count(&mut client).await.as_object().unwrap().len(), 4, "no recent");
    }
    client.ok(badge(1, true)).await;
    count(&mut client).await;
    client.ok("unsub room").await;
    let _more = joined(&broker, "cy").await;
    client.expect_quiet_for(A_ROUND).await;
}

/// An avatar that is set a moment after the join shows, and so does each later one; whoever asked for
/// names alone is not told.
#[tokio::test]
async fn what_the_newest_carry_shows_and_shows_again_when_it_changed() {
    let broker = Broker::start();
    let mut ada = joined(&broker, "ada").await;
    let [mut faces, mut names, mut number] = [
        broker.connect("faces").await,
        broker.connect("names").await,
        broker.connect("number").await,
    ];
    faces.ok(badge(20, true)).await;
    names.ok(badge(20, false)).await;
    number.ok("sub room count").await;
    let shown = |told: &Value| told["recent"][0]["attributes"].clone();
    assert_eq!(shown(&count(&mut faces).await), json!({}), "she has set nothing");
    assert_eq!(shown(&count(&mut names).await), Value::Null);
    count(&mut number).await;
    for face in 1..=3 {
        let clock = Clock::start();
        ada.ok(json!({"type": "setAttributes", "channel": "room", "attributes": {"face": face}}))
            .await;
        let told = count(&mut faces).await;
        assert_eq!(shown(&told), json!({"face": face}));
        assert_eq!((&told["count"], &told["recent"][0]["user"]), (&json!(1), &json!("ada")));
        assert!(face == 1 || took(clock) > Duration::from_millis(300), "they come at their pace");
    }
    // What is as it was is no news, and being away is none of a badge's.
    ada.ok("set room face=3").await;
    ada.ok("away").await;
    for client in [&mut names, &mut number, &mut faces] {
        client.expect_quiet_for(A_ROUND).await;
    }
}

/// What somebody does whom no badge names costs nobody a frame.
#[tokio::test]
async fn what_older_members_carry_is_no_news() {
    let broker = Broker::with(unhurried);
    let mut oldest = joined(&broker, "oldest").await;
    let mut inside = Vec::new();
    for n in 0..MAX_RECENT {
        inside.push(joined(&broker, &format!("user-{n}")).await);
    }
    let mut faces = broker.connect("faces").await;
    faces.ok(badge(MAX_RECENT, true)).await;
    assert_eq!(count(&mut faces).await["recent"].as_array().unwrap().len(), MAX_RECENT);
    oldest.ok("set room face=1").await;
    faces.expect_quiet_for(A_ROUND).await;
    inside[0].ok("set room face=2").await;
    let told = count(&mut faces).await;
    assert_eq!(
        told["recent"][MAX_RECENT - 1],
        json!({"user": "user-0", "attributes": {"face": 2}})
    );
}

#[tokio::test]
async fn large_attributes_make_no_frame_larger_than_a_part_of_a_list() {
    const BYTES: usize = 4_000;
    let broker = Broker::start();
    let large = "x".repeat(BYTES);
    let mut inside = Vec::new();
    for n in 0..40 {
        let mut client = broker.connect(&format!("user-{n}")).await;
        let attributes = json!({"face": large});
        client.ok(json!({"type": "join", "channel": "room", "attributes": attributes})).await;
        inside.push(client);
    }
    let mut faces = broker.connect("faces").await;
    faces.ok(badge(MAX_RECENT, true)).await;
    let told = count(&mut faces).await;
    let bytes = told.to_string().len();
    assert!(bytes <= RECENT_BYTES + AROUND_BYTES, "{bytes} bytes");
    let recent = told["recent"].as_array().unwrap();
    assert_eq!(recent.len(), 40, "all are named");
    let with = recent.iter().take_while(|one| one["attributes"]["face"] == large.as_str()).count();
    assert!(with >= RECENT_BYTES / (BYTES + 200) - 2, "only {with} show what they carry");
    assert!(recent[with..].iter().all(|one| one.get("attributes").is_none()), "none halfway");
    // Few have all of it: names that were not asked for take no room.
    faces.ok(badge(10, true)).await;
    let told = count(&mut faces).await;
    let recent = told["recent"].as_array().unwrap();
    assert!(recent.iter().all(|one| one["attributes"]["face"] == large.as_str()));
    assert_eq!(recent.len(), 10);
}

/// Whatever the viewer's roles, a badge names nobody whom the list of members hides from it, and tells
/// nothing of what such a member does.
#[tokio::test]
async fn a_badge_shows_nobody_whom_the_list_hides() {
    let broker = broker_with(unhurried);
    let audiences = [
        json!(["any"]),
        json!(["team:blue"]),
        json!([]),
        json!(["user:eve"]),
        json!(["team:blue", "team:red"]),
        json!(["users"]),
    ];
    let mut inside = Vec::new();
    for (n, visible_to) in audiences.iter().enumerate() {
        let mut client = connect(&broker, &token(&format!("--user user-{n}"))).await;
        let join = json!({"type": "join", "channel": "room", "visibleTo": visible_to,
                          "attributes": {"n": n}});
        client.ok(join).await;
        inside.push(client);
    }
    let mut viewers = Vec::new();
    for flags in ["guest", "blue --role team:blue", "both --role team:blue --role team:red", "eve"]
    {
        let token = token(&format!("--user {flags}"));
        let listed = http(&broker, "GET", "/v1/channels/room/members", &token).await;
        let listed: Vec<_> = listed.body["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| json!({"user": one["user"], "attributes": one["attributes"]}))
            .collect();
        let mut client = connect(&broker, &token).await;
        client.ok(badge(MAX_RECENT, true)).await;
        let told = count(&mut client).await;
        let recent = told["recent"].as_array().unwrap();
        assert_eq!(recent.len(), 2, "{flags}: {told}");
        assert!(recent.iter().all(|one| listed.contains(one)), "{flags}: {told} of {listed:?}");
        viewers.push(client);
    }
    for hidden in [1, 2, 3, 4] {
        inside[hidden].ok("set room n=100").await;
        inside[hidden].ok("leave room").await;
    }
    for viewer in &mut viewers {
        viewer.expect_quiet_for(A_ROUND).await;
    }
    // Whoever goes into hiding is named no more.
    inside[0].ok(json!({"type": "join", "channel": "room", "visibleTo": ["team:blue"]})).await;
    for viewer in &mut viewers {
        let told = count(viewer).await;
        assert_eq!(told["recent"], json!([{"user": "user-5", "attributes": {"n": 5}}]));
    }
    let listed = http(&broker, "GET", "/v1/channels/room/members", OPERATOR).await;
    assert_eq!(listed.body["members"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_badge_needs_the_right_to_list_and_a_number_does_not() {
    let broker = broker_with(|_| {});
    let mut inside = connect(&broker, &token("--user ada")).await;
    inside.ok("join room").await;
    let only = |right: &str| token(&format!("--user badge --channel room={right}"));
    let mut client = connect(&broker, &only("count")).await;
    let refused = client.refused(badge(1, false)).await;
    assert_eq!(refused, (ErrorCode::Forbidden, Some("channel".to_owned())));
    assert!(client.heard().last().unwrap().contains(r#"\"list\""#), "it names the right");
    client.ok("sub room count").await;
    count(&mut client).await;
    client.ok(badge(0, true)).await;
    count(&mut client).await;
    client.ok(json!({"type": "auth", "token": only("list")})).await;
    client.ok(badge(1, true)).await;
    assert_eq!(count(&mut client).await["recent"][0]["user"], "ada");
    // A token that grants less ends it.
    client.ok(json!({"type": "auth", "token": only("count")})).await;
    match client.next().await {
        ServerFrame::Removed { channels, .. } => assert_eq!(channels[0].as_str(), "room"),
        other => panic!("{other:?}"),
    }
}

/// What is asked for again and again is charged, as snapshots are; a number costs nothing.
#[tokio::test]
async fn asking_for_faces_again_and_again_is_charged() {
    let broker = Broker::with(unhurried);
    let large = "x".repeat(4_000);
    let mut inside = Vec::new();
    for n in 0..16 {
        let mut client = broker.connect(&format!("user-{n}")).await;
        let attributes = json!({"face": large});
        client.ok(json!({"type": "join", "channel": "room", "attributes": attributes})).await;
        inside.push(client);
    }
    let mut greedy = broker.connect("greedy").await;
    let mut asked = 0;
    while let ServerFrame::Ok { .. } = greedy.request(badge(MAX_RECENT, true)).await {
        count(&mut greedy).await;
        asked += 1;
        assert!(asked < 1_500, "{asked} times 64 KB");
    }
    assert!(asked > 900, "only {asked} times 64 KB");
    assert!(greedy.heard().last().unwrap().contains(r#""code":"rate_limited""#));
    for _ in 0..10 {
        greedy.ok("sub room count").await;
        count(&mut greedy).await;
    }
}
