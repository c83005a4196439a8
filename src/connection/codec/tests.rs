//! The decoder against tungstenite's encoder, in random pieces, and against every violation.

use std::io;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WireFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use super::*;

/// Not below what a ping may carry, as the flag's own bound sees to.
const LIMIT: usize = 125;
/// Nothing was negotiated.
const PLAIN: Terms = Terms { limit: LIMIT, squeezes: false };
/// A header, its length of eight bytes and its mask.
const HEADER_BYTES: usize = 14;

/// [`Incoming`], less the borrow.
#[derive(Clone, Debug, PartialEq)]
enum Decoded {
    Text(String),
    Part,
    Ping(Vec<u8>),
    Pong,
    Close(u16),
}

impl From<Incoming<'_>> for Decoded {
    fn from(incoming: Incoming<'_>) -> Self {
        match incoming {
            Incoming::Text(text) => Self::Text(text.to_owned()),
            Incoming::Part => Self::Part,
            Incoming::Ping(payload) => Self::Ping(payload.to_vec()),
            Incoming::Pong => Self::Pong,
            Incoming::Close(code) => Self::Close(code),
        }
    }
}

/// What a client may do to the connection, its messages cut in any way.
#[derive(Clone, Debug)]
enum Act {
    Text { text: String, cuts: Vec<(Index, Vec<Control>)> },
    Control(Control),
}

#[derive(Clone, Debug)]
enum Control {
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn control() -> impl Strategy<Value = Control> {
    (any::<bool>(), vec(any::<u8>(), 0..126)).prop_map(|(ping, payload)| {
        if ping { Control::Ping(payload) } else { Control::Pong(payload) }
    })
}

fn act() -> impl Strategy<Value = Act> {
    // Several bytes to a character, so that cuts fall inside of one.
    let text = "[aé€🦀]{0,31}";
    let cuts = vec((any::<Index>(), vec(control(), 0..2)), 0..4);
    prop_oneof![
        3 => (text, cuts).prop_map(|(text, cuts)| Act::Text { text, cuts }),
        1 => control().prop_map(Act::Control),
    ]
}

fn close() -> impl Strategy<Value = Option<Option<(u16, String)>>> {
    let allowed = prop::sample::select(vec![1000, 1001, 1002, 1011, 1012, 3000, 4999]);
    prop::option::weighted(0.3, prop::option::of((allowed, "[é]{0,20}")))
}

fn header(opcode: u8, is_final: bool, mask: Option<[u8; 4]>) -> FrameHeader {
    let opcode = OpCode::from(opcode);
    FrameHeader { is_final, opcode, mask, ..FrameHeader::default() }
}

/// A frame as a client writes it, formatted and masked by tungstenite.
fn frame(opcode: u8, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let header = header(opcode, is_final, Some([0x12, 0x00, 0xff, 0xa5]));
    let mut out = Vec::new();
    WireFrame::from_payload(header, payload.to_vec().into()).format(&mut out).unwrap();
    out
}

/// Only the header of a frame.
fn header_of(opcode: u8, is_final: bool, length: u64) -> Vec<u8> {
    let mut out = Vec::new();
    header(opcode, is_final, Some([1, 2, 3, 4])).format(length, &mut out).unwrap();
    out
}

const CONTINUE: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

fn write_control(control: &Control, out: &mut Vec<u8>, heard: &mut Vec<Decoded>) {
    match control {
        Control::Ping(payload) => {
            out.extend(frame(PING, true, payload));
            heard.push(Decoded::Ping(payload.clone()));
        }
        Control::Pong(payload) => {
            out.extend(frame(PONG, true, payload));
            heard.push(Decoded::Pong);
        }
    }
}

/// The bytes of these acts, and what is to be heard of them.
fn write(acts: &[Act], close: Option<Option<(u16, String)>>) -> (Vec<u8>, Vec<Decoded>) {
    let (mut out, mut heard) = (Vec::new(), Vec::new());
    for act in acts {
        match act {
            Act::Control(control) => write_control(control, &mut out, &mut heard),
            Act::Text { text, cuts } => {
                let mut places: Vec<_> =
                    cuts.iter().map(|(at, between)| (at.index(text.len() + 1), between)).collect();
                places.sort_by_key(|&(at, _)| at);
                let (mut from, mut opcode) = (0, TEXT);
                for (at, between) in places {
                    out.extend(frame(opcode, false, &text.as_bytes()[from..at]));
                    heard.push(Decoded::Part);
                    for control in between {
                        write_control(control, &mut out, &mut heard);
                    }
                    (from, opcode) = (at, CONTINUE);
                }
                out.extend(frame(opcode, true, &text.as_bytes()[from..]));
                heard.push(Decoded::Text(text.clone()));
            }
        }
    }
    if let Some(close) = close {
        let payload = close.as_ref().map_or_else(Vec::new, |(code, reason)| {
            [&code.to_be_bytes(), reason.as_bytes()].concat()
        });
        out.extend(frame(CLOSE, true, &payload));
        heard.push(Decoded::Close(close.map_or(1005, |(code, _)| code)));
    }
    (out, heard)
}

/// Feeds `bytes` in pieces of these sizes, over and over; what was heard, and how it ended.
fn feed_in(
    decoder: &mut Decoder,
    bytes: &[u8],
    sizes: &[usize],
) -> (Vec<Decoded>, Result<(), Violation>) {
    let mut heard = Vec::new();
    let mut rest = bytes.to_vec();
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let after = rest.split_off(rest.len().min(*sizes.next().unwrap()));
        let fed = decoder.feed(&mut rest, PLAIN, 0, |incoming| {
            let heard_now = Decoded::from(incoming);
            let stop = matches!(heard_now, Decoded::Close(_));
            heard.push(heard_now);
            if stop { AfterFrame::Stop } else { AfterFrame::More }
        });
        if fed.is_err() || matches!(heard.last(), Some(Decoded::Close(_))) {
            return (heard, fed);
        }
        if let Some(kept) = &decoder.kept {
            assert!(kept.raw.len() < LIMIT + HEADER_BYTES, "{}", kept.raw.len());
            assert!(kept.message.as_ref().is_none_or(|parts| parts.bytes.len() <= LIMIT));
        }
        rest = after;
    }
    (heard, Ok(()))
}

