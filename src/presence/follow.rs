//! How one follower walks through a channel: from a snapshot, part by part, through the ring of
//! what the ticks told.
//!
//! A follower holds a stage and no bytes: each part of a snapshot is made when it is asked for,
//! from the members as observers know them then. So an entry may be newer than the seq at which
//! the snapshot began; the steps since then follow, and tell again what the entry has already.
//! Whoever keeps a replica therefore takes a `join` of a known member as the member anew, and an
//! `updateAttributes`, `leave` or `timeout` of an unknown one as nothing.

use std::sync::Arc;

use herenow_protocol::reply::{InForce, SnapshotReason};
use herenow_protocol::{Epoch, Level, UserStatus};

use super::channel::ChannelState;
use super::member::Member;
use super::ring::{Ring, Step};
use super::tally::Tally;
use super::viewer::Viewer;
use crate::limits::COUNT_INTERVAL_MS;

/// Where in a channel's history a follower is: it has had everything up to this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The history that the numbers count in.
    pub epoch: Epoch,
    /// The last seq that it has had.
    pub seq: u64,
    /// The last stamp that it has had. Tells apart what `seq` cannot: ticks of which only some
    /// viewers were told take no seq.
    pub stamp: u64,
}

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
}

/// One part of a snapshot.
#[derive(Debug)]
pub struct Part {
    /// The snapshot is that after this seq; entries may be newer.
    pub seq: u64,
    /// Members visible to all, at that seq.
    pub count: u64,
    /// Those of this part, newest first.
    pub members: Vec<Arc<Member>>,
    /// Whether further parts follow.
    pub more: bool,
    /// Why the snapshot comes.
    pub reason: SnapshotReason,
}

/// What there is for a follower now.
#[derive(Debug)]
pub enum Next {
    /// This; there may be more.
    News(News),
    /// Nothing until the channel's next tick.
    Nothing,
    /// Nothing for so many milliseconds: a count that is owed and may not be told yet.
    Later(u64),
}

/// A follower's walk through one channel, at the level that it asked for.
#[derive(Debug)]
pub struct Follow {
    asked: Level,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// It waits for what its level begins with.
    Begin(SnapshotReason),
    /// In the midst of a snapshot: what is left are members numbered below `below`.
    Sweep { mark: Mark, count: u64, below: u64, reason: SnapshotReason },
    /// It has had everything up to this.
    At(Mark),
    /// It was told a count: that after `mark`, at this moment.
    Counted { mark: Mark, at_ms: u64 },
}

impl Follow {
    /// A follower that asks for `asked` and begins with a snapshot.
    #[must_use]
    pub fn new(asked: Level) -> Self {
        Self { asked, stage: Stage::Begin(SnapshotReason::Subscribed) }
    }

    /// A follower that comes back, having had everything up to `since`: it goes on from there if
    /// nothing that it lacks is gone, and begins with a snapshot otherwise.
    #[must_use]
    pub fn resuming(asked: Level, since: Mark, channel: &ChannelState, ring: &Ring) -> Self {
        let events = channel.standing().level(asked) == InForce::Events;
        let good = since.epoch == channel.epoch()
            && since.seq < channel.next_seq()
            && ring.reaches(since.stamp);
        if events && good {
            return Self { asked, stage: Stage::At(since) };
        }
        Self::new(asked)
    }

    /// Whether it came back and goes on from where it was.
    #[must_use]
    pub fn has_resumed(&self) -> bool {
        matches!(self.stage, Stage::At(_))
    }

    /// Up to where it has had everything; `None` in the midst of a snapshot or before one.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        match self.stage {
            Stage::At(mark) | Stage::Counted { mark, .. } => Some(mark),
            Stage::Begin(_) | Stage::Sweep { .. } => None,
        }
    }

    /// The next thing that it is told as `viewer`.
    pub fn next(
        &mut self,
        channel: &ChannelState,
        ring: &Ring,
        viewer: Viewer<'_>,
        now_ms: u64,
    ) -> Next {
        let level = channel.standing().level(self.asked);
        let held = match self.stage {
            Stage::Begin(_) => None,
            Stage::Sweep { .. } | Stage::At(_) => Some(InForce::Events),
            Stage::Counted { .. } => Some(InForce::Count),
        };
        if held.is_some_and(|held| held != level) {
            self.stage = Stage::Begin(SnapshotReason::Level);
            return Next::News(News::Level(level));
        }
        match level {
            InForce::Events => self.next_event(channel, ring, viewer),
            InForce::Count => self.next_count(channel, ring, now_ms),
        }
    }

    fn next_event(&mut self, channel: &ChannelState, ring: &Ring, viewer: Viewer<'_>) -> Next {
        // Behind the ring: what is lacking is gone, so the walk begins anew, with all of it.
        if let Stage::Sweep { mark, .. } | Stage::At(mark) = self.stage
            && !ring.reaches(mark.stamp)
        {
            self.stage = Stage::Begin(SnapshotReason::Resync);
        }
        match self.stage {
            Stage::Begin(reason) => {
                let mark = mark_of(channel, ring);
                if let Some(status) = channel.told_status() {
                    self.stage = Stage::At(mark);
                    return Next::News(News::Status(Box::new(status.clone())));
                }
                let count = channel.told_count() as u64;
                self.sweep(channel, viewer, mark, count, u64::MAX, reason)
            }
            Stage::Sweep { mark, count, below, reason } => {
                self.sweep(channel, viewer, mark, count, below, reason)
            }
            Stage::At(mark) => match ring.after(mark.stamp) {
                None => Next::Nothing,
                Some(step) => {
                    let seq = (step.changes.next_seq() - 1).max(mark.seq);
                    self.stage = Stage::At(Mark { seq, stamp: step.stamp, ..mark });
                    Next::News(News::Step(Arc::clone(step)))
                }
            },
            // Another level's, and so begun anew above.
            Stage::Counted { .. } => Next::Nothing,
        }
    }

    fn sweep(
        &mut self,
        channel: &ChannelState,
        viewer: Viewer<'_>,
        mark: Mark,
        count: u64,
        below: u64,
        reason: SnapshotReason,
    ) -> Next {
        let (members, below) = channel.told_part(below, viewer);
        let more = below.is_some();
        self.stage = match below {
            Some(below) => Stage::Sweep { mark, count, below, reason },
            None => Stage::At(mark),
        };
        Next::News(News::Snapshot(Part { seq: mark.seq, count, members, more, reason }))
    }

    fn next_count(&mut self, channel: &ChannelState, ring: &Ring, now_ms: u64) -> Next {
        if let Stage::Counted { mark, at_ms } = self.stage {
            if mark.seq >= channel.moved_seq() {
                return Next::Nothing;
            }
            let elapsed_ms = now_ms.saturating_sub(at_ms);
            if elapsed_ms < COUNT_INTERVAL_MS {
                return Next::Later(COUNT_INTERVAL_MS - elapsed_ms);
            }
        }
        self.stage = Stage::Counted { mark: mark_of(channel, ring), at_ms: now_ms };
        Next::News(News::Count(channel.told_tally()))
    }
}

fn mark_of(channel: &ChannelState, ring: &Ring) -> Mark {
    Mark { epoch: channel.epoch(), seq: channel.next_seq() - 1, stamp: ring.latest() }
}
