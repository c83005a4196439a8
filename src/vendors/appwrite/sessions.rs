//! Which sockets came by which credential: whoever signs out ends them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::chance::keyed_hash;
use crate::delivery::{Outlet, Wake};

type BySession = HashMap<u64, Vec<(u64, Weak<Outlet>)>>;

/// The sockets by their credentials, of which a hash is kept alone. A bound: one entry a socket.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<BySession>>);

/// A socket that is noted, until this is dropped.
#[derive(Debug)]
pub struct Signed {
    sessions: Sessions,
    session: u64,
    number: u64,
}

impl Sessions {
    /// Notes that the connection came by the credential.
    #[must_use]
    pub fn note(&self, credential: &str, outlet: &Arc<Outlet>) -> Signed {
        let (session, number) = (keyed_hash(credential), outlet.id());
        self.0.lock().entry(session).or_default().push((number, Arc::downgrade(outlet)));
        Signed { sessions: self.clone(), session, number }
    }

    /// Ends the connections that came by the credential. No connection's lock may be held.
    pub fn end(&self, credential: &str) {
        let sockets = self.0.lock().get(&keyed_hash(credential)).cloned().unwrap_or_default();
        for outlet in sockets.iter().filter_map(|(_, outlet)| outlet.upgrade()) {
            outlet.wake(Wake::Kick);
        }
    }
}

impl Drop for Signed {
    fn drop(&mut self) {
        let mut all = self.sessions.0.lock();
        if let Entry::Occupied(mut sockets) = all.entry(self.session) {
            let list = sockets.get_mut();
            // Once: a socket may sign in twice.
            if let Some(place) = list.iter().position(|(number, _)| *number == self.number) {
                list.swap_remove(place);
            }
            if list.is_empty() {
                sockets.remove();
            }
        }
    }
}
