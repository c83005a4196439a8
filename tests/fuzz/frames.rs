//! Texts as clients send and as they are sent.

use herenow_protocol::{ServerFrame, encode, parse, shorthand as short};

use crate::{is_short, text};

/// A message of a client.
pub fn requests(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Err(rejected) = parse(text) {
        is_short(&rejected.refusal.message);
    }
}

/// A line that a person types.
pub fn shorthand(bytes: &[u8]) {
    let Some(line) = text(bytes) else { return };
    if let Err(refusal) = short::parse(line) {
        is_short(&refusal.message);
    }
}

/// A message of a broker, as a client reads it: what is understood is written, read and written again the
/// same. (What is no epoch of ours is one all the same, of which not the text is kept.)
///
/// # Panics
/// It is not.
pub fn told(bytes: &[u8]) {
    let Ok(frame) = serde_json::from_slice::<ServerFrame>(bytes) else { return };
    let written = serde_json::to_string(&frame).expect("our frames have string keys");
    let again: ServerFrame = serde_json::from_str(&written).expect("we read what we write");
    assert_eq!(serde_json::to_string(&again).ok().as_ref(), Some(&written));
    let mut message = Vec::new();
    encode::text_message(&frame, &mut message);
    assert!(message.ends_with(written.as_bytes()));
}
