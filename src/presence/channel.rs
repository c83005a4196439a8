//! The state of a channel, and the one function that changes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use herenow_protocol::{
    AttributeMap, Attributes, Audience, Epoch, ErrorCode, LossReason, Refusal, UserId, UserStatus,
};

use super::command::{Bounds, Command, Lasts, Transition};
use super::elsewhere::Touch;
use super::hidden::Hidden;
use super::holds::{Ends, Hold, Holds, Said};
use super::log::Log;
use super::member::{Member, Membership, Profile};
use super::pending::{Cause, Pending};
use super::roster::Roster;
use super::shared::Shared;
use super::source::Source;
use super::sum::Summed;
use super::unlogged::Unlogged;
use crate::now::Now;

/// What those who watch a user know of its status.
#[derive(Debug)]
pub(super) struct ToldStatus {
    /// As it is.
    pub(super) is: UserStatus,
    /// Whether subscribers have been told.
    pub(super) told: bool,
}

impl ToldStatus {
    /// Whether a subscriber that knows this knows `status`: when a user was last seen is news only
    /// of a user that is not online.
    fn tells(&self, status: &UserStatus) -> bool {
        let last_seen = if status.online { self.is.last_seen } else { status.last_seen };
        self.is == UserStatus { last_seen, ..status.clone() }
    }
}

/// A channel: its members and what keeps them present, the changes that observers have not been
/// told yet, and the last frames that told them.
#[derive(Debug)]
pub struct ChannelState {
    pub(super) epoch: Epoch,
    pub(super) members: HashMap<UserId, Membership>,
    /// Those visible to all, by their numbers.
    pub(super) order: BTreeMap<u64, Arc<Member>>,
    /// The others. Apart, so that whoever may not see them pays nothing for them; boxed, since most
    /// channels have none.
    pub(super) hidden: Option<Box<Hidden>>,
    pub(super) last_number: u64,
    /// The number after which those visible to all are numbered in this history.
    pub(super) first_number: u64,
    /// The latest moment at which anything happened.
    latest: Now,
    /// Live connections that keep members present that are visible to all.
    pub(super) connections: usize,
    /// Members with something that ends by itself, by when to look at them: one entry each, never
    /// later than the member's deadline, possibly earlier.
    pub(super) due: BTreeSet<(u64, UserId)>,
    pub(super) pending: Pending,
    pub(super) log: Log,
    /// Boxed, since most channels hide nobody.
    pub(super) unlogged: Option<Box<Unlogged>>,
    /// Set where a user's status is told instead of members.
    pub(super) status: Option<Box<ToldStatus>>,
    pub(super) roster: Roster,
    /// The last frame that told of somebody who came or went.
    pub(super) moved_seq: u64,
    /// The last frame that told of what one of the newest members carries, as far as it was noted.
    pub(super) shown_seq: u64,
    /// Whether an observer may know the epoch.
    pub(super) observed: bool,
    /// Others may be members who are not known here.
    pub(super) partial: bool,
    /// Set where other nodes have members of the channel, too. Boxed, since most brokers are alone.
    pub(super) shared: Option<Box<Shared>>,
    /// Set where of other nodes' members nothing else is known.
    pub(super) sum: Option<Box<Summed>>,
}

/// What becomes of a member. What is `None` stays as it was.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) attributes: Option<Attributes>,
    pub(super) info: Option<Attributes>,
    pub(super) visible_to: Option<Audience>,
    /// When it joined, and its number; `None`: as it follows from who may see it.
    pub(super) place: Option<(u64, u64)>,
}

