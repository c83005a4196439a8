//! `src/delivery/{cursor,writer,outlet,subscription}.rs`, reduced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loom::sync::atomic::AtomicU8;
use loom::sync::{Mutex, MutexGuard};

use crate::Mutant;
use crate::socket::{Byte, Message, Socket, Written};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Flowing,
    Choked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    Next(u8),
    Want,
    Dead,
}

/// Atomic, read and written without ordering, as the real one is: the checker hands out stale
/// values wherever the connection's lock doesn't forbid them. One atomic where the real one has
/// three: none of them is read without that lock.
struct CursorCell(AtomicU8);

impl CursorCell {
    const DEAD: u8 = u8::MAX;
    const WANT: u8 = u8::MAX - 1;

    fn get(&self) -> Cursor {
        match self.0.load(Ordering::Relaxed) {
            Self::DEAD => Cursor::Dead,
            Self::WANT => Cursor::Want,
            seq => Cursor::Next(seq),
        }
    }

    fn set(&self, cursor: Cursor) {
        let value = match cursor {
            Cursor::Dead => Self::DEAD,
            Cursor::Want => Self::WANT,
            Cursor::Next(seq) => seq,
        };
        self.0.store(value, Ordering::Relaxed);
    }
}

pub(crate) struct Subscription {
    outlet: Arc<Outlet>,
    cursor: CursorCell,
}

impl Subscription {
    pub(crate) fn new(outlet: Arc<Outlet>) -> Arc<Self> {
        Arc::new(Self { outlet, cursor: CursorCell(AtomicU8::new(CursorCell::WANT)) })
    }

    pub(crate) fn visit(&self, seq: u8, frame: &[Byte]) {
        let Self { outlet, cursor } = self;
        let (from, to) = (Cursor::Next(seq), Cursor::Next(seq + 1));
        if outlet.mutant == Mutant::VisitLooksBeforeLocking {
            if outlet.lock().flow() == Flow::Flowing && cursor.get() == from {
                outlet.lock().write_shared(cursor, to, frame);
            }
            return;
        }
        let mut sending = outlet.lock();
        if sending.flow() == Flow::Flowing && cursor.get() == from {
            sending.write_shared(cursor, to, frame);
        }
    }

    pub(crate) fn visit_once(&self, from: u8, to: u8, frame: &[Byte]) -> bool {
        let mut sending = self.outlet.lock();
        let cursor = self.cursor.get();
        if !matches!(cursor, Cursor::Next(_)) {
            return false;
        }
        let free = sending.flow() == Flow::Flowing && cursor == Cursor::Next(from);
        if free && sending.write_shared(&self.cursor, Cursor::Next(to), frame) {
            return false;
        }
        if self.outlet.mutant == Mutant::ForgetsWhoMissedAnAside {
            return false;
        }
        self.cursor.set(Cursor::Want);
        sending.flow() == Flow::Flowing
    }

    pub(crate) fn visit_with_snapshot(&self, next_seq: u8, frame: &[Byte]) {
        let mut sending = self.outlet.lock();
        if sending.flow() == Flow::Flowing && self.cursor.get() == Cursor::Want {
            sending.write_shared(&self.cursor, Cursor::Next(next_seq), frame);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sweep {
    Done,
    Full,
}

pub(crate) struct Outlet {
    transport: Socket,
    /// The executor is to poll the connection's task.
    woken: Arc<AtomicBool>,
    writer: Mutex<Writer>,
    mutant: Mutant,
}

struct Writer {
    flow: Flow,
    tail: Vec<Byte>,
    replies: Vec<Byte>,
    /// The task has registered its waker.
    waker: bool,
}

impl Outlet {
    pub(crate) fn new(room: usize, mutant: Mutant) -> Arc<Self> {
        let woken = Arc::new(AtomicBool::new(true));
        let writer =
            Writer { flow: Flow::Flowing, tail: Vec::new(), replies: Vec::new(), waker: false };
        let transport = Socket::new(room, Arc::clone(&woken));
        Arc::new(Self { transport, woken, writer: Mutex::new(writer), mutant })
    }

    pub(crate) fn transport(&self) -> &Socket {
        &self.transport
    }

    /// What the executor does before it polls.
    pub(crate) fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::Relaxed)
    }

    /// What a task does that wants its next turn.
    pub(crate) fn wake_by_ref(&self) {
        self.woken.store(true, Ordering::Relaxed);
    }

    pub(crate) fn lock(&self) -> Sending<'_> {
        Sending { outlet: self, writer: self.writer.lock().unwrap() }
    }

