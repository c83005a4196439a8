//! What of a channel ends because time passes: graces, leases, keys of attributes, old frames.
//!
//! Each member with something that ends stands in one ordered set, by when to look at it. A
//! deadline that moves to a later time moves nothing there: whoever looks early arms again.

use herenow_protocol::UserId;

use super::channel::{Change, ChannelState};
use super::command::Transition;
use super::pending::Cause;
use crate::limits::EXPIRY_BATCH;
use crate::now::Now;

impl ChannelState {
    pub(super) fn look_no_later_than(&mut self, user: &UserId, deadline_ms: u64) {
        let Some(membership) = self.members.get_mut(user) else { return };
        match membership.due_ms() {
            Some(due_ms) if due_ms <= deadline_ms => return,
            Some(due_ms) => self.due.remove(&(due_ms, user.clone())),
            None => false,
        };
        membership.set_due_ms(deadline_ms);
        self.due.insert((deadline_ms, user.clone()));
    }

    /// Bytes of memory that the last frames take.
    #[must_use]
    pub fn log_memory(&self) -> usize {
        self.log.memory()
    }

    /// Drops the last frames: memory is needed elsewhere. Who lacks one takes a snapshot.
    pub fn forget_log(&mut self) {
        self.log.clear();
    }

    /// When [`Command::Expire`](super::command::Command::Expire) has something to do next.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        let due = self.due.first().map(|&(due_ms, _)| due_ms);
        due.into_iter().chain(self.log.deadline()).min()
    }

    /// Ends what ends by itself: graces, leases, keys, old frames. Of members only so many as one
    /// hold of the channel's lock should take; [`ChannelState::deadline`] says whether more are due.
    pub(super) fn expire(&mut self, now: Now, mut told: impl FnMut(Transition<'_>)) {
        self.log.trim(now.mono_ms);
        for _ in 0..EXPIRY_BATCH {
            let due = self.due.first().is_some_and(|&(due_ms, _)| due_ms <= now.mono_ms);
            let Some((_, user)) = due.then(|| self.due.pop_first()).flatten() else { break };
            self.by_own(&user, now, &mut told, |channel| {
                let ended = channel.expire_member(&user, now);
                ((), ended.unwrap_or(Cause::Expired))
            });
        }
    }

    /// How the last of the sources that ended was lost, if one did.
    fn expire_member(&mut self, user: &UserId, now: Now) -> Option<Cause> {
        let membership = self.members.get_mut(user)?;
        let keys = membership.take_due_keys(now.mono_ms);
        let ended = membership.holds.end_due(now.mono_ms);
        let ended = ended.map(|ended| Cause::Lost(ended.reason, ended.last_seen));
        if let Some(cause) = ended.filter(|_| membership.holds.is_empty()) {
            self.remove_member(user, cause, now);
            return Some(cause);
        }
        let deadline = membership.deadline();
        // Taking keys out means parsing the attributes. Often none is due: a grace ended beside a
        // living source, or a later write of the key moved its deadline.
        if !keys.is_empty() {
            let left = membership.member.attributes.without(keys.iter().map(|key| &**key));
            let change = Change { attributes: Some(left), ..Change::default() };
            self.change_member(user, change, Cause::Expired, now);
        }
        if let Some(deadline) = deadline {
            self.look_no_later_than(user, deadline);
        }
        ended
    }
}
