//! What a follower is told, as values and as the frames that a subscriber gets.

use std::sync::Arc;

use herenow_protocol::reply::{InForce, LevelReason, SnapshotReason};
use herenow_protocol::{ChannelName, Epoch, Level, ServerFrame, UserStatus};

use super::asked::Asked;
use super::ring::Step;
use super::snapshot::Part;
use super::tally::Tally;
use super::viewer::Viewer;

/// What a follower is told.
#[derive(Debug)]
pub enum News {
    /// A part of the channel's members.
    Snapshot(Part),
    /// What one tick told. For this viewer it may be nothing.
    Step(Arc<Step>),
    /// How many members there are.
    Count(Tally),
    /// Another level comes into force, for the size of the channel: what it begins with follows.
    Level(InForce),
    /// A user's status, where that is what the channel tells instead of members.
    Status(Box<UserStatus>),
    /// Members, to a follower of changes alone that knew of nobody: they joined since.
    Found {
        /// Some of them.
        part: Part,
        /// No others were told before.
        first: bool,
    },
    /// What is not told to a follower of changes alone, and lies behind it now: frames of these seqs,
    /// both included.
    Missed {
        /// The first that it may lack.
        from: u64,
        /// The last.
        to: u64,
        /// It is the first thing that it is told of the channel.
        begins: bool,
    },
}

/// Where a follower is left whose channel is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// The history that was.
    pub epoch: Epoch,
    /// The last seq of which it was told something.
    pub seq: u64,
    /// The level that it was told to be at.
    pub level: InForce,
}

impl News {
    /// The frames that tell it, in order: those that a socket which subscribed at level `asked` as
    /// `viewer` gets. They may be none.
    #[must_use]
    pub fn frames(
        &self,
        channel: &ChannelName,
        epoch: Epoch,
        viewer: Viewer<'_>,
        asked: Level,
    ) -> Vec<ServerFrame> {
        match self {
            Self::Snapshot(part) => vec![part.frame(channel, epoch)],
            Self::Step(step) => step.changes.frames(channel, viewer),
            Self::Count(tally) => vec![tally.frame(channel, Asked::from(asked).recent)],
            Self::Level(level) => vec![ServerFrame::Level {
                channel: channel.clone(),
                level: *level,
                reason: LevelReason::Size,
            }],
            Self::Status(status) => vec![ServerFrame::Status { status: UserStatus::clone(status) }],
            // No socket follows changes alone.
            Self::Found { .. } | Self::Missed { .. } => Vec::new(),
        }
    }
}

impl Last {
    /// The frame that takes back what was told last: nobody is in the channel. Members may have left
    /// in ticks that went with it.
    #[must_use]
    pub fn emptied(&self, channel: &ChannelName, asked: Level) -> ServerFrame {
        match self.level {
            InForce::Events => {
                let (members, reason) = (Vec::new(), SnapshotReason::Resync);
                Part { seq: self.seq, count: 0, members, more: false, reason, partial: false }
                    .frame(channel, self.epoch)
            }
            InForce::Count => Tally { seq: self.seq, count: 0, recent: Vec::new(), partial: false }
                .frame(channel, Asked::from(asked).recent),
        }
    }
}
