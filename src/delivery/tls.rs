//! The records of one TLS connection, from its handshake on: what the WebSocket says is sealed, what
//! comes is opened. Behind a lock of its own, since passes write while the connection's task reads.
//!
//! A record that was sealed must be written whole, and nothing before it, so what was sealed and not
//! written is kept. That must stay little: a slow reader's rest is to lie in its frame, where it is
//! counted and often shared. Hence nothing large is sealed before the kernel says that there is room for
//! it. And the writer is told that the last bytes were not taken as long as their record is not out, so
//! that it comes back; they are *lent* to it, and not sealed again when it does.

use std::io::{self, ErrorKind, Read, Write};
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use rustls::ServerConnection;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::kernel::{Drain, has_room};
use crate::limits::{UNASKED_BYTES, WHOLE_BYTES};

/// What a TLS connection keeps beside its socket.
#[derive(Debug)]
pub(super) struct Session(Mutex<Records>);

#[derive(Debug)]
struct Records {
    tls: ServerConnection,
    /// Bytes that were sealed though their writer was told that they were not taken: the next write
    /// begins with them.
    lent: usize,
}

impl Session {
    /// Of a connection whose handshake is done.
    pub(super) fn new(mut tls: ServerConnection) -> Self {
        // What is kept has another bound here, and half a frame would be taken by this one.
        tls.set_buffer_limit(None);
        Self(Mutex::new(Records { tls, lent: 0 }))
    }

    /// See `Transport::poll_read`.
    pub(super) fn poll_read(
        &self,
        socket: &TcpStream,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(read) = self.0.lock().take(buffer) {
                return Poll::Ready(read);
            }
            ready!(socket.poll_read_ready(cx))?;
            match socket.try_io(Interest::READABLE, || self.0.lock().receive(socket)) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                // What came is looked at in any case.
                Err(_) | Ok(()) => {}
            }
        }
    }

    /// See `Transport::write`.
    pub(super) fn write(&self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        socket.try_io(Interest::WRITABLE, || self.write_at_once(socket, bytes))
    }

    /// See `Transport::write_at_once`.
    pub(super) fn write_at_once(&self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(socket, bytes)
    }

    /// Says that nothing follows, if the socket takes it now.
    pub(super) fn say_end(&self, socket: &TcpStream) {
        let mut records = self.0.lock();
        records.tls.send_close_notify();
        // A client that does not get it sees a socket that ends, as without TLS.
        let _ = records.flush(socket);
    }
}

impl Records {
    /// What was opened and not yet taken; `None`: nothing, and more may come.
    fn take(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        match self.tls.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            // The socket ended, and nobody had said so. Whether that is well the WebSocket knows: it
            // has a Close frame.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Some(Ok(0)),
            read => Some(read),
        }
    }

    /// Reads once, and opens what is whole.
    fn receive(&mut self, socket: &TcpStream) -> io::Result<()> {
        let mut drain = Drain::new(socket);
        self.tls.read_tls(&mut drain)?;
        let opened = self.tls.process_new_packets();
        // What the library has to say to it: new keys, or what was wrong. Should the socket be full,
        // the next write sends it first.
        if self.tls.wants_write() {
            let _ = self.flush(socket);
        }
        opened.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        drain.verdict()
    }

    fn write(&mut self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.flush(socket)?;
        let mut taken = std::mem::take(&mut self.lent).min(bytes.len());
        while let Some(next) = bytes[taken..].chunks(WHOLE_BYTES).next() {
            if needs_room(next.len()) && !has_room(socket) {
                break;
            }
            self.tls.writer().write_all(next)?;
            match self.flush(socket) {
                Ok(()) => taken += next.len(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.lent = next.len();
                    if taken == 0 && next.len() > 1 {
                        // "Nothing" would say that something else may be written next.
                        (taken, self.lent) = (1, next.len() - 1);
                    }
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if taken > 0 { Ok(taken) } else { Err(ErrorKind::WouldBlock.into()) }
    }

    /// Writes what is sealed.
    fn flush(&mut self, socket: &TcpStream) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut &*SockRef::from(socket))? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

/// Whether so many bytes are sealed only where there is room. A single byte is: what is told of it can
/// be no less than all of it.
fn needs_room(bytes: usize) -> bool {
    bytes > UNASKED_BYTES || bytes == 1
}
