//! What polls are told of one channel: its members as they were told last, and the last events, each
//! with its stamp. Pure: stamps and time are passed in.
//!
//! Polls consume nothing. Each says up to which stamp it has had everything, and what it may see; two
//! that say the same get the same.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use herenow_protocol::{Attributes, LeaveReason, UserId};

use crate::limits::{POLLED_AGE_MS, POLLED_EVENTS, POLLED_GONE, POLLED_NAMES, POLLED_RING_BYTES};
use crate::now::Now;
use crate::presence::{Cause, Changed, Member, Viewer};

/// One event.
#[derive(Debug)]
pub struct Kept {
    /// Rises over the whole broker.
    pub stamp: u64,
    /// Members visible to all, after it.
    pub count: u64,
    /// What became of a member; `None`: the number of members is all that is told.
    pub changed: Option<Changed>,
    /// When, by the wall clock.
    pub at: u64,
    /// When the member as it was before was told first.
    told_before: u64,
    kept_ms: u64,
    bytes: usize,
}

/// What an event is to a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Somebody is there.
    Join,
    /// Somebody left, or is hidden from this viewer from now on.
    Leave,
    /// Somebody was lost.
    Timeout,
    /// Somebody has other attributes.
    StateChange,
    /// The number of members.
    Interval,
}

/// A member, and the stamp of the event that told of it.
#[derive(Debug)]
struct Told {
    member: Arc<Member>,
    stamp: u64,
}

/// Somebody who went, or whom fewer may see than before.
#[derive(Debug)]
struct Gone {
    /// Without attributes.
    member: Member,
    stamp: u64,
    lost: bool,
}

/// The last events of a channel.
#[derive(Debug)]
pub struct Ring {
    events: VecDeque<Arc<Kept>>,
    /// A poll that has had everything up to an earlier stamp lacks events that are gone.
    floor: u64,
    members: HashMap<UserId, Told>,
    gone: VecDeque<Gone>,
    count: u64,
    /// The channel is too large to tell each member; those that are here are as they were before.
    counted: bool,
    events_bytes: usize,
    members_bytes: usize,
}

/// What there is for a poll in one channel.
#[derive(Debug, Default)]
pub struct Found {
    /// In order.
    pub events: Vec<Arc<Kept>>,
    /// There may be more of them.
    pub more: bool,
}

/// What a poll is told that lacks events: who is there and was not, who was there and is not. Nobody
/// is in two of the lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// Members visible to all.
    pub count: u64,
    /// Who came.
    pub join: Vec<UserId>,
    /// Who left.
    pub leave: Vec<UserId>,
    /// Who was lost.
    pub timeout: Vec<UserId>,
}

impl Kept {
    /// What it is to `viewer`; `None`: nothing.
    #[must_use]
    pub fn action(&self, viewer: Viewer<'_>) -> Option<Action> {
        let Some(changed) = &self.changed else { return Some(Action::Interval) };
        let seen = |member: &&Arc<Member>| viewer.sees(member);
        match (changed.before().filter(seen), changed.now().filter(seen)) {
            (None, None) => None,
            (None, Some(_)) => Some(Action::Join),
            (Some(_), None) if matches!(changed.cause(), Cause::Lost(..)) => Some(Action::Timeout),
            (Some(_), None) => Some(Action::Leave),
            (Some(before), Some(now)) => {
                (before.attributes != now.attributes).then_some(Action::StateChange)
            }
        }
    }
}

impl Ring {
    /// An empty one, after `stamp`.
    #[must_use]
    pub fn new(stamp: u64) -> Self {
        Self {
            events: VecDeque::new(),
            floor: stamp,
            members: HashMap::new(),
            gone: VecDeque::new(),
            count: 0,
            counted: false,
            events_bytes: 0,
            members_bytes: 0,
        }
    }

    /// The members with which the ring begins. `told_at` says which stamp stands for a member's join.
    pub fn begin(
        &mut self,
        members: Vec<Arc<Member>>,
        count: u64,
        told_at: impl Fn(&Member) -> u64,
    ) {
        self.count = count;
        for member in members {
            let stamp = told_at(&member).min(self.floor);
            self.members_bytes += bytes_of(&member);
            self.members.insert(member.user.clone(), Told { member, stamp });
        }
    }

