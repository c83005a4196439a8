//! What there is of a connection only while it lags, or is in the midst of a snapshot.

use std::sync::Arc;

use super::backlog::{Backlog, Held};
use super::cursor::CursorCell;
use super::shared_frame::SharedBytes;
use crate::limits::TAIL_COPY_BYTES;
use crate::presence::SnapshotPlace;

/// See the module. Boxed by the writer, which most of the time has none.
#[derive(Default)]
pub(super) struct Behind {
    /// The rest of a frame that was cut.
    pub(super) tail: Option<Tail>,
    /// How far subscriptions are in their snapshots.
    places: Places,
    /// The replies that wait, as they were counted last.
    pub(super) replies: Option<Held>,
}

impl Behind {
    /// The place of the subscription with that cursor.
    pub(super) fn place(&self, cell: &CursorCell) -> Option<SnapshotPlace> {
        self.places.get(address(cell))
    }

    /// Sets or forgets the place of the subscription with that cursor.
    pub(super) fn set_place(&mut self, cell: &CursorCell, place: Option<SnapshotPlace>) {
        self.places.set(address(cell), place);
    }

    /// Whether nothing is left to be kept.
    pub(super) fn is_empty(&self) -> bool {
        self.tail.is_none() && self.places.0.is_empty() && self.replies.is_none()
    }
}

/// Places by the addresses of the subscriptions' cursors, which alone say whether they still are in the
/// midst of one. At most as many as the connection has subscriptions, and in order, since they may be
/// thousands: each is looked up and moved for each part.
#[derive(Default)]
struct Places(Vec<(usize, SnapshotPlace)>);

impl Places {
    fn find(&self, at: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&at, |(of, _)| *of)
    }

    fn get(&self, at: usize) -> Option<SnapshotPlace> {
        self.find(at).ok().map(|index| self.0[index].1)
    }

    fn set(&mut self, at: usize, place: Option<SnapshotPlace>) {
        match (self.find(at), place) {
            (Ok(index), Some(place)) => self.0[index].1 = place,
            (Ok(index), None) => drop(self.0.remove(index)),
            (Err(index), Some(place)) => self.0.insert(index, (at, place)),
            (Err(_), None) => {}
        }
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
    Shared(Arc<SharedBytes>, usize),
}

impl Tail {
    /// A copy of `rest`.
    pub(super) fn own(rest: &[u8], backlog: &Arc<Backlog>) -> Self {
        Self::Own { bytes: rest.into(), sent: 0, _held: backlog.hold(rest.len()) }
    }

    /// What is left of `frame` after `written` bytes.
    pub(super) fn of(frame: &Arc<SharedBytes>, written: usize, backlog: &Arc<Backlog>) -> Self {
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

#[cfg(test)]
mod tests {
    use herenow_protocol::reply::SnapshotReason;

    use super::*;
    use crate::presence::Rest;

    /// A frame of which somebody keeps a rest counts once, whole; else a small rest counts alone.
    #[test]
    fn a_rest_counts_as_what_is_kept_for_it() {
        let backlog = Backlog::new(1 << 30);
        let frame = SharedBytes::new(vec![b'x'; 2 * TAIL_COPY_BYTES]);
        let all = frame.bytes().len();
        let small = Tail::of(&frame, all - 10, &backlog);
        assert_eq!((small.bytes().len(), backlog.bytes()), (10, 10));
        let limit = Tail::of(&frame, all - TAIL_COPY_BYTES, &backlog);
        assert_eq!((limit.bytes().len(), backlog.bytes()), (TAIL_COPY_BYTES, 10 + TAIL_COPY_BYTES));
        drop((small, limit));
        let large = Tail::of(&frame, 1, &backlog);
        assert_eq!((large.bytes().len(), backlog.bytes()), (all - 1, all));
        let mut another = Tail::of(&frame, all - 10, &backlog);
        another.advance(3);
        assert_eq!((another.bytes().len(), backlog.bytes()), (7, all));
        drop((large, another, frame));
        assert_eq!(backlog.bytes(), 0);
    }

    #[test]
    fn what_is_kept_is_gone_when_nothing_is_left() {
        let backlog = Backlog::new(100);
        let mut behind = Behind::default();
        assert!(behind.is_empty());
        behind.replies = Some(backlog.hold(5));
        assert_eq!((behind.is_empty(), behind.replies.as_ref().map(Held::bytes)), (false, Some(5)));
        behind.replies = None;
        assert!(behind.is_empty());
    }

    #[test]
    fn each_subscription_has_a_place_of_its_own() {
        let place = |number| SnapshotPlace {
            seq: number,
            reason: SnapshotReason::Resync,
            rest: Rest::Public(number),
            missed: false,
            renewed: false,
        };
        let mut places = Places::default();
        let ats = [7, 3, 9, 1, 5];
        ats.iter().for_each(|&at| places.set(at, Some(place(at as u64))));
        places.set(9, Some(place(90)));
        places.set(3, None);
        places.set(3, None);
        places.set(4, None);
        let seqs = (0..10).map(|at| places.get(at).map(|place| place.seq));
        let expected = [(1, 1), (5, 5), (7, 7), (9, 90)];
        let found: Vec<_> = (0..10).zip(seqs).filter_map(|(at, seq)| Some((at, seq?))).collect();
        assert_eq!(found, expected);
        ats.iter().for_each(|&at| places.set(at, None));
        assert!(places.0.is_empty());

        let (mut behind, cells) = (Behind::default(), [CursorCell::new(), CursorCell::new()]);
        for (number, cell) in (1..).zip(&cells) {
            behind.set_place(cell, Some(place(number)));
        }
        behind.set_place(&CursorCell::new(), None);
        assert_eq!(cells.each_ref().map(|cell| behind.place(cell)), [1, 2].map(|n| Some(place(n))));
    }
}