fn feed(decoder: &mut Decoder, bytes: &[u8]) -> (Vec<Decoded>, Result<(), Violation>) {
    feed_in(decoder, bytes, &[usize::MAX])
}

/// How a stream ended for tungstenite.
#[derive(Debug, PartialEq)]
enum Ended {
    /// With a Close, or where the bytes ended: in the middle of something or not.
    Quietly,
    Badly(CloseCode),
}

/// What tungstenite makes of the same bytes.
fn reference(bytes: &[u8]) -> (Vec<Decoded>, Ended) {
    /// Bytes to read; what is written goes nowhere.
    struct Wire<'a>(&'a [u8]);
    impl io::Read for Wire<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(into)
        }
    }
    impl io::Write for Wire<'_> {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            Ok(from.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(LIMIT))
        .max_frame_size(Some(LIMIT))
        .read_buffer_size(256);
    let mut socket = WebSocket::from_raw_socket(Wire(bytes), Role::Server, Some(config));
    let mut heard = Vec::new();
    loop {
        let bad = match socket.read() {
            Ok(Message::Text(text)) => {
                heard.push(Decoded::Text(text.as_str().to_owned()));
                continue;
            }
            Ok(Message::Ping(payload)) => {
                heard.push(Decoded::Ping(payload.to_vec()));
                continue;
            }
            Ok(Message::Pong(_)) => {
                heard.push(Decoded::Pong);
                continue;
            }
            Ok(Message::Close(close)) => {
                // A code that may not be sent comes out as this, with this reason.
                if close.as_ref().is_some_and(|c| c.reason == "Protocol violation") {
                    CloseCode::Protocol
                } else {
                    heard.push(Decoded::Close(close.map_or(1005, |close| close.code.into())));
                    return (heard, Ended::Quietly);
                }
            }
            Ok(_) => CloseCode::Unsupported,
            Err(Error::Capacity(_)) => CloseCode::TooBig,
            Err(Error::Utf8(_)) => CloseCode::InvalidUtf8,
            Err(Error::Protocol(error)) if error.to_string().contains("without closing") => {
                return (heard, Ended::Quietly);
            }
            Err(Error::Protocol(_)) => CloseCode::Protocol,
            Err(other) => panic!("{other}"),
        };
        return (heard, Ended::Badly(bad));
    }
}

