//! Bytes that many sockets are to get: a tick's frames, or a snapshot.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// Shared bytes. A slow reader that got a part of them keeps them alive until it took the rest, so
/// a channel counts the frames that are kept and lets the readers of the oldest go.
pub struct SharedFrame {
    bytes: Box<[u8]>,
    /// The numbers of the connections that keep it: whoever revokes it finds them by that. A leaf
    /// lock.
    holders: Mutex<Vec<u64>>,
}

impl SharedFrame {
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

    pub(super) fn held_by(&self, connection: u64) {
        self.holders.lock().push(connection);
    }

    /// The numbers of the connections that kept a part of this to send, each once for every time
    /// that it was cut. Some may have sent it since, or have ended: [`Outlet::give_up`] looks again.
    ///
    /// [`Outlet::give_up`]: super::Outlet::give_up
    #[must_use]
    pub fn take_holders(&self) -> Vec<u64> {
        std::mem::take(&mut *self.holders.lock())
    }
}

impl fmt::Debug for SharedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFrame").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}
