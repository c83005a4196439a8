//! Sentences of the protocol's reference that nothing else would have missed: each was broken in the
//! code by hand, and every other test passed.

use std::time::Duration;

use herenow::clock::Clock;
use herenow::now::Now;
use herenow::presence::{Bounds, ChannelState, Command, Lasts, Source, Viewer};
use herenow_protocol::reply::{Answer, RemovedReason, SnapshotReason};
use herenow_protocol::{Audience, ChannelName, Epoch, ErrorCode, Role, ServerFrame, Since, UserId};
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::client::Client;
use crate::commands;
use crate::http::ask;
use crate::rights::{broker_with, connect, token};
use crate::wire::{TEXT, Wire, frame};

fn auth(token: &str) -> Value {
    json!({"type": "auth", "token": token})
}

fn hidden_join(channel: &str, visible_to: &[&str]) -> Value {
    json!({"type": "join", "channel": channel, "visibleTo": visible_to})
}

/// The next frame that is no status of somebody watched.
async fn next_of_channels(client: &mut Client) -> ServerFrame {
    loop {
        match client.next().await {
            ServerFrame::Status { .. } => {}
            other => return other,
        }
    }
}

/// Who sees whom: "after a member was gone or was there in grace only, it means everyone."
#[tokio::test]
async fn a_join_that_finds_only_grace_is_visible_to_everyone() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    let hidden = json!({"type": "join", "channel": "room", "visibleTo": [], "graceMs": 60_000});
    ada.ok(hidden).await;
    ada.kill();
    let hub = broker.hub();
    crate::broker::until("the connection is gone", || hub.connection_count() == 1).await;
    observer.client.expect_quiet().await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    assert_eq!(ada.count("room").await, 1);
    // Beside a living source the absent field changes nothing.
    let mut other = broker.connect("ada").await;
    other.ok(hidden_join("room", &[])).await;
    assert_eq!(observer.told().await, "leave ada left");
    ada.ok("join room").await;
    observer.told_nothing().await;
}

/// Rules, 4: a kick ends *all* connections of the user, "and each of them is closed with 4003".
#[tokio::test]
async fn a_kick_closes_each_connection_of_the_user_and_no_other() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut bob = broker.connect("bob").await;
    bob.ok("join room").await;
    assert_eq!(observer.told().await, "join bob {}");
    let mut all = Vec::new();
    for n in 0..4 {
        let mut ada = broker.connect("ada").await;
        // With and without a membership, with and without a grace.
        match n {
            0 => {}
            1 => ada.ok("join hall").await,
            _ => ada.ok(json!({"type": "join", "channel": "room", "graceMs": 60_000})).await,
        }
        all.push(ada);
    }
    assert_eq!(observer.told().await, "join ada {}");
    let kick = ask(broker.address(), "DELETE", "/v1/users/ada/connections", &[], "").await;
    assert_eq!(kick.status, 200, "{:?}", kick.body);
    for mut ada in all {
        assert_eq!(ada.ended().await.code(), 4003);
    }
    assert_eq!(observer.told().await, "leave ada kicked");
    observer.told_nothing().await;
    assert_eq!(bob.count("hall").await, 0);
}

