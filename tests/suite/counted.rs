//! What outlives a connection is counted, and what is done to much at once leaves others their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use herenow::clock::Clock;
use herenow::hub::At;
use herenow::limits::{EXPIRY_BATCH, LOGS_BYTES, PLACES_BATCH};
use herenow::now::Now;
use herenow::presence::{Bounds, ChannelState, Command, Lasts, Source};
use herenow_protocol::reply::Answer;
use herenow_protocol::{
    AttributeMap, ChannelName, Epoch, Event, FrameId, LeaveReason, LossReason, ServerFrame, UserId,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::broker::{Broker, Process, until};
use crate::client::A_TURN;
use crate::commands;
use crate::http::ask;
use crate::wire::Wire;

fn id(name: &str) -> UserId {
    UserId::parse(name, "user").unwrap()
}

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name, "channel").unwrap()
}

async fn lease(broker: &Broker, channel: &str, user: &str, body: Value) -> (u16, Value) {
    let path = format!("/v1/channels/{channel}/members/{user}");
    let answer = ask(broker.address(), "PUT", &path, &[], &body.to_string()).await;
    (answer.status, answer.body)
}

/// Joins channels with a grace that outlasts the test, and loses the connection.
async fn come_and_be_lost(broker: &Broker, user: &str, channels: impl Iterator<Item = usize>) {
    let mut client = broker.connect(user).await;
    for number in channels {
        client
            .ok(json!({"type": "join", "channel": format!("c{number}"), "graceMs": 60_000}))
            .await;
    }
    let before = broker.hub().connection_count();
    client.kill();
    until("it is lost", || broker.hub().connection_count() < before).await;
}

#[tokio::test]
async fn graces_count_against_the_channels_of_a_user() {
    let broker = Broker::with(|config| config.limits.max_channels_per_user = 10);
    let kept = || broker.hub().channels_of(&id("ada")).len();
    come_and_be_lost(&broker, "ada", 0..8).await;
    until("all have grace", || kept() == 8).await;
    let mut watchers = Vec::new();
    for number in 8..16 {
        watchers.push(broker.observer(&format!("c{number}")).await);
    }
    // No join is refused for it.
    come_and_be_lost(&broker, "ada", 8..16).await;
    until("there are as many as there may be", || kept() == 10).await;
    let mut lost = 0;
    for watcher in &mut watchers {
        assert!(matches!(watcher.event().await, Event::Join { .. }));
        if let Ok(event) = timeout(A_TURN, watcher.event()).await {
            let reason = LossReason::Connection;
            assert!(matches!(event, Event::Timeout { reason: r, .. } if r == reason), "{event:?}");
            lost += 1;
        }
    }
    assert_eq!(lost, 6, "the others have grace");
    // However often it comes and goes.
    for round in 2..6 {
        come_and_be_lost(&broker, "ada", 8 * round..8 * (round + 1)).await;
        until("no more outlive it", || kept() == 10).await;
    }
}

#[test]
fn a_thousand_lost_connections_leave_one_grace() {
    let bounds = Bounds { members: 9, attribute_bytes: 99, attribute_keys: 9, roster: 9 };
    let now = |ms| Now { mono_ms: ms, unix_ms: 1_000 + ms };
    let mut state = ChannelState::new(Epoch::from_random(7));
    let user = id("ada");
    for number in 0..1_000 {
        let (user, source) = (user.clone(), Source::connection(number));
        // The first to be lost has the longest grace.
        let lasts = Lasts::Connection { grace_ms: 5_000 - number };
        let join = commands::join(user, source, None, None, lasts);
        state.apply(join, now(0), &bounds, |_| ()).unwrap();
    }
    for number in 0..1_000 {
        let (user, source) = (user.clone(), Source::connection(number));
        let (reason, last_seen) = (LossReason::Connection, 1_000 + number);
        let lose = Command::Lose { user, source, reason, last_seen, graced: true };
        state.apply(lose, now(10), &bounds, |_| ()).unwrap();
    }
    assert_eq!(state.sources(&user).count(), 1);
    state.apply(Command::Expire, now(5_009), &bounds, |_| ()).unwrap();
    assert_eq!(state.count(), 1, "it ends with the longest");
    state.apply(Command::Expire, now(5_010), &bounds, |_| ()).unwrap();
    assert_eq!(state.count(), 0);
}

