//! Followers: told inside the process what a subscriber is told by its socket.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use herenow::auth::{Credential, Patterns};
use herenow::hub::{At, Follower, Told, What};
use herenow::limits::RING_BYTES;
use herenow::now::Now;
use herenow::presence::follow::Mark;
use herenow::presence::{
    Bounds, ChannelState, Command, Follow, Lasts, News, Ring, Source, Step, Viewer,
};
use herenow_protocol::{AttributeMap, ChannelName, Epoch, LeaveReason, Level, ServerFrame, UserId};
use serde_json::json;
use tokio::time::timeout;

use crate::broker::{Broker, until};
use crate::client::{PATIENCE, QUIET};
use crate::commands;
use crate::followed::{Followed, Read, keep};
use crate::seed::seed;

const BOUNDS: Bounds =
    Bounds { members: 1_000, attribute_bytes: 100_000, attribute_keys: 8, roster: 1_000 };

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name, "channel").unwrap()
}

fn user(n: usize) -> UserId {
    UserId::parse(&format!("user-{n}"), "user").unwrap()
}

fn anyone() -> Credential {
    Credential::Anyone(None)
}

async fn next(follower: &mut Follower) -> Told {
    timeout(PATIENCE, follower.next()).await.expect("nothing is told")
}

/// What a follower is told, in words.
fn words(told: &Told) -> String {
    let channel = &told.channel;
    match &told.what {
        What::Ended(_) => format!("{channel}: ended"),
        What::News { news: News::Snapshot(part), .. } => {
            let users: Vec<_> = part.members.iter().map(|member| member.user.as_str()).collect();
            format!("{channel}: snapshot {} [{}]", part.count, users.join(" "))
        }
        What::News { news: News::Step(step), .. } => {
            let frames = step.changes.frames(channel, Viewer::Public);
            let events = frames.iter().flat_map(|frame| match frame {
                ServerFrame::Presence { events, .. } => events.clone(),
                other => panic!("{other:?}"),
            });
            let events: Vec<_> = events
                .map(|event| {
                    format!("{} {}", json!(event)["event"].as_str().unwrap(), event.user())
                })
                .collect();
            format!("{channel}: {}", events.join(", "))
        }
        What::News { news: News::Count(tally), .. } => format!("{channel}: count {}", tally.count),
        What::News { news: News::Level(level), .. } => format!("{channel}: level {level:?}"),
        What::News { news: News::Status(status), .. } => {
            format!("{channel}: {} online={}", status.user, status.online)
        }
        What::News { news: News::Found { part, .. }, .. } => {
            format!("{channel}: found {}", part.members.len())
        }
        What::News { news: News::Missed { from, to, .. }, .. } => {
            format!("{channel}: missed {from} to {to}")
        }
    }
}

async fn says(follower: &mut Follower, expected: &str) {
    assert_eq!(words(&next(follower).await), expected);
}

