//! A WebSocket by hand, for whatever no decent client does: bytes as the test writes them, clients
//! that send while they are being closed, and readers that stop, crawl and look at every byte.
//! Nothing is answered. Panics on whatever RFC 6455 does not let a server send.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use herenow_protocol::ServerFrame;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::client::{End, PATIENCE};

/// First byte of a frame that is a whole text message.
pub(crate) const TEXT: u8 = 0x81;
/// The bit in it that says that the message is compressed.
pub(crate) const SQUEEZED: u8 = 0x40;
/// First byte of the first part of a text message.
pub(crate) const TEXT_BEGINS: u8 = 0x01;
/// First byte of a further part, not the last.
pub(crate) const CONTINUES: u8 = 0x00;
/// First byte of the last part.
pub(crate) const ENDS: u8 = 0x80;
/// First byte of a Close frame.
pub(crate) const CLOSE: u8 = 0x88;
/// First byte of a ping.
pub(crate) const PING: u8 = 0x89;
/// First byte of a pong.
pub(crate) const PONG: u8 = 0x8a;

/// A frame as a client sends it, masked. RFC 6455 section 5.2; at most 65,535 bytes.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..126) => bytes.push(0x80 | short),
        _ => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Receive buffer of a reader that is to be slow: small enough to show soon, large enough not to
/// look like a lost wake-up.
const SMALL_BUFFER: u32 = 8 * 1024;

/// The header of a masked frame of any length, less the mask: a promise that nobody need keep.
pub(crate) fn header(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0x80 | 127][..], &length.to_be_bytes()].concat()
}

/// A Close frame of a client.
pub(crate) fn close_frame(code: u16) -> Vec<u8> {
    frame(CLOSE, &code.to_be_bytes())
}

/// What came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Got {
    Text(String),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    /// The broker ended the socket, between frames.
    End,
    /// The broker ended the socket in the middle of a frame, or reset it.
    Cut,
}

/// A socket whose receive buffer is small, so that the kernel hides little.
pub(crate) async fn small_socket(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
    socket.connect(address).await.unwrap()
}

/// A WebSocket by hand, its handshake done.
pub(crate) struct Wire {
    reader: OwnedReadHalf,
    writer: Option<OwnedWriteHalf>,
    /// Read, and not looked at yet.
    buffer: Vec<u8>,
    /// How many bytes a read takes at most.
    sip: usize,
    /// It was negotiated that messages may be compressed.
    squeezes: bool,
    /// Of the text messages that came.
    pub(crate) came: Came,
}

/// How many messages came, and their bytes with headers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Came {
    pub(crate) bytes: usize,
    pub(crate) plain: usize,
    pub(crate) squeezed: usize,
}

/// As a client compresses a message: raw, flushed, less the last four bytes.
pub(crate) fn deflated(text: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(text.len() + 100);
    compress.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
    out.truncate(out.len() - 4);
    out
}

/// What the broker compressed, as a client without any window from before reads it.
fn inflated(payload: &[u8]) -> Vec<u8> {
    let (mut inflate, mut out) = (Decompress::new(false), Vec::with_capacity(1 << 21));
    for input in [payload, &[0, 0, 0xff, 0xff]] {
        inflate.decompress_vec(input, &mut out, FlushDecompress::Sync).unwrap();
    }
    assert_eq!(inflate.total_in() as usize, payload.len() + 4, "not taken whole");
    out
}

impl Wire {
    /// Connects as `user`, and takes the welcome.
    pub(crate) async fn connect(address: SocketAddr, user: &str) -> Self {
        Self::open(address, user).await.welcomed().await
    }

    /// As [`Wire::connect`], over a socket that hides little from the broker.
    pub(crate) async fn connect_small(address: SocketAddr, user: &str) -> Self {
        Self::over(small_socket(address).await, user).await.welcomed().await
    }

