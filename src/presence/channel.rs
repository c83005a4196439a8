//! A channel's members, and the one way to change them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use herenow_protocol::{
    AttributeMap, Attributes, Audience, ChannelName, Epoch, ErrorCode, Event, LossReason, Refusal,
    ServerFrame, Since, UserId, UserStatus, encode,
};

use super::Now;
use super::command::{Bounds, Change, Command, Lasts};
use super::log::Log;
use super::member::{Ends, Member, Membership, OVERHEAD_BYTES, Profile, Source, SourceId};
use super::pending::{Cause, Pending};
use super::restricted::{Aside, Unlogged};
use super::roster::Roster;
use super::snapshot::{PART_BYTES, View};
use super::tally::Tally;
use super::viewer::Viewer;

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

/// What came of a tick.
#[derive(Debug)]
pub struct Tick {
    /// The frames for everyone; `None`: everyone has nothing to be told.
    pub frames: Option<Bundle>,
    /// What those are told who see more. They are told it instead of the frames for everyone.
    pub aside: Option<Aside>,
}

/// What keeps a member present, as far as it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// By a live connection, which knows when it was heard last.
    Connection(SourceId),
    /// Otherwise, at this moment of the wall clock.
    At(u64),
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
    /// Those visible to all, by their numbers.
    order: BTreeMap<u64, Arc<Member>>,
    /// The others. Apart, so that whoever may not see them pays nothing for them.
    restricted: BTreeMap<u64, Arc<Member>>,
    last_number: u64,
    /// Live connections that keep members present that are visible to all.
    connections: usize,
    /// Members with something that ends by itself, by when to look at them: one entry each, never
    /// later than the member's deadline, possibly earlier.
    due: BTreeSet<(u64, UserId)>,
    pending: Pending,
    log: Log,
    unlogged: Unlogged,
    /// Set where a user's status is told instead of members: what it is, and whether observers have
    /// been told.
    status: Option<Box<(UserStatus, bool)>>,
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
            restricted: BTreeMap::new(),
            last_number: 0,
            connections: 0,
            due: BTreeSet::new(),
            pending: Pending::default(),
            log: Log::default(),
            unlogged: Unlogged::default(),
            status: None,
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
        let user = command.user().clone();
        let before = self.shown_connections(&user);
        let change = self.apply_command(command, now, bounds);
        self.connections = self.connections - before + self.shown_connections(&user);
        change
    }

    fn shown_connections(&self, user: &UserId) -> usize {
        self.members.get(user).map_or(0, Membership::shown_connections)
    }

    fn apply_command(
        &mut self,
        command: Command,
        now: Now,
        bounds: &Bounds,
    ) -> Result<Change, Refusal> {
        match command {
            Command::Join { user, source, attributes, info, visible_to, lasts } => {
                let (source, ends_ms) = source_of(source, lasts, now);
                let change = self.join(&user, source, attributes, info, visible_to, now, bounds)?;
                if let Some(ends_ms) = ends_ms {
                    self.look_no_later_than(&user, ends_ms);
                }
                Ok(change)
            }
            Command::Leave { user, source, reason } => {
                Ok(self.remove_source(&user, source, Cause::Left(reason), now))
            }
            Command::Lose { user, source, reason, last_seen } => {
                Ok(self.lose(&user, source, reason, last_seen, now))
            }
            Command::Inform { user, info } => {
                self.change_member(&user, None, Some(info), None, Cause::Own, now);
                Ok(Change::Stayed)
            }
            Command::EndGrace { user, reason } => {
                Ok(self.end_grace(&user, Cause::Left(reason), now))
            }
            Command::SetAttributes { user, source, attributes, merge, ttl_ms } => {
                let deadline = ttl_ms.map(|ttl_ms| now.mono_ms + ttl_ms);
                self.set_attributes(&user, source, &attributes, merge, deadline, now, bounds)?;
                Ok(Change::Stayed)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one command")]
    fn join(
        &mut self,
        user: &UserId,
        source: Source,
        attributes: Option<AttributeMap>,
        info: Option<Attributes>,
        visible_to: Option<Audience>,
        now: Now,
        bounds: &Bounds,
    ) -> Result<Change, Refusal> {
        let brought = attributes.map(|map| Attributes::from_map(&map));
        if let Some(attributes) = &brought {
            check_attributes(attributes, bounds)?;
        }
        let Some(membership) = self.members.get_mut(user) else {
            if self.members.len() >= bounds.members {
                return Err(Refusal::field(
                    ErrorCode::ChannelFull,
                    "channel",
                    format_args!("holds {} members, and that is the limit", bounds.members),
                ));
            }
            let profile = Profile {
                info: info.unwrap_or_default(),
                visible_to: visible_to.unwrap_or_default(),
            };
            self.insert(user, source, brought.unwrap_or_default(), profile, now);
            return Ok(Change::Appeared);
        };
        let only_in_grace = !membership.sources.iter().any(Source::is_live);
        membership.sources.retain(|s| s.is_live() && s.id != source.id);
        membership.sources.push(source);
        // A member that only grace kept starts from what it brings; a returning tab never wipes
        // what a living one set.
        let brought = brought.or(only_in_grace.then_some(Attributes::EMPTY));
        let visible_to = visible_to.or(only_in_grace.then_some(Audience::EVERYONE));
        if brought.is_some() {
            membership.key_deadlines = None;
        }
        self.change_member(user, brought, info, visible_to, Cause::Own, now);
        Ok(Change::Stayed)
    }

    fn insert(
        &mut self,
        user: &UserId,
        source: Source,
        attributes: Attributes,
        profile: Profile,
        now: Now,
    ) {
        // Whoever left and came back before any observer heard of it never left.
        let (number, joined_at) = match self.pending.still_seen(user) {
            Some(seen) => (seen.number, seen.joined_at),
            None => (self.next_number(&profile.visible_to), now.unix_ms),
        };
        self.pending.touch(user, None, Cause::Own, now.unix_ms);
        let profile = (profile != Profile::default()).then(|| Arc::new(profile));
        let member = Member { user: user.clone(), attributes, joined_at, number, profile };
        let member = Arc::new(member);
        self.list(&member);
        let membership =
            Membership { member, sources: vec![source], key_deadlines: None, due_ms: None };
        self.members.insert(user.clone(), membership);
    }

    /// The number of the next join. A cursor into a list is such a number, so members that not
    /// everyone may see are numbered in the gaps between the others: nobody can count them.
    fn next_number(&mut self, visible_to: &Audience) -> u64 {
        const STEP: u64 = 1 << 20;
        self.last_number = if visible_to.is_everyone() {
            (self.last_number / STEP + 1) * STEP
        } else {
            self.last_number + 1
        };
        self.last_number
    }

    /// Puts the member into the list in which it belongs.
    fn list(&mut self, member: &Arc<Member>) {
        let (in_list, other) = if member.is_restricted() {
            (&mut self.restricted, &mut self.order)
        } else {
            (&mut self.order, &mut self.restricted)
        };
        in_list.insert(member.number, Arc::clone(member));
        other.remove(&member.number);
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
                reason == LossReason::Connection && source.grace_ms > 0 && source.ends.is_none();
            graced.then_some(source)
        });
        let Some(source_in_grace) = in_grace else {
            return self.remove_source(user, source, Cause::Lost(reason, last_seen), now);
        };
        let at_ms = now.mono_ms + source_in_grace.grace_ms;
        source_in_grace.ends = Some(Box::new(Ends { at_ms, reason, last_seen }));
        self.look_no_later_than(user, at_ms);
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
        self.change_member(user, Some(attributes), None, None, Cause::Own, now);
        if let Some(deadline) = deadline {
            self.look_no_later_than(user, deadline);
        }
        Ok(())
    }

    /// Gives the member what is not `None`.
    fn change_member(
        &mut self,
        user: &UserId,
        attributes: Option<Attributes>,
        info: Option<Attributes>,
        visible_to: Option<Audience>,
        cause: Cause,
        now: Now,
    ) {
        let Some(membership) = self.members.get_mut(user) else { return };
        let before = Arc::clone(&membership.member);
        let attributes = attributes.unwrap_or_else(|| before.attributes.clone());
        let profile = changed_profile(&before, info, visible_to);
        if before.attributes == attributes && before.profile == profile {
            return;
        }
        self.pending.touch(user, Some(&before), cause, now.unix_ms);
        let (joined_at, number) = (before.joined_at, before.number);
        let user = user.clone();
        membership.member = Arc::new(Member { user, attributes, joined_at, number, profile });
        let member = Arc::clone(&membership.member);
        self.list(&member);
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
        self.restricted.remove(&gone.member.number);
        self.pending.touch(user, Some(&gone.member), cause, now.unix_ms);
        if self.members.is_empty() {
            self.members = HashMap::new();
        }
    }

    fn end_grace(&mut self, user: &UserId, cause: Cause, now: Now) -> Change {
        let Some(membership) = self.members.get_mut(user) else { return Change::Stayed };
        membership.sources.retain(Source::is_live);
        if !membership.sources.is_empty() {
            return Change::Stayed;
        }
        self.remove_member(user, cause, now);
        Change::Vanished
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

    /// Ends what ends by itself: graces, leases, keys, old frames. Tells which users vanished, and
    /// when each was last heard, by the wall clock.
    pub fn expire(&mut self, now: Now) -> Vec<(UserId, u64)> {
        self.log.trim(now.mono_ms);
        let mut vanished = Vec::new();
        while self.due.first().is_some_and(|&(due_ms, _)| due_ms <= now.mono_ms) {
            let Some((_, user)) = self.due.pop_first() else { break };
            let before = self.shown_connections(&user);
            let gone = self.expire_member(&user, now);
            self.connections = self.connections - before + self.shown_connections(&user);
            vanished.extend(gone.map(|last_seen| (user, last_seen)));
        }
        vanished
    }

    /// When the member was last heard, if it vanished.
    fn expire_member(&mut self, user: &UserId, now: Now) -> Option<u64> {
        let membership = self.members.get_mut(user)?;
        membership.due_ms = None;
        let ended = membership
            .sources
            .extract_if(.., |s| s.ends_ms().is_some_and(|at_ms| at_ms <= now.mono_ms))
            .filter_map(|source| source.ends)
            .max_by_key(|ends| ends.last_seen);
        if let (Some(ended), true) = (ended, membership.sources.is_empty()) {
            self.remove_member(user, Cause::Lost(ended.reason, ended.last_seen), now);
            return Some(ended.last_seen);
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
            self.change_member(user, Some(left), None, None, Cause::Expired, now);
        }
        if let Some(deadline) = deadline {
            self.look_no_later_than(user, deadline);
        }
        None
    }

    /// Whether a tick might have something to tell.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.pending.is_empty() || self.status.as_ref().is_some_and(|status| !status.1)
    }

    /// Turns what happened since the last tick into frames, and decides whether there are too many
    /// members to be told one by one.
    pub fn tick(&mut self, channel: &ChannelName, now: Now, bounds: &Bounds) -> Tick {
        self.roster = self.roster.next(self.order.len(), bounds.roster);
        if let Some(status) = self.untold_status() {
            return Tick { frames: Some(self.log_frame(&status, now)), aside: None };
        }
        let changed = self.pending.take(|user| self.members.get(user).map(|m| &m.member));
        let first_seq = self.log.next_seq();
        let events = changed.iter().filter_map(|changed| changed.event_for(Viewer::Public));
        let frames = self.log_events(channel, events.collect(), now);
        let count = self.order.len() as u64;
        let aside = Aside::new(changed, first_seq, self.log.next_seq(), count);
        if let Some(aside) = &aside {
            self.unlogged.note(aside, self.log.oldest_seq());
        }
        Tick { frames, aside }
    }

    /// The frames that tell `events` to everyone: one, unless they would take more than about
    /// [`PART_BYTES`](super::snapshot::PART_BYTES).
    fn log_events(
        &mut self,
        channel: &ChannelName,
        mut events: Vec<Event>,
        now: Now,
    ) -> Option<Bundle> {
        let first_seq = self.log.next_seq();
        let moved = events.iter().any(|event| net_joins(std::slice::from_ref(event)) != 0);
        let mut bytes = Vec::new();
        // The members before this tick; each frame tells how many there are after it.
        let mut count = self.order.len() as i64 - net_joins(&events);
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

    fn log_frame(&mut self, frame: &ServerFrame, now: Now) -> Bundle {
        let first_seq = self.log.next_seq();
        let mut bytes = Vec::new();
        encode::text_message(frame, &mut bytes);
        self.log.append(&bytes, now.mono_ms);
        Bundle { first_seq, next_seq: self.log.next_seq(), bytes }
    }

    /// Has observers told `status` if it differs from what they know: when a user was last seen is
    /// news only of one who is not there.
    pub fn set_status(&mut self, status: UserStatus) {
        let same = self.status.as_ref().is_some_and(|known| {
            let (known, _) = &**known;
            let last_seen = if status.online { known.last_seen } else { status.last_seen };
            *known == UserStatus { last_seen, ..status.clone() }
        });
        match &mut self.status {
            // Told to whoever comes to watch: of one who is there it is about now.
            Some(known) if same => known.0.last_seen = status.last_seen,
            _ => self.status = Some(Box::new((status, false))),
        }
    }

    fn untold_status(&mut self) -> Option<ServerFrame> {
        let (status, told) = &mut **self.status.as_mut()?;
        (!std::mem::replace(told, true)).then(|| ServerFrame::Status { status: status.clone() })
    }

    /// The members as they are. Agrees with the log only right after a tick.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            epoch: self.epoch,
            seq: self.log.next_seq() - 1,
            members: self.order.values().rev().cloned().collect(),
            restricted: self.restricted.values().rev().cloned().collect(),
            status: self.status.as_ref().map(|status| Box::new(status.0.clone())),
        }
    }

    /// How many there are, and the newest of them. As with [`Channel::view`], at a tick only.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally::new(self.log.next_seq() - 1, self.order.len(), self.order.values().rev())
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
    pub fn resume(&self, since: Since, viewer: Viewer<'_>) -> Option<u64> {
        let next = since.seq.checked_add(1)?;
        let held = since.epoch == self.epoch && self.log.since(next).is_some();
        (held && !self.unlogged.concerns(viewer, since.seq)).then_some(next)
    }

    /// Number of members visible to all.
    #[must_use]
    pub fn count(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no member at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Live connections that keep members present that are visible to all.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// The member, if the user is one that `viewer` may see.
    #[must_use]
    pub fn member(&self, user: &UserId, viewer: Viewer<'_>) -> Option<&Arc<Member>> {
        let member = self.members.get(user).map(|membership| &membership.member)?;
        viewer.sees(member).then_some(member)
    }

    /// What keeps the user present.
    pub fn sources(&self, user: &UserId) -> impl Iterator<Item = Heard> {
        let sources = self.members.get(user).into_iter().flat_map(|m| &m.sources);
        sources.map(|source| match &source.ends {
            Some(ends) => Heard::At(ends.last_seen),
            None => Heard::Connection(source.id),
        })
    }

    /// At most `limit` members that joined before the one numbered `after` and that `viewer` may
    /// see, newest first.
    #[must_use]
    pub fn members(&self, limit: usize, after: Option<u64>, viewer: Viewer<'_>) -> Page {
        let before = ..after.unwrap_or(u64::MAX);
        let mut shown = self.order.range(before).rev().map(|(_, member)| member).peekable();
        let restricted = self.restricted.range(before).rev().map(|(_, member)| member);
        let mut restricted = restricted.filter(|member| viewer.sees(member)).peekable();
        let mut older = std::iter::from_fn(|| match (shown.peek(), restricted.peek()) {
            (Some(a), Some(b)) if a.number < b.number => restricted.next(),
            (None, _) => restricted.next(),
            _ => shown.next(),
        });
        let members: Vec<_> = older.by_ref().take(limit).cloned().collect();
        let next = older.next().and_then(|_| members.last()).map(|last| last.number);
        Page { members, next }
    }
}