/// Whether it looks before or after the tick, a new channel begins with a snapshot.
async fn knows_ada(follower: &mut Follower) {
    match words(&next(follower).await).as_str() {
        "room-2: snapshot 1 [ada]" => {}
        "room-2: snapshot 0 []" => says(follower, "room-2: join ada").await,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_follower_counts_as_a_subscriber_and_keeps_its_channel_alive() {
    let broker = Broker::start();
    let room = channel("room");
    let mut follower = broker.hub().follow(At::Named(&room), anyone(), Level::Events, None);
    says(&mut follower, "room: snapshot 0 []").await;
    assert_eq!(broker.hub().look(&room, |guarded| guarded.observers()), Some(1));
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    says(&mut follower, "room: join ada").await;
    ada.ok("leave room").await;
    says(&mut follower, "room: leave ada").await;
    assert_eq!(broker.hub().channel_count(), 1, "the follower keeps it");
    drop(follower);
    until("the channel is gone", || broker.hub().channel_count() == 0).await;
}

#[tokio::test]
async fn a_follower_of_a_pattern_sees_channels_come_and_go_and_keeps_none() {
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    ada.ok("join room-1").await;
    ada.ok("join hall").await;
    let patterns = Patterns::parse(["room-*"]).unwrap();
    let mut follower = broker.hub().follow_all(patterns, anyone(), Level::Events).unwrap();
    says(&mut follower, "room-1: snapshot 1 [ada]").await;
    assert_eq!(broker.hub().look(&channel("room-1"), |guarded| guarded.observers()), Some(0));
    ada.ok("join room-2").await;
    knows_ada(&mut follower).await;
    ada.ok("leave room-2").await;
    says(&mut follower, "room-2: leave ada").await;
    says(&mut follower, "room-2: ended").await;
    ada.ok("join room-2").await;
    knows_ada(&mut follower).await;
    drop(follower);
    // Nothing of it remains, in the channels that were there and in those that come to be.
    ada.ok("join room-3").await;
    let followed = |name| broker.hub().find(&channel(name)).unwrap().look().is_followed();
    until("nobody follows", || ["room-1", "room-2", "room-3"].iter().all(|name| !followed(name)))
        .await;
}

/// Of a channel that comes and goes it is told both, however long after: no snapshot, and no end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_of_changes_alone_is_told_the_last_of_them() {
    let broker = Broker::with(|config| config.limits.max_frames_burst = 1_000_000);
    let mut ada = broker.connect("ada").await;
    for command in ["join room", "set room mood=calm"] {
        ada.ok(command).await;
        let room = broker.hub().find(&channel("room")).unwrap();
        until("it is told", || !room.look().presence().has_news()).await;
    }
    let all = Patterns::parse(["*"]).unwrap();
    let mut follower = broker.hub().follow_changes(all).unwrap();
    // It lacks what was before.
    says(&mut follower, "room: missed 1 to 2").await;
    ada.ok("leave room").await;
    says(&mut follower, "room: leave ada").await;
    for late in [false, true] {
        for _ in 0..100 {
            ada.ok("join room").await;
            if !late {
                says(&mut follower, "room: join ada").await;
            }
            ada.ok("leave room").await;
            until("the channel is gone", || broker.hub().channel_count() == 0).await;
            if late {
                says(&mut follower, "room: join ada").await;
            }
            says(&mut follower, "room: leave ada").await;
        }
    }
    // Several of one name, one behind the other.
    for _ in 0..3 {
        ada.ok("join room").await;
        ada.ok("leave room").await;
        until("the channel is gone", || broker.hub().channel_count() == 0).await;
    }
    for _ in 0..3 {
        says(&mut follower, "room: join ada").await;
        says(&mut follower, "room: leave ada").await;
    }
    assert!(timeout(QUIET, follower.next()).await.is_err());
    until("no ring is left", || broker.hub().ring_bytes() == 0).await;
}

/// A history that ends for everybody but a hidden member ends for it with its last change.
#[tokio::test]
async fn a_follower_of_changes_alone_goes_on_in_the_next_history() {
    let broker = Broker::start();
    let mut follower = broker.hub().follow_changes(Patterns::parse(["*"]).unwrap()).unwrap();
    let (mut ada, mut bob) = (broker.connect("ada").await, broker.connect("bob").await);
    ada.ok(json!({"type": "join", "channel": "room", "visibleTo": ["red"]})).await;
    bob.ok("join room").await;
    bob.ok("leave room").await;
    let epoch = |name| broker.hub().find(&channel(name)).unwrap().look().presence().epoch();
    let (mut epochs, mut users) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let told = next(&mut follower).await;
        let What::News { epoch, news: News::Step(step), .. } = told.what else {
            panic!("{told:?}")
        };
        epochs.push(epoch);
        users.extend(step.changes.changed().iter().map(|changed| changed.user().to_string()));
    }
    assert_eq!(users, ["ada", "bob", "bob"]);
    assert_eq!((epochs[0], epochs[1]), (epochs[1], epochs[2]));
    until("the history is another", || epoch("room") != epochs[0]).await;
    ada.ok("leave room").await;
    let told = next(&mut follower).await;
    let What::News { epoch, news: News::Step(step), .. } = told.what else { panic!("{told:?}") };
    assert_ne!(epoch, epochs[0]);
    assert_eq!(step.changes.members(), (1, 0));
}

