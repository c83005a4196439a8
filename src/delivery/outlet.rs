//! One connection's socket, and the lock that orders everything written to it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Waker};

use herenow_protocol::reply::SnapshotReason;
use herenow_protocol::{ServerFrame, UserId, encode};
use parking_lot::{Mutex, MutexGuard};
use socket2::SockRef;
use tokio::net::TcpStream;

use super::blob::Blob;
use super::subscription::{Cursor, Subscription, Want};
use crate::auth::{Access, Identity};
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

/// Why a connection's task is woken, apart from its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Wake {
    /// A deadline of the connection may have come.
    Timer = 1,
    /// The broker shuts down.
    Drain = 2,
    /// A back end ends the user's connections.
    Kick = 4,
}

/// The part of a connection that others may touch: passes write through it, timers wake it.
pub struct Outlet {
    id: u64,
    socket: TcpStream,
    user: UserId,
    /// When a frame last spoke for everything that the connection joined, in milliseconds of the
    /// broker's clock.
    pub(crate) heard_ms: AtomicU64,
    /// The [`Wake`]s that the task has not looked at yet.
    wakes: AtomicU8,
    /// When the timers will wake the task, in milliseconds of the broker's clock.
    pub(crate) armed_ms: AtomicU64,
    state: Mutex<State>,
}

struct State {
    flow: Flow,
    /// What the user's token grants; a fresh token replaces it. `None`: everything.
    access: Option<Arc<Access>>,
    /// The rest of a frame that was cut. Boxed, since there seldom is one.
    tail: Option<Box<Tail>>,
    /// Replies, pongs and a Close that are not written yet. Never an incomplete frame at its start
    /// unless `tail` is empty and its beginning is already out.
    replies: Vec<u8>,
    /// Wakes the connection's task. Cleared at the end, since a waker keeps its task alive.
    waker: Option<Waker>,
    /// Bytes that the socket took in all, modulo 2³²: enough to see that it takes some.
    sent: u32,
    /// A revoked reader is closed for being slow, not for being gone.
    revoked: bool,
}

enum Tail {
    /// Few bytes: copied.
    Own(Box<[u8]>, usize),
    /// Many: shared with everyone who gets them.
    Shared(Arc<Blob>, usize),
}

impl Tail {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes, sent) => &bytes[*sent..],
            Self::Shared(blob, sent) => &blob.bytes()[*sent..],
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

impl Outlet {
    /// Not armed: no wake-up is on its way.
    pub(crate) const NEVER: u64 = u64::MAX;

    /// The way out of connection `id`, of whom `identity` says, heard at `now_ms`.
    #[must_use]
    pub fn new(id: u64, socket: TcpStream, identity: Identity, now_ms: u64) -> Arc<Self> {
        let Identity { user, access } = identity;
        let state = State {
            flow: Flow::Flowing,
            access,
            tail: None,
            replies: Vec::new(),
            waker: None,
            sent: 0,
            revoked: false,
        };
        Arc::new(Self {
            id,
            socket,
            user,
            heard_ms: AtomicU64::new(now_ms),
            wakes: AtomicU8::new(0),
            armed_ms: AtomicU64::new(Self::NEVER),
            state: Mutex::new(state),
        })
    }

    /// The connection's number, never used twice.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whose connection it is.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// When a frame last spoke for everything that the connection joined, in milliseconds of the
    /// broker's clock.
    #[must_use]
    pub fn heard_ms(&self) -> u64 {
        self.heard_ms.load(Ordering::Relaxed)
    }

    /// What the user's token grants; `None`: everything.
    #[must_use]
    pub fn access(&self) -> Option<Arc<Access>> {
        self.state.lock().access.clone()
    }

    /// The socket, for reading, and for waiting until it takes bytes.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Brings what a visit looks at from memory. A pass does so for some subscribers at once before
    /// it visits them: the processor then waits for all of them together, not for each in turn.
    /// Measured to save a tenth of what a delivery costs.
    pub fn fetch(&self) {
        std::hint::black_box((self.id, self.socket.as_raw_fd(), self.state.is_locked()));
    }

