//! The only reader of time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, on the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "this is the place where time is read")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Now, on the wall clock, as `2026-11-23T06:40:00Z`: only ever shown.
#[expect(clippy::disallowed_methods, reason = "this is the place where time is read")]
pub(crate) fn utc() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    utc_of(since_epoch.as_secs())
}

/// Years are counted from March, so that the leap day comes last.
fn utc_of(seconds: u64) -> String {
    const DAY: u64 = 24 * 60 * 60;
    const YEARS_400: u64 = 146_097;
    /// From 1 March of the year 0 to 1 January 1970.
    const EPOCH: u64 = 719_468;
    let (day, second) = (seconds / DAY + EPOCH, seconds % DAY);
    let (era, day) = (day / YEARS_400, day % YEARS_400);
    let year = (day - day / 1460 + day / 36_524 - day / (YEARS_400 - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day + 2) / 153;
    let day = day - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = 400 * era + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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

/// The longest duration that makes sense here.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a duration as flags write it: `250ms`, `2s`, `1m`.
///
/// # Errors
/// A line that says what a duration looks like.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "write it as 250ms, 2s or 1m".to_owned())?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err("write it as 250ms, 2s or 1m".to_owned()),
    };
    if duration.is_zero() || duration > LONGEST {
        return Err("from 1ms to 1440m, a day".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
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
            assert_eq!(utc_of(seconds), date);
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_duration("1m"), Ok(Duration::from_secs(60)));
        for bad in ["", "5", "s", "1h", "-1s", "1.5s", "0s", "1441m", "18446744073709551615m"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