fn without_parts(heard: Vec<Decoded>) -> Vec<Decoded> {
    heard.into_iter().filter(|heard| *heard != Decoded::Part).collect()
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn however_the_bytes_come_the_messages_are_the_same(
        acts in vec(act(), 0..8),
        close in close(),
        sizes in vec(1..40usize, 1..6),
    ) {
        let (bytes, expected) = write(&acts, close);
        for sizes in [&sizes[..], &[1], &[usize::MAX]] {
            let mut decoder = Decoder::default();
            let (heard, end) = feed_in(&mut decoder, &bytes, sizes);
            prop_assert_eq!(&heard, &expected);
            prop_assert_eq!(end, Ok(()));
            prop_assert!(decoder.kept.is_none(), "kept at rest: {:?}", decoder.kept);
            prop_assert_eq!(decoder.unfinished_since(), None);
        }
        let (heard, end) = reference(&bytes);
        prop_assert_eq!((heard, end), (without_parts(expected), Ended::Quietly));
    }

    /// However often the broker pauses, and whether more bytes come meanwhile or not.
    #[test]
    fn a_pause_loses_nothing_and_repeats_nothing(
        acts in vec(act(), 0..8),
        sizes in vec(1..40usize, 1..6),
        pauses in vec(any::<bool>(), 1..8),
        patient in any::<bool>(),
    ) {
        let (bytes, expected) = write(&acts, None);
        let mut decoder = Decoder::default();
        let mut heard = Vec::new();
        let (mut pauses, mut sizes) = (pauses.iter().cycle(), sizes.iter().cycle());
        let mut rest = bytes;
        let mut paused = false;
        while !rest.is_empty() || paused {
            let wait = paused && (patient || rest.is_empty());
            let size = if wait { 0 } else { rest.len().min(*sizes.next().unwrap()) };
            let after = rest.split_off(size);
            paused = false;
            decoder.feed(&mut rest, PLAIN, 0, |incoming| {
                assert!(!paused, "heard more after a pause");
                heard.push(Decoded::from(incoming));
                paused = *pauses.next().unwrap();
                if paused { AfterFrame::Pause } else { AfterFrame::More }
            }).unwrap();
            if paused {
                prop_assert_eq!(decoder.unfinished_since(), None, "it is we who wait");
            }
            rest = after;
        }
        prop_assert_eq!(heard, expected);
        prop_assert!(decoder.kept.is_none());
    }

    /// Good streams with bytes changed, taken out or put in: no panic, what is heard is what
    /// tungstenite hears, and what tungstenite refuses is refused with the same code.
    #[test]
    fn broken_streams_end_as_in_tungstenite(
        acts in vec(act(), 1..6),
        close in close(),
        damage in vec((any::<Index>(), 0..4u8, any::<u8>()), 1..4),
        sizes in vec(1..40usize, 1..6),
    ) {
        let (mut bytes, _) = write(&acts, close);
        for (at, kind, value) in damage {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] ^= 1 << (value % 8),
                1 => bytes[at] = value,
                2 => bytes.insert(at, value),
                _ if bytes.len() > 1 => { bytes.remove(at); }
                _ => {}
            }
        }
        agrees_with_tungstenite(&bytes, &sizes)?;
    }

    #[test]
    fn noise_ends_as_in_tungstenite(
        bytes in vec(any::<u8>(), 0..200),
        sizes in vec(1..40usize, 1..6),
    ) {
        agrees_with_tungstenite(&bytes, &sizes)?;
    }
}

