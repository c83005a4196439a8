//! The only reader of time.

use std::time::{Duration, Instant, SystemTime};

/// Now, on the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "this is the place where time is read")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Now, on the wall clock, as `2026-11-23T06:40:00Z`: only ever shown.
#[expect(clippy::disallowed_methods, reason = "this is the place where time is read")]
pub(crate) fn utc() -> String {
    utc_of(SystemTime::now())
}

fn utc_of(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Seconds since `start`.
pub(crate) fn seconds_since(start: Instant) -> f64 {
    now().duration_since(start).as_secs_f64()
}

/// A moment that something must not outlast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Self(now() + time)
    }

    pub(crate) fn passed(self) -> bool {
        now() >= self.0
    }

    /// What is left, at most `longest`.
    pub(crate) fn left(self, longest: Duration) -> Duration {
        self.0.saturating_duration_since(now()).min(longest)
    }
}

/// The shortest duration that a flag may ask for.
pub(crate) const SHORTEST: Duration = Duration::from_millis(1);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a duration as flags write it: `250ms`, `2s`, `1m`, up to a day.
///
/// # Errors
/// A line that says what a duration looks like.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    // The library takes a bare `0`, without a unit, for a duration. A flag does not.
    let duration = humantime::parse_duration(text).ok().filter(|_| text != "0");
    match duration {
        None => Err("write it as 250ms, 2s or 1m".to_owned()),
        Some(duration) if !(SHORTEST..=LONGEST).contains(&duration) => {
            Err("from 1ms to 1440m, a day".to_owned())
        }
        Some(duration) => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc_of(UNIX_EPOCH + Duration::from_secs(seconds)), date);
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_duration("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("24h"), Ok(LONGEST));
        for bad in
            ["", "5", "0", "s", "-1s", "0s", "999us", "1441m", "25h", "18446744073709551615m"]
        {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
