//! When subscribers that are told the count are told again.

use crate::limits::COUNT_INTERVAL_MS;

/// A channel's rounds of count frames: at most one in [`COUNT_INTERVAL_MS`], and the last state
/// always owed.
///
/// Whoever subscribed between two rounds has a pace of its own, and would be told too soon by the
/// next. Left to the round after that, it could hear of a change more than two seconds late. So a
/// round that passed somebody over is followed by another after half the time, or as soon later
/// as one of those may be told; from there on they are in step with the others.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountPacer {
    /// No round before this moment.
    next_ms: u64,
    owed: Due,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Due {
    #[default]
    Nothing,
    /// A round, once its time has come.
    Later,
    /// A round, and its time has come: somebody has to look.
    Now,
}

impl CountPacer {
    /// Who is here has changed.
    pub fn owe(&mut self) {
        if self.owed == Due::Nothing {
            self.owed = Due::Later;
        }
    }

    /// When [`CountPacer::ring`] has to be called, if a round is owed.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        (self.owed == Due::Later).then_some(self.next_ms)
    }

    /// Time has passed: from here on a round may ring.
    pub fn ring(&mut self, now_ms: u64) {
        if self.owed == Due::Later && self.next_ms <= now_ms {
            self.owed = Due::Now;
        }
    }

    /// Whether a round's time has come, as far as anybody said.
    #[must_use]
    pub fn rings(&self) -> bool {
        self.owed == Due::Now
    }

    /// Begins a round, if one is owed and its time has come.
    pub fn begin(&mut self, now_ms: u64) -> bool {
        self.ring(now_ms);
        let begins = self.rings();
        if begins {
            *self = Self { next_ms: now_ms + COUNT_INTERVAL_MS, owed: Due::Nothing };
        }
        begins
    }

    /// The round passed over somebody who may be told from `due_ms` on.
    pub fn passed_over(&mut self, due_ms: u64) {
        self.next_ms = due_ms.max(self.next_ms.saturating_sub(COUNT_INTERVAL_MS / 2));
        self.owe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_at_once_and_the_last_is_owed() {
        let mut pacer = CountPacer::default();
        assert!(!pacer.begin(5_000), "nothing is owed");
        pacer.owe();
        assert!(pacer.begin(5_000));
        assert!(!pacer.begin(9_000), "it is owed no more");
        pacer.owe();
        pacer.owe();
        assert!(pacer.begin(9_000));
        pacer.owe();
        assert_eq!(pacer.deadline(), Some(10_000));
        assert!(!pacer.begin(9_999));
        assert!(pacer.begin(10_000));
        assert_eq!(pacer.deadline(), None);
    }

    #[test]
    fn it_rings_once_until_it_begins() {
        let mut pacer = CountPacer::default();
        pacer.ring(1);
        assert!(!pacer.rings());
        pacer.owe();
        assert!(pacer.begin(1_000));
        pacer.owe();
        pacer.ring(1_999);
        assert!(!pacer.rings());
        pacer.ring(2_000);
        assert!(pacer.rings() && pacer.deadline().is_none(), "nobody needs another timer");
        pacer.owe();
        assert!(pacer.rings(), "another change takes nothing away");
        assert!(pacer.begin(2_000) && !pacer.rings());
    }

    #[test]
    fn whoever_was_passed_over_is_not_forgotten() {
        let mut pacer = CountPacer::default();
        pacer.owe();
        assert!(pacer.begin(1_000));
        // Soon, but not at once; or when the first of them may be told.
        for (due_ms, at_ms) in [(1_001, 1_500), (1_500, 1_500), (1_700, 1_700), (2_000, 2_000)] {
            let mut pacer = pacer;
            pacer.passed_over(due_ms);
            assert_eq!(pacer.deadline(), Some(at_ms));
        }
    }
}
