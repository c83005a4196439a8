//! One part of a snapshot as a frame, and where the next one goes on.

use std::sync::Arc;

use herenow_protocol::reply::{MemberView, SnapshotReason};
use herenow_protocol::{ChannelName, Epoch, ServerFrame};

use super::member::Member;

/// One part of a snapshot: handles of members, taken in a moment and encoded at leisure.
#[derive(Clone, Debug)]
pub struct Part {
    /// The snapshot began after this seq; entries may be newer.
    pub seq: u64,
    /// Members visible to all, when the part was taken.
    pub count: u64,
    /// Those of this part, newest first.
    pub members: Vec<Arc<Member>>,
    /// Whether further parts follow.
    pub more: bool,
    /// Why the snapshot comes.
    pub reason: SnapshotReason,
    /// Others may be members who are not known here.
    pub partial: bool,
}

impl Part {
    /// The frame that tells it.
    #[must_use]
    pub fn frame(&self, channel: &ChannelName, epoch: Epoch) -> ServerFrame {
        ServerFrame::Snapshot {
            channel: channel.clone(),
            epoch,
            seq: self.seq,
            count: self.count,
            members: self.members.iter().map(|member| member.view()).collect::<Vec<MemberView>>(),
            more: self.more,
            reason: self.reason,
            partial: self.partial,
        }
    }
}

/// How far somebody is in a snapshot that is told part by part: a place, and no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPlace {
    /// The seq after which it began. All its parts carry it, and the frames after it follow the last
    /// part.
    pub seq: u64,
    /// Why it comes.
    pub reason: SnapshotReason,
    /// What is left of it.
    pub rest: Rest,
    /// Since it began its reader was to be told something that no log holds: it is followed by
    /// another one, and not by what the log holds.
    pub missed: bool,
    /// It began anew once already.
    pub renewed: bool,
}

/// What is left of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Members visible to all, numbered below this, and then whom else the reader may see.
    Public(u64),
    /// Of those only whom not everyone may see, numbered below this.
    Own(u64),
}