#[test]
fn a_channel_ends_so_many_members_at_once_and_says_that_more_are_due() {
    let bounds = Bounds { members: 9_999, attribute_bytes: 99, attribute_keys: 9, roster: 9 };
    let now = |ms| Now { mono_ms: ms, unix_ms: 1_000 + ms };
    let mut state = ChannelState::new(Epoch::from_random(7));
    let all = 2 * EXPIRY_BATCH + 1;
    for number in 0..all {
        let user = id(&format!("u{number}"));
        let lasts = Lasts::Lease { ttl_ms: 100 };
        let join = commands::join(user, Source::LEASE, None, None, lasts);
        state.apply(join, now(0), &bounds, |_| ()).unwrap();
    }
    let mut gone = Vec::new();
    while state.deadline().is_some_and(|due_ms| due_ms <= 100) {
        let mut ended = 0;
        state.apply(Command::Expire, now(100), &bounds, |_| ended += 1).unwrap();
        gone.push(ended);
    }
    assert_eq!(gone, [EXPIRY_BATCH, EXPIRY_BATCH, 1]);
}

#[tokio::test]
async fn members_of_all_channels_have_a_bound() {
    let broker = Broker::with(|config| config.limits.max_memberships = 3);
    for user in ["ada", "bob"] {
        assert_eq!(lease(&broker, "room", user, json!({})).await.0, 201);
    }
    let mut cleo = broker.connect("cleo").await;
    cleo.ok("join lobby").await;
    let (status, body) = lease(&broker, "hall", "dora", json!({})).await;
    assert_eq!((status, &body["code"]), (503, &json!("unavailable")));
    assert!(body["detail"].as_str().unwrap().contains("3 memberships"), "{body}");
    let (code, _) = cleo.refused("join hall").await;
    assert_eq!(code, herenow_protocol::ErrorCode::Unavailable);
    // Who is there goes on: by a lease, a further source, another tab.
    assert_eq!(lease(&broker, "room", "ada", json!({})).await.0, 200);
    assert_eq!(lease(&broker, "lobby", "cleo", json!({})).await.0, 200);
    cleo.ok("join lobby").await;
    ask(broker.address(), "DELETE", "/v1/channels/room/members/bob", &[], "").await;
    assert_eq!(lease(&broker, "hall", "dora", json!({})).await.0, 201);
}

#[tokio::test]
async fn connections_of_a_user_have_a_bound() {
    let broker = Broker::with(|config| config.limits.max_connections_per_user = 2);
    let one = broker.connect("ada").await;
    let _other = broker.connect("ada").await;
    let handshake = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                     sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==";
    let answer = ask(broker.address(), "GET", "/ws?user=ada", &[handshake], "").await;
    assert_eq!((answer.status, answer.code()), (503, "unavailable"));
    assert!(answer.body["detail"].as_str().unwrap().contains("a user may have 2"), "{answer:?}");
    drop(broker.connect("bob").await);
    one.kill();
    until("one is gone", || broker.hub().connection_count() < 2).await;
    drop(broker.connect("ada").await);
}

