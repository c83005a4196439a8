//! What this node has of a user, held against what the store has of it. The one comparison heals
//! whatever went wrong in between: answers that were lost, data that are gone, an old copy.

use herenow_protocol::{Attributes, Audience, LossReason, UserId};

use super::channel::{Here, Leaving, Replica};
use super::known::{Before, Clock, Ends, Known, Todo, difference, is_wider};
use crate::cluster::record::{LeaseMark, Mark, Record};
use crate::limits::{LOSS_SLACK_MS, SAY_USERS};
use crate::presence::pending::Cause;
use crate::presence::{
    ChannelState, Command, Elsewhere, HeldElsewhere, Keeper, NodeId, Own, OwnMark, Source, Touch,
    ValueElsewhere,
};

/// How what was heard is to be taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Why the user goes, if it does.
    pub(super) cause: Cause,
    /// What keeps the user present elsewhere may be another than before.
    pub(super) moved: bool,
    /// The data are others than when the user was heard of before: a lease of ours that we do not have
    /// was ended here, and is no inheritance.
    pub(super) anew: bool,
}

/// What follows from the comparison of this node's own sources.
#[derive(Debug, Default)]
struct Sources {
    ends_grace: bool,
    took: Vec<(Keeper, u64, bool)>,
    gave: Vec<Keeper>,
    /// What this node has is to be said again.
    differs: bool,
    /// Leases that are no longer, whatever the store says.
    ended: Vec<Keeper>,
}

impl Replica {
    /// Holds what this node has of the user against what the store has of it: what is to be said
    /// again is noted, and the command takes over the rest.
    pub(super) fn settle(
        &mut self,
        user: &UserId,
        here: Here<'_>,
        manner: Manner,
    ) -> Option<Command> {
        let own = here.state.own(user);
        let (me, clock, round, followed) = (self.me, self.clock, self.round, self.is_followed());
        let stands = !self.is_anothers_by_now(user, here);
        let known = self.users.get_mut(user)?;
        let has_own = own.as_ref().is_some_and(has_sources);
        let again = has_own && known.round != round;
        let untold = again || known.todo.is_some() || known.sent.is_some();
        let mark = shown_mark(own.as_ref(), known.record.as_ref(), me, self.leaving);
        let sources =
            compare_sources(known, (own.as_ref(), mark), untold, (me, clock), manner.anew);
        for &(keeper, end, _) in &sources.took {
            known.leases.retain(|&(other, _)| other != keeper);
            known.leases.push((keeper, end));
        }
        let moved = manner.moved || known.told != followed;
        known.told = followed;
        let held = if followed { held_elsewhere(known, me, clock, here) } else { Vec::new() };
        let keeps = self.keep_ms > 0 && known.record.is_some();
        let is_member = own.is_some() || !held.is_empty() || !sources.took.is_empty() || keeps;
        let value = if is_member {
            let value = take_value(known, own.as_ref(), untold, clock, here);
            ValueElsewhere { number: value.number.filter(|_| stands), ..value }
        } else {
            ValueElsewhere::default()
        };
        if sources.differs || !sources.ended.is_empty() {
            say_again(known, own.as_ref(), &sources);
            self.dirty.insert(user.clone());
        }
        let is_news = value != ValueElsewhere::default()
            || sources.ends_grace
            || !sources.took.is_empty()
            || !sources.gave.is_empty()
            || (moved && (own.is_some() || !held.is_empty()));
        // A lease may be the first that this node has of the user.
        let stays =
            !sources.took.is_empty() || own.as_ref().is_some_and(|own| keeps_own(own, &sources));
        self.tidy(user, stays);
        let Sources { ends_grace, took, gave, .. } = sources;
        let (user, cause) = (user.clone(), manner.cause);
        let elsewhere = Elsewhere { user, held, took, gave, ends_grace, value, cause };
        is_news.then(|| Command::Elsewhere(Box::new(elsewhere)))
    }

