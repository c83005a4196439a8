//! How many are in a channel, as a frame.

use std::sync::Arc;

use herenow_protocol::reply::{MAX_RECENT, RecentView};
use herenow_protocol::{ChannelName, ServerFrame, encode};

use super::member::{Member, OVERHEAD_BYTES};
use crate::limits::PART_BYTES;

/// A channel's count at a seq, and its newest members.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The state is that after this frame.
    pub seq: u64,
    /// Number of members visible to all.
    pub count: usize,
    /// The newest of them first, at most [`MAX_RECENT`].
    pub recent: Vec<Arc<Member>>,
}

impl Tally {
    /// The tally of `newest`, newest first, as many as one frame names: whoever is told a count
    /// instead of a list must not be burdened more than by a list's part.
    pub(super) fn new<'a>(
        seq: u64,
        count: usize,
        newest: impl Iterator<Item = &'a Arc<Member>>,
    ) -> Self {
        let mut bytes = 0;
        let fitting = newest.take(MAX_RECENT).take_while(|member| {
            bytes += OVERHEAD_BYTES + member.user.as_str().len() + member.info().bytes();
            bytes <= PART_BYTES
        });
        Self { seq, count, recent: fitting.cloned().collect() }
    }

    /// The `count` frame, with or without the newest members.
    #[must_use]
    pub fn frame(&self, channel: &ChannelName, with_recent: bool) -> ServerFrame {
        let view = |member: &Arc<Member>| RecentView {
            user: member.user.clone(),
            info: member.info().clone(),
        };
        ServerFrame::Count {
            channel: channel.clone(),
            seq: self.seq,
            count: self.count as u64,
            recent: with_recent.then(|| self.recent.iter().map(view).collect()),
        }
    }

    /// Appends [`Tally::frame`] to `out`, as a WebSocket message.
    pub fn encode(&self, channel: &ChannelName, with_recent: bool, out: &mut Vec<u8>) {
        encode::text_message(&self.frame(channel, with_recent), out);
    }
}
