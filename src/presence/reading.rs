//! What anybody may ask of a channel: as it is, and as observers know it.

use std::sync::Arc;

use herenow_protocol::request::MAX_RECENT;
use herenow_protocol::{Epoch, Since, UserId, UserStatus};

use super::channel::ChannelState;
use super::member::{Member, OVERHEAD_BYTES};
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
    /// The channel's history, and the last frame in it: all that it told is in the page, and what the
    /// next one will tell may be. `None`: nobody is there whom everyone may see.
    pub place: Option<(Epoch, u64)>,
}

impl Page {
    /// Whether everyone may see all who stand in it.
    #[must_use]
    pub fn is_for_all(&self) -> bool {
        !self.members.iter().any(|member| member.is_restricted())
    }
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
        Standing { roster: self.roster, moved_seq: self.moved_seq, shown_seq: self.shown_seq }
    }

    /// The frames that a subscriber lacks whose next is `seq`; `None` if they are gone.
    #[must_use]
    pub fn since(&self, seq: u64) -> Option<&[u8]> {
        self.log.since(seq)
    }

    /// As [`ChannelState::since`]: the first of these frames, as many as `bytes` hold and at least one
    /// if there is one, and the seq that comes after them.
    #[must_use]
    pub fn first_since(&self, seq: u64, bytes: usize) -> Option<(&[u8], u64)> {
        self.log.first_since(seq, bytes)
    }

    /// When the log's last frame was told, in milliseconds of the broker's clock.
    #[must_use]
    pub fn told_ms(&self) -> Option<u64> {
        self.log.told_ms()
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
        self.sum.as_ref().map_or(self.order.len(), |sum| sum.is.count)
    }

    /// Whether `viewer` may see anybody.
    #[must_use]
    pub fn shows(&self, viewer: Viewer<'_>) -> bool {
        self.sum.as_ref().is_some_and(|sum| sum.is.count > 0)
            || self.below(u64::MAX, viewer).next().is_some()
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

    /// Number of members, whoever may see them, and by whichever node they are here.
    #[must_use]
    pub fn members_held(&self) -> usize {
        self.members.len()
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

    /// Whether the user is a member by this node: by a connection to it, or a lease that it times.
    #[must_use]
    pub fn is_own(&self, user: &UserId) -> bool {
        self.members.get(user).is_some_and(|membership| membership.holds.own_away().is_some())
    }

    /// Whether `source` keeps the user present.
    #[must_use]
    pub fn has_source(&self, user: &UserId, source: Source) -> bool {
        self.members.get(user).is_some_and(|membership| membership.has_live(source))
    }

    /// What keeps the user present.
    pub fn sources(&self, user: &UserId) -> impl Iterator<Item = Heard> {
        let holds = self.members.get(user).into_iter().flat_map(|m| m.holds.iter());
        holds.map(|hold| match (&hold.ends, hold.source) {
            (Some(ends), _) => Heard::At(ends.last_seen),
            (None, Source::Connection(id)) => Heard::Connection(id),
            (None, Source::Lease(_) | Source::Node(_)) => Heard::Elsewhere,
        })
    }

    /// What keeps the user present, as what comes and goes by it names it.
    pub fn held_by(&self, user: &UserId) -> impl Iterator<Item = Source> {
        let holds = self.members.get(user).into_iter().flat_map(|m| m.holds.iter());
        holds.map(|hold| hold.source)
    }

    /// The leases that keep the user present.
    pub fn leases(&self, user: &UserId) -> impl Iterator<Item = Source> {
        self.held_by(user).filter(|source| matches!(source, Source::Lease(_)))
    }

    /// At most `limit` members that joined before the one numbered `after` and that `viewer` may
    /// see, newest first.
    #[must_use]
    pub fn members(&self, limit: usize, after: Option<u64>, viewer: Viewer<'_>) -> Page {
        let mut older = self.below(after.unwrap_or(u64::MAX), viewer);
        let members: Vec<_> = older.by_ref().take(limit).cloned().collect();
        let next = older.next().and_then(|_| members.last()).map(|last| last.number);
        // Of members whom not everyone may see no history tells, and none may tell that they are there.
        let place = (self.count() > 0).then(|| (self.epoch, self.next_seq() - 1));
        Page { members, next, place }
    }

    /// The members numbered below `below` that `viewer` may see, newest first.
    fn below<'a>(
        &'a self,
        below: u64,
        viewer: Viewer<'a>,
    ) -> impl Iterator<Item = &'a Arc<Member>> {
        let shown = self.order.range(..below).rev().map(|(_, member)| member);
        merged(shown, self.hidden_below(below, viewer))
    }

    /// Those of them whom not everyone may see.
    fn hidden_below<'a>(
        &'a self,
        below: u64,
        viewer: Viewer<'a>,
    ) -> impl Iterator<Item = &'a Arc<Member>> {
        let own = match viewer {
            Viewer::User { user, .. } => self.members.get(user).map(|own| &own.member),
            Viewer::Public | Viewer::All => None,
        };
        let hidden = self.hidden.as_ref().map(|hidden| hidden.below(below, viewer, own));
        hidden.into_iter().flatten()
    }

    /// The first of `members`, which run by falling number from below `below` on, as observers know
    /// them: who was touched since the last tick is as before, if `sees` sees it. So what is read
    /// here agrees with the log at any moment, not only right after a tick. `most`: at least so many
    /// are right.
    fn told<'a>(
        &'a self,
        below: u64,
        members: impl Iterator<Item = &'a Arc<Member>>,
        sees: impl Fn(&Member) -> bool,
        most: usize,
    ) -> impl Iterator<Item = &'a Arc<Member>> {
        let touched = self.pending.before();
        let mut before: Vec<_> =
            touched.filter(|member| member.number < below && sees(member)).collect();
        let newest_first = |member: &&Arc<Member>| std::cmp::Reverse(member.number);
        // In a busy giant many are touched, and a part has room for few.
        if before.len() > most {
            before.select_nth_unstable_by_key(most, newest_first);
            before.truncate(most);
        }
        before.sort_unstable_by_key(newest_first);
        let untouched = |member: &&Arc<Member>| !self.pending.has(&member.user);
        merged(members.filter(untouched), before.into_iter())
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
    /// as many as `bytes` hold and at least one, and where the part after it begins, if there is
    /// one.
    #[must_use]
    pub fn told_part(
        &self,
        below: u64,
        viewer: Viewer<'_>,
        bytes: usize,
    ) -> (Vec<Arc<Member>>, Option<u64>) {
        let sees = |member: &Member| viewer.sees(member);
        part_of(self.told(below, self.below(below, viewer), sees, most_in(bytes)), bytes)
    }

    /// As [`ChannelState::told_part`], of whom `viewer` sees and not everyone does.
    pub(super) fn told_own_part(
        &self,
        below: u64,
        viewer: Viewer<'_>,
        bytes: usize,
    ) -> (Vec<Arc<Member>>, Option<u64>) {
        let sees = |member: &Member| member.is_restricted() && viewer.sees(member);
        let hidden = self.hidden_below(below, viewer);
        part_of(self.told(below, hidden, sees, most_in(bytes)), bytes)
    }

    /// Whether there may be somebody, as observers know the members, whom not everyone may see.
    #[must_use]
    pub fn hides(&self) -> bool {
        self.hidden.is_some() || self.pending.before().any(|member| member.is_restricted())
    }

    /// How many there are and the newest of them, as observers know them.
    #[must_use]
    pub fn told_tally(&self) -> Tally {
        if let Some(tally) = self.tally_of_sum() {
            return tally;
        }
        let shown = self.order.values().rev();
        let sees = |member: &Member| Viewer::Public.sees(member);
        let newest = self.told(u64::MAX, shown, sees, MAX_RECENT).take(MAX_RECENT);
        Tally::new(self.log.next_seq() - 1, self.told_count(), newest, self.partial)
    }

    /// The user's status, where that is what the channel tells. One that no tick has told yet is
    /// told here already, and once more by the tick.
    #[must_use]
    pub fn told_status(&self) -> Option<&UserStatus> {
        self.status.as_ref().map(|status| &status.is)
    }
}

/// More members than a part of so many bytes has, and the one after it.
fn most_in(bytes: usize) -> usize {
    bytes / OVERHEAD_BYTES + 2
}

/// The first part of `members`, and the number of its last if there are more.
fn part_of<'a>(
    members: impl Iterator<Item = &'a Arc<Member>>,
    bytes: usize,
) -> (Vec<Arc<Member>>, Option<u64>) {
    let (mut part, mut taken) = (Vec::<Arc<Member>>::new(), 0);
    for member in members {
        if !part.is_empty() && taken + member.bytes() > bytes {
            let next = part.last().map(|last| last.number);
            return (part, next);
        }
        taken += member.bytes();
        part.push(Arc::clone(member));
    }
    (part, None)
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
