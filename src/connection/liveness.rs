//! Two clocks: whether the socket is alive, and whether the user is still here.
//!
//! The socket is pinged, and any byte is an answer. Presence wants text frames: a browser answers
//! pings even when its page hangs. Neither moves a timer: times are stored, and looked at when the
//! connection's one timer fires.

/// When the broker pings, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct PingRules {
    /// From one ping to the next, in milliseconds.
    pub interval_ms: u64,
    /// From a ping to the answer.
    pub timeout_ms: u64,
    /// How long a full socket may take nothing.
    pub write_timeout_ms: u64,
}

/// What the socket needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// Nothing before this moment.
    Quiet {
        /// When to look again.
        until_ms: u64,
    },
    /// A ping is to be sent now.
    Ping,
    /// Nothing came since the ping.
    NoPong,
    /// The socket took nothing for the write timeout.
    Stuck,
}

/// The socket's clock.
#[derive(Debug)]
pub struct Heart {
    /// When the last ping went out, or the connection began.
    ping_ms: u64,
    awaiting: bool,
    /// Since when the socket has been full, and the bytes that it had taken by then. Boxed, since
    /// it seldom is.
    full: Option<Box<(u64, u32)>>,
}

impl Heart {
    /// A connection that begins now.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self { ping_ms: now_ms, awaiting: false, full: None }
    }

    /// Bytes came: whoever sends is alive.
    pub fn heard(&mut self) {
        self.awaiting = false;
    }

    /// A ping went out.
    pub fn pinged(&mut self, now_ms: u64) {
        self.ping_ms = now_ms;
        self.awaiting = true;
    }

    /// The socket takes what is written.
    pub fn flowing(&mut self, now_ms: u64) {
        if self.full.take().is_some() {
            // No ping went out while the socket was full, so none can be missing an answer.
            self.awaiting = false;
            self.ping_ms = now_ms;
        }
    }

    /// The socket is full, and has taken `sent` bytes since the connection began, modulo 2³².
    pub fn full(&mut self, sent: u32, now_ms: u64) {
        if self.full.as_ref().is_none_or(|full| full.1 != sent) {
            self.full = Some(Box::new((now_ms, sent)));
        }
    }

    /// The socket may have room, but what is to be written waits for other room: no time goes by.
    pub fn waits(&mut self, sent: u32, now_ms: u64) {
        self.full = Some(Box::new((now_ms, sent)));
    }

    /// What the socket needs now.
    #[must_use]
    pub fn check(&self, rules: PingRules, now_ms: u64) -> Pulse {
        let (until_ms, then) = match &self.full {
            Some(full) => (full.0 + rules.write_timeout_ms, Pulse::Stuck),
            None if self.awaiting => (self.ping_ms + rules.timeout_ms, Pulse::NoPong),
            None => (self.ping_ms + rules.interval_ms, Pulse::Ping),
        };
        if now_ms >= until_ms { then } else { Pulse::Quiet { until_ms } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: PingRules = PingRules { interval_ms: 25, timeout_ms: 10, write_timeout_ms: 7 };

    #[test]
    fn pings_and_their_answers() {
        let mut heart = Heart::new(0);
        assert_eq!(heart.check(RULES, 24), Pulse::Quiet { until_ms: 25 });
        assert_eq!(heart.check(RULES, 25), Pulse::Ping);
        heart.pinged(25);
        assert_eq!(heart.check(RULES, 34), Pulse::Quiet { until_ms: 35 });
        assert_eq!(heart.check(RULES, 35), Pulse::NoPong);
        heart.heard();
        assert_eq!(heart.check(RULES, 35), Pulse::Quiet { until_ms: 50 });
    }

    #[test]
    fn a_full_socket_has_its_own_clock_which_progress_resets() {
        let mut heart = Heart::new(0);
        heart.pinged(25);
        heart.full(100, 30);
        assert_eq!(heart.check(RULES, 36), Pulse::Quiet { until_ms: 37 });
        heart.full(100, 36);
        assert_eq!(heart.check(RULES, 37), Pulse::Stuck);
        heart.full(101, 37);
        assert_eq!(heart.check(RULES, 43), Pulse::Quiet { until_ms: 44 });
        heart.waits(101, 44);
        assert_eq!(heart.check(RULES, 50), Pulse::Quiet { until_ms: 51 });
        heart.flowing(43);
        assert_eq!(heart.check(RULES, 60), Pulse::Quiet { until_ms: 68 });
    }
}
