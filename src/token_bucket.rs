//! How many frames a client may still send, or requests make: a token bucket in thousandths of one.

/// What one more frame comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// There was a token for it.
    Fine,
    /// There was none: refuse, and say when to try again.
    Limited {
        /// When there is a token for one frame again, if nothing more comes until then.
        retry_after_ms: u64,
    },
    /// There was none, and another whole burst is owed: nobody sends that many by mistake.
    Abuse,
}

/// The rate that a client may keep up, and what it may send at once.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Frames per second; also thousandths of a frame per millisecond.
    pub per_second: u32,
    /// Frames at once.
    pub burst: u32,
}

/// A token bucket: a token for each frame. Refused frames are charged too, so that a client that goes
/// on regardless is found.
#[derive(Debug)]
pub struct TokenBucket {
    level: i64,
    at_ms: u64,
}

const FRAME: i64 = 1_000;

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: Rate, now_ms: u64) -> Self {
        Self { level: i64::from(rate.burst) * FRAME, at_ms: now_ms }
    }

    /// Charges one frame.
    pub fn charge(&mut self, rate: Rate, now_ms: u64) -> Charge {
        let burst = i64::from(rate.burst) * FRAME;
        self.fill(rate, now_ms);
        self.level -= FRAME;
        if self.level >= 0 {
            Charge::Fine
        } else if self.level >= -burst {
            let lacking = (FRAME - self.level).unsigned_abs();
            Charge::Limited { retry_after_ms: lacking.div_ceil(u64::from(rate.per_second)) }
        } else {
            // Not ever deeper: there must be an end to it.
            self.level = self.level.max(-2 * burst - FRAME);
            Charge::Abuse
        }
    }

    /// Takes so many tokens, whether they are there or not.
    pub fn spend(&mut self, tokens: u32, rate: Rate, now_ms: u64) {
        self.fill(rate, now_ms);
        self.level -= i64::from(tokens) * FRAME;
    }

    /// In how long there is a token again, in milliseconds; `None`: there is one.
    #[must_use]
    pub fn lacks_ms(&mut self, rate: Rate, now_ms: u64) -> Option<u64> {
        self.fill(rate, now_ms);
        let lacking = FRAME - self.level;
        (lacking > 0).then(|| lacking.unsigned_abs().div_ceil(u64::from(rate.per_second)))
    }

    fn fill(&mut self, rate: Rate, now_ms: u64) {
        let elapsed = now_ms.saturating_sub(self.at_ms) as i64;
        let gained = elapsed.saturating_mul(i64::from(rate.per_second));
        self.level = self.level.saturating_add(gained).min(i64::from(rate.burst) * FRAME);
        self.at_ms = now_ms;
    }

    /// In how long it is whole again, in milliseconds, if nothing more is charged.
    #[must_use]
    pub fn whole_ms(&self, rate: Rate) -> u64 {
        let lacking = (i64::from(rate.burst) * FRAME - self.level).unsigned_abs();
        lacking.div_ceil(u64::from(rate.per_second))
    }

    /// Whether it is whole, and so says nothing of the past.
    #[must_use]
    pub fn is_whole(&self, rate: Rate, now_ms: u64) -> bool {
        self.at_ms.saturating_add(self.whole_ms(rate)) <= now_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate_then_abuse() {
        let rate = Rate { per_second: 50, burst: 3 };
        let mut bucket = TokenBucket::new(rate, 0);
        let mut at = |now_ms| bucket.charge(rate, now_ms);
        assert_eq!([at(0), at(0), at(0)], [Charge::Fine; 3]);
        assert_eq!(at(0), Charge::Limited { retry_after_ms: 40 });
        assert_eq!(at(40), Charge::Fine, "20 ms repay the refused frame, 20 ms are one more");
        assert_eq!(at(60), Charge::Fine);
        assert_eq!(at(1_000_000), Charge::Fine, "the bucket holds no more than a burst");
        assert_eq!([at(1_000_000), at(1_000_000)], [Charge::Fine; 2]);
        for _ in 0..3 {
            assert!(matches!(at(1_000_000), Charge::Limited { .. }));
        }
        assert_eq!(at(1_000_000), Charge::Abuse);
    }
}