    /// Whether the number that the user is known to have was given to somebody else later: what was heard
    /// of the user came late, such as from a life of the channel before, and more is to come.
    fn is_anothers_by_now(&self, user: &UserId, here: Here<'_>) -> bool {
        let Some(known) = self.users.get(user) else { return false };
        let Some(number) = known.number() else { return false };
        let other = here.state.numbered(number).filter(|other| other.user != *user);
        other
            .and_then(|other| self.users.get(&other.user))
            .is_some_and(|other| other.number() == Some(number) && other.heard > known.heard)
    }

    /// Whether anything is to be said that is news to others: more than that leases end later.
    #[must_use]
    pub fn is_pressing(&self, state: &ChannelState) -> bool {
        self.again.is_some()
            || self.again_from_start
            || self.dirty.len() > SAY_USERS
            || self.dirty.iter().any(|user| self.is_news(user, state))
    }

    /// Whether the store has what was done here of the user, as far as that is news to others.
    #[must_use]
    pub fn has_told(&self, user: &UserId, state: &ChannelState) -> bool {
        let in_flight = self.users.get(user).is_some_and(|known| known.sent.is_some());
        let to_be_said = self.dirty.contains(user) && self.is_news(user, state);
        !in_flight && !to_be_said
    }

    fn is_news(&self, user: &UserId, state: &ChannelState) -> bool {
        let Some(known) = self.users.get(user) else { return true };
        let is_touched = |todo: &Todo| todo.tried || todo.touch != Touch::default();
        let Some(record) = &known.record else { return true };
        if known.round != self.round || known.todo.as_ref().is_some_and(|todo| is_touched(todo)) {
            return true;
        }
        let Some(own) = state.own(user) else { return true };
        let mine = |(_, lease): &(&Keeper, &LeaseMark)| lease.owner == self.me;
        let is_said = |&(keeper, _, away): &(Keeper, u64, bool)| {
            let said = record.leases.get(&keeper);
            said.is_some_and(|lease| lease.owner == self.me && lease.away == away)
        };
        !is_same(own.mark, record.marks.get(&self.me).copied())
            || !own.leases.iter().all(is_said)
            || record.leases.iter().filter(mine).count() != own.leases.len()
    }

    /// Forgets a user of whom there is nothing to know. `stays`: this node has it.
    pub(super) fn tidy(&mut self, user: &UserId, stays: bool) {
        let Some(known) = self.users.get_mut(user) else { return };
        known.own = stays;
        if known.todo.is_some() || known.sent.is_some() || stays {
            return;
        }
        if let Some(followed) = &mut self.followed {
            if known.is_there() {
                return;
            }
            // An older message may still tell of it.
            let told = followed.run.is_some_and(|(_, last)| known.heard.1 <= last);
            if followed.may_be_loaded() || !told {
                followed.gone.push((known.heard.1, user.clone()));
                return;
            }
        }
        self.users.remove(user);
    }
}

pub(super) fn has_sources(own: &Own) -> bool {
    own.mark.is_some() || !own.leases.is_empty()
}

fn keeps_own(own: &Own, sources: &Sources) -> bool {
    let live = |mark: &OwnMark| !(sources.ends_grace && matches!(mark, OwnMark::Lost { .. }));
    let leases = own.leases.iter().any(|(keeper, ..)| !sources.gave.contains(keeper));
    own.mark.as_ref().is_some_and(live) || leases
}

/// Whether the store has of this node's connections what there is.
fn is_same(own: Option<OwnMark>, said: Option<Mark>) -> bool {
    match (own, said) {
        (None, None) => true,
        (Some(OwnMark::Live { connections, away }), Some(said)) => {
            said == Mark::Live { connections, away }
        }
        (
            Some(OwnMark::Lost { away, last_seen, .. }),
            Some(Mark::Lost { away: a, last_seen: l, .. }),
        ) => (away, last_seen) == (a, l),
        _ => false,
    }
}

