//! A connection that observes a channel: what it asked for, what it has got, and how it is told.

use std::fmt;
use std::sync::Arc;

use herenow_protocol::reply::SnapshotReason;

use super::backlog::Backlog;
use super::cursor::{Cursor, CursorCell, Want};
use super::outlet::Outlet;
use super::sending::{Sending, Sweep};
use super::shared_frame::SharedFrame;
use super::writer::Flow;
use crate::presence::{Asked, SnapshotPlace};

/// A connection that observes a channel, as it asked to: asking for another level, or for more or
/// fewer of the newest members, makes another subscription.
///
/// Its cursor is guarded by the *connection's* lock: only with a [`Sending`], which is that lock
/// held, it is read or moved.
pub struct Subscription {
    outlet: Arc<Outlet>,
    cursor: CursorCell,
    asked: Asked,
}

const _: () = assert!(size_of::<Subscription>() == 24);

impl Subscription {
    /// A subscription of `outlet`'s connection, which `asked` for this. Nothing is owed to it until its
    /// cursor is set.
    #[must_use]
    pub fn new(outlet: Arc<Outlet>, asked: Asked) -> Arc<Self> {
        Arc::new(Self { outlet, cursor: CursorCell::new(), asked })
    }

    /// The connection that observes.
    #[must_use]
    pub fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    /// What it asked for.
    #[must_use]
    pub fn asked(&self) -> Asked {
        self.asked
    }

    /// Writes `frame`, which takes a subscriber from cursor `from` to cursor `to`, if it stands at
    /// `from` and its socket is free. The result: whether it did, and the socket took it.
    pub fn visit(
        &self,
        from: Cursor,
        to: Cursor,
        frame: &Arc<SharedFrame>,
        backlog: &Arc<Backlog>,
    ) -> bool {
        let mut sending = self.outlet.lock();
        sending.flow() == Flow::Flowing
            && sending.cursor_at(&self.cursor) == from
            && sending.write_shared(&self.cursor, (from, to), frame, backlog)
    }

    /// Moves the subscriber from cursor `from` to `to` and leaves the rest to its connection's own task,
    /// if it stands at `from` and its socket is free. The result: whether it did.
    #[must_use]
    pub fn go_on_alone(&self, from: Cursor, to: Cursor) -> bool {
        let mut sending = self.outlet.lock();
        let goes = sending.flow() == Flow::Flowing && sending.cursor_at(&self.cursor) == from;
        if goes {
            sending.hold_passes();
            let writer = sending.writer();
            writer.set_cursor(&self.cursor, to);
            writer.wake();
        }
        goes
    }

    /// As [`Subscription::visit`], with what no log keeps: whoever does not take it at once needs a
    /// snapshot. The result: whether the channel has to be asked for one; otherwise the
    /// connection's own task does, once it has caught up.
    #[must_use]
    pub fn visit_once(
        &self,
        from: Cursor,
        to: Cursor,
        frame: &Arc<SharedFrame>,
        backlog: &Arc<Backlog>,
    ) -> bool {
        let mut sending = self.outlet.lock();
        if sending.flow() == Flow::Closed {
            return false;
        }
        let cursor = match sending.cursor_at(&self.cursor) {
            // The parts to come have it, but what was told of before may contradict it.
            Cursor::Within(place) => {
                let place = SnapshotPlace { missed: true, ..place };
                sending.writer().set_cursor(&self.cursor, Cursor::Within(place));
                return false;
            }
            next @ Cursor::Next(_) => next,
            // Whoever waits for a snapshot gets this with it.
            _ => return false,
        };
        let free = sending.flow() == Flow::Flowing && cursor == from;
        if free && sending.write_shared(&self.cursor, (from, to), frame, backlog) {
            return false;
        }
        let want = Want::Snapshot(SnapshotReason::Resync);
        sending.writer().set_cursor(&self.cursor, Cursor::Want(want));
        sending.flow() == Flow::Flowing
    }
}

impl Sending<'_> {
    /// Where a subscription of this connection stands.
    #[must_use]
    pub fn cursor(&self, sub: &Subscription) -> Cursor {
        self.cursor_at(&sub.cursor)
    }

    /// Moves a subscription of this connection.
    pub fn set_cursor(&mut self, sub: &Subscription, cursor: Cursor) {
        self.writer().set_cursor(&sub.cursor, cursor);
    }

    /// A later step of catching up: frames of a channel, after which the subscription stands at `to`,
    /// and what they cost in bytes, however few they came to.
    /// The connection is choked, and stays so until [`Sending::flowing`].
    pub fn catch_up(
        &mut self,
        sub: &Subscription,
        to: Cursor,
        (frames, cost): (&[u8], usize),
        backlog: &Arc<Backlog>,
    ) -> Sweep {
        self.write_missed(&sub.cursor, to, (frames, cost), (backlog, sub.outlet.id()))
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("asked", &self.asked)
            .field("cursor", &self.cursor.get())
            .finish_non_exhaustive()
    }
}