    /// What a tick told, after which `count` members are visible to all.
    pub fn step(
        &mut self,
        changes: &[Changed],
        count: u64,
        now: Now,
        mut stamp: impl FnMut() -> u64,
    ) {
        self.count = count;
        for change in changes {
            // Told again after a snapshot that had a later state already: the end of it follows.
            let stale = change.before().is_some() && !self.members.contains_key(change.user());
            if !stale {
                let user = change.user().clone();
                self.note(
                    user,
                    change.now().cloned(),
                    change.cause(),
                    change.at(),
                    now,
                    &mut stamp,
                );
            }
        }
        self.trim(now.mono_ms);
    }

    /// The members as they are, where the ticks before were missed: what differs is told.
    pub fn anew(
        &mut self,
        members: Vec<Arc<Member>>,
        count: u64,
        now: Now,
        mut stamp: impl FnMut() -> u64,
    ) {
        (self.count, self.counted) = (count, false);
        let there: HashSet<UserId> = members.iter().map(|member| member.user.clone()).collect();
        let mut left: Vec<_> =
            self.members.keys().filter(|user| !there.contains(*user)).cloned().collect();
        left.sort_unstable();
        for user in left {
            self.note(user, None, Cause::Left(LeaveReason::Left), now.unix_ms, now, &mut stamp);
        }
        // They come newest first.
        for member in members.into_iter().rev() {
            let (user, at) = (member.user.clone(), now.unix_ms);
            self.note(user, Some(member), Cause::Own, at, now, &mut stamp);
        }
        self.trim(now.mono_ms);
    }

    /// The channel is too large to tell each member: so many are visible to all.
    pub fn count(&mut self, count: u64) {
        (self.count, self.counted) = (count, true);
    }

    /// Whether the number of members is all that is told.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// Tells the number of members.
    pub fn interval(&mut self, now: Now, mut stamp: impl FnMut() -> u64) {
        self.push(None, now.unix_ms, 0, now, stamp());
        self.trim(now.mono_ms);
    }

    fn note(
        &mut self,
        user: UserId,
        member: Option<Arc<Member>>,
        cause: Cause,
        at: u64,
        now: Now,
        stamp: &mut impl FnMut() -> u64,
    ) {
        let known = self.members.get(&user);
        let before = known.map(|told| Arc::clone(&told.member));
        let told_before = known.map_or(0, |told| told.stamp);
        let (was, is) = (before.as_deref(), member.as_deref());
        // To some it came, or went.
        let others = was.map(Member::audience) != is.map(Member::audience);
        let told = others || was.map(|m| &m.attributes) != is.map(|m| &m.attributes);
        // Nothing else is of interest here: being away, say.
        let stamp = if told { stamp() } else { told_before };
        self.members_bytes += is.map_or(0, bytes_of);
        self.members_bytes -= was.map_or(0, bytes_of);
        if let Some(before) = before.as_ref().filter(|_| others) {
            self.forget_gone(POLLED_GONE - 1);
            let lost = member.is_none() && matches!(cause, Cause::Lost(..));
            let member = Member { attributes: Attributes::EMPTY, ..Member::clone(before) };
            self.members_bytes += bytes_of(&member);
            self.gone.push_back(Gone { member, stamp, lost });
        }
        match &member {
            Some(member) => {
                let stamp = if others { stamp } else { told_before };
                self.members.insert(user.clone(), Told { member: Arc::clone(member), stamp });
            }
            None => drop(self.members.remove(&user)),
        }
        if told {
            let changed = Changed::new(user, before, member, cause, at);
            self.push(Some(changed), at, told_before, now, stamp);
        }
    }

