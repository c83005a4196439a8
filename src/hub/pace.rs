//! How long a flusher rests, so that a storm in one channel leaves time to all others.

use std::time::Duration;

use crate::clock::Clock;
use crate::limits::{OTHERS_SHARE, REST_MAX, REST_MIN, REST_SHARE};

/// What a flusher's passes cost, and the rest that it owes for them.
///
/// A rest buys two things: what changes meanwhile folds into the next frame, and others get the
/// processor. Where a frame told of one change alone there is nothing to fold, and where nobody
/// waited while the flusher let others have a turn nobody needs the processor: there a rest would
/// only make the next change late.
#[derive(Debug, Default)]
pub struct Pace {
    owed: Duration,
    /// Cost of the passes since the last rest.
    cost: Duration,
    /// Time that others took while the flusher let them, in these passes.
    others: Duration,
}

impl Pace {
    /// Something took so long.
    pub fn spent(&mut self, cost: Duration) {
        self.cost += cost;
    }

    /// Gives others a turn.
    pub async fn let_others(&mut self, clock: Clock) {
        let began = clock.elapsed();
        tokio::task::yield_now().await;
        self.yielded(clock.elapsed() - began);
    }

    /// Others were given a turn and took so long.
    fn yielded(&mut self, others: Duration) {
        self.others += others;
    }

    /// The rest that is due after a round that told of several changes at once (`folded`) or of one:
    /// none while it is less than [`REST_MIN`], and [`REST_MAX`] at most. What is beyond that is
    /// forgiven: it is the longest that a change may wait.
    #[must_use]
    pub fn rest(&mut self, folded: bool) -> Option<Duration> {
        let cost = std::mem::take(&mut self.cost);
        let others = std::mem::take(&mut self.others);
        if !folded && others < cost.mul_f64(OTHERS_SHARE) {
            self.owed = Duration::ZERO;
            return None;
        }
        self.owed += cost.mul_f64(REST_SHARE);
        if self.owed < REST_MIN {
            return None;
        }
        Some(std::mem::take(&mut self.owed).min(REST_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    /// Passes from nothing to half a second, some thousand of them in a row: it rests as long as it
    /// worked, no less and no more.
    #[test]
    fn a_channel_takes_no_more_than_its_share() {
        let seed = match std::env::var("HERENOW_SEED") {
            Ok(seed) => seed.parse().unwrap(),
            Err(_) => Chance::from_entropy().number(),
        };
        let mut random = fastrand::Rng::with_seed(seed);
        let mut pace = Pace::default();
        let (mut spent, mut rested) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..5_000 {
            let scale = [1_000, 100_000, 10_000_000, 500_000_000][random.usize(..4)];
            let cost = Duration::from_nanos(random.u64(..scale));
            pace.spent(cost);
            spent += cost;
            if let Some(rest) = pace.rest(true) {
                assert!((REST_MIN..=REST_MAX).contains(&rest), "{rest:?}, HERENOW_SEED={seed}");
                rested += rest;
            }
            let owed = spent.saturating_sub(rested);
            assert!(owed < REST_MIN + ROUNDED, "{owed:?}, HERENOW_SEED={seed}");
        }
        assert!(rested <= spent + ROUNDED, "rests for nothing, HERENOW_SEED={seed}");
    }

    /// What so many roundings may come to.
    const ROUNDED: Duration = Duration::from_micros(10);

    #[test]
    fn the_rest_is_as_long_as_the_work() {
        for cost in [REST_MIN, Duration::from_millis(30), REST_MAX] {
            let mut pace = Pace::default();
            pace.spent(cost);
            assert_eq!(pace.rest(true), Some(cost), "a share of {REST_SHARE} is another promise");
        }
    }

    /// One change outstanding, and nobody else about: the next is told as soon as it comes.
    #[test]
    fn one_change_alone_is_not_rested_after() {
        let mut pace = Pace::default();
        for _ in 0..10 {
            pace.spent(Duration::from_millis(30));
            pace.yielded(Duration::from_millis(1));
            assert_eq!(pace.rest(false), None);
        }
        pace.spent(REST_MIN);
        assert_eq!(pace.rest(true), Some(REST_MIN), "it owes for what nobody waited for");
    }

    #[test]
    fn others_who_wait_get_the_processor() {
        let mut pace = Pace::default();
        pace.spent(Duration::from_millis(8));
        pace.yielded(Duration::from_millis(8).mul_f64(OTHERS_SHARE));
        assert_eq!(pace.rest(false), Some(Duration::from_millis(8)));
        pace.spent(Duration::from_millis(8));
        assert_eq!(pace.rest(false), None, "others waited in an earlier round");
    }

    #[test]
    fn nothing_waits_longer_than_the_longest_rest() {
        let mut pace = Pace::default();
        pace.spent(3 * REST_MAX);
        assert_eq!(pace.rest(true), Some(REST_MAX));
        assert_eq!(pace.rest(true), None, "the rest beyond that is forgiven");
    }
}
