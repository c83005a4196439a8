//! How many are in a channel, as a frame.

use std::sync::Arc;

use herenow_protocol::reply::RecentView;
use herenow_protocol::request::MAX_RECENT;
use herenow_protocol::{Attributes, ChannelName, ServerFrame, encode};

use super::asked::Recent;
use super::member::{Member, OVERHEAD_BYTES};
use crate::limits::RECENT_BYTES;

/// Bytes of JSON around a member's attributes.
const ATTRIBUTES_BYTES: usize = 16;

/// A channel's count at a seq, and its newest members.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The state is that after this frame.
    pub seq: u64,
    /// Number of members visible to all.
    pub count: usize,
    /// The newest of them first, at most [`MAX_RECENT`].
    pub recent: Vec<Arc<Member>>,
    /// Others may be members who are not known here.
    pub partial: bool,
}

impl Tally {
    /// The tally of `newest`, newest first, as many as one frame names: whoever is told a count
    /// instead of a list must not be burdened more than by a list's part.
    pub(super) fn new<'a>(
        seq: u64,
        count: usize,
        newest: impl Iterator<Item = &'a Arc<Member>>,
        partial: bool,
    ) -> Self {
        let mut bytes = 0;
        let fitting = newest.take(MAX_RECENT).take_while(|member| {
            bytes += named_bytes(member);
            bytes <= RECENT_BYTES
        });
        Self { seq, count, recent: fitting.cloned().collect(), partial }
    }

    /// The `count` frame, with the newest members as far as they were asked for. Attributes take what
    /// the names leave of a list's part, the newest member's first.
    #[must_use]
    pub fn frame(&self, channel: &ChannelName, recent: Recent) -> ServerFrame {
        let newest = &self.recent[..self.recent.len().min(usize::from(recent.limit))];
        let names: usize = newest.iter().map(|member| named_bytes(member)).sum();
        let mut left = if recent.attributes { RECENT_BYTES.saturating_sub(names) } else { 0 };
        let mut fitting = |attributes: &Attributes| {
            left = left.saturating_sub(ATTRIBUTES_BYTES + attributes.bytes());
            (left > 0).then(|| attributes.clone())
        };
        let view = |member: &Arc<Member>| RecentView {
            user: member.user.clone(),
            info: member.info().clone(),
            attributes: fitting(&member.attributes),
        };
        ServerFrame::Count {
            channel: channel.clone(),
            seq: self.seq,
            count: self.count as u64,
            recent: (recent.limit > 0).then(|| newest.iter().map(view).collect()),
            partial: self.partial,
        }
    }

    /// Appends [`Tally::frame`] to `out`, as a WebSocket message.
    pub fn encode(&self, channel: &ChannelName, recent: Recent, out: &mut Vec<u8>) {
        encode::text_message(&self.frame(channel, recent), out);
    }
}

/// Bytes of JSON that naming a member takes, about.
fn named_bytes(member: &Member) -> usize {
    OVERHEAD_BYTES + member.user.as_str().len() + member.info().bytes()
}
