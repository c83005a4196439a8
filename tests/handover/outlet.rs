//! `src/delivery/outlet.rs` and `src/delivery/subscription.rs`, reduced.

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

/// The cursor is an atomic read and written without ordering, as the real one is: the checker
/// hands out stale values wherever the connection's lock doesn't forbid them.
pub(crate) struct Subscription {
    outlet: Arc<Outlet>,
    cursor: AtomicU8,
}

impl Subscription {
    const DEAD: u8 = u8::MAX;
    const WANT: u8 = u8::MAX - 1;

    pub(crate) fn new(outlet: Arc<Outlet>) -> Arc<Self> {
        Arc::new(Self { outlet, cursor: AtomicU8::new(Self::WANT) })
    }

    pub(crate) fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    fn cursor(&self) -> Cursor {
        match self.cursor.load(Ordering::Relaxed) {
            Self::DEAD => Cursor::Dead,
            Self::WANT => Cursor::Want,
            seq => Cursor::Next(seq),
        }
    }

    fn set_cursor(&self, cursor: Cursor) {
        let value = match cursor {
            Cursor::Dead => Self::DEAD,
            Cursor::Want => Self::WANT,
            Cursor::Next(seq) => seq,
        };
        self.cursor.store(value, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sweep {
    Done,
    Full,
}

pub(crate) struct Outlet {
    socket: Socket,
    /// The executor is to poll the connection's task.
    woken: Arc<AtomicBool>,
    state: Mutex<State>,
    mutant: Mutant,
}

struct State {
    flow: Flow,
    tail: Vec<Byte>,
    replies: Vec<Byte>,
    /// The task has registered its waker.
    waker: bool,
}

impl Outlet {
    pub(crate) fn new(room: usize, mutant: Mutant) -> Arc<Self> {
        let woken = Arc::new(AtomicBool::new(true));
        let state =
            State { flow: Flow::Flowing, tail: Vec::new(), replies: Vec::new(), waker: false };
        let socket = Socket::new(room, Arc::clone(&woken));
        Arc::new(Self { socket, woken, state: Mutex::new(state), mutant })
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
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
        Sending { outlet: self, state: self.state.lock().unwrap() }
    }

    pub(crate) fn register(&self) -> Flow {
        let mut state = self.state.lock().unwrap();
        state.waker = true;
        state.flow
    }

    pub(crate) fn visit(&self, sub: &Subscription, seq: u8, blob: &[Byte]) {
        if self.mutant == Mutant::VisitLooksBeforeLocking {
            if self.lock().flow() == Flow::Flowing && sub.cursor() == Cursor::Next(seq) {
                self.lock().write_shared(sub, seq + 1, blob);
            }
            return;
        }
        let mut sending = self.lock();
        if sending.state.flow == Flow::Flowing && sub.cursor() == Cursor::Next(seq) {
            sending.write_shared(sub, seq + 1, blob);
        }
    }

    pub(crate) fn visit_once(&self, sub: &Subscription, from: u8, to: u8, blob: &[Byte]) -> bool {
        let mut sending = self.lock();
        let cursor = sub.cursor();
        if !matches!(cursor, Cursor::Next(_)) {
            return false;
        }
        let free = sending.state.flow == Flow::Flowing && cursor == Cursor::Next(from);
        if free && sending.write_shared(sub, to, blob) {
            return false;
        }
        if self.mutant == Mutant::ForgetsWhoMissedAnAside {
            return false;
        }
        sub.set_cursor(Cursor::Want);
        sending.state.flow == Flow::Flowing
    }

    pub(crate) fn visit_with_snapshot(&self, sub: &Subscription, next_seq: u8, blob: &[Byte]) {
        let mut sending = self.lock();
        if sending.state.flow == Flow::Flowing && sub.cursor() == Cursor::Want {
            sending.write_shared(sub, next_seq, blob);
        }
    }
}

pub(crate) struct Sending<'a> {
    outlet: &'a Outlet,
    state: MutexGuard<'a, State>,
}

#[expect(clippy::unused_self, reason = "that the lock is held is what self says")]
impl Sending<'_> {
    pub(crate) fn flow(&self) -> Flow {
        self.state.flow
    }

    pub(crate) fn reply(&mut self, message: Message) {
        message.encode(&mut self.state.replies);
    }

    pub(crate) fn cursor(&self, sub: &Subscription) -> Cursor {
        sub.cursor()
    }

    pub(crate) fn set_cursor(&self, sub: &Subscription, cursor: Cursor) {
        sub.set_cursor(cursor);
    }

    pub(crate) fn flush_replies(&mut self) {
        let flowing = self.state.flow == Flow::Flowing;
        let may_write = flowing || self.outlet.mutant == Mutant::RepliesOvertakeATail;
        if may_write && self.resume_replies() == Sweep::Full {
            self.state.flow = Flow::Choked;
        }
    }

    pub(crate) fn hold_passes(&mut self) {
        self.state.flow = Flow::Choked;
    }

    pub(crate) fn resume(&mut self) -> Sweep {
        match self.resume_tail() {
            Sweep::Done => self.resume_replies(),
            Sweep::Full => Sweep::Full,
        }
    }

    fn resume_tail(&mut self) -> Sweep {
        let state = &mut *self.state;
        Self::drain(&self.outlet.socket, &mut state.tail)
    }

    fn resume_replies(&mut self) -> Sweep {
        let state = &mut *self.state;
        Self::drain(&self.outlet.socket, &mut state.replies)
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
        match self.outlet.socket.write(frames) {
            Written::All => {
                sub.set_cursor(Cursor::Next(next_seq));
                Sweep::Done
            }
            Written::Cut(written) => {
                sub.set_cursor(Cursor::Next(next_seq));
                self.state.tail = frames[written..].into();
                self.state.flow = Flow::Choked;
                Sweep::Full
            }
            Written::Nothing => {
                self.state.flow = Flow::Choked;
                Sweep::Full
            }
        }
    }

    pub(crate) fn flowing(&mut self) {
        self.state.flow = Flow::Flowing;
    }

    /// Whether it is taken, if only in part.
    fn write_shared(&mut self, sub: &Subscription, next_seq: u8, blob: &[Byte]) -> bool {
        match self.outlet.socket.write(blob) {
            Written::All => {}
            Written::Cut(written) => {
                self.state.tail = blob[written..].into();
                self.choke();
            }
            Written::Nothing => {
                self.choke();
                return false;
            }
        }
        sub.set_cursor(Cursor::Next(next_seq));
        true
    }

    fn choke(&mut self) {
        self.state.flow = Flow::Choked;
        if self.state.waker && self.outlet.mutant != Mutant::ChokesWithoutWaking {
            self.outlet.woken.store(true, Ordering::Relaxed);
        }
    }
}
