//! Events or counts: what a subscriber asked for, what the channel's size makes of it, and that
//! nobody is told too often, too late or something wrong.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use herenow::clock::Clock;
use herenow::limits::COUNT_INTERVAL_MS;
use herenow_protocol::reply::{InForce, LevelReason, SnapshotReason};
use herenow_protocol::request::MAX_RECENT;
use herenow_protocol::{ServerFrame, Since};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::broker::{Broker, Lateness, Process, took, until};
use crate::client::{A_ROUND, Client, PATIENCE, Replica};
use crate::replica::Counted;
use crate::seed::seed;
use crate::wire::{Got, Wire};

/// What lies between two counts, less what a receiver may be late with the first.
const APART: Duration = Duration::from_millis(900);
/// What lies between two counts, by the broker's own clock.
const INTERVAL: Duration = Duration::from_millis(COUNT_INTERVAL_MS);
/// From the last change until everybody knows.
const IN_TIME: Duration = Duration::from_secs(2);

/// A broker that counts no frames, and counts members above `roster`.
fn broker(roster: u32) -> Broker {
    Broker::with(|config| {
        config.limits.roster_limit = roster;
        config.limits.max_frames_burst = 1_000_000;
        config.limits.max_frames_per_second = 1_000_000;
        config.limits.max_write_time = Duration::from_secs(60);
    })
}

fn subscribe(level: &str, since: Option<Since>) -> Value {
    json!({"type": "subscribe", "channel": "room", "level": level, "since": since})
}

fn level_frame(level: InForce, reason: LevelReason) -> ServerFrame {
    let channel = herenow_protocol::ChannelName::parse("room", "channel").unwrap();
    ServerFrame::Level { channel, level, reason }
}

/// Subscribes; the level in force and whether it resumed.
async fn subscribed(client: &mut Client, say: Value) -> (InForce, bool) {
    match client.request(say).await {
        ServerFrame::Ok { level, resumed, .. } => (level.unwrap(), resumed.unwrap()),
        other => panic!("not subscribed: {other:?}"),
    }
}

/// Members who come and go one by one.
struct Members<'a> {
    broker: &'a Broker,
    inside: VecDeque<(String, Client)>,
    next: usize,
}

impl<'a> Members<'a> {
    fn of(broker: &'a Broker) -> Self {
        Self { broker, inside: VecDeque::new(), next: 1 }
    }

    async fn come(&mut self) {
        let name = format!("user-{}", self.next);
        self.next += 1;
        let mut client = self.broker.connect(&name).await;
        client.ok("join room").await;
        self.inside.push_back((name, client));
    }

    async fn come_to(&mut self, count: usize) {
        while self.inside.len() < count {
            self.come().await;
        }
    }

    /// The one goes that came first.
    async fn go(&mut self) {
        let (_, mut client) = self.inside.pop_front().unwrap();
        client.ok("leave room").await;
    }

    fn newest_first(&self) -> Vec<String> {
        self.inside.iter().rev().take(MAX_RECENT).map(|(name, _)| name.clone()).collect()
    }

    fn counted(&self, seq: u64, recent: bool) -> Counted {
        let recent = recent.then(|| self.newest_first());
        Counted { seq, count: self.inside.len() as u64, recent }
    }
}

/// A subscriber who takes frames one by one.
struct Watcher {
    client: Client,
    replica: Replica,
}

impl Watcher {
    async fn of(broker: &Broker, name: &str, level: &str) -> (Self, InForce) {
        let mut client = broker.connect(name).await;
        let (in_force, resumed) = subscribed(&mut client, subscribe(level, None)).await;
        assert!(!resumed);
        (Self { client, replica: Replica::new("room") }, in_force)
    }

    async fn next(&mut self) -> ServerFrame {
        let frame = self.client.next().await;
        self.replica.apply(&frame);
        frame
    }

    /// The next frame, which must be a count.
    async fn count(&mut self) -> Counted {
        let frame = self.next().await;
        assert!(matches!(frame, ServerFrame::Count { .. }), "no count: {frame:?}");
        self.replica.counted().unwrap().clone()
    }

