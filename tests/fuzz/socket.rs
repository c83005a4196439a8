//! Bytes on a WebSocket.

use herenow::connection::Violation;
use herenow::connection::codec::{AfterFrame, Decoder, Incoming, Terms};
use herenow::deflate::inflate;

/// Bytes of a message.
const LIMIT: usize = 256;

/// What a decoder made of some bytes.
type Heard = (Vec<String>, Result<(), Violation>);

/// The first byte says how the rest is cut, and whether messages may be compressed: in pieces or at once,
/// the same is heard, and the same is wrong with it.
///
/// # Panics
/// They differ.
pub fn codec(bytes: &[u8]) {
    let Some((&manner, bytes)) = bytes.split_first() else { return };
    let terms = Terms { limit: LIMIT, squeezes: manner & 1 == 1 };
    let size = usize::from(manner >> 1).max(1);
    let whole = hear(terms, [bytes]);
    let pieces = hear(terms, bytes.chunks(size));
    assert_eq!(whole, pieces, "in pieces of {size}");
}

fn hear<'a>(terms: Terms, pieces: impl IntoIterator<Item = &'a [u8]>) -> Heard {
    let (mut decoder, mut heard) = (Decoder::default(), Vec::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let fed = decoder.feed(&mut piece, terms, 0, |incoming| {
            if let Incoming::Text(text) = incoming {
                assert!(text.len() <= LIMIT, "a message of {} bytes", text.len());
            }
            heard.push(format!("{incoming:?}"));
            match incoming {
                Incoming::Close(_) => AfterFrame::Stop,
                _ => AfterFrame::More,
            }
        });
        if fed.is_err() || heard.last().is_some_and(|last| last.starts_with("Close")) {
            return (heard, fed);
        }
    }
    (heard, Ok(()))
}

/// A compressed message never comes to more than may be.
///
/// # Panics
/// It does.
pub fn inflated(bytes: &[u8]) {
    for limit in [0, 1, LIMIT, 16 * 1024] {
        if let Ok(message) = inflate(bytes, limit) {
            assert!(message.len() <= limit, "{} bytes of {limit}", message.len());
        }
    }
}
