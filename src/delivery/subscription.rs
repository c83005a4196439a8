//! What a subscriber asked for, and what it has got of a channel.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use herenow_protocol::Level;
use herenow_protocol::reply::{InForce, SnapshotReason};

use super::outlet::Outlet;

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// At `events`: the seq of the next frame that it lacks.
    Next(u64),
    /// At `count`: what the last `count` frame told, and when.
    Counted {
        /// The count was that after this frame.
        seq: u64,
        /// Milliseconds of the broker's clock, the low 32 bits of them: enough to keep a second
        /// apart, and room that a subscription has anyway.
        at_ms: u32,
    },
    /// It waits for what its level begins with.
    Want(Want),
    /// It ended: nothing is sent any more.
    Dead,
}

/// What a level begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// At `events`.
    Snapshot(SnapshotReason),
    /// At `count`.
    Count,
}

impl Cursor {
    /// The level that the subscriber was told to be at.
    #[must_use]
    pub fn level(self) -> Option<InForce> {
        match self {
            Self::Next(_) | Self::Want(Want::Snapshot(_)) => Some(InForce::Events),
            Self::Counted { .. } | Self::Want(Want::Count) => Some(InForce::Count),
            Self::Dead => None,
        }
    }
}

/// A connection that observes a channel, at the level that it asked for: asking for another makes
/// another subscription.
///
/// The cursor is guarded by the *connection's* lock: only the methods of
/// [`Sending`](super::Sending) read or move it, and a `Sending` is that lock held. It is made of
/// atomics because safe Rust can't say "guarded by another object's lock"; no ordering is needed.
pub struct Subscription {
    outlet: Arc<Outlet>,
    cursor: AtomicU64,
    /// The other half of [`Cursor::Counted`].
    counted_ms: AtomicU32,
    asked: Level,
}

impl Subscription {
    // Cursors that are no seq: a channel would tick a billion times a second for centuries first.
    const DEAD: u64 = u64::MAX;
    const WANT_FIRST: u64 = u64::MAX - 1;
    const WANT_RESYNC: u64 = u64::MAX - 2;
    const WANT_LEVEL: u64 = u64::MAX - 3;
    const WANT_COUNT: u64 = u64::MAX - 4;
    /// Added to the seq of a count.
    const COUNTED: u64 = 1 << 63;

    /// A subscription of `outlet`'s connection at level `asked`. Nothing is owed to it until its
    /// cursor is set.
    #[must_use]
    pub fn new(outlet: Arc<Outlet>, asked: Level) -> Arc<Self> {
        let (cursor, counted_ms) = (AtomicU64::new(Self::DEAD), AtomicU32::new(0));
        Arc::new(Self { outlet, cursor, counted_ms, asked })
    }

    /// The connection that observes.
    #[must_use]
    pub fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    /// The level that it asked for.
    #[must_use]
    pub fn asked(&self) -> Level {
        self.asked
    }

    pub(super) fn cursor(&self) -> Cursor {
        match self.cursor.load(Ordering::Relaxed) {
            Self::DEAD => Cursor::Dead,
            Self::WANT_FIRST => Cursor::Want(Want::Snapshot(SnapshotReason::Subscribed)),
            Self::WANT_RESYNC => Cursor::Want(Want::Snapshot(SnapshotReason::Resync)),
            Self::WANT_LEVEL => Cursor::Want(Want::Snapshot(SnapshotReason::Level)),
            Self::WANT_COUNT => Cursor::Want(Want::Count),
            counted if counted & Self::COUNTED != 0 => Cursor::Counted {
                seq: counted ^ Self::COUNTED,
                at_ms: self.counted_ms.load(Ordering::Relaxed),
            },
            seq => Cursor::Next(seq),
        }
    }

    pub(super) fn set_cursor(&self, cursor: Cursor) {
        let value = match cursor {
            Cursor::Dead => Self::DEAD,
            Cursor::Want(Want::Snapshot(SnapshotReason::Subscribed)) => Self::WANT_FIRST,
            Cursor::Want(Want::Snapshot(SnapshotReason::Resync)) => Self::WANT_RESYNC,
            Cursor::Want(Want::Snapshot(SnapshotReason::Level)) => Self::WANT_LEVEL,
            Cursor::Want(Want::Count) => Self::WANT_COUNT,
            Cursor::Counted { seq, at_ms } => {
                self.counted_ms.store(at_ms, Ordering::Relaxed);
                Self::COUNTED | seq
            }
            Cursor::Next(seq) => seq,
        };
        self.cursor.store(value, Ordering::Relaxed);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("asked", &self.asked)
            .field("cursor", &self.cursor())
            .finish_non_exhaustive()
    }
}