    pub(crate) fn register(&self) -> Flow {
        let mut writer = self.writer.lock().unwrap();
        writer.waker = true;
        writer.flow
    }
}

pub(crate) struct Sending<'a> {
    outlet: &'a Outlet,
    writer: MutexGuard<'a, Writer>,
}

#[expect(clippy::unused_self, reason = "that the lock is held is what self says")]
impl Sending<'_> {
    pub(crate) fn flow(&self) -> Flow {
        self.writer.flow
    }

    pub(crate) fn reply(&mut self, message: Message) {
        message.encode(&mut self.writer.replies);
    }

    pub(crate) fn cursor(&self, sub: &Subscription) -> Cursor {
        sub.cursor.get()
    }

    pub(crate) fn set_cursor(&self, sub: &Subscription, cursor: Cursor) {
        sub.cursor.set(cursor);
    }

    pub(crate) fn flush_replies(&mut self) {
        let flowing = self.writer.flow == Flow::Flowing;
        let may_write = flowing || self.outlet.mutant == Mutant::RepliesOvertakeATail;
        if may_write && self.resume_replies() == Sweep::Full {
            self.writer.flow = Flow::Choked;
        }
    }

    pub(crate) fn hold_passes(&mut self) {
        self.writer.flow = Flow::Choked;
    }

    pub(crate) fn resume(&mut self) -> Sweep {
        match self.resume_tail() {
            Sweep::Done => self.resume_replies(),
            Sweep::Full => Sweep::Full,
        }
    }

    fn resume_tail(&mut self) -> Sweep {
        Self::drain(&self.outlet.transport, &mut self.writer.tail)
    }

    fn resume_replies(&mut self) -> Sweep {
        Self::drain(&self.outlet.transport, &mut self.writer.replies)
    }

    fn drain(socket: &Socket, bytes: &mut Vec<Byte>) -> Sweep {
        while !bytes.is_empty() {
            match socket.write(bytes) {
                Written::All => bytes.clear(),
                Written::Cut(written) => {
                    bytes.drain(..written);
                }
                Written::Nothing => return Sweep::Full,
            }
        }
        Sweep::Done
    }

    pub(crate) fn catch_up(&mut self, sub: &Subscription, next_seq: u8, frames: &[Byte]) -> Sweep {
        match self.outlet.transport.write(frames) {
            Written::All => {
                sub.cursor.set(Cursor::Next(next_seq));
                Sweep::Done
            }
            Written::Cut(written) => {
                sub.cursor.set(Cursor::Next(next_seq));
                self.writer.tail = frames[written..].into();
                self.writer.flow = Flow::Choked;
                Sweep::Full
            }
            Written::Nothing => {
                self.writer.flow = Flow::Choked;
                Sweep::Full
            }
        }
    }

    pub(crate) fn flowing(&mut self) {
        self.writer.flow = Flow::Flowing;
    }

    /// Whether it is taken, if only in part.
    fn write_shared(&mut self, cursor: &CursorCell, to: Cursor, frame: &[Byte]) -> bool {
        match self.outlet.transport.write(frame) {
            Written::All => {}
            Written::Cut(written) => {
                self.writer.tail = frame[written..].into();
                self.choke();
            }
            Written::Nothing => {
                self.choke();
                return false;
            }
        }
        cursor.set(to);
        true
    }

    fn choke(&mut self) {
        self.writer.flow = Flow::Choked;
        if self.writer.waker && self.outlet.mutant != Mutant::ChokesWithoutWaking {
            self.outlet.woken.store(true, Ordering::Relaxed);
        }
    }
}
