//! The connections, and the way from anybody to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::state::Hub;
use crate::delivery::{Outlet, Wake};
use crate::now::NEVER;

impl Hub {
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
        let outlet = self.connections.get(&number).map(|entry| Arc::clone(entry.value()));
        let Some(outlet) = outlet else { return };
        let (armed, order) = (&outlet.armed_ms, Ordering::Relaxed);
        if armed.compare_exchange(due_ms, NEVER, order, order).is_ok() {
            outlet.wake(Wake::Timer);
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

    /// Tells every connection to go. From here on nobody is told of leaves: it is the broker that
    /// goes, not its members.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        for entry in &self.connections {
            entry.value().wake(Wake::Drain);
        }
    }
}
