//! Random histories of the presence core, held against a model so simple that one sees it is right:
//! what observers were told last is kept beside what is true now, and a tick tells the difference.

use std::collections::BTreeMap;
use std::sync::Arc;

use herenow::now::Now;
use herenow::presence::{
    Asked, Bounds, ChannelState, Command, Lasts, Member, Ring, Roster, Source, Tally, Tick,
    Transition, Viewer,
};
use herenow_protocol::reply::{InForce, MemberView, RecentView, SnapshotReason, UpdateReason};
use herenow_protocol::{
    AttributeMap, Attributes, ChannelName, Epoch, Event, LeaveReason, Level, LossReason,
    ServerFrame, Since, UserId,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::followed::{Followed, Read, keep};
use crate::seed::seed;
use crate::swept::{Swept, frames};

const CASES: u32 = 10_000;
const USERS: usize = 4;
/// Connections at a time; slot n is user n modulo [`USERS`]. A lost one is replaced by a new one.
const SLOTS: usize = 8;
const MAX_MEMBERS: usize = 3;
const MAX_KEYS: usize = 2;
/// So few that all members together are too many; at one they are few again.
const ROSTER: usize = 2;

#[derive(Clone, Debug)]
enum Op {
    Join {
        slot: usize,
        attributes: Option<AttributeMap>,
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
    Close {
        slot: usize,
    },
    Drop {
        slot: usize,
    },
    Silence {
        slot: usize,
    },
    Set {
        slot: usize,
        attributes: AttributeMap,
        merge: bool,
        ttl_ms: Option<u64>,
    },
    Pass {
        ms: u64,
    },
    StepWallClock {
        ms: i64,
    },
    Tick,
}

fn attributes() -> impl Strategy<Value = AttributeMap> {
    let value = prop_oneof![Just(json!(1)), Just(json!("x")), Just(Value::Null)];
    prop::collection::btree_map("[abc]", value, 0..4).prop_map(|map| map.into_iter().collect())
}

fn op() -> impl Strategy<Value = Op> {
    let slot = 0..SLOTS;
    prop_oneof![
        4 => (slot.clone(), prop::option::of(attributes()), any::<bool>(), prop::sample::select(vec![0, 0, 500, 2_000]),
                prop::option::of(any::<bool>()))
            .prop_map(|(slot, attributes, merge, grace_ms, away)| Op::Join { slot, attributes, merge, grace_ms, away }),
        4 => (slot.clone(), any::<bool>()).prop_map(|(slot, away)| Op::Turn { slot, away }),
        2 => slot.clone().prop_map(|slot| Op::Leave { slot }),
        1 => slot.clone().prop_map(|slot| Op::Close { slot }),
        2 => slot.clone().prop_map(|slot| Op::Drop { slot }),
        1 => slot.clone().prop_map(|slot| Op::Silence { slot }),
        4 => (slot, attributes(), any::<bool>(), prop::option::of(prop::sample::select(vec![300, 1_500])))
            .prop_map(|(slot, attributes, merge, ttl_ms)| Op::Set { slot, attributes, merge, ttl_ms }),
        3 => prop::sample::select(vec![1, 299, 300, 500, 1_000, 130_000]).prop_map(|ms| Op::Pass { ms }),
        1 => (-7_200_000i64..7_200_000).prop_map(|ms| Op::StepWallClock { ms }),
        4 => Just(Op::Tick),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Cause {
    Own,
    Expired,
    Left(LeaveReason),
    Lost(LossReason, u64),
}

#[derive(Clone, Debug)]
struct ModelSource {
    id: Source,
    grace_ms: u64,
    away: bool,
    /// In grace: when it ends, and when it was last heard.
    lost: Option<(u64, u64)>,
}

#[derive(Clone, Debug)]
struct ModelMember {
    attributes: BTreeMap<String, Value>,
    deadlines: BTreeMap<String, u64>,
    sources: Vec<ModelSource>,
    joined_at: u64,
    /// Position in the order of joins.
    number: u64,
}

impl ModelMember {
    fn is_away(&self) -> bool {
        self.sources.iter().all(|source| source.away)
    }
}

/// What observers know of a member.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    attributes: BTreeMap<String, Value>,
    away: bool,
    joined_at: u64,
    number: u64,
}

struct Model {
    members: BTreeMap<UserId, ModelMember>,
    told: BTreeMap<UserId, Told>,
    causes: BTreeMap<UserId, (Cause, u64)>,
    next_number: u64,
    now: Now,
    /// Whether there were too many members at the last tick, or since then never few enough.
    counted: bool,
}

impl Model {
    fn caused(&mut self, user: &UserId, cause: Cause) {
        self.causes.insert(user.clone(), (cause, self.now.unix_ms));
    }

    /// Whether the join is accepted.
    fn join(
        &mut self,
        user: &UserId,
        id: Source,
        written: Option<&AttributeMap>,
        merge: bool,
        grace_ms: u64,
        away: Option<bool>,
    ) -> bool {
        let known = self.members.get(user).filter(|_| merge).map(|member| &member.attributes);
        let brought = written.map(|written| patched(known.cloned().unwrap_or_default(), written));
        if brought.as_ref().is_some_and(|map| map.len() > MAX_KEYS) {
            return false;
        }
        let sources = self.members.get(user).into_iter().flat_map(|member| &member.sources);
        let before = sources.filter(|s| s.lost.is_none()).find(|s| s.id == id).map(|s| s.away);
        let away = away.or(before).unwrap_or(false);
        let source = ModelSource { id, grace_ms, away, lost: None };
        if let Some(member) = self.members.get_mut(user) {
            let was_away = member.is_away();
            let only_grace = member.sources.iter().all(|s| s.lost.is_some());
            member.sources.retain(|s| s.lost.is_none() && s.id != id);
            member.sources.push(source);
            let turned = member.is_away() != was_away;
            // A merging join keeps what it does not name; any other starts anew behind a grace.
            let wipes = only_grace && !merge;
            let new = if wipes { Some(brought.unwrap_or_default()) } else { brought };
            if turned {
                self.caused(user, Cause::Own);
            }
            let Some(member) = self.members.get_mut(user) else { return true };
            if let Some(new) = new {
                let goes_on = |key: &String| merge && !written.unwrap().contains_key(key);
                member.deadlines.retain(|key, _| goes_on(key));
                if member.attributes != new {
                    member.attributes = new;
                    self.caused(user, Cause::Own);
                }
            }
            return true;
        }
        if self.members.len() == MAX_MEMBERS {
            return false;
        }
        // Whoever observers never saw leave has been there all the time.
        let (joined_at, number) = match self.told.get(user) {
            Some(told) => (told.joined_at, told.number),
            None => {
                self.next_number += 1;
                (self.now.unix_ms, self.next_number)
            }
        };
        let (attributes, deadlines) = (brought.unwrap_or_default(), BTreeMap::new());
        let member =
            ModelMember { attributes, deadlines, sources: vec![source], joined_at, number };
        self.members.insert(user.clone(), member);
        self.caused(user, Cause::Own);
        true
    }

    fn remove_source(&mut self, user: &UserId, id: Source, cause: Cause) {
        let Some(member) = self.members.get_mut(user) else { return };
        let (before, was_away) = (member.sources.len(), member.is_away());
        member.sources.retain(|s| s.id != id);
        if member.sources.len() < before && member.sources.is_empty() {
            self.members.remove(user);
            self.caused(user, cause);
        } else if member.is_away() != was_away {
            self.caused(user, Cause::Own);
        }
    }

    fn turn(&mut self, user: &UserId, id: Source, away: bool) {
        let Some(member) = self.members.get_mut(user) else { return };
        let was_away = member.is_away();
        let source = member.sources.iter_mut().find(|s| s.id == id && s.lost.is_none());
        source.into_iter().for_each(|source| source.away = away);
        if member.is_away() != was_away {
            self.caused(user, Cause::Own);
        }
    }

    fn drop_connection(&mut self, user: &UserId, id: Source, last_seen: u64) {
        let ends = self.now.mono_ms;
        if let Some(member) = self.members.get_mut(user)
            && let Some(source) = member.sources.iter().find(|s| s.id == id)
            && source.grace_ms > 0
        {
            // Graces of one member are one, which ends with the last, and was heard with the latest.
            let mut lost = (ends + source.grace_ms, last_seen);
            let mut away = source.away;
            for (earlier, seen) in member.sources.iter().filter_map(|s| s.lost) {
                lost = (lost.0.max(earlier), lost.1.max(seen));
            }
            for in_grace in member.sources.iter().filter(|s| s.lost.is_some()) {
                away &= in_grace.away;
            }
            let was_away = member.is_away();
            member.sources.retain(|s| s.id == id || s.lost.is_none());
            let source = member.sources.iter_mut().find(|s| s.id == id).unwrap();
            (source.lost, source.away) = (Some(lost), away);
            assert_eq!(member.is_away(), was_away, "a source in grace keeps its word");
            return;
        }
        self.remove_source(user, id, Cause::Lost(LossReason::Connection, last_seen));
    }

    /// Whether the write is accepted.
    fn set(
        &mut self,
        user: &UserId,
        id: Source,
        written: &AttributeMap,
        merge: bool,
        ttl_ms: Option<u64>,
    ) -> bool {
        let deadline = ttl_ms.map(|ttl_ms| self.now.mono_ms + ttl_ms);
        let Some(member) = self.members.get_mut(user) else { return false };
        if !member.sources.iter().any(|s| s.id == id && s.lost.is_none()) {
            return false;
        }
        let known = if merge { member.attributes.clone() } else { BTreeMap::new() };
        let new = patched(known, written);
        if new.len() > MAX_KEYS {
            return false;
        }
        if !merge {
            member.deadlines.clear();
        }
        for (key, value) in written {
            match deadline {
                Some(deadline) if !value.is_null() => {
                    member.deadlines.insert(key.clone(), deadline)
                }
                _ => member.deadlines.remove(key),
            };
        }
        if member.attributes != new {
            member.attributes = new;
            self.caused(user, Cause::Own);
        }
        true
    }

    fn expire(&mut self) {
        let now_ms = self.now.mono_ms;
        for user in self.members.keys().cloned().collect::<Vec<_>>() {
            let Some(member) = self.members.get_mut(&user) else { continue };
            let over = |s: &ModelSource| s.lost.filter(|&(ends, _)| ends <= now_ms);
            let last_seen = member.sources.iter().filter_map(over).map(|(_, seen)| seen).max();
            let was_away = member.is_away();
            member.sources.retain(|s| over(s).is_none());
            if member.sources.is_empty() {
                self.members.remove(&user);
                let last_seen = last_seen.expect("a source ended");
                self.caused(&user, Cause::Lost(LossReason::Connection, last_seen));
                continue;
            }
            let turned = member.is_away() != was_away;
            let due = |deadline: &u64| *deadline <= now_ms;
            let before = member.attributes.len();
            let deadlines = std::mem::take(&mut member.deadlines);
            member.attributes.retain(|key, _| !deadlines.get(key).is_some_and(due));
            member.deadlines =
                deadlines.into_iter().filter(|(_, deadline)| !due(deadline)).collect();
            let expired = member.attributes.len() < before;
            if expired {
                self.caused(&user, Cause::Expired);
            } else if turned {
                self.caused(&user, Cause::Own);
            }
        }
    }

    /// What the tick has to say of each user, and from now on has said.
    fn tick(&mut self) -> BTreeMap<UserId, Event> {
        let mut events = BTreeMap::new();
        for user in (0..USERS).map(user) {
            let (cause, at) = self.causes.get(&user).copied().unwrap_or((Cause::Own, 0));
            let event = match (self.told.get(&user), self.members.get(&user)) {
                (None, Some(member)) => Event::Join {
                    user: user.clone(),
                    info: Attributes::EMPTY,
                    attributes: as_attributes(&member.attributes),
                    away: member.is_away(),
                    at: member.joined_at,
                },
                (Some(_), None) => match cause {
                    Cause::Left(reason) => Event::Leave { user: user.clone(), reason, at },
                    Cause::Lost(reason, last_seen) => {
                        Event::Timeout { user: user.clone(), reason, last_seen, at }
                    }
                    Cause::Own | Cause::Expired => panic!("{user} went without a cause"),
                },
                (Some(told), Some(member))
                    if (&told.attributes, told.away) != (&member.attributes, member.is_away()) =>
                {
                    Event::UpdateAttributes {
                        user: user.clone(),
                        attributes: as_attributes(&member.attributes),
                        info: None,
                        away: (told.away != member.is_away()).then_some(member.is_away()),
                        joined_at: None,
                        at,
                        reason: (cause == Cause::Expired).then_some(UpdateReason::Expired),
                    }
                }
                _ => continue,
            };
            events.insert(user, event);
        }
        self.causes.clear();
        let told = |(user, member): (&UserId, &ModelMember)| {
            let away = member.is_away();
            let ModelMember { attributes, joined_at, number, .. } = member.clone();
            (user.clone(), Told { attributes, away, joined_at, number })
        };
        self.told = self.members.iter().map(told).collect();
        self.counted = match self.told.len() {
            0 | 1 => false,
            2 => self.counted,
            _ => true,
        };
        events
    }
}

fn user(n: usize) -> UserId {
    UserId::parse(&format!("user-{}", n % USERS), "user").unwrap()
}

fn patched(mut known: BTreeMap<String, Value>, written: &AttributeMap) -> BTreeMap<String, Value> {
    for (key, value) in written {
        if value.is_null() {
            known.remove(key)
        } else {
            known.insert(key.clone(), value.clone())
        };
    }
    known
}

fn as_attributes(map: &BTreeMap<String, Value>) -> Attributes {
    Attributes::from_map(&map.clone().into_iter().collect())
}

fn known_of(member: &MemberView) -> (UserId, Known) {
    (member.user.clone(), (member.attributes.clone(), member.away, member.joined_at))
}

/// Notes what became of a member among those whom somebody knows who hears of nothing else.
fn hear(away_by_user: &mut BTreeMap<UserId, bool>, transition: Transition<'_>) {
    match transition {
        Transition::Appeared { user, away } => {
            assert_eq!(away_by_user.insert(user.clone(), away), None, "{user} came twice");
        }
        Transition::Turned { user, away } => {
            assert_eq!(away_by_user.insert(user.clone(), away), Some(!away), "{user} did not turn");
        }
        Transition::Vanished { user, away, .. } => {
            assert_eq!(away_by_user.remove(user), Some(away), "{user} went otherwise");
        }
    }
}

/// The members as a reader of pages of one sees them.
pub(crate) fn page_by_page(channel: &ChannelState) -> Vec<Arc<Member>> {
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = channel.members(1, after, Viewer::Public);
        paged.extend(page.members);
        after = page.next;
        if after.is_none() {
            return paged;
        }
    }
}

fn bounds() -> Bounds {
    Bounds { members: MAX_MEMBERS, attribute_bytes: 100, attribute_keys: MAX_KEYS, roster: ROSTER }
}

/// What an observer knows of a member: attributes, whether it is away, and since when it is there.
type Known = (Attributes, bool, u64);

/// The core and the model, side by side, and an observer who only hears the frames.
struct Pair {
    core: ChannelState,
    model: Model,
    epoch: Epoch,
    name: ChannelName,
    sources: [Source; SLOTS],
    next_source: u64,
    seq: u64,
    /// The last frame that told of somebody who came or went.
    moved_seq: u64,
    /// The newest members and what they carry, as a count showed them last.
    shows: Vec<RecentView>,
    replica: BTreeMap<UserId, Known>,
    /// Every frame since the beginning, and when it was told.
    history: Vec<(Vec<u8>, u64)>,
    ring: Ring,
    follower: Followed,
    auto_follower: Followed,
    swept: Swept,
}

impl Pair {
    fn new() -> Self {
        let now = Now { mono_ms: 1_000, unix_ms: 1_795_348_641_000 };
        let epoch = Epoch::from_random(7);
        let name = ChannelName::parse("room", "channel").unwrap();
        Self {
            core: ChannelState::new(epoch),
            model: Model {
                members: BTreeMap::new(),
                told: BTreeMap::new(),
                causes: BTreeMap::new(),
                next_number: 0,
                now,
                counted: false,
            },
            epoch,
            sources: std::array::from_fn(|slot| Source::connection(1 + slot as u64)),
            next_source: 1 + SLOTS as u64,
            seq: 0,
            moved_seq: 0,
            shows: Vec::new(),
            replica: BTreeMap::new(),
            history: Vec::new(),
            ring: Ring::new(0),
            follower: Followed::new(&name, Level::Events),
            auto_follower: Followed::new(&name, Level::Auto),
            swept: Swept::new(),
            name,
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Join { slot, attributes, merge, grace_ms, away } => {
                let (user, source) = (user(slot), self.sources[slot]);
                let written = attributes.as_ref();
                let expected = self.model.join(&user, source, written, merge, grace_ms, away);
                let (info, visible_to) = (None, None);
                let lasts = Lasts::Connection { grace_ms };
                let command = Command::Join {
                    user,
                    source,
                    attributes,
                    merge,
                    info,
                    visible_to,
                    away,
                    lasts,
                };
                assert_eq!(self.apply(command), expected);
            }
            Op::Turn { slot, away } => {
                let (user, source) = (user(slot), self.sources[slot]);
                self.model.turn(&user, source, away);
                assert!(self.apply(Command::SetAway { user, source, away }));
            }
            Op::Leave { slot } => {
                self.leave(slot, LeaveReason::Left);
            }
            Op::Close { slot } => {
                self.leave(slot, LeaveReason::Closed);
                self.replace_connection(slot);
            }
            Op::Drop { slot } => {
                let last_seen = self.model.now.unix_ms - 5;
                let (user, source) = (user(slot), self.sources[slot]);
                self.model.drop_connection(&user, source, last_seen);
                let reason = LossReason::Connection;
                self.apply(Command::Lose { user, source, reason, last_seen, graced: true });
                self.replace_connection(slot);
            }
            Op::Silence { slot } => {
                let last_seen = self.model.now.unix_ms - 9;
                let (user, source, reason) =
                    (user(slot), self.sources[slot], LossReason::Heartbeat);
                self.model.remove_source(&user, source, Cause::Lost(reason, last_seen));
                self.apply(Command::Lose { user, source, reason, last_seen, graced: true });
            }
            Op::Set { slot, attributes, merge, ttl_ms } => {
                let (user, source) = (user(slot), self.sources[slot]);
                let expected = self.model.set(&user, source, &attributes, merge, ttl_ms);
                let command = Command::SetAttributes { user, source, attributes, merge, ttl_ms };
                assert_eq!(self.apply(command), expected);
            }
            Op::Pass { ms } => self.pass(ms),
            Op::StepWallClock { ms } => {
                self.model.now.unix_ms = self.model.now.unix_ms.saturating_add_signed(ms);
            }
            Op::Tick => self.tick(),
        }
        self.compare_reads();
    }

    /// Whether the core accepted it; and that it told truly what became of the member.
    fn apply(&mut self, command: Command) -> bool {
        let away = |core: &ChannelState| -> BTreeMap<UserId, bool> {
            let members = core.members(usize::MAX, None, Viewer::All).members.into_iter();
            members.map(|member| (member.user.clone(), member.away)).collect()
        };
        let (before, mut heard) = (self.core.count(), away(&self.core));
        let mut told = 0;
        let result = self.core.apply(command, self.model.now, &bounds(), |transition| {
            told += match transition {
                Transition::Appeared { .. } => 1,
                Transition::Turned { .. } => 0,
                Transition::Vanished { .. } => -1,
            };
            hear(&mut heard, transition);
        });
        assert_eq!(away(&self.core), heard, "who is away, by what became of each");
        assert_eq!(self.core.count() as i64 - before as i64, told);
        assert!(result.is_ok() || told == 0, "refused, and changed all the same");
        self.read_along();
        result.is_ok()
    }

    fn leave(&mut self, slot: usize, reason: LeaveReason) {
        let (user, source) = (user(slot), self.sources[slot]);
        self.model.remove_source(&user, source, Cause::Left(reason));
        self.apply(Command::Leave { user, source, reason });
    }

    fn replace_connection(&mut self, slot: usize) {
        self.sources[slot] = Source::connection(self.next_source);
        self.next_source += 1;
    }

    /// Time passes. The core is called only when it asked to be, so a deadline that it forgot shows.
    fn pass(&mut self, ms: u64) {
        self.model.now.mono_ms += ms;
        self.model.now.unix_ms += ms;
        let members = self.model.members.iter();
        let before: Vec<_> =
            members.map(|(user, member)| (user.clone(), member.is_away())).collect();
        self.model.expire();
        if self.core.deadline().is_some_and(|due_ms| due_ms <= self.model.now.mono_ms) {
            let (mut vanished, mut turned) = (Vec::new(), Vec::new());
            let expired =
                self.core.apply(Command::Expire, self.model.now, &bounds(), |one| match one {
                    Transition::Vanished { user, .. } => vanished.push(user.clone()),
                    Transition::Turned { user, away } => turned.push((user.clone(), away)),
                    Transition::Appeared { user, .. } => panic!("{user} came because time passed"),
                });
            assert_eq!(expired, Ok(()));
            self.ring.trim(self.model.now.mono_ms);
            vanished.sort();
            let gone = |user: &UserId| !self.model.members.contains_key(user);
            let was = |(user, was): (UserId, bool)| {
                let away = self.model.members.get(&user)?.is_away();
                (away != was).then_some((user, away))
            };
            let gone = before.iter().map(|(user, _)| user).filter(|user| gone(user));
            assert_eq!(vanished, gone.cloned().collect::<Vec<_>>());
            turned.sort();
            assert_eq!(turned, before.into_iter().filter_map(was).collect::<Vec<_>>());
        }
        let due_ms = self.core.deadline();
        assert!(due_ms.is_none_or(|due_ms| due_ms > self.model.now.mono_ms), "due after expiring");
    }

    fn tick(&mut self) {
        let expected = self.model.tick();
        let Tick { frames: bundle, changes } =
            self.core.tick(&self.name, self.model.now, &bounds());
        assert!(!changes.hide(), "everyone sees everyone");
        let step = keep(&mut self.ring, changes, self.model.now);
        assert!(!self.core.has_news());
        self.core.note_shown(&step.changes);
        self.compare_tally(&expected);
        let Some(bundle) = bundle else {
            assert!(expected.is_empty(), "untold: {expected:?}");
            return;
        };
        assert_eq!(bundle.first_seq, self.seq + 1);
        let bytes = bundle.frames.concat();
        let told = frames(&bytes);
        assert_eq!(told, step.changes.frames(&self.name, Viewer::Public), "told to followers");
        assert_eq!(bundle.frames.len(), told.len());
        assert_eq!(told.len(), 1, "so few events fit one frame");
        for frame in told {
            self.hear(frame, &expected);
        }
        self.history.push((bytes, self.model.now.mono_ms));
        self.read_along();
    }

    /// Followers know at any moment just what was told last, whatever has happened since.
    fn read_along(&mut self) {
        let (core, ring, now) = (&self.core, &self.ring, self.model.now);
        // A slow socket, which gets two things for each step of all others.
        for _ in 0..2 {
            if let Some(members) = self.swept.read(core, Viewer::Public) {
                let known = members.values().map(known_of);
                assert_eq!(
                    known.collect::<BTreeMap<_, _>>(),
                    self.replica,
                    "known by a slow reader"
                );
                // It has all, and now and then begins anew.
                if self.seq.is_multiple_of(5) {
                    self.swept = Swept::new();
                }
            }
        }
        assert_eq!(self.follower.read_all(core, ring, Viewer::Public, now), Read::All);
        let known = |followed: &Followed| -> BTreeMap<_, _> {
            let members = followed.members.values();
            members.map(known_of).collect()
        };
        assert_eq!(known(&self.follower), self.replica);
        assert_eq!(self.follower.count, self.replica.len() as u64);
        // One that goes by the channel's size.
        let end = self.auto_follower.read_all(core, ring, Viewer::Public, now);
        let counted = core.roster() == Roster::Counted;
        assert_eq!(self.auto_follower.level == InForce::Count, counted);
        if counted {
            let exact = self.auto_follower.count == self.replica.len() as u64;
            assert!(exact || end == Read::Later, "a count that is neither right nor owed");
        } else {
            assert_eq!(known(&self.auto_follower), self.replica);
        }
    }

    /// What those are told who are told how many there are.
    fn compare_tally(&mut self, told: &BTreeMap<UserId, Event>) {
        let seq = self.seq + u64::from(!told.is_empty());
        if told.values().any(|event| !matches!(event, Event::UpdateAttributes { .. })) {
            self.moved_seq = seq;
        }
        let counted = self.core.roster() == Roster::Counted;
        assert_eq!(counted, self.model.counted, "with {} members", self.core.count());
        assert_eq!(self.core.moved_seq(), self.moved_seq);
        let tally = self.core.tally();
        assert_eq!((tally.seq, tally.count), (seq, self.model.members.len()));
        let listed = self.core.members(usize::MAX, None, Viewer::Public).members;
        assert_eq!(tally.recent, listed);
        self.compare_faces(&tally, &listed, !told.is_empty());
    }

    /// What those are told who asked for the newest and what they carry: a count that they were told
    /// before is right just as long as it would show the same now.
    fn compare_faces(&mut self, tally: &Tally, listed: &[Arc<Member>], told: bool) {
        let recent = |limit, attributes| {
            let asked = Asked::new(Level::Count, Some(limit), attributes);
            match tally.frame(&self.name, asked.recent) {
                ServerFrame::Count { recent, .. } => recent.unwrap(),
                other => panic!("a tally is told as {other:?}"),
            }
        };
        let shows = recent(200, true);
        let carried = listed.iter().map(|one| (&one.user, Some(&one.attributes)));
        let shown = shows.iter().map(|one| (&one.user, one.attributes.as_ref()));
        assert!(shown.eq(carried), "{shows:?} of {listed:?}");
        let named = listed.iter().map(|one| (&one.user, None)).take(2);
        assert!(recent(2, false).iter().map(|one| (&one.user, one.attributes.as_ref())).eq(named));
        let standing = self.core.standing();
        let news = told && standing.moved_seq.max(standing.shown_seq) == tally.seq;
        assert_eq!(news, shows != self.shows, "{standing:?} at {}", tally.seq);
        self.shows = shows;
    }

    fn hear(&mut self, frame: ServerFrame, expected: &BTreeMap<UserId, Event>) {
        let ServerFrame::Presence { channel, seq, count, events } = frame else {
            panic!("a tick told {frame:?}")
        };
        assert_eq!((&channel, seq), (&self.name, self.seq + 1));
        self.seq = seq;
        let by_user: BTreeMap<_, _> =
            events.iter().map(|e| (e.user().clone(), e.clone())).collect();
        assert_eq!(by_user.len(), events.len(), "a user appears twice in {events:?}");
        assert_eq!(&by_user, expected);
        for event in events {
            self.replicate(event);
        }
        assert_eq!(count, self.replica.len() as u64);
    }

    fn replicate(&mut self, event: Event) {
        match event {
            Event::Join { user, attributes, away, at, .. } => {
                assert!(
                    self.replica.insert(user, (attributes, away, at)).is_none(),
                    "joined twice"
                );
            }
            Event::Leave { user, .. } | Event::Timeout { user, .. } => {
                assert!(self.replica.remove(&user).is_some(), "ended twice");
            }
            Event::UpdateAttributes { user, attributes, away, .. } => {
                let known = self.replica.get_mut(&user).expect("an update of nobody");
                (known.0, known.1) = (attributes, away.unwrap_or(known.1));
            }
        }
    }

    /// Reads show the applied state; a snapshot taken right after a tick is the same.
    fn compare_reads(&self) {
        let mut expected: Vec<_> = self.model.members.iter().collect();
        expected.sort_by_key(|(_, member)| std::cmp::Reverse(member.number));
        let shown = self.core.members(usize::MAX, None, Viewer::All).members;
        assert_eq!((self.core.count(), shown.len()), (expected.len(), expected.len()));
        let sources = expected.iter().flat_map(|(_, member)| &member.sources);
        let live = sources.filter(|source| source.lost.is_none()).count();
        assert_eq!(self.core.connections(), live, "connections that keep somebody present");
        for (shown, (user, member)) in shown.iter().zip(&expected) {
            assert_eq!(&shown.user, *user);
            assert_eq!(shown.attributes, as_attributes(&member.attributes));
            assert_eq!(shown.away, member.is_away());
            assert_eq!(shown.joined_at, member.joined_at);
            assert_eq!(self.core.member(user, Viewer::Public), Some(shown));
        }
        assert_eq!(page_by_page(&self.core), shown);
        if !self.core.has_news() {
            let begin = self.core.begin_snapshot(SnapshotReason::Resync);
            let (view, next) = self.core.snapshot_part(begin, Viewer::Public, usize::MAX);
            assert_eq!((&view.members, next), (&shown, None));
            let known = view
                .members
                .iter()
                .map(|m| (m.user.clone(), (m.attributes.clone(), m.away, m.joined_at)))
                .collect::<BTreeMap<_, _>>();
            assert_eq!((view.seq, known), (self.seq, self.replica.clone()));
        }
        self.compare_log();
    }

    /// Whatever the log resumes is byte for byte what was told, and it forgets nothing too early.
    fn compare_log(&self) {
        let young = |(_, at): &&(Vec<u8>, u64)| at + 120_000 > self.model.now.mono_ms;
        let kept = self.history.iter().rev().take_while(young).count() as u64;
        for seq in self.seq - kept..=self.seq {
            let next = self
                .core
                .resume(Since { epoch: self.epoch, seq, sight: None }, Viewer::Public)
                .expect("young enough");
            let told: Vec<_> = self.history[seq as usize..].iter().map(|(b, _)| &b[..]).collect();
            assert_eq!(self.core.since(next), Some(&*told.concat()));
        }
        let foreign = Since { epoch: Epoch::from_random(8), seq: self.seq, sight: None };
        assert_eq!(self.core.resume(foreign, Viewer::Public), None);
    }
}

#[test]
fn random_histories_agree_with_the_model() {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed("random_histories_agree_with_the_model").to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let histories = prop::collection::vec(op(), 1..60);
    runner
        .run(&histories, |ops| {
            let mut pair = Pair::new();
            for op in ops {
                pair.run(op);
            }
            // Everybody goes: nothing remains, and each join has had its one end.
            for slot in 0..SLOTS {
                pair.run(Op::Close { slot });
            }
            pair.run(Op::Pass { ms: 130_000 });
            pair.run(Op::Tick);
            assert!(pair.replica.is_empty() && pair.core.count() == 0);
            pair.run(Op::Pass { ms: 130_000 });
            assert_eq!(pair.core.deadline(), None);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
