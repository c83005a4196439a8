//! Timetokens: when something was told, in units of 100 ns since 1970. Over the whole broker they
//! rise strictly, whatever the clock does, so a poll that has had everything up to one lacks exactly
//! what is stamped later.

use std::sync::atomic::{AtomicU64, Ordering};

/// Stamps of one millisecond.
pub const PER_MS: u64 = 10_000;

/// The stamps of one broker.
#[derive(Debug)]
pub struct Stamps(AtomicU64);

impl Stamps {
    /// Those that follow this moment, in milliseconds since 1970.
    #[must_use]
    pub fn new(unix_ms: u64) -> Self {
        Self(AtomicU64::new(unix_ms * PER_MS))
    }

    /// The last that was taken. Whoever reads it and then takes a ring's lock finds everything there
    /// that is stamped up to it, since stamps are taken with that lock held.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// The next. To be taken with the lock held of the ring that it is for.
    pub fn take(&self, unix_ms: u64) -> u64 {
        let next = |last: u64| (last + 1).max(unix_ms * PER_MS);
        let before = self.0.update(Ordering::SeqCst, Ordering::SeqCst, next);
        next(before)
    }
}

/// As PubNub writes it: 17 digits, as a text, since a number loses the last of them in JavaScript.
#[must_use]
pub fn text_of(stamp: u64) -> String {
    format!("{stamp:017}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_rise_however_often_and_whatever_the_clock_says() {
        let stamps = Stamps::new(1_795_348_641_000);
        let taken = [5, 5, 3, 9].map(|ms| stamps.take(1_795_348_641_000 + ms));
        assert!(taken.is_sorted_by(|a, b| a < b), "{taken:?}");
        assert_eq!(taken[0], 17_953_486_410_050_000);
        assert_eq!(taken[3], 17_953_486_410_090_000);
        assert_eq!(stamps.last(), taken[3]);
        assert_eq!(text_of(taken[0]).len(), 17);
        assert_eq!(text_of(7).len(), 17);
    }
}
