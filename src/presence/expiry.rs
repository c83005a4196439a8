//! What of a channel ends because time passes: graces, leases, keys of attributes, old frames.
//!
//! Each member with something that ends stands in one ordered set, by when to look at it. A
//! deadline that moves to a later time moves nothing there: whoever looks early arms again.

use herenow_protocol::UserId;

use super::channel::{ChannelState, vanished};
use super::command::Transition;
use super::pending::Cause;
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

    /// When [`Command::Expire`](super::command::Command::Expire) has something to do next.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        let due = self.due.first().map(|&(due_ms, _)| due_ms);
        due.into_iter().chain(self.log.deadline()).min()
    }

    /// Ends what ends by itself: graces, leases, keys, old frames.
    pub(super) fn expire(&mut self, now: Now, mut told: impl FnMut(Transition<'_>)) {
        self.log.trim(now.mono_ms);
        while self.due.first().is_some_and(|&(due_ms, _)| due_ms <= now.mono_ms) {
            let Some((_, user)) = self.due.pop_first() else { break };
            let gone = self.recount(&user, |channel| channel.expire_member(&user, now));
            if let Some(cause) = gone {
                told(vanished(&user, cause, now));
            }
        }
    }

    /// Why the member vanished, if it did.
    fn expire_member(&mut self, user: &UserId, now: Now) -> Option<Cause> {
        let membership = self.members.get_mut(user)?;
        let keys = membership.take_due_keys(now.mono_ms);
        let ended = membership
            .holds
            .extract_if(.., |hold| hold.ends_ms().is_some_and(|at_ms| at_ms <= now.mono_ms))
            .filter_map(|hold| hold.ends)
            .max_by_key(|ends| ends.last_seen);
        if let (Some(ended), true) = (ended, membership.holds.is_empty()) {
            let cause = Cause::Lost(ended.reason, ended.last_seen);
            self.remove_member(user, cause, now);
            return Some(cause);
        }
        let deadline = membership.deadline();
        // Taking keys out means parsing the attributes. Often none is due: a grace ended beside a
        // living source, or a later write of the key moved its deadline.
        if !keys.is_empty() {
            let left = membership.member.attributes.without(keys.iter().map(|key| &**key));
            self.change_member(user, Some(left), None, None, Cause::Expired, now);
        }
        if let Some(deadline) = deadline {
            self.look_no_later_than(user, deadline);
        }
        None
    }
}