fn agrees_with_tungstenite(bytes: &[u8], sizes: &[usize]) -> Result<(), TestCaseError> {
    let (all_at_once, end) = feed(&mut Decoder::default(), bytes);
    prop_assert_eq!(feed_in(&mut Decoder::default(), bytes, sizes), (all_at_once.clone(), end));
    let ours = without_parts(all_at_once);
    let (theirs, ended) = reference(bytes);
    match (end, ended) {
        // It looks at each part of a text, we at the whole: the same verdict, later. And we refuse
        // binary by its header, while it takes that, and whatever comes inside.
        (_, Ended::Badly(CloseCode::InvalidUtf8))
        | (Err(Violation { code: CloseCode::Unsupported, .. }), _) => {
            let agree = ours.starts_with(&theirs) || theirs.starts_with(&ours);
            prop_assert!(agree, "{:?} and {:?}", ours, theirs);
        }
        (Ok(()), Ended::Quietly) => prop_assert_eq!(ours, theirs),
        // We refuse by the header, tungstenite waits for the payload first.
        (Err(_), Ended::Quietly) => prop_assert_eq!(ours, theirs),
        (Ok(()), Ended::Badly(code)) => {
            prop_assert!(false, "tungstenite refuses with {:?}, we do not", code);
        }
        (Err(violation), Ended::Badly(code)) => {
            prop_assert_eq!(ours, theirs);
            // Several faults in one frame: which one is named first is a matter of taste.
            let of_taste = [CloseCode::Protocol, CloseCode::TooBig, CloseCode::Unsupported];
            let same = violation.code == code
                || of_taste.contains(&violation.code) && of_taste.contains(&code);
            prop_assert!(same, "{:?} and {:?}", violation, code);
        }
    }
    Ok(())
}

/// Every violation, behind a good message that is still heard.
#[test]
fn every_violation_has_its_code() {
    use CloseCode::{InvalidUtf8, Protocol, TooBig, Unsupported};
    let flagged = |bit: u8| {
        let mut bytes = frame(TEXT, true, b"x");
        bytes[0] |= bit;
        bytes
    };
    let unmasked = |opcode: u8| vec![0x80 | opcode, 1, b'x'];
    let begun = |behind: Vec<u8>| [frame(TEXT, false, b"x"), behind].concat();
    let closing = |payload: &[u8]| frame(CLOSE, true, payload);
    let closing_with = |code: u16| closing(&code.to_be_bytes());
    let long = vec![b'x'; 126];
    let mut cases = vec![
        (Protocol, "frames from a client must be masked", unmasked(TEXT)),
        (Protocol, "frames from a client must be masked", unmasked(PING)),
        (Protocol, "frames from a client must be masked", vec![0x81, 0]),
        (Protocol, "a reserved bit is set", flagged(0x40)),
        (Protocol, "a reserved bit is set", flagged(0x20)),
        (Protocol, "a reserved bit is set", flagged(0x10)),
        (Protocol, "control frames must not be fragmented", frame(PING, false, b"")),
        (Protocol, "control frames must not be fragmented", frame(PONG, false, b"")),
        (Protocol, "control frames must not be fragmented", frame(CLOSE, false, b"")),
        (Protocol, "control frames carry at most 125 bytes", frame(PING, true, &long)),
        (Protocol, "control frames carry at most 125 bytes", frame(PONG, true, &long)),
        (Protocol, "control frames carry at most 125 bytes", frame(CLOSE, true, &long)),
        (Protocol, "nothing to continue", frame(CONTINUE, true, b"x")),
        (Protocol, "nothing to continue", frame(CONTINUE, false, b"")),
        (Protocol, "a message began inside another", begun(frame(TEXT, true, b"y"))),
        (Protocol, "a message began inside another", begun(frame(TEXT, false, b"y"))),
        (Protocol, "a Close code has two bytes", closing(&[3])),
        (Unsupported, "herenow speaks text, not binary", frame(BINARY, true, b"x")),
        (Unsupported, "herenow speaks text, not binary", frame(BINARY, false, b"")),
        (InvalidUtf8, "the message is not UTF-8", frame(TEXT, true, &[0xff])),
        // A character that is cut off, an overlong one, a surrogate.
        (InvalidUtf8, "the message is not UTF-8", frame(TEXT, true, &[0xe2, 0x82])),
        (InvalidUtf8, "the message is not UTF-8", frame(TEXT, true, &[0xc0, 0xaf])),
        (InvalidUtf8, "the message is not UTF-8", frame(TEXT, true, &[0xed, 0xa0, 0x80])),
        (InvalidUtf8, "the message is not UTF-8", begun(frame(CONTINUE, true, &[0x80]))),
        (InvalidUtf8, "the Close reason is not UTF-8", closing(&[0x03, 0xe8, 0xff])),
        (TooBig, "the message is larger than the limit", frame(TEXT, true, &[b'x'; LIMIT + 1])),
        (TooBig, "the message is larger than the limit", frame(TEXT, false, &[b'x'; LIMIT + 1])),
        (
            TooBig,
            "the message is larger than the limit",
            begun(frame(CONTINUE, false, &[b'x'; LIMIT])),
        ),
    ];
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push((Protocol, "the opcode is reserved", frame(opcode, true, b"")));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push((Protocol, "that Close code may not be sent", closing_with(code)));
    }
    for (code, reason, bytes) in cases {
        let stream = [frame(TEXT, true, b"before"), bytes.clone()].concat();
        for sizes in [[1], [usize::MAX]] {
            let (heard, end) = feed_in(&mut Decoder::default(), &stream, &sizes);
            assert_eq!(end, Err(Violation { code, reason }), "{bytes:02x?}");
            assert_eq!(heard[0], Decoded::Text("before".into()));
            assert!(heard[1..].iter().all(|h| *h == Decoded::Part), "{bytes:02x?}: {heard:?}");
        }
    }
}

