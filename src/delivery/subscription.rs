//! What a subscriber has got of a channel.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use herenow_protocol::reply::SnapshotReason;

use super::outlet::Outlet;

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// The seq of the next frame that it lacks.
    Next(u64),
    /// It needs a snapshot.
    Want(SnapshotReason),
    /// It ended: nothing is sent any more.
    Dead,
}

/// A connection that observes a channel.
///
/// The cursor is guarded by the *connection's* lock: only the methods of
/// [`Sending`](super::Sending) read or move it, and a `Sending` is that lock held. It is an atomic
/// because safe Rust can't say "guarded by another object's lock"; no ordering is needed.
pub struct Subscription {
    outlet: Arc<Outlet>,
    cursor: AtomicU64,
}

impl Subscription {
    // Cursors that are no seq: a channel would tick a billion times a second for centuries first.
    const DEAD: u64 = u64::MAX;
    const WANT_FIRST: u64 = u64::MAX - 1;
    const WANT_RESYNC: u64 = u64::MAX - 2;

    /// A subscription of `outlet`'s connection that wants its first snapshot.
    #[must_use]
    pub fn new(outlet: Arc<Outlet>) -> Arc<Self> {
        Arc::new(Self { outlet, cursor: AtomicU64::new(Self::WANT_FIRST) })
    }

    /// The connection that observes.
    #[must_use]
    pub fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    pub(super) fn cursor(&self) -> Cursor {
        match self.cursor.load(Ordering::Relaxed) {
            Self::DEAD => Cursor::Dead,
            Self::WANT_FIRST => Cursor::Want(SnapshotReason::Subscribed),
            Self::WANT_RESYNC => Cursor::Want(SnapshotReason::Resync),
            seq => Cursor::Next(seq),
        }
    }

    pub(super) fn set_cursor(&self, cursor: Cursor) {
        let value = match cursor {
            Cursor::Dead => Self::DEAD,
            Cursor::Want(SnapshotReason::Subscribed) => Self::WANT_FIRST,
            Cursor::Want(SnapshotReason::Resync) => Self::WANT_RESYNC,
            Cursor::Next(seq) => seq,
        };
        self.cursor.store(value, Ordering::Relaxed);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("cursor", &self.cursor()).finish_non_exhaustive()
    }
}
