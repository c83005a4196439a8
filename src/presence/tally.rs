//! How many are in a channel, as a frame.

use std::sync::Arc;

use herenow_protocol::name::MAX_NAME_BYTES;
use herenow_protocol::reply::{MAX_RECENT, RecentView};
use herenow_protocol::{ChannelName, ServerFrame, encode};

use super::member::Member;
use super::snapshot::PART_BYTES;

/// A channel's count at a seq, and its newest members.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The state is that after this frame.
    pub seq: u64,
    /// Number of members.
    pub count: usize,
    /// Newest first, at most [`MAX_RECENT`].
    pub recent: Vec<Arc<Member>>,
}

// Whoever is told a count instead of a list must not be burdened more than by a list's part.
const _: () = assert!(MAX_RECENT * (MAX_NAME_BYTES + 16) <= PART_BYTES);

impl Tally {
    /// Appends the `count` frame to `out`, with or without the newest members.
    pub fn encode(&self, channel: &ChannelName, with_recent: bool, out: &mut Vec<u8>) {
        let view = |member: &Arc<Member>| RecentView { user: member.user.clone() };
        let frame = ServerFrame::Count {
            channel: channel.clone(),
            seq: self.seq,
            count: self.count as u64,
            recent: with_recent.then(|| self.recent.iter().map(view).collect()),
        };
        encode::text_message(&frame, out);
    }
}
