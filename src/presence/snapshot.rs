//! The whole state of a channel as frames, in parts.

use std::sync::Arc;

use herenow_protocol::reply::{MemberView, SnapshotReason};
use herenow_protocol::{ChannelName, Epoch, ServerFrame, UserStatus, encode};

use super::frames::members_in_a_part;
use super::member::Member;
use super::viewer::Viewer;

/// A channel's state at a seq: handles of members, taken in a moment and encoded at leisure.
#[derive(Clone, Debug)]
pub struct View {
    /// The history that `seq` counts in.
    pub epoch: Epoch,
    /// The state is that after this frame.
    pub seq: u64,
    /// Those visible to all, newest first.
    pub members: Vec<Arc<Member>>,
    /// The others, newest first.
    pub restricted: Vec<Arc<Member>>,
    /// Set where a user's status is told instead of members.
    pub status: Option<Box<UserStatus>>,
}

impl View {
    /// Appends the snapshot for everyone to `out`, as one or more WebSocket messages, one behind the
    /// other. `more`: some more members are to follow for who may see them.
    pub fn encode(
        &self,
        channel: &ChannelName,
        reason: SnapshotReason,
        more: bool,
        out: &mut Vec<u8>,
    ) {
        if let Some(status) = &self.status {
            let status = UserStatus::clone(status);
            return encode::text_message(&ServerFrame::Status { status }, out);
        }
        self.encode_parts(channel, reason, &self.members, more, out);
    }

    /// Which of the members that not everyone may see `viewer` may.
    #[must_use]
    pub fn sight(&self, viewer: Viewer<'_>) -> Vec<Arc<Member>> {
        self.restricted.iter().filter(|member| viewer.sees(member)).cloned().collect()
    }

    /// Appends the rest of a snapshot that has `more`: restricted members.
    pub fn encode_rest(
        &self,
        channel: &ChannelName,
        reason: SnapshotReason,
        rest: &[Arc<Member>],
        out: &mut Vec<u8>,
    ) {
        self.encode_parts(channel, reason, rest, false, out);
    }

    fn encode_parts(
        &self,
        channel: &ChannelName,
        reason: SnapshotReason,
        members: &[Arc<Member>],
        more: bool,
        out: &mut Vec<u8>,
    ) {
        let mut rest = members;
        loop {
            let (part, after) =
                rest.split_at(members_in_a_part(rest.iter().map(|member| &**member)));
            let frame = ServerFrame::Snapshot {
                channel: channel.clone(),
                epoch: self.epoch,
                seq: self.seq,
                count: self.members.len() as u64,
                members: part.iter().map(|member| member.view()).collect::<Vec<MemberView>>(),
                more: more || !after.is_empty(),
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
