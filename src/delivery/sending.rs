//! Writing to one connection's socket: the lock of its [`writer`](super::writer), held.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use herenow_protocol::encode;
use parking_lot::MutexGuard;

use super::backlog::Backlog;
use super::behind::Tail;
use super::cursor::{Cursor, CursorCell};
use super::mailbox::Letter;
use super::shared_frame::SharedFrame;
use super::transport::Transport;
use super::writer::{Flow, Full, Writer};
use crate::auth::Access;
use crate::deflate;
use crate::limits::WHOLE_BYTES;
use crate::metrics::Metrics;

/// Opcode of a Close frame.
pub const CLOSE: u8 = 8;
/// Opcode of a ping.
pub const PING: u8 = 9;
/// Opcode of a pong.
pub const PONG: u8 = 10;

/// What a step of catching up came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Everything offered was taken.
    Done,
    /// The socket is full again.
    Full,
    /// It is more than a socket takes whole, and slow readers keep as much as they may already.
    NoRoom,
    /// The socket is gone.
    Broken,
}

/// How much of some bytes a socket took.
enum Written {
    All,
    Cut(usize),
    Nothing,
    Failed,
}

impl Written {
    fn new(result: io::Result<usize>, sent: &mut u32, bytes: &[u8]) -> Self {
        match result {
            Ok(written) => {
                *sent = sent.wrapping_add(written as u32);
                if written == bytes.len() { Self::All } else { Self::Cut(written) }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Self::Nothing,
            Err(_) => Self::Failed,
        }
    }
}

/// A connection's lock, held: the only way to write.
pub struct Sending<'a> {
    transport: &'a Transport,
    writer: MutexGuard<'a, Writer>,
    /// Whether the client negotiated compression.
    squeezes: bool,
}

impl<'a> Sending<'a> {
    pub(super) fn new(
        transport: &'a Transport,
        writer: MutexGuard<'a, Writer>,
        squeezes: bool,
    ) -> Self {
        Self { transport, writer, squeezes }
    }

    pub(super) fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    pub(super) fn cursor_at(&self, cell: &CursorCell) -> Cursor {
        self.writer.cursor(cell)
    }

