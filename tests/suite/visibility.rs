//! Who sees whom. Random histories of a channel with members that not everyone may see, and viewers
//! of all kinds who keep replicas of it: each replica is at each tick what a direct read shows its
//! viewer, no more and no less, and whoever sees nothing of a change can't tell that there was one.

use std::collections::BTreeMap;
use std::time::Duration;

use herenow::clock::Clock;
use herenow::now::Now;
use herenow::presence::{Bounds, ChannelState, Command, Lasts, Ring, Source, Tick, Viewer};
use herenow_protocol::reply::{MemberView, SnapshotReason};
use herenow_protocol::{
    Audience, ChannelName, Epoch, Event, LeaveReason, Level, LossReason, Role, ServerFrame, Since,
    UserId, encode,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use crate::commands;
use crate::followed::{Followed, Read, keep};
use crate::model::page_by_page;
use crate::seed::seed;
use crate::swept::{Swept, frames, frames as frames_of};

const CASES: u32 = 5_000;
const USERS: [&str; 4] = ["ada", "bob", "carol", "dan"];
/// Roles that viewers have beside being themselves.
const ROLES: [&[&str]; 4] = [&[], &["team:blue"], &["team:red", "staff"], &["staff"]];
const AUDIENCES: [&[&str]; 7] = [
    &["any"],
    &["users"],
    &[],
    &["team:blue"],
    &["team:red", "user:ada"],
    &["user:dan"],
    &["staff", "team:blue"],
];
const BOUNDS: Bounds =
    Bounds { members: 100, attribute_bytes: 1_000, attribute_keys: 8, roster: 1_000 };

#[derive(Clone, Debug)]
enum Op {
    /// By a connection, or by a lease.
    Join {
        user: usize,
        lease_ms: Option<u64>,
        audience: Option<usize>,
        value: Option<u8>,
        away: Option<bool>,
    },
    /// The user is away from its connection or its lease, or back.
    Turn {
        user: usize,
        lease: bool,
        away: bool,
    },
    Leave {
        user: usize,
    },
    Lose {
        user: usize,
    },
    Set {
        user: usize,
        value: u8,
        ttl_ms: Option<u64>,
    },
    Inform {
        user: usize,
        value: u8,
    },
    Pass {
        ms: u64,
    },
    Tick,
    /// A viewer is not there from now on until it comes back, and says where it was or not.
    Part {
        viewer: usize,
    },
    Back {
        viewer: usize,
        since: bool,
    },
    /// A viewer has other roles from now on: by a fresh token, or when it comes back.
    Roles {
        viewer: usize,
        roles: usize,
    },
    /// The lazy follower reads so much, or leaves and comes back.
    Read {
        viewer: usize,
        most: usize,
    },
    Return {
        viewer: usize,
    },
    /// Memory is needed elsewhere.
    ClearRing,
}

fn op() -> impl Strategy<Value = Op> {
    let user = || 0..USERS.len();
    let lease_ms = prop::option::of(prop::sample::select(vec![400u64, 3_000]));
    let audience = prop::option::of(0..AUDIENCES.len());
    let ttl_ms = prop::option::of(Just(700u64));
    prop_oneof![
        6 => (user(), lease_ms, audience, prop::option::of(0..3u8), prop::option::of(any::<bool>()))
            .prop_map(|(user, lease_ms, audience, value, away)| {
                Op::Join { user, lease_ms, audience, value, away }
            }),
        3 => (user(), any::<bool>(), any::<bool>())
            .prop_map(|(user, lease, away)| Op::Turn { user, lease, away }),
        2 => user().prop_map(|user| Op::Leave { user }),
        1 => user().prop_map(|user| Op::Lose { user }),
        3 => (user(), 0..3u8, ttl_ms).prop_map(|(user, value, ttl_ms)| Op::Set { user, value, ttl_ms }),
        1 => (user(), 0..3u8).prop_map(|(user, value)| Op::Inform { user, value }),
        2 => prop::sample::select(vec![1u64, 400, 1_000]).prop_map(|ms| Op::Pass { ms }),
        5 => Just(Op::Tick),
        1 => user().prop_map(|viewer| Op::Part { viewer }),
        2 => (user(), prop::bool::weighted(0.8)).prop_map(|(viewer, since)| Op::Back { viewer, since }),
        1 => (user(), 0..ROLES.len()).prop_map(|(viewer, roles)| Op::Roles { viewer, roles }),
        2 => (user(), 1..4usize).prop_map(|(viewer, most)| Op::Read { viewer, most }),
        1 => user().prop_map(|viewer| Op::Return { viewer }),
        1 => Just(Op::ClearRing),
    ]
}

fn user(n: usize) -> UserId {
    UserId::parse(USERS[n], "user").unwrap()
}

fn connection(n: usize) -> Source {
    Source::connection(1 + n as u64)
}

fn roles(n: usize) -> Vec<Role> {
    ROLES[n].iter().map(|role| Role::parse(role, "roles").unwrap()).collect()
}

/// A viewer, and what it knows from the frames that it was told.
struct Watcher {
    user: UserId,
    roles: Vec<Role>,
    /// Those that it had when its last snapshot came.
    built_with: Vec<Role>,
    seq: u64,
    members: BTreeMap<UserId, MemberView>,
    away: bool,
}

impl Watcher {
    fn new(n: usize) -> Self {
        let (roles, built_with) = (roles(n), roles(n));
        Self { user: user(n), roles, built_with, seq: 0, members: BTreeMap::new(), away: false }
    }

    fn viewer(&self) -> Viewer<'_> {
        Viewer::User { user: &self.user, roles: &self.roles }
    }

    fn hear(&mut self, bytes: &[u8]) {
        for frame in frames(bytes) {
            match frame {
                ServerFrame::Presence { seq, events, .. } => {
                    assert!(seq == self.seq || seq == self.seq + 1, "{} after {}", seq, self.seq);
                    self.seq = seq;
                    events.into_iter().for_each(|event| self.apply(event));
                }
                ServerFrame::Snapshot { seq, members, .. } => {
                    self.seq = seq;
                    self.members.extend(members.into_iter().map(|m| (m.user.clone(), m)));
                }
                other => panic!("told {other:?}"),
            }
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Join { user, info, attributes, away, at } => {
                let member =
                    MemberView { user: user.clone(), info, attributes, away, joined_at: at };
                assert!(self.members.insert(user, member).is_none(), "joined twice");
            }
            Event::Leave { user, .. } | Event::Timeout { user, .. } => {
                assert!(self.members.remove(&user).is_some(), "{user} ended, who was not there");
            }
            Event::UpdateAttributes { user, attributes, info, away, joined_at, .. } => {
                let member = self.members.get_mut(&user).expect("an update of nobody");
                let else_same = info.is_none() && away.is_none() && joined_at.is_none();
                let same = member.attributes == attributes && else_same;
                assert!(away.is_none_or(|away| away != member.away), "away as before");
                assert!(!same, "an update of {user} that changes nothing");
                member.attributes = attributes;
                member.info = info.unwrap_or_else(|| member.info.clone());
                member.away = away.unwrap_or(member.away);
                member.joined_at = joined_at.unwrap_or(member.joined_at);
            }
        }
    }
}