#[test]
fn every_close_code_that_may_be_sent_is_heard() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let payload = [&u16::to_be_bytes(code)[..], "bye, señor".as_bytes()].concat();
        let (heard, end) = feed(&mut Decoder::default(), &frame(CLOSE, true, &payload));
        assert_eq!((heard, end), (vec![Decoded::Close(code)], Ok(())));
    }
}

/// Nothing of an oversized message is awaited, let alone kept, once its header is there.
#[test]
fn the_limit_is_checked_at_the_header() {
    let too_big = Err(too_big());
    for length in [LIMIT as u64 + 1, 70_000, u64::from(u32::MAX) + 1, u64::MAX] {
        for is_final in [true, false] {
            let mut decoder = Decoder::default();
            assert_eq!(feed(&mut decoder, &header_of(TEXT, is_final, length)), (vec![], too_big));
        }
    }
    for (opcode, code) in [(BINARY, CloseCode::Unsupported), (PING, CloseCode::Protocol)] {
        let (heard, end) = feed(&mut Decoder::default(), &header_of(opcode, true, u64::MAX));
        assert_eq!((heard, end.unwrap_err().code), (vec![], code));
    }
    // The limit itself is fine, whole and in parts.
    let text = "x".repeat(LIMIT);
    let whole = frame(TEXT, true, text.as_bytes());
    let parts = |text: &str| {
        let (first, rest) = text.as_bytes().split_at(LIMIT / 2);
        [frame(TEXT, false, first), frame(CONTINUE, true, rest)].concat()
    };
    let (heard, end) = feed(&mut Decoder::default(), &parts(&text));
    assert_eq!((heard.last(), end), (Some(&Decoded::Text(text.clone())), Ok(())));
    let (heard, end) = feed(&mut Decoder::default(), &parts(&format!("{text}x")));
    assert_eq!((heard, end), (vec![Decoded::Part], too_big));
    assert_eq!(feed(&mut Decoder::default(), &whole), (vec![Decoded::Text(text)], Ok(())));
}

