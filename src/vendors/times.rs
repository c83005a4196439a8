//! Moments as vendors write them (RFC 3339).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::{format_rfc3339_millis, format_rfc3339_seconds};

/// The end of the year 9999, in milliseconds since 1970: there are no later moments in RFC 3339.
const LAST_MS: u64 = 253_402_300_799_999;

/// As `2024-01-15T10:30:00Z`.
#[must_use]
pub fn in_seconds(unix_ms: u64) -> String {
    format_rfc3339_seconds(moment(unix_ms)).to_string()
}

/// As `2024-01-15T10:30:00.000Z`.
#[must_use]
pub fn in_millis(unix_ms: u64) -> String {
    format_rfc3339_millis(moment(unix_ms)).to_string()
}

fn moment(unix_ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(unix_ms.min(LAST_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_can_be_written() {
        assert_eq!(in_seconds(1_705_314_600_999), "2024-01-15T10:30:00Z");
        assert_eq!(in_millis(1_705_314_600_007), "2024-01-15T10:30:00.007Z");
        assert_eq!(in_millis(u64::MAX), "9999-12-31T23:59:59.999Z");
    }
}
