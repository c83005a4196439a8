//! Server-sent events over real sockets: what comes, what is refused, how a stream is resumed and
//! how it ends.

use std::time::Duration;

use herenow::Config;
use herenow::clock::Clock;
use herenow_protocol::reply::Answer;
use herenow_protocol::{ChannelName, ServerFrame};
use serde_json::json;
use tokio::time::timeout;

use crate::broker::{Broker, until};
use crate::client::PATIENCE;
use crate::http::ask;
use crate::rights::{OPERATOR, READER, broker_with, connect, token};
use crate::source::Source;

const ROOM: &str = "/v1/channels/room/events";

async fn open(broker: &Broker, path: &str) -> Source {
    Source::open(broker.address(), path, &[]).await
}

async fn resume(broker: &Broker, path: &str, id: &str) -> Source {
    let header = format!("Last-Event-ID: {id}");
    Source::open(broker.address(), path, &[&header]).await
}

#[tokio::test]
async fn a_stream_tells_what_a_socket_is_told() {
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    ada.ok("join room mood=happy").await;
    let mut socket = broker.observer("room").await;
    let mut stream = open(&broker, ROOM).await;
    for line in [
        "content-type: text/event-stream\r\n",
        "cache-control: no-store\r\n",
        "x-accel-buffering: no\r\n",
        "x-content-type-options: nosniff\r\n",
    ] {
        assert!(stream.head().contains(line), "{line} in {}", stream.head());
    }
    let snapshot = stream.event().await;
    assert!(snapshot.id.is_some());
    let Some(ServerFrame::Snapshot { members, .. }) = snapshot.frame() else { panic!() };
    assert_eq!(members.len(), 1);
    for say in ["set room mood=calm", "leave room", "join room"] {
        ada.ok(say).await;
        let event = stream.event().await;
        assert!(event.id.is_some());
        assert_eq!(event.frame().unwrap(), socket.client.next().await, "{say}");
    }
    // Nobody is there by it.
    let numbers = ask(broker.address(), "GET", "/v1/channels/room", &[], "").await.body;
    let expected = json!({"channel": "room", "count": 1, "observers": 2, "connections": 1});
    assert_eq!(numbers, expected);
    assert_eq!((broker.hub().connection_count(), broker.hub().user_count()), (2, 2));
    let as_zoe = open(&broker, &format!("{ROOM}?user=zoe")).await;
    let status = ask(broker.address(), "GET", "/v1/users/zoe/status", &[], "").await;
    assert_eq!(status.status, 404, "nobody is online by a stream");
    drop((stream, as_zoe));
    until("the streams are gone", || {
        let room = ChannelName::parse("room", "channel").unwrap();
        broker.hub().look(&room, |room| room.observers()) == Some(1)
    })
    .await;
}

/// Even if there is nothing to tell.
#[tokio::test]
async fn the_first_bytes_come_at_once() {
    let broker = Broker::start();
    let mut stream = open(&broker, ROOM).await;
    stream.says("room: snapshot 0 [] Subscribed").await;
    let id = stream.last_id.clone();
    let mut again = resume(&broker, ROOM, &id).await;
    let first = timeout(Duration::from_secs(2), again.next()).await.expect("at once").unwrap();
    assert!(first.comment && first.data.is_none(), "{first:?}");
    let second = timeout(Duration::from_millis(300), again.next()).await;
    assert!(second.is_err(), "there is nothing to tell: {second:?}");
}

