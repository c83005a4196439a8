//! A connection under HTTP that gives up on a client that does not ask: a request that was begun must
//! come whole, and between two a connection may rest longer, since proxies keep theirs for the next
//! request.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Sleep, sleep};

use super::owed::Owed;

/// How long a client may take to ask.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a request's head to come whole, from its first byte on, or from the beginning of the
    /// connection.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
}

/// A connection whose reads fail when no request comes in time.
#[derive(Debug)]
pub(super) struct Awaited<S> {
    socket: S,
    patience: Patience,
    owed: Owed,
    /// Requests that had come when the timer was set last.
    asked: u32,
    /// The next request has not begun.
    idle: bool,
    timer: Pin<Box<Sleep>>,
}

impl<S> Awaited<S> {
    /// A connection that is young: its first request must have come whole when `timer` ends.
    pub(super) fn new(socket: S, owed: Owed, patience: Patience, timer: Pin<Box<Sleep>>) -> Self {
        Self { socket, patience, owed, asked: 0, idle: false, timer }
    }

    /// The connection alone.
    pub(super) fn into_inner(self) -> S {
        self.socket
    }

    /// Begins to wait for the next request, if one came since.
    fn look(&mut self) {
        let asked = self.owed.asked_so_far();
        if asked != self.asked {
            (self.asked, self.idle) = (asked, true);
            self.timer.set(sleep(self.patience.idle));
        }
    }
}

impl<S: Read + Unpin> Read for Awaited<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if self.owed.owes_an_answer(cx) {
            // It is ours to go on, and this is asked again once the answer is out.
            return read;
        }
        self.look();
        if read.is_ready() {
            if self.idle {
                self.idle = false;
                let head = self.patience.head;
                self.timer.set(sleep(head));
            }
            return read;
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: Write + Unpin> Write for Awaited<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
