//! Since when the store answers a node without a hole, so that the node may judge others.
//!
//! While the store stands still nobody renews, and afterwards everybody looks dead to whoever comes
//! first. So a node judges nobody before its own renewals went well for a whole time-out, without a
//! hole in which others may have been kept from theirs.

use crate::cluster::record::StoreMs;

/// A series of answers. All times in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Unbroken {
    timeout_ms: u64,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    /// When the series began, by the broker's clock.
    since_ms: u64,
    /// When the last renewal was asked.
    asked_ms: u64,
    /// What the store's clock showed then.
    store: StoreMs,
    /// Names the data that it held.
    data: u64,
}

impl Unbroken {
    pub(super) fn new(timeout_ms: u64) -> Self {
        Self { timeout_ms, last: None }
    }

    /// A renewal that was asked at `asked_ms` was answered at `came_ms`, when the store's clock showed
    /// `store` and its data were called `data`. Whether the node may judge by it.
    pub(super) fn heard(
        &mut self,
        (asked_ms, came_ms): (u64, u64),
        store: StoreMs,
        data: u64,
    ) -> bool {
        let goes_on = self.last.filter(|last| {
            // The most that may lie between the two moments at which the store did its part.
            let apart_ms = came_ms.saturating_sub(last.asked_ms);
            // Nobody waits for more than a third of a time-out until the next renewal. So a hole of
            // half of one leaves everybody time to renew after it.
            let no_hole = apart_ms <= self.timeout_ms / 2;
            // Nor did the store's clock run ahead, which lets leases run out early.
            let no_leap = store.saturating_sub(last.store) <= apart_ms + self.timeout_ms / 8;
            no_hole && no_leap && data == last.data
        });
        let since_ms = goes_on.map_or(came_ms, |last| last.since_ms);
        self.last = Some(Last { since_ms, asked_ms, store, data });
        asked_ms.saturating_sub(since_ms) >= self.timeout_ms
    }

    /// The data that the last answer named.
    pub(super) fn data(&self) -> Option<u64> {
        self.last.map(|last| last.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renewals every 2 s from `from_ms` on: when the node may judge first.
    fn first_judgement(unbroken: &mut Unbroken, from_ms: u64, leap: u64, data: u64) -> u64 {
        let mut asked_ms = from_ms;
        while !unbroken.heard((asked_ms, asked_ms + 1), asked_ms + leap, data) {
            asked_ms += 2_000;
        }
        asked_ms
    }

    #[test]
    fn nobody_is_judged_before_a_whole_time_out_without_a_hole() {
        let mut unbroken = Unbroken::new(6_000);
        assert_eq!(first_judgement(&mut unbroken, 1_000, 0, 1), 9_000);
        assert!(unbroken.heard((11_000, 11_900), 11_500, 1));
        // The store stood still for a moment: not long enough for anybody to miss a renewal.
        assert!(unbroken.heard((13_000, 13_900), 13_500, 1));
        // Nor is it a leap that its clock runs a little faster.
        assert!(unbroken.heard((15_000, 15_001), 13_500 + 2_001 + 750, 1));
        assert_eq!(first_judgement(&mut unbroken, 18_500, 0, 1), 26_500, "a hole");
        assert_eq!(first_judgement(&mut unbroken, 28_500, 3_000, 1), 36_500, "a leap of its clock");
        assert_eq!(first_judgement(&mut unbroken, 38_500, 3_000, 2), 46_500, "other data");
    }
}
