//! Reaching connections: by number, and all of a user's.

use std::sync::Arc;

use herenow_protocol::UserId;

use super::Hub;
use crate::delivery::{Letter, Outlet, SharedFrame};

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

    /// Closes every connection that still has a part of `frame` to send: slow readers keep too many
    /// alive.
    pub(super) fn revoke(&self, frame: &Arc<SharedFrame>) {
        for outlet in frame.take_holders().into_iter().filter_map(|number| self.connection(number))
        {
            outlet.give_up(frame);
        }
    }
}
