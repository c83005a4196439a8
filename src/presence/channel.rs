//! A channel's members, and the one way to change them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use herenow_protocol::reply::MAX_RECENT;
use herenow_protocol::{
    AttributeMap, Attributes, ChannelName, Epoch, ErrorCode, Event, LossReason, Refusal,
    ServerFrame, Since, UserId, encode,
};

use super::Now;
use super::command::{Bounds, Change, Command};
use super::log::Log;
use super::member::{Lost, Member, Membership, Source, SourceId};
use super::pending::{Cause, Pending};
use super::roster::Roster;
use super::snapshot::{OVERHEAD_BYTES, PART_BYTES, View};
use super::tally::Tally;

/// What one tick tells: frames, ready for the wire, one behind the other.
#[derive(Debug)]
pub struct Bundle {
    /// The seq of the first frame.
    pub first_seq: u64,
    /// The seq after the last frame.
    pub next_seq: u64,
    /// The frames.
    pub bytes: Vec<u8>,
}

/// One page of a list of members.
#[derive(Debug)]
pub struct Page {
    /// Newest first.
    pub members: Vec<Arc<Member>>,
    /// The cursor for the next page, if there is one.
    pub next: Option<u64>,
}

/// A channel: its members and what keeps them present, the changes that observers have not been
/// told yet, and the last frames that told them.
#[derive(Debug)]
pub struct Channel {
    epoch: Epoch,
    members: HashMap<UserId, Membership>,
    /// The members by the number of their join.
    order: BTreeMap<u64, Arc<Member>>,
    next_number: u64,
    /// Members with something that ends by itself, by when to look at them: one entry each, never
    /// later than the member's deadline, possibly earlier.
    due: BTreeSet<(u64, UserId)>,
    pending: Pending,
    log: Log,
    roster: Roster,
    /// The last frame that told of somebody who came or went.
    moved_seq: u64,
}

