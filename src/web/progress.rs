//! Whether the client of an answer that goes on for long must take it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shared by a connection's socket, which sees how its client takes what is written, and the
/// requests that come by it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicBool>);

impl Progress {
    /// From now on the connection is closed when its client takes nothing for the write time.
    pub fn demand(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody demanded it.
    #[must_use]
    pub fn is_demanded(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