/// `removed`, reason `heartbeat`: "Subscriptions and watches are untouched."
#[tokio::test]
async fn removed_leaves_subscriptions_and_watches_as_they_are() {
    let broker = Broker::with(|config| config.presence_timeout = Duration::from_millis(1_200));
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    ada.observe("room").await;
    ada.observe("hall").await;
    ada.ok("watch bob").await;
    let channels = loop {
        if let ServerFrame::Removed { channels, users, reason } = ada.next().await {
            assert!(users.is_empty(), "{users:?}");
            assert_eq!(reason, RemovedReason::Heartbeat);
            break channels;
        }
    };
    assert_eq!(channels.len(), 1);
    let mut bob = broker.connect("bob").await;
    for channel in ["room", "hall"] {
        bob.ok(format!("join {channel}")).await;
        let told = loop {
            match next_of_channels(&mut ada).await {
                ServerFrame::Presence { channel: told, events, .. }
                    if events.iter().any(|event| event.user().as_str() == "bob") =>
                {
                    break told;
                }
                // Its own timeout.
                ServerFrame::Presence { .. } => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(told.as_str(), channel);
    }
    bob.ok("status text=here").await;
    loop {
        if let ServerFrame::Status { status } = ada.next().await
            && status.text.as_deref() == Some("here")
        {
            break;
        }
    }
}

/// `heartbeat`: "An empty array refreshes nothing."
#[tokio::test]
async fn a_heartbeat_that_names_no_channel_refreshes_none() {
    let broker = Broker::with(|config| config.presence_timeout = Duration::from_millis(1_200));
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let clock = Clock::start();
    loop {
        let empty = json!({"type": "heartbeat", "channels": []});
        ada.send(empty).await;
        match tokio::time::timeout(Duration::from_millis(100), ada.next()).await {
            Ok(ServerFrame::Removed { .. }) => break,
            Ok(ServerFrame::HeartbeatDue { .. }) | Err(_) => {}
            Ok(other) => panic!("{other:?}"),
        }
        assert!(clock.elapsed() < Duration::from_secs(10), "it was refreshed");
    }
}

/// Expiry: "Ten seconds before the token expires, an `error` with code `token_expired` comes".
#[tokio::test]
async fn the_warning_comes_ten_seconds_ahead() {
    let broker = broker_with(|_| {});
    let mut ada = connect(&broker, &token("--user ada --ttl 13s")).await;
    ada.expect_quiet_for(Duration::from_secs(1)).await;
    let ServerFrame::Error { id, code, message, .. } = ada.next().await else { panic!() };
    assert_eq!((id, code), (None, ErrorCode::TokenExpired));
    // Nine on a machine that stands still for a second.
    let right =
        ["10", "9"].map(|n| format!("token expires in {n} seconds: send auth with a fresh one"));
    assert!(right.iter().any(|right| *right == message), "{message}");
    ada.expect_quiet().await;
}

/// `auth`: "If its `roles` differ, a fresh `snapshot` with reason `resync` comes for each
/// subscription at `events`".
#[tokio::test]
async fn other_roles_bring_a_snapshot_of_each_subscription_at_events() {
    let broker = broker_with(|_| {});
    let mut ada = connect(&broker, &token("--user ada")).await;
    for channel in ["a", "b", "c", "d"] {
        ada.observe(channel).await;
    }
    ada.ok("sub e count").await;
    assert!(matches!(ada.next().await, ServerFrame::Count { .. }));
    let anew = async |ada: &mut Client, flags: &str, expected: &[&str]| {
        ada.ok(auth(&token(flags))).await;
        let mut told = Vec::new();
        for _ in expected {
            let ServerFrame::Snapshot { channel, reason, .. } = ada.next().await else { panic!() };
            assert_eq!(reason, SnapshotReason::Resync);
            told.push(channel.as_str().to_owned());
        }
        told.sort();
        assert_eq!(told, expected, "{flags}");
        ada.expect_quiet().await;
    };
    anew(&mut ada, "--user ada --role staff", &["a", "b", "c", "d"]).await;
    // The same roles: nothing to look at anew.
    anew(&mut ada, "--user ada --role staff --ttl 2h", &[]).await;
    anew(&mut ada, "--user ada", &["a", "b", "c", "d"]).await;
}

/// `auth`: a token "that has expired" is refused "with `token_expired`", and "the connection goes
/// on with the token that it has".
#[tokio::test]
async fn auth_with_an_expired_token_is_told_so_and_changes_nothing() {
    let broker = broker_with(|_| {});
    let expired = token("--user ada --role staff --channel none=join --ttl 10ms");
    let mut ghost = connect(&broker, &token("--user ghost")).await;
    ghost.ok(hidden_join("room", &["staff"])).await;
    let mut ada = connect(&broker, &token("--user ada")).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(ada.refused(auth(&expired)).await, (ErrorCode::TokenExpired, Some("token".into())));
    ada.ok("join room").await;
    let seen = ada.members("room").await;
    assert_eq!(seen.iter().map(|m| m.user.as_str()).collect::<Vec<_>>(), ["ada"]);
}

/// Order: "The answer to a frame comes before the … `removed` frames that show its effect."
#[tokio::test]
async fn the_ok_of_auth_comes_before_the_removed() {
    let broker = broker_with(|_| {});
    let mut ada = connect(&broker, &token("--user ada")).await;
    ada.ok("join room").await;
    let less = token("--user ada --channel hall=join");
    ada.send(json!({"type": "auth", "id": 7, "token": less})).await;
    let first = ada.next().await;
    assert!(matches!(first, ServerFrame::Ok { .. }), "{first:?}");
    let second = ada.next().await;
    assert!(matches!(second, ServerFrame::Removed { .. }), "{second:?}");
}

/// Who sees whom: "A subscription that may have missed one is not resumed", and any other is.
#[tokio::test]
async fn only_who_may_have_missed_a_hidden_change_is_not_resumed() {
    let broker = broker_with(|_| {});
    let mut ghost = connect(&broker, &token("--user ghost")).await;
    let mut keeper = connect(&broker, &token("--user keeper")).await;
    keeper.ok("join room").await;
    let mut staff = connect(&broker, &token("--user sam --role staff")).await;
    let mut guest = connect(&broker, &token("--user gus --role guest")).await;
    let (of_staff, of_guest) = (staff.observe("room").await, guest.observe("room").await);
    ghost.ok(hidden_join("room", &["staff"])).await;
    assert_eq!(staff.events().await.len(), 1);
    keeper.ok("set room a=1").await;
    for (client, replica, expected) in [(&mut staff, of_staff, false), (&mut guest, of_guest, true)]
    {
        assert_eq!(client.events().await.len(), 1);
        client.ok("unsub room").await;
        let welcome: Value = serde_json::from_str(&client.heard()[0]).unwrap();
        let mut since = json!(replica.since());
        since["sight"] = welcome["sight"].clone();
        let again = json!({"type": "subscribe", "channel": "room", "since": since});
        let ServerFrame::Ok { resumed, .. } = client.request(again).await else { panic!() };
        assert_eq!(resumed, Some(expected));
    }
}

/// `getMembers`: "Lists the members whom you may see, newest first", page by page, also for who
/// sees members that others do not.
#[tokio::test]
async fn pages_run_newest_first_for_who_sees_the_hidden_too() {
    let broker = broker_with(|_| {});
    let mut staff = connect(&broker, &token("--user sam --role staff")).await;
    let mut guest = connect(&broker, &token("--user gus")).await;
    let mut all = Vec::new();
    for n in 0..12 {
        let mut member = connect(&broker, &token(&format!("--user m{n:02}"))).await;
        let to = if n % 3 == 1 { "staff" } else { "any" };
        member.ok(hidden_join("room", &[to])).await;
        all.push(member);
    }
    let expected = |hidden: bool| -> Vec<String> {
        let seen = (0..12).rev().filter(|n| hidden || n % 3 != 1);
        seen.map(|n| format!("m{n:02}")).collect()
    };
    for limit in [1, 2, 5, 12] {
        for (client, hidden) in [(&mut staff, true), (&mut guest, false)] {
            let (mut listed, mut after) = (Vec::new(), Value::Null);
            loop {
                let query = json!({"type": "getMembers", "channel": "room", "limit": limit,
                                   "after": after});
                let Answer::Members { members, next, count, .. } = client.answer(query).await
                else {
                    panic!()
                };
                assert_eq!(count, 8);
                listed.extend(members.into_iter().map(|m| UserId::to_string(&m.user)));
                let Some(next) = next else { break };
                after = json!(next);
            }
            assert_eq!(listed, expected(hidden), "{limit} to a page");
        }
    }
}

/// Messages and answers: "It asks for exactly one answer that echoes it". Also for frames that were
/// read already when the broker paused, because their sender did not take the answers before.
#[tokio::test]
async fn frames_kept_while_answers_are_unread_are_answered() {
    let broker = Broker::with(|config| {
        config.limits.max_frames_burst = 100_000;
        config.limits.max_write_time = Duration::from_secs(60);
    });
    let mut all = Vec::new();
    for n in 0..20 {
        let mut member = broker.connect(&format!("member-{n}")).await;
        let large = "x".repeat(3_000);
        member.ok(json!({"type": "join", "channel": "room", "attributes": {"a": large}})).await;
        all.push(member);
    }
    let mut eve = Wire::connect_small(broker.address(), "eve").await;
    // One write, and nothing behind it that could wake anybody. Sixty answers of 60 KB are more
    // than sockets hold.
    let ask = |n: u64| format!(r#"{{"type":"getMembers","channel":"room","id":{n}}}"#);
    let bytes: Vec<u8> = (0..60).flat_map(|n| frame(TEXT, ask(n).as_bytes())).collect();
    eve.write(&bytes).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for n in 0..60 {
        let answer: Value = serde_json::from_str(&eve.text().await).unwrap();
        assert_eq!((&answer["type"], &answer["id"]), (&json!("result"), &json!(n)));
    }
}

/// Frames that come in one write with the handshake are read like any others.
#[tokio::test]
async fn frames_in_one_write_with_the_handshake_are_answered() {
    let broker = Broker::start();
    let mut ada = Wire::dial(broker.address()).await;
    let mut bytes = b"GET /ws?user=ada HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    for n in 0..3 {
        bytes.extend(frame(
            TEXT,
            format!(r#"{{"type":"getCount","channel":"room","id":{n}}}"#).as_bytes(),
        ));
    }
    ada.write(&bytes).await;
    assert!(ada.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(ada.json().await["type"], "welcome");
    for n in 0..3 {
        assert_eq!(ada.json().await["id"], n);
    }
}

const BOUNDS: Bounds =
    Bounds { members: 1_000, attribute_bytes: 1_000, attribute_keys: 8, roster: 1_000 };

fn joins(core: &mut ChannelState, number: u64, visible_to: Audience, now: Now) {
    let command = commands::join(
        UserId::parse(&format!("user-{number}"), "user").unwrap(),
        Source::connection(number),
        None,
        Some(visible_to),
        Lasts::Connection { grace_ms: 0 },
    );
    core.apply(command, now, &BOUNDS, |_| {}).unwrap();
    core.tick(&ChannelName::parse("room", "channel").unwrap(), now, &BOUNDS);
}

/// Resuming: "the broker keeps the last few hundred frames of a channel, for about two minutes",
/// also of one in which nothing happens any more: time alone drops them.
#[test]
fn the_frames_of_a_quiet_channel_are_dropped_in_time() {
    let at = |mono_ms| Now { mono_ms, unix_ms: 5_000_000 + mono_ms };
    let mut core = ChannelState::new(Epoch::from_random(7));
    joins(&mut core, 1, Audience::EVERYONE, at(1_000));
    let due_ms = core.deadline().expect("time has something to do");
    assert!((60_000..180_000).contains(&due_ms), "{due_ms}");
    let since = Since { epoch: core.epoch(), seq: 0, sight: None };
    core.apply(Command::Expire, at(due_ms - 1), &BOUNDS, |_| {}).unwrap();
    assert_eq!(core.resume(since, Viewer::Public), Some(1));
    core.apply(Command::Expire, at(due_ms), &BOUNDS, |_| {}).unwrap();
    assert_eq!(core.resume(since, Viewer::Public), None);
    assert_eq!(core.deadline(), None);
}

/// "If you may have missed something of members whom not everyone may see, you get a snapshot",
/// however many roles there were: beyond those that the broker tells apart, for everybody.
#[test]
fn nobody_resumes_past_what_too_many_roles_might_have_seen() {
    let now = Now { mono_ms: 1_000, unix_ms: 5_000_000 };
    let mut core = ChannelState::new(Epoch::from_random(7));
    joins(&mut core, 0, Audience::EVERYONE, now);
    let role = |member: u64, n: u64| format!("role-{member}-{n}");
    let since = Since { epoch: core.epoch(), seq: 1, sight: None };
    let bystander = UserId::parse("bystander", "user").unwrap();
    for member in 1..=40 {
        let roles: Vec<_> = (0..32).map(|n| role(member, n)).collect();
        joins(&mut core, member, Audience::parse(roles.iter().map(String::as_str)).unwrap(), now);
        for seen in 1..=member {
            for n in [0, 31] {
                let roles = [Role::parse(&role(seen, n), "roles").unwrap()];
                let viewer = Viewer::User { user: &bystander, roles: &roles };
                assert_eq!(core.resume(since, viewer), None, "{member} members, role of {seen}");
            }
        }
    }
    // What happened after it all was missed by nobody who knew it.
    joins(&mut core, 100, Audience::EVERYONE, now);
    joins(&mut core, 101, Audience::EVERYONE, now);
    let since = Since { seq: 2, ..since };
    assert_eq!(core.resume(since, Viewer::User { user: &bystander, roles: &[] }), Some(3));
}

/// And what no log could bring back is forgotten first: the others go on resuming.
#[test]
fn roles_of_long_ago_stop_nobody_from_resuming() {
    let at = |mono_ms| Now { mono_ms, unix_ms: 5_000_000 + mono_ms };
    let mut core = ChannelState::new(Epoch::from_random(7));
    let hidden = |core: &mut ChannelState, members: std::ops::Range<u64>, now| {
        for member in members {
            let roles: Vec<_> = (0..32).map(|n| format!("role-{member}-{n}")).collect();
            let to = Audience::parse(roles.iter().map(String::as_str)).unwrap();
            joins(core, member, to, now);
        }
    };
    joins(&mut core, 0, Audience::EVERYONE, at(1_000));
    hidden(&mut core, 1..21, at(1_000));
    // Whoever was told of them had this one's frame to come, which time drops.
    joins(&mut core, 99, Audience::EVERYONE, at(1_000));
    let later = at(core.deadline().unwrap());
    core.apply(Command::Expire, later, &BOUNDS, |_| {}).unwrap();
    joins(&mut core, 100, Audience::EVERYONE, later);
    joins(&mut core, 101, Audience::EVERYONE, later);
    hidden(&mut core, 21..41, later);
    let since = Since { epoch: core.epoch(), seq: 4, sight: None };
    let bystander = UserId::parse("bystander", "user").unwrap();
    let resumes = |role: &str| {
        let roles = [Role::parse(role, "roles").unwrap()];
        core.resume(since, Viewer::User { user: &bystander, roles: &roles })
    };
    assert_eq!(resumes("role-1-0"), Some(5));
    assert_eq!(resumes("role-40-31"), None);
    assert_eq!(core.resume(since, Viewer::Public), Some(5));
    assert_eq!(core.resume(since, Viewer::All), None);
}