struct Scene {
    core: ChannelState,
    epoch: Epoch,
    name: ChannelName,
    now: Now,
    watchers: Vec<Watcher>,
    ring: Ring,
    /// For each viewer a follower that reads at once, and one that reads when it likes.
    eager: Vec<Followed>,
    lazy: Vec<Followed>,
    /// And a slow socket.
    swept: Vec<Swept>,
    /// What somebody was told who sees what everyone may see: nobody else's business shows in it.
    public: Watcher,
}

impl Scene {
    fn new() -> Self {
        let epoch = Epoch::from_random(7);
        let name = ChannelName::parse("room", "channel").unwrap();
        let followers =
            || (0..USERS.len()).map(|_| Followed::new(&name, Level::Events)).collect::<Vec<_>>();
        Self {
            eager: followers(),
            lazy: followers(),
            swept: (0..USERS.len()).map(|_| Swept::new()).collect(),
            ring: Ring::new(0),
            core: ChannelState::new(epoch),
            epoch,
            name,
            now: Now { mono_ms: 1_000, unix_ms: 5_000_000 },
            watchers: (0..USERS.len()).map(Watcher::new).collect(),
            public: Watcher { user: UserId::nobody(), ..Watcher::new(0) },
        }
    }

    fn apply(&mut self, command: Command) {
        let _ = self.core.apply(command, self.now, &BOUNDS, |_| {});
        self.read_along();
    }