#[tokio::test]
async fn a_follower_that_never_reads_holds_a_place_and_no_bytes() {
    let broker = Broker::with(|config| {
        config.limits.max_frames_burst = 1_000_000;
    });
    let room = channel("room");
    let sleeper = broker.hub().follow(At::Named(&room), anyone(), Level::Events, None);
    let mut reader = broker.hub().follow(At::Named(&room), anyone(), Level::Events, None);
    says(&mut reader, "room: snapshot 0 []").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    says(&mut reader, "room: join ada").await;
    let text = "x".repeat(4_000);
    for step in 0..2 * RING_BYTES / 4_000 {
        let attributes = json!({"step": step, "text": text});
        ada.ok(json!({"type": "setAttributes", "channel": "room", "attributes": attributes})).await;
        says(&mut reader, "room: updateAttributes ada").await;
        assert!(broker.hub().ring_bytes() <= RING_BYTES + 10_000);
    }
    // It takes the state as it is, and goes on from there.
    let mut sleeper = sleeper;
    says(&mut sleeper, "room: snapshot 1 [ada]").await;
    ada.ok("leave room").await;
    says(&mut sleeper, "room: leave ada").await;
    drop((sleeper, reader));
    until("no ring is left", || broker.hub().ring_bytes() == 0).await;
}

#[tokio::test]
async fn a_follower_that_comes_back_goes_on_where_it_was() {
    let broker = Broker::start();
    let room = channel("room");
    let hub = broker.hub();
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let mut follower = hub.follow(At::Named(&room), anyone(), Level::Events, None);
    let Told { what: What::News { mark, .. }, .. } = next(&mut follower).await else {
        panic!("no snapshot")
    };
    drop(follower);
    ada.ok("set room mood=happy").await;
    // The ring outlives its last follower for a while, but not its channel.
    let mut follower = hub.follow(At::Named(&room), anyone(), Level::Events, mark);
    says(&mut follower, "room: updateAttributes ada").await;
    drop(follower);
    ada.ok("leave room").await;
    until("the channel is gone", || hub.channel_count() == 0).await;
    let mut follower = hub.follow(At::Named(&room), anyone(), Level::Events, mark);
    says(&mut follower, "room: snapshot 0 []").await;
}

#[tokio::test]
async fn a_count_is_told_at_once_and_then_once_a_second() {
    let broker = Broker::start();
    let room = channel("room");
    let mut follower = broker.hub().follow(At::Named(&room), anyone(), Level::Count, None);
    let mut ada = broker.connect("ada").await;
    let mut bob = broker.connect("bob").await;
    let first = words(&next(&mut follower).await);
    // At level count from the beginning: no level frame, and the count at once.
    assert_eq!(first, "room: count 0");
    ada.ok("join room").await;
    bob.ok("join room").await;
    let early = timeout(Duration::from_millis(500), follower.next()).await;
    assert!(early.is_err(), "too early: {early:?}");
    says(&mut follower, "room: count 2").await;
    drop(broker);
}

/// Coming back a follower goes on only if nothing that it lacks is gone, and if it is told events.
#[test]
fn a_follower_goes_on_only_from_where_nothing_is_gone() {
    let name = channel("room");
    let (mut core, mut ring) = (ChannelState::new(Epoch::from_random(7)), Ring::new(4));
    let now = Now { mono_ms: 1_000, unix_ms: 5_000_000 };
    let join = commands::join(
        user(1),
        Source::connection(1),
        None,
        None,
        Lasts::Connection { grace_ms: 0 },
    );
    core.apply(join, now, &BOUNDS, |_| {}).unwrap();
    ring.push(Step::new(9, core.tick(&name, now, &BOUNDS).changes, now.mono_ms));
    let here = Mark { epoch: core.epoch(), seq: core.next_seq() - 1, stamp: 9 };
    let resumes = |asked, since| Follow::resuming(asked, since, &core, &ring).has_resumed();
    assert!(resumes(Level::Events, here));
    assert!(resumes(Level::Events, Mark { seq: 0, stamp: 4, ..here }));
    for elsewhere in [
        Mark { epoch: Epoch::from_random(8), ..here },
        Mark { seq: core.next_seq(), ..here },
        Mark { stamp: 3, ..here },
        Mark { stamp: 10, ..here },
    ] {
        assert!(!resumes(Level::Events, elsewhere), "{elsewhere:?}");
    }
    assert!(!resumes(Level::Count, here) && !Follow::new(Level::Events).has_resumed());
}