impl Channel {
    /// An empty channel whose history begins now.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            members: HashMap::new(),
            order: BTreeMap::new(),
            next_number: 1,
            due: BTreeSet::new(),
            pending: Pending::default(),
            log: Log::default(),
            roster: Roster::default(),
            moved_seq: 0,
        }
    }

    /// Applies a command whole, or refuses it and changes nothing.
    ///
    /// # Errors
    /// `channel_full`, `too_large`, `not_joined`.
    pub fn apply(
        &mut self,
        command: Command,
        now: Now,
        bounds: &Bounds,
    ) -> Result<Change, Refusal> {
        match command {
            Command::Join { user, source, attributes, grace_ms } => {
                let source = Source { id: source, grace_ms, lost: None };
                self.join(user, source, attributes, now, bounds)
            }
            Command::Leave { user, source, reason } => {
                Ok(self.remove_source(&user, source, Cause::Left(reason), now))
            }
            Command::Lose { user, source, reason, last_seen } => {
                Ok(self.lose(&user, source, reason, last_seen, now))
            }
            Command::SetAttributes { user, source, attributes, merge, ttl_ms } => {
                let deadline = ttl_ms.map(|ttl_ms| now.mono_ms + ttl_ms);
                self.set_attributes(&user, source, &attributes, merge, deadline, now, bounds)?;
                Ok(Change::Stayed)
            }
        }
    }

    fn join(
        &mut self,
        user: UserId,
        source: Source,
        attributes: Option<AttributeMap>,
        now: Now,
        bounds: &Bounds,
    ) -> Result<Change, Refusal> {
        let brought = attributes.map(|map| Attributes::from_map(&map));
        if let Some(attributes) = &brought {
            check_attributes(attributes, bounds)?;
        }
        let Some(membership) = self.members.get_mut(&user) else {
            if self.members.len() >= bounds.members {
                return Err(Refusal::field(
                    ErrorCode::ChannelFull,
                    "channel",
                    format_args!("holds {} members, and that is the limit", bounds.members),
                ));
            }
            self.insert(user, source, brought.unwrap_or_default(), now);
            return Ok(Change::Appeared);
        };
        let only_in_grace = membership.sources.iter().all(|s| s.lost.is_some());
        membership.sources.retain(|s| s.lost.is_none() && s.id != source.id);
        membership.sources.push(source);
        // A member that only grace kept starts from what it brings; a returning tab never wipes
        // what a living one set.
        if let Some(attributes) = brought.or(only_in_grace.then_some(Attributes::EMPTY)) {
            membership.key_deadlines = None;
            self.replace_attributes(&user, attributes, Cause::Own, now);
        }
        Ok(Change::Stayed)
    }

    fn insert(&mut self, user: UserId, source: Source, attributes: Attributes, now: Now) {
        // Whoever left and came back before any observer heard of it never left.
        let (number, joined_at) = match self.pending.still_seen(&user) {
            Some(seen) => (seen.number, seen.joined_at),
            None => {
                self.next_number += 1;
                (self.next_number - 1, now.unix_ms)
            }
        };
        self.pending.touch(&user, None, Cause::Own, now.unix_ms);
        let member = Arc::new(Member { user: user.clone(), attributes, joined_at, number });
        self.order.insert(number, Arc::clone(&member));
        let membership =
            Membership { member, sources: vec![source], key_deadlines: None, due_ms: None };
        self.members.insert(user, membership);
    }

    fn lose(
        &mut self,
        user: &UserId,
        source: SourceId,
        reason: LossReason,
        last_seen: u64,
        now: Now,
    ) -> Change {
        let in_grace = self.members.get_mut(user).and_then(|membership| {
            let source = membership.sources.iter_mut().find(|s| s.id == source)?;
            let graced =
                reason == LossReason::Connection && source.grace_ms > 0 && source.lost.is_none();
            graced.then_some(source)
        });
        let Some(source_in_grace) = in_grace else {
            return self.remove_source(user, source, Cause::Lost(reason, last_seen), now);
        };
        let ends_ms = now.mono_ms + source_in_grace.grace_ms;
        source_in_grace.lost = Some(Box::new(Lost { ends_ms, last_seen }));
        self.look_no_later_than(user, ends_ms);
        Change::Stayed
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one command")]
    fn set_attributes(
        &mut self,
        user: &UserId,
        source: SourceId,
        written: &AttributeMap,
        merge: bool,
        deadline: Option<u64>,
        now: Now,
        bounds: &Bounds,
    ) -> Result<(), Refusal> {
        let membership = self
            .members
            .get_mut(user)
            .filter(|m| m.has_live(source))
            .ok_or_else(Refusal::not_joined)?;
        let attributes = if merge {
            membership.member.attributes.patched(written)
        } else {
            Attributes::from_map(written)
        };
        check_attributes(&attributes, bounds)?;
        if !merge {
            // Deadlines of keys that are no more would pile up: only the keys that attributes may
            // have at once bound them.
            membership.key_deadlines = None;
        }
        membership.note_written(written, deadline);
        self.replace_attributes(user, attributes, Cause::Own, now);
        if let Some(deadline) = deadline {
            self.look_no_later_than(user, deadline);
        }
        Ok(())
    }

    fn replace_attributes(
        &mut self,
        user: &UserId,
        attributes: Attributes,
        cause: Cause,
        now: Now,
    ) {
        let Some(membership) = self.members.get_mut(user) else { return };
        let before = &membership.member;
        if before.attributes == attributes {
            return;
        }
        self.pending.touch(user, Some(before), cause, now.unix_ms);
        let (joined_at, number) = (before.joined_at, before.number);
        let member = Arc::new(Member { user: user.clone(), attributes, joined_at, number });
        self.order.insert(number, Arc::clone(&member));
        membership.member = member;
    }

    fn remove_source(&mut self, user: &UserId, source: SourceId, cause: Cause, now: Now) -> Change {
        let Some(membership) = self.members.get_mut(user) else { return Change::Stayed };
        let before = membership.sources.len();
        membership.sources.retain(|s| s.id != source);
        if membership.sources.len() == before || !membership.sources.is_empty() {
            return Change::Stayed;
        }
        self.remove_member(user, cause, now);
        Change::Vanished
    }

    fn remove_member(&mut self, user: &UserId, cause: Cause, now: Now) {
        let Some(gone) = self.members.remove(user) else { return };
        if let Some(due_ms) = gone.due_ms {
            self.due.remove(&(due_ms, user.clone()));
        }
        self.order.remove(&gone.member.number);
        self.pending.touch(user, Some(&gone.member), cause, now.unix_ms);
        if self.members.is_empty() {
            self.members = HashMap::new();
        }
    }

    fn look_no_later_than(&mut self, user: &UserId, deadline_ms: u64) {
        let Some(membership) = self.members.get_mut(user) else { return };
        match membership.due_ms {
            Some(due_ms) if due_ms <= deadline_ms => return,
            Some(due_ms) => self.due.remove(&(due_ms, user.clone())),
            None => false,
        };
        membership.due_ms = Some(deadline_ms);
        self.due.insert((deadline_ms, user.clone()));
    }

    /// When [`Channel::expire`] has to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        let due = self.due.first().map(|&(due_ms, _)| due_ms);
        due.into_iter().chain(self.log.deadline()).min()
    }

    /// Ends what ends by itself: graces, keys, old frames. Tells which users vanished.
    pub fn expire(&mut self, now: Now) -> Vec<UserId> {
        self.log.trim(now.mono_ms);
        let mut vanished = Vec::new();
        while self.due.first().is_some_and(|&(due_ms, _)| due_ms <= now.mono_ms) {
            let Some((_, user)) = self.due.pop_first() else { break };
            if self.expire_member(&user, now) {
                vanished.push(user);
            }
        }
        vanished
    }

    /// Whether the member vanished.
    fn expire_member(&mut self, user: &UserId, now: Now) -> bool {
        let Some(membership) = self.members.get_mut(user) else { return false };
        membership.due_ms = None;
        let ended = membership
            .sources
            .extract_if(.., |s| s.lost.as_ref().is_some_and(|l| l.ends_ms <= now.mono_ms))
            .filter_map(|source| source.lost)
            .map(|lost| lost.last_seen)
            .max();
        if let (Some(last_seen), true) = (ended, membership.sources.is_empty()) {
            self.remove_member(user, Cause::Lost(LossReason::Connection, last_seen), now);
            return true;
        }
        let due = membership.key_deadlines.as_mut().map(|keys| keys.take_due(now.mono_ms));
        if membership.key_deadlines.as_ref().is_some_and(|keys| keys.earliest().is_none()) {
            membership.key_deadlines = None;
        }
        let deadline = membership.deadline();
        // Taking keys out means parsing the attributes. Often none is due: a grace ended beside a
        // living source, or a later write of the key moved its deadline.
        if let Some(keys) = due.filter(|keys| !keys.is_empty()) {
            let left = membership.member.attributes.without(keys.iter().map(|key| &**key));
            self.replace_attributes(user, left, Cause::Expired, now);
        }
        if let Some(deadline) = deadline {
            self.look_no_later_than(user, deadline);
        }
        false
    }

    /// Whether a tick might have something to tell.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Turns what happened since the last tick into frames (`None` if it comes to nothing), and
    /// decides whether there are too many members to be told one by one.
    ///
    /// One frame, unless its events would take more than about [`PART_BYTES`].
    pub fn tick(&mut self, channel: &ChannelName, now: Now, bounds: &Bounds) -> Option<Bundle> {
        self.roster = self.roster.next(self.members.len(), bounds.roster);
        let mut events = self.pending.fold(|user| self.members.get(user).map(|m| &m.member));
        let first_seq = self.log.next_seq();
        let moved = events.iter().any(|event| net_joins(std::slice::from_ref(event)) != 0);
        let mut bytes = Vec::new();
        // The members before this tick; each frame tells how many there are after it.
        let mut count = self.members.len() as i64 - net_joins(&events);
        while !events.is_empty() {
            let rest = events.split_off(frame_length(&events));
            count += net_joins(&events);
            let frame = ServerFrame::Presence {
                channel: channel.clone(),
                seq: self.log.next_seq(),
                count: count as u64,
                events: std::mem::replace(&mut events, rest),
            };
            let start = bytes.len();
            encode::text_message(&frame, &mut bytes);
            self.log.append(&bytes[start..], now.mono_ms);
        }
        let next_seq = self.log.next_seq();
        if moved {
            self.moved_seq = next_seq - 1;
        }
        (first_seq < next_seq).then_some(Bundle { first_seq, next_seq, bytes })
    }

    /// The members as they are. Agrees with the log only right after a tick.
    #[must_use]
    pub fn view(&self) -> View {
        let members = self.order.values().rev().cloned().collect();
        View { epoch: self.epoch, seq: self.log.next_seq() - 1, members }
    }

    /// How many there are, and the newest of them. As with [`Channel::view`], at a tick only.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let recent = self.order.values().rev().take(MAX_RECENT).cloned().collect();
        Tally { seq: self.log.next_seq() - 1, count: self.members.len(), recent }
    }

    /// What `auto` subscribers are told, since the last tick.
    #[must_use]
    pub fn roster(&self) -> Roster {
        self.roster
    }

    /// The last frame that told of somebody who came or went: any count since then still holds.
    #[must_use]
    pub fn moved_seq(&self) -> u64 {
        self.moved_seq
    }

    /// The frames that a subscriber lacks whose next is `seq`; `None` if they are gone.
    #[must_use]
    pub fn since(&self, seq: u64) -> Option<&[u8]> {
        self.log.since(seq)
    }

    /// The seq that the next frame gets.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.log.next_seq()
    }

    /// The next seq of a subscriber that resumes after `since`, if nothing it lacks is gone.
    #[must_use]
    pub fn resume(&self, since: Since) -> Option<u64> {
        let next = since.seq.checked_add(1)?;
        (since.epoch == self.epoch && self.log.since(next).is_some()).then_some(next)
    }

    /// Number of members.
    #[must_use]
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// The member, if the user is one.
    #[must_use]
    pub fn member(&self, user: &UserId) -> Option<&Arc<Member>> {
        self.members.get(user).map(|membership| &membership.member)
    }

    /// At most `limit` members that joined before the one numbered `after`, newest first.
    #[must_use]
    pub fn members(&self, limit: usize, after: Option<u64>) -> Page {
        let mut older = self.order.range(..after.unwrap_or(u64::MAX)).rev();
        let members: Vec<_> = older.by_ref().take(limit).map(|(_, m)| Arc::clone(m)).collect();
        let next = older.next().and_then(|_| members.last()).map(|last| last.number);
        Page { members, next }
    }
}

