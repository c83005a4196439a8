//! The whole state of a channel as frames, in parts.

use std::sync::Arc;

use herenow_protocol::reply::{MemberView, SnapshotReason};
use herenow_protocol::{ChannelName, Epoch, ServerFrame, encode};

use super::member::Member;

/// A part ends when its members take about so many bytes: no frame of ours is a burden to read.
pub const PART_BYTES: usize = 64 * 1024;

/// Bytes of JSON around a name and attributes, generously.
pub(super) const OVERHEAD_BYTES: usize = 96;

/// A channel's state at a seq: handles of members, taken in a moment and encoded at leisure.
#[derive(Clone, Debug)]
pub struct View {
    /// The history that `seq` counts in.
    pub epoch: Epoch,
    /// The state is that after this frame.
    pub seq: u64,
    /// Newest first.
    pub members: Vec<Arc<Member>>,
}

impl View {
    /// Appends the snapshot to `out` as one or more WebSocket messages, one behind the other.
    pub fn encode(&self, channel: &ChannelName, reason: SnapshotReason, out: &mut Vec<u8>) {
        let mut rest = self.members.as_slice();
        loop {
            let (part, after) = rest.split_at(part_length(rest));
            let frame = ServerFrame::Snapshot {
                channel: channel.clone(),
                epoch: self.epoch,
                seq: self.seq,
                count: self.members.len() as u64,
                members: part.iter().map(|member| member.view()).collect::<Vec<MemberView>>(),
                more: !after.is_empty(),
                reason,
            };
            encode::text_message(&frame, out);
            if after.is_empty() {
                return;
            }
            rest = after;
        }
    }
}

/// How many of `members` make up the next part; at least one, if there is one.
fn part_length(members: &[Arc<Member>]) -> usize {
    let mut bytes = 0;
    let fitting = members.iter().take_while(|member| {
        bytes += OVERHEAD_BYTES + member.user.as_str().len() + member.attributes.bytes();
        bytes <= PART_BYTES
    });
    fitting.count().max(usize::from(!members.is_empty()))
}
