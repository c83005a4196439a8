//! What is still to be written to one connection's socket, behind the lock that orders everything
//! written to it.

use std::sync::Arc;
use std::task::{Context, Waker};

use super::behind::{Behind, Tail};
use super::cursor::{Cursor, CursorCell};
use super::mailbox::{Letter, Letters, Undelivered};
use crate::auth::Access;
use crate::limits::SNAPSHOT_UNIT_BYTES;

/// Whether a connection's socket takes what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Nothing is owed: passes write to the socket directly.
    Flowing,
    /// The socket was full: only the connection's own task writes, until it has caught up.
    Choked,
    /// The connection ended, or must end: nothing is written any more.
    Closed,
}

/// Whether the socket was found full since the connection last flowed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    No,
    /// The connection's task does not know of it yet. Counted by the task, since there is no room
    /// here for a way to the counters.
    New,
    Known,
}

/// What a connection's lock guards.
pub(super) struct Writer {
    pub(super) flow: Flow,
    /// What the user's token grants; a fresh token replaces it. `None`: everything.
    pub(super) access: Option<Arc<Access>>,
    /// What there is only while it lags. Boxed, since most of the time there is none.
    pub(super) behind: Option<Box<Behind>>,
    /// Replies, pongs and a Close that are not written yet. Never an incomplete frame at its start
    /// unless the tail is empty and its beginning is already out.
    pub(super) replies: Vec<u8>,
    /// Letters that the task has not made replies of yet.
    pub(super) letters: Letters,
    /// Wakes the connection's task. Cleared at the end, since a waker keeps its task alive.
    pub(super) waker: Option<Waker>,
    /// Bytes that the socket took in all, modulo 2³²: enough to see that it takes some.
    pub(super) sent: u32,
    pub(super) full: Full,
    /// What snapshots that the client asked for have cost since this was last taken, in units of
    /// [`SNAPSHOT_UNIT_BYTES`].
    pub(super) snapshots: u16,
}

impl Writer {
    pub(super) fn new(access: Option<Arc<Access>>) -> Self {
        Self {
            flow: Flow::Flowing,
            access,
            behind: None,
            replies: Vec::new(),
            letters: Letters::default(),
            waker: None,
            sent: 0,
            full: Full::No,
            snapshots: 0,
        }
    }

    /// Registers the connection's task to be woken.
    pub(super) fn register(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Puts a letter into the mailbox, and wakes the task for it.
    ///
    /// # Errors
    /// The connection ended, or its mailbox is full.
    pub(super) fn post(&mut self, letter: Arc<Letter>) -> Result<(), Undelivered> {
        if self.flow == Flow::Closed {
            return Err(Undelivered::Closed);
        }
        self.letters.add(letter)?;
        self.wake();
        Ok(())
    }

    /// Where the subscription with that cursor stands.
    pub(super) fn cursor(&self, cell: &CursorCell) -> Cursor {
        let place = || Some(Cursor::Within(self.behind.as_ref()?.place(cell)?));
        cell.get().or_else(place).unwrap_or(Cursor::Dead)
    }

    /// Moves the subscription with that cursor.
    pub(super) fn set_cursor(&mut self, cell: &CursorCell, cursor: Cursor) {
        cell.set(cursor);
        match cursor {
            Cursor::Within(place) => {
                self.behind.get_or_insert_default().set_place(cell, Some(place));
            }
            _ => self.change_behind(|behind| behind.set_place(cell, None)),
        }
    }

    /// Changes what there is while it lags, if there is any, and drops what is empty by that.
    pub(super) fn change_behind(&mut self, change: impl FnOnce(&mut Behind)) {
        if let Some(behind) = &mut self.behind {
            change(behind);
            if behind.is_empty() {
                self.behind = None;
            }
        }
    }

    pub(super) fn set_tail(&mut self, tail: Tail) {
        self.behind.get_or_insert_default().tail = Some(tail);
    }

    /// Notes what the client's wish for a snapshot, or for the newest members, cost.
    pub(super) fn charge(&mut self, bytes: usize) {
        let units = (bytes / SNAPSHOT_UNIT_BYTES).min(usize::from(u16::MAX)) as u16;
        self.snapshots = self.snapshots.saturating_add(units);
    }

    pub(super) fn close(&mut self) {
        self.flow = Flow::Closed;
        self.behind = None;
        self.replies = Vec::new();
        self.letters = Letters::default();
    }
}