/// Whoever counts frames sees those too that carry nothing.
#[test]
fn every_frame_is_handed_on_to_be_counted() {
    let mut bytes = frame(TEXT, false, b"");
    for _ in 0..100 {
        bytes.extend(frame(CONTINUE, false, b""));
    }
    bytes.extend(frame(CONTINUE, true, b""));
    let (heard, end) = feed(&mut Decoder::default(), &bytes);
    assert_eq!(end, Ok(()));
    assert_eq!(heard.iter().filter(|h| **h == Decoded::Part).count(), 101);
    assert_eq!(heard.last(), Some(&Decoded::Text(String::new())));
}

/// Behind whoever says stop nothing is looked at, however bad it is.
#[test]
fn nothing_is_heard_after_a_stop() {
    for behind in [frame(TEXT, true, b"late"), frame(BINARY, true, b"bad"), vec![0x81]] {
        let mut bytes = [frame(TEXT, true, b"stop"), behind].concat();
        let mut decoder = Decoder::default();
        let mut heard = 0;
        let fed = decoder.feed(&mut bytes, PLAIN, 0, |_| {
            heard += 1;
            AfterFrame::Stop
        });
        assert_eq!((fed, heard, decoder.has_kept_bytes()), (Ok(()), 1, false));
    }
}

/// The time runs from the first byte of what is unfinished, and neither parts nor pings stop it.
#[test]
fn it_knows_since_when_a_message_is_unfinished() {
    let mut decoder = Decoder::default();
    let mut at = |now_ms: u64, mut bytes: Vec<u8>| {
        decoder.feed(&mut bytes, PLAIN, now_ms, |_| AfterFrame::More).unwrap();
        decoder.unfinished_since()
    };
    let (first, second) = (frame(TEXT, false, b"a"), frame(CONTINUE, true, b"b"));
    assert_eq!(at(1, first[..3].to_vec()), Some(1));
    assert_eq!(at(2, first[3..].to_vec()), Some(1));
    assert_eq!(at(3, frame(CONTINUE, false, b"")), Some(1));
    assert_eq!(at(4, frame(PING, true, b"")), Some(1));
    assert_eq!(at(5, second.clone()), None);
    // One ends and another begins in the same read.
    assert_eq!(at(6, first.clone()), Some(6));
    assert_eq!(at(7, [second, first].concat()), Some(7));
    assert_eq!(at(8, frame(CONTINUE, true, b"")), None);
}

/// Someone whose small frames always arrive cut finishes each of them.
#[test]
fn finished_control_frames_do_not_age() {
    let mut decoder = Decoder::default();
    let ping = frame(PING, true, b"1234");
    let (head, tail) = ping.split_at(3);
    for now_ms in 1..10 {
        let mut bytes = if now_ms == 1 { head.to_vec() } else { [tail, head].concat() };
        decoder.feed(&mut bytes, PLAIN, now_ms, |_| AfterFrame::More).unwrap();
        assert_eq!(decoder.unfinished_since(), Some(now_ms));
    }
}

/// It was negotiated that messages may be compressed.
const SQUEEZING: Terms = Terms { limit: LIMIT, squeezes: true };
/// The bit that says so.
const RSV1: u8 = 0x40;

/// As a client compresses a message: raw, flushed, less the last four bytes.
fn deflated(text: &[u8]) -> Vec<u8> {
    let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
    let mut out = Vec::with_capacity(text.len() + 100);
    compress.compress_vec(text, &mut out, flate2::FlushCompress::Sync).unwrap();
    out.truncate(out.len() - 4);
    out
}

/// The same frame, said to be compressed.
fn squeezed(mut frame: Vec<u8>) -> Vec<u8> {
    frame[0] |= RSV1;
    frame
}