/// Large members in many parts, changed at random while they are read: what follows the snapshot
/// makes it true.
#[test]
fn a_snapshot_in_parts_is_made_true_by_what_follows() {
    let mut random = Rng::with_seed(seed("a_snapshot_in_parts_is_made_true_by_what_follows"));
    for _ in 0..300 {
        run_in_parts(&mut random);
    }
}

fn run_in_parts(random: &mut Rng) {
    const USERS: usize = 12;
    let name = channel("room");
    let (mut core, mut ring) = (ChannelState::new(Epoch::from_random(7)), Ring::new(0));
    let mut follower = Followed::new(&name, Level::Events);
    let mut now = Now { mono_ms: 1_000, unix_ms: 5_000_000 };
    let large = |random: &mut Rng| -> AttributeMap {
        let text = "x".repeat(random.usize(10_000..40_000));
        json!({"text": text, "n": random.u8(..)}).as_object().unwrap().clone()
    };
    let (mut parts, mut told) = (0, BTreeMap::new());
    for _ in 0..60 {
        now.mono_ms += 1;
        now.unix_ms += 1;
        let n = random.usize(..USERS);
        let source = Source::connection(n as u64);
        let command = match random.u8(..8) {
            0..3 => Command::Join {
                user: user(n),
                source,
                attributes: Some(large(random)),
                merge: false,
                info: None,
                visible_to: None,
                away: random.bool().then(|| random.bool()),
                lasts: Lasts::Connection { grace_ms: 0 },
            },
            3 => Command::Leave { user: user(n), source, reason: LeaveReason::Left },
            4 => Command::SetAttributes {
                user: user(n),
                source,
                attributes: large(random),
                merge: false,
                ttl_ms: None,
            },
            5 => {
                let tick = core.tick(&name, now, &BOUNDS);
                keep(&mut ring, tick.changes, now);
                let members = core.members(usize::MAX, None, Viewer::Public).members;
                told = members.iter().map(|m| (m.user.clone(), m.view())).collect();
                continue;
            }
            _ => {
                parts += usize::from(
                    follower.read(&core, &ring, Viewer::Public, now) == Read::Something,
                );
                continue;
            }
        };
        let _ = core.apply(command, now, &BOUNDS, |_| {});
    }
    assert!(parts > 0 || told.is_empty() || follower.snapshots == 0);
    assert_eq!(follower.read_all(&core, &ring, Viewer::Public, now), Read::All);
    assert_eq!(follower.members, told, "after {} snapshots", follower.snapshots);
}

/// A join, a leave or a change of attributes; some joins are seen by the user alone.
fn some_change(random: &mut Rng, user: UserId, source: Source) -> Command {
    let audience = herenow_protocol::Audience::parse([format!("user:{user}").as_str()]).unwrap();
    match random.u8(..6) {
        0..3 => Command::Join {
            user,
            source,
            attributes: Some(json!({"n": random.u8(..4)}).as_object().unwrap().clone()),
            merge: false,
            info: None,
            visible_to: (random.u8(..4) == 0).then_some(audience),
            away: random.bool().then(|| random.bool()),
            lasts: Lasts::Connection { grace_ms: 0 },
        },
        3 | 4 => Command::Leave { user, source, reason: LeaveReason::Left },
        _ => Command::SetAttributes {
            user,
            source,
            attributes: json!({"n": random.u8(..4)}).as_object().unwrap().clone(),
            merge: true,
            ttl_ms: None,
        },
    }
}

