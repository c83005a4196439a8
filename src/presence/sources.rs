//! What keeps a member present comes and goes, and what follows from that.

use herenow_protocol::{LossReason, UserId};

use super::channel::ChannelState;
use super::command::Transition;
use super::holds::Hold;
use super::member::Membership;
use super::pending::Cause;
use super::source::Source;
use crate::now::Now;

impl ChannelState {
    /// Does what may change the sources of `user`, and sees to what follows from them: how many live
    /// connections are shown, and whether the member is away. The second result: whether it was,
    /// before. Not for every command: writes of attributes are the most frequent, and change none
    /// of it.
    pub(super) fn with_sources<T>(
        &mut self,
        user: &UserId,
        now: Now,
        told: &mut impl FnMut(Transition<'_>),
        act: impl FnOnce(&mut Self) -> T,
    ) -> (T, bool) {
        let before = self.members.get(user);
        let (shown, was_away) = before.map_or((0, None), |membership| {
            (membership.shown_connections(), Some(membership.member.away))
        });
        let result = act(self);
        let after = self.members.get(user);
        let now_shown = after.map_or(0, Membership::shown_connections);
        self.connections = self.connections - shown + now_shown;
        if let Some(membership) = after {
            let away = membership.holds.are_away();
            if membership.member.away != away {
                self.change_member(user, None, None, None, Cause::Own, now);
            }
            if was_away.is_some_and(|was| was != away) {
                told(Transition::Turned { user, away });
            }
        }
        (result, was_away.unwrap_or_default())
    }

    /// Whether the member vanished. A lost connection with grace (`graced`: if it may have any)
    /// stays for that long.
    pub(super) fn lose(
        &mut self,
        user: &UserId,
        source: Source,
        (reason, graced): (LossReason, bool),
        last_seen: u64,
        now: Now,
    ) -> bool {
        let membership = self.members.get_mut(user).filter(|_| graced);
        let ends_ms = membership
            .and_then(|membership| membership.holds.begin_grace(source, reason, last_seen, now));
        let Some(ends_ms) = ends_ms else {
            return self.remove_source(user, source, Cause::Lost(reason, last_seen), now);
        };
        self.look_no_later_than(user, ends_ms);
        false
    }

    /// Whether the member vanished.
    pub(super) fn remove_source(
        &mut self,
        user: &UserId,
        source: Source,
        cause: Cause,
        now: Now,
    ) -> bool {
        let Some(membership) = self.members.get_mut(user) else { return false };
        membership.holds.retain(|hold| hold.source != source);
        if !membership.holds.is_empty() {
            return false;
        }
        self.remove_member(user, cause, now);
        true
    }

    /// Whether the member vanished.
    pub(super) fn end_grace(&mut self, user: &UserId, cause: Cause, now: Now) -> bool {
        let Some(membership) = self.members.get_mut(user) else { return false };
        membership.holds.retain(Hold::is_live);
        if !membership.holds.is_empty() {
            return false;
        }
        self.remove_member(user, cause, now);
        true
    }
}
