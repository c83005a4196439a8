//! Bytes from a client → WebSocket messages (RFC 6455 sections 5 and 7), or the Close code that
//! they deserve.
//!
//! Messages that the client compressed are inflated (`deflate`), if that was negotiated.
//!
//! Header parsing is tungstenite's. The rest is ours, because its message reader keeps a buffer for
//! each connection, hides empty continuation frames from whoever counts frames, and sends no Close
//! on most errors. Here a connection between messages holds one null pointer, every frame is
//! handed on to be counted, and text is borrowed from the buffer that it was read into.

use std::io::Cursor;

use herenow_protocol::CloseCode;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{
    CloseCode as WireCloseCode, Control, Data, OpCode,
};

use crate::deflate::inflate::most_squeezed;
use crate::deflate::{Damage, inflate};

/// One frame's worth of news from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A part of a message, kept until the rest comes.
    Part,
    /// A ping: its payload is owed back.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// The client closes, and this is its code (1005 if it gave none).
    Close(u16),
}

/// Why the connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What the Close frame says.
    pub code: CloseCode,
    /// The same in words: the Close frame's reason.
    pub reason: &'static str,
}

impl Violation {
    fn protocol(reason: &'static str) -> Self {
        Self { code: CloseCode::Protocol, reason }
    }
}

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Bytes of a message, inflated.
    pub limit: usize,
    /// It was negotiated that messages may be compressed.
    pub squeezes: bool,
}

impl Terms {
    /// Bytes of a message as it comes.
    fn most(self, squeezed: bool) -> usize {
        if squeezed { most_squeezed(self.limit) } else { self.limit }
    }
}

/// Whether to go on decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFrame {
    /// The next frame, please.
    More,
    /// Keep the rest for later.
    Pause,
    /// The rest no longer matters.
    Stop,
}

/// Decodes what a client sends. Bounded by one message, one header and what was read at once.
#[derive(Debug, Default)]
pub struct Decoder {
    kept: Option<Box<UnfinishedInput>>,
}

/// What has to be kept between two reads; a connection at rest keeps nothing.
#[derive(Debug, Default)]
struct UnfinishedInput {
    /// Bytes that are not decoded yet: a cut frame, or whatever came while paused.
    raw: Vec<u8>,
    /// The parts of an unfinished message, unmasked.
    message: Option<Parts>,
    /// When the unfinished message or frame began; none if it is the broker that paused.
    since_ms: Option<u64>,
}

/// The parts of an unfinished message, one behind the other.
#[derive(Debug)]
struct Parts {
    bytes: Vec<u8>,
    /// The message is compressed.
    squeezed: bool,
}

impl Decoder {
    /// A decoder that has been given `bytes` already.
    #[must_use]
    pub fn after(bytes: Vec<u8>) -> Self {
        let kept = UnfinishedInput { raw: bytes, ..UnfinishedInput::default() };
        Self { kept: (!kept.raw.is_empty()).then(|| Box::new(kept)) }
    }

    /// Decodes `input`, and what was kept before it, frame by frame into `sink`.
    ///
    /// # Errors
    /// The violation that the connection has to be closed for. What came before it was handed on.
    pub fn feed(
        &mut self,
        input: &mut [u8],
        terms: Terms,
        now_ms: u64,
        mut sink: impl FnMut(Incoming<'_>) -> AfterFrame,
    ) -> Result<(), Violation> {
        let Some(mut kept) = self.kept.take() else {
            let mut message = None;
            let used = decode_all(input, &mut message, terms, &mut sink)?;
            if used.bytes < input.len() || message.is_some() {
                let raw = input[used.bytes..].to_vec();
                let since_ms = (!used.paused).then_some(now_ms);
                self.kept = Some(Box::new(UnfinishedInput { raw, message, since_ms }));
            }
            return Ok(());
        };
        kept.raw.extend_from_slice(input);
        let used = decode_all(&mut kept.raw, &mut kept.message, terms, &mut sink)?;
        if used.bytes > 0 {
            kept.raw.drain(..used.bytes);
            // What is left is a part of what was read, often some bytes of a frame that was cut. One
            // that only grows keeps its room: it would be copied for each piece that comes.
            kept.raw.shrink_to_fit();
        }
        let began_ms = kept.since_ms.filter(|_| !used.finished_message).unwrap_or(now_ms);
        kept.since_ms = (!used.paused).then_some(began_ms);
        if !kept.raw.is_empty() || kept.message.is_some() {
            self.kept = Some(kept);
        }
        Ok(())
    }

    /// Whether bytes wait to be decoded.
    #[must_use]
    pub fn has_kept_bytes(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| !kept.raw.is_empty())
    }