/// What this node's connections are to others. Those of a node that shuts down are lost, or nothing
/// where the user is elsewhere already.
pub(super) fn shown_mark(
    own: Option<&Own>,
    record: Option<&Record>,
    me: NodeId,
    leaving: Option<Leaving>,
) -> Option<OwnMark> {
    let mark = own.and_then(|own| own.mark)?;
    let (Some(Leaving { ends_ms, last_seen }), OwnMark::Live { away, .. }) = (leaving, mark) else {
        return Some(mark);
    };
    let is_live = |(&node, mark): (&NodeId, &Mark)| node != me && matches!(mark, Mark::Live { .. });
    if record.is_some_and(|record| record.marks.iter().any(is_live)) {
        return None;
    }
    Some(OwnMark::Lost { ends_ms, away, reason: LossReason::Connection, last_seen })
}

fn compare_sources(
    known: &Known,
    (own, mark): (Option<&Own>, Option<OwnMark>),
    untold: bool,
    (me, clock): (NodeId, Clock),
    anew: bool,
) -> Sources {
    let mut sources = Sources::default();
    if untold {
        return sources;
    }
    let record = known.record.as_ref();
    let said = record.and_then(|record| record.marks.get(&me)).copied();
    if matches!(mark, Some(OwnMark::Lost { .. })) && said.is_none() {
        sources.ends_grace = true;
    } else {
        sources.differs = !is_same(mark, said);
    }
    let leases = own.map(|own| &*own.leases).unwrap_or_default();
    for &(keeper, _, away) in leases {
        match record.and_then(|record| record.leases.get(&keeper)) {
            Some(lease) if lease.owner == me => sources.differs |= lease.away != away,
            Some(_) | None => sources.gave.push(keeper),
        }
    }
    for (&keeper, lease) in record.into_iter().flat_map(|record| &record.leases) {
        if lease.owner != me || leases.iter().any(|&(held, ..)| held == keeper) {
            continue;
        }
        if anew {
            sources.ended.push(keeper);
        } else {
            sources.took.push((keeper, clock.mono_ms(lease.ends), lease.away));
        }
    }
    sources
}

/// What this node has of the user is to be said, since the store has something else.
fn say_again(known: &mut Known, own: Option<&Own>, sources: &Sources) {
    let is_gone = known.record.is_none();
    let touch = &mut known.todo().touch;
    touch.ended.extend(sources.ended.iter().map(|&keeper| (keeper, false)));
    // Its value went with it.
    if let Some(own) = own.filter(|_| is_gone) {
        touch.patched |= !own.member.attributes.is_empty();
        touch.informed |= !own.member.info().is_empty();
        touch.shown |= own.member.is_restricted();
    }
}

/// What keeps the user present on other nodes.
fn held_elsewhere(known: &Known, me: NodeId, clock: Clock, here: Here<'_>) -> Vec<HeldElsewhere> {
    let mut held = Vec::<HeldElsewhere>::new();
    let records = [known.record.as_ref(), known.old.as_deref()];
    let records = || records.into_iter().flatten();
    for (&node, mark) in records().flat_map(|record: &Record| &record.marks) {
        let source = Source::Node(node);
        if node == me || held.iter().any(|held| held.source == source) {
            continue;
        }
        match *mark {
            Mark::Live { .. } if here.peers.is_dead(node) => {}
            Mark::Live { connections, away } => {
                held.push(HeldElsewhere { source, connections, away, ends: None });
            }
            Mark::Lost { until, away, reason, last_seen } => {
                let end = clock.mono_ms(until) + LOSS_SLACK_MS;
                if end > here.now.mono_ms {
                    let ends = Some((end, reason, last_seen));
                    held.push(HeldElsewhere { source, connections: 0, away, ends });
                }
            }
        }
    }
    for (&keeper, lease) in records().flat_map(|record: &Record| &record.leases) {
        let source = Source::Lease(keeper);
        if lease.owner != me && held.iter().all(|held| held.source != source) {
            held.push(HeldElsewhere { source, connections: 0, away: lease.away, ends: None });
        }
    }
    held
}

