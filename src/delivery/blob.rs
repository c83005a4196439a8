//! Bytes that many sockets are to get: a tick's frames, or a snapshot.

use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::outlet::Outlet;

/// Shared bytes. A slow reader that got a part of them keeps them alive until it took the rest, so
/// a channel counts the blobs that are kept and lets the readers of the oldest go.
pub struct Blob {
    bytes: Box<[u8]>,
    /// Who keeps it. A leaf lock.
    holders: Mutex<Vec<Weak<Outlet>>>,
}

impl Blob {
    /// Bytes to be shared.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { bytes: bytes.into_boxed_slice(), holders: Mutex::new(Vec::new()) })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn held_by(&self, outlet: &Arc<Outlet>) {
        self.holders.lock().push(Arc::downgrade(outlet));
    }

    /// Closes every connection that still has a part of this to send.
    pub fn revoke(self: &Arc<Self>) {
        let holders = std::mem::take(&mut *self.holders.lock());
        for outlet in holders.iter().filter_map(Weak::upgrade) {
            outlet.give_up(self);
        }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}
