//! What happens because time passes: what is due, connections and channels each in one set.
//!
//! A timer is a hint to look, not a promise: who is told compares its own deadlines with the time,
//! and asks again. So a heartbeat moves no timer. Each connection and each channel is in here at
//! most once, and leaves no trace when it ends.
//!
//! Ordered sets rather than a timing wheel: with lazy timers a connection gets to this once in half
//! a minute, so that what counts is not the cost of adding but that nothing stale stays behind.

use std::collections::BTreeSet;

use herenow_protocol::{ChannelName, UserId};
use parking_lot::Mutex;

use crate::delivery::Outlet;
use crate::now::NEVER;

/// Things by the time at which they are due.
#[derive(Debug)]
pub struct Agenda<K>(BTreeSet<(u64, K)>);

impl<K: Ord> Agenda<K> {
    /// An empty agenda.
    #[must_use]
    pub fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Has `thing` fire at `due_ms` instead of `before_ms`; [`NEVER`] stands for not at all.
    pub fn rearm(&mut self, thing: K, before_ms: u64, due_ms: u64) {
        let mut entry = (before_ms, thing);
        if before_ms != NEVER {
            self.0.remove(&entry);
        }
        if due_ms != NEVER {
            entry.0 = due_ms;
            self.0.insert(entry);
        }
    }

    /// Takes out what is due, at most `most` at a time: a full result means that there may be more.
    pub fn take_due(&mut self, now_ms: u64, most: usize) -> Vec<(u64, K)> {
        let mut due = Vec::new();
        while due.len() < most && self.0.first().is_some_and(|&(due_ms, _)| due_ms <= now_ms) {
            due.extend(self.0.pop_first());
        }
        due
    }
}

impl<K: Ord> Default for Agenda<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// What is due when, by number and by name: a timer keeps nothing in memory. Leaf locks.
#[derive(Debug, Default)]
pub struct Timers {
    pub(super) connections: Mutex<Agenda<u64>>,
    pub(super) channels: Mutex<Agenda<ChannelName>>,
    /// Whose heartbeats over HTTP may be over.
    pub(super) users: Mutex<Agenda<UserId>>,
}

impl Timers {
    /// Wakes the connection's task at `due_ms`, unless it is woken earlier anyway. Only that task
    /// calls this.
    pub fn watch_connection(&self, outlet: &Outlet, due_ms: u64) {
        if let Some(before_ms) = outlet.arm(due_ms) {
            self.connections.lock().rearm(outlet.id(), before_ms, due_ms);
        }
    }

    pub(super) fn forget_connection(&self, outlet: &Outlet) {
        self.connections.lock().rearm(outlet.id(), outlet.disarm(), NEVER);
    }

    pub(super) fn rearm_user(&self, user: &UserId, before_ms: u64, due_ms: u64) {
        self.users.lock().rearm(user.clone(), before_ms, due_ms);
    }

    pub(super) fn rearm_channel(&self, name: &ChannelName, before_ms: u64, due_ms: u64) {
        self.channels.lock().rearm(name.clone(), before_ms, due_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_fires_once_in_order_and_never_early() {
        let mut agenda = Agenda::new();
        for (thing, due_ms) in [("b", 20), ("a", 10), ("c", 20), ("d", 30)] {
            agenda.rearm(thing, NEVER, due_ms);
        }
        assert_eq!(agenda.take_due(9, 9), []);
        assert_eq!(agenda.take_due(20, 2), [(10, "a"), (20, "b")], "as many as asked for");
        assert_eq!(agenda.take_due(20, 2), [(20, "c")]);
        assert_eq!(agenda.take_due(1_000_000, 9), [(30, "d")]);
    }

    #[test]
    fn what_is_moved_or_forgotten_leaves_nothing_behind() {
        let mut agenda = Agenda::new();
        agenda.rearm(7, NEVER, 20);
        agenda.rearm(8, NEVER, 20);
        agenda.rearm(7, 20, 10);
        agenda.rearm(8, 20, NEVER);
        assert_eq!(agenda.take_due(1_000_000, 9), [(10, 7)]);
        // Forgotten after it fired, as when a connection ends just then.
        agenda.rearm(7, 10, NEVER);
        assert_eq!(agenda.take_due(1_000_000, 9), []);
    }
}
