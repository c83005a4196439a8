//! Chance, handed in: whoever starts a broker says from which seed, so that a test can repeat what
//! it saw. None of that needs secrecy. What clients must not look through is made with the key of
//! this process.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;

use fastrand::Rng;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

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

/// From the operating system, once, and told to nobody.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A hash of `what` that nobody without the key can compute, and that is the same for as long as
/// this process lives.
#[must_use]
pub fn keyed_hash(what: impl Hash) -> u64 {
    KEY.hash_one(what)
}

/// With which key a number is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// This process' own.
    Process,
    /// One that several processes know, and nobody else.
    Shared(u64),
}

impl Key {
    fn hash(self, context: u64, bits: u32, round: u32, half: u64) -> u64 {
        let Self::Shared(key) = self else { return keyed_hash((context, bits, round, half)) };
        // The same on all nodes, whichever compiler built them.
        let mut hash = Sha256::new();
        for word in [key, context, bits.into(), round.into(), half] {
            hash.update(word.to_be_bytes());
        }
        hash.finalize().iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte))
    }

    /// A number of `bits` bits, an even number of them, as another of as many, which says nothing of
    /// it: a different one for each, by `context`. [`Key::unseal`] gives it back.
    #[must_use]
    pub fn seal(self, number: u64, bits: u32, context: u64) -> u64 {
        let (mask, half) = ((1 << (bits / 2)) - 1, bits / 2);
        let (mut left, mut right) = (number >> half & mask, number & mask);
        for round in 0..SEAL_ROUNDS {
            (left, right) = (right, left ^ self.hash(context, bits, round, right) & mask);
        }
        left << half | right
    }

    /// What [`Key::seal`] made `number` of.
    #[must_use]
    pub fn unseal(self, number: u64, bits: u32, context: u64) -> u64 {
        let (mask, half) = ((1 << (bits / 2)) - 1, bits / 2);
        let (mut left, mut right) = (number >> half & mask, number & mask);
        for round in (0..SEAL_ROUNDS).rev() {
            (left, right) = (right ^ self.hash(context, bits, round, left) & mask, left);
        }
        left << half | right
    }
}

/// Rounds of a Feistel network: four make a permutation that looks random from both sides (Luby
/// and Rackoff, 1988).
const SEAL_ROUNDS: u32 = 4;

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chance").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_comes_back() {
        for key in [Key::Process, Key::Shared(7)] {
            for number in [0, 1, 77, u64::MAX / 3, u64::MAX] {
                assert_eq!(key.unseal(key.seal(number, 64, 5), 64, 5), number);
            }
            let mut sealed: Vec<_> = (0..1 << 10).map(|number| key.seal(number, 10, 3)).collect();
            assert!(sealed.iter().enumerate().all(|(n, &s)| key.unseal(s, 10, 3) == n as u64));
            assert!(!sealed.is_sorted());
            sealed.sort_unstable();
            assert_eq!(sealed, (0..1 << 10).collect::<Vec<_>>(), "each once");
            let of = |context| (0..64).map(|n| key.seal(n, 20, context)).collect::<Vec<_>>();
            assert_ne!(of(1), of(2));
        }
    }

    #[test]
    fn what_one_node_sealed_another_one_reads() {
        let seal = |key: Key| key.seal(1_048_577, 52, 0);
        assert_eq!(seal(Key::Shared(7)), SEALED, "another version of a node cannot read it");
        assert_ne!(seal(Key::Shared(8)), seal(Key::Shared(7)));
    }

    const SEALED: u64 = 1_951_827_507_295_595;
}