    /// Since when a message has been under way that the client has not finished.
    #[must_use]
    pub fn unfinished_since(&self) -> Option<u64> {
        self.kept.as_ref().and_then(|kept| kept.since_ms)
    }
}

struct Used {
    bytes: usize,
    finished_message: bool,
    paused: bool,
}

fn decode_all(
    buffer: &mut [u8],
    message: &mut Option<Parts>,
    terms: Terms,
    sink: &mut impl FnMut(Incoming<'_>) -> AfterFrame,
) -> Result<Used, Violation> {
    let mut used = Used { bytes: 0, finished_message: false, paused: false };
    while let Some(frame) = next_frame(&mut buffer[used.bytes..], message.as_ref(), terms)? {
        used.bytes += frame.length;
        let next = match frame.opcode {
            OpCode::Control(control) => sink(control_frame(control, &frame)?),
            OpCode::Data(data) => data_frame(data, &frame, message, terms, sink)?,
        };
        used.finished_message |= message.is_none();
        match next {
            AfterFrame::More => {}
            AfterFrame::Pause => {
                used.paused = true;
                break;
            }
            AfterFrame::Stop => {
                used.bytes = buffer.len();
                break;
            }
        }
    }
    Ok(used)
}

/// A whole frame, unmasked in place.
struct Frame<'a> {
    opcode: OpCode,
    is_final: bool,
    /// It begins a message that is compressed.
    squeezed: bool,
    payload: &'a [u8],
    /// Header and payload, in bytes.
    length: usize,
}

/// The next frame, `None` if it is not whole yet. What is wrong with it shows as early as it can.
fn next_frame<'a>(
    buffer: &'a mut [u8],
    unfinished: Option<&Parts>,
    terms: Terms,
) -> Result<Option<Frame<'a>>, Violation> {
    let mut cursor = Cursor::new(&*buffer);
    let parsed = FrameHeader::parse(&mut cursor)
        .map_err(|_| Violation::protocol("the opcode is reserved"))?;
    let start = cursor.position() as usize;
    let Some((header, length)) = parsed else { return Ok(None) };
    let squeezed = header.rsv1 || unfinished.is_some_and(|parts| parts.squeezed);
    check_header(&header, length, terms, squeezed)?;
    // The limit was checked, so this is small.
    let end = start + length as usize;
    let (Some(mask), Some(payload)) = (header.mask, buffer.get_mut(start..end)) else {
        return Ok(None);
    };
    unmask(payload, mask);
    let FrameHeader { opcode, is_final, rsv1: squeezed, .. } = header;
    Ok(Some(Frame { opcode, is_final, squeezed, payload, length: end }))
}

/// `squeezed`: the message of which it is a part is compressed.
fn check_header(
    header: &FrameHeader,
    length: u64,
    terms: Terms,
    squeezed: bool,
) -> Result<(), Violation> {
    // The first frame of a message says whether it is compressed, and no other.
    let begins = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
    let may_say_so = terms.squeezes && begins;
    if header.rsv1 && !may_say_so || header.rsv2 || header.rsv3 {
        return Err(Violation::protocol("a reserved bit is set"));
    }
    if header.mask.is_none() {
        return Err(Violation::protocol("frames from a client must be masked"));
    }
    match header.opcode {
        OpCode::Control(_) if !header.is_final => {
            Err(Violation::protocol("control frames must not be fragmented"))
        }
        OpCode::Control(_) if length > 125 => {
            Err(Violation::protocol("control frames carry at most 125 bytes"))
        }
        OpCode::Data(Data::Binary) => Err(Violation {
            code: CloseCode::Unsupported,
            reason: "herenow speaks text, not binary",
        }),
        _ if length > terms.most(squeezed) as u64 => Err(too_big()),
        _ => Ok(()),
    }
}

