//! A socket under HTTP that gives up on a client that takes nothing of what it is answered: of a file,
//! of many answers to requests sent at once, of a stream of events. Below TLS, if there is any: what
//! counts is what the socket took.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::owed::Owed;

/// A socket whose writes fail once nothing was taken for so long. One that blocks nothing has no
/// timer.
#[derive(Debug)]
pub struct Watched<S> {
    socket: S,
    within: Duration,
    /// Runs from the first write that was not taken.
    blocked: Option<Pin<Box<Sleep>>>,
    owed: Owed,
}

impl<S> Watched<S> {
    /// Gives up after `within`, and tells `owed` of writes that were not taken.
    pub fn new(socket: S, owed: Owed, within: Duration) -> Self {
        Self { socket, within, blocked: None, owed }
    }

    /// The socket alone.
    pub fn into_inner(self) -> S {
        self.socket
    }

    /// What a write came to, unless it was the last straw.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.blocked.take().is_some() {
                self.owed.blocked(false);
            }
            return written;
        }
        self.owed.blocked(true);
        let within = self.within;
        let blocked = self.blocked.get_or_insert_with(|| Box::pin(sleep(within)));
        ready!(blocked.as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.judge(cx, written)
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
