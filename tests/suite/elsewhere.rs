//! Random histories of a channel that other nodes have members of, too, held against a model so simple
//! that one sees it is right: what this node has of each user, what others have, and what observers
//! and other nodes were told last.

use std::collections::BTreeMap;

use herenow::now::Now;
use herenow::presence::lists::NUMBER_STEP;
use herenow::presence::pending::Cause;
use herenow::presence::{
    Bounds, ChannelState, Command, Elsewhere, HeldElsewhere, Keeper, Lasts, NodeId, OwnMark,
    Source, Touch, Transition, ValueElsewhere, Viewer,
};
use herenow_protocol::reply::{LeaveReason, SnapshotReason};
use herenow_protocol::{
    AttributeMap, Attributes, ChannelName, Epoch, Event, LossReason, ServerFrame, UserId,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use crate::seed::seed;
use crate::swept::frames;

const CASES: u32 = 5_000;
const USERS: usize = 3;
/// Connections at a time; slot n is user n modulo [`USERS`]. A lost one is replaced by a new one.
const SLOTS: usize = 6;

/// What a node says of a user: nothing, so many live connections and whether away, or a grace.
#[derive(Clone, Copy, Debug)]
enum Says {
    Nothing,
    Live { connections: u32, away: bool },
    Lost { in_ms: u64, away: bool },
}

/// What another node does to the lease of a user.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LeaseThere {
    Leave,
    /// It times it.
    Hold,
    /// It ended it.
    End,
    /// It is dead, and this node times it.
    HandOver,
}

#[derive(Clone, Debug)]
enum Op {
    Join {
        slot: usize,
        value: Option<u64>,
        merge: bool,
        grace_ms: u64,
        away: Option<bool>,
    },
    Turn {
        slot: usize,
        away: bool,
    },
    Leave {
        slot: usize,
    },
    Drop {
        slot: usize,
    },
    Set {
        slot: usize,
        value: u64,
    },
    Lease {
        user: usize,
    },
    EndLease {
        user: usize,
    },
    Kick {
        user: usize,
    },
    Hear {
        user: usize,
        says: [Says; 2],
        lease: LeaseThere,
        ends_grace: bool,
        value: Option<u64>,
        place: Option<u64>,
    },
    Renumber {
        user: usize,
        place: u64,
    },
    Pass {
        ms: u64,
    },
    Tick,
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        Just(Says::Nothing),
        (1..4u32, any::<bool>()).prop_map(|(connections, away)| Says::Live { connections, away }),
        (prop::sample::select(vec![400, 3_000]), any::<bool>())
            .prop_map(|(in_ms, away)| Says::Lost { in_ms, away }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let (slot, user) = (0..SLOTS, 0..USERS);
    let leases = [LeaseThere::Leave, LeaseThere::Hold, LeaseThere::End, LeaseThere::HandOver];
    let value = prop::option::of(0..3u64);
    // So few places that two users are told the same.
    let place = 1..4u64;
    prop_oneof![
        4 => (slot.clone(), value.clone(), any::<bool>(), prop::sample::select(vec![0, 500, 2_000]),
                prop::option::of(any::<bool>()))
            .prop_map(|(slot, value, merge, grace_ms, away)| Op::Join { slot, value, merge, grace_ms, away }),
        2 => (slot.clone(), any::<bool>()).prop_map(|(slot, away)| Op::Turn { slot, away }),
        2 => slot.clone().prop_map(|slot| Op::Leave { slot }),
        2 => slot.clone().prop_map(|slot| Op::Drop { slot }),
        2 => (slot, 0..3u64).prop_map(|(slot, value)| Op::Set { slot, value }),
        1 => user.clone().prop_map(|user| Op::Lease { user }),
        1 => user.clone().prop_map(|user| Op::EndLease { user }),
        1 => user.clone().prop_map(|user| Op::Kick { user }),
        6 => (user.clone(), [says(), says()], prop::sample::select(leases.to_vec()), any::<bool>(), value,
                prop::option::of(place.clone()))
            .prop_map(|(user, says, lease, ends_grace, value, place)|
                Op::Hear { user, says, lease, ends_grace, value, place }),
        2 => (user, place).prop_map(|(user, place)| Op::Renumber { user, place }),
        2 => prop::sample::select(vec![1, 400, 500, 1_000, 5_000]).prop_map(|ms| Op::Pass { ms }),
        3 => Just(Op::Tick),
    ]
}

/// One thing that keeps a user present.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Held {
    source: Source,
    connections: u32,
    away: bool,
    grace_ms: u64,
    /// When it ends.
    ends: Option<u64>,
}

