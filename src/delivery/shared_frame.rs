//! Bytes that many sockets are to get: a tick's frame, or a part of a snapshot.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::backlog::{Backlog, Held};

/// Shared bytes. A slow reader that got a part of them keeps them alive until it took the rest;
/// from then on they count as kept, once for all who keep them.
pub struct SharedFrame {
    bytes: Box<[u8]>,
    kept: OnceLock<Held>,
}

impl SharedFrame {
    /// Bytes to be shared.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { bytes: bytes.into_boxed_slice(), kept: OnceLock::new() })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Somebody keeps a rest of it.
    pub(super) fn keep(&self, backlog: &Arc<Backlog>) {
        self.kept.get_or_init(|| backlog.hold(self.bytes.len()));
    }

    /// Whether somebody kept a rest of it.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.get().is_some()
    }
}

impl fmt::Debug for SharedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFrame").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}
