//! The socket of one connection: the only place among connections that knows what it is made of.
//!
//! Plain TCP today. Everything here takes a shared reference, since passes write to a socket while
//! its connection's task reads from it, and everything speaks in bytes of the WebSocket: so TLS
//! would be a second variant whose record layer lies in here, behind a lock of its own.

use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A connected socket.
#[derive(Debug)]
pub struct Transport {
    socket: TcpStream,
}

impl Transport {
    /// Plain TCP.
    #[must_use]
    pub fn plain(socket: TcpStream) -> Self {
        Self { socket }
    }

    /// Reads what has come, as tokio's own `AsyncRead` does, but through a shared reference. Ready
    /// with zero bytes: the client sends nothing any more.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_read_ready(cx))?;
            let mut taken = 0;
            let read = self.socket.try_io(Interest::READABLE, || {
                taken = (&*SockRef::from(&self.socket)).read(buffer)?;
                // Less than there was room for means that there is no more: waiting for the next
                // event is due now, without asking the kernel once more to be told so.
                let drained = 0 < taken && taken < buffer.len();
                if drained { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match read {
                Err(error) if error.kind() == ErrorKind::WouldBlock && taken == 0 => {}
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                _ => return Poll::Ready(Ok(taken)),
            }
        }
    }

    /// Ready once the socket takes bytes; until then the task of `cx` is woken when it does.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_write_ready(cx)
    }

    /// Waits until the socket takes bytes.
    ///
    /// # Errors
    /// The socket is broken.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Writes for the connection's own task, which waits for the socket through tokio: whether it
    /// takes bytes is noted there. The result: how many bytes it took.
    ///
    /// # Errors
    /// `WouldBlock`: the socket is full. Any other: it is broken.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.try_write(bytes)
    }

    /// Writes for a pass, which waits for nobody: what tokio knows of the socket lies elsewhere in
    /// memory, and a pass over thousands of sockets pays for each line that it touches. Should the
    /// socket be full, the task that is woken then finds that out for itself.
    ///
    /// # Errors
    /// As [`Transport::write`].
    pub(super) fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(&self.socket).send(bytes)
    }

    /// As [`Transport::write`], with bytes of which no rest should be left: at most
    /// [`WHOLE_BYTES`](crate::limits::WHOLE_BYTES). A socket that has less room counts as full.
    ///
    /// # Errors
    /// As [`Transport::write`].
    pub(super) fn write_whole(&self, bytes: &[u8]) -> io::Result<usize> {
        // Within `try_io`, so that no event is missed that comes between the look and its being noted.
        self.socket.try_io(Interest::WRITABLE, || self.write_whole_at_once(bytes))
    }

    /// As [`Transport::write_whole`], for a pass.
    pub(super) fn write_whole_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        if !self.has_room() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.write_at_once(bytes)
    }

    /// Whether a third of the send buffer is free. It is the kernel's own measure for when to wake
    /// whoever waits, and it notes that somebody does.
    fn has_room(&self) -> bool {
        let mut sockets = [PollFd::new(&self.socket, PollFlags::OUT)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A socket that is broken is ready too: the write finds out.
        poll(&mut sockets, Some(&at_once)) != Ok(0)
    }

    /// What [`Transport::write_at_once`] looks at: a pass brings it from memory beforehand.
    pub(super) fn peek(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Nothing is written any more; the client may still send.
    pub fn half_close(&self) {
        // An error means that it is down already.
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Write);
    }

    /// Reads on, and forgets what comes, until the client closes too.
    pub async fn closed(&self) {
        while self.socket.readable().await.is_ok() && self.discard() {}
    }

    /// Whether more may come. No task keeps the buffer: when thousands leave at once they should
    /// not need more memory than they did while they were here.
    fn discard(&self) -> bool {
        match self.socket.try_read(&mut [0; 1024]) {
            Ok(read) => read > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }
}
