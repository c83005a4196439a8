//! How one follower walks through a channel: from a snapshot, part by part, through the ring of
//! what the ticks told.
//!
//! A follower holds a place and no bytes: each part of a snapshot is made when it is asked for,
//! from the members as observers know them then. So an entry may be newer than the seq at which
//! the snapshot began; the steps since then follow, and tell again what the entry has already.
//! Whoever keeps a replica therefore takes a `join` of a known member as the member anew, and an
//! `updateAttributes`, `leave` or `timeout` of an unknown one as nothing.
//!
//! A follower of changes alone is given no snapshot: where it lacks something it is told so, and from
//! where to where. Where other nodes have a part in the channel, all that they have is found at once when
//! the channel comes to be followed: if nobody was there before, those who are found have joined since.

use std::sync::Arc;

use herenow_protocol::reply::{InForce, SnapshotReason};
use herenow_protocol::{Epoch, Level};

use super::channel::ChannelState;
use super::news::{Last, News};
use super::ring::Ring;
use super::snapshot::{Part, Rest};
use super::viewer::Viewer;
use crate::limits::{COUNT_INTERVAL_MS, PART_BYTES};

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
    /// It is told changes, and what it lacks of them, and never a snapshot.
    changes_alone: bool,
    /// But for those whom it finds where it knows of nobody.
    finds: bool,
    /// What it was told came to nobody being there.
    knows_empty: bool,
}

