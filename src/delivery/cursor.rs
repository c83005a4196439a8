//! Where a subscription stands in its channel.

use std::sync::atomic::{AtomicU32, Ordering};

use herenow_protocol::reply::{InForce, SnapshotReason};

use crate::presence::SnapshotPlace;

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
    /// In the midst of a snapshot.
    Within(SnapshotPlace),
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
            Self::Next(_) | Self::Want(Want::Snapshot(_)) | Self::Within(_) => {
                Some(InForce::Events)
            }
            Self::Counted { .. } | Self::Want(Want::Count) => Some(InForce::Count),
            Self::Dead => None,
        }
    }

    /// Whether what comes next is a snapshot, or a first count, that the client brought about: that is
    /// charged.
    pub(super) fn is_asked_for(self) -> bool {
        match self {
            Self::Want(Want::Snapshot(reason)) | Self::Within(SnapshotPlace { reason, .. }) => {
                reason != SnapshotReason::Resync
            }
            Self::Want(Want::Count) => true,
            _ => false,
        }
    }
}

/// A [`Cursor`], apart from the place in a snapshot, that is guarded by its *connection's* lock. It is made of atomics because safe
/// Rust can't say "guarded by another object's lock"; no ordering is needed, and whoever holds the
/// lock cannot see one half without the other.
#[derive(Debug)]
pub(super) struct CursorCell {
    /// A seq or one of the values below, lower half first. Halves, so that a subscription's last
    /// four bytes have room for what it asked for: there are as many as there are subscribers.
    value: [AtomicU32; 2],
    /// The other part of [`Cursor::Counted`].
    counted_ms: AtomicU32,
}

const _: () = assert!(size_of::<CursorCell>() == 12);

impl CursorCell {
    // Cursors that are no seq: a channel would tick a billion times a second for centuries first.
    const DEAD: u64 = u64::MAX;
    const WANT_FIRST: u64 = u64::MAX - 1;
    const WANT_RESYNC: u64 = u64::MAX - 2;
    const WANT_LEVEL: u64 = u64::MAX - 3;
    const WANT_COUNT: u64 = u64::MAX - 4;
    const WITHIN: u64 = u64::MAX - 5;
    /// Added to the seq of a count.
    const COUNTED: u64 = 1 << 63;

    /// [`Cursor::Dead`], until it is set.
    pub(super) fn new() -> Self {
        let cell = Self { value: Default::default(), counted_ms: AtomicU32::new(0) };
        cell.store(Self::DEAD);
        cell
    }

    /// `None`: it is in the midst of a snapshot, and where is kept elsewhere: few ever are, and there
    /// is no room for it here.
    pub(super) fn get(&self) -> Option<Cursor> {
        Some(match self.load() {
            Self::WITHIN => return None,
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
        })
    }

    pub(super) fn set(&self, cursor: Cursor) {
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
            Cursor::Within(_) => Self::WITHIN,
            Cursor::Next(seq) => seq,
        };
        self.store(value);
    }

    fn load(&self) -> u64 {
        let [low, high] = &self.value;
        let half = |part: &AtomicU32| u64::from(part.load(Ordering::Relaxed));
        half(high) << 32 | half(low)
    }

    fn store(&self, value: u64) {
        let [low, high] = &self.value;
        low.store(value as u32, Ordering::Relaxed);
        high.store((value >> 32) as u32, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_asked_for_is_charged_and_not_what_the_broker_chose_to_send() {
        use SnapshotReason::{Level, Resync, Subscribed};
        let rest = crate::presence::Rest::Public(9);
        for (reason, charged) in [(Subscribed, true), (Level, true), (Resync, false)] {
            let place = SnapshotPlace { seq: 7, reason, rest, missed: false, renewed: false };
            let wanted = Cursor::Want(Want::Snapshot(reason));
            for cursor in [wanted, Cursor::Within(place)] {
                assert_eq!(cursor.is_asked_for(), charged, "{cursor:?}");
            }
        }
        assert!(Cursor::Want(Want::Count).is_asked_for());
        for cursor in [Cursor::Next(1), Cursor::Counted { seq: 1, at_ms: 0 }, Cursor::Dead] {
            assert!(!cursor.is_asked_for(), "{cursor:?}");
        }
    }

    #[test]
    fn a_cell_keeps_every_cursor() {
        let cell = CursorCell::new();
        assert_eq!(cell.get(), Some(Cursor::Dead));
        for cursor in [
            Cursor::Next(0),
            Cursor::Next(CursorCell::COUNTED - 1),
            Cursor::Counted { seq: 0, at_ms: 0 },
            Cursor::Counted { seq: 1 << 62, at_ms: u32::MAX },
            Cursor::Want(Want::Snapshot(SnapshotReason::Subscribed)),
            Cursor::Want(Want::Snapshot(SnapshotReason::Resync)),
            Cursor::Want(Want::Snapshot(SnapshotReason::Level)),
            Cursor::Want(Want::Count),
            Cursor::Dead,
        ] {
            cell.set(cursor);
            assert_eq!(cell.get(), Some(cursor));
        }
        let (seq, reason) = (7, SnapshotReason::Level);
        let rest = crate::presence::Rest::Public(9);
        let place = SnapshotPlace { seq, reason, rest, missed: false, renewed: false };
        cell.set(Cursor::Within(place));
        assert_eq!(cell.get(), None);
    }
}
