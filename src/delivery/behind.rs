//! What there is of a connection only while it lags, or is in the midst of a snapshot.

use std::sync::Arc;

use super::backlog::{Backlog, Held};
use super::cursor::CursorCell;
use super::shared_frame::SharedFrame;
use crate::limits::TAIL_COPY_BYTES;
use crate::presence::SnapshotPlace;

/// See the module. Boxed by the writer, which most of the time has none.
#[derive(Default)]
pub(super) struct Behind {
    /// The rest of a frame that was cut.
    pub(super) tail: Option<Tail>,
    /// How far subscriptions are in their snapshots, by the addresses of their cursors, which alone
    /// say whether they still are. At most as many as the connection has subscriptions.
    places: Vec<(usize, SnapshotPlace)>,
    /// The replies that wait, as they were counted last.
    pub(super) replies: Option<Held>,
}

impl Behind {
    /// The place of the subscription with that cursor.
    pub(super) fn place(&self, cell: &CursorCell) -> Option<SnapshotPlace> {
        let at = address(cell);
        self.places.iter().find(|(of, _)| *of == at).map(|(_, place)| *place)
    }

    /// Sets or forgets the place of the subscription with that cursor.
    pub(super) fn set_place(&mut self, cell: &CursorCell, place: Option<SnapshotPlace>) {
        let at = address(cell);
        self.places.retain(|(of, _)| *of != at);
        self.places.extend(place.map(|place| (at, place)));
    }

    /// Whether nothing is left to be kept.
    pub(super) fn is_empty(&self) -> bool {
        self.tail.is_none() && self.places.is_empty() && self.replies.is_none()
    }
}

fn address(cell: &CursorCell) -> usize {
    std::ptr::from_ref(cell).addr()
}

/// The rest of a frame that was cut, counted for as long as it is kept.
pub(super) enum Tail {
    /// Few bytes: copied.
    Own { bytes: Box<[u8]>, sent: usize, _held: Held },
    /// Many: shared with everyone who gets them.
    Shared(Arc<SharedFrame>, usize),
}

impl Tail {
    /// A copy of `rest`.
    pub(super) fn own(rest: &[u8], backlog: &Arc<Backlog>) -> Self {
        Self::Own { bytes: rest.into(), sent: 0, _held: backlog.hold(rest.len()) }
    }

    /// What is left of `frame` after `written` bytes.
    pub(super) fn of(frame: &Arc<SharedFrame>, written: usize, backlog: &Arc<Backlog>) -> Self {
        let rest = &frame.bytes()[written..];
        if rest.len() <= TAIL_COPY_BYTES && !frame.is_kept() {
            return Self::own(rest, backlog);
        }
        frame.keep(backlog);
        Self::Shared(Arc::clone(frame), written)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Own { bytes, sent, .. } => &bytes[*sent..],
            Self::Shared(frame, sent) => &frame.bytes()[*sent..],
        }
    }

    pub(super) fn advance(&mut self, written: usize) {
        let (Self::Own { sent, .. } | Self::Shared(_, sent)) = self;
        *sent += written;
    }
}
