//! What was compressed, to be sent once more: files and the document are asked for by anybody, again and
//! again.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::http::HeaderValue;
use parking_lot::Mutex;

use crate::deflate::gzip;
use crate::limits::PACKED_ANSWERS;

/// Gzipped bytes by the tags of the plain ones. At most [`PACKED_ANSWERS`]: what comes behind those is
/// compressed each time.
#[derive(Debug, Default)]
pub(super) struct Packed(Mutex<HashMap<HeaderValue, Option<Bytes>>>);

impl Packed {
    /// The same bytes, gzipped; `None`: they get no smaller. What has a tag is compressed once.
    pub(super) fn of(&self, tag: Option<&HeaderValue>, plain: &[u8]) -> Option<Bytes> {
        let pack = || gzip(plain).map(Bytes::from);
        let Some(tag) = tag else { return pack() };
        if let Some(known) = self.0.lock().get(tag) {
            return known.clone();
        }
        let packed = pack();
        let mut known = self.0.lock();
        if known.len() < PACKED_ANSWERS {
            known.insert(tag.clone(), packed.clone());
        }
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_tag_is_compressed_once_up_to_a_bound() {
        let packed = Packed::default();
        let text = b"again ".repeat(300);
        let at = |tag: usize| {
            let tag = HeaderValue::from(tag);
            packed.of(Some(&tag), &text).unwrap().as_ptr()
        };
        let first = at(0);
        assert_eq!(at(0), first);
        for tag in 1..=PACKED_ANSWERS {
            at(tag);
        }
        assert_eq!(packed.0.lock().len(), PACKED_ANSWERS);
        assert_eq!(at(0), first);
        assert_eq!(packed.of(None, b"short"), None);
    }
}