impl Held {
    fn is_lease(&self) -> bool {
        matches!(self.source, Source::Lease(_))
    }

    fn is_live(&self) -> bool {
        self.ends.is_none() || self.is_lease()
    }

    fn is_own(&self) -> bool {
        match self.source {
            Source::Connection(_) => true,
            Source::Lease(_) => self.ends.is_some(),
            Source::Node(_) => false,
        }
    }
}

/// What this node has of a user, as others are told of it.
type Own = (Option<OwnMark>, Vec<(Keeper, u64, bool)>);

struct Pair {
    core: ChannelState,
    name: ChannelName,
    now: Now,
    sources: [Source; SLOTS],
    next_source: u64,
    /// What keeps each user present. Without any it is not in here.
    held: BTreeMap<UserId, Vec<Held>>,
    values: BTreeMap<UserId, Option<u64>>,
    /// Who is here by this node, and whether away: by what became of each.
    own: BTreeMap<UserId, bool>,
    /// What other nodes know, who look only at who was touched.
    said: BTreeMap<UserId, Own>,
    replica: BTreeMap<UserId, (Attributes, bool, u64)>,
    /// Numbers in lists that the store gave, and has not given to somebody else since.
    numbers: BTreeMap<UserId, u64>,
}

fn user(n: usize) -> UserId {
    UserId::parse(&format!("user-{}", n % USERS), "user").unwrap()
}

fn map(value: u64) -> AttributeMap {
    json!({ "a": value }).as_object().unwrap().clone().into_iter().collect()
}

fn attributes(value: Option<u64>) -> Attributes {
    value.map_or(Attributes::EMPTY, |value| Attributes::from_map(&map(value)))
}

fn bounds() -> Bounds {
    Bounds { members: 9, attribute_bytes: 99, attribute_keys: 9, roster: 9 }
}

impl Pair {
    fn new() -> Self {
        let mut core = ChannelState::new(Epoch::from_random(7));
        core.share();
        Self {
            core,
            name: ChannelName::parse("room", "channel").unwrap(),
            now: Now { mono_ms: 1_000, unix_ms: 1_795_348_641_000 },
            sources: std::array::from_fn(|slot| Source::connection(1 + slot as u64)),
            next_source: 1 + SLOTS as u64,
            held: BTreeMap::new(),
            values: BTreeMap::new(),
            own: BTreeMap::new(),
            said: BTreeMap::new(),
            replica: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Join { slot, value, merge, grace_ms, away } => {
                self.join(slot, value, merge, grace_ms, away);
            }
            Op::Turn { slot, away } => {
                let (user, source) = (user(slot), self.sources[slot]);
                for held in self.held.get_mut(&user).into_iter().flatten() {
                    if held.source == source && held.is_live() {
                        held.away = away;
                    }
                }
                self.apply(Command::SetAway { user, source, away });
            }
            Op::Leave { slot } => {
                let (user, source) = (user(slot), self.sources[slot]);
                self.keep(&user, |held| held.source != source);
                self.apply(Command::Leave { user, source, reason: LeaveReason::Left });
            }
            Op::Drop { slot } => self.lose(slot),
            Op::Set { slot, value } => {
                let (user, source) = (user(slot), self.sources[slot]);
                let mut held = self.held.get(&user).into_iter().flatten();
                let may = held.any(|held| held.source == source && held.is_live());
                if may {
                    self.values.insert(user.clone(), Some(value));
                }
                let (attributes, merge, ttl_ms) = (map(value), true, None);
                let set = Command::SetAttributes {
                    user: user.clone(),
                    source,
                    attributes,
                    merge,
                    ttl_ms,
                };
                let touch = self.apply(set);
                assert_eq!(touch.get(&user).is_some_and(|touch| touch.patched), may);
            }
            Op::Lease { user: n } => self.lease(&user(n)),
            Op::EndLease { user: n } => {
                let (user, source) = (user(n), Source::LEASE);
                let mut held = self.held.get(&user).into_iter().flatten();
                let was = held.any(Held::is_lease);
                self.keep(&user, |held| !held.is_lease());
                let leave =
                    Command::Leave { user: user.clone(), source, reason: LeaveReason::Left };
                let touch = self.apply(leave);
                let ended = touch.get(&user).map(|touch| touch.ended.clone());
                assert_eq!(
                    ended.unwrap_or_default(),
                    if was { vec![(Keeper::Herenow, false)] } else { vec![] }
                );
            }
            Op::Kick { user: n } => {
                let user = user(n);
                let lost = |held: &Held| !held.is_live() && !held.is_own();
                let elsewhere = self.held.get(&user).into_iter().flatten().any(lost);
                self.keep(&user, Held::is_live);
                let touch = self
                    .apply(Command::EndGrace { user: user.clone(), reason: LeaveReason::Kicked });
                assert_eq!(touch.get(&user).is_some_and(|touch| touch.ended_grace), elsewhere);
            }
            Op::Hear { user: n, says, lease, ends_grace, value, place } => {
                self.hear(&user(n), says, lease, ends_grace, value, place);
            }
            Op::Renumber { user, place } => self.renumber(user, place),
            Op::Pass { ms } => self.pass(ms),
            Op::Tick => self.tick(),
        }
        self.compare();
    }

