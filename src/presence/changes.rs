//! What one tick tells, as values: for those who see more than everyone, and for followers.
//!
//! Changes visible to all have one encoding for everyone, and are logged. A viewer that sees more
//! gets frames of its own instead, which nobody else must notice: they take no seq of their own,
//! and no log keeps them.

use std::sync::Arc;

use herenow_protocol::{ChannelName, Event, ServerFrame, UserStatus, encode};

use super::frames::{events_in_a_frame, net_joins};
use super::member::Member;
use super::pending::Changed;
use super::viewer::Viewer;

/// What one tick tells.
#[derive(Debug)]
pub struct Changes {
    /// All that changed, whoever may see it.
    changed: Vec<Changed>,
    /// Which of them concern members that not everyone may see. Most ticks have none.
    restricted: Vec<usize>,
    /// The seq of the first frame that everyone got, and the one after the last: equal if none did.
    first_seq: u64,
    next_seq: u64,
    /// Members visible to all, after the tick.
    count: u64,
    /// Members in all, after the tick.
    members: u64,
    /// Set where a user's status is told instead of members.
    status: Option<Box<UserStatus>>,
}

/// Which of a tick's restricted members a viewer sees: viewers with the same get the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sight(Vec<bool>);

impl Changes {
    pub(super) fn new(changed: Vec<Changed>, first_seq: u64, next_seq: u64, count: u64) -> Self {
        let concerns = |changed: &Changed| changed.restricted().next().is_some();
        let restricted = (0..changed.len()).filter(|&i| concerns(&changed[i])).collect();
        Self { changed, restricted, first_seq, next_seq, count, members: 0, status: None }
    }

    /// The same, where so many members are left in all, whoever may see them.
    pub(super) fn among(self, members: usize) -> Self {
        Self { members: members as u64, ..self }
    }

    pub(super) fn of_status(status: UserStatus, seq: u64) -> Self {
        let status = Some(Box::new(status));
        Self { status, first_seq: seq, next_seq: seq + 1, ..Self::new(Vec::new(), 0, 0, 0) }
    }

    /// Whether nobody is told anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.status.is_none()
    }

    /// Whether some of it is told to some viewers only.
    #[must_use]
    pub fn hide(&self) -> bool {
        !self.restricted.is_empty()
    }

    /// The seq that a subscriber lacks first who has had everything before this tick.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// The seq that comes after this tick.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Members visible to all, after the tick.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Members in all, whoever may see them: before the tick, and after it.
    #[must_use]
    pub fn members(&self) -> (u64, u64) {
        let came = |one: &Changed| one.before().is_none() && one.now().is_some();
        let went = |one: &Changed| one.before().is_some() && one.now().is_none();
        let count = |is: fn(&Changed) -> bool| self.changed.iter().filter(|one| is(one)).count();
        ((self.members + count(went) as u64).saturating_sub(count(came) as u64), self.members)
    }

    /// All that changed, whoever may see it.
    #[must_use]
    pub fn changed(&self) -> &[Changed] {
        &self.changed
    }

    /// The user's status, where that is what the channel tells.
    #[must_use]
    pub fn status(&self) -> Option<&UserStatus> {
        self.status.as_deref()
    }

    /// The members before and now that not everyone may see.
    pub(super) fn restricted(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.restricted.iter().flat_map(|&i| self.changed[i].restricted())
    }

    /// What `viewer` sees of it beyond what everyone does; `None`: nothing.
    #[must_use]
    pub fn sight(&self, viewer: Viewer<'_>) -> Option<Sight> {
        if !self.hide() {
            return None;
        }
        let seen: Vec<_> = self.restricted().map(|member| viewer.sees(member)).collect();
        seen.contains(&true).then_some(Sight(seen))
    }

    /// Bytes of memory that keeping this holds, about: the members before and now, shared as they
    /// are with the channel's state and with other ticks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let changed: usize = self.changed.iter().map(Changed::bytes).sum();
        size_of::<Self>() + changed
    }

    /// The frames for `viewer`, with their seqs. They may be none; a viewer that sees more than
    /// everyone gets frames of its own, which lead from the same seq to the same seq.
    #[must_use]
    pub fn frames(&self, channel: &ChannelName, viewer: Viewer<'_>) -> Vec<ServerFrame> {
        if let Some(status) = self.status() {
            return vec![ServerFrame::Status { status: status.clone() }];
        }
        // Exactly those that sockets of the same sight get: the count runs from frame to frame for
        // everyone, and is that after the tick in frames of one's own.
        let own = self.sight(viewer).is_some();
        let viewer = if own { viewer } else { Viewer::Public };
        let mut events: Vec<Event> =
            self.changed.iter().filter_map(|changed| changed.event_for(viewer)).collect();
        let mut count =
            if own { self.count as i64 } else { self.count as i64 - net_joins(&events) };
        let mut frames = Vec::new();
        let mut seq = self.first_seq;
        // A seq that everyone got must not be a gap here, even if it has nothing to tell.
        while (own && seq < self.next_seq) || !events.is_empty() {
            let rest = events.split_off(events_in_a_frame(&events));
            if !own {
                count += net_joins(&events);
            }
            frames.push(ServerFrame::Presence {
                channel: channel.clone(),
                seq: seq.min(self.next_seq - 1),
                count: count as u64,
                events: std::mem::replace(&mut events, rest),
            });
            seq += 1;
        }
        frames
    }

    /// [`Changes::frames`] as WebSocket messages, one behind the other.
    #[must_use]
    pub fn encode(&self, channel: &ChannelName, viewer: Viewer<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for frame in self.frames(channel, viewer) {
            encode::text_message(&frame, &mut out);
        }
        out
    }
}
