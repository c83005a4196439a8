//! Moments, as Appwrite spells them.

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment in milliseconds since 1970, shown as `2026-11-22T11:54:23.475+00:00`.
#[derive(Clone, Copy, Debug)]
pub struct Shown(pub u64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = (self.0 / 1_000) as i64;
        let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, (hour, minute, second)) = (at.date(), at.to_hms());
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        let ms = self.0 % 1_000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}+00:00")
    }
}

/// The moment that a text names, in milliseconds since 1970; what is before counts as 1970. `None`:
/// it names none.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_it_was_shown() {
        for unix_ms in [0, 1, 999, 951_782_400_000, 1_795_348_463_475, 4_102_444_799_999] {
            assert_eq!(parse(&Shown(unix_ms).to_string()), Some(unix_ms));
        }
        assert_eq!(Shown(1_795_348_463_475).to_string(), "2026-11-22T11:54:23.475+00:00");
    }

    #[test]
    fn other_spellings_and_none() {
        let at = Some(1_795_348_463_475);
        assert_eq!(parse("2026-11-22T11:54:23.475Z"), at);
        assert_eq!(parse("2026-11-22T12:54:23.475+01:00"), at);
        assert_eq!(parse("1969-01-01T00:00:00Z"), Some(0));
        for none in ["", "soon", "2026-11-22", "2026-13-22T11:54:23Z", "1795348463475"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
