//! The floor: no protocol, only frames of a given size that the floor server (`floor_server`) writes
//! to every subscriber.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::failure::Result;
use crate::frame;
use crate::peer::dialect::{Dialect, Note};
use crate::socket::Upgrade;

/// What a subscriber says to the floor server, and what it is answered.
pub(crate) const SUBSCRIBE: &str = "S";
pub(crate) const SUBSCRIBED: &[u8] = &[0x81, 2, b'o', b'k'];

/// The bytes of one frame on the wire: what herenow's own frame for the same update takes.
static FRAME_BYTES: AtomicUsize = AtomicUsize::new(180);

/// Lets the floor write frames of `bytes`, header included.
pub(crate) fn set_frame_bytes(bytes: usize) {
    FRAME_BYTES.store(bytes, Ordering::Relaxed);
}

pub(crate) struct Floor;

impl Dialect for Floor {
    fn upgrade(&self, _: &str) -> Option<Upgrade> {
        None
    }

    fn hello(&self, _: &str, _: &str, _: &mut Vec<u8>) {}

    fn join(&self, _: &str, _: &str, _: &mut Vec<u8>) {}

    fn observe(&self, _: &str, _: &str, out: &mut Vec<u8>) {
        frame::text(SUBSCRIBE, out);
    }

    fn update(&self, _: &str, _: &str, mark: &str, out: &mut Vec<u8>) {
        let bytes = FRAME_BYTES.load(Ordering::Relaxed);
        let payload = bytes.saturating_sub(if bytes < 128 { 2 } else { 4 });
        frame::text(&format!("{mark:x<payload$}"), out);
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        frame::text(r#"{"type":"heartbeat"}"#, out);
    }

    fn read(&mut self, _: usize, payload: &[u8], _: &mut Vec<u8>) -> Result<Note> {
        Ok(if payload == b"ok" { Note::Entered } else { Note::Nothing })
    }
}
