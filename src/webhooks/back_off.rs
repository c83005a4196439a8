//! When to try again what failed.

use std::time::Duration;

/// Ever longer waits, each between a half of what it may be and all of it, so that many who failed at
/// the same moment do not come back at the same moment.
#[derive(Debug)]
pub struct BackOff {
    next: Duration,
    longest: Duration,
}

impl BackOff {
    /// The first wait, and the longest.
    #[must_use]
    pub fn new((first, longest): (Duration, Duration)) -> Self {
        Self { next: first, longest }
    }

    /// How long to wait now. `below` chooses a number below another.
    pub fn wait(&mut self, below: impl FnOnce(u64) -> u64) -> Duration {
        let most = self.next.min(self.longest);
        self.next = most * 2;
        let half = most / 2;
        half + Duration::from_millis(below(half.as_millis() as u64 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_twice_as_long_each_time_up_to_the_longest() {
        let seconds = Duration::from_secs;
        let waits = |below: fn(u64) -> u64| {
            let mut back_off = BackOff::new((seconds(1), seconds(10)));
            (0..6).map(|_| back_off.wait(below).as_millis()).collect::<Vec<_>>()
        };
        assert_eq!(waits(|end| end - 1), [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
        assert_eq!(waits(|_| 0), [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    }
}