/// What the member is to be, as far as it is another here. What was written here and not said yet
/// stays.
fn take_value(
    known: &mut Known,
    own: Option<&Own>,
    untold: bool,
    clock: Clock,
    here: Here<'_>,
) -> ValueElsewhere {
    if !known.is_there() {
        return ValueElsewhere::default();
    }
    let writes = |of: fn(&Known) -> bool| of(known);
    let informs = writes(|known| touches(known, |touch| touch.informed));
    let shows = writes(|known| touches(known, |touch| touch.shown));
    let member = own.map(|own| &own.member);
    let info = match known.info() {
        _ if informs => None,
        Some(known) => Some(known.value.clone()),
        None => (!untold).then_some(Attributes::EMPTY),
    };
    let visible_to = match known.audience() {
        _ if shows => None,
        Some(known) => Some(known.value.clone()),
        None => (!untold).then_some(Audience::EVERYONE),
    };
    let place = known.place().filter(|_| !(shows && member.is_some_and(|it| moves(known, it))));
    let joined_at = place.map(|place| place.value.joined_at);
    let number = place.and(known.number());
    let value = ValueElsewhere {
        attributes: take_attributes(known, own, untold, clock, here),
        info,
        visible_to,
        joined_at,
        number,
    };
    let Some(member) = member else { return value };
    let everyone = Audience::EVERYONE;
    let seen_by = member.profile.as_ref().map_or(&everyone, |profile| &profile.visible_to);
    ValueElsewhere {
        attributes: value.attributes.filter(|(attributes, ends)| {
            *attributes != member.attributes || own.is_none_or(|own| !is_same_ends(&own.ends, ends))
        }),
        info: value.info.filter(|info| info != member.info()),
        visible_to: value.visible_to.filter(|visible_to| visible_to != seen_by),
        joined_at: value.joined_at.filter(|&joined_at| joined_at != member.joined_at),
        number: value.number.filter(|&number| number != member.number),
    }
}

pub(super) fn touches(known: &Known, of: impl Fn(&crate::presence::Touch) -> bool) -> bool {
    let todo = known.todo.as_ref().is_some_and(|todo| of(&todo.touch));
    todo || known.sent.as_ref().is_some_and(|sent| of(&sent.todo.touch))
}

/// Whether more may see the member by what is to be said of it: it takes a new place then, which tells
/// nothing of how long it was there unseen.
pub(super) fn moves(known: &Known, member: &crate::presence::Member) -> bool {
    let (everyone, before) = (Audience::EVERYONE, known.audience());
    let now = member.profile.as_ref().map_or(&everyone, |profile| &profile.visible_to);
    before.is_some_and(|before| is_wider(&before.value, now))
}

fn is_same_ends(one: &Ends, other: &Ends) -> bool {
    let near = |(key, end): &(Box<str>, u64)| {
        other.iter().any(|(k, e)| k == key && e.abs_diff(*end) < LOSS_SLACK_MS)
    };
    one.len() == other.len() && one.iter().all(near)
}

/// The attributes, if they are to be others.
fn take_attributes(
    known: &mut Known,
    own: Option<&Own>,
    untold: bool,
    clock: Clock,
    here: Here<'_>,
) -> Option<(Attributes, Ends)> {
    let said = known.sent.as_ref().is_some_and(|sent| sent.attributes.is_some());
    let theirs = known.attributes().map(|theirs| theirs.stamp);
    let before = Before::of(known.attributes(), clock);
    let Some(theirs) = theirs.filter(|_| !said) else {
        return (!untold).then(|| (Attributes::EMPTY, Vec::new()));
    };
    let alive = before.clone().alive(here.now);
    let Some(todo) = known.todo.as_mut().filter(|todo| todo.touch.wrote || todo.touch.patched)
    else {
        return Some(alive);
    };
    if todo.base.stamp == Some(theirs) {
        return None;
    }
    let own = own?;
    if todo.touch.wrote {
        // The store may have done it, and others wrote after that.
        todo.touch.wrote = !todo.tried;
        return todo.tried.then_some(alive);
    }
    let base = std::mem::replace(&mut todo.base, before).alive(here.now).0;
    let patch = difference(&base, &own.member.attributes);
    let mut ends = alive.1;
    ends.retain(|(key, _)| !patch.contains_key(&**key));
    ends.extend(own.ends.iter().filter(|(key, _)| patch.contains_key(&**key)).cloned());
    Some((alive.0.patched(&patch), ends))
}
