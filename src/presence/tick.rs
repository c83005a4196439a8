//! What observers are told of the changes since the last tick, and what agrees with the log only
//! right after one.

use std::sync::Arc;

use herenow_protocol::request::MAX_RECENT;
use herenow_protocol::{ChannelName, Event, ServerFrame, UserStatus, encode};

use super::changes::Changes;
use super::channel::ChannelState;
use super::command::Bounds;
use super::frames::{events_in_a_frame, net_joins};
use super::member::Member;
use super::pending::Changed;
use super::tally::Tally;
use super::viewer::Viewer;
use crate::now::Now;

/// The frames of one tick, ready for the wire.
#[derive(Debug)]
pub struct Bundle {
    /// The seq of the first frame; each further one has the next.
    pub first_seq: u64,
    /// The frames, as WebSocket messages: apart, so that of a frame which a slow reader's socket cut
    /// no other is kept. At least one.
    pub frames: Vec<Vec<u8>>,
}

/// What came of a tick.
#[derive(Debug)]
pub struct Tick {
    /// The frames for everyone; `None`: there is nothing that everyone is told.
    pub frames: Option<Bundle>,
    /// The same as values, and what only some viewers are told.
    pub changes: Changes,
}

impl ChannelState {
    /// Whether a tick might have something to tell.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let status = self.status.as_ref().is_some_and(|status| !status.told);
        !self.pending.is_empty() || status || self.has_new_sum()
    }

    /// Turns what happened since the last tick into frames, and decides whether there are too many
    /// members to be told one by one.
    pub fn tick(&mut self, channel: &ChannelName, now: Now, bounds: &Bounds) -> Tick {
        self.roster = self.next_roster(bounds.roster);
        let first_seq = self.log.next_seq();
        if let Some(status) = self.untold_status() {
            let frame = ServerFrame::Status { status: status.clone() };
            let frames = Some(self.log_frame(&frame, now));
            let changes = Changes::of_status(status, first_seq);
            return Tick { frames, changes };
        }
        let changed = self.pending.take(|user| self.members.get(user).map(|m| &m.member));
        let events = changed.iter().filter_map(|changed| changed.event_for(Viewer::Public));
        let frames = self.log_events(channel, events.collect(), now);
        let count = self.order.len() as u64;
        self.tell_sum();
        let changes = Changes::new(changed, first_seq, self.log.next_seq(), count);
        let changes = changes.among(self.members.len());
        if changes.hide() {
            self.unlogged.get_or_insert_default().note(&changes, self.log.oldest_seq());
        }
        Tick { frames, changes }
    }

    /// The frames that tell `events` to everyone: one, unless they would take more than about
    /// [`PART_BYTES`](crate::limits::PART_BYTES).
    fn log_events(
        &mut self,
        channel: &ChannelName,
        mut events: Vec<Event>,
        now: Now,
    ) -> Option<Bundle> {
        let first_seq = self.log.next_seq();
        let moved = events.iter().any(|event| net_joins(std::slice::from_ref(event)) != 0);
        let mut frames = Vec::new();
        // The members before this tick; each frame tells how many there are after it.
        let mut count = self.order.len() as i64 - net_joins(&events);
        while !events.is_empty() {
            let rest = events.split_off(events_in_a_frame(&events));
            count += net_joins(&events);
            let frame = ServerFrame::Presence {
                channel: channel.clone(),
                seq: self.log.next_seq(),
                count: count as u64,
                events: std::mem::replace(&mut events, rest),
            };
            let mut bytes = Vec::new();
            encode::text_message(&frame, &mut bytes);
            self.log.append(&bytes, now.mono_ms);
            frames.push(bytes);
        }
        // Where the count is not of these members, it is none of their business.
        if moved && self.sum.is_none() {
            self.moved_seq = self.log.next_seq() - 1;
        }
        (!frames.is_empty()).then_some(Bundle { first_seq, frames })
    }

    /// Notes whether a tick told of what one of the newest members carries. Asked for only where a
    /// subscriber is told that with counts.
    pub fn note_shown(&mut self, changes: &Changes) {
        if self.sum.is_some() {
            return;
        }
        let oldest = self.order.keys().rev().nth(MAX_RECENT - 1).copied().unwrap_or_default();
        let shows = |member: &&Arc<Member>| !member.is_restricted() && member.number >= oldest;
        let is_news = |changed: &Changed| match (changed.before(), changed.now().filter(shows)) {
            (Some(before), Some(now)) => {
                before.attributes != now.attributes || before.info() != now.info()
            }
            _ => false,
        };
        if changes.changed().iter().any(is_news) {
            self.shown_seq = self.log.next_seq() - 1;
        }
    }

    fn log_frame(&mut self, frame: &ServerFrame, now: Now) -> Bundle {
        let first_seq = self.log.next_seq();
        let mut bytes = Vec::new();
        encode::text_message(frame, &mut bytes);
        self.log.append(&bytes, now.mono_ms);
        Bundle { first_seq, frames: vec![bytes] }
    }

    fn untold_status(&mut self) -> Option<UserStatus> {
        let known = self.status.as_mut()?;
        let untold = !std::mem::replace(&mut known.told, true);
        untold.then(|| known.is.clone())
    }

    /// How many there are, and the newest of them. Agrees with the log only right after a tick.
    #[must_use]
    pub fn tally(&self) -> Tally {
        if let Some(tally) = self.tally_of_sum() {
            return tally;
        }
        let newest = self.order.values().rev();
        Tally::new(self.log.next_seq() - 1, self.order.len(), newest, self.partial)
    }
}
