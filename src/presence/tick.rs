//! What observers are told of the changes since the last tick, and what agrees with the log only
//! right after one.

use herenow_protocol::{ChannelName, Event, ServerFrame, UserStatus, encode};

use super::changes::Changes;
use super::channel::ChannelState;
use super::command::Bounds;
use super::frames::{events_in_a_frame, net_joins};
use super::snapshot::View;
use super::tally::Tally;
use super::viewer::Viewer;
use crate::now::Now;

/// The frames of one tick, ready for the wire, one behind the other.
#[derive(Debug)]
pub struct Bundle {
    /// The seq of the first frame.
    pub first_seq: u64,
    /// The seq after the last frame.
    pub next_seq: u64,
    /// The frames, as WebSocket messages.
    pub bytes: Vec<u8>,
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
        !self.pending.is_empty() || self.status.as_ref().is_some_and(|status| !status.told)
    }

    /// Turns what happened since the last tick into frames, and decides whether there are too many
    /// members to be told one by one.
    pub fn tick(&mut self, channel: &ChannelName, now: Now, bounds: &Bounds) -> Tick {
        self.roster = self.roster.next(self.order.len(), bounds.roster);
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
        let changes = Changes::new(changed, first_seq, self.log.next_seq(), count);
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
        let mut bytes = Vec::new();
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
            let start = bytes.len();
            encode::text_message(&frame, &mut bytes);
            self.log.append(&bytes[start..], now.mono_ms);
        }
        let next_seq = self.log.next_seq();
        if moved {
            self.moved_seq = next_seq - 1;
        }
        (first_seq < next_seq).then_some(Bundle { first_seq, next_seq, bytes })
    }

    fn log_frame(&mut self, frame: &ServerFrame, now: Now) -> Bundle {
        let first_seq = self.log.next_seq();
        let mut bytes = Vec::new();
        encode::text_message(frame, &mut bytes);
        self.log.append(&bytes, now.mono_ms);
        Bundle { first_seq, next_seq: self.log.next_seq(), bytes }
    }

    fn untold_status(&mut self) -> Option<UserStatus> {
        let known = self.status.as_mut()?;
        let untold = !std::mem::replace(&mut known.told, true);
        untold.then(|| known.is.clone())
    }

    /// The members as they are. Agrees with the log only right after a tick.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            epoch: self.epoch,
            seq: self.log.next_seq() - 1,
            members: self.order.values().rev().cloned().collect(),
            restricted: self
                .hidden
                .iter()
                .flat_map(|hidden| hidden.newest_first())
                .cloned()
                .collect(),
            status: self.status.as_ref().map(|status| Box::new(status.is.clone())),
        }
    }

    /// How many there are, and the newest of them. As with [`ChannelState::view`], at a tick only.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally::new(self.log.next_seq() - 1, self.order.len(), self.order.values().rev())
    }
}
