//! The connections, and the way from anybody to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use herenow_protocol::UserId;

use super::state::Hub;
use crate::delivery::{Letter, Outlet, Wake};

impl Hub {
    /// The connection with that number, until its socket is closed.
    pub(super) fn connection(&self, number: u64) -> Option<Arc<Outlet>> {
        self.connections.get(&number).map(|entry| Arc::clone(entry.value()))
    }

    /// The user's connections that have not given up their memberships yet, in no particular order.
    /// No lock is held meanwhile.
    pub(super) fn outlets_of(&self, user: &UserId) -> impl Iterator<Item = Arc<Outlet>> {
        let numbers = self.users.connections_of(user);
        numbers.into_iter().filter_map(|number| self.connection(number))
    }

    /// Posts a letter to all of the user's connections; each sends it among its replies. The
    /// result: how many took it. One whose mailbox is full, since it reads too slowly, does not
    /// take it, and neither does one that is ending. No lock may be held.
    pub fn post(&self, user: &UserId, letter: &Arc<Letter>) -> usize {
        self.outlets_of(user).filter(|outlet| outlet.post(Arc::clone(letter)).is_ok()).count()
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
        self.backlog.forget(outlet.id());
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

    /// Tells every connection to go. From here on nobody is told of leaves: it is the broker that
    /// goes, not its members.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        for entry in &self.connections {
            entry.value().wake(Wake::Drain);
        }
    }
}
