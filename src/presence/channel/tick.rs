//! What a channel tells: the tick, and what agrees with the log only right after one.

use herenow_protocol::{Attributes, ChannelName, Event, ServerFrame, UserStatus, encode};

use super::super::member::OVERHEAD_BYTES;
use super::super::restricted::Aside;
use super::super::snapshot::{PART_BYTES, View};
use super::super::{Bounds, Now, Tally, Viewer};
use super::Channel;

/// What one tick tells: frames, ready for the wire, one behind the other.
#[derive(Debug)]
pub struct Bundle {
    /// The seq of the first frame.
    pub first_seq: u64,
    /// The seq after the last frame.
    pub next_seq: u64,
    /// The frames.
    pub bytes: Vec<u8>,
}

/// What came of a tick.
#[derive(Debug)]
pub struct Tick {
    /// The frames for everyone; `None`: everyone has nothing to be told.
    pub frames: Option<Bundle>,
    /// What those are told who see more. They are told it instead of the frames for everyone.
    pub aside: Option<Aside>,
}

/// What those who watch a user know of its status.
#[derive(Debug)]
pub(super) struct Status {
    /// As it is.
    is: UserStatus,
    /// Whether they have been told.
    told: bool,
}

impl Status {
    /// Whether whoever knows this knows `status`: when a user was last seen is news only of one who
    /// is not there.
    fn tells(&self, status: &UserStatus) -> bool {
        let last_seen = if status.online { self.is.last_seen } else { status.last_seen };
        self.is == UserStatus { last_seen, ..status.clone() }
    }
}

impl Channel {
    /// Whether a tick might have something to tell.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.pending.is_empty() || self.status.as_ref().is_some_and(|status| !status.told)
    }

    /// Turns what happened since the last tick into frames, and decides whether there are too many
    /// members to be told one by one.
    pub fn tick(&mut self, channel: &ChannelName, now: Now, bounds: &Bounds) -> Tick {
        self.roster = self.roster.next(self.order.len(), bounds.roster);
        if let Some(status) = self.untold_status() {
            return Tick { frames: Some(self.log_frame(&status, now)), aside: None };
        }
        let changed = self.pending.take(|user| self.members.get(user).map(|m| &m.member));
        let first_seq = self.log.next_seq();
        let events = changed.iter().filter_map(|changed| changed.event_for(Viewer::Public));
        let frames = self.log_events(channel, events.collect(), now);
        let count = self.order.len() as u64;
        let aside = Aside::new(changed, first_seq, self.log.next_seq(), count);
        if let Some(aside) = &aside {
            self.unlogged.get_or_insert_default().note(aside, self.log.oldest_seq());
        }
        Tick { frames, aside }
    }

    /// The frames that tell `events` to everyone: one, unless they would take more than about
    /// [`PART_BYTES`].
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
            let rest = events.split_off(frame_length(&events));
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

    /// Has observers told `status` if it differs from what they know.
    pub fn set_status(&mut self, status: UserStatus) {
        match &mut self.status {
            // Told to whoever comes to watch: of one who is there it is about now.
            Some(known) if known.tells(&status) => known.is.last_seen = status.last_seen,
            _ => self.status = Some(Box::new(Status { is: status, told: false })),
        }
    }

    fn untold_status(&mut self) -> Option<ServerFrame> {
        let known = self.status.as_mut()?;
        let untold = !std::mem::replace(&mut known.told, true);
        untold.then(|| ServerFrame::Status { status: known.is.clone() })
    }

    /// The members as they are. Agrees with the log only right after a tick.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            epoch: self.epoch,
            seq: self.log.next_seq() - 1,
            members: self.order.values().rev().cloned().collect(),
            restricted: self.restricted.values().rev().cloned().collect(),
            status: self.status.as_ref().map(|status| Box::new(status.is.clone())),
        }
    }

    /// How many there are, and the newest of them. As with [`Channel::view`], at a tick only.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally::new(self.log.next_seq() - 1, self.order.len(), self.order.values().rev())
    }
}

/// Joins less leaves and timeouts.
fn net_joins(events: &[Event]) -> i64 {
    events
        .iter()
        .map(|event| match event {
            Event::Join { .. } => 1,
            Event::Leave { .. } | Event::Timeout { .. } => -1,
            Event::UpdateAttributes { .. } => 0,
        })
        .sum()
}

/// How many of `events` make up the next frame; at least one, if there is one.
pub(in super::super) fn frame_length(events: &[Event]) -> usize {
    let mut bytes = 0;
    let fitting = events.iter().take_while(|event| {
        let written = match event {
            Event::Join { attributes, info, .. } => attributes.bytes() + info.bytes(),
            Event::UpdateAttributes { attributes, info, .. } => {
                attributes.bytes() + info.as_ref().map_or(0, Attributes::bytes)
            }
            Event::Leave { .. } | Event::Timeout { .. } => 0,
        };
        bytes += OVERHEAD_BYTES + event.user().as_str().len() + written;
        bytes <= PART_BYTES
    });
    fitting.count().max(usize::from(!events.is_empty()))
}