fn feed_on(terms: Terms, bytes: &[u8]) -> (Vec<Decoded>, Result<(), Violation>) {
    let (mut bytes, mut heard) = (bytes.to_vec(), Vec::new());
    let fed = Decoder::default().feed(&mut bytes, terms, 0, |incoming| {
        heard.push(Decoded::from(incoming));
        AfterFrame::More
    });
    (heard, fed)
}

#[test]
fn compressed_messages_are_heard_as_others_are() {
    let text = "say it again, ".repeat(8);
    let small = deflated(text.as_bytes());
    assert!(small.len() < 30);
    let (first, rest) = small.split_at(7);
    let parts = [
        squeezed(frame(TEXT, false, b"")),
        frame(CONTINUE, false, first),
        frame(PING, true, b"between"),
        frame(CONTINUE, true, rest),
    ];
    let stream = [
        frame(TEXT, true, b"plain"),
        squeezed(frame(TEXT, true, &small)),
        parts.concat(),
        squeezed(frame(TEXT, true, &[0])),
        frame(TEXT, false, b"pl"),
        frame(CONTINUE, true, b"ain"),
    ];
    let said = || Decoded::Text(text.clone());
    let plain = || Decoded::Text("plain".into());
    let expected = [
        plain(),
        said(),
        Decoded::Part,
        Decoded::Part,
        Decoded::Ping(b"between".to_vec()),
        said(),
        Decoded::Text(String::new()),
        Decoded::Part,
        plain(),
    ];
    assert_eq!(feed_on(SQUEEZING, &stream.concat()), (expected.to_vec(), Ok(())));
    // A part at a time, with what is kept in between.
    let mut decoder = Decoder::default();
    let mut heard = Vec::new();
    for byte in stream.concat() {
        let fed = decoder.feed(&mut [byte], SQUEEZING, 0, |incoming| {
            heard.push(Decoded::from(incoming));
            AfterFrame::More
        });
        assert_eq!(fed, Ok(()));
    }
    assert_eq!(heard, expected);
    assert!(decoder.kept.is_none(), "kept at rest: {:?}", decoder.kept);
}

#[test]
fn what_is_wrong_with_a_compressed_message_has_its_code() {
    use CloseCode::{InvalidUtf8, Protocol, TooBig, Unsupported};
    let bit = "a reserved bit is set";
    let good = deflated(b"good");
    let begun = |behind: Vec<u8>| [squeezed(frame(TEXT, false, &good)), behind].concat();
    let flagged = |bit: u8| {
        let mut bytes = squeezed(frame(TEXT, true, &good));
        bytes[0] |= bit;
        bytes
    };
    let large = vec![b'x'; LIMIT + 1];
    let incompressible: Vec<u8> = (0..400).map(|n: u32| (n * n * 31 % 251) as u8).collect();
    for (code, reason, bytes) in [
        (Protocol, bit, squeezed(frame(PING, true, b""))),
        (Protocol, bit, squeezed(frame(CLOSE, true, b""))),
        // Only the first frame of a message says so.
        (Protocol, bit, begun(squeezed(frame(CONTINUE, true, b"")))),
        (Protocol, bit, flagged(0x20)),
        (Protocol, bit, flagged(0x10)),
        (Unsupported, "herenow speaks text, not binary", squeezed(frame(BINARY, true, &good))),
        (
            TooBig,
            "the message is larger than the limit",
            squeezed(frame(TEXT, true, &deflated(&large))),
        ),
        (
            TooBig,
            "the message is larger than the limit",
            squeezed(frame(TEXT, true, &incompressible)),
        ),
        (
            TooBig,
            "the message is larger than the limit",
            begun(frame(CONTINUE, true, &incompressible)),
        ),
        (InvalidUtf8, "the compressed message is damaged", squeezed(frame(TEXT, true, &[0xff; 5]))),
        (InvalidUtf8, "the compressed message is damaged", squeezed(frame(TEXT, true, &good[..2]))),
        (InvalidUtf8, "the message is not UTF-8", squeezed(frame(TEXT, true, &deflated(&[0xff])))),
    ] {
        let stream = [frame(TEXT, true, b"before"), bytes.clone()].concat();
        let (heard, end) = feed_on(SQUEEZING, &stream);
        assert_eq!(end, Err(Violation { code, reason }), "{bytes:02x?}");
        assert_eq!(heard[0], Decoded::Text("before".into()));
    }
    // The limit itself is fine, however little it was compressed; and nothing was negotiated.
    let most = "x".repeat(LIMIT);
    let said = vec![Decoded::Text(most.clone())];
    assert_eq!(
        feed_on(SQUEEZING, &squeezed(frame(TEXT, true, &deflated(most.as_bytes())))),
        (said, Ok(()))
    );
    let plain = feed_on(PLAIN, &squeezed(frame(TEXT, true, &good))).1;
    assert_eq!(plain, Err(Violation { code: Protocol, reason: bit }));
}

