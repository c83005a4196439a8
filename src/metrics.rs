//! What the broker counts as it happens. A leaf: every room may count here, and the HTTP API reads.
//!
//! Counting is one addition without an order, on a number that all threads share: for what happens
//! once for a change or a connection, not once for a delivery.

use herenow_protocol::{ErrorCode, LeaveReason, LossReason};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// The numbers. What each answers is said in `docs/http.md`.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Members of all channels.
    pub members: Gauge,
    /// Subscriptions and followers of channels.
    pub subscribers: Gauge,
    /// Subscriptions to users' statuses.
    pub watchers: Gauge,
    /// Members that came.
    pub joins: Counter,
    leaves: [Counter; LeaveReason::ALL.len()],
    timeouts: [Counter; LossReason::ALL.len()],
    refusals: [Counter; ErrorCode::ALL.len()],
    /// Ticks: one tells all that changed in a channel since the last.
    pub ticks: Counter,
    /// Snapshots owed to a subscriber or follower because it had fallen behind.
    pub resyncs: Counter,
    /// Times that a socket was full, so that its connection had to catch up later.
    pub choked: Counter,
}

impl Metrics {
    /// A member left.
    pub fn left(&self, reason: LeaveReason) {
        count(&LeaveReason::ALL, &self.leaves, reason);
    }

    /// A member was lost.
    pub fn lost(&self, reason: LossReason) {
        count(&LossReason::ALL, &self.timeouts, reason);
    }

    /// A request was refused, over WebSocket or HTTP.
    pub fn refused(&self, code: ErrorCode) {
        count(&ErrorCode::ALL, &self.refusals, code);
    }

    /// Members that left, by reason.
    pub fn leaves(&self) -> impl Iterator<Item = (LeaveReason, u64)> {
        LeaveReason::ALL.into_iter().zip(self.leaves.iter().map(Counter::get))
    }

    /// Members that were lost, by reason.
    pub fn timeouts(&self) -> impl Iterator<Item = (LossReason, u64)> {
        LossReason::ALL.into_iter().zip(self.timeouts.iter().map(Counter::get))
    }

    /// Requests that were refused, by code.
    pub fn refusals(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        ErrorCode::ALL.into_iter().zip(self.refusals.iter().map(Counter::get))
    }
}

fn count<T: PartialEq + Copy>(all: &[T], counters: &[Counter], one: T) {
    if let Some(place) = all.iter().position(|other| *other == one) {
        counters[place].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_and_code_has_a_number_of_its_own() {
        let metrics = Metrics::default();
        LeaveReason::ALL.into_iter().for_each(|reason| metrics.left(reason));
        LossReason::ALL.into_iter().for_each(|reason| metrics.lost(reason));
        ErrorCode::ALL.into_iter().for_each(|code| metrics.refused(code));
        assert!(metrics.leaves().all(|(_, times)| times == 1));
        assert!(metrics.timeouts().all(|(_, times)| times == 1));
        assert!(metrics.refusals().all(|(_, times)| times == 1));
        metrics.left(LeaveReason::Kicked);
        let twice: Vec<_> = metrics.leaves().filter(|(_, times)| *times == 2).collect();
        assert_eq!(twice, [(LeaveReason::Kicked, 2)]);
    }
}
