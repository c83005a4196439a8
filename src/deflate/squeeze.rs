//! Whole messages for clients, smaller (RFC 7692, section 7.2.1); and what it pays for.

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress};
use herenow_protocol::encode;

use crate::limits::{SQUEEZE_BYTES, SQUEEZE_LEVEL, SQUEEZE_READERS};
use crate::metrics::Metrics;

/// What the receiver puts back to the end of each message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Bytes of room that a compressor wants beyond what it was given: its blocks, and the flush.
const ROOM: usize = 64;

/// Bytes of room that a thread keeps for the next message: most parts of snapshots fit.
const KEPT_BYTES: usize = 256 * 1024;

/// Whether a frame of so many bytes is worth compressing that so many are told at once. The one place
/// that decides it for what a tick tells; snapshots and lists, which are large and seldom, always are
/// from [`SQUEEZE_BYTES`] on.
///
/// `readers` are all who are told, whether they negotiated it or not: what it costs is so a small part
/// of what telling them costs in any case.
#[must_use]
pub fn pays(bytes: usize, readers: usize) -> bool {
    bytes >= SQUEEZE_BYTES && readers >= SQUEEZE_READERS
}

/// The same messages as in `messages`, whole ones with their headers as we write them, each compressed
/// that has at least [`SQUEEZE_BYTES`] and gets smaller by it. `None`: none does.
#[must_use]
pub fn squeeze(messages: &[u8], metrics: &Metrics) -> Option<Vec<u8>> {
    if messages.len() < SQUEEZE_BYTES {
        return None;
    }
    let (mut out, mut rest) = (Vec::with_capacity(messages.len() / 2), messages);
    let mut any = false;
    while let Some((header, payload)) = encode::first_message(rest) {
        let whole = header + payload.len();
        if payload.len() >= SQUEEZE_BYTES && squeeze_one(payload, &mut out) {
            any = true;
        } else {
            out.extend_from_slice(&rest[..whole]);
        }
        rest = &rest[whole..];
    }
    debug_assert!(rest.is_empty(), "a message that is not whole");
    if !any || !rest.is_empty() {
        return None;
    }
    metrics.squeezed_from.inc_by(messages.len() as u64);
    metrics.squeezed_to.inc_by(out.len() as u64);
    out.shrink_to_fit();
    Some(out)
}

/// Appends the message `payload` to `out`, compressed, if it gets smaller. Whether it does.
fn squeeze_one(payload: &[u8], out: &mut Vec<u8>) -> bool {
    thread_local! {
        static COMPRESSOR: RefCell<Compress> =
            RefCell::new(Compress::new(Compression::new(SQUEEZE_LEVEL), false));
        static BODY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    COMPRESSOR.with_borrow_mut(|compressor| {
        BODY.with_borrow_mut(|body| {
            body.clear();
            // What does not fit is not smaller.
            body.reserve(payload.len() + ROOM);
            compressor.reset();
            let done = compressor.compress_vec(payload, body, FlushCompress::Sync);
            let taken = compressor.total_in() as usize == payload.len();
            let whole = taken && body.len() < body.capacity() && body.ends_with(&TAIL);
            let smaller = done.is_ok() && whole && body.len() < payload.len();
            if smaller {
                encode::squeezed_message(&body[..body.len() - TAIL.len()], out);
            }
            if body.capacity() > KEPT_BYTES {
                *body = Vec::new();
            }
            smaller
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::inflate;

    fn message(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encode::text_message(&text, &mut out);
        out
    }

    /// The payloads, inflated, and which of them were compressed.
    fn read(mut messages: &[u8]) -> Vec<(bool, Vec<u8>)> {
        let mut read = Vec::new();
        while let Some((header, payload)) = encode::first_message(messages) {
            let squeezed = messages[0] & 0x40 != 0;
            assert_eq!(messages[0] & !0x40, 0x81);
            let text = if squeezed { inflate(payload, 1 << 20).unwrap() } else { payload.to_vec() };
            read.push((squeezed, text));
            messages = &messages[header + payload.len()..];
        }
        assert!(messages.is_empty());
        read
    }

    #[test]
    fn each_message_is_compressed_by_itself_if_it_is_worth_it() {
        let metrics = Metrics::default();
        let (small, large) = (message("small"), message(&"large ".repeat(2_000)));
        let both = [&small[..], &large, &small, &large].concat();
        let squeezed = squeeze(&both, &metrics).unwrap();
        assert!(squeezed.len() < both.len() / 10, "{}", squeezed.len());
        let plain = read(&both);
        let read = read(&squeezed);
        let kinds: Vec<_> = read.iter().map(|(squeezed, _)| *squeezed).collect();
        assert_eq!(kinds, [false, true, false, true]);
        for ((_, text), (_, plain)) in read.iter().zip(&plain) {
            assert_eq!(text, plain);
        }
        // The same message is the same bytes whatever went before it.
        let alone = squeeze(&large, &metrics).unwrap();
        assert!(squeezed.ends_with(&alone));
        let (from, to) = (metrics.squeezed_from.get(), metrics.squeezed_to.get());
        assert_eq!(from as usize, both.len() + large.len());
        assert_eq!(to as usize, squeezed.len() + alone.len());
    }

    #[test]
    fn what_is_small_or_gets_no_smaller_stays_as_it_is() {
        let metrics = Metrics::default();
        let text = |bytes: usize| message(&"x".repeat(bytes - 2));
        assert_eq!(squeeze(&[], &metrics), None);
        assert_eq!(squeeze(&text(SQUEEZE_BYTES - 1), &metrics), None);
        assert!(squeeze(&text(SQUEEZE_BYTES), &metrics).is_some());
        // Many small ones are no large one.
        assert_eq!(squeeze(&text(100).repeat(100), &metrics), None);
        let mut noise = Vec::new();
        let random = fastrand::Rng::with_seed(7);
        let mut random = random;
        let bytes: Vec<u8> = (0..5_000).map(|_| random.u8(..)).collect();
        noise.extend_from_slice(&[0x81, 126]);
        noise.extend_from_slice(&5_000_u16.to_be_bytes());
        noise.extend_from_slice(&bytes);
        assert_eq!(squeeze(&noise, &metrics), None);
        assert!(!squeeze_one(&bytes, &mut Vec::new()));
    }

    #[test]
    fn a_tick_is_compressed_where_many_read_it() {
        assert!(pays(SQUEEZE_BYTES, SQUEEZE_READERS) && pays(64 * 1024, 10_000));
        assert!(!pays(SQUEEZE_BYTES - 1, 10_000) && !pays(64 * 1024, SQUEEZE_READERS - 1));
    }
}