    /// Connects as `user`, percent-encoded, and leaves whatever comes to be read.
    pub(crate) async fn open(address: SocketAddr, user: &str) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), user).await
    }

    /// Connected, and nothing is sent yet: for a handshake of the test's own, or for HTTP.
    pub(crate) async fn dial(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        // Small writes go out at once.
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        let (buffer, sip) = (Vec::new(), 64 * 1024);
        let came = Came::default();
        Self { reader, writer: Some(writer), buffer, sip, squeezes: false, came }
    }

    /// As [`Wire::connect`], and has what is large compressed.
    pub(crate) async fn connect_squeezing(address: SocketAddr, user: &str) -> Self {
        Self::squeezing(TcpStream::connect(address).await.unwrap(), &format!("user={user}")).await
    }

    /// As [`Wire::connect_squeezing`], over any socket, with any query.
    pub(crate) async fn squeezing(stream: TcpStream, query: &str) -> Self {
        let mut wire = Self::of(stream);
        let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        let head = wire.upgrade(&format!("/ws?{query}"), offer).await;
        let answer = "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; \
                      client_no_context_takeover\r\n";
        assert!(head.to_ascii_lowercase().contains(answer), "{head}");
        wire.squeezes = true;
        wire.welcomed().await
    }

    async fn over(stream: TcpStream, user: &str) -> Self {
        let mut wire = Self::of(stream);
        let head = wire.upgrade(&format!("/ws?user={user}"), "").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // RFC 6455 section 1.3 has this answer to this key.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        wire
    }

    async fn welcomed(mut self) -> Self {
        assert_eq!(self.json().await["type"], "welcome");
        self
    }

    /// Asks for a WebSocket at `path`, with further header lines; the head of the answer.
    pub(crate) async fn upgrade(&mut self, path: &str, headers: &str) -> String {
        self.upgrade_at("localhost", path, headers).await
    }

    /// The same under another name of the broker's.
    pub(crate) async fn upgrade_at(&mut self, host: &str, path: &str, headers: &str) -> String {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {headers}\r\n"
        );
        self.write(request.as_bytes()).await;
        self.head().await
    }

    /// The head of the answer to an HTTP request.
    pub(crate) async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                return String::from_utf8(self.buffer.drain(..end + 4).collect()).unwrap();
            }
            let more = self.read().await.is_ok_and(|read| read > 0);
            assert!(more, "no head but {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    /// From now on each read takes at most so many bytes.
    pub(crate) fn sip(&mut self, bytes: usize) {
        self.sip = bytes;
    }

    /// Sends bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let writer = self.writer.as_mut().unwrap();
        timeout(PATIENCE, writer.write_all(bytes))
            .await
            .expect("the broker reads nothing")
            .unwrap();
    }

    /// Sends bytes to a broker that may have closed.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer().write_all(bytes).await
    }

    /// Sends bytes beside everything else, until the socket breaks.
    pub(crate) fn write_on(&mut self, bytes: Vec<u8>) {
        let mut writer = self.writer.take().unwrap();
        tokio::spawn(async move {
            let _ = writer.write_all(&bytes).await;
            // Dropping it would end the socket.
            std::future::pending::<()>().await;
        });
    }

    /// Sends the same bytes every so often, until the socket breaks.
    pub(crate) fn write_again_and_again(&mut self, bytes: Vec<u8>, every: Duration) {
        let mut writer = self.writer.take().unwrap();
        tokio::spawn(async move {
            while writer.write_all(&bytes).await.is_ok() {
                tokio::time::sleep(every).await;
            }
        });
    }

    /// The writing half alone.
    pub(crate) fn writer(&mut self) -> &mut OwnedWriteHalf {
        self.writer.as_mut().unwrap()
    }

    /// Sends a text message.
    pub(crate) async fn say(&mut self, text: &str) {
        self.write(&frame(TEXT, text.as_bytes())).await;
    }

    /// Sends a ping.
    pub(crate) async fn ping(&mut self, payload: &[u8]) {
        self.write(&frame(PING, payload)).await;
    }

    /// Waits until something has come, and leaves it.
    pub(crate) async fn readable(&self) {
        assert!(self.buffer.is_empty());
        timeout(PATIENCE, self.reader.readable()).await.expect("nothing comes").unwrap();
    }

    /// Reads some bytes; how many there were, 0 at the end of the socket.
    async fn read(&mut self) -> io::Result<usize> {
        // Not straight into the buffer, so that whoever gives up waiting breaks nothing.
        let mut sip = vec![0; self.sip];
        let read = timeout(PATIENCE, self.reader.read(&mut sip)).await.expect("nothing comes")?;
        self.buffer.extend_from_slice(&sip[..read]);
        Ok(read)
    }

    /// The next frame. Panics on whatever RFC 6455 does not let a server send.
    pub(crate) async fn next(&mut self) -> Got {
        loop {
            if let Some(got) = self.take_frame() {
                return got;
            }
            match self.read().await {
                Ok(0) if self.buffer.is_empty() => return Got::End,
                Ok(0) | Err(_) => return Got::Cut,
                Ok(_) => {}
            }
        }
    }

    fn take_frame(&mut self) -> Option<Got> {
        let [first, second, rest @ ..] = self.buffer.as_slice() else { return None };
        let (first, second) = (*first, *second);
        assert_eq!(second & 0x80, 0, "a masked frame");
        let (length, extra) = match second {
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
            short => (u64::from(short), 0),
        };
        let least = [0, 126, 0x1_0000][[0, 2, 8].iter().position(|&size| size == extra).unwrap()];
        assert!(length >= least, "a length of {length} in {extra} bytes");
        let start = 2 + extra;
        let end = start + usize::try_from(length).unwrap();
        if self.buffer.len() < end {
            return None;
        }
        let payload: Vec<u8> = self.buffer.drain(..end).skip(start).collect();
        Some(match first {
            TEXT => {
                self.came.bytes += end;
                self.came.plain += 1;
                Got::Text(String::from_utf8(payload).unwrap())
            }
            _ if first == TEXT | SQUEEZED && self.squeezes => {
                self.came.bytes += end;
                self.came.squeezed += 1;
                Got::Text(String::from_utf8(inflated(&payload)).unwrap())
            }
            PING => Got::Ping(payload),
            PONG => Got::Pong(payload),
            CLOSE => match payload.split_first_chunk() {
                None => Got::Close(1005, String::new()),
                Some((code, reason)) => {
                    let reason = String::from_utf8(reason.to_vec()).unwrap();
                    Got::Close(u16::from_be_bytes(*code), reason)
                }
            },
            other => panic!("a frame that begins with {other:#04x}"),
        })
    }

    /// The next text message, as JSON.
    pub(crate) async fn json(&mut self) -> Value {
        match self.next().await {
            Got::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next text message, as a frame of ours; `None` at the end of the socket.
    pub(crate) async fn frame(&mut self) -> Option<ServerFrame> {
        loop {
            match self.next().await {
                Got::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Got::Ping(_) | Got::Pong(_) => {}
                Got::Close(..) | Got::End | Got::Cut => return None,
            }
        }
    }

    /// The next text message; pings and pongs are skipped.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.next().await {
                Got::Text(text) => return text,
                Got::Ping(_) | Got::Pong(_) => {}
                other => panic!("no text but {other:?}"),
            }
        }
    }

    /// How the connection ends; frames before the end are skipped.
    pub(crate) async fn ended(&mut self) -> End {
        let end = async {
            loop {
                match self.next().await {
                    Got::Close(code, reason) => return End::Close(code, reason),
                    Got::End | Got::Cut => return End::Cut,
                    Got::Text(_) | Got::Ping(_) | Got::Pong(_) => {}
                }
            }
        };
        timeout(PATIENCE, end).await.expect("it does not end")
    }

    /// Whether the broker neither ends it for so long nor says anything.
    pub(crate) async fn is_open_for(&self, time: Duration) -> bool {
        timeout(time, self.reader.readable()).await.is_err()
    }

    /// All bytes until the broker closes, as text.
    pub(crate) async fn rest(&mut self) -> String {
        while self.read().await.is_ok_and(|read| read > 0) {}
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// The next bytes of a body, as text.
    pub(crate) async fn body(&mut self, bytes: usize) -> String {
        while self.buffer.len() < bytes {
            let read = self.read().await.unwrap();
            assert!(read > 0, "it ends after {:?}", String::from_utf8_lossy(&self.buffer));
        }
        String::from_utf8(self.buffer.drain(..bytes).collect()).unwrap()
    }

    /// Waits for a Close frame, which the end of the socket must follow: its code and reason, and
    /// the texts that came before.
    pub(crate) async fn closed(&mut self) -> (u16, String, Vec<String>) {
        let mut texts = Vec::new();
        loop {
            match self.next().await {
                Got::Text(text) => texts.push(text),
                Got::Close(code, reason) => {
                    assert_eq!(self.next().await, Got::End, "behind the Close frame");
                    // A reset could overtake the Close frame; on Linux it shows only here.
                    let error = self.reader.as_ref().take_error().unwrap();
                    assert!(error.is_none(), "behind the Close frame: {error:?}");
                    return (code, reason, texts);
                }
                Got::Ping(_) | Got::Pong(_) => {}
                other => panic!("{other:?} and no Close frame; before: {texts:?}"),
            }
        }
    }
}

/// Sends one HTTP request (`GET / HTTP/1.1`, say), and reads the status and the rest of the answer.
pub(crate) async fn http(address: SocketAddr, request_line: &str) -> (u16, String) {
    let mut wire = Wire::dial(address).await;
    let request = format!("{request_line}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    wire.write(request.as_bytes()).await;
    let answer = wire.rest().await;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status in {answer:?}")), answer)
}
