//! What anybody may ask of a channel: as it is, and as observers know it.

use std::sync::Arc;

use herenow_protocol::reply::MAX_RECENT;
use herenow_protocol::{Epoch, Since, UserId, UserStatus};

use super::channel::ChannelState;
use super::frames::members_in_a_part;
use super::member::Member;
use super::roster::{Roster, Standing};
use super::source::{ConnectionId, Source};
use super::tally::Tally;
use super::viewer::Viewer;

/// What keeps a member present, as far as it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// By a live connection, which knows when it was heard last.
    Connection(ConnectionId),
    /// At this moment of the wall clock.
    At(u64),
    /// By another node, which alone knows when.
    Elsewhere,
}

/// One page of a list of members.
#[derive(Debug)]
pub struct Page {
    /// Newest first.
    pub members: Vec<Arc<Member>>,
    /// The cursor for the next page, if there is one.
    pub next: Option<u64>,
}

impl ChannelState {
    /// The history that its seqs count in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What `auto` subscribers are told, since the last tick.
    #[must_use]
    pub fn roster(&self) -> Roster {
        self.roster
    }

    /// The last frame that told of a member that came or went: any count since then still holds.
    #[must_use]
    pub fn moved_seq(&self) -> u64 {
        self.moved_seq
    }

    /// How the channel stands, as far as it matters to what its subscribers are owed.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing { roster: self.roster, moved_seq: self.moved_seq }
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

    /// Whether `viewer` may see anybody.
    #[must_use]
    pub fn shows(&self, viewer: Viewer<'_>) -> bool {
        self.below(u64::MAX, viewer).next().is_some()
    }

    /// The number after which those visible to all are numbered since [`ChannelState::epoch`].
    #[must_use]
    pub fn first_number(&self) -> u64 {
        self.first_number
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

    /// Whether `source` keeps the user present.
    #[must_use]
    pub fn has_source(&self, user: &UserId, source: Source) -> bool {
        self.members.get(user).is_some_and(|membership| membership.has_live(source))
    }

    /// What keeps the user present.
    pub fn sources(&self, user: &UserId) -> impl Iterator<Item = Heard> {
        let holds = self.members.get(user).into_iter().flat_map(|m| &m.holds);
        holds.map(|hold| match (&hold.ends, hold.source) {
            (Some(ends), _) => Heard::At(ends.last_seen),
            (None, Source::Connection(id)) => Heard::Connection(id),
            (None, Source::Lease(_) | Source::Node(_)) => Heard::Elsewhere,
        })
    }

    /// At most `limit` members that joined before the one numbered `after` and that `viewer` may
    /// see, newest first.
    #[must_use]
    pub fn members(&self, limit: usize, after: Option<u64>, viewer: Viewer<'_>) -> Page {
        let mut older = self.below(after.unwrap_or(u64::MAX), viewer);
        let members: Vec<_> = older.by_ref().take(limit).cloned().collect();
        let next = older.next().and_then(|_| members.last()).map(|last| last.number);
        Page { members, next }
    }

    /// The members numbered below `below` that `viewer` may see, newest first.
    fn below<'a>(
        &'a self,
        below: u64,
        viewer: Viewer<'a>,
    ) -> impl Iterator<Item = &'a Arc<Member>> {
        let shown = self.order.range(..below).rev().map(|(_, member)| member);
        let own = match viewer {
            Viewer::User { user, .. } => self.members.get(user).map(|own| &own.member),
            Viewer::Public | Viewer::All => None,
        };
        let hidden = self.hidden.as_ref().map(|hidden| hidden.below(below, viewer, own));
        merged(shown, hidden.into_iter().flatten())
    }

    /// As [`ChannelState::below`], as observers know them: what was touched since the last tick is
    /// as it was before. So what is read here agrees with the log at any moment, not only right
    /// after a tick.
    fn told_below<'a>(
        &'a self,
        below: u64,
        viewer: Viewer<'a>,
    ) -> impl Iterator<Item = &'a Arc<Member>> {
        let touched = self.pending.before();
        let mut before: Vec<_> =
            touched.filter(|member| member.number < below && viewer.sees(member)).collect();
        before.sort_by_key(|member| std::cmp::Reverse(member.number));
        let untouched = |member: &&Arc<Member>| !self.pending.has(&member.user);
        merged(self.below(below, viewer).filter(untouched), before.into_iter())
    }

    /// Number of members visible to all, as observers know them.
    #[must_use]
    pub fn told_count(&self) -> usize {
        let public = |member: &&Arc<Member>| !member.is_restricted();
        let before = self.pending.before().filter(public).count();
        let now = self.pending.users().filter_map(|user| self.members.get(user));
        let now = now.filter(|membership| !membership.member.is_restricted()).count();
        self.order.len() + before - now
    }

    /// The next part of a snapshot, as observers know the members: those numbered below `below`,
    /// as many as one frame takes, and where the part after it begins, if there is one.
    #[must_use]
    pub fn told_part(&self, below: u64, viewer: Viewer<'_>) -> (Vec<Arc<Member>>, Option<u64>) {
        let fitting = members_in_a_part(self.told_below(below, viewer).map(|member| &**member));
        let mut members = self.told_below(below, viewer);
        let part: Vec<_> = members.by_ref().take(fitting).cloned().collect();
        let next = members.next().and_then(|_| part.last()).map(|last| last.number);
        (part, next)
    }

    /// How many there are and the newest of them, as observers know them.
    #[must_use]
    pub fn told_tally(&self) -> Tally {
        let newest = self.told_below(u64::MAX, Viewer::Public).take(MAX_RECENT);
        Tally::new(self.log.next_seq() - 1, self.told_count(), newest)
    }

    /// The user's status, where that is what the channel tells. One that no tick has told yet is
    /// told here already, and once more by the tick.
    #[must_use]
    pub fn told_status(&self) -> Option<&UserStatus> {
        self.status.as_ref().map(|status| &status.is)
    }
}

/// Two lists that run by falling number, as one.
fn merged<'a>(
    one: impl Iterator<Item = &'a Arc<Member>>,
    other: impl Iterator<Item = &'a Arc<Member>>,
) -> impl Iterator<Item = &'a Arc<Member>> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(a), Some(b)) if a.number < b.number => other.next(),
        (None, _) => other.next(),
        _ => one.next(),
    })
}