    /// The next frame, which must be a presence frame: its seq and count.
    async fn presence(&mut self) -> (u64, u64) {
        match self.next().await {
            ServerFrame::Presence { seq, count, .. } => (seq, count),
            other => panic!("no presence frame: {other:?}"),
        }
    }

    /// The next frame, which must be a snapshot in one part for this reason: its seq and count.
    async fn snapshot(&mut self, why: SnapshotReason) -> (u64, u64) {
        match self.next().await {
            ServerFrame::Snapshot { seq, count, reason, more: false, .. } => {
                assert_eq!(reason, why);
                (seq, count)
            }
            other => panic!("no snapshot: {other:?}"),
        }
    }
}

/// More than the limit and it is counts, four fifths of it and it is events; each frame in its
/// place, and nothing in between.
#[tokio::test]
async fn a_channel_that_grows_is_counted_and_listed_again_when_it_has_shrunk() {
    let broker = broker(5);
    let mut members = Members::of(&broker);
    let (mut auto, in_force) = Watcher::of(&broker, "auto", "auto").await;
    assert_eq!(in_force, InForce::Events);
    auto.snapshot(SnapshotReason::Subscribed).await;
    let (mut events, _) = Watcher::of(&broker, "events", "events").await;
    events.snapshot(SnapshotReason::Subscribed).await;
    let mut seq = 0;
    for round in 0..3 {
        while members.inside.len() < 5 {
            members.come().await;
            seq += 1;
            let told = (seq, members.inside.len() as u64);
            assert_eq!((auto.presence().await, events.presence().await), (told, told));
        }
        // At once, also when a count was told less than a second ago.
        let clock = Clock::start();
        members.come().await;
        seq += 1;
        assert_eq!(events.presence().await, (seq, 6));
        assert_eq!(auto.next().await, level_frame(InForce::Count, LevelReason::Size));
        assert_eq!(auto.count().await, members.counted(seq, true), "round {round}");
        assert!(clock.elapsed() < APART / 2, "round {round} took {:?}", clock.elapsed());
        // One less is not few enough, and telling of it has a second's time.
        members.go().await;
        seq += 1;
        assert_eq!(events.presence().await, (seq, 5));
        auto.client.expect_quiet().await;
        members.go().await;
        seq += 1;
        assert_eq!(events.presence().await, (seq, 4));
        assert_eq!(auto.next().await, level_frame(InForce::Events, LevelReason::Size));
        assert_eq!(auto.snapshot(SnapshotReason::Level).await, (seq, 4));
        auto.replica.assert_equals(&auto.client.members("room").await);
        assert_eq!(auto.replica.members(), events.replica.members());
    }
    auto.client.expect_quiet_for(A_ROUND).await;
    events.client.expect_quiet().await;
}

/// About the limit nothing flaps: only counts come, at their pace.
///
/// The neighbour has each change told by itself before the next: otherwise two of them could fold
/// into one frame, and seqs would not be what is expected here.
#[tokio::test]
async fn at_the_edge_the_level_stays() {
    let broker = broker(5);
    let mut members = Members::of(&broker);
    let (mut auto, _) = Watcher::of(&broker, "auto", "auto").await;
    auto.snapshot(SnapshotReason::Subscribed).await;
    let (mut neighbour, _) = Watcher::of(&broker, "neighbour", "events").await;
    neighbour.snapshot(SnapshotReason::Subscribed).await;
    for seq in 1..=5 {
        members.come().await;
        assert_eq!(neighbour.presence().await, (seq, seq));
        assert_eq!(auto.presence().await, (seq, seq));
    }
    // From before the first count on, so that whatever this machine is late adds to the time that
    // is measured.
    let clock = Clock::start();
    members.come().await;
    assert_eq!(neighbour.presence().await, (6, 6));
    assert_eq!(auto.next().await, level_frame(InForce::Count, LevelReason::Size));
    assert_eq!(auto.count().await, members.counted(6, true));
    for round in 1..=10 {
        members.go().await;
        assert_eq!(neighbour.presence().await, (5 + 2 * round, 5));
        members.come().await;
        assert_eq!(neighbour.presence().await, (6 + 2 * round, 6));
    }
    // Until the second between two counts is over everything folds.
    for counts in 1.. {
        let told = auto.count().await;
        assert!(took(clock) >= counts * INTERVAL, "count {counts} in {:?}", clock.elapsed());
        if told == members.counted(26, true) {
            break;
        }
    }
    // The other edge, from below.
    for (seq, count) in [(27, 5), (28, 4)] {
        members.go().await;
        assert_eq!(neighbour.presence().await, (seq, count));
    }
    while auto.replica.level() == InForce::Count {
        auto.next().await;
    }
    assert_eq!(auto.snapshot(SnapshotReason::Level).await, (28, 4));
    for _ in 0..5 {
        members.come().await;
        auto.presence().await;
        members.go().await;
        auto.presence().await;
    }
    auto.client.expect_quiet_for(A_ROUND).await;
}