impl ChannelState {
    /// An empty channel whose history begins now.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            members: HashMap::new(),
            order: BTreeMap::new(),
            hidden: None,
            last_number: 0,
            first_number: 0,
            latest: Now { mono_ms: 0, unix_ms: 0 },
            connections: 0,
            due: BTreeSet::new(),
            pending: Pending::default(),
            log: Log::default(),
            unlogged: None,
            status: None,
            roster: Roster::default(),
            moved_seq: 0,
            shown_seq: 0,
            observed: false,
            partial: false,
            shared: None,
            sum: None,
        }
    }

    /// Applies a command whole, or refuses it and changes nothing. The only way in which anything
    /// of a channel changes, time's changes too; a tick merely tells of it. Each member that came or
    /// went is handed to `told`, before the next one: so that a change of one member needs no list.
    ///
    /// # Errors
    /// `channel_full`, `too_large`, `not_joined`.
    pub fn apply(
        &mut self,
        command: Command,
        now: Now,
        bounds: &Bounds,
        mut told: impl FnMut(Transition<'_>),
    ) -> Result<(), Refusal> {
        // Whoever read the clock first may come to the lock last: times run as things happen here.
        let now = if now.mono_ms < self.latest.mono_ms { self.latest } else { now };
        self.latest = now;
        match command {
            Command::Join { user, source, attributes, merge, info, visible_to, away, lasts } => {
                let membership = self.members.get(&user);
                let as_it_was = || membership.and_then(|member| member.holds.away_of(source));
                let away = away.or_else(as_it_was).unwrap_or_default();
                let (hold, ends_ms) = hold_of(source, away, lasts, now);
                let touch = self.touch_of_join(&user, attributes.is_some(), merge);
                let touch =
                    Touch { informed: info.is_some(), shown: visible_to.is_some(), ..touch };
                let attributes = (attributes, merge);
                self.by_own(&user, now, &mut told, |channel| {
                    let join = channel.join(&user, hold, attributes, info, visible_to, now, bounds);
                    (join, Cause::Own)
                })?;
                if let Some(ends_ms) = ends_ms {
                    self.look_no_later_than(&user, ends_ms);
                }
                self.note(&user, &touch);
            }
            Command::SetAway { user, source, away } => {
                self.by_own(&user, now, &mut told, |channel| {
                    let membership = channel.members.get_mut(&user);
                    membership.into_iter().for_each(|one| one.holds.set_away(source, away));
                    ((), Cause::Own)
                });
            }
            Command::Inform { user, info } => {
                let change = Change { info: Some(info), ..Change::default() };
                if self.change_member(&user, change, Cause::Own, now) {
                    self.note(&user, &Touch { informed: true, ..Touch::default() });
                }
            }
            Command::SetAttributes { user, source, attributes, merge, ttl_ms } => {
                let ends = ttl_ms.map(|ttl_ms| now.mono_ms + ttl_ms);
                self.set_attributes(&user, source, &attributes, merge, ends, now, bounds)?;
                self.note(&user, &Touch { wrote: !merge, patched: merge, ..Touch::default() });
            }
            Command::Expire => self.expire(now, told),
            Command::SetStatus(status) => self.set_status(*status),
            Command::KeepOwn(own, touch) => self.keep_own(*own, touch),
            Command::Leave { user, source, reason } => {
                let cause = Cause::Left(reason);
                self.by_own(&user, now, &mut told, |channel| {
                    (channel.remove_source(&user, source, cause, now), cause)
                });
            }
            Command::Lose { user, source, reason, last_seen, graced } => {
                let cause = Cause::Lost(reason, last_seen);
                let how = (reason, graced && reason == LossReason::Connection);
                self.by_own(&user, now, &mut told, |channel| {
                    (channel.lose(&user, source, how, last_seen, now), cause)
                });
            }
            Command::EndGrace { user, reason } => {
                let cause = Cause::Left(reason);
                self.note_end_of_grace(&user);
                self.by_own(&user, now, &mut told, |channel| {
                    (channel.end_grace(&user, cause, now), cause)
                });
            }
            Command::Elsewhere(elsewhere) => self.hear(*elsewhere, now, &mut told),
            Command::Sum(sum) => self.set_sum(sum.map(|sum| *sum)),
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one command")]
    fn join(
        &mut self,
        user: &UserId,
        hold: Hold,
        (written, merge): (Option<AttributeMap>, bool),
        info: Option<Attributes>,
        visible_to: Option<Audience>,
        now: Now,
        bounds: &Bounds,
    ) -> Result<(), Refusal> {
        let membership = self.members.get(user);
        let only_in_grace = membership.is_some_and(|m| !m.holds.iter().any(Hold::is_live));
        // A member that only grace kept starts from what it brings, unless that is merged; a
        // returning tab never wipes what a living one set.
        let brought = match &written {
            Some(written) => Some(wrote(membership, written, merge)),
            None => (only_in_grace && !merge).then_some(Attributes::EMPTY),
        };
        if let Some(attributes) = &brought {
            check_attributes(attributes, bounds)?;
        }
        let Some(membership) = membership else {
            let visible_to = visible_to.unwrap_or_default();
            self.check_room(&visible_to, bounds)?;
            let profile = Profile { info: info.unwrap_or_default(), visible_to };
            let attributes = brought.unwrap_or_default();
            self.insert(user, Holds::One(hold), attributes, profile, None, now);
            return Ok(());
        };
        // What a merging join finds elsewhere, it cannot know here.
        let forgets = only_in_grace && !(merge && self.shared.is_some());
        let visible_to = visible_to.or(forgets.then_some(Audience::EVERYONE));
        let restricted = membership.member.is_restricted();
        if let Some(visible_to) = visible_to.as_ref().filter(|to| to.is_everyone() == restricted) {
            self.check_room(visible_to, bounds)?;
        }
        let Some(membership) = self.members.get_mut(user) else { return Ok(()) };
        membership.holds.retain(|held| held.is_live() && held.source != hold.source);
        membership.holds.push(hold);
        match &written {
            Some(written) if merge => membership.note_written(written, None),
            _ if brought.is_some() => membership.forget_keys(),
            _ => {}
        }
        let change = Change { attributes: brought, info, visible_to, place: None };
        self.change_member(user, change, Cause::Own, now);
        Ok(())
    }

    pub(super) fn insert(
        &mut self,
        user: &UserId,
        holds: Holds,
        attributes: Attributes,
        profile: Profile,
        place: Option<(u64, u64)>,
        now: Now,
    ) {
        // Whoever left and came back before any observer heard of it never left.
        let seen = self.pending.still_seen(user).cloned();
        let (joined_at, number) =
            self.place(user, place, seen.as_deref(), &profile.visible_to, now);
        self.pending.touch(user, None, Cause::Own, now.unix_ms);
        let (profile, away) =
            ((profile != Profile::default()).then(|| Arc::new(profile)), holds.are_away());
        let member = Member { user: user.clone(), attributes, away, joined_at, number, profile };
        let member = Arc::new(member);
        self.list(None, Some(&member));
        self.members.insert(user.clone(), Membership::new(member, holds));
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one command")]
    fn set_attributes(
        &mut self,
        user: &UserId,
        source: Source,
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
        let attributes = wrote(Some(membership), written, merge);
        check_attributes(&attributes, bounds)?;
        if !merge {
            // Deadlines of keys that are no more would pile up: only the keys that attributes may
            // have at once bound them.
            membership.forget_keys();
        }
        membership.note_written(written, deadline);
        let change = Change { attributes: Some(attributes), ..Change::default() };
        self.change_member(user, change, Cause::Own, now);
        if let Some(deadline) = deadline {
            self.look_no_later_than(user, deadline);
        }
        Ok(())
    }

    /// Changes the member, and has it away if all its sources say so. Whether that is news.
    pub(super) fn change_member(
        &mut self,
        user: &UserId,
        change: Change,
        cause: Cause,
        now: Now,
    ) -> bool {
        let Some(membership) = self.members.get(user) else { return false };
        let before = Arc::clone(&membership.member);
        let Change { attributes, info, visible_to, place } = change;
        let attributes = attributes.unwrap_or_else(|| before.attributes.clone());
        let profile = changed_profile(&before, info, visible_to);
        let away = membership.holds.are_away();
        let same = before.away == away
            && before.profile == profile
            && before.attributes == attributes
            && place.is_none_or(|(joined_at, _)| joined_at == before.joined_at);
        if same && place.is_none_or(|(_, number)| number == before.number) {
            return false;
        }
        if !same {
            self.pending.touch(user, Some(&before), cause, now.unix_ms);
        }
        let was = before.profile.as_ref().map(|profile| &profile.visible_to);
        let is = profile.as_ref().map(|profile| &profile.visible_to);
        let (joined_at, number) = if place.is_none() && was == is {
            (before.joined_at, before.number)
        } else {
            let seen = self.pending.still_seen(user).cloned();
            self.place(user, place, seen.as_deref(), is.unwrap_or(&Audience::EVERYONE), now)
        };
        if place.is_some() && number > before.number {
            self.note_leap(before.number, number);
        }
        let user = user.clone();
        let member = Arc::new(Member { user, attributes, away, joined_at, number, profile });
        self.list(Some(&before), Some(&member));
        if let Some(membership) = self.members.get_mut(&member.user) {
            membership.member = member;
        }
        !same
    }

    pub(super) fn remove_member(&mut self, user: &UserId, cause: Cause, now: Now) {
        let Some(gone) = self.members.remove(user) else { return };
        if let Some(due_ms) = gone.due_ms() {
            self.due.remove(&(due_ms, user.clone()));
        }
        self.list(Some(&gone.member), None);
        self.pending.touch(user, Some(&gone.member), cause, now.unix_ms);
        if self.members.is_empty() {
            self.members = HashMap::new();
        }
    }

    /// Has observers told `status` if it differs from what they know.
    fn set_status(&mut self, status: UserStatus) {
        match &mut self.status {
            // Told to whoever comes to watch: of a user that is online it is about now.
            Some(known) if known.tells(&status) => known.is.last_seen = status.last_seen,
            _ => self.status = Some(Box::new(ToldStatus { is: status, told: false })),
        }
    }
}

/// The source that a join brings, and when it ends by itself, if it does.
fn hold_of(source: Source, away: bool, lasts: Lasts, now: Now) -> (Hold, Option<u64>) {
    match lasts {
        Lasts::Connection { grace_ms } => {
            (Hold { source, said: Said::new(grace_ms, away), ends: None }, None)
        }
        Lasts::Lease { ttl_ms } => {
            let (at_ms, last_seen) = (now.mono_ms + ttl_ms, now.unix_ms);
            let ends = Ends { at_ms, reason: LossReason::Lease, last_seen };
            (Hold { source, said: Said::new(0, away), ends: Some(Box::new(ends)) }, Some(at_ms))
        }
    }
}

/// What a member's attributes become by a write.
fn wrote(membership: Option<&Membership>, written: &AttributeMap, merge: bool) -> Attributes {
    match membership.filter(|_| merge) {
        Some(membership) => membership.member.attributes.patched(written),
        None => Attributes::from_map(written),
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
