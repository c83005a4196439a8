//! What `/metrics` shows after a script of which every number is known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use herenow::auth::Credential;
use herenow::chance::Chance;
use herenow::clock::{Clock, Shift};
use herenow::hub::{At, What};
use herenow::limits::{RING_BYTES, RING_STEPS};
use herenow::presence::News;
use herenow::{Broker, Config};
use herenow_protocol::reply::SnapshotReason;
use herenow_protocol::{ChannelName, ErrorCode, Level, ServerFrame, UserId};
use serde_json::json;
use tokio::net::TcpStream;

use crate::broker::until;
use crate::client::{Client, End, PATIENCE};
use crate::http::ask;
use crate::rights::{self, token};
use crate::seed::seed;
use crate::wire::{ENDS, Got, PING, TEXT, TEXT_BEGINS, Wire, frame, small_socket};

/// Numbers by the sample's name, with its labels.
type Shown = BTreeMap<String, u64>;

async fn text(address: SocketAddr) -> String {
    let answer = ask(address, "GET", "/metrics", &[], "").await;
    assert_eq!(answer.status, 200);
    answer.body.as_str().unwrap().to_owned()
}

/// All that is shown and not 0, less what depends on the time or is the system's, and less the ticks, the
/// frames that are kept of them and what they send: how many changes one of them folds is nobody's to
/// know.
async fn shown(address: SocketAddr) -> Shown {
    let text = text(address).await;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let number = |line: &str| {
        let (name, number) = line.rsplit_once(' ').unwrap();
        let name = name.strip_prefix("herenow_").unwrap();
        (name.to_owned(), number.parse().unwrap())
    };
    let own = ["resident_bytes", "open_files", "max_open_files", "tasks"];
    let traffic =
        ["deliveries_total", "frames_received_total", "received_bytes_total", "sent_bytes_total"];
    let aside = [&own[..], &traffic, &["uptime_seconds", "ticks_total", "log_bytes"]].concat();
    let samples = samples.filter(|line| !line.contains("_seconds_"));
    samples.map(number).filter(|(name, n)| *n > 0 && !aside.contains(&&**name)).collect()
}