#[tokio::test]
async fn recent_is_the_newest_two_hundred_by_name_alone() {
    let broker = broker(10);
    let mut members = Members::of(&broker);
    members.come_to(MAX_RECENT + 7).await;
    members.inside[3].1.ok("set room mood=happy").await;
    let mut auto = Wire::connect(broker.address(), "auto").await;
    auto.say("sub room auto").await;
    let told = auto.json().await;
    let recent: Vec<_> = members.newest_first().iter().map(|name| json!({"user": name})).collect();
    assert_eq!(recent.len(), MAX_RECENT);
    let expected = json!({"type": "count", "channel": "room", "seq": told["seq"],
                          "count": MAX_RECENT + 7, "recent": recent});
    assert_eq!(told, expected);
    // Without the names for whoever asked for the number.
    let mut count = Wire::connect(broker.address(), "count").await;
    count.say("sub room count").await;
    let told = count.json().await;
    assert_eq!(told.as_object().unwrap().len(), 4, "{told}");
    assert_eq!(told["count"], MAX_RECENT + 7);
    // Whoever comes now is first.
    members.come().await;
    let told = auto.json().await;
    assert_eq!(told["recent"][0]["user"], format!("user-{}", MAX_RECENT + 8));
    assert_eq!(told["recent"].as_array().unwrap().len(), MAX_RECENT);
}

/// A roster of nobody: a count as soon as there is somebody.
#[tokio::test]
async fn a_limit_of_none_counts_everybody() {
    let broker = broker(0);
    let mut members = Members::of(&broker);
    let (mut auto, in_force) = Watcher::of(&broker, "auto", "auto").await;
    assert_eq!(in_force, InForce::Events);
    assert_eq!(auto.snapshot(SnapshotReason::Subscribed).await, (0, 0));
    members.come().await;
    assert_eq!(auto.next().await, level_frame(InForce::Count, LevelReason::Size));
    assert_eq!(auto.count().await, members.counted(1, true));
    members.go().await;
    assert_eq!(auto.next().await, level_frame(InForce::Events, LevelReason::Size));
    assert_eq!(auto.snapshot(SnapshotReason::Level).await, (2, 0));
}