/// The source that a join brings, and when it ends by itself, if it does.
fn source_of(id: SourceId, lasts: Lasts, now: Now) -> (Source, Option<u64>) {
    match lasts {
        Lasts::Connection { grace_ms } => (Source { id, grace_ms, ends: None }, None),
        Lasts::Lease { ttl_ms } => {
            let (at_ms, last_seen) = (now.mono_ms + ttl_ms, now.unix_ms);
            let ends = Ends { at_ms, reason: LossReason::Lease, last_seen };
            (Source { id, grace_ms: 0, ends: Some(Box::new(ends)) }, Some(at_ms))
        }
    }
}

/// The member's profile with what is not `None`.
fn changed_profile(
    before: &Member,
    info: Option<Attributes>,
    visible_to: Option<Audience>,
) -> Option<Arc<Profile>> {
    if info.is_none() && visible_to.is_none() {
        return before.profile.clone();
    }
    let was = before.profile.as_deref().cloned().unwrap_or_default();
    let profile = Profile {
        info: info.unwrap_or(was.info),
        visible_to: visible_to.unwrap_or(was.visible_to),
    };
    (profile != Profile::default()).then(|| Arc::new(profile))
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

/// How many of `events` make up the next frame; at least one, if there is one.
pub(super) fn frame_length(events: &[Event]) -> usize {
    let mut bytes = 0;
    let fitting = events.iter().take_while(|event| {
        let written = match event {
            Event::Join { attributes, info, .. } => attributes.bytes() + info.bytes(),
            Event::UpdateAttributes { attributes, info, .. } => {
                attributes.bytes() + info.as_ref().map_or(0, Attributes::bytes)
            }
            Event::Leave { .. } | Event::Timeout { .. } => 0,
        };
        bytes += OVERHEAD_BYTES + event.user().as_str().len() + written;
        bytes <= PART_BYTES
    });
    fitting.count().max(usize::from(!events.is_empty()))
}
