//! Bytes that many sockets are to get: a tick's frame, or a part of a snapshot.
//!
//! A frame that everyone may see has a second form, compressed, for who negotiated that: made when
//! the first of them is told it, by whoever tells it, and shared by all.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::backlog::{Backlog, Held};
use crate::deflate;
use crate::metrics::Metrics;

/// Bytes to be shared, in the forms that those who get them take.
pub struct SharedFrame {
    plain: Arc<SharedBytes>,
    /// Where it is counted what compressing came to. `None`: it is never compressed.
    squeezable: Option<Arc<Metrics>>,
    /// The other form, once somebody asked for it; `None` in it: it gets no smaller.
    squeezed: OnceLock<Option<Arc<SharedBytes>>>,
}

impl SharedFrame {
    /// Whole messages that all get as they are: those that are small, and all in which somebody's words
    /// stand beside what not everyone may see. The size of compressed bytes would tell of the one by
    /// the other.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Arc<Self> {
        Self::with(bytes, None)
    }

    /// Whole messages that are compressed for who negotiated it, if they are large: what is in them
    /// everyone may see who observes the channel.
    #[must_use]
    pub fn squeezable(bytes: Vec<u8>, metrics: &Arc<Metrics>) -> Arc<Self> {
        Self::with(bytes, Some(Arc::clone(metrics)))
    }

    /// The same, of a tick that so many are told: compressed where that is worth it.
    #[must_use]
    pub fn of_tick(bytes: Vec<u8>, readers: usize, metrics: &Arc<Metrics>) -> Arc<Self> {
        let pays = deflate::pays(bytes.len(), readers);
        Self::with(bytes, pays.then(|| Arc::clone(metrics)))
    }

    fn with(bytes: Vec<u8>, squeezable: Option<Arc<Metrics>>) -> Arc<Self> {
        Arc::new(Self { plain: SharedBytes::new(bytes), squeezable, squeezed: OnceLock::new() })
    }

    /// The bytes, as they are before anything is compressed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.plain.bytes()
    }

    /// The bytes for somebody who negotiated compression (`squeezes`) or not.
    pub(super) fn form(&self, squeezes: bool) -> &Arc<SharedBytes> {
        let Some(metrics) = self.squeezable.as_ref().filter(|_| squeezes) else {
            return &self.plain;
        };
        let squeezed = self
            .squeezed
            .get_or_init(|| deflate::squeeze(self.bytes(), metrics).map(SharedBytes::new));
        squeezed.as_ref().unwrap_or(&self.plain)
    }
}

impl fmt::Debug for SharedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFrame").field("bytes", &self.bytes().len()).finish_non_exhaustive()
    }
}

/// One form of a frame. A slow reader that got a part of it keeps this form alive, and not the other,
/// until it took the rest; from then on it counts as kept, once for all who keep it.
pub(super) struct SharedBytes {
    bytes: Box<[u8]>,
    kept: OnceLock<Held>,
}

impl SharedBytes {
    pub(super) fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { bytes: bytes.into_boxed_slice(), kept: OnceLock::new() })
    }

    pub(super) fn bytes(&self) -> &[u8] {
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

#[cfg(test)]
mod tests {
    use herenow_protocol::encode;

    use super::*;
    use crate::limits::{SQUEEZE_BYTES, SQUEEZE_READERS};

    fn message(bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        encode::text_message(&"x".repeat(bytes), &mut out);
        out
    }

    #[test]
    fn it_is_compressed_once_and_only_if_somebody_takes_it_so() {
        let metrics = Arc::new(Metrics::default());
        let frame = SharedFrame::squeezable(message(10_000), &metrics);
        assert_eq!(frame.form(false).bytes(), frame.bytes());
        assert_eq!(metrics.squeezed_from.get(), 0);
        let first = Arc::clone(frame.form(true));
        assert!(first.bytes().len() < 200 && first.bytes()[0] == 0xc1);
        assert!(Arc::ptr_eq(&first, frame.form(true)));
        assert_eq!(metrics.squeezed_from.get(), frame.bytes().len() as u64);
        assert_eq!(metrics.squeezed_to.get(), first.bytes().len() as u64);
        assert_eq!(frame.form(false).bytes(), frame.bytes(), "others get it as ever");
    }

    #[test]
    fn what_is_not_worth_it_stays_plain_for_all() {
        let metrics = Arc::new(Metrics::default());
        let (large, many) = (10_000, SQUEEZE_READERS);
        for frame in [
            SharedFrame::new(message(large)),
            SharedFrame::squeezable(message(SQUEEZE_BYTES - 10), &metrics),
            SharedFrame::of_tick(message(SQUEEZE_BYTES - 10), many, &metrics),
            SharedFrame::of_tick(message(large), many - 1, &metrics),
        ] {
            assert!(Arc::ptr_eq(frame.form(true), frame.form(false)));
        }
        let frame = SharedFrame::of_tick(message(large), many, &metrics);
        assert!(!Arc::ptr_eq(frame.form(true), frame.form(false)));
    }

    /// A slow reader keeps what it was sent, and not the form that others are sent.
    #[test]
    fn what_counts_is_the_form_that_is_kept() {
        let (metrics, backlog) = (Arc::new(Metrics::default()), Backlog::new(1 << 30));
        let frame = SharedFrame::squeezable(message(100_000), &metrics);
        let (plain, squeezed) = (Arc::clone(frame.form(false)), Arc::clone(frame.form(true)));
        drop(frame);
        let (large, small) = (plain.bytes().len(), squeezed.bytes().len());
        squeezed.keep(&backlog);
        squeezed.keep(&backlog);
        assert_eq!(backlog.bytes(), small);
        plain.keep(&backlog);
        assert_eq!(backlog.bytes(), small + large);
        drop(plain);
        assert_eq!(backlog.bytes(), small);
        drop(squeezed);
        assert_eq!(backlog.bytes(), 0);
    }
}
