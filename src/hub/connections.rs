//! The connections, and the way from anybody to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use herenow_protocol::UserId;

use super::state::Hub;
use crate::delivery::{Letter, Outlet, Wake};
use crate::limits::{DRAIN_PER_SECOND, DRAIN_STEP};

impl Hub {
    /// The connection with that number, until its socket is closed.
    pub(super) fn connection(&self, number: u64) -> Option<Arc<Outlet>> {
        self.connections.get(&number).map(|entry| Arc::clone(entry.value()))
    }

    /// The first `most` of the user's connections above number `after` that have not given up their
    /// memberships yet, each with its number. No lock is held meanwhile.
    pub(super) fn outlets_of(
        &self,
        user: &UserId,
        after: Option<u64>,
        most: usize,
    ) -> Vec<(u64, Option<Arc<Outlet>>)> {
        let numbers = self.users.connections_after(user, after, most).into_iter();
        numbers.map(|number| (number, self.connection(number))).collect()
    }

    /// Posts a letter to all of the user's connections; each sends it among its replies. The
    /// result: how many took it. One whose mailbox is full, since it reads too slowly, does not
    /// take it, and neither does one that is ending. No lock may be held.
    pub fn post(&self, user: &UserId, letter: &Arc<Letter>) -> usize {
        let outlets = self.outlets_of(user, None, usize::MAX).into_iter();
        let posted = |outlet: &Arc<Outlet>| outlet.post(Arc::clone(letter)).is_ok();
        outlets.filter_map(|(_, outlet)| outlet).filter(posted).count()
    }

    /// A number for a new connection.
    #[must_use]
    pub fn number_connection(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Registers a connection, so that a shutdown reaches it.
    pub fn connected(&self, outlet: &Arc<Outlet>) {
        self.connections.insert(outlet.id(), Arc::clone(outlet));
        // One that registers while the others are being told is told by itself.
        if self.is_draining() {
            outlet.wake(Wake::Drain);
        }
    }

    /// Forgets a connection whose task has ended.
    pub fn disconnected(&self, outlet: &Outlet) {
        self.timers.forget_connection(outlet);
        self.connections.remove(&outlet.id());
        if self.connections.is_empty() {
            self.connections.shrink_to_fit();
        }
    }

    /// A connection's timer fired; the connection may just have armed another instead.
    pub(super) fn wake_connection(&self, number: u64, due_ms: u64) {
        if let Some(outlet) = self.connection(number) {
            outlet.fire(due_ms);
        }
    }

    /// Number of WebSockets that are connected.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Number of WebSockets that were ever connected.
    #[must_use]
    pub fn connections_opened(&self) -> u64 {
        self.next_connection.load(Ordering::Relaxed) - 1
    }

    /// Tells every connection to go, a few at a time, within about `within`. From here on nobody is told
    /// of leaves: it is the broker that goes, not its members.
    pub async fn drain(&self, within: Duration) {
        self.draining.store(true, Ordering::SeqCst);
        let outlets: Vec<_> =
            self.connections.iter().map(|entry| Arc::clone(entry.value())).collect();
        let at_once = drained_at_once(outlets.len(), within);
        for (place, some) in outlets.chunks(at_once).enumerate() {
            if place > 0 {
                tokio::time::sleep(DRAIN_STEP).await;
            }
            some.iter().for_each(|outlet| outlet.wake(Wake::Drain));
        }
    }
}

/// How many connections of `all` are told to go in each step, to be done in time.
fn drained_at_once(all: usize, within: Duration) -> usize {
    let steps = (within.as_micros() / DRAIN_STEP.as_micros()) as usize;
    let usual = (DRAIN_PER_SECOND * DRAIN_STEP.as_millis() as u64 / 1_000) as usize;
    usual.max(all.div_ceil(steps.max(1))).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_spread_and_done_in_time() {
        let second = Duration::from_secs(1);
        assert_eq!(drained_at_once(0, second), 10);
        assert_eq!(drained_at_once(900, second), 10, "0.9 s");
        assert_eq!(drained_at_once(50_000, second), 500, "in a hundred steps");
        assert_eq!(drained_at_once(7, Duration::ZERO), 10, "all at once");
        assert_eq!(drained_at_once(70_000, Duration::ZERO), 70_000);
    }
}