/// Those that pass the handshake together are counted once more, and told why.
#[tokio::test]
async fn handshakes_at_one_moment_do_not_pass_the_bound() {
    let broker = Broker::with(|config| config.limits.max_connections_per_user = 1);
    let mut turned_away = 0;
    for _ in 0..20 {
        let (mut one, mut other) =
            (Wire::dial(broker.address()).await, Wire::dial(broker.address()).await);
        let (first, second) =
            tokio::join!(one.upgrade("/ws?user=ada", ""), other.upgrade("/ws?user=ada", ""));
        let both = [&first, &second].iter().all(|head| head.starts_with("HTTP/1.1 101"));
        if both {
            for wire in [&mut one, &mut other] {
                let frame = wire.json().await;
                if frame["type"] == "error" {
                    assert_eq!(frame["code"], "unavailable");
                    assert_eq!(wire.closed().await.0, 1013);
                    turned_away += 1;
                } else {
                    assert_eq!(frame["type"], "welcome");
                }
            }
        }
        drop((one, other));
        until("both are gone", || broker.hub().connection_count() == 0).await;
    }
    assert!(turned_away > 0, "no two handshakes came together");
}

#[tokio::test]
async fn logs_of_all_channels_have_a_bound() {
    let broker = Broker::start();
    let (hub, now) = (broker.hub(), broker.hub().clock().now());
    let words: AttributeMap = [("x".to_owned(), json!("x".repeat(3_800)))].into_iter().collect();
    let mut most = 0;
    let logged = || hub.metrics().log_bytes.get() as usize;
    for number in 0..1_200 {
        let name = channel(&format!("c{number}"));
        for times in 0..17_u64 {
            let mut attributes = words.clone();
            attributes.insert("n".into(), json!(times));
            let (user, source) = (id("ada"), Source::LEASE);
            let lasts = Lasts::Lease { ttl_ms: 1_000_000 };
            let join = commands::join(user, source, Some(attributes), None, lasts);
            hub.enter(At::Named(&name), |door| door.apply(join, now)).unwrap();
            // Each has a tick of its own.
            tokio::task::yield_now().await;
        }
        most = most.max(logged());
    }
    let one = 2 * 64 * 1024;
    assert!((LOGS_BYTES - one..LOGS_BYTES + one).contains(&most), "{most}");
    assert!(logged() <= LOGS_BYTES + one);
    for number in 0..1_200 {
        let name = channel(&format!("c{number}"));
        let (user, source, reason) = (id("ada"), Source::LEASE, LeaveReason::Left);
        let leave = Command::Leave { user, source, reason };
        hub.enter(At::Named(&name), |door| door.apply(leave, now)).unwrap();
    }
    until("nothing is logged any more", || logged() == 0).await;
}