    /// Keeps what `wanted` says of what keeps the user present.
    fn keep(&mut self, user: &UserId, wanted: impl FnMut(&Held) -> bool) {
        let Some(held) = self.held.get_mut(user) else { return };
        held.retain(wanted);
        if held.is_empty() {
            self.held.remove(user);
            self.values.remove(user);
        }
    }

    fn join(
        &mut self,
        slot: usize,
        value: Option<u64>,
        merge: bool,
        grace_ms: u64,
        away: Option<bool>,
    ) {
        let (user, source) = (user(slot), self.sources[slot]);
        let held = self.held.entry(user.clone()).or_default();
        let only_grace = !held.iter().any(Held::is_live);
        let own_live = held.iter().any(|held| held.is_own() && held.is_live());
        let before = held.iter().find(|held| held.source == source).map(|held| held.away);
        held.retain(|held| held.is_live() && held.source != source);
        let away = away.or(before).unwrap_or_default();
        held.push(Held { source, connections: 1, away, grace_ms, ends: None });
        let is_new = !self.values.contains_key(&user);
        if value.is_some() || is_new || (only_grace && !merge) {
            self.values.insert(user.clone(), value);
        }
        let touch = self.apply(Command::Join {
            user: user.clone(),
            source,
            attributes: value.map(map),
            merge,
            info: None,
            visible_to: None,
            away: Some(away),
            lasts: Lasts::Connection { grace_ms },
        });
        let touch = &touch[&user];
        assert_eq!(
            (touch.wrote, touch.patched),
            (value.is_some() && !merge, value.is_some() && merge)
        );
        assert_eq!((touch.fresh, touch.why), (!own_live && !merge, None));
    }

    fn lease(&mut self, user: &UserId) {
        let held = self.held.entry(user.clone()).or_default();
        if !held.iter().any(Held::is_live) {
            self.values.insert(user.clone(), None);
        }
        let away = held.iter().find(|held| held.is_lease()).is_some_and(|held| held.away);
        held.retain(|held| held.is_live() && !held.is_lease());
        let ends = Some(self.now.mono_ms + 900);
        held.push(Held { source: Source::LEASE, connections: 0, away, grace_ms: 0, ends });
        self.apply(Command::Join {
            user: user.clone(),
            source: Source::LEASE,
            attributes: None,
            merge: false,
            info: None,
            visible_to: None,
            away: None,
            lasts: Lasts::Lease { ttl_ms: 900 },
        });
    }

