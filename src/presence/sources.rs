//! What keeps a member present comes and goes, and what follows from that.

use herenow_protocol::{LossReason, UserId};

use super::channel::{Change, ChannelState};
use super::command::Transition;
use super::holds::Hold;
use super::member::Membership;
use super::pending::Cause;
use super::source::Source;
use crate::now::Now;

impl ChannelState {
    /// Does what may change the sources of `user`, and sees to what follows from them: how many live
    /// connections are shown, whether the member is away, and what became of this node's own sources,
    /// if they went for the cause that comes with the result. Not for every command: writes of
    /// attributes are the most frequent, and change none of it.
    pub(super) fn with_sources<T>(
        &mut self,
        user: &UserId,
        now: Now,
        told: &mut impl FnMut(Transition<'_>),
        act: impl FnOnce(&mut Self) -> (T, Cause),
    ) -> (T, Cause) {
        let before = self.members.get(user);
        let shown = before.map_or(0, Membership::shown_connections);
        let was_away = before.and_then(|membership| membership.holds.own_away());
        let (result, cause) = act(self);
        let after = self.members.get(user);
        let now_shown = after.map_or(0, Membership::shown_connections);
        self.connections = self.connections - shown + now_shown;
        let is_away = after.and_then(|membership| membership.holds.own_away());
        if after.is_some_and(|membership| membership.member.away != membership.holds.are_away()) {
            self.change_member(user, Change::default(), Cause::Own, now);
        }
        match (was_away, is_away) {
            (None, Some(away)) => told(Transition::Appeared { user, away }),
            (Some(away), None) => told(vanished(user, cause, away, now)),
            (Some(was), Some(away)) if was != away => told(Transition::Turned { user, away }),
            _ => {}
        }
        (result, cause)
    }

    /// Takes out the source. A lost connection with grace (`graced`: if it may have any) stays for that
    /// long.
    pub(super) fn lose(
        &mut self,
        user: &UserId,
        source: Source,
        (reason, graced): (LossReason, bool),
        last_seen: u64,
        now: Now,
    ) {
        let membership = self.members.get_mut(user).filter(|_| graced);
        let ends_ms = membership
            .and_then(|membership| membership.holds.begin_grace(source, reason, last_seen, now));
        let Some(ends_ms) = ends_ms else {
            return self.remove_source(user, source, Cause::Lost(reason, last_seen), now);
        };
        self.look_no_later_than(user, ends_ms);
    }

    pub(super) fn remove_source(&mut self, user: &UserId, source: Source, cause: Cause, now: Now) {
        self.keep_sources(user, |hold| hold.source != source, cause, now);
    }

    pub(super) fn end_grace(&mut self, user: &UserId, cause: Cause, now: Now) {
        self.keep_sources(user, Hold::is_live, cause, now);
    }

    /// Keeps those that `wanted` says; without any the member is gone.
    fn keep_sources(
        &mut self,
        user: &UserId,
        wanted: impl FnMut(&Hold) -> bool,
        cause: Cause,
        now: Now,
    ) {
        let Some(membership) = self.members.get_mut(user) else { return };
        membership.holds.retain(wanted);
        if membership.holds.is_empty() {
            self.remove_member(user, cause, now);
        }
    }
}

/// What is told of this node's own sources of a user, of which the last is gone.
fn vanished(user: &UserId, cause: Cause, away: bool, now: Now) -> Transition<'_> {
    let last_seen = match cause {
        Cause::Lost(_, last_seen) => last_seen,
        Cause::Own | Cause::Expired | Cause::Left(_) => now.unix_ms,
    };
    Transition::Vanished { user, cause, away, last_seen }
}