    /// Takes the connection's lock: whoever holds the result is the only one who writes.
    #[must_use]
    pub fn lock(self: &Arc<Self>) -> Sending<'_> {
        Sending { outlet: self, state: self.state.lock() }
    }

    /// Registers the connection's task to be woken.
    pub fn register(&self, cx: &Context<'_>) {
        match &mut self.state.lock().waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// Wakes the connection's task for `reason`.
    pub fn wake(&self, reason: Wake) {
        self.wakes.fetch_or(reason as u8, Ordering::Relaxed);
        // Through the lock: the task registers its waker under it before it looks at the reasons.
        self.state.lock().wake();
    }

    /// Whether the task was woken for `reason` since it last asked.
    #[must_use]
    pub fn take_wake(&self, reason: Wake) -> bool {
        self.wakes.load(Ordering::Relaxed) & reason as u8 != 0
            && self.wakes.fetch_and(!(reason as u8), Ordering::Relaxed) & reason as u8 != 0
    }

    /// Whether the connection was closed because it kept memory that others needed freed.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.state.lock().revoked
    }

    /// Writes `blob`, which takes a subscriber from cursor `from` to cursor `to`, if it stands at
    /// `from` and its socket is free.
    pub fn visit(self: &Arc<Self>, sub: &Subscription, from: Cursor, to: Cursor, blob: &Arc<Blob>) {
        let mut sending = self.lock();
        if sending.state.flow == Flow::Flowing && sub.cursor() == from {
            sending.write_shared(sub, to, blob);
        }
    }

    /// As [`Outlet::visit`], with what no log keeps: whoever does not take it at once needs a
    /// snapshot. The result: whether the channel has to be asked for one; otherwise the connection's
    /// own task does, once it has caught up.
    #[must_use]
    pub fn visit_once(
        self: &Arc<Self>,
        sub: &Subscription,
        from: Cursor,
        to: Cursor,
        blob: &Arc<Blob>,
    ) -> bool {
        let mut sending = self.lock();
        let cursor = sub.cursor();
        // Whoever waits for a snapshot gets this with it.
        if !matches!(cursor, Cursor::Next(_)) || sending.state.flow == Flow::Closed {
            return false;
        }
        let free = sending.state.flow == Flow::Flowing && cursor == from;
        if free && sending.write_shared(sub, to, blob) {
            return false;
        }
        sub.set_cursor(Cursor::Want(Want::Snapshot(SnapshotReason::Resync)));
        sending.state.flow == Flow::Flowing
    }

    /// Lets the connection go if it still has a part of `blob` to send.
    pub(super) fn give_up(&self, blob: &Arc<Blob>) {
        let mut state = self.state.lock();
        let held = |tail: &Tail| matches!(tail, Tail::Shared(held, _) if Arc::ptr_eq(held, blob));
        if state.tail.as_deref().is_some_and(held) {
            state.revoked = true;
            state.close();
            state.wake();
        }
    }

    /// Writes for the connection's own task, which waits for the socket through tokio: whether it
    /// takes bytes is noted there.
    fn write(&self, sent: &mut u32, bytes: &[u8]) -> Written {
        Written::new(self.socket.try_write(bytes), sent, bytes)
    }

    /// Writes for a pass, which waits for nobody: what tokio knows of the socket lies elsewhere in
    /// memory, and a pass over thousands of sockets pays for each line that it touches. Should the
    /// socket be full, the task that is woken then finds that out for itself.
    fn write_at_once(&self, sent: &mut u32, bytes: &[u8]) -> Written {
        Written::new(SockRef::from(&self.socket).send(bytes), sent, bytes)
    }
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

impl State {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    fn close(&mut self) {
        self.flow = Flow::Closed;
        self.tail = None;
        self.replies = Vec::new();
    }
}

/// A connection's lock, held.
pub struct Sending<'a> {
    outlet: &'a Arc<Outlet>,
    state: MutexGuard<'a, State>,
}

