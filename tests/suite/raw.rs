//! A socket for what no decent client does: bytes as the test writes them, nothing answered.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{End, PATIENCE};

/// First byte of a frame that is a whole text message.
pub(crate) const TEXT: u8 = 0x81;
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

/// A TCP connection to the broker.
pub(crate) struct Raw {
    stream: TcpStream,
    /// Read and not taken yet.
    bytes: Vec<u8>,
}

impl Raw {
    /// Connected; nothing is sent yet.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, bytes: Vec::new() }
    }

    /// A WebSocket of `user`, the handshake done and the welcome taken.
    pub(crate) async fn connect(address: SocketAddr, user: &str) -> Self {
        let mut raw = Self::open(address).await;
        let head = raw.upgrade(&format!("/ws?user={user}"), "").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(raw.next().await.unwrap().0, TEXT);
        raw
    }

    /// Asks for a WebSocket at `path`, with further header lines; the head of the answer.
    pub(crate) async fn upgrade(&mut self, path: &str, headers: &str) -> String {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {headers}\r\n"
        );
        self.write(request.as_bytes()).await;
        self.head().await
    }

    /// The head of the answer to an HTTP request.
    pub(crate) async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.bytes.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.read().await, "no head but {:?}", String::from_utf8_lossy(&self.bytes));
        }
    }

    /// Writes bytes, all at once.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Writes bytes to a broker that may have closed.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a text message.
    pub(crate) async fn say(&mut self, text: &str) {
        self.write(&frame(TEXT, text.as_bytes())).await;
    }

    /// Reads what comes next; false at the end of the socket.
    async fn read(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.bytes)).await;
        read.expect("nothing came").is_ok_and(|read| read > 0)
    }

    /// The next frame: first byte and payload. `None` at the end of the socket.
    pub(crate) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let [first, length, ..] = self.bytes[..] {
                let (start, length) = match (length, &self.bytes[2..]) {
                    (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
                    (126, _) => (4, usize::MAX - 4),
                    (127, _) => panic!("a frame too large for this test"),
                    (short, _) => (2, usize::from(short)),
                };
                if self.bytes.len() >= start + length {
                    let payload = self.bytes[start..start + length].to_vec();
                    self.bytes.drain(..start + length);
                    return Some((first, payload));
                }
            }
            if !self.read().await {
                assert!(self.bytes.is_empty(), "the socket ended within a frame");
                return None;
            }
        }
    }

    /// The next text message; other frames are skipped.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.next().await {
                Some((TEXT, payload)) => return String::from_utf8(payload).unwrap(),
                Some((CLOSE, payload)) => panic!("closed: {}", String::from_utf8_lossy(&payload)),
                Some(_) => {}
                None => panic!("the socket ended"),
            }
        }
    }

    /// How the connection ends; frames before the end are skipped.
    pub(crate) async fn ended(&mut self) -> End {
        timeout(PATIENCE, self.until_end()).await.expect("it does not end")
    }

    async fn until_end(&mut self) -> End {
        while let Some((first, payload)) = self.next().await {
            if first == CLOSE {
                return match payload.split_first_chunk() {
                    Some((code, reason)) => {
                        let reason = String::from_utf8(reason.to_vec()).unwrap();
                        End::Close(u16::from_be_bytes(*code), reason)
                    }
                    None => End::Close(1005, String::new()),
                };
            }
        }
        End::Cut
    }

    /// All bytes until the broker closes, as text.
    pub(crate) async fn rest(&mut self) -> String {
        while self.read().await {}
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Sends one HTTP request (`GET / HTTP/1.1`, say), and reads the status and the rest of the answer.
pub(crate) async fn http(address: SocketAddr, request_line: &str) -> (u16, String) {
    let mut raw = Raw::open(address).await;
    let request = format!("{request_line}\r\nHost: here\r\nConnection: close\r\n\r\n");
    raw.write(request.as_bytes()).await;
    let answer = raw.rest().await;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status in {answer:?}")), answer)
}