/// Exactly these are shown, and all others are 0, once the broker has seen what was done to it.
async fn shows(address: SocketAddr, expected: &[(&str, u64)]) {
    let expected: Shown = expected.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    let clock = Clock::start();
    loop {
        let shown = shown(address).await;
        if shown == expected {
            return;
        }
        if clock.elapsed() > PATIENCE {
            assert_eq!(shown, expected);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The number now.
async fn number(address: SocketAddr, name: &str) -> u64 {
    shown(address).await.get(name).copied().unwrap_or_default()
}

/// A broker whose time is the test's.
fn broker() -> (Broker, Shift) {
    let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    let (clock, shift) = Clock::shiftable();
    let chance = Chance::from_seed(seed("metrics"));
    (herenow::start_with(&config, clock, chance).unwrap(), shift)
}

async fn lease(address: SocketAddr, method: &str, body: &str) -> u16 {
    let path = "/v1/channels/room/members/lee";
    ask(address, method, path, &["content-type: application/json"], body).await.status
}

#[tokio::test]
async fn the_document_and_the_broker_name_the_same_metrics() {
    let (broker, _) = broker();
    // The only one that is not there from the start.
    ask(broker.address(), "GET", "/v1/channels/room", &[], "").await;
    let text = text(broker.address()).await;
    let mut shown = BTreeMap::<String, (String, BTreeSet<String>)>::new();
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            let total = if kind == "counter" { "_total" } else { "" };
            shown.insert(format!("{name}{total}"), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') {
            let sample = line.rsplit_once(' ').unwrap().0;
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            // What stands before an equals sign, less the values in quotes.
            let labels = labels.split('"').step_by(2).filter_map(|key| key.strip_suffix('='));
            let labels = labels.map(|key| key.trim_start_matches(',').to_owned());
            // Of a histogram there are several samples, and its limits are no label of ours.
            let parts = ["_bucket", "_sum", "_count"];
            let of = parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
            let name = if shown.contains_key(name) { name } else { of };
            shown.get_mut(name).unwrap().1.extend(labels.filter(|label| label != "le"));
        }
    }
    // Those of many nodes are compared by `tests/redis`.
    let document = include_str!("../../docs/metrics.md").split("## Many nodes").next().unwrap();
    let rows = document.lines().filter(|line| line.starts_with("| `herenow_"));
    let mut described = BTreeMap::new();
    for row in rows {
        let [_, name, kind, labels, question, _] = row.split('|').collect::<Vec<_>>()[..] else {
            panic!("a row of four: {row}")
        };
        assert!(question.contains('?'), "no question: {row}");
        let labels = labels.split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        let name = name.trim().trim_matches('`').to_owned();
        let before = described.insert(name, (kind.trim().to_owned(), labels));
        assert!(before.is_none(), "twice: {row}");
    }
    assert_eq!(described, shown);
}

/// All ways to go with a connection: one user in two tabs, and others after one another.
async fn by_connections(broker: &Broker, mut ada: Client, mut tab: Client) {
    let (at, hub) = (broker.address(), broker.hub());
    // Left, and closed: by the last tab.
    ada.ok("leave hall").await;
    ada.ok("leave room").await;
    tab.ok("set room mood=happy").await;
    tab.close(1000).await;
    ada.close(1000).await;
    // Kicked.
    let mut kim = Client::connect(at, "kim").await;
    kim.ok("join room").await;
    assert_eq!(hub.kick(&UserId::parse("kim", "user").unwrap(), hub.clock().now()).await, 1);
    kim.ended().await;
    // Broken off; come back within its grace, and then not.
    let mut dan = Client::connect(at, "dan").await;
    dan.ok("join room").await;
    dan.kill();
    until("dan is lost", || hub.metrics().members.get() == 0).await;
    let join = json!({"type": "join", "channel": "room", "graceMs": 30_000});
    let mut fay = Client::connect(at, "fay").await;
    fay.ok(join.clone()).await;
    fay.kill();
    until("fay's connection is gone", || hub.connection_count() == 1).await;
    let mut fay = Client::connect(at, "fay").await;
    fay.ok(join).await;
    fay.kill();
    until("fay's connection is gone again", || hub.connection_count() == 1).await;
}

/// All ways to go because time passes: the last member is in its grace.
async fn by_time(broker: &Broker, shift: &Shift, eve: &mut Client) {
    let (at, hub) = (broker.address(), broker.hub());
    // Leases: deleted, and run out.
    assert_eq!(lease(at, "PUT", "{}").await, 201);
    assert_eq!(lease(at, "DELETE", "").await, 204);
    assert_eq!(lease(at, "PUT", r#"{"ttlMs":20000}"#).await, 201);
    assert_eq!(hub.metrics().members.get(), 2, "fay in her grace, and lee");
    shift.pass(25_000);
    until("lee's lease is over", || hub.metrics().members.get() == 1).await;
    eve.ok(json!({"type": "heartbeat"})).await;
    shift.pass(6_000);
    until("fay's grace is over", || hub.metrics().members.get() == 0).await;
    eve.ok(json!({"type": "heartbeat"})).await;
    // Silent.
    let mut gus = Client::connect(at, "gus").await;
    gus.ok("join room").await;
    shift.pass(broker_silence_ms());
    until("gus is silent for too long", || hub.metrics().members.get() == 0).await;
    gus.close(1000).await;
}

/// Members come by all ways and go by all ways, one after the other.
#[tokio::test]
async fn after_a_session_every_number_is_exact() {
    let (broker, shift) = broker();
    let at = broker.address();
    let mut eve = Client::connect(at, "eve").await;
    eve.observe("room").await;
    eve.ok(json!({"type": "watch", "users": ["ada", "bob"]})).await;
    let (mut ada, mut tab) = (Client::connect(at, "ada").await, Client::connect(at, "ada").await);
    ada.ok("join room").await;
    tab.ok("join room").await;
    ada.ok("join hall").await;
    shows(
        at,
        &[
            ("connections", 3),
            ("connections_opened_total", 3),
            // And one for each user that is watched.
            ("channels", 4),
            ("users", 2),
            ("members", 2),
            ("subscribers", 1),
            ("watchers", 2),
            ("joins_total", 2),
        ],
    )
    .await;

    by_connections(&broker, ada, tab).await;
    by_time(&broker, &shift, &mut eve).await;
    eve.ok(json!({"type": "unwatch", "users": ["bob"]})).await;
    let expected = [
        ("connections_opened_total", 8),
        ("joins_total", 8),
        ("leaves_total{reason=\"left\"}", 2),
        ("leaves_total{reason=\"closed\"}", 1),
        ("leaves_total{reason=\"kicked\"}", 1),
        ("timeouts_total{reason=\"connection\"}", 2),
        ("timeouts_total{reason=\"lease\"}", 1),
        ("timeouts_total{reason=\"heartbeat\"}", 1),
        (
            "http_requests_total{method=\"PUT\",route=\"/v1/channels/{channel}/members/{user}\",status=\"201\"}",
            2,
        ),
        (
            "http_requests_total{method=\"DELETE\",route=\"/v1/channels/{channel}/members/{user}\",status=\"204\"}",
            1,
        ),
    ];
    // Known are those that are gone, too: when each was last seen.
    let still = [("connections", 1), ("channels", 2), ("users", 7)];
    let still = still.into_iter().chain([("subscribers", 1), ("watchers", 1)]);
    shows(at, &expected.into_iter().chain(still).collect::<Vec<_>>()).await;
    // Cut off, with all that it observed.
    eve.reset();
    shows(at, &expected.into_iter().chain([("users", 7)]).collect::<Vec<_>>()).await;
}

fn broker_silence_ms() -> u64 {
    Config::default().presence_timeout.as_millis() as u64 + 1_000
}

#[tokio::test]
async fn refusals_are_counted_by_code_and_by_the_way_they_went() {
    let (broker, _) = broker();
    let at = broker.address();
    let mut ada = Client::connect(at, "ada").await;
    assert_eq!(ada.refused("set room mood=happy").await.0, ErrorCode::NotJoined);
    assert_eq!(ada.refused("set hall mood=happy").await.0, ErrorCode::NotJoined);
    assert_eq!(ada.refused(json!({"type": "dance"})).await.0, ErrorCode::UnknownType);
    ada.send("{").await;
    assert!(matches!(ada.next().await, ServerFrame::Error { code: ErrorCode::BadJson, .. }));
    // Turned away at the door.
    let mut nobody = Wire::open(at, "%00").await;
    let (code, _, texts) = nobody.closed().await;
    assert_eq!((code, texts.len()), (4001, 1), "{texts:?}");
    for (path, status) in [
        ("/v1/channels/room/members?limit=0", 400),
        ("/v1/channels/room/members?limit=many", 400),
        ("/v1/nothing", 404),
        ("/healthz", 200),
        ("/no-such-page", 404),
    ] {
        assert_eq!(ask(at, "GET", path, &[], "").await.status, status, "{path}");
    }
    ada.close(1000).await;
    shows(at, &[
        ("connections_opened_total", 2),
        ("users", 1),
        ("websocket_refusals_total{code=\"not_joined\"}", 2),
        ("websocket_refusals_total{code=\"unknown_type\"}", 1),
        ("websocket_refusals_total{code=\"bad_json\"}", 1),
        ("websocket_refusals_total{code=\"unauthenticated\"}", 1),
        ("http_refusals_total{code=\"invalid_field\"}", 2),
        ("http_refusals_total{code=\"not_found\"}", 1),
        (
            "http_requests_total{method=\"GET\",route=\"/v1/channels/{channel}/members\",status=\"400\"}",
            2,
        ),
        ("http_requests_total{method=\"GET\",route=\"\",status=\"404\"}", 1),
    ])
    .await;
}

/// One change, one tick, where each waits for the one before.
#[tokio::test]
async fn ticks_are_counted_one_by_one() {
    let (broker, _) = broker();
    let mut ada = Client::connect(broker.address(), "ada").await;
    ada.observe("room").await;
    ada.ok("join room").await;
    ada.events().await;
    let ticks = || broker.hub().metrics().ticks.get();
    let before = ticks();
    for n in 0..20 {
        ada.ok(format!("set room n={n}")).await;
        ada.events().await;
    }
    assert_eq!(ticks() - before, 20);
    // A query tells nobody anything.
    ada.count("room").await;
    assert_eq!(ticks() - before, 20);
}

/// Writes much more than sockets and logs hold, one frame after the other.
async fn flood(writer: &mut Client, bytes: usize) {
    for n in 0..bytes / 4_000 {
        let attributes = json!({"n": n, "text": "x".repeat(4_000)});
        let set = json!({"type": "setAttributes", "channel": "room", "attributes": attributes});
        writer.ok(set).await;
    }
}

/// A reader that sleeps is choked once, however long it sleeps, and is given one snapshot. What it
/// may see that others may not changes nothing of that: it is told in another way.
#[tokio::test]
async fn a_reader_that_slept_is_counted_choked_once_and_resynced_once() {
    for visible_to in [json!(["any"]), json!(["staff"])] {
        let broker = rights::broker_with(|config| {
            config.limits.max_frames_burst = 1_000_000;
            config.limits.max_attribute_bytes = 1 << 16;
            config.limits.max_write_time = Duration::from_secs(60);
        });
        let at = broker.address();
        let client = async |stream: TcpStream, flags: &str| {
            let path = format!("/ws?token={}", token(flags));
            let mut client = Client::open(stream, &path, None).await.unwrap().0;
            assert!(matches!(client.next().await, ServerFrame::Welcome { .. }));
            client
        };
        let mut slow = client(small_socket(at).await, "--user slow --role staff").await;
        slow.observe("room").await;
        let stream = TcpStream::connect(at).await.unwrap();
        let mut ada = client(stream, "--user ada --role staff").await;
        ada.ok(json!({"type": "join", "channel": "room", "visibleTo": visible_to})).await;
        assert_eq!(slow.events().await.len(), 1, "it sees her join");
        assert_eq!(number(at, "choked_total").await, 0);

        flood(&mut ada, 2 << 20).await;
        assert_eq!(number(at, "choked_total").await, 1, "{visible_to}");
        assert_eq!(number(at, "resyncs_total").await, 0, "it could not be given any yet");

        ada.ok("set room end=1").await;
        let mut resyncs = 0;
        while !slow.heard().last().unwrap().contains("\"end\":") {
            if let ServerFrame::Snapshot { reason, more, .. } = slow.next().await {
                assert_eq!(reason, SnapshotReason::Resync);
                resyncs += u64::from(!more);
            }
        }
        assert_eq!(resyncs, 1, "{visible_to}");
        assert_eq!(number(at, "resyncs_total").await, 1, "{visible_to}");
        assert_eq!(number(at, "choked_total").await, 1, "{visible_to}");

        // Awake it is told as anybody is; and it can fall asleep again.
        flood(&mut ada, 2 << 20).await;
        assert_eq!(number(at, "choked_total").await, 2, "{visible_to}");
        slow.reset();
        ada.kill();
        until("all are gone", || broker.hub().channel_count() == 0).await;
        let metrics = broker.hub().metrics();
        assert_eq!((metrics.members.get(), metrics.subscribers.get()), (0, 0));
    }
}

/// A connection that resumes is kept from passes until it has caught up: its socket is not full.
#[tokio::test]
async fn a_reader_that_comes_back_is_not_choked() {
    let (broker, _) = broker();
    let at = broker.address();
    let mut ada = Client::connect(at, "ada").await;
    ada.ok("join room").await;
    let mut bob = Client::connect(at, "bob").await;
    let since = bob.observe("room").await.since();
    ada.ok("set room mood=happy").await;
    bob.events().await;
    bob.close(4200).await;
    let mut bob = Client::connect(at, "bob").await;
    bob.ok(json!({"type": "subscribe", "channel": "room", "since": since})).await;
    assert_eq!(bob.events().await.len(), 1, "what it missed");
    let shown = shown(at).await;
    assert!(!shown.contains_key("choked_total"), "{shown:?}");
    assert!(!shown.contains_key("resyncs_total"), "{shown:?}");
}

#[tokio::test]
async fn other_roles_and_a_follower_that_fell_behind_are_a_resync_each() {
    let broker = rights::broker_with(|config| config.limits.max_frames_burst = 1_000_000);
    let at = broker.address();
    let path = format!("/ws?token={}", token("--user ada"));
    let stream = TcpStream::connect(at).await.unwrap();
    let mut ada = Client::open(stream, &path, None).await.unwrap().0;
    assert!(matches!(ada.next().await, ServerFrame::Welcome { .. }));
    ada.ok("join room").await;
    ada.observe("room").await;
    let staff = token("--user ada --role staff");
    ada.ok(json!({"type": "auth", "token": staff})).await;
    let ServerFrame::Snapshot { reason, .. } = ada.next().await else { panic!("no snapshot") };
    assert_eq!(reason, SnapshotReason::Resync);
    assert_eq!(number(at, "resyncs_total").await, 1);

    let room = ChannelName::parse("room", "channel").unwrap();
    let credential = Credential::Anyone(None);
    let mut follower = broker.hub().follow(At::Named(&room), credential, Level::Events, None);
    assert_eq!(number(at, "subscribers").await, 2);
    let mut snapshots = Vec::new();
    let mut read = async |follower: &mut herenow::hub::Follower| {
        let What::News { news: News::Snapshot(part), .. } = follower.next().await.what else {
            panic!("no snapshot")
        };
        snapshots.push(part.reason);
    };
    read(&mut follower).await;
    flood(&mut ada, 2 * RING_BYTES.min(RING_STEPS * 4_000)).await;
    assert_eq!(number(at, "resyncs_total").await, 1, "it has not looked yet");
    read(&mut follower).await;
    assert_eq!(snapshots, [SnapshotReason::Subscribed, SnapshotReason::Resync]);
    assert_eq!(number(at, "resyncs_total").await, 2);
    drop(follower);
    assert_eq!(number(at, "subscribers").await, 1);
    assert_eq!(ada.close(1000).await, End::Close(1000, String::new()));
    until("all are gone", || broker.hub().channel_count() == 0).await;
    assert_eq!(number(at, "subscribers").await, 0);
}

/// One sample of the whole text, by its name without labels.
async fn sample(address: SocketAddr, name: &str) -> u64 {
    let text = text(address).await;
    let line =
        text.lines().find(|line| line.strip_prefix(name).is_some_and(|l| l.starts_with(' ')));
    line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// What clients say and what they are told, to the byte, however it was cut; and how long that takes.
#[tokio::test]
async fn traffic_is_counted_to_the_byte() {
    let (broker, _) = broker();
    let at = broker.address();
    let mut ada = Wire::connect(at, "ada").await;
    const JOIN: &str = r#"{"type":"join","channel":"room","id":1}"#;
    const REST: &str = r#""channel":"room","attributes":{"mood":"happy"},"id":2}"#;
    ada.say(JOIN).await;
    ada.json().await;
    // In pieces, of which each is a read of its own.
    let begins = frame(TEXT_BEGINS, br#"{"type":"setAttributes","#);
    let said = [begins, frame(PING, b"ping"), frame(ENDS, REST.as_bytes())];
    let mut sent = frame(TEXT, JOIN.as_bytes()).len();
    for bytes in said.concat().chunks(5) {
        ada.write(bytes).await;
        sent += bytes.len();
        tokio::task::yield_now().await;
    }
    let pong = ada.next().await;
    assert_eq!(pong, Got::Pong(b"ping".to_vec()));
    ada.json().await;
    assert_eq!(sample(at, "herenow_received_bytes_total").await, sent as u64);
    assert_eq!(sample(at, "herenow_frames_received_total").await, 4);
    // A pong of four bytes has two more in front.
    let came = ada.came.bytes as u64 + 6;
    until("what was sent is counted", || broker.hub().metrics().sent.get() == came).await;

    let mut readers = Vec::new();
    for name in ["bob", "cleo", "dan"] {
        let mut reader = Wire::connect(at, name).await;
        reader.say("sub room").await;
        while reader.json().await["type"] != "snapshot" {}
        readers.push(reader);
    }
    let before = sample(at, "herenow_deliveries_total").await;
    for mood in ["sad", "calm"] {
        ada.say(&format!("set room mood={mood}")).await;
        for reader in &mut readers {
            assert_eq!(reader.json().await["events"][0]["attributes"], json!({ "mood": mood }));
        }
    }
    // The pass is counted before it writes.
    assert_eq!(sample(at, "herenow_deliveries_total").await, before + 6);
    until("each tick is timed", || {
        let metrics = broker.hub().metrics();
        metrics.ticks.get() >= 4
    })
    .await;
    let ticks = sample(at, "herenow_ticks_total").await;
    for name in ["herenow_tick_seconds_count", "herenow_pass_seconds_count"] {
        while sample(at, name).await != ticks {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    // What passes wrote is counted when a connection's task looks: now, since each answers. A pong
    // without payload has two bytes.
    readers.push(ada);
    let mut all = 6;
    for wire in &mut readers {
        wire.ping(b"").await;
        while !matches!(wire.next().await, Got::Pong(_)) {}
        all += wire.came.bytes as u64 + 2;
    }
    until("all that was sent is counted", || broker.hub().metrics().sent.get() == all).await;
}