fn too_big() -> Violation {
    Violation { code: CloseCode::TooBig, reason: "the message is larger than the limit" }
}

/// RFC 6455 section 5.3.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

fn data_frame(
    data: Data,
    frame: &Frame<'_>,
    message: &mut Option<Parts>,
    terms: Terms,
    sink: &mut impl FnMut(Incoming<'_>) -> AfterFrame,
) -> Result<AfterFrame, Violation> {
    match (data, message.as_mut()) {
        (Data::Continue, None) => Err(Violation::protocol("nothing to continue")),
        (Data::Continue, Some(parts)) => {
            if parts.bytes.len() + frame.payload.len() > terms.most(parts.squeezed) {
                return Err(too_big());
            }
            parts.bytes.extend_from_slice(frame.payload);
            if !frame.is_final {
                return Ok(sink(Incoming::Part));
            }
            match message.take() {
                Some(Parts { bytes, squeezed }) => whole(&bytes, squeezed, terms, sink),
                None => Err(Violation::protocol("nothing to continue")),
            }
        }
        (_, Some(_)) => Err(Violation::protocol("a message began inside another")),
        (_, None) if frame.is_final => whole(frame.payload, frame.squeezed, terms, sink),
        (_, None) => {
            let (bytes, squeezed) = (frame.payload.to_vec(), frame.squeezed);
            *message = Some(Parts { bytes, squeezed });
            Ok(sink(Incoming::Part))
        }
    }
}

/// Hands on a whole message.
fn whole(
    payload: &[u8],
    squeezed: bool,
    terms: Terms,
    sink: &mut impl FnMut(Incoming<'_>) -> AfterFrame,
) -> Result<AfterFrame, Violation> {
    if squeezed {
        let inflated = inflate(payload, terms.limit).map_err(|damage| match damage {
            Damage::TooBig => too_big(),
            Damage::Broken => {
                let reason = "the compressed message is damaged";
                Violation { code: CloseCode::InvalidUtf8, reason }
            }
        })?;
        return say(&inflated, sink);
    }
    say(payload, sink)
}

fn say(
    bytes: &[u8],
    sink: &mut impl FnMut(Incoming<'_>) -> AfterFrame,
) -> Result<AfterFrame, Violation> {
    let text = std::str::from_utf8(bytes).map_err(|_| Violation {
        code: CloseCode::InvalidUtf8,
        reason: "the message is not UTF-8",
    })?;
    Ok(sink(Incoming::Text(text)))
}

fn control_frame<'a>(control: Control, frame: &Frame<'a>) -> Result<Incoming<'a>, Violation> {
    Ok(match control {
        Control::Ping => Incoming::Ping(frame.payload),
        Control::Pong => Incoming::Pong,
        // Reserved opcodes do not get past the header.
        Control::Close | Control::Reserved(_) => Incoming::Close(close_code(frame.payload)?),
    })
}

/// RFC 6455 sections 5.5.1 and 7.4: nothing, or a code that may be sent and a reason in UTF-8.
fn close_code(payload: &[u8]) -> Result<u16, Violation> {
    const NO_STATUS: u16 = 1005;
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(NO_STATUS),
            _ => Err(Violation::protocol("a Close code has two bytes")),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !WireCloseCode::from(code).is_allowed() {
        return Err(Violation::protocol("that Close code may not be sent"));
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(code),
        Err(_) => {
            Err(Violation { code: CloseCode::InvalidUtf8, reason: "the Close reason is not UTF-8" })
        }
    }
}

#[cfg(test)]
mod tests;