/// Followers on threads of their own while many act: at the end each knows what a read shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_end_every_follower_knows_what_a_read_shows() {
    let mut random = Rng::with_seed(seed("in_the_end_every_follower_knows_what_a_read_shows"));
    let broker = Broker::with(|config| config.limits.max_frames_burst = 1_000_000);
    let hub = Arc::clone(broker.hub());
    let follow =
        |credential| hub.follow(At::Named(&channel("room-0")), credential, Level::Events, None);
    let pattern = || Patterns::parse(["room-*"]).unwrap();
    let readers = [
        follow(anyone()),
        follow(Credential::Anyone(Some(user(1)))),
        hub.follow_all(pattern(), anyone(), Level::Events).unwrap(),
        hub.follow_all(pattern(), Credential::Anyone(Some(user(2))), Level::Events).unwrap(),
    ];
    let viewers = [None, Some(user(1)), None, Some(user(2))];
    let mut reading = Vec::new();
    for (mut follower, viewer) in readers.into_iter().zip(viewers.clone()) {
        let seed = random.u64(..);
        reading.push(tokio::spawn(async move {
            let mut random = Rng::with_seed(seed);
            let mut known: BTreeMap<ChannelName, BTreeMap<UserId, String>> = BTreeMap::new();
            while let Ok(told) = timeout(Duration::from_secs(3), follower.next()).await {
                apply(&mut known, told, viewer.as_ref());
                if random.u8(..20) == 0 {
                    tokio::time::sleep(Duration::from_millis(random.u64(..10))).await;
                }
            }
            (follower, known)
        }));
    }
    for _ in 0..3_000 {
        let (n, room) = (random.usize(..10), channel(&format!("room-{}", random.usize(..3))));
        let (user, source) = (user(n), Source::connection(1_000_000 + n as u64));
        let command = some_change(&mut random, user, source);
        let now = hub.clock().now();
        let _ = hub.enter(At::Named(&room), |door| door.apply(command, now));
        if random.u8(..10) == 0 {
            tokio::time::sleep(Duration::from_micros(random.u64(..500))).await;
        }
    }
    for (place, (task, viewer)) in reading.into_iter().zip(viewers).enumerate() {
        let (_follower, known) = task.await.unwrap();
        let rooms = if place < 2 { 0..1 } else { 0..3 };
        for room in rooms.map(|n| channel(&format!("room-{n}"))) {
            let looks = match &viewer {
                Some(user) => Viewer::User { user, roles: &[] },
                None => Viewer::Public,
            };
            let page = hub
                .look(&room, |guarded| guarded.presence().members(usize::MAX, None, looks).members);
            let seen: BTreeMap<_, _> = page
                .into_iter()
                .flatten()
                .map(|member| (member.user.clone(), json!(member.attributes).to_string()))
                .collect();
            assert_eq!(known.get(&room).cloned().unwrap_or_default(), seen, "{place} in {room}");
        }
    }
}

fn apply(
    known: &mut BTreeMap<ChannelName, BTreeMap<UserId, String>>,
    told: Told,
    viewer: Option<&UserId>,
) {
    let What::News { news, .. } = told.what else {
        known.remove(&told.channel);
        return;
    };
    let members = known.entry(told.channel.clone()).or_default();
    let looks = match viewer {
        Some(user) => Viewer::User { user, roles: &[] },
        None => Viewer::Public,
    };
    match news {
        News::Snapshot(part) => {
            members.clear();
            assert!(!part.more, "so few members fit one part");
            let one = |m: Arc<herenow::presence::Member>| {
                (m.user.clone(), json!(m.attributes).to_string())
            };
            members.extend(part.members.into_iter().map(one));
        }
        News::Step(step) => {
            for frame in step.changes.frames(&told.channel, looks) {
                let ServerFrame::Presence { events, .. } = frame else { panic!("{frame:?}") };
                for event in events {
                    let value = json!(event);
                    let attributes = value["attributes"].to_string();
                    match value["event"].as_str().unwrap() {
                        "join" => {
                            let known = members.insert(event.user().clone(), attributes);
                            assert!(known.is_none(), "joined twice");
                        }
                        "updateAttributes" => {
                            members.insert(event.user().clone(), attributes);
                        }
                        _ => assert!(members.remove(event.user()).is_some(), "ended twice"),
                    }
                }
            }
        }
        other => panic!("{other:?}"),
    }
}