/// Counts the turns that a task of its own gets.
struct Turns {
    taken: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Turns {
    fn start() -> Self {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&taken);
        let task = tokio::spawn(async move {
            loop {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        Self { taken, task }
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for channels to become few, and tells the most that went between two turns of others.
async fn most_between_turns(broker: &Broker, left: usize) -> usize {
    let turns = Turns::start();
    let (mut most, mut before) = (0, broker.hub().channel_count());
    let clock = Clock::start();
    while before > left {
        tokio::task::yield_now().await;
        let now = broker.hub().channel_count();
        most = most.max(before.saturating_sub(now));
        before = now;
        assert!(clock.elapsed() < crate::client::PATIENCE, "{before} channels are left");
    }
    assert!(turns.taken() > 0);
    most
}

fn roomy(config: &mut herenow::Config) {
    let limits = &mut config.limits;
    (limits.max_channels, limits.max_channels_per_user) = (4_096, 4_096);
    (limits.max_frames_per_second, limits.max_frames_burst) = (1_000_000, 1_000_000);
}

async fn join_many(broker: &Broker, user: &str, many: usize, grace_ms: u64) -> Wire {
    let mut wire = Wire::open(broker.address(), user).await;
    for number in 0..many {
        let channel = format!("c{number}");
        let join = json!({"type": "join", "channel": channel, "graceMs": grace_ms}).to_string();
        wire.say(&join).await;
    }
    until("all are joined", || broker.hub().channel_count() >= many).await;
    wire
}

#[tokio::test]
async fn a_connection_with_thousands_of_channels_ends_in_many_turns() {
    let broker = Broker::with(roomy);
    let wire = join_many(&broker, "ada", 4_000, 0).await;
    drop(wire);
    let most = most_between_turns(&broker, 0).await;
    assert!(most <= 2 * PLACES_BATCH, "{most} channels were given up in one turn");
    assert!(broker.hub().channels_of(&id("ada")).is_empty());
    until("it is gone", || broker.hub().connection_count() == 0).await;
}

#[tokio::test]
async fn a_kick_of_thousands_of_graces_takes_many_turns() {
    let broker = Broker::with(roomy);
    let wire = join_many(&broker, "ada", 3_000, 60_000).await;
    drop(wire);
    until("it is lost", || broker.hub().connection_count() == 0).await;
    assert_eq!(broker.hub().channels_of(&id("ada")).len(), 3_000);
    let (hub, now) = (Arc::clone(broker.hub()), broker.hub().clock().now());
    let kick = tokio::spawn(async move { hub.kick(&id("ada"), now).await });
    let most = most_between_turns(&broker, 0).await;
    assert!(most <= 64, "{most} graces were ended in one turn");
    assert_eq!(kick.await.unwrap(), 0);
}

#[tokio::test]
async fn a_kick_ends_all_connections_of_a_user_and_those_that_come_later_stay() {
    let broker = Broker::start();
    let mut tabs = Vec::new();
    for number in 0..100 {
        let mut tab = broker.connect("ada").await;
        tab.ok(json!({"type": "join", "channel": format!("c{number}"), "graceMs": 60_000})).await;
        tabs.push(tab);
    }
    let hub = Arc::clone(broker.hub());
    assert_eq!(hub.kick(&id("ada"), hub.clock().now()).await, 100);
    let mut later = broker.connect("ada").await;
    later.ok("join room").await;
    for tab in &mut tabs {
        assert_eq!(tab.ended().await.code(), 4003);
    }
    until("nothing has grace", || hub.channels_of(&id("ada")) == [channel("room")]).await;
    later.ok("leave room").await;
}

/// Requests that lay in their sockets while the broker stood still renew their leases.
#[tokio::test]
async fn leases_are_renewed_by_requests_that_waited_out_a_stall() {
    let process = Process::start(&["--max-requests-per-second", "100000"]);
    let request = |number: usize| {
        let body = json!({"ttlMs": 2_000}).to_string();
        let path = format!("/v1/channels/room/members/u{number}");
        let (host, length) = (process.address(), body.len());
        format!(
            "PUT {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    };
    let ask = async |number| {
        let mut socket = TcpStream::connect(process.address()).await.unwrap();
        socket.write_all(request(number).as_bytes()).await.unwrap();
        socket
    };
    let status = async |mut socket: TcpStream| {
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let many = 300;
    for number in 0..many {
        assert_eq!(status(ask(number).await).await, "201");
    }
    process.signal("STOP");
    let mut waiting = Vec::new();
    for number in 0..many {
        waiting.push(ask(number).await);
    }
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    process.signal("CONT");
    for socket in waiting {
        assert_eq!(status(socket).await, "200", "its lease had ended");
    }
}

/// Whoever has much walked over again and again in one go keeps nobody from their turn: what another
/// client asks meanwhile is answered before the last of it is done.
#[tokio::test]
async fn others_have_their_turn_between_commands_that_walk_over_much() {
    let broker = Broker::start();
    let mut greedy = broker.connect("greedy").await;
    let mut other = broker.connect("other").await;
    let users: Vec<_> = (0..40).map(|n| format!("user-{n}")).collect();
    let watch = |id: usize| json!({"type": "watch", "id": id, "users": users});
    let last = json!({"type": "join", "channel": "room", "id": "last"});
    greedy.send_all((0..60).map(watch).chain([last])).await;
    let count = other.request(json!({"type": "getCount", "channel": "room"})).await;
    let ServerFrame::Result { answer: Answer::Count { count, .. }, .. } = count else {
        panic!("{count:?}")
    };
    assert_eq!(count, 0, "it waited for all of somebody else's commands");
    while !matches!(greedy.next().await, ServerFrame::Ok { id: FrameId::Text(id), .. } if &*id == "last")
    {
    }
}
