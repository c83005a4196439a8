//! The last ticks of a channel as values, for its followers: one ring for all of them, into which
//! each follower holds a place. Only a channel that has followers keeps one.

use std::collections::VecDeque;
use std::sync::Arc;

use super::changes::Changes;
use crate::limits::{RING_AGE_MS, RING_BYTES, RING_STEPS};

/// What one tick told, in the ring of its channel.
#[derive(Debug)]
pub struct Step {
    /// Rises from tick to tick over the whole broker, whichever channels they are of.
    pub stamp: u64,
    /// What the tick told.
    pub changes: Changes,
    /// When, in milliseconds of the broker's clock.
    at_ms: u64,
    bytes: usize,
}

/// The last steps: at most [`RING_STEPS`], about [`RING_BYTES`], none older than [`RING_AGE_MS`].
#[derive(Clone, Debug)]
pub struct Ring {
    steps: VecDeque<Arc<Step>>,
    /// The stamp of the last step that is not in here any more, or after which the ring began: a
    /// follower that has had everything up to an earlier one lacks what is gone.
    floor: u64,
    bytes: usize,
}

impl Step {
    /// What a tick told at `now_ms`. `stamp` is larger than any before in the whole broker.
    #[must_use]
    pub fn new(stamp: u64, changes: Changes, now_ms: u64) -> Arc<Self> {
        let bytes = changes.bytes();
        Arc::new(Self { stamp, changes, at_ms: now_ms, bytes })
    }
}

impl Ring {
    /// An empty ring, of a channel whose last tick until now had a stamp of at most `stamp`.
    #[must_use]
    pub fn new(stamp: u64) -> Self {
        Self { steps: VecDeque::new(), floor: stamp, bytes: 0 }
    }

    /// Appends what a tick told. A step larger than the ring evicts itself: its followers take a
    /// snapshot.
    pub fn push(&mut self, step: Arc<Step>) {
        debug_assert!(step.stamp > self.latest());
        let now_ms = step.at_ms;
        self.bytes += step.bytes;
        self.steps.push_back(step);
        while self.steps.len() > RING_STEPS || self.bytes > RING_BYTES {
            self.evict_first();
        }
        self.trim(now_ms);
    }

    /// Drops steps that are too old.
    pub fn trim(&mut self, now_ms: u64) {
        while self.deadline().is_some_and(|due_ms| due_ms <= now_ms) {
            self.evict_first();
        }
    }

    /// Drops all steps: memory is needed elsewhere. Followers that lack one take a snapshot.
    pub fn clear(&mut self) {
        self.floor = self.latest();
        (self.steps, self.bytes) = (VecDeque::new(), 0);
    }

    /// As [`Ring::clear`], and whoever has had all steps lacks what none tells: `stamp` stands for it,
    /// and is larger than any before.
    pub fn skip(&mut self, stamp: u64) {
        self.clear();
        self.floor = stamp;
    }

    fn evict_first(&mut self) {
        if let Some(first) = self.steps.pop_front() {
            self.floor = first.stamp;
            self.bytes -= first.bytes;
        }
        if self.steps.is_empty() {
            self.steps = VecDeque::new();
        }
    }

    /// When [`Ring::trim`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.steps.front().map(|first| first.at_ms + RING_AGE_MS)
    }

    /// The stamp of the newest step: whoever takes a snapshot now goes on after it.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.steps.back().map_or(self.floor, |last| last.stamp)
    }

    /// Bytes that the steps hold, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether whoever has had everything up to `stamp` lacks nothing that is gone. False too for
    /// a stamp from the future, which is none of ours.
    #[must_use]
    pub fn reaches(&self, stamp: u64) -> bool {
        (self.floor..=self.latest()).contains(&stamp)
    }

    /// The first step after `stamp`; `None` at the end. Only where [`Ring::reaches`] says so is it
    /// the next one.
    #[must_use]
    pub fn after(&self, stamp: u64) -> Option<&Arc<Step>> {
        self.steps.get(self.steps.partition_point(|step| step.stamp <= stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ring: &mut Ring, stamp: u64, now_ms: u64) {
        ring.push(Step::new(stamp, Changes::new(Vec::new(), stamp, stamp + 1, 0), now_ms));
    }

    #[test]
    fn a_place_is_good_until_a_step_after_it_is_gone() {
        let mut ring = Ring::new(5);
        assert!(ring.reaches(5) && !ring.reaches(4) && !ring.reaches(6));
        for stamp in [7, 8, 20] {
            push(&mut ring, stamp, stamp);
        }
        assert_eq!(ring.bytes(), 3 * Changes::new(Vec::new(), 0, 0, 0).bytes());
        assert_eq!(ring.after(5).unwrap().stamp, 7);
        assert_eq!(ring.after(8).unwrap().stamp, 20);
        assert!(ring.after(20).is_none() && ring.reaches(20));
        ring.trim(7 + RING_AGE_MS);
        assert!(ring.reaches(7) && !ring.reaches(6));
        assert_eq!(ring.deadline(), Some(8 + RING_AGE_MS));
        ring.clear();
        assert!(ring.reaches(20) && !ring.reaches(19));
        assert_eq!((ring.bytes(), ring.deadline()), (0, None));
        ring.skip(21);
        assert!(ring.reaches(21) && !ring.reaches(20) && ring.latest() == 21);
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let mut ring = Ring::new(0);
        for stamp in 1..=3 * RING_STEPS as u64 {
            push(&mut ring, stamp, 0);
            assert!(ring.steps.len() <= RING_STEPS && ring.bytes() <= RING_BYTES);
        }
        assert!(ring.reaches(2 * RING_STEPS as u64) && !ring.reaches(2 * RING_STEPS as u64 - 1));
    }

    #[test]
    fn as_many_bytes_as_it_may_hold_are_kept() {
        let step = |stamp, bytes| {
            let changes = Changes::new(Vec::new(), stamp, stamp + 1, 0);
            Arc::new(Step { stamp, changes, at_ms: 0, bytes })
        };
        let mut ring = Ring::new(0);
        ring.push(step(1, RING_BYTES - 1));
        ring.push(step(2, 1));
        assert_eq!((ring.reaches(0), ring.bytes()), (true, RING_BYTES));
        ring.push(step(3, 1));
        assert_eq!((ring.reaches(0), ring.reaches(1), ring.bytes()), (false, true, 2));
    }
}
