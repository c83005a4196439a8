//! When silence is too long. The times are compared here; who is heard, and when somebody looks,
//! is the connection's business: a heartbeat only stores a time and moves no timer.

/// How long a silent source stays.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Silence of this many milliseconds ends a membership.
    pub timeout_ms: u64,
}

/// What to do about a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing before this moment.
    Fresh {
        /// When to look again.
        until_ms: u64,
    },
    /// Two thirds of the timeout have passed: worth a nudge.
    Due {
        /// How long the source still has.
        in_ms: u64,
    },
    /// The source is to be lost.
    Silent,
}

impl Patience {
    /// Judges a source last heard at `heard_ms`.
    #[must_use]
    pub fn judge(self, heard_ms: u64, now_ms: u64) -> Verdict {
        let nudge_ms = heard_ms + self.timeout_ms * 2 / 3;
        let ends_ms = heard_ms + self.timeout_ms;
        if now_ms >= ends_ms {
            Verdict::Silent
        } else if now_ms >= nudge_ms {
            Verdict::Due { in_ms: ends_ms - now_ms }
        } else {
            Verdict::Fresh { until_ms: nudge_ms }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_early_and_once_late_always_silent() {
        let patience = Patience { timeout_ms: 3_000 };
        assert_eq!(patience.judge(100, 100), Verdict::Fresh { until_ms: 2_100 });
        assert_eq!(patience.judge(100, 2_099), Verdict::Fresh { until_ms: 2_100 });
        assert_eq!(patience.judge(100, 2_100), Verdict::Due { in_ms: 1_000 });
        assert_eq!(patience.judge(100, 3_099), Verdict::Due { in_ms: 1 });
        assert_eq!(patience.judge(100, 3_100), Verdict::Silent);
        assert_eq!(patience.judge(100, u64::MAX), Verdict::Silent);
    }
}