#[tokio::test]
async fn a_stream_goes_on_behind_the_last_event() {
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let mut keeper = open(&broker, ROOM).await;
    keeper.says("room: snapshot 1 [ada] Subscribed").await;
    let id = keeper.last_id.clone();
    ada.ok("set room n=1").await;
    ada.ok("set room n=2").await;
    let query = format!("{ROOM}?lastEventId={id}");
    let from_query = open(&broker, &query).await;
    for mut stream in [resume(&broker, ROOM, &id).await, from_query] {
        stream.says(r#"room: 1 update ada {"n":1}"#).await;
        stream.says(r#"room: 1 update ada {"n":2}"#).await;
    }
    keeper.says(r#"room: 1 update ada {"n":1}"#).await;
    // A browser's header is newer than the address with which it began.
    let header = format!("Last-Event-ID: {}", keeper.last_id);
    let mut stream = Source::open(broker.address(), &query, &[&header]).await;
    stream.says(r#"room: 1 update ada {"n":2}"#).await;
    // What is no place in this history begins anew, and so does another's.
    for foreign in ["", "nonsense", "1.2.3.4", &format!("{id}x"), "0000000a.1.1.0"] {
        resume(&broker, ROOM, foreign).await.says("room: snapshot 1 [ada] Subscribed").await;
    }
    let path = format!("{ROOM}?user=bob");
    resume(&broker, &path, &id).await.says("room: snapshot 1 [ada] Subscribed").await;
}

/// With other roles it may see members of whom it was never told.
#[tokio::test]
async fn other_roles_begin_anew() {
    let broker = broker_with(|_| {});
    let body = json!({"visibleTo": ["team:blue"]}).to_string();
    let key = format!("authorization: Bearer {OPERATOR}");
    let bob = "/v1/channels/room/members/bob";
    assert_eq!(ask(broker.address(), "PUT", bob, &[&key], &body).await.status, 201);
    let path = |flags: &str| format!("{ROOM}?token={}", token(flags));
    let mut stream = open(&broker, &path("--user ada")).await;
    stream.says("room: snapshot 0 [] Subscribed").await;
    let id = stream.last_id.clone();
    let mut same = resume(&broker, &path("--user ada --ttl 2h"), &id).await;
    same.next().await;
    let quiet = timeout(Duration::from_millis(200), same.next()).await;
    assert!(quiet.is_err(), "another token with the same roles goes on: {quiet:?}");
    let mut blue = resume(&broker, &path("--user ada --role team:blue"), &id).await;
    blue.says("room: snapshot 0 [bob] Subscribed").await;
}

#[tokio::test]
async fn a_count_is_paced_and_leads_nowhere_back() {
    let broker = Broker::start();
    let mut stream = open(&broker, &format!("{ROOM}?level=count")).await;
    let first = stream.event().await;
    assert_eq!(first.id.as_deref(), Some(""), "there is nothing to go on from");
    let clock = Clock::start();
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    ada.ok("leave room").await;
    ada.ok("join room").await;
    stream.says("room: count 1 ").await;
    let took = clock.elapsed();
    assert!((900..2_500).contains(&took.as_millis()), "{took:?}");
    let quiet = timeout(Duration::from_millis(1_200), stream.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

/// Whoever was told a level has no members to go on from, whatever it has had before.
#[tokio::test]
async fn a_change_of_level_takes_the_way_back_along() {
    let broker = Broker::with(|config| config.limits.roster_limit = 2);
    let mut users = Vec::new();
    for user in ["ada", "bob", "cy"] {
        users.push(broker.connect(user).await);
    }
    let mut keeper = open(&broker, ROOM).await;
    keeper.says("room: snapshot 0 [] Subscribed").await;
    assert_ne!(keeper.last_id, "");
    for user in &mut users {
        user.ok("join room").await;
    }
    let mut last = None;
    while last.as_deref() != Some("room: level Count") {
        let frame = keeper.event().await.frame().unwrap();
        last = Some(crate::source::words(&frame));
    }
    assert_eq!(keeper.last_id, "", "EventSource sends nothing then");
    keeper.says("room: count 3 recent").await;
    assert_eq!(keeper.last_id, "");
    for user in &mut users[1..] {
        user.ok("leave room").await;
    }
    keeper.says("room: level Events").await;
    keeper.says("room: snapshot 1 [ada] Level").await;
    assert_ne!(keeper.last_id, "");
}

#[tokio::test]
async fn a_pattern_tells_of_channels_that_come_and_go() {
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    for room in ["room-1", "hall", "lobby"] {
        ada.ok(format!("join {room}")).await;
    }
    let mut stream = open(&broker, "/v1/events?channels=room-*,h%61ll").await;
    let mut first = Vec::new();
    for _ in 0..2 {
        let event = stream.event().await;
        assert_eq!(event.id, None, "a pattern begins anew");
        first.push(crate::source::words(&event.frame().unwrap()));
    }
    first.sort();
    assert_eq!(first, ["hall: snapshot 1 [ada] Subscribed", "room-1: snapshot 1 [ada] Subscribed"]);
    stream.says("synced").await;
    let hall = ask(broker.address(), "GET", "/v1/channels/hall", &[], "").await.body;
    assert_eq!(hall["observers"], 0, "a pattern counts in no channel");
    ada.ok("leave hall").await;
    stream.says("hall: 0 leave ada left").await;
    stream.says("hall: snapshot 0 [] Resync").await;
    ada.ok("join hall").await;
    let frame = stream.event().await.frame().unwrap();
    assert!(matches!(frame, ServerFrame::Snapshot { .. }), "anew: {frame:?}");
}

/// Whoever comes back learns from what was not told before `synced` which channels are over.
#[tokio::test]
async fn a_pattern_says_when_all_were_told() {
    let broker = Broker::start();
    open(&broker, "/v1/events?channels=*").await.says("synced").await;
    let mut ada = broker.connect("ada").await;
    let rooms: Vec<_> = (0..100).map(|n| format!("room-{n}")).collect();
    for room in &rooms {
        ada.ok(format!("join {room}")).await;
    }
    let mut stream = open(&broker, "/v1/events?channels=room-*").await;
    let mut told = Vec::new();
    loop {
        match stream.event().await.frame().unwrap() {
            ServerFrame::Snapshot { channel, .. } => told.push(channel.to_string()),
            ServerFrame::Synced => break,
            other => panic!("{other:?}"),
        }
    }
    told.sort();
    let mut expected = rooms.clone();
    expected.sort();
    assert_eq!(told, expected);
    ada.ok("leave room-7").await;
    stream.says("room-7: 0 leave ada left").await;
}

/// So a mirror knows which events are in a list.
#[tokio::test]
async fn a_list_names_its_place_in_the_stream() {
    let broker = Broker::start();
    let list =
        async || ask(broker.address(), "GET", "/v1/channels/room/members", &[], "").await.body;
    let mut stream = open(&broker, ROOM).await;
    let Some(ServerFrame::Snapshot { epoch, .. }) = stream.event().await.frame() else { panic!() };
    let nobody = list().await;
    assert_eq!(nobody, json!({"channel": "room", "count": 0, "members": []}));
    let hidden = r#"{"visibleTo": ["staff"]}"#;
    ask(broker.address(), "PUT", "/v1/channels/room/members/eve", &[], hidden).await;
    assert_eq!(list().await, nobody, "of whom not everyone may see no history tells");
    let mut ada = broker.connect("ada").await;
    for (say, seq) in [("join room", 1), ("set room mood=calm", 2), ("set room mood=happy", 3)] {
        ada.ok(say).await;
        assert!(stream.event().await.frame().is_some());
        let list = list().await;
        assert_eq!((&list["epoch"], &list["seq"]), (&json!(epoch), &json!(seq)), "{say}");
        let Answer::Members { epoch: said, seq: Some(own), .. } = ada.answer("who room").await
        else {
            panic!()
        };
        assert_eq!((said, own), (Some(epoch), seq), "{say}");
    }
}

#[tokio::test]
async fn a_user_is_followed_by_whoever_may_watch() {
    let broker = broker_with(|_| {});
    let path = "/v1/users/bob/events";
    let watch = |bearer: &str| format!("authorization: Bearer {bearer}");
    let mut as_key = Source::open(broker.address(), path, &[&watch(READER)]).await;
    as_key.says("bob offline ").await;
    let ada = watch(&token("--user ada --watch b*"));
    let mut as_ada = Source::open(broker.address(), path, &[&ada]).await;
    as_ada.says("bob offline ").await;
    let mut client = connect(&broker, &token("--user bob")).await;
    client.ok("status text=hello").await;
    for stream in [&mut as_key, &mut as_ada] {
        stream.says("bob online ").await;
        stream.says("bob online hello").await;
    }
    // To others, who hides has gone; itself and back ends see more.
    client.ok("status invisible=true").await;
    as_ada.says("bob offline hello").await;
    as_key.says("bob online hello").await;
    drop(client);
    as_key.says("bob offline hello").await;
    for (bearer, user) in
        [(ada.as_str(), "carol"), (&watch(&token("--user carol --watch nobody")), "bob")]
    {
        let path = format!("/v1/users/{user}/events");
        let refused = ask(broker.address(), "GET", &path, &[bearer], "").await;
        assert_eq!((refused.status, refused.code()), (403, "forbidden"));
        assert_eq!(refused.body["field"], "user");
    }
    let channels = broker.hub().channel_count();
    drop((as_key, as_ada));
    until("nothing is left of them", || broker.hub().channel_count() < channels).await;
}

#[tokio::test]
async fn what_is_wrong_is_a_problem() {
    let broker = Broker::start();
    let long = format!("/v1/events?channels={}", "x".repeat(201));
    let many = format!("/v1/events?channels={}", vec!["x"; 65].join(","));
    for (path, code, field) in [
        (format!("{ROOM}?level=all").as_str(), "invalid_field", "level"),
        ("/v1/channels/%24x/events", "invalid_field", "channel"),
        ("/v1/events", "missing_field", "channels"),
        ("/v1/events?channels=", "invalid_field", "channels"),
        ("/v1/events?channels=a,,b", "invalid_field", "channels"),
        ("/v1/events?channels=a&channels=b", "invalid_field", "channels"),
        (&long, "invalid_field", "channels"),
        (&many, "invalid_field", "channels"),
        ("/v1/events?channels=a&level=", "invalid_field", "level"),
    ] {
        let answer = ask(broker.address(), "GET", path, &[], "").await;
        assert_eq!((answer.status, answer.code()), (400, code), "{path}");
        assert_eq!(answer.body["field"], field, "{path}");
    }
    assert_eq!(broker.hub().channel_count(), 0, "a refusal follows nothing");
    let off = Broker::with(|config| config.disable_presence = true);
    for path in [ROOM, "/v1/events?channels=a"] {
        let answer = ask(off.address(), "GET", path, &[], "").await;
        assert_eq!((answer.status, answer.code()), (403, "presence_disabled"));
    }
}

#[tokio::test]
async fn rights_are_those_of_the_level() {
    let broker = broker_with(|_| {});
    let ask_as = async |path: &str, bearer: &str| {
        let header = format!("authorization: Bearer {bearer}");
        ask(broker.address(), "GET", path, &[&header], "").await
    };
    let counter = token("--user ada --channel room=count");
    let refused = ask_as(ROOM, &counter).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    assert_eq!(refused.body["field"], "channel");
    let header = format!("authorization: Bearer {counter}");
    let path = format!("{ROOM}?level=count");
    Source::open(broker.address(), &path, &[&header]).await.says("room: count 0 ").await;
    let events = "/v1/events?channels=*";
    let user = ask_as(events, &token("--user ada")).await;
    assert_eq!((user.status, user.code()), (403, "forbidden"));
    for path in [ROOM, events] {
        let header = format!("authorization: Bearer {READER}");
        Source::open(broker.address(), path, &[&header]).await;
    }
    let none = ask(broker.address(), "GET", ROOM, &[], "").await;
    assert_eq!((none.status, none.code()), (401, "unauthenticated"));
}

/// A token stands in the address of streams alone, and a key never does.
#[tokio::test]
async fn a_token_in_the_address_is_for_streams_alone() {
    let broker = broker_with(|_| {});
    let ada = token("--user ada");
    open(&broker, &format!("{ROOM}?token={ada}")).await;
    for path in ["/v1/channels/room", "/v1/channels/room/members", "/v1/users/ada/status"] {
        let answer = ask(broker.address(), "GET", &format!("{path}?token={ada}"), &[], "").await;
        assert_eq!((answer.status, answer.code()), (401, "unauthenticated"), "{path}");
    }
    for bad in ["", "nonsense", READER] {
        for path in [format!("{ROOM}?token={bad}"), format!("/v1/events?channels=*&token={bad}")] {
            let answer = ask(broker.address(), "GET", &path, &[], "").await;
            assert_eq!((answer.status, answer.code()), (401, "unauthenticated"), "{path}");
        }
    }
    let events = format!("/v1/events?channels=*&token={ada}");
    assert_eq!(ask(broker.address(), "GET", &events, &[], "").await.code(), "forbidden");
    // The header counts first.
    let header = format!("authorization: Bearer {ada}");
    Source::open(broker.address(), &format!("{ROOM}?token=nonsense"), &[&header]).await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let broker = broker_with(|_| {});
    let token = token("--user ada --ttl 2s");
    let clock = Clock::start();
    let mut stream = open(&broker, &format!("{ROOM}?token={token}")).await;
    let rest = async { while stream.next().await.is_some() {} };
    timeout(PATIENCE, rest).await.expect("it goes on without its token");
    assert!(stream.ended_well());
    // A token ends at a full second, at or after what was asked for.
    let took = clock.elapsed();
    assert!((1_900..3_500).contains(&took.as_millis()), "{took:?}");
    until("nothing is left", || broker.hub().channel_count() == 0).await;
}

#[tokio::test]
async fn a_stream_ends_at_a_shutdown_and_says_when_to_come_back() {
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let mut streams = [open(&broker, ROOM).await, open(&broker, "/v1/events?channels=*").await];
    for stream in &mut streams {
        stream.says("room: snapshot 1 [ada] Subscribed").await;
    }
    drop(ada);
    let clock = Clock::start();
    let stopping = tokio::spawn(broker.stop());
    for stream in &mut streams {
        let mut last = None;
        while let Some(got) = stream.next().await {
            last = Some(got);
        }
        assert!(stream.ended_well());
        let retry_ms = last.unwrap().retry_ms.unwrap();
        assert!((1_000..6_000).contains(&retry_ms), "{retry_ms}");
    }
    stopping.await.unwrap();
    assert!(clock.elapsed() < Duration::from_millis(900), "{:?}", clock.elapsed());
}

#[tokio::test]
async fn a_quiet_stream_shows_that_it_lives() {
    let usual = Config::default().limits.sse_keep_alive;
    assert_eq!(usual, Duration::from_secs(15));
    let broker = Broker::with(|config| config.limits.sse_keep_alive = Duration::from_millis(200));
    let mut stream = open(&broker, ROOM).await;
    stream.says("room: snapshot 0 [] Subscribed").await;
    let clock = Clock::start();
    for _ in 0..3 {
        let got = stream.next().await.unwrap();
        assert!(got.comment && got.data.is_none(), "{got:?}");
    }
    let took = clock.elapsed();
    assert!((595..1_500).contains(&took.as_millis()), "{took:?}");
}