    /// How things stand.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.writer.flow
    }

    /// What the user's token grants; `None`: everything.
    #[must_use]
    pub fn access(&self) -> Option<&Arc<Access>> {
        self.writer.access.as_ref()
    }

    /// Goes on with what a fresh token grants.
    pub fn set_access(&mut self, access: Option<Arc<Access>>) {
        self.writer.access = access;
    }

    /// Queues a reply: whole messages, which `encode` appends to what it is given.
    /// [`Sending::flush_replies`] sends them.
    pub fn queue(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.writer.flow != Flow::Closed {
            encode(&mut self.writer.replies);
        }
    }

    /// Compresses the replies behind the first `from` bytes, if the client takes it so and they are
    /// large. Only for what everyone may see.
    pub fn squeeze_queued(&mut self, from: usize, metrics: &Metrics) {
        if self.squeezes
            && let Some(squeezed) = deflate::squeeze(&self.writer.replies[from..], metrics)
        {
            self.writer.replies.truncate(from);
            self.writer.replies.extend_from_slice(&squeezed);
        }
    }

    /// Queues a ping, pong or Close among the replies, so that it cuts no frame.
    pub fn control(&mut self, opcode: u8, payload: &[u8]) {
        self.queue(|out| encode::control_message(opcode, payload, out));
    }

    /// Whether the client negotiated compression.
    #[must_use]
    pub fn squeezes(&self) -> bool {
        self.squeezes
    }

    /// Bytes of replies that are not sent yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.writer.replies.len()
    }

    /// Whether letters wait in the mailbox.
    #[must_use]
    pub fn has_letters(&self) -> bool {
        !self.writer.letters.is_empty()
    }

    /// Takes the oldest letter out of the mailbox.
    pub fn take_letter(&mut self) -> Option<Arc<Letter>> {
        self.writer.letters.take()
    }

    /// Bytes that the socket took in all, modulo 2³²: a slow reader that takes some makes progress.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.writer.sent
    }

    /// Whether the socket was found full, for the first time since the connection last flowed and
    /// since this was last asked.
    pub fn take_newly_full(&mut self) -> bool {
        let new = self.writer.full == Full::New;
        if new {
            self.writer.full = Full::Known;
        }
        new
    }

    /// Sends the replies if nothing older is waiting.
    pub fn flush_replies(&mut self) {
        if self.writer.flow == Flow::Flowing && self.resume_replies() == Sweep::Full {
            self.writer.flow = Flow::Choked;
        }
    }

    /// Keeps passes away until the connection has caught up.
    pub fn hold_passes(&mut self) {
        if self.writer.flow == Flow::Flowing {
            self.writer.flow = Flow::Choked;
        }
    }

    /// First steps of catching up: the rest of the cut frame, then the replies.
    pub fn resume(&mut self) -> Sweep {
        match self.resume_tail() {
            Sweep::Done => self.resume_replies(),
            not_done => not_done,
        }
    }

    fn resume_tail(&mut self) -> Sweep {
        let writer = &mut *self.writer;
        while let Some(tail) = writer.behind.as_mut().and_then(|behind| behind.tail.as_mut()) {
            let bytes = tail.bytes();
            match Written::new(self.transport.write(bytes), &mut writer.sent, bytes) {
                Written::All => writer.change_behind(|behind| behind.tail = None),
                Written::Cut(written) => tail.advance(written),
                Written::Nothing => return self.full(),
                Written::Failed => return self.broken(),
            }
        }
        Sweep::Done
    }

    fn resume_replies(&mut self) -> Sweep {
        let writer = &mut *self.writer;
        while !writer.replies.is_empty() {
            let bytes = &writer.replies;
            match Written::new(self.transport.write(bytes), &mut writer.sent, bytes) {
                // Given back rather than kept: most connections have nothing to say for long.
                Written::All => writer.replies = Vec::new(),
                Written::Cut(written) => {
                    writer.replies.drain(..written);
                }
                Written::Nothing => {
                    // They may lie there for long, in a buffer that grew to twice their size.
                    writer.replies.shrink_to_fit();
                    return self.full();
                }
                Written::Failed => return self.broken(),
            }
        }
        Sweep::Done
    }

    /// As [`Sending::catch_up`], for the subscription whose cursor is `cell`.
    pub(super) fn write_missed(
        &mut self,
        cell: &CursorCell,
        to: Cursor,
        (frames, cost): (&[u8], usize),
        (backlog, connection): (&Arc<Backlog>, u64),
    ) -> Sweep {
        let asked = self.writer.cursor(cell).is_asked_for();
        let whole = frames.len() <= WHOLE_BYTES;
        if !whole && !backlog.has_room_for(connection) {
            return Sweep::NoRoom;
        }
        let result =
            if whole { self.transport.write_whole(frames) } else { self.transport.write(frames) };
        let swept = match Written::new(result, &mut self.writer.sent, frames) {
            Written::All => Sweep::Done,
            Written::Cut(written) => {
                self.writer.set_tail(Tail::own(&frames[written..], backlog));
                self.full()
            }
            Written::Nothing => return self.full(),
            Written::Failed => return self.broken(),
        };
        self.writer.set_cursor(cell, to);
        if asked {
            self.writer.charge(cost);
        }
        swept
    }

    /// Counts the replies that wait as what a slow reader keeps alive.
    pub fn count_replies(&mut self, backlog: &Arc<Backlog>) {
        let writer = &mut *self.writer;
        let waits = if writer.flow == Flow::Choked { writer.replies.len() } else { 0 };
        let counted = writer.behind.as_ref().and_then(|behind| behind.replies.as_ref());
        if counted.map_or(0, |held| held.bytes()) == waits {
            return;
        }
        if waits > 0 {
            writer.behind.get_or_insert_default().replies = Some(backlog.hold(waits));
        } else {
            writer.change_behind(|behind| behind.replies = None);
        }
    }

    /// What snapshots that the client asked for have cost since this was last asked, in units of
    /// [`SNAPSHOT_UNIT_BYTES`](crate::limits::SNAPSHOT_UNIT_BYTES).
    pub fn take_snapshots(&mut self) -> u16 {
        std::mem::take(&mut self.writer.snapshots)
    }

    /// The end of catching up: nothing is owed, so passes may write again.
    pub fn flowing(&mut self) {
        if self.writer.flow == Flow::Choked {
            self.writer.flow = Flow::Flowing;
            self.writer.full = Full::No;
        }
    }

    /// Ends all sending, with a Close frame (`payload`: code and reason) if the socket takes one
    /// now and no frame is cut by it. Whether it does is not the caller's to wait for.
    pub fn close(&mut self, payload: Option<&[u8]>) {
        if let Some(payload) = payload
            && self.writer.flow != Flow::Closed
        {
            self.control(CLOSE, payload);
            let _ = self.resume();
        }
        self.writer.close();
        self.writer.waker = None;
    }

    /// Ends all sending, but for a last word: what `encode` appends, and a Close frame with that
    /// payload. `None`: a frame was cut, and what follows it would be read as its rest.
    pub fn close_later(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> Vec<u8>) -> Option<Vec<u8>> {
        let whole = self.writer.flow != Flow::Closed && self.resume() == Sweep::Done;
        self.close(None);
        whole.then(|| {
            let mut word = Vec::new();
            let payload = encode(&mut word);
            encode::control_message(CLOSE, &payload, &mut word);
            word
        })
    }

    /// Writes a frame for a pass, and moves the cursor `cell` from `from` to `to` if the socket took
    /// it, or as much of it that the rest follows. Whether it did.
    pub(super) fn write_shared(
        &mut self,
        cell: &CursorCell,
        (from, to): (Cursor, Cursor),
        frame: &Arc<SharedFrame>,
        backlog: &Arc<Backlog>,
    ) -> bool {
        let form = frame.form(self.squeezes);
        let bytes = form.bytes();
        let result = if backlog.has_room() {
            self.transport.write_at_once(bytes)
        } else if bytes.len() <= WHOLE_BYTES {
            self.transport.write_whole_at_once(bytes)
        } else {
            // Nothing of which a rest may have to be kept: the task waits for room.
            Err(ErrorKind::WouldBlock.into())
        };
        match Written::new(result, &mut self.writer.sent, bytes) {
            Written::All => {}
            Written::Cut(written) => {
                self.writer.set_tail(Tail::of(form, written, backlog));
                self.choke();
            }
            Written::Nothing => {
                self.choke();
                return false;
            }
            Written::Failed => {
                self.broken();
                self.writer.wake();
                return false;
            }
        }
        self.writer.set_cursor(cell, to);
        if from.is_asked_for() {
            self.writer.charge(frame.bytes().len());
        }
        true
    }

    fn choke(&mut self) {
        self.full();
        self.writer.flow = Flow::Choked;
        self.writer.wake();
    }

    /// The socket takes nothing more. Every write that finds so comes here.
    fn full(&mut self) -> Sweep {
        if self.writer.full == Full::No {
            self.writer.full = Full::New;
        }
        Sweep::Full
    }

    fn broken(&mut self) -> Sweep {
        self.writer.close();
        Sweep::Broken
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("flow", &self.writer.flow).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (Transport, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, ours) = tokio::join!(client, listener.accept());
        let transport = Transport::plain(ours.unwrap().0);
        transport.writable().await.unwrap();
        (transport, client.unwrap())
    }

    /// Whoever lagged once is no larger for it.
    #[tokio::test]
    async fn replies_that_are_out_leave_nothing_behind() {
        let (transport, _client) = pair().await;
        let (writer, backlog) = (Mutex::new(Writer::new(None)), Backlog::new(100));
        let mut sending = Sending::new(&transport, writer.lock(), false);
        sending.hold_passes();
        sending.queue(|out| out.extend_from_slice(b"late"));
        sending.count_replies(&backlog);
        assert_eq!((backlog.bytes(), sending.writer.behind.is_some()), (4, true));
        assert_eq!(sending.resume(), Sweep::Done);
        sending.count_replies(&backlog);
        assert_eq!((backlog.bytes(), sending.writer.behind.is_some()), (0, false));
    }

    /// A buffer that grew has up to twice the size of what is in it, and that may lie there for long.
    #[tokio::test]
    async fn replies_that_wait_take_no_more_than_they_are() {
        let (transport, _client) = pair().await;
        let writer = Mutex::new(Writer::new(None));
        let mut sending = Sending::new(&transport, writer.lock(), false);
        while sending.flow() == Flow::Flowing {
            sending.queue(|out| out.extend_from_slice(&[b'x'; 4097]));
            sending.queue(|out| out.extend_from_slice(b"one more, so that it grows"));
            sending.flush_replies();
        }
        let (waits, takes) = (sending.queued(), sending.writer.replies.capacity());
        assert!(waits > 0 && takes == waits, "{waits} bytes take {takes}");
    }
}