#[derive(Debug)]
enum Stage {
    /// It waits for what its level begins with. `told`: where it was left, if it was told of another
    /// level and of nothing since.
    Begin { reason: SnapshotReason, told: Option<Last> },
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
        let stage = Stage::Begin { reason: SnapshotReason::Subscribed, told: None };
        Self { asked, stage, changes_alone: false, finds: false, knows_empty: false }
    }

    /// A follower that lacks nothing, and is told every change from here on.
    #[must_use]
    pub fn from_here(channel: &ChannelState, ring: &Ring) -> Self {
        let stage = Stage::At(mark_of(channel, ring));
        Self { stage, ..Self::new(Level::Events) }
    }

    /// A follower of changes alone that lacks nothing so far.
    #[must_use]
    pub fn changes_from_here(channel: &ChannelState, ring: &Ring) -> Self {
        Self { changes_alone: true, ..Self::from_here(channel, ring) }
    }

    /// A follower of changes alone that lacks all that was until now, and is told so.
    #[must_use]
    pub fn changes() -> Self {
        Self { changes_alone: true, ..Self::new(Level::Events) }
    }

    /// As [`Follow::changes`], where other nodes have a part in the channel. `knows_empty`: it knows that
    /// nobody was there until now, and so lacks nothing.
    #[must_use]
    pub fn shared_changes(knows_empty: bool) -> Self {
        Self { finds: true, knows_empty, ..Self::changes() }
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
            return Self { stage: Stage::At(since), ..Self::new(asked) };
        }
        Self::new(asked)
    }

    /// Whether it is told changes, and never a snapshot.
    #[must_use]
    pub fn is_of_changes_alone(&self) -> bool {
        self.changes_alone
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
            Stage::Begin { .. } | Stage::Sweep { .. } => None,
        }
    }

    /// What it was told last, for when the channel is gone; `None`: nothing that it could show. From
    /// here on there is nothing.
    pub fn end(&mut self) -> Option<Last> {
        let last = self.last();
        self.stage = Stage::Begin { reason: SnapshotReason::Subscribed, told: None };
        last
    }

    /// What it was told last; `None`: nothing that it could show.
    #[must_use]
    pub fn last(&self) -> Option<Last> {
        let (mark, level) = match self.stage {
            Stage::Begin { told, .. } => return told,
            Stage::Sweep { mark, .. } | Stage::At(mark) => (mark, InForce::Events),
            Stage::Counted { mark, .. } => (mark, InForce::Count),
        };
        Some(Last { epoch: mark.epoch, seq: mark.seq, level })
    }

    /// The next thing that it is told as `viewer`.
    pub fn next(
        &mut self,
        channel: &ChannelState,
        ring: &Ring,
        viewer: Viewer<'_>,
        now_ms: u64,
    ) -> Next {
        if self.changes_alone {
            let found = self.find(channel, ring, viewer);
            return found.unwrap_or_else(|| self.next_change(mark_of(channel, ring), ring));
        }
        let level = channel.standing().level(self.asked);
        if let Some(last) = self.last().filter(|last| last.level != level) {
            let told = Some(Last { level, ..last });
            self.stage = Stage::Begin { reason: SnapshotReason::Level, told };
            return Next::News(News::Level(level));
        }
        match level {
            InForce::Events => self.next_event(channel, ring, viewer),
            InForce::Count => self.next_count(channel, ring, now_ms),
        }
    }

    /// The next change of a history that stands at `now`, of which `ring` has the last ticks.
    pub fn next_change(&mut self, now: Mark, ring: &Ring) -> Next {
        let had = match self.stage {
            Stage::At(mark) if mark.epoch == now.epoch => Some(mark),
            _ => None,
        };
        let Some(mark) = had.filter(|mark| ring.reaches(mark.stamp)) else {
            self.stage = Stage::At(now);
            if self.knows_empty {
                // Nobody is left to be found.
                return Next::Nothing;
            }
            let (first, begins) = (had.map_or(1, |mark| mark.seq + 1), had.is_none());
            return Next::News(News::Missed { from: first.min(now.seq), to: now.seq, begins });
        };
        self.next_step(mark, ring)
    }

    /// Those who are there, where nobody was by what it was told, and no step tells of them.
    fn find(&mut self, channel: &ChannelState, ring: &Ring, viewer: Viewer<'_>) -> Option<Next> {
        let reaches = |mark: Mark| mark.epoch == channel.epoch() && ring.reaches(mark.stamp);
        let reason = SnapshotReason::Subscribed;
        let (mark, count, below) = match self.stage {
            Stage::Sweep { mark, count, below, .. } => {
                let leapt = channel.last_leap(Rest::Public(below));
                if !reaches(mark) || leapt.is_some_and(|seq| seq >= mark.seq) {
                    // Some were told and others cannot be any more.
                    self.stage = Stage::Begin { reason, told: None };
                    return None;
                }
                (mark, count, below)
            }
            Stage::At(mark) if reaches(mark) => return None,
            _ if !self.knows_empty => return None,
            _ => (mark_of(channel, ring), channel.told_count() as u64, u64::MAX),
        };
        let part = self.sweep(channel, viewer, mark, count, below, reason);
        let first = self.knows_empty;
        self.knows_empty &= part.members.is_empty();
        Some(Next::News(News::Found { part, first }))
    }

    /// The history that it followed to its end goes on as another one, of which it lacks nothing.
    pub fn goes_on_as(&mut self, epoch: Epoch) {
        if let Stage::At(mark) = &mut self.stage {
            (mark.epoch, mark.seq) = (epoch, 0);
        }
    }

    fn next_step(&mut self, mark: Mark, ring: &Ring) -> Next {
        let Some(step) = ring.after(mark.stamp) else { return Next::Nothing };
        let seq = (step.changes.next_seq() - 1).max(mark.seq);
        self.stage = Stage::At(Mark { seq, stamp: step.stamp, ..mark });
        self.knows_empty = self.finds && step.changes.members().1 == 0;
        Next::News(News::Step(Arc::clone(step)))
    }

    fn next_event(&mut self, channel: &ChannelState, ring: &Ring, viewer: Viewer<'_>) -> Next {
        // Behind the ring, or of a history that is over: what is lacking is gone, so the walk begins
        // anew, with all of it.
        if let Stage::Sweep { mark, .. } | Stage::At(mark) = self.stage
            && !(mark.epoch == channel.epoch() && ring.reaches(mark.stamp))
        {
            self.stage = Stage::Begin { reason: SnapshotReason::Resync, told: None };
        }
        // A member stands higher in the lists now, and no step tells it.
        if let Stage::Sweep { mark, below, .. } = self.stage
            && channel.last_leap(Rest::Public(below)).is_some_and(|seq| seq >= mark.seq)
        {
            self.stage = Stage::Begin { reason: SnapshotReason::Resync, told: None };
        }
        match self.stage {
            Stage::Begin { reason, .. } => {
                let mark = mark_of(channel, ring);
                if let Some(status) = channel.told_status() {
                    self.stage = Stage::At(mark);
                    return Next::News(News::Status(Box::new(status.clone())));
                }
                let count = channel.told_count() as u64;
                let part = self.sweep(channel, viewer, mark, count, u64::MAX, reason);
                Next::News(News::Snapshot(part))
            }
            Stage::Sweep { mark, count, below, reason } => {
                Next::News(News::Snapshot(self.sweep(channel, viewer, mark, count, below, reason)))
            }
            Stage::At(mark) => self.next_step(mark, ring),
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
    ) -> Part {
        let (members, below) = channel.told_part(below, viewer, PART_BYTES);
        let more = below.is_some();
        self.stage = match below {
            Some(below) => Stage::Sweep { mark, count, below, reason },
            None => Stage::At(mark),
        };
        let (seq, partial) = (mark.seq, channel.is_partial());
        Part { seq, count, members, more, reason, partial }
    }

    fn next_count(&mut self, channel: &ChannelState, ring: &Ring, now_ms: u64) -> Next {
        if let Stage::Counted { mark, at_ms } = self.stage {
            if mark.epoch == channel.epoch() && mark.seq >= channel.moved_seq() {
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

/// Where whoever has had everything is.
#[must_use]
pub fn mark_of(channel: &ChannelState, ring: &Ring) -> Mark {
    Mark { epoch: channel.epoch(), seq: channel.next_seq() - 1, stamp: ring.latest() }
}

#[cfg(test)]
mod tests {
    use herenow_protocol::{ChannelName, LeaveReason, UserId};

    use super::super::ring::Step;
    use super::*;
    use crate::now::Now;
    use crate::presence::{Bounds, Command, Lasts, Source};

    const BOUNDS: Bounds = Bounds { members: 9, attribute_bytes: 99, attribute_keys: 9, roster: 9 };
    const NOW: Now = Now { mono_ms: 5, unix_ms: 5_000 };

    struct World(ChannelState, Ring);

    impl World {
        fn apply(&mut self, user: &str, joins: bool) {
            let (user, source) = (UserId::parse(user, "user").unwrap(), Source::connection(1));
            let command = match joins {
                false => Command::Leave { user, source, reason: LeaveReason::Left },
                true => Command::Join {
                    user,
                    source,
                    attributes: None,
                    merge: false,
                    info: None,
                    visible_to: None,
                    away: None,
                    lasts: Lasts::Connection { grace_ms: 0 },
                },
            };
            self.0.apply(command, NOW, &BOUNDS, |_| {}).unwrap();
        }

        /// As where all that other nodes have is known from here on: no step tells it.
        fn skip(&mut self, stamp: u64) {
            self.0.begin_unheard();
            self.1.skip(stamp);
        }

        fn tick(&mut self, stamp: u64) {
            let room = ChannelName::parse("room", "channel").unwrap();
            let changes = self.0.tick(&room, NOW, &BOUNDS).changes;
            self.1.push(Step::new(stamp, changes, NOW.mono_ms));
        }

        fn next(&self, follow: &mut Follow) -> String {
            match follow.next(&self.0, &self.1, Viewer::All, NOW.mono_ms) {
                Next::Nothing => "nothing".to_owned(),
                Next::News(News::Step(step)) => {
                    format!("a step of {}", step.changes.changed().len())
                }
                Next::News(News::Found { part, first }) => {
                    format!("{} found, first: {first}", part.members.len())
                }
                Next::News(News::Missed { begins, .. }) => format!("missed, begins: {begins}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn who_is_found_where_nobody_was_has_joined_and_who_may_have_been_there_is_lacking() {
        let mut world = World(ChannelState::new(Epoch::from_random(1)), Ring::new(0));
        let (mut knows, mut lacks) = (Follow::shared_changes(true), Follow::shared_changes(false));
        assert_eq!(world.next(&mut knows), "0 found, first: true");
        assert_eq!(world.next(&mut lacks), "missed, begins: true");
        world.apply("ada", true);
        world.skip(1);
        assert_eq!(world.next(&mut knows), "1 found, first: true");
        assert_eq!(world.next(&mut lacks), "missed, begins: false");
        world.apply("bob", true);
        world.tick(2);
        for follow in [&mut knows, &mut lacks] {
            assert_eq!(world.next(follow), "a step of 1");
            assert_eq!(world.next(follow), "nothing");
        }
        // Somebody it knows of is there, so others may have gone.
        world.skip(3);
        assert_eq!(world.next(&mut knows), "missed, begins: false");
        world.apply("ada", false);
        world.apply("bob", false);
        world.tick(4);
        assert_eq!(world.next(&mut knows), "a step of 2");
        // It was told that the last one went: who is there now has come since.
        world.apply("eve", true);
        world.skip(5);
        assert_eq!(world.next(&mut knows), "1 found, first: true");
        assert_eq!(world.next(&mut knows), "nothing");
    }
}
