//! Times as people read them.

use time::OffsetDateTime;

/// A moment in milliseconds since 1970 as `2026-11-30T09:12:03Z`.
#[must_use]
pub fn date(unix_ms: u64) -> String {
    let at = at(unix_ms);
    let (date, clock) = (at.date(), clock(unix_ms));
    format!("{:04}-{:02}-{:02}T{clock}Z", date.year(), u8::from(date.month()), date.day())
}

/// A moment as `09:12:03`, in UTC.
#[must_use]
pub fn clock(unix_ms: u64) -> String {
    let (hour, minute, second) = at(unix_ms).time().as_hms();
    format!("{hour:02}:{minute:02}:{second:02}")
}

fn at(unix_ms: u64) -> OffsetDateTime {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// How long, in its largest unit: `3s`, `12m`, `5h`, `8d`.
#[must_use]
pub fn long(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spelled_out() {
        assert_eq!(date(1_795_403_460_314), "2026-11-23T03:11:00Z");
        assert_eq!(clock(1_795_403_460_314), "03:11:00");
        assert_eq!(date(u64::MAX), "1970-01-01T00:00:00Z");
        for (ms, text) in
            [(0, "0s"), (59_999, "59s"), (60_000, "1m"), (7_200_000, "2h"), (172_800_000, "2d")]
        {
            assert_eq!(long(ms), text);
        }
    }
}