/// The first count is at once, the next a second later, the last is never forgotten, and who knows
/// is not told again. Attributes are no matter of counting.
#[tokio::test]
async fn counts_come_at_once_then_each_second_and_the_last_is_owed() {
    let broker = broker(1_000);
    let mut members = Members::of(&broker);
    // Has each change told by itself, so that seqs are what is expected here.
    let (mut neighbour, _) = Watcher::of(&broker, "neighbour", "events").await;
    neighbour.snapshot(SnapshotReason::Subscribed).await;
    // From before the first count on, so that whatever this machine is late adds to the time that
    // is measured. And what is too late is so beyond what this machine was late itself.
    let (clock, late) = (Clock::start(), Lateness::watched());
    let (mut count, in_force) = Watcher::of(&broker, "count", "count").await;
    assert_eq!(in_force, InForce::Count);
    assert_eq!(count.count().await, members.counted(0, false));
    let at_once = clock.elapsed();
    assert!(at_once < APART + late.so_far(), "the first count took {at_once:?}");
    // Changes until three more counts have come.
    let (mut counts, mut last) = (0, at_once);
    while counts < 3 {
        members.come().await;
        let inside = members.inside.len() as u64;
        assert_eq!(neighbour.presence().await, (inside, inside));
        if let Ok(told) = timeout(Duration::from_millis(20), count.count()).await {
            let now = clock.elapsed();
            counts += 1;
            assert!(took(clock) >= counts * INTERVAL, "count {counts} after {now:?}");
            assert!(
                now < last + IN_TIME + late.so_far(),
                "count {counts} came {:?} after the last",
                now - last
            );
            assert!(told.count == inside || told.count + 1 == inside, "{told:?} of {inside}");
            last = now;
        }
    }
    // One more change, so that a last count is owed whatever the third one told.
    members.come().await;
    let inside = members.inside.len() as u64;
    assert_eq!(neighbour.presence().await, (inside, inside));
    let changed = clock.elapsed();
    assert_eq!(count.count().await, members.counted(inside, false));
    let last = clock.elapsed();
    assert!(took(clock) >= 4 * INTERVAL, "the last count came after {last:?}");
    assert!(
        last < changed + IN_TIME + late.so_far(),
        "the last count came {:?} late",
        last - changed
    );
    members.inside[0].1.ok("set room a=1").await;
    count.client.expect_quiet_for(A_ROUND).await;
    // After a rest the next is at once again.
    let (clock, late) = (Clock::start(), Lateness::watched());
    members.come().await;
    let seq = members.inside.len() as u64 + 1;
    assert_eq!(count.count().await, members.counted(seq, false));
    assert!(clock.elapsed() < APART + late.so_far());
}

/// Asking for another level: the `ok`, a `level` if it is another one, then what it begins with.
#[tokio::test]
async fn another_level_can_be_asked_for() {
    let broker = broker(3);
    let mut members = Members::of(&broker);
    members.come_to(2).await;
    let (mut ada, in_force) = Watcher::of(&broker, "ada", "events").await;
    assert_eq!(in_force, InForce::Events);
    assert_eq!(ada.snapshot(SnapshotReason::Subscribed).await, (2, 2));
    let since = ada.replica.since();
    let (to_count, to_events) = (
        level_frame(InForce::Count, LevelReason::Asked),
        level_frame(InForce::Events, LevelReason::Asked),
    );

    // To count, where since means nothing; and again, which is no change.
    let asked = subscribed(&mut ada.client, subscribe("count", Some(since))).await;
    assert_eq!(asked, (InForce::Count, false));
    assert_eq!(ada.next().await, to_count);
    assert_eq!(ada.count().await, members.counted(2, false));
    assert_eq!(subscribed(&mut ada.client, subscribe("count", None)).await.0, InForce::Count);
    assert_eq!(ada.count().await, members.counted(2, false));
    // Back, with a snapshot; and on to auto, which is the same in a small channel.
    assert_eq!(subscribed(&mut ada.client, subscribe("events", None)).await.0, InForce::Events);
    assert_eq!(ada.next().await, to_events);
    assert_eq!(ada.snapshot(SnapshotReason::Level).await, (2, 2));
    assert_eq!(subscribed(&mut ada.client, subscribe("auto", None)).await.0, InForce::Events);
    assert_eq!(ada.snapshot(SnapshotReason::Subscribed).await, (2, 2));
    assert!(subscribed(&mut ada.client, subscribe("events", Some(since))).await.1);
    ada.client.expect_quiet().await;

    // From count to what was missed.
    subscribed(&mut ada.client, subscribe("count", None)).await;
    assert_eq!(ada.next().await, to_count);
    ada.count().await;
    members.come().await;
    let asked = subscribed(&mut ada.client, subscribe("auto", Some(since))).await;
    assert_eq!(asked, (InForce::Events, true));
    assert_eq!(ada.client.next().await, to_events);
    let ServerFrame::Presence { seq: 3, count: 3, .. } = ada.client.next().await else {
        panic!("what was missed did not come")
    };
    ada.client.expect_quiet().await;

    // In a large channel auto is count, and from events to auto is a change.
    members.come().await;
    assert_eq!(ada.client.next().await, level_frame(InForce::Count, LevelReason::Size));
    let ServerFrame::Count { seq: 4, count: 4, recent: Some(_), .. } = ada.client.next().await
    else {
        panic!("no count")
    };
    assert_eq!(subscribed(&mut ada.client, subscribe("events", None)).await.0, InForce::Events);
    assert_eq!(ada.client.next().await, to_events);
    ada.replica = Replica::new("room");
    assert_eq!(ada.snapshot(SnapshotReason::Level).await, (4, 4));
    assert_eq!(subscribed(&mut ada.client, subscribe("auto", None)).await.0, InForce::Count);
    assert_eq!(ada.next().await, to_count);
    assert_eq!(ada.count().await, members.counted(4, true));
    // Several at once: the last one counts, and nothing comes of those before it.
    let mut hasty = broker.connect("hasty").await;
    let levels = ["count", "events", "auto", "events"];
    hasty.send_all(levels.map(|level| subscribe(level, None))).await;
    for expected in [&to_events, &to_count, &to_events] {
        assert_eq!(hasty.next().await, *expected);
    }
    let ServerFrame::Snapshot { reason: SnapshotReason::Level, .. } = hasty.next().await else {
        panic!("no snapshot")
    };
    hasty.expect_quiet().await;
    // Whoever is new to it has nothing to be told of a change.
    let (mut new, in_force) = Watcher::of(&broker, "new", "auto").await;
    assert_eq!(in_force, InForce::Count);
    assert_eq!(new.count().await, members.counted(4, true));
    new.client.expect_quiet_for(A_ROUND).await;
}

