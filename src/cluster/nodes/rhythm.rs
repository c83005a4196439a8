//! When a node renews its lease.
//!
//! Three times within its time-out, so that two renewals may fail. A renewal that is not answered in
//! time is given up and repeated: the connection may be dead, and the lease runs.

use crate::now::NEVER;

/// Renewals within one time-out.
const RENEWALS: u64 = 3;

/// When the next renewal is due. All times in milliseconds, moments by the broker's clock.
#[derive(Clone, Debug)]
pub(super) struct Rhythm {
    timeout_ms: u64,
    due_ms: u64,
    /// When the last one was asked.
    asked_ms: u64,
    /// It is not answered yet.
    in_flight: bool,
    /// Something new is to be told as soon as may be.
    hurries: bool,
    stopped: bool,
}

impl Rhythm {
    /// The first is due at once.
    pub(super) fn new(timeout_ms: u64, now_ms: u64) -> Self {
        Self {
            timeout_ms,
            due_ms: now_ms,
            asked_ms: 0,
            in_flight: false,
            hurries: false,
            stopped: false,
        }
    }

    /// From one renewal to the next, where nothing fails.
    pub(super) fn interval_ms(&self) -> u64 {
        self.timeout_ms / RENEWALS
    }

    /// How long an answer is waited for. A store that is away for half a time-out is then found again
    /// before the lease has run out.
    pub(super) fn patience_ms(&self) -> u64 {
        self.timeout_ms / 8
    }

    /// The shortest time from one renewal to the next, however much there is to tell.
    fn rest_ms(&self) -> u64 {
        self.timeout_ms / (8 * RENEWALS)
    }

    /// When the next is due; [`NEVER`] while one is in flight.
    pub(super) fn due_ms(&self) -> u64 {
        if self.in_flight || self.stopped { NEVER } else { self.due_ms }
    }

    pub(super) fn asked(&mut self, now_ms: u64) {
        self.asked_ms = now_ms;
        self.in_flight = true;
        self.hurries = false;
    }

    pub(super) fn asked_ms(&self) -> u64 {
        self.asked_ms
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// The answer has come.
    pub(super) fn answered(&mut self) {
        self.in_flight = false;
        let after = if self.hurries { self.rest_ms() } else { self.interval_ms() };
        self.due_ms = self.asked_ms + after;
    }

    /// No answer has come.
    pub(super) fn failed(&mut self, now_ms: u64) {
        self.in_flight = false;
        self.due_ms = now_ms + self.rest_ms() / 2;
    }

    /// Something new is to be told: the next comes sooner.
    pub(super) fn hurry(&mut self) {
        self.hurries = true;
        self.sooner(self.asked_ms + self.rest_ms());
    }

    /// The next comes at that moment, if not sooner.
    pub(super) fn sooner(&mut self, at_ms: u64) {
        self.due_ms = self.due_ms.min(at_ms.max(self.asked_ms + self.rest_ms()));
    }

    /// There is no next one.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_renewed_three_times_within_its_time_out() {
        let mut rhythm = Rhythm::new(6_000, 100);
        let mut asked = Vec::new();
        for _ in 0..4 {
            let now_ms = rhythm.due_ms();
            asked.push(now_ms);
            rhythm.asked(now_ms);
            assert_eq!(rhythm.due_ms(), NEVER, "one at a time");
            rhythm.answered();
        }
        assert_eq!(asked, [100, 2_100, 4_100, 6_100]);
    }

    #[test]
    fn a_lease_outlives_a_store_that_is_away_for_half_a_time_out() {
        let mut rhythm = Rhythm::new(6_000, 0);
        rhythm.asked(0);
        rhythm.answered();
        // It goes just before it would be asked.
        let back_ms = rhythm.due_ms() + 3_000;
        while rhythm.due_ms() < back_ms {
            let now_ms = rhythm.due_ms();
            rhythm.asked(now_ms);
            rhythm.failed(now_ms + rhythm.patience_ms());
        }
        assert!(rhythm.due_ms() < 6_000, "{}", rhythm.due_ms());
    }

    #[test]
    fn what_is_new_is_told_soon_and_not_all_the_time() {
        let mut rhythm = Rhythm::new(6_000, 0);
        rhythm.asked(0);
        rhythm.hurry();
        rhythm.answered();
        assert_eq!(rhythm.due_ms(), 250);
        rhythm.asked(250);
        rhythm.answered();
        assert_eq!(rhythm.due_ms(), 2_250);
        rhythm.hurry();
        assert_eq!(rhythm.due_ms(), 500);
    }

    #[test]
    fn what_failed_comes_again_soon_and_what_is_stopped_never() {
        let mut rhythm = Rhythm::new(6_000, 0);
        assert!(!rhythm.is_in_flight());
        rhythm.asked(0);
        assert!(rhythm.is_in_flight());
        rhythm.failed(750);
        assert!(!rhythm.is_in_flight());
        assert_eq!(rhythm.due_ms(), 875);
        rhythm.stop();
        assert_eq!(rhythm.due_ms(), NEVER);
    }
}
