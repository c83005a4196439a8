//! WebSocket framing, the client's side (RFC 6455 section 5), as little of it as a generator needs.
//!
//! Client frames are masked with the key zero: allowed, and it saves the generator a pass over the
//! bytes. Servers unmask as always, so for them it is ordinary work.

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const SQUEEZED: u8 = 0x40;

/// The key of every handshake. Servers must not care, and a fixed one has a fixed answer.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a server must answer to [`KEY`] (the RFC's own example).
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The header of a frame from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) opcode: u8,
    pub(crate) last: bool,
    /// The message is compressed.
    pub(crate) squeezed: bool,
    /// Bytes of the header itself.
    pub(crate) size: usize,
    /// Bytes behind it.
    pub(crate) payload: usize,
}

/// Reads the header at the start of `bytes`; none if it is not whole yet.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (size, payload) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let (last, squeezed) = (first & FINAL != 0, first & SQUEEZED != 0);
    Some(Header { opcode: first & 0x0f, last, squeezed, size, payload })
}

/// Appends one whole message of `opcode`, masked with zero.
pub(crate) fn message(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(FINAL | opcode);
    if payload.len() < 126 {
        out.push(MASKED | payload.len() as u8);
    } else if let Ok(short) = u16::try_from(payload.len()) {
        out.push(MASKED | 126);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(MASKED | 127);
        out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Appends a text message.
pub(crate) fn text(payload: &str, out: &mut Vec<u8>) {
    message(TEXT, payload.as_bytes(), out);
}

/// Appends a Close with code 1000.
pub(crate) fn close(out: &mut Vec<u8>) {
    message(CLOSE, &1000u16.to_be_bytes(), out);
}

/// The code and reason of a Close frame's payload, for a person.
pub(crate) fn close_reason(payload: &[u8]) -> String {
    match payload {
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            format!("Close {code} {}", String::from_utf8_lossy(reason)).trim_end().to_owned()
        }
        _ => "a Close without a code".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_length_are_read_back() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let mut out = Vec::new();
            message(BINARY, &vec![7; length], &mut out);
            let header = header(&out).unwrap();
            assert_eq!((header.opcode, header.last, header.payload), (BINARY, true, length));
            assert_eq!(out.len(), header.size + 4 + length, "four bytes of mask");
        }
        assert_eq!(header(&[0x81]), None);
        assert_eq!(header(&[0x81, 126, 0]), None);
    }

    #[test]
    fn a_close_is_told() {
        assert_eq!(close_reason(&[0x10, 0x04, b'b', b'y', b'e']), "Close 4100 bye");
        assert_eq!(close_reason(&[]), "a Close without a code");
    }
}
