//! The only reader of clocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::now::Now;

/// Reads the time. Copies agree, since they count from the same start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// What the wall clock showed then.
    start_unix: Duration,
    /// By how much a test has moved it forward.
    shift: Option<&'static AtomicU64>,
}

/// Moves a clock forward, so that a test need not wait.
#[derive(Clone, Copy, Debug)]
pub struct Shift(&'static AtomicU64);

impl Shift {
    /// Lets so many milliseconds pass at once, for everybody who reads the clock.
    pub fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock {
    /// A clock that starts at zero, now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now(), start_unix: wall_clock(), shift: None }
    }

    /// As [`Clock::start`], and what moves it. For tests: the eight bytes that both share are never
    /// given back, so that a clock stays as small and as cheap to copy as it is.
    #[must_use]
    pub fn shiftable() -> (Self, Shift) {
        let shift: &AtomicU64 = Box::leak(Box::default());
        (Self { shift: Some(shift), ..Self::start() }, Shift(shift))
    }

    /// The present moment.
    ///
    /// Both of its numbers turn at the same instant, so that one is never a millisecond ahead when a
    /// moment of the one is told by the other; what the wall clock was set by since the start counts
    /// in whole milliseconds.
    #[must_use]
    pub fn now(self) -> Now {
        let elapsed = self.start.elapsed();
        let mono_ms = elapsed.as_millis() as u64;
        let set_by_us =
            wall_clock().as_micros() as i64 - (self.start_unix + elapsed).as_micros() as i64;
        let unix_ms =
            (self.start_unix.as_millis() as u64 + mono_ms).saturating_add_signed(set_by_us / 1_000);
        let shift_ms = self.shift.map_or(0, |shift| shift.load(Ordering::SeqCst));
        Now { mono_ms: mono_ms + shift_ms, unix_ms: unix_ms + shift_ms }
    }

    /// Time since the start: for measuring how long something took.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        let shift_ms = self.shift.map_or(0, |shift| shift.load(Ordering::SeqCst));
        self.start.elapsed() + Duration::from_millis(shift_ms)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}