    fn push(&mut self, changed: Option<Changed>, at: u64, told_before: u64, now: Now, stamp: u64) {
        debug_assert!(stamp > self.events.back().map_or(self.floor, |last| last.stamp));
        let bytes = size_of::<Kept>() + changed.as_ref().map_or(0, Changed::bytes);
        let (count, kept_ms) = (self.count, now.mono_ms);
        self.events_bytes += bytes;
        self.events.push_back(Arc::new(Kept {
            stamp,
            count,
            changed,
            at,
            told_before,
            kept_ms,
            bytes,
        }));
    }

    /// Drops all but the last `most` of those who went. What else they were is of no interest.
    pub fn forget_gone(&mut self, most: usize) {
        while self.gone.len() > most {
            if let Some(gone) = self.gone.pop_front() {
                self.members_bytes -= bytes_of(&gone.member);
            }
        }
    }

    /// Drops events that are too old or too many.
    pub fn trim(&mut self, now_ms: u64) {
        while let Some(first) = self.events.front() {
            let old = first.kept_ms + POLLED_AGE_MS <= now_ms;
            let too_many = self.events.len() > POLLED_EVENTS && old;
            if !too_many && self.events_bytes <= POLLED_RING_BYTES {
                break;
            }
            self.events_bytes -= first.bytes;
            self.floor = first.stamp;
            self.events.pop_front();
        }
    }

    /// Drops all events: memory is needed elsewhere.
    pub fn clear(&mut self) {
        self.floor = self.events.back().map_or(self.floor, |last| last.stamp);
        (self.events, self.events_bytes) = (VecDeque::new(), 0);
    }

    /// Bytes that it holds, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.events_bytes + self.members_bytes
    }

    /// What there is after `since` up to `until` for `viewer`, `most` events at most; `None`: some of
    /// it is gone.
    #[must_use]
    pub fn read(&self, since: u64, until: u64, viewer: Viewer<'_>, most: usize) -> Option<Found> {
        if since < self.floor {
            return None;
        }
        let mut events: Vec<_> = self
            .events
            .range(self.events.partition_point(|kept| kept.stamp <= since)..)
            .take_while(|kept| kept.stamp <= until)
            .filter(|kept| kept.action(viewer).is_some())
            .take(most + 1)
            .cloned()
            .collect();
        let more = events.len() > most;
        events.truncate(most);
        Some(Found { events, more })
    }

    /// What replaces the events after `since`, as it was at `until`, for `viewer`.
    #[must_use]
    pub fn repair(&self, since: u64, until: u64, viewer: Viewer<'_>) -> Repair {
        let mut repair = Repair { count: self.count, ..Repair::default() };
        if self.counted {
            return repair;
        }
        // Who changed after `until`, as they were then.
        let mut then: HashMap<&UserId, Option<(&Arc<Member>, u64)>> = HashMap::new();
        for kept in self.events.range(self.events.partition_point(|kept| kept.stamp <= until)..) {
            let Some(changed) = &kept.changed else { continue };
            let before = changed.before().map(|member| (member, kept.told_before));
            then.entry(changed.user()).or_insert(before);
        }
        let seen_at = |user: &UserId| {
            let now = || self.members.get(user).map(|told| (&told.member, told.stamp));
            let told = then.get(user).copied().unwrap_or_else(now);
            told.filter(|(member, _)| viewer.sees(member))
        };
        let untouched = self.members.keys().filter(|user| !then.contains_key(*user));
        let came = untouched.chain(then.keys().copied());
        let came = came.filter(|user| seen_at(user).is_some_and(|(_, stamp)| stamp > since));
        repair.join = came.take(POLLED_NAMES).cloned().collect();
        let mut told = HashSet::new();
        let went = self.gone.iter().rev().filter(|gone| gone.stamp > since && gone.stamp <= until);
        for gone in went.take(POLLED_NAMES) {
            let user = &gone.member.user;
            if viewer.sees(&gone.member) && seen_at(user).is_none() && told.insert(user) {
                let list = if gone.lost { &mut repair.timeout } else { &mut repair.leave };
                list.push(user.clone());
            }
        }
        repair
    }
}

fn bytes_of(member: &Member) -> usize {
    size_of::<(UserId, Told)>() + member.bytes()
}

#[cfg(test)]
mod tests;
