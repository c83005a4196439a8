//! Chance, handed in: whoever starts a broker says from which seed, so that a test can repeat what
//! it saw. Nothing here needs secrecy.

use std::fmt;

use fastrand::Rng;
use parking_lot::Mutex;

/// A source of random numbers that threads share.
pub struct Chance(Mutex<Rng>);

impl Chance {
    /// Numbers that follow from `seed`.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(Mutex::new(Rng::with_seed(seed)))
    }

    /// Numbers that nobody foresees.
    #[must_use]
    pub fn from_entropy() -> Self {
        Self::from_seed(fastrand::u64(..))
    }

    /// Any number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.lock().u64(..)
    }

    /// A number below `end`; 0 if `end` is 0.
    #[must_use]
    pub fn below(&self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.lock().u64(..end) }
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chance").finish_non_exhaustive()
    }
}