impl Sending<'_> {
    /// How things stand.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.state.flow
    }

    /// What the user's token grants; `None`: everything.
    #[must_use]
    pub fn access(&self) -> Option<&Arc<Access>> {
        self.state.access.as_ref()
    }

    /// Goes on with what a fresh token grants.
    pub fn set_access(&mut self, access: Option<Arc<Access>>) {
        self.state.access = access;
    }

    /// Queues a reply; [`Sending::flush_replies`] sends it.
    pub fn reply(&mut self, frame: &ServerFrame) {
        if self.state.flow == Flow::Closed {
            return;
        }
        let encode = match frame {
            ServerFrame::Help { .. } => encode::readable_text_message,
            _ => encode::text_message,
        };
        encode(frame, &mut self.state.replies);
    }

    /// Queues a ping, pong or Close among the replies, so that it cuts no frame.
    pub fn control(&mut self, opcode: u8, payload: &[u8]) {
        if self.state.flow != Flow::Closed {
            encode::control_message(opcode, payload, &mut self.state.replies);
        }
    }

    /// Bytes of replies that are not sent yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.state.replies.len()
    }

    /// Bytes that the socket took in all, modulo 2³²: a slow reader that takes some makes progress.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.state.sent
    }

    /// Where a subscription of this connection stands.
    #[must_use]
    pub fn cursor(&self, sub: &Subscription) -> Cursor {
        sub.cursor()
    }

    /// Moves a subscription of this connection.
    pub fn set_cursor(&self, sub: &Subscription, cursor: Cursor) {
        sub.set_cursor(cursor);
    }

    /// Sends the replies if nothing older is waiting.
    pub fn flush_replies(&mut self) {
        if self.state.flow == Flow::Flowing && self.resume_replies() == Sweep::Full {
            self.state.flow = Flow::Choked;
        }
    }

    /// Keeps passes away until the connection has caught up.
    pub fn hold_passes(&mut self) {
        if self.state.flow == Flow::Flowing {
            self.state.flow = Flow::Choked;
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
        let state = &mut *self.state;
        while let Some(tail) = &mut state.tail {
            match self.outlet.write(&mut state.sent, tail.bytes()) {
                Written::All => state.tail = None,
                Written::Cut(written) => tail.advance(written),
                Written::Nothing => return Sweep::Full,
                Written::Failed => return self.broken(),
            }
        }
        Sweep::Done
    }

    fn resume_replies(&mut self) -> Sweep {
        let state = &mut *self.state;
        while !state.replies.is_empty() {
            match self.outlet.write(&mut state.sent, &state.replies) {
                // Given back rather than kept: most connections have nothing to say for long.
                Written::All => state.replies = Vec::new(),
                Written::Cut(written) => {
                    state.replies.drain(..written);
                }
                Written::Nothing => return Sweep::Full,
                Written::Failed => return self.broken(),
            }
        }
        Sweep::Done
    }

    /// A later step of catching up: `frames` of a channel, after which `next_seq` is next. The
    /// connection is choked, and stays so until [`Sending::flowing`].
    pub fn catch_up(&mut self, sub: &Subscription, next_seq: u64, frames: &[u8]) -> Sweep {
        match self.outlet.write(&mut self.state.sent, frames) {
            Written::All => {
                sub.set_cursor(Cursor::Next(next_seq));
                Sweep::Done
            }
            Written::Cut(written) => {
                sub.set_cursor(Cursor::Next(next_seq));
                self.state.tail = Some(Box::new(Tail::Own(frames[written..].into(), 0)));
                Sweep::Full
            }
            Written::Nothing => Sweep::Full,
            Written::Failed => self.broken(),
        }
    }

    /// The end of catching up: nothing is owed, so passes may write again.
    pub fn flowing(&mut self) {
        if self.state.flow == Flow::Choked {
            self.state.flow = Flow::Flowing;
        }
    }

    /// Ends all sending, with a Close frame (`payload`: code and reason) if the socket takes one
    /// now and no frame is cut by it. Whether it does is not the caller's to wait for.
    pub fn close(&mut self, payload: Option<&[u8]>) {
        if let Some(payload) = payload
            && self.state.flow != Flow::Closed
        {
            self.control(CLOSE, payload);
            let _ = self.resume();
        }
        self.state.close();
        self.state.waker = None;
    }

    /// Whether the socket took it, or as much of it that the rest follows.
    fn write_shared(&mut self, sub: &Subscription, to: Cursor, blob: &Arc<Blob>) -> bool {
        match self.outlet.write_at_once(&mut self.state.sent, blob.bytes()) {
            Written::All => {}
            Written::Cut(written) => {
                let rest = &blob.bytes()[written..];
                let tail = if rest.len() <= TAIL_COPY_BYTES {
                    Tail::Own(rest.into(), 0)
                } else {
                    blob.held_by(self.outlet);
                    Tail::Shared(Arc::clone(blob), written)
                };
                self.state.tail = Some(Box::new(tail));
                self.choke();
            }
            Written::Nothing => {
                self.choke();
                return false;
            }
            Written::Failed => {
                self.broken();
                self.state.wake();
                return false;
            }
        }
        sub.set_cursor(to);
        true
    }

    fn choke(&mut self) {
        self.state.flow = Flow::Choked;
        self.state.wake();
    }

    fn broken(&mut self) -> Sweep {
        self.state.close();
        Sweep::Broken
    }
}

/// Opcode of a Close frame.
pub const CLOSE: u8 = 8;
/// Opcode of a ping.
pub const PING: u8 = 9;
/// Opcode of a pong.
pub const PONG: u8 = 10;

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("flow", &self.state.flow).finish_non_exhaustive()
    }
}
