//! What a channel hears of its members from other nodes.

use herenow_protocol::LossReason;

use super::channel::{Change, ChannelState};
use super::command::Transition;
use super::elsewhere::{Elsewhere, HeldElsewhere, ValueElsewhere};
use super::holds::{Ends, Hold, Holds, Said};
use super::lists::MAX_NUMBER;
use super::member::Profile;
use super::pending::Cause;
use super::source::Source;
use crate::now::Now;

impl ChannelState {
    /// Replaces what other nodes have of a member. What is noted for others is what is done here, so
    /// nothing of it.
    pub(super) fn hear(
        &mut self,
        heard: Elsewhere,
        now: Now,
        told: &mut impl FnMut(Transition<'_>),
    ) {
        let user = heard.user.clone();
        self.with_sources(&user, now, told, |channel| {
            let before = channel.members.get_mut(&user);
            let before =
                before.map(|membership| std::mem::replace(&mut membership.holds, Holds::NONE));
            let holds = held(before.unwrap_or(Holds::NONE), &heard, now);
            if holds.is_empty() {
                channel.remove_member(&user, heard.cause, now);
                return ((), heard.cause);
            }
            channel.take_value(holds, heard, now);
            ((), Cause::Own)
        });
    }

    /// Has the member be what is told of it, and kept present by `holds`.
    fn take_value(&mut self, holds: Holds, heard: Elsewhere, now: Now) {
        let Elsewhere { user, value, .. } = heard;
        let ValueElsewhere { attributes, info, visible_to, joined_at, number } = value;
        let number = number.map(|number| number.min(MAX_NUMBER));
        // Keys whose time has come already are never seen.
        let (attributes, key_ends) = attributes.map_or((None, None), |(attributes, ends)| {
            let (due, ends): (Vec<_>, Vec<_>) =
                ends.into_iter().partition(|&(_, at_ms)| at_ms <= now.mono_ms);
            let due = || due.iter().map(|(key, _)| &**key);
            let left = if due().next().is_some() { attributes.without(due()) } else { attributes };
            (Some(left), Some(ends))
        });
        if let Some(membership) = self.members.get_mut(&user) {
            membership.holds = holds;
            let member = &membership.member;
            let place = (joined_at.unwrap_or(member.joined_at), number.unwrap_or(member.number));
            let change = Change { attributes, info, visible_to, place: Some(place) };
            self.change_member(&user, change, Cause::Own, now);
        } else {
            let profile = Profile {
                info: info.unwrap_or_default(),
                visible_to: visible_to.unwrap_or_default(),
            };
            // A place that is chosen here would be said to the others as one of our own.
            let number = number.unwrap_or_else(|| self.next_number(&profile.visible_to));
            let place = Some((joined_at.unwrap_or(now.unix_ms), number));
            self.insert(&user, holds, attributes.unwrap_or_default(), profile, place, now);
        }
        let Some(membership) = self.members.get_mut(&user) else { return };
        if let Some(ends) = key_ends {
            membership.set_key_ends(ends);
        }
        if let Some(deadline) = membership.deadline() {
            self.look_no_later_than(&user, deadline);
        }
    }
}

/// What keeps the member present from now on.
fn held(mut holds: Holds, heard: &Elsewhere, now: Now) -> Holds {
    holds.retain(|hold| match hold.source {
        Source::Connection(_) => hold.is_live() || !heard.ends_grace,
        Source::Lease(keeper) => {
            hold.is_own()
                && !heard.gave.contains(&keeper)
                && !heard.took.iter().any(|&(taken, ..)| taken == keeper)
        }
        Source::Node(_) => false,
    });
    for &(keeper, at_ms, away) in &heard.took {
        let ends = Ends { at_ms, reason: LossReason::Lease, last_seen: now.unix_ms };
        let source = Source::Lease(keeper);
        holds.push(Hold { source, said: Said::new(0, away), ends: Some(Box::new(ends)) });
    }
    for &HeldElsewhere { source, connections, away, ends } in &heard.held {
        let ends = ends.map(|(at_ms, reason, last_seen)| Ends { at_ms, reason, last_seen });
        let (connections, ends) = match source {
            Source::Node(_) => (u64::from(connections), ends.map(Box::new)),
            // Without an end, whatever is said: that is what makes it another node's.
            Source::Lease(_) => (0, None),
            Source::Connection(_) => continue,
        };
        // A lease that is timed here is so until it was given away.
        if !holds.iter().any(|hold| hold.source == source) {
            holds.push(Hold { source, said: Said::new(connections, away), ends });
        }
    }
    holds
}
