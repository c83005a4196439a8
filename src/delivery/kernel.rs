//! What the kernel says of a socket.

use std::io::{self, ErrorKind, Read};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::net::TcpStream;

/// Whether a third of the send buffer is free. It is the kernel's own measure for when to wake
/// whoever waits, and it notes that somebody does.
pub(super) fn has_room(socket: &TcpStream) -> bool {
    let mut sockets = [PollFd::new(socket, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // A socket that is broken is ready too: the write finds out.
    poll(&mut sockets, Some(&at_once)) != Ok(0)
}

/// A socket that is read, and whether a read showed that there is no more: less came than there was
/// room for. Then waiting for the next event is due, without asking the kernel once more to be told so.
pub(super) struct Drain<'a> {
    socket: SockRef<'a>,
    drained: bool,
}

impl<'a> Drain<'a> {
    pub(super) fn new(socket: &'a TcpStream) -> Self {
        Self { socket: SockRef::from(socket), drained: false }
    }

    /// For `try_io`, which waits for the next event after `WouldBlock`.
    pub(super) fn verdict(&self) -> io::Result<()> {
        if self.drained { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }
}

impl Read for Drain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = (&*self.socket).read(buffer)?;
        self.drained = 0 < taken && taken < buffer.len();
        Ok(taken)
    }
}