/// Nothing comes behind the `ok` of `unsubscribe`, whatever was owed.
#[tokio::test]
async fn nothing_follows_an_unsubscribe_at_any_level() {
    let broker = broker(3);
    let mut members = Members::of(&broker);
    members.come_to(3).await;
    let mut watchers = Vec::new();
    for level in ["auto", "events", "count"] {
        let (mut watcher, _) = Watcher::of(&broker, level, level).await;
        watcher.next().await;
        // A second subscription at another level, so that both are to be forgotten.
        subscribed(&mut watcher.client, subscribe("count", None)).await;
        while watcher.client.already().is_some() {}
        subscribed(&mut watcher.client, subscribe(level, None)).await;
        watchers.push(watcher);
    }
    members.go().await;
    for watcher in &mut watchers {
        watcher.client.ok("unsub room").await;
        while watcher.client.already().is_some() {}
    }
    // Over the limit and back, with a round of counts in between.
    members.come_to(5).await;
    tokio::time::sleep(Duration::from_millis(1_400)).await;
    while !members.inside.is_empty() {
        members.go().await;
    }
    tokio::time::sleep(Duration::from_millis(1_400)).await;
    for watcher in &mut watchers {
        watcher.client.expect_quiet().await;
    }
    drop(members);
    drop(watchers);
    until("nothing remains", || broker.hub().channel_count() == 0).await;
}