/// Autobahn's groups 12 and 13, in their spirit: messages of its sizes and kinds, each way that its
/// clients compress (any level, any window that a client may use, kept from message to message by
/// nobody, whole and in fragments of its sizes), a thousand of each cut down to a few. What it has
/// echoed is here what is heard.
#[test]
fn messages_of_all_sizes_and_kinds_are_heard_as_they_were_said() {
    const SIZES: [usize; 10] = [16, 64, 256, 1_024, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072];
    const FRAGMENTS: [usize; 3] = [usize::MAX, 1_024, 256];
    let json = r#"{"user":"user-17","attributes":{"mood":"happy"},"joinedAt":1795403459349},"#;
    let mut random = fastrand::Rng::with_seed(12);
    for size in SIZES {
        let kinds: [String; 4] = [
            "*".repeat(size),
            json.chars().cycle().take(size).collect(),
            (0..size).map(|_| random.char(' '..='~')).collect(),
            "naïve 🦀 ".chars().cycle().take(size / 2).collect(),
        ];
        for text in kinds {
            for (level, window) in [(0, 15), (1, 15), (6, 9), (9, 12)] {
                let level = flate2::Compression::new(level);
                let mut compress = flate2::Compress::new_with_window_bits(level, false, window);
                let mut payload = Vec::with_capacity(2 * text.len() + 100);
                let flush = flate2::FlushCompress::Sync;
                compress.compress_vec(text.as_bytes(), &mut payload, flush).unwrap();
                assert_eq!(compress.total_in() as usize, text.len());
                payload.truncate(payload.len() - 4);
                for fragment in FRAGMENTS {
                    let mut parts = payload.chunks(fragment.min(payload.len())).peekable();
                    let (mut stream, mut opcode) = (Vec::new(), TEXT);
                    while let Some(part) = parts.next() {
                        let part = frame(opcode, parts.peek().is_none(), part);
                        stream.extend(if opcode == TEXT { squeezed(part) } else { part });
                        opcode = CONTINUE;
                    }
                    let terms = Terms { limit: text.len(), squeezes: true };
                    let (heard, end) = feed_on(terms, &stream);
                    assert_eq!(end, Ok(()), "{size} bytes");
                    let last = heard.last();
                    assert_eq!(last, Some(&Decoded::Text(text.clone())), "{size} bytes");
                    assert!(heard[..heard.len() - 1].iter().all(|it| *it == Decoded::Part));
                }
            }
        }
    }
}

/// A frame that is cut is kept, and not the room of all that was read before it.
#[test]
fn what_is_kept_takes_no_more_than_it_is() {
    let ping = [0x89, 0x80, 0, 0, 0, 0];
    let mut decoder = Decoder::default();
    // Twice: the first leaves a rest, and the second is read behind it.
    for _ in 0..2 {
        let mut input = [ping.repeat(1_000), ping[..3].to_vec()].concat();
        input.drain(..decoder.kept.as_ref().map_or(0, |kept| kept.raw.len()));
        decoder.feed(&mut input, PLAIN, 0, |_| AfterFrame::More).unwrap();
    }
    let kept = decoder.kept.unwrap();
    assert_eq!((kept.raw.len(), kept.raw.capacity()), (3, 3));
}