    fn lose(&mut self, slot: usize) {
        let (user, source, now_ms) = (user(slot), self.sources[slot], self.now.mono_ms);
        let held = self.held.get(&user).into_iter().flatten();
        let lost = held.copied().find(|held| held.source == source);
        let in_grace = |held: &Held| held.source.is_connection() && !held.is_live();
        if let Some(lost) = lost.filter(|lost| lost.grace_ms > 0) {
            // Graces of this node are one.
            let held = self.held.get_mut(&user).unwrap();
            let earlier: Vec<_> = held.extract_if(.., |held| in_grace(held)).collect();
            let lost_at = lost.ends.or(Some(now_ms + lost.grace_ms));
            let ends = earlier.iter().filter_map(|held| held.ends).chain(lost_at).max();
            let away = lost.away && earlier.iter().all(|held| held.away);
            held.retain(|held| held.source != source);
            held.push(Held { ends, away, ..lost });
        } else {
            self.keep(&user, |held| held.source != source);
        }
        let (reason, last_seen) = (LossReason::Connection, self.now.unix_ms);
        self.apply(Command::Lose { user, source, reason, last_seen, graced: true });
        self.sources[slot] = Source::connection(self.next_source);
        self.next_source += 1;
    }

    fn hear(
        &mut self,
        user: &UserId,
        says: [Says; 2],
        lease: LeaseThere,
        ends_grace: bool,
        value: Option<u64>,
        place: Option<u64>,
    ) {
        let now_ms = self.now.mono_ms;
        let mut there = Vec::new();
        for (n, says) in says.into_iter().enumerate() {
            let source = Source::Node(NodeId::new(n as u64));
            let (connections, away, ends) = match says {
                Says::Nothing => continue,
                Says::Live { connections, away } => (connections, away, None),
                Says::Lost { in_ms, away } => (0, away, Some(now_ms + in_ms)),
            };
            there.push(Held { source, connections, away, grace_ms: 0, ends });
        }
        let timed_here =
            self.held.get(user).into_iter().flatten().any(|one| one.is_lease() && one.is_own());
        let mut gave = Vec::new();
        let mut took = Vec::new();
        let leased =
            Held { source: Source::LEASE, connections: 0, away: true, grace_ms: 0, ends: None };
        match lease {
            LeaseThere::Leave => {}
            LeaseThere::Hold => {
                gave.extend(timed_here.then_some(Keeper::Herenow));
                there.push(leased);
            }
            LeaseThere::End => gave.push(Keeper::Herenow),
            LeaseThere::HandOver => took.push((Keeper::Herenow, now_ms + 700, true)),
        }
        let heard = |one: &Held| HeldElsewhere {
            source: one.source,
            connections: one.connections,
            away: one.away,
            ends: one.ends.map(|ends| (ends, LossReason::Node, 5)),
        };
        let elsewhere = Elsewhere {
            user: user.clone(),
            held: there.iter().map(heard).collect(),
            took: took.clone(),
            gave: gave.clone(),
            ends_grace,
            value: ValueElsewhere {
                attributes: value.map(|value| (attributes(Some(value)), Vec::new())),
                joined_at: place.map(|place| 7_000 + place),
                number: place.map(|place| place * NUMBER_STEP),
                ..ValueElsewhere::default()
            },
            cause: Cause::Lost(LossReason::Node, 5),
        };
        let held = self.held.entry(user.clone()).or_default();
        held.retain(|one| match one.source {
            Source::Connection(_) => one.is_live() || !ends_grace,
            Source::Lease(_) => one.is_own() && gave.is_empty() && took.is_empty(),
            Source::Node(_) => false,
        });
        let took = took.iter().map(|&(_, ends, _)| Held { ends: Some(ends), ..leased });
        held.extend(there.into_iter().chain(took));
        if held.is_empty() {
            self.held.remove(user);
            self.values.remove(user);
        } else if value.is_some() || !self.values.contains_key(user) {
            self.values.insert(user.clone(), value);
        }
        assert_eq!(self.apply(Command::Elsewhere(Box::new(elsewhere))), BTreeMap::new());
        self.numbered(user, place);
        // What is heard is not said again: whoever said it knows.
        self.said.insert(user.clone(), self.own_of(user));
    }