/// Reads all that lies in a socket, up to the answer to a question asked now.
async fn read_on(wire: &mut Wire, replica: &mut Replica, levels: &mut Vec<InForce>) {
    wire.say(r#"{"type":"getChannels","id":"end"}"#).await;
    loop {
        let Got::Text(text) = wire.next().await else { continue };
        let frame: ServerFrame = serde_json::from_str(&text).unwrap();
        replica.apply(&frame);
        match frame {
            ServerFrame::Level { level, .. } => levels.push(level),
            ServerFrame::Result { id: Some(id), .. } if json!(id) == "end" => return,
            _ => {}
        }
    }
}

/// Reads until the replica has what its subscription begins with.
async fn knows_something(wire: &mut Wire, replica: &mut Replica, levels: &mut Vec<InForce>) {
    let clock = Clock::start();
    while !replica.is_whole() && replica.counted().is_none() {
        read_on(wire, replica, levels).await;
        assert!(clock.elapsed() < PATIENCE, "neither snapshot nor count");
    }
}

/// Who sleeps through a change of levels wakes to the right one; who sleeps through two changes
/// hears of neither.
#[tokio::test]
async fn a_stopped_reader_wakes_to_the_right_level() {
    let broker = broker(5);
    let mut members = Members::of(&broker);
    members.come_to(3).await;
    for (sleeps_at, wakes_at) in [(3, 6), (6, 3), (3, 3), (6, 6)] {
        while members.inside.len() > sleeps_at {
            members.go().await;
        }
        members.come_to(sleeps_at).await;
        let mut wire = Wire::connect_small(broker.address(), "sleeper").await;
        let mut replica = Replica::new("room");
        let mut levels = Vec::new();
        wire.say("sub room").await;
        wire.say("sub other").await;
        knows_something(&mut wire, &mut replica, &mut levels).await;
        // Another channel is so busy that its socket is full.
        let mut noise = broker.connect("noise").await;
        fill(&mut noise).await;
        // Through the other level, and to the one it wakes to.
        for count in [if sleeps_at == 3 { 6 } else { 3 }, wakes_at] {
            while members.inside.len() > count {
                members.go().await;
            }
            members.come_to(count).await;
        }
        let truth = noise.members("room").await;
        let expected = if wakes_at > 5 { InForce::Count } else { InForce::Events };
        let clock = Clock::start();
        let knows = |replica: &Replica| match replica.counted() {
            Some(counted) => counted.recent.as_ref() == Some(&members.newest_first()),
            None => {
                replica.is_whole()
                    && truth
                        .iter()
                        .all(|member| replica.members().get(&member.user) == Some(member))
            }
        };
        while !knows(&replica) || replica.level() != expected {
            read_on(&mut wire, &mut replica, &mut levels).await;
            assert!(clock.elapsed() < Duration::from_secs(10), "it never knows");
        }
        if expected == InForce::Events {
            replica.assert_equals(&truth);
        }
        assert_eq!(levels, if sleeps_at == wakes_at { vec![] } else { vec![expected] });
        noise.ok("leave other").await;
    }
}

/// Whoever sleeps through the last change at `count`, and through the round that told of it, is
/// told when it wakes, although nothing changes any more.
#[tokio::test]
async fn a_stopped_reader_wakes_to_the_last_count() {
    let broker = broker(2);
    let mut members = Members::of(&broker);
    members.come_to(4).await;
    for level in ["auto", "count"] {
        let mut wire = Wire::connect_small(broker.address(), "sleeper").await;
        let mut replica = Replica::new("room");
        wire.say(&format!("sub room {level}")).await;
        wire.say("sub other").await;
        knows_something(&mut wire, &mut replica, &mut Vec::new()).await;
        assert_eq!(replica.counted().unwrap().count, members.inside.len() as u64);
        let mut noise = broker.connect("noise").await;
        fill(&mut noise).await;
        members.come().await;
        // The round that tells of it comes and finds the socket full.
        let (mut awake, _) = Watcher::of(&broker, "awake", "count").await;
        let first = awake.count().await;
        assert_eq!(first.count, members.inside.len() as u64);
        tokio::time::sleep(Duration::from_millis(1_700)).await;
        let clock = Clock::start();
        while replica.counted().unwrap().count != first.count {
            read_on(&mut wire, &mut replica, &mut Vec::new()).await;
            assert!(clock.elapsed() < Duration::from_secs(10), "{level}: it never knows");
        }
        assert_eq!(replica.counted().unwrap().recent.is_some(), level == "auto");
        noise.ok("leave other").await;
    }
}

/// Joins another channel and makes it so busy that the socket of whoever does not read is full.
async fn fill(noise: &mut Client) {
    noise.ok("join other").await;
    for n in 0..200 {
        let attributes = json!({"n": n, "text": "x".repeat(4_000)});
        let set = json!({"type": "setAttributes", "channel": "other", "attributes": attributes});
        noise.ok(set).await;
    }
}

/// What a subscriber heard, and when.
struct Heard {
    name: String,
    replica: Replica,
    levels: usize,
    /// When the last frame of the channel came.
    last: Duration,
}

/// Subscribes after a while and listens until `stop`.
async fn listen(
    address: SocketAddr,
    name: String,
    level: &str,
    later: Duration,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) -> Heard {
    tokio::time::sleep(later).await;
    let mut client = Client::connect(address, &name).await;
    client.ok(subscribe(level, None)).await;
    let mut heard = Heard { name, replica: Replica::new("room"), levels: 0, last: later };
    let mut counted: Option<Duration> = None;
    loop {
        let frame = tokio::select! {
            frame = client.next() => frame,
            _ = stop.changed() => return heard,
        };
        let now = clock.elapsed();
        heard.replica.apply(&frame);
        heard.last = now;
        match frame {
            // Whatever follows comes at once.
            ServerFrame::Level { .. } => {
                heard.levels += 1;
                counted = None;
            }
            ServerFrame::Count { .. } => {
                let apart = counted.map_or(APART, |before| now - before);
                assert!(apart >= APART, "{}: two counts {apart:?} apart", heard.name);
                counted = Some(now);
            }
            _ => {}
        }
    }
}

/// Subscribers of every level, who come at any time, and members who come and go: in the end each
/// knows, in time, and none was told too often. With threads.
async fn churn(roster: u32, steady: usize, churners: usize) -> Vec<Heard> {
    const SUBSCRIBERS: usize = 60;
    let limit = format!("--roster-limit={roster}");
    let broker = Process::start(&["--max-frames-burst=1000000", &limit]);
    let mut random = Rng::with_seed(seed("churn"));
    let mut stay = Vec::new();
    for n in 0..steady {
        let mut client = broker.connect(&format!("steady-{n}")).await;
        client.ok("join room").await;
        stay.push(client);
    }
    let clock = Clock::start();
    let (stop, stopped) = watch::channel(false);
    let listeners: Vec<_> = (0..SUBSCRIBERS)
        .map(|n| {
            let level = ["auto", "count", "events"][n % 3];
            let later = Duration::from_millis(random.u64(..3_000));
            let (name, stopped) = (format!("{level}-{n}"), stopped.clone());
            tokio::spawn(listen(broker.address(), name, level, later, clock, stopped))
        })
        .collect();
    let movers: Vec<_> = (0..churners)
        .map(|n| {
            let (address, mut random) = (broker.address(), random.fork());
            tokio::spawn(async move {
                let mut client = Client::connect(address, &format!("mover-{n}")).await;
                while clock.elapsed() < Duration::from_millis(3_500) {
                    client.ok("join room").await;
                    tokio::time::sleep(Duration::from_millis(random.u64(..300))).await;
                    client.ok("leave room").await;
                    tokio::time::sleep(Duration::from_millis(random.u64(..300))).await;
                }
                if n % 2 == 0 {
                    client.ok("join room").await;
                }
                client
            })
        })
        .collect();
    let mut moved = Vec::new();
    for mover in movers {
        moved.push(mover.await.unwrap());
    }
    let changed = clock.elapsed();
    tokio::time::sleep(IN_TIME + Duration::from_millis(500)).await;
    stop.send(true).unwrap();
    let truth = stay[0].all_members("room").await;
    assert_eq!(truth.len(), steady + churners.div_ceil(2));
    let mut all = Vec::new();
    for listener in listeners {
        let heard = listener.await.unwrap();
        assert!(heard.last < changed + IN_TIME, "{} heard too late", heard.name);
        match heard.replica.counted() {
            Some(counted) => {
                assert_eq!(counted.count, truth.len() as u64, "{}", heard.name);
                let newest: Vec<_> =
                    truth.iter().take(MAX_RECENT).map(|m| m.user.to_string()).collect();
                assert!(counted.recent.as_ref().is_none_or(|recent| *recent == newest));
                assert_eq!(counted.recent.is_some(), heard.name.starts_with("auto"));
            }
            None => heard.replica.assert_equals(&truth),
        }
        all.push(heard);
    }
    all
}

#[tokio::test]
async fn in_a_large_channel_everybody_knows_in_time() {
    for heard in churn(20, 30, 40).await {
        let counts = !heard.name.starts_with("events");
        assert_eq!(heard.replica.counted().is_some(), counts, "{}", heard.name);
        assert_eq!(heard.levels, 0);
    }
}

#[tokio::test]
async fn about_the_limit_everybody_knows_in_time() {
    let all = churn(30, 10, 40).await;
    assert!(all.iter().any(|heard| heard.levels > 0), "it never crossed the limit");
}
