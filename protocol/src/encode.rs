//! A server frame as the bytes of one WebSocket text message, header included: server frames are
//! not masked (RFC 6455 section 5.1), so the same bytes serve every subscriber.

use serde::Serialize;

/// Longest header of an unmasked WebSocket frame, in bytes: two, and eight for the length.
pub const MAX_HEADER_BYTES: usize = 10;

const FINAL_TEXT: u8 = 0x81;

/// The bit that says that a message is compressed (RFC 7692, section 6).
const SQUEEZED: u8 = 0x40;

/// Appends `frame` to `out` as one text message.
///
/// The JSON is written behind room for the longest header and then moved up to the real one: the
/// length is known only afterwards, and a move costs less than writing twice.
pub fn text_message(frame: &impl Serialize, out: &mut Vec<u8>) {
    message(out, |out| serde_json::to_writer(out, frame));
}

/// Appends `text` to `out` as one text message, as it is.
pub fn verbatim_text_message(text: &str, out: &mut Vec<u8>) {
    let (header, length) = header(FINAL_TEXT, text.len());
    out.extend_from_slice(&header[..length]);
    out.extend_from_slice(text.as_bytes());
}

/// As [`text_message`], with the JSON spread over lines: for frames that a person reads.
pub fn readable_text_message(frame: &impl Serialize, out: &mut Vec<u8>) {
    message(out, |out| serde_json::to_writer_pretty(out, frame));
}

fn message(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) {
    let start = out.len();
    out.resize(start + MAX_HEADER_BYTES, 0);
    let body = out.len();
    if let Err(error) = write(out) {
        // Our frames have string keys and finite numbers, so only a bug gets here.
        debug_assert!(false, "a frame that does not serialize: {error}");
        out.truncate(start);
        return;
    }
    let (header, length) = header(FINAL_TEXT, out.len() - body);
    out[start..start + length].copy_from_slice(&header[..length]);
    out.copy_within(body.., start + length);
    out.truncate(out.len() - (MAX_HEADER_BYTES - length));
}

/// Appends a control message: `opcode` 8 (close), 9 (ping) or 10 (pong), at most 125 bytes.
pub fn control_message(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(opcode >= 8 && payload.len() <= 125);
    out.extend_from_slice(&[0x80 | opcode, payload.len() as u8]);
    out.extend_from_slice(payload);
}

/// Appends a text message whose payload is compressed (RFC 7692), for who negotiated that.
pub fn squeezed_message(payload: &[u8], out: &mut Vec<u8>) {
    let (header, length) = header(FINAL_TEXT | SQUEEZED, payload.len());
    out.extend_from_slice(&header[..length]);
    out.extend_from_slice(payload);
}

/// The first of whole messages as they are written here: how many bytes its header has, and its
/// payload. `None`: there is none, or it is not whole.
#[must_use]
pub fn first_message(messages: &[u8]) -> Option<(usize, &[u8])> {
    let (start, length) = match *messages.get(1)? {
        126 => (4, u16::from_be_bytes(*messages.get(2..)?.first_chunk()?).into()),
        127 => (10, usize::try_from(u64::from_be_bytes(*messages.get(2..)?.first_chunk()?)).ok()?),
        short => (2, short.into()),
    };
    Some((start, messages.get(start..)?.get(..length)?))
}

/// The header of an unmasked frame (RFC 6455 section 5.2), and how many of its bytes count.
fn header(first: u8, payload: usize) -> ([u8; MAX_HEADER_BYTES], usize) {
    let mut header = [0; MAX_HEADER_BYTES];
    header[0] = first;
    if payload < 126 {
        header[1] = payload as u8;
        (header, 2)
    } else if let Ok(short) = u16::try_from(payload) {
        header[1] = 126;
        header[2..4].copy_from_slice(&short.to_be_bytes());
        (header, 4)
    } else {
        header[1] = 127;
        header[2..10].copy_from_slice(&(payload as u64).to_be_bytes());
        (header, 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths around which the header changes its size.
    #[test]
    fn the_header_fits_the_length() {
        for (text, size) in [(0, 2), (123, 2), (124, 4), (65_533, 4), (65_534, 10), (100_000, 10)] {
            let mut out = b"before".to_vec();
            text_message(&"x".repeat(text), &mut out);
            let frame = &out[6..];
            let payload = text + 2; // the quotes
            assert_eq!(frame.len(), size + payload);
            assert_eq!(frame[0], FINAL_TEXT);
            let told = match frame[1] {
                126 => u64::from(u16::from_be_bytes([frame[2], frame[3]])),
                127 => u64::from_be_bytes(frame[2..10].try_into().unwrap()),
                short => u64::from(short),
            };
            assert_eq!(told, payload as u64);
            assert!(frame[size..].starts_with(b"\"") && frame.ends_with(b"\""));
            assert_eq!(first_message(frame), Some((size, &frame[size..])));
            for end in 0..frame.len() {
                assert_eq!(first_message(&frame[..end]), None, "it is not whole");
            }
            let mut squeezed = Vec::new();
            squeezed_message(&frame[size..], &mut squeezed);
            assert_eq!((squeezed[0], &squeezed[1..]), (0xc1, &frame[1..]));
        }
    }
}