fn check_attributes(attributes: &Attributes, bounds: &Bounds) -> Result<(), Refusal> {
    let refuse = |what: &str, limit: usize| {
        Err(Refusal::field(
            ErrorCode::TooLarge,
            "attributes",
            format_args!("must be at most {limit} {what}"),
        ))
    };
    if attributes.bytes() > bounds.attribute_bytes {
        refuse("bytes of JSON", bounds.attribute_bytes)
    } else if attributes.keys() > bounds.attribute_keys {
        refuse("keys", bounds.attribute_keys)
    } else {
        Ok(())
    }
}

/// Joins less leaves and timeouts.
fn net_joins(events: &[Event]) -> i64 {
    events
        .iter()
        .map(|event| match event {
            Event::Join { .. } => 1,
            Event::Leave { .. } | Event::Timeout { .. } => -1,
            Event::UpdateAttributes { .. } => 0,
        })
        .sum()
}

/// How many of `events` make up the next frame; at least one.
fn frame_length(events: &[Event]) -> usize {
    let mut bytes = 0;
    let fitting = events.iter().take_while(|event| {
        let attributes = match event {
            Event::Join { attributes, .. } | Event::UpdateAttributes { attributes, .. } => {
                attributes.bytes()
            }
            Event::Leave { .. } | Event::Timeout { .. } => 0,
        };
        bytes += OVERHEAD_BYTES + event.user().as_str().len() + attributes;
        bytes <= PART_BYTES
    });
    fitting.count().max(1)
}
