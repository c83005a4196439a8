//! What anybody may ask of a channel.

use std::sync::Arc;

use herenow_protocol::{Since, UserId};

use super::super::{LEASE, Member, Roster, SourceId, Viewer};
use super::Channel;

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

impl Channel {
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
        let lacks = self.unlogged.as_ref().is_some_and(|told| told.concerns(viewer, since.seq));
        (held && !lacks).then_some(next)
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

    /// Whether a lease keeps the user present.
    #[must_use]
    pub fn has_lease(&self, user: &UserId) -> bool {
        self.members.get(user).is_some_and(|membership| membership.has_live(LEASE))
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
