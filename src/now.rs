//! A moment, as the broker passes it around. Only [`clock`](crate::clock) makes one from a real
//! clock; all other code gets it as an argument.

/// A moment on two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on a clock that only goes forward. All that is ever compared.
    pub mono_ms: u64,
    /// Milliseconds since 1970. Only ever shown, and compared with the times of tokens.
    pub unix_ms: u64,
}

/// A deadline that never comes, in milliseconds of [`Now::mono_ms`].
pub const NEVER: u64 = u64::MAX;

impl Now {
    /// What the wall clock would have shown at `mono_ms`, a moment not after this one.
    #[must_use]
    pub fn unix_at(self, mono_ms: u64) -> u64 {
        self.unix_ms.saturating_sub(self.mono_ms.saturating_sub(mono_ms))
    }
}
