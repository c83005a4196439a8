//! How long a flusher rests, so that a storm in one channel leaves time to all others.

use std::time::Duration;

use crate::limits::{REST_MAX, REST_MIN, REST_SHARE};

/// The rest that a flusher owes for what its passes cost.
#[derive(Debug, Default)]
pub struct Pace(Duration);

impl Pace {
    /// Something took so long.
    pub fn spent(&mut self, cost: Duration) {
        self.0 += cost.mul_f64(REST_SHARE);
    }

    /// The rest that is due now: none while it is less than [`REST_MIN`], and [`REST_MAX`] at
    /// most. What is beyond that is forgiven: it is the longest that a change may wait.
    #[must_use]
    pub fn rest(&mut self) -> Option<Duration> {
        if self.0 < REST_MIN {
            return None;
        }
        Some(std::mem::take(&mut self.0).min(REST_MAX))
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
            if let Some(rest) = pace.rest() {
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
            assert_eq!(pace.rest(), Some(cost), "a share of {REST_SHARE} is another promise");
        }
    }

    #[test]
    fn nothing_waits_longer_than_the_longest_rest() {
        let mut pace = Pace::default();
        pace.spent(3 * REST_MAX);
        assert_eq!(pace.rest(), Some(REST_MAX));
        assert_eq!(pace.rest(), None, "the rest beyond that is forgiven");
    }
}