    /// The store gave the member another number, and nothing else is new.
    fn renumber(&mut self, n: usize, place: u64) {
        let user = user(n);
        if self.core.member(&user, Viewer::All).is_none() {
            return;
        }
        let heard = |one: &Held| HeldElsewhere {
            source: one.source,
            connections: one.connections,
            away: one.away,
            ends: one.ends.map(|ends| (ends, LossReason::Node, 5)),
        };
        let held = self.held[&user].iter().filter(|one| !one.is_own()).map(heard).collect();
        let number = Some(place * NUMBER_STEP);
        let value = ValueElsewhere { number, ..ValueElsewhere::default() };
        let (before, news) = (self.core.next_seq(), self.core.has_news());
        self.apply(Command::Elsewhere(Box::new(Elsewhere {
            user: user.clone(),
            held,
            took: Vec::new(),
            gave: Vec::new(),
            ends_grace: false,
            value,
            cause: Cause::Own,
        })));
        assert_eq!(self.core.has_news(), news, "a number is no news");
        if !news {
            self.core.tick(&self.name, self.now, &bounds());
            assert_eq!(self.core.next_seq(), before, "nobody is told");
        }
        self.numbered(&user, Some(place));
    }

    fn numbered(&mut self, user: &UserId, place: Option<u64>) {
        let Some(number) = place.map(|place| place * NUMBER_STEP) else { return };
        if self.held.contains_key(user) {
            self.numbers.retain(|_, held| *held != number);
            self.numbers.insert(user.clone(), number);
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
        let now_ms = self.now.mono_ms;
        for user in self.held.keys().cloned().collect::<Vec<_>>() {
            self.keep(&user, |held| held.ends.is_none_or(|ends| ends > now_ms));
        }
        if self.core.deadline().is_some_and(|due_ms| due_ms <= now_ms) {
            self.apply(Command::Expire);
        }
    }

    /// What was touched by it.
    fn apply(&mut self, command: Command) -> BTreeMap<UserId, Touch> {
        let own = &mut self.own;
        let mut went = BTreeMap::new();
        let _ = self.core.apply(command, self.now, &bounds(), |transition| match transition {
            Transition::Appeared { user, away } => {
                assert_eq!(own.insert(user.clone(), away), None, "{user} came twice");
            }
            Transition::Turned { user, away } => {
                assert_eq!(own.insert(user.clone(), away), Some(!away), "{user} did not turn");
            }
            Transition::Vanished { user, away, cause, .. } => {
                assert_eq!(own.remove(user), Some(away), "{user} went otherwise");
                went.insert(user.clone(), cause);
            }
        });
        let touched: BTreeMap<_, _> = self.core.take_touched().into_iter().collect();
        assert!(!self.core.has_touched());
        let core = &self.core;
        self.numbers.retain(|user, _| core.member(user, Viewer::All).is_some());
        for (user, touch) in &touched {
            assert_eq!(touch.why, went.get(user).copied());
            self.said.insert(user.clone(), self.own_of(user));
        }
        touched
    }

    fn own_of(&self, user: &UserId) -> Own {
        self.core.own(user).map(|own| (own.mark, own.leases)).unwrap_or_default()
    }

    fn tick(&mut self) {
        let Some(bundle) = self.core.tick(&self.name, self.now, &bounds()).frames else { return };
        for frame in frames(&bundle.frames.concat()) {
            let ServerFrame::Presence { events, .. } = frame else {
                panic!("a tick told {frame:?}")
            };
            events.into_iter().for_each(|event| self.replicate(event));
        }
    }

    fn replicate(&mut self, event: Event) {
        match event {
            Event::Join { user, attributes, away, at, .. } => {
                assert_eq!(self.replica.insert(user, (attributes, away, at)), None, "joined twice");
            }
            Event::Leave { user, .. } | Event::Timeout { user, .. } => {
                assert!(self.replica.remove(&user).is_some(), "ended twice");
            }
            Event::UpdateAttributes { user, attributes, away, joined_at, .. } => {
                let known = self.replica.get_mut(&user).expect("an update of nobody");
                let away = away.unwrap_or(known.1);
                *known = (attributes, away, joined_at.unwrap_or(known.2));
            }
        }
    }

    fn compare(&self) {
        let members = self.core.members(usize::MAX, None, Viewer::All).members;
        assert_eq!(members.len(), self.held.len(), "nobody is lost from the lists");
        assert!(members.windows(2).all(|pair| pair[0].number > pair[1].number));
        let mut connections = 0;
        for (user, held) in &self.held {
            let member = self.core.member(user, Viewer::All).expect("a member");
            let number = self.numbers.get(user).copied();
            assert_eq!(number.unwrap_or(member.number), member.number, "where {user} stands");
            assert_eq!(member.away, held.iter().all(|held| held.away), "{user} is away");
            assert_eq!(member.attributes, attributes(self.values[user]), "of {user}");
            let live = held.iter().filter(|held| held.is_live() && !held.is_lease());
            connections += live.map(|held| held.connections as usize).sum::<usize>();
            let own = || held.iter().filter(|held| held.is_own());
            let away = own().next().is_some().then(|| own().all(|held| held.away));
            assert_eq!(self.own.get(user).copied(), away, "{user} is here by this node");
            self.compare_own(user, held);
        }
        assert_eq!(self.core.connections(), connections);
        assert!(self.own.keys().all(|user| self.held.contains_key(user)));
        for user in (0..USERS).map(user) {
            let said = self.said.get(&user).cloned().unwrap_or_default();
            assert_eq!(said, self.own_of(&user), "what others know of {user}");
        }
        if !self.core.has_news() {
            let begin = self.core.begin_snapshot(SnapshotReason::Resync);
            let (part, _) = self.core.snapshot_part(begin, Viewer::Public, usize::MAX);
            let of = |m: &std::sync::Arc<herenow::presence::Member>| {
                (m.user.clone(), (m.attributes.clone(), m.away, m.joined_at))
            };
            let known: BTreeMap<_, _> = part.members.iter().map(of).collect();
            assert_eq!(known, self.replica, "observers know it all");
        }
    }

    fn compare_own(&self, user: &UserId, held: &[Held]) {
        let (mark, leases) = self.own_of(user);
        let own = || held.iter().filter(|held| held.source.is_connection());
        let live = own().filter(|held| held.is_live()).count() as u32;
        let away = own().all(|held| held.away);
        match mark {
            Some(OwnMark::Live { connections, away: told }) => {
                assert_eq!((connections, told), (live, away));
            }
            Some(OwnMark::Lost { ends_ms, away: told, .. }) => {
                assert_eq!(
                    (live, told, Some(ends_ms)),
                    (0, away, own().find_map(|held| held.ends))
                );
            }
            None => assert_eq!(own().count(), 0),
        }
        let timed = held.iter().filter(|held| held.is_lease() && held.is_own());
        let timed = timed.map(|held| (Keeper::Herenow, held.ends.unwrap(), held.away));
        assert_eq!(leases, timed.collect::<Vec<_>>());
    }
}

#[test]
fn a_member_is_one_by_whichever_nodes_it_is_here() {
    let mut bytes = [0; 32];
    let seed = seed("a_member_is_one_by_whichever_nodes_it_is_here");
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, rng);
    runner
        .run(&prop::collection::vec(op(), 1..50), |ops| {
            let mut pair = Pair::new();
            ops.iter().for_each(|op| pair.run(op));
            // Everybody goes, here and there, and each join has had its one end.
            for slot in 0..SLOTS {
                pair.run(&Op::Leave { slot });
            }
            for n in 0..USERS {
                let (says, lease) = ([Says::Nothing; 2], LeaseThere::End);
                let (value, place) = (None, None);
                pair.run(&Op::Hear { user: n, says, lease, ends_grace: true, value, place });
            }
            pair.run(&Op::Tick);
            assert!(pair.replica.is_empty() && pair.own.is_empty());
            assert!(pair.said.values().all(|said| *said == Own::default()));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
