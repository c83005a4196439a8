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
    Within(Place),
    Dead,
}

impl Cursor {
    /// How far it is in the midst of a snapshot.
    pub(crate) fn place(self) -> Option<Place> {
        if let Self::Within(place) = self { Some(place) } else { None }
    }
}

/// `presence::SnapshotPlace`: a snapshot that began after `seq`, of which this half comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seq: u8,
    pub(crate) half: usize,
    pub(crate) missed: bool,
}

/// Atomic, read and written without ordering, as the real one is: the checker hands out stale
/// values wherever the connection's lock doesn't forbid them. One atomic where the real one has
/// three: none of them is read without that lock.
struct CursorCell(AtomicU8);

impl CursorCell {
    const DEAD: u8 = u8::MAX;
    const WANT: u8 = u8::MAX - 1;
    const WITHIN: u8 = u8::MAX - 2;

    fn get(&self) -> Option<Cursor> {
        match self.0.load(Ordering::Relaxed) {
            Self::DEAD => Some(Cursor::Dead),
            Self::WANT => Some(Cursor::Want),
            Self::WITHIN => None,
            seq => Some(Cursor::Next(seq)),
        }
    }

    fn set(&self, cursor: Cursor) {
        let value = match cursor {
            Cursor::Dead => Self::DEAD,
            Cursor::Want => Self::WANT,
            Cursor::Within(_) => Self::WITHIN,
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

    /// The result: whether it stood at `from`, and its socket took the frame.
    pub(crate) fn visit(&self, from: Cursor, to: Cursor, frame: &[Byte]) -> bool {
        let Self { outlet, cursor } = self;
        if outlet.mutant == Mutant::VisitLooksBeforeLocking {
            let sending = outlet.lock();
            let free = sending.flow() == Flow::Flowing && sending.cursor_at(cursor) == from;
            drop(sending);
            return free && outlet.lock().write_shared(cursor, to, frame);
        }
        let mut sending = outlet.lock();
        sending.flow() == Flow::Flowing
            && sending.cursor_at(cursor) == from
            && sending.write_shared(cursor, to, frame)
    }

    pub(crate) fn go_on_alone(&self, from: Cursor, to: Cursor) {
        let mut sending = self.outlet.lock();
        if sending.flow() == Flow::Flowing && sending.cursor_at(&self.cursor) == from {
            sending.hold_passes();
            sending.set_cursor_at(&self.cursor, to);
            sending.wake();
        }
    }

    /// Where it stands, as the flusher looks it up.
    pub(crate) fn stands(&self) -> Cursor {
        self.outlet.lock().cursor_at(&self.cursor)
    }

    pub(crate) fn visit_once(&self, from: u8, to: u8, frame: &[Byte]) -> bool {
        let mut sending = self.outlet.lock();
        let cursor = match sending.cursor_at(&self.cursor) {
            Cursor::Within(place) => {
                let missed = self.outlet.mutant != Mutant::ForgetsAsidesWithinASnapshot;
                let place = Place { missed, ..place };
                sending.set_cursor_at(&self.cursor, Cursor::Within(place));
                return false;
            }
            next @ Cursor::Next(_) => next,
            _ => return false,
        };
        let free = sending.flow() == Flow::Flowing && cursor == Cursor::Next(from);
        if free && sending.write_shared(&self.cursor, Cursor::Next(to), frame) {
            return false;
        }
        if self.outlet.mutant == Mutant::ForgetsWhoMissedAnAside {
            return false;
        }
        sending.set_cursor_at(&self.cursor, Cursor::Want);
        sending.flow() == Flow::Flowing
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
    /// How far subscriptions are in their snapshots, by the addresses of their cursors.
    places: Vec<(usize, Place)>,
    replies: Vec<Byte>,
    /// The task has registered its waker.
    waker: bool,
}

impl Outlet {
    pub(crate) fn new(room: usize, mutant: Mutant) -> Arc<Self> {
        let woken = Arc::new(AtomicBool::new(true));
        let (tail, places, replies) = (Vec::new(), Vec::new(), Vec::new());
        let writer = Writer { flow: Flow::Flowing, tail, places, replies, waker: false };
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

impl Sending<'_> {
    pub(crate) fn flow(&self) -> Flow {
        self.writer.flow
    }

    pub(crate) fn reply(&mut self, message: Message) {
        message.encode(&mut self.writer.replies);
    }

    pub(crate) fn cursor(&self, sub: &Subscription) -> Cursor {
        self.cursor_at(&sub.cursor)
    }

    pub(crate) fn set_cursor(&mut self, sub: &Subscription, cursor: Cursor) {
        self.set_cursor_at(&sub.cursor, cursor);
    }

    fn cursor_at(&self, cell: &CursorCell) -> Cursor {
        let at = address(cell);
        let place = self.writer.places.iter().find(|(of, _)| *of == at);
        cell.get().unwrap_or_else(|| Cursor::Within(place.expect("a place").1))
    }

    fn set_cursor_at(&mut self, cell: &CursorCell, cursor: Cursor) {
        cell.set(cursor);
        let at = address(cell);
        self.writer.places.retain(|(of, _)| *of != at);
        if let Cursor::Within(place) = cursor {
            self.writer.places.push((at, place));
        }
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

    pub(crate) fn catch_up(&mut self, sub: &Subscription, to: Cursor, frames: &[Byte]) -> Sweep {
        match self.outlet.transport.write_whole(frames) {
            Written::All => {
                self.set_cursor_at(&sub.cursor, to);
                Sweep::Done
            }
            Written::Cut(_) => panic!("what a task writes is small"),
            Written::Nothing => Sweep::Full,
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
        self.set_cursor_at(cursor, to);
        true
    }

    fn choke(&mut self) {
        self.writer.flow = Flow::Choked;
        self.wake();
    }

    fn wake(&self) {
        if self.writer.waker && self.outlet.mutant != Mutant::ChokesWithoutWaking {
            self.outlet.woken.store(true, Ordering::Relaxed);
        }
    }
}

fn address(cell: &CursorCell) -> usize {
    std::ptr::from_ref(cell).addr()
}
