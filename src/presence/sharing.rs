//! What this node has to tell others of a channel: what its own commands changed of its own part.

use herenow_protocol::UserId;

use super::channel::ChannelState;
use super::command::Transition;
use super::elsewhere::{Own, Touch};
use super::holds::Hold;
use super::pending::Cause;
use super::snapshot::Rest;
use super::source::{Keeper, OwnMark, Source};
use crate::now::Now;

/// What is compared before and after a command: what this node has of a user, and all leases, since
/// those of others can be ended here.
#[derive(Default, PartialEq, Eq)]
struct Held {
    mark: Option<OwnMark>,
    /// Whose, when it ends if it is timed here, and whether the user is away from it.
    leases: Vec<(Keeper, Option<u64>, bool)>,
}

impl Held {
    fn is_own(&self) -> bool {
        self.mark.is_some() || self.leases.iter().any(|(_, ends, _)| ends.is_some())
    }
}

impl ChannelState {
    /// Other nodes have members of this channel, too: from now on it notes what its own commands do,
    /// and numbers whoever comes provisionally.
    pub fn share(&mut self) {
        self.shared.get_or_insert_default();
    }

    /// Takes out what own commands did since the last look, in the order in which the users were
    /// touched. Nothing in a channel that is not shared.
    pub fn take_touched(&mut self) -> Vec<(UserId, Touch)> {
        self.shared.as_mut().map(|shared| shared.take_touched()).unwrap_or_default()
    }

    /// Whether own commands did something since the last look.
    #[must_use]
    pub fn has_touched(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.has_touched())
    }

    /// What this node itself has of the user; `None`: the user is no member here, by no node.
    #[must_use]
    pub fn own(&self, user: &UserId) -> Option<Own> {
        let status = self.shared.as_ref().and_then(|shared| shared.status.as_deref());
        if let Some(own) = status.filter(|own| own.member.user == *user) {
            return Some(own.clone());
        }
        let membership = self.members.get(user)?;
        let leases = membership.holds.leases();
        Some(Own {
            member: membership.member.clone(),
            mark: membership.holds.own_mark(),
            leases: leases.filter_map(|(keeper, ends, away)| Some((keeper, ends?, away))).collect(),
            ends: membership.key_ends(),
        })
    }

    /// As [`ChannelState::with_sources`], for what a command of this node's own does: what it changed
    /// of what [`ChannelState::own`] says is noted.
    pub(super) fn by_own<T>(
        &mut self,
        user: &UserId,
        now: Now,
        told: &mut impl FnMut(Transition<'_>),
        act: impl FnOnce(&mut Self) -> (T, Cause),
    ) -> T {
        let before = self.shared.is_some().then(|| self.held(user));
        let (result, cause) = self.with_sources(user, now, told, act);
        let Some(before) = before else { return result };
        let (after, gone) = (self.held(user), !self.members.contains_key(user));
        if before == after {
            return result;
        }
        let Some(shared) = &mut self.shared else { return result };
        let touch = shared.touch(user);
        if gone {
            // What it was went with it: nobody is told of it any more.
            *touch = Touch {
                ended: std::mem::take(&mut touch.ended),
                ended_grace: touch.ended_grace,
                ..Touch::default()
            };
        }
        let is_held = |keeper| after.leases.iter().any(|&(held, ..)| held == keeper);
        touch.ended.retain(|&(keeper, _)| !is_held(keeper));
        let ran_out = matches!(cause, Cause::Lost(..));
        for (keeper, ..) in before.leases.iter().filter(|&&(keeper, ..)| !is_held(keeper)) {
            touch.ended.push((*keeper, ran_out));
        }
        match (before.is_own(), after.is_own()) {
            (_, true) => touch.why = None,
            (true, false) => touch.why = Some(cause),
            (false, false) => {}
        }
        result
    }

    /// The channel tells a user's status: this is what this node has of that user.
    pub(super) fn keep_own(&mut self, own: Own, touch: Touch) {
        let user = own.member.user.clone();
        let Some(shared) = &mut self.shared else { return };
        let before = shared.status.replace(Box::new(own));
        let before = before.map(|before| before.mark);
        let now = shared.status.as_ref().map(|own| own.mark);
        // Why it went is no news by itself.
        let why = touch
            .why
            .filter(|_| before != now || touch != Touch { why: touch.why, ..Touch::default() });
        let touch = Touch { why, ..touch };
        if before != now || touch != Touch::default() {
            shared.touch(&user).why = touch.why;
            self.note(&user, &touch);
        }
    }

    /// Whether the channel tells the status of a user who is online here, so that other nodes are told.
    #[must_use]
    pub fn keeps_own(&self) -> bool {
        let status = self.shared.as_ref().and_then(|shared| shared.status.as_deref());
        status.is_some_and(|own| own.mark.is_some())
    }

    fn held(&self, user: &UserId) -> Held {
        let Some(membership) = self.members.get(user) else { return Held::default() };
        let holds = &membership.holds;
        Held { mark: holds.own_mark(), leases: holds.leases().collect() }
    }

    /// What a join says, before it is done.
    pub(super) fn touch_of_join(&self, user: &UserId, writes: bool, merge: bool) -> Touch {
        if self.shared.is_none() {
            return Touch::default();
        }
        let membership = self.members.get(user);
        let came = !membership.is_some_and(|membership| membership.holds.have_own_live());
        Touch {
            wrote: writes && !merge,
            patched: writes && merge,
            fresh: came && !merge,
            ..Touch::default()
        }
    }

    /// Notes more of what an own command did.
    pub(super) fn note(&mut self, user: &UserId, more: &Touch) {
        let Some(shared) = &mut self.shared else { return };
        let touch = shared.touch(user);
        touch.wrote |= more.wrote;
        touch.patched = !touch.wrote && (touch.patched || more.patched);
        touch.informed |= more.informed;
        touch.shown |= more.shown;
        touch.fresh |= more.fresh;
    }

    /// Notes that an own command gave the member another place in the lists.
    pub(super) fn note_placed(&mut self, user: &UserId) {
        if let Some(shared) = &mut self.shared {
            shared.touch(user).placed = true;
        }
    }

    /// Notes that a member stands higher in the lists, without an event that tells all of it.
    pub(super) fn note_leap(&mut self, from: u64, to: u64) {
        let seq = self.log.next_seq() - 1;
        if let Some(shared) = &mut self.shared {
            shared.note_leap(seq, (from, to));
        }
    }

    /// The last seq when a member got a larger number, past whoever reads a snapshot and has come to
    /// `rest`. If the snapshot began at that seq or before, the member may not be in it: to be asked
    /// before each part but the first.
    #[must_use]
    pub fn last_leap(&self, rest: Rest) -> Option<u64> {
        let (Rest::Public(below) | Rest::Own(below)) = rest;
        self.shared.as_ref()?.last_leap(below)
    }

    /// Notes that what merely grace keeps is to be ended, where it is other nodes that keep it.
    pub(super) fn note_end_of_grace(&mut self, user: &UserId) {
        let Some(shared) = &mut self.shared else { return };
        let elsewhere = |hold: &Hold| matches!(hold.source, Source::Node(_)) && !hold.is_live();
        let membership = self.members.get(user);
        if membership.is_some_and(|membership| membership.holds.iter().any(elsewhere)) {
            shared.touch(user).ended_grace = true;
        }
    }
}
