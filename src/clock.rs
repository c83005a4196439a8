//! The only reader of clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::presence::Now;

/// Reads the time. Copies agree, since they count from the same start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// What the wall clock showed then.
    start_unix: Duration,
}

impl Clock {
    /// A clock that starts at zero, now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now(), start_unix: wall_clock() }
    }

    /// The present moment.
    ///
    /// Both of its numbers turn at the same instant, so that one is never a millisecond ahead when a
    /// moment of the one is told by the other; what the wall clock was set by since the start counts
    /// in whole milliseconds.
    #[must_use]
    pub fn now(self) -> Now {
        let elapsed = self.elapsed();
        let mono_ms = elapsed.as_millis() as u64;
        let set_by_us =
            wall_clock().as_micros() as i64 - (self.start_unix + elapsed).as_micros() as i64;
        let unix_ms =
            (self.start_unix.as_millis() as u64 + mono_ms).saturating_add_signed(set_by_us / 1_000);
        Now { mono_ms, unix_ms }
    }

    /// Time since the start: for measuring how long something took.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.start.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}