    fn run(&mut self, op: &Op) {
        let map = |value: u8| json!({"v": value, "w": 1}).as_object().unwrap().clone();
        let (reason, now) = (LeaveReason::Left, self.now);
        match *op {
            Op::Join { user: n, lease_ms, audience, value, away } => {
                let audience = audience.map(|a| Audience::parse(AUDIENCES[a].iter().copied()));
                let (source, lasts) = match lease_ms {
                    Some(ttl_ms) => (Source::LEASE, Lasts::Lease { ttl_ms }),
                    None => (connection(n), Lasts::Connection { grace_ms: 300 }),
                };
                self.apply(Command::Join {
                    user: user(n),
                    source,
                    attributes: value.map(map),
                    merge: false,
                    info: None,
                    visible_to: audience.map(Result::unwrap),
                    away,
                    lasts,
                });
            }
            Op::Turn { user: n, lease, away } => {
                let source = if lease { Source::LEASE } else { connection(n) };
                self.apply(Command::SetAway { user: user(n), source, away });
            }
            Op::Leave { user: n } => {
                self.apply(Command::Leave { user: user(n), source: connection(n), reason });
                self.apply(Command::Leave { user: user(n), source: Source::LEASE, reason });
            }
            Op::Lose { user: n } => {
                let (source, reason) = (connection(n), LossReason::Connection);
                let (user, last_seen, graced) = (user(n), now.unix_ms - 1, true);
                self.apply(Command::Lose { user, source, reason, last_seen, graced });
            }
            Op::Set { user: n, value, ttl_ms } => {
                let (source, attributes) = (connection(n), map(value));
                let (user, merge) = (user(n), true);
                self.apply(Command::SetAttributes { user, source, attributes, merge, ttl_ms });
            }
            Op::Inform { user: n, value } => {
                let info = herenow_protocol::Attributes::from_map(&map(value));
                self.apply(Command::Inform { user: user(n), info });
            }
            Op::Pass { ms } => self.pass(ms),
            Op::Tick => self.tick(),
            Op::Read { viewer, most } => {
                let looks = self.watchers[viewer].viewer();
                for _ in 0..most {
                    self.lazy[viewer].read(&self.core, &self.ring, looks, self.now);
                }
            }
            Op::Return { viewer } => {
                self.lazy[viewer].come_back(Level::Events, &self.core, &self.ring);
            }
            Op::ClearRing => self.ring.clear(),
            Op::Part { viewer } => {
                self.tick();
                self.watchers[viewer].away = true;
            }
            Op::Back { viewer, since } => {
                self.tick();
                self.come_back(viewer, since);
            }
            Op::Roles { viewer, roles: n } => {
                self.tick();
                self.take_roles(viewer, roles(n));
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
        self.apply(Command::Expire);
        self.ring.trim(self.now.mono_ms);
    }

    fn take_roles(&mut self, viewer: usize, roles: Vec<Role>) {
        self.watchers[viewer].roles = roles;
        // An event's id is good for the roles alone for which it was told.
        self.eager[viewer] = Followed::new(&self.name, Level::Events);
        self.lazy[viewer] = Followed::new(&self.name, Level::Events);
        self.swept[viewer] = Swept::new();
        if !self.watchers[viewer].away {
            self.give_snapshot(viewer);
        }
        self.read_along();
    }

    fn tick(&mut self) {
        let before: Vec<_> = self.watchers.iter().map(|w| w.members.clone()).collect();
        let Tick { frames, changes } = self.core.tick(&self.name, self.now, &BOUNDS);
        let step = keep(&mut self.ring, changes, self.now);
        let changes = &step.changes;
        for (watcher, swept) in self.watchers.iter().zip(&mut self.swept) {
            if changes.sight(watcher.viewer()).is_some() {
                swept.miss();
            }
        }
        let everyone = &frames.map_or(Vec::new(), |bundle| bundle.frames.concat());
        self.public.hear(everyone);
        assert_eq!(self.public.seq + 1, self.core.next_seq());
        for watcher in self.watchers.iter_mut().filter(|watcher| !watcher.away) {
            match changes.sight(watcher.viewer()) {
                Some(_) => watcher.hear(&changes.encode(&self.name, watcher.viewer())),
                None => watcher.hear(everyone),
            }
            let own = changes.encode(&self.name, Viewer::Public);
            assert_eq!(frames_of(&own), frames_of(everyone), "followers get what sockets get");
            assert_eq!(watcher.seq, self.public.seq, "the same seq for all");
        }
        self.compare(&before);
        self.read_along();
    }

    /// A follower knows at any moment just what a socket of the same sight was told.
    fn read_along(&mut self) {
        for (n, watcher) in self.watchers.iter().enumerate().filter(|(_, w)| !w.away) {
            let (looks, followed) = (watcher.viewer(), &mut self.eager[n]);
            let end = followed.read_all(&self.core, &self.ring, looks, self.now);
            assert_eq!(end, Read::All);
            assert_eq!(followed.members, watcher.members, "the follower of {}", watcher.user);
            assert_eq!(followed.count, self.public.members.len() as u64, "the count");
            if let Some(members) = self.swept[n].read(&self.core, looks) {
                assert_eq!(members, &watcher.members, "the slow reader {}", watcher.user);
            }
        }
    }

    /// Every replica is what a direct read shows.
    fn compare(&self, before: &[BTreeMap<UserId, MemberView>]) {
        let seen = |viewer: Viewer<'_>| -> BTreeMap<_, _> {
            let page = self.core.members(usize::MAX, None, viewer);
            assert_eq!(page.next, None);
            let newest_first = page.members.windows(2);
            let mut pairs = newest_first.map(|pair| (&pair[0], &pair[1]));
            assert!(pairs.all(|(one, other)| {
                one.number > other.number && one.joined_at >= other.joined_at
            }));
            page.members.iter().map(|member| (member.user.clone(), member.view())).collect()
        };
        assert_eq!(self.public.members, seen(Viewer::Public));
        assert_eq!(self.core.count(), self.public.members.len(), "all that everyone may see");
        for (watcher, before) in self.watchers.iter().zip(before) {
            if watcher.away {
                assert_eq!(&watcher.members, before);
                continue;
            }
            assert_eq!(watcher.members, seen(watcher.viewer()), "{}", watcher.user);
            assert_eq!(watcher.members.keys().collect::<Vec<_>>(), self.visible_to(watcher));
            for user in (0..USERS.len()).map(user) {
                let read = self.core.member(&user, watcher.viewer()).map(|m| m.view());
                assert_eq!(watcher.members.get(&user), read.as_ref(), "{} of {user}", watcher.user);
            }
        }
        assert_eq!(page_by_page(&self.core).len(), self.core.count());
    }

    /// Whom the watcher may see, spelled out.
    fn visible_to(&self, watcher: &Watcher) -> Vec<&UserId> {
        let all =
            (0..USERS.len()).map(user).filter_map(|user| self.core.member(&user, Viewer::All));
        let mut visible: Vec<_> = all
            .filter(|member| {
                let Some(audience) = member.audience() else { return true };
                member.user == watcher.user
                    || audience.iter().any(|role| {
                        watcher.roles.iter().any(|own| own == role)
                            || role.as_str() == format!("user:{}", watcher.user)
                    })
            })
            .map(|member| &member.user)
            .collect();
        visible.sort();
        visible
    }

    fn give_snapshot(&mut self, viewer: usize) {
        let mut place = Some(self.core.begin_snapshot(SnapshotReason::Resync));
        let mut bytes = Vec::new();
        while let Some(at) = place {
            let viewer = self.watchers[viewer].viewer();
            let (part, next) = self.core.snapshot_part(at, viewer, 1_000_000);
            encode::text_message(&part.frame(&self.name, self.epoch), &mut bytes);
            place = next;
        }
        let watcher = &mut self.watchers[viewer];
        watcher.members.clear();
        watcher.built_with = watcher.roles.clone();
        watcher.hear(&bytes);
    }

    /// Resumes if the channel lets it, else starts from a snapshot.
    fn come_back(&mut self, viewer: usize, since: bool) {
        if !std::mem::take(&mut self.watchers[viewer].away) {
            return;
        }
        let watcher = &self.watchers[viewer];
        let at = Since { epoch: self.epoch, seq: watcher.seq, sight: None };
        let same_sight = watcher.roles == watcher.built_with;
        let resumed = (since && same_sight).then(|| self.core.resume(at, watcher.viewer()));
        match resumed.flatten() {
            Some(next) => {
                let missed = self.core.since(next).unwrap().to_vec();
                self.watchers[viewer].hear(&missed);
            }
            None => self.give_snapshot(viewer),
        }
        let before: Vec<_> = self.watchers.iter().map(|w| w.members.clone()).collect();
        self.compare(&before);
    }
}

#[test]
fn a_replica_is_what_a_read_shows_its_viewer() {
    let mut bytes = [0; 32];
    let seed = seed("a_replica_is_what_a_read_shows_its_viewer");
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, rng)
        .run(&prop::collection::vec(op(), 1..50), |ops| {
            let mut scene = Scene::new();
            ops.iter().for_each(|op| scene.run(op));
            scene.run(&Op::Tick);
            for (n, watcher) in scene.watchers.iter().enumerate().filter(|(_, w)| !w.away) {
                let lazy = &mut scene.lazy[n];
                lazy.read_all(&scene.core, &scene.ring, watcher.viewer(), scene.now);
                assert_eq!(lazy.members, watcher.members, "{} at its leisure", watcher.user);
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// A cursor is a number that grows from join to join: the hidden ones must not show in it.
#[test]
fn nobody_can_count_the_hidden_by_cursors() {
    let cursors = |hidden: usize| {
        let mut core = ChannelState::new(Epoch::from_random(7));
        let now = Now { mono_ms: 1, unix_ms: 1 };
        for n in 0..2 * hidden + 4 {
            let open = n == 0 || n > 2 * hidden;
            let audience = if open { Audience::EVERYONE } else { Audience::parse([]).unwrap() };
            let command = commands::join(
                UserId::parse(&format!("user-{n}"), "user").unwrap(),
                Source::connection(1 + n as u64),
                None,
                Some(audience),
                Lasts::Connection { grace_ms: 0 },
            );
            core.apply(command, now, &BOUNDS, |_| {}).unwrap();
        }
        assert_eq!(core.count(), 4);
        let mut next = core.members(1, None, Viewer::Public).next;
        let mut cursors = Vec::new();
        while let Some(cursor) = next {
            cursors.push(cursor);
            next = core.members(1, next, Viewer::Public).next;
        }
        cursors
    };
    assert_eq!(cursors(0), cursors(20));
}

fn join(core: &mut ChannelState, user: &str, audience: Option<&[&str]>, now: Now) -> bool {
    let number = user.bytes().fold(7, |sum, byte| sum * 31 + u64::from(byte));
    let command = commands::join(
        UserId::parse(user, "user").unwrap(),
        Source::connection(number),
        None,
        audience.map(|roles| Audience::parse(roles.iter().copied()).unwrap()),
        Lasts::Connection { grace_ms: 0 },
    );
    let bounds = Bounds { members: 2, ..BOUNDS };
    core.apply(command, now, &bounds, |_| {}).is_ok()
}

#[test]
fn whether_a_channel_is_full_says_nothing_of_the_hidden() {
    let now = Now { mono_ms: 1, unix_ms: 1 };
    let mut core = ChannelState::new(Epoch::from_random(7));
    for hidden in ["h1", "h2"] {
        assert!(join(&mut core, hidden, Some(&[]), now));
    }
    assert!(join(&mut core, "ada", None, now) && join(&mut core, "bob", None, now));
    assert!(!join(&mut core, "carol", None, now), "two are the limit");
    assert!(!join(&mut core, "h3", Some(&[]), now), "and for the hidden as many");
    assert!(!join(&mut core, "h1", Some(&["any"]), now), "nor does one come out of hiding");
    assert!(!join(&mut core, "ada", Some(&[]), now));
    assert!(join(&mut core, "ada", None, now) && join(&mut core, "h1", Some(&["staff"]), now));
    assert_eq!(core.count(), 2);
}

#[test]
fn times_run_with_the_order_however_late_a_command_comes_to_the_lock() {
    let mut core = ChannelState::new(Epoch::from_random(7));
    for (user, ms) in [("h1", 12), ("h2", 11)] {
        assert!(join(&mut core, user, None, Now { mono_ms: ms, unix_ms: 1_000 + ms }));
    }
    let listed = core.members(9, None, Viewer::Public).members;
    let joined: Vec<_> = listed.iter().map(|m| (m.user.as_str(), m.joined_at)).collect();
    assert_eq!(joined, [("h2", 1_012), ("h1", 1_012)]);
}

#[test]
fn a_channel_that_only_the_hidden_keep_begins_anew() {
    let name = ChannelName::parse("room", "channel").unwrap();
    let now = Now { mono_ms: 1, unix_ms: 1 };
    let mut core = ChannelState::new(Epoch::from_random(7));
    assert!(join(&mut core, "ghost", Some(&[]), now));
    core.tick(&name, now, &BOUNDS);
    core.begin_anew(Epoch::from_random(9));
    assert!(!core.is_over());
    assert_eq!(core.epoch(), Epoch::from_random(7), "nobody knows of it, so it goes on");
    assert!(join(&mut core, "ada", None, now));
    core.tick(&name, now, &BOUNDS);
    let user = UserId::parse("ada", "user").unwrap();
    let source = core.member(&user, Viewer::All).map(|_| {
        let number = "ada".bytes().fold(7, |sum, byte| sum * 31 + u64::from(byte));
        Source::connection(number)
    });
    let leave = Command::Leave { user, source: source.unwrap(), reason: LeaveReason::Left };
    core.apply(leave, now, &BOUNDS, |_| {}).unwrap();
    assert!(!core.is_over(), "there is something to tell");
    core.tick(&name, now, &BOUNDS);
    assert!(core.is_over());
    core.begin_anew(Epoch::from_random(8));
    assert!(!core.is_over());
    assert_eq!((core.epoch(), core.next_seq()), (Epoch::from_random(8), 1));
    assert!(core.shows(Viewer::All) && !core.shows(Viewer::Public));
    core.observe();
    assert!(core.is_over(), "an observer came and went: it knows the epoch");
}

/// Looking at each of them, six thousand times, would take far longer.
#[test]
fn reading_costs_by_what_one_sees() {
    let mut core = ChannelState::new(Epoch::from_random(7));
    let now = Now { mono_ms: 1, unix_ms: 1 };
    let hide = |core: &mut ChannelState, n: usize, audience: &[&str]| {
        let command = commands::join(
            UserId::parse(&format!("user-{n}"), "user").unwrap(),
            Source::connection(1 + n as u64),
            None,
            Some(Audience::parse(audience.iter().copied()).unwrap()),
            Lasts::Connection { grace_ms: 0 },
        );
        let bounds = Bounds { members: 100_000, ..BOUNDS };
        core.apply(command, now, &bounds, |_| {}).unwrap();
    };
    (0..60_000).for_each(|n| hide(&mut core, n, &[["team:red"], ["staff"]][n % 2]));
    hide(&mut core, 60_000, &["team:blue", "user:ada"]);
    let ada = Watcher { roles: roles(1), ..Watcher::new(0) };
    let clock = Clock::start();
    for _ in 0..6_000 {
        let seen = core.members(200, None, ada.viewer()).members;
        assert_eq!(seen.iter().map(|m| m.user.as_str()).collect::<Vec<_>>(), ["user-60000"]);
        assert!(core.members(200, None, Viewer::Public).members.is_empty());
    }
    assert!(clock.elapsed() < Duration::from_secs(5), "{:?}", clock.elapsed());
    let all = core.members(usize::MAX, None, Viewer::All).members;
    assert!(all.len() == 60_001 && all.windows(2).all(|pair| pair[0].number > pair[1].number));
}
