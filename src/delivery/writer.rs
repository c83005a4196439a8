//! What is still to be written to one connection's socket, behind the lock that orders everything
//! written to it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::task::{Context, Waker};

use herenow_protocol::encode;
use parking_lot::MutexGuard;

use super::cursor::{Cursor, CursorCell};
use super::mailbox::{Letter, Letters, Undelivered};
use super::shared_frame::SharedFrame;
use super::transport::Transport;
use crate::auth::Access;
use crate::limits::TAIL_COPY_BYTES;

/// Whether a connection's socket takes what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Nothing is owed: passes write to the socket directly.
    Flowing,
    /// The socket was full: only the connection's own task writes, until it has caught up.
    Choked,
    /// The connection ended, or must end: nothing is written any more.
    Closed,
}

/// What a step of catching up came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Everything offered was taken.
    Done,
    /// The socket is full again.
    Full,
    /// The socket is gone.
    Broken,
}

/// What a connection's lock guards.
pub(super) struct Writer {
    flow: Flow,
    /// What the user's token grants; a fresh token replaces it. `None`: everything.
    access: Option<Arc<Access>>,
    /// The rest of a frame that was cut. Boxed, since there seldom is one.
    tail: Option<Box<Tail>>,
    /// Replies, pongs and a Close that are not written yet. Never an incomplete frame at its start
    /// unless `tail` is empty and its beginning is already out.
    replies: Vec<u8>,
    /// Letters that the task has not made replies of yet.
    letters: Letters,
    /// Wakes the connection's task. Cleared at the end, since a waker keeps its task alive.
    waker: Option<Waker>,
    /// Bytes that the socket took in all, modulo 2³²: enough to see that it takes some.
    sent: u32,
    /// A revoked reader is closed for being slow, not for being gone.
    revoked: bool,
    /// The socket was found full since the connection last flowed.
    full: bool,
    /// The connection's task does not know of that yet. Counted by the task, since there is no room
    /// here for a way to the counters.
    newly_full: bool,
}

enum Tail {
    /// Few bytes: copied.
    Own(Box<[u8]>, usize),
    /// Many: shared with everyone who gets them.
    Shared(Arc<SharedFrame>, usize),
}

impl Tail {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes, sent) => &bytes[*sent..],
            Self::Shared(frame, sent) => &frame.bytes()[*sent..],
        }
    }

    fn advance(&mut self, written: usize) {
        let (Self::Own(_, sent) | Self::Shared(_, sent)) = self;
        *sent += written;
    }
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

impl Writer {
    pub(super) fn new(access: Option<Arc<Access>>) -> Self {
        Self {
            flow: Flow::Flowing,
            access,
            tail: None,
            replies: Vec::new(),
            letters: Letters::default(),
            waker: None,
            sent: 0,
            revoked: false,
            full: false,
            newly_full: false,
        }
    }

    /// Registers the connection's task to be woken.
    pub(super) fn register(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Puts a letter into the mailbox, and wakes the task for it.
    ///
    /// # Errors
    /// The connection ended, or its mailbox is full.
    pub(super) fn post(&mut self, letter: Arc<Letter>) -> Result<(), Undelivered> {
        if self.flow == Flow::Closed {
            return Err(Undelivered::Closed);
        }
        self.letters.add(letter)?;
        self.wake();
        Ok(())
    }

    /// Lets the connection go if it still has a part of `frame` to send.
    pub(super) fn give_up(&mut self, frame: &Arc<SharedFrame>) {
        let held = |tail: &Tail| matches!(tail, Tail::Shared(held, _) if Arc::ptr_eq(held, frame));
        if self.tail.as_deref().is_some_and(held) {
            self.revoked = true;
            self.close();
            self.wake();
        }
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.revoked
    }

    fn close(&mut self) {
        self.flow = Flow::Closed;
        self.tail = None;
        self.replies = Vec::new();
        self.letters = Letters::default();
    }
}

/// A connection's lock, held: the only way to write.
pub struct Sending<'a> {
    connection: u64,
    transport: &'a Transport,
    writer: MutexGuard<'a, Writer>,
}

impl<'a> Sending<'a> {
    pub(super) fn new(
        connection: u64,
        transport: &'a Transport,
        writer: MutexGuard<'a, Writer>,
    ) -> Self {
        Self { connection, transport, writer }
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

    /// Queues a ping, pong or Close among the replies, so that it cuts no frame.
    pub fn control(&mut self, opcode: u8, payload: &[u8]) {
        self.queue(|out| encode::control_message(opcode, payload, out));
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
        std::mem::take(&mut self.writer.newly_full)
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
        while let Some(tail) = &mut writer.tail {
            let bytes = tail.bytes();
            match Written::new(self.transport.write(bytes), &mut writer.sent, bytes) {
                Written::All => writer.tail = None,
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
                Written::Nothing => return self.full(),
                Written::Failed => return self.broken(),
            }
        }
        Sweep::Done
    }

    /// As [`Sending::catch_up`], for the subscription whose cursor is `cursor`.
    pub(super) fn write_missed(
        &mut self,
        cursor: &CursorCell,
        next_seq: u64,
        frames: &[u8],
    ) -> Sweep {
        let result = self.transport.write(frames);
        match Written::new(result, &mut self.writer.sent, frames) {
            Written::All => {
                cursor.set(Cursor::Next(next_seq));
                Sweep::Done
            }
            Written::Cut(written) => {
                cursor.set(Cursor::Next(next_seq));
                self.writer.tail = Some(Box::new(Tail::Own(frames[written..].into(), 0)));
                self.full()
            }
            Written::Nothing => self.full(),
            Written::Failed => self.broken(),
        }
    }

    /// The end of catching up: nothing is owed, so passes may write again.
    pub fn flowing(&mut self) {
        if self.writer.flow == Flow::Choked {
            self.writer.flow = Flow::Flowing;
            self.writer.full = false;
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

    /// Writes a frame for a pass, and moves `cursor` to `to` if the socket took it, or as much of
    /// it that the rest follows. Whether it did.
    pub(super) fn write_shared(
        &mut self,
        cursor: &CursorCell,
        to: Cursor,
        frame: &Arc<SharedFrame>,
    ) -> bool {
        let result = self.transport.write_at_once(frame.bytes());
        match Written::new(result, &mut self.writer.sent, frame.bytes()) {
            Written::All => {}
            Written::Cut(written) => {
                let rest = &frame.bytes()[written..];
                let tail = if rest.len() <= TAIL_COPY_BYTES {
                    Tail::Own(rest.into(), 0)
                } else {
                    frame.held_by(self.connection);
                    Tail::Shared(Arc::clone(frame), written)
                };
                self.writer.tail = Some(Box::new(tail));
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
        cursor.set(to);
        true
    }

    fn choke(&mut self) {
        self.full();
        self.writer.flow = Flow::Choked;
        self.writer.wake();
    }

    /// The socket takes nothing more. Every write that finds so comes here.
    fn full(&mut self) -> Sweep {
        self.writer.newly_full |= !self.writer.full;
        self.writer.full = true;
        Sweep::Full
    }

    fn broken(&mut self) -> Sweep {
        self.writer.close();
        Sweep::Broken
    }
}

/// Opcode of a Close frame.
pub const CLOSE: u8 = 8;
/// Opcode of a ping.
pub const PING: u8 = 9;
/// Opcode of a pong.
pub const PONG: u8 = 10;

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("flow", &self.writer.flow).finish_non_exhaustive()
    }
}
