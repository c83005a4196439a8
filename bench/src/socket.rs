//! One connection of the generator: a non-blocking socket, what it still has to write, and the
//! beginning of a message whose rest has not come yet. An idle one owns no buffers.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Type};

use crate::failure::{Result, fail};
use crate::{frame, inflate};

/// What a WebSocket client asks for when it connects.
#[derive(Clone, Debug)]
pub(crate) struct Upgrade {
    pub(crate) path: String,
    pub(crate) protocol: Option<&'static str>,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Connecting,
    Upgrading,
    Open,
    /// We have said goodbye.
    Closing,
    Closed,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    pub(crate) stage: Stage,
    pub(crate) upgrade: bool,
    /// Reads nothing while set: what a client does that stopped.
    pub(crate) paused: bool,
    pub(crate) partial: Vec<u8>,
    pub(crate) out: Vec<u8>,
}

/// Loopback addresses that a connection may come from.
pub(crate) const SOURCES: usize = 250 * 250;

impl Socket {
    /// Begins to connect, to a loopback address from the one numbered `source`, below [`SOURCES`].
    /// `receive_buffer`: bytes that the kernel takes in before they are read, if not as many as it likes.
    pub(crate) fn connect(
        to: SocketAddr,
        source: usize,
        receive_buffer: Option<usize>,
    ) -> io::Result<Self> {
        let socket =
            socket2::Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if to.ip().is_loopback() && to.is_ipv4() {
            let (high, low) = (source / 250, source % 250 + 1);
            let from = Ipv4Addr::new(127, 0, high as u8, low as u8);
            socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into())?;
        }
        // The connection goes on in the background; the poll says when it stands.
        let connecting = |error: &io::Error| {
            error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(EINPROGRESS)
        };
        match socket.connect(&to.into()) {
            Err(error) if !connecting(&error) => return Err(error),
            _ => {}
        }
        Ok(Self {
            stream: TcpStream::from_std(socket.into()),
            stage: Stage::Connecting,
            upgrade: false,
            paused: false,
            partial: Vec::new(),
            out: Vec::new(),
        })
    }

    /// Asks for the upgrade.
    pub(crate) fn request(&mut self, host: SocketAddr, upgrade: &Upgrade) {
        let protocol = upgrade
            .protocol
            .map_or(String::new(), |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
        // Others would keep windows, which is another work.
        let ours = upgrade.path.starts_with("/ws");
        let extension = if ours { inflate::offer() } else { "" };
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n{protocol}{extension}\r\n",
            upgrade.path,
            frame::KEY
        );
        self.out.extend_from_slice(request.as_bytes());
    }

    /// Writes what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut done = 0;
        let result = loop {
            match self.stream.write(&self.out[done..]) {
                _ if done == self.out.len() => break Ok(()),
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => done += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.out.drain(..done);
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        result
    }

    /// Reads once. `Ok(None)`: nothing to read now. `Ok(Some(0))`: the server ended the stream.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.stream.read(buffer) {
                Ok(taken) => return Ok(Some(taken)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// `connect` of a non-blocking socket says this on Linux.
const EINPROGRESS: i32 = 115;

/// Looks for the whole answer to an upgrade at the start of `bytes`: its length, or none yet.
///
/// # Errors
/// If the server did not upgrade: its status line.
pub(crate) fn upgraded(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    if !head.starts_with("HTTP/1.1 101") {
        fail!("the server refused the WebSocket: {}", head.lines().next().unwrap_or_default());
    }
    if !head.contains(frame::ACCEPT) {
        fail!("the server's Sec-WebSocket-Accept is wrong or missing");
    }
    Ok(Some(end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_is_checked() {
        let good =
            format!("HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: {}\r\n\r\nxy", frame::ACCEPT);
        assert_eq!(upgraded(good.as_bytes()).unwrap(), Some(good.len() - 2));
        assert_eq!(upgraded(b"HTTP/1.1 101 Swi").unwrap(), None);
        assert!(
            upgraded(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap_err().to_string().contains("403")
        );
        assert!(upgraded(b"HTTP/1.1 101 OK\r\n\r\n").is_err());
    }
}
