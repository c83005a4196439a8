//! Times as people type them: `250ms`, `2s`, `1m`.

use std::time::Duration;

/// Longest duration of any flag: a year, so that sums of times cannot overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads `250ms`, `2s`, `1m`.
pub(crate) fn any(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) => Err("must be at most a year".into()),
        Err(_) => Err("write a time as 250ms, 2s or 1m".into()),
    }
}

/// Reads a duration that must not be too short to be meant.
pub(crate) fn positive(text: &str) -> Result<Duration, String> {
    match any(text)? {
        short if short < Duration::from_millis(10) => Err("must be at least 10ms".into()),
        long => Ok(long),
    }
}
