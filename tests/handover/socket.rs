//! A socket with little room, and a reader at its other end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loom::sync::Mutex;

use crate::replica::Since;

/// The two members of a channel, those that a frame tells of: how many changes there had been when
/// each last changed.
pub(crate) type Values = [Option<u8>; 2];

/// What the broker says, as far as the hand-over cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The `ok` of `subscribe`, and where it resumes.
    Subscribed { channel: usize, resumed: Option<Since> },
    /// The `ok` of `unsubscribe`.
    Unsubscribed { channel: usize },
    /// One of the two parts of a snapshot that began after `seq`: one member as it is, and with the
    /// first part how often members changed whom not everyone sees.
    Snapshot { channel: usize, epoch: u8, seq: u8, half: usize, value: u8, whispers: u8 },
    /// A frame: the members that changed, as they are.
    Presence { channel: usize, seq: u8, values: Values },
    /// What a tick tells who sees more than everyone: all that its frame tells, if there is one, and
    /// the rest. Without one it repeats the seq.
    Aside { channel: usize, seq: u8, values: Values, whispers: u8 },
}

/// One byte of a message. Every message has [`Byte::ALL`] of them, so that it can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Byte {
    pub(crate) message: Message,
    pub(crate) number: usize,
}

impl Byte {
    pub(crate) const ALL: usize = 2;
}

impl Message {
    pub(crate) fn encode(self, out: &mut Vec<Byte>) {
        out.extend((0..Byte::ALL).map(|number| Byte { message: self, number }));
    }

    pub(crate) fn bytes(self) -> Vec<Byte> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// How much of some bytes a socket took.
pub(crate) enum Written {
    All,
    Cut(usize),
    Nothing,
}

pub(crate) struct Socket {
    room: usize,
    pipe: Mutex<Pipe>,
    /// The executor is to poll the connection's task.
    woken: Arc<AtomicBool>,
}

struct Pipe {
    unread: VecDeque<Byte>,
    read: Vec<Byte>,
    /// As the runtime knows it: cleared by a write that would block, set by an event.
    ready: bool,
    /// The task waits for that event.
    interested: bool,
}

impl Socket {
    /// Not ready before its first event, as with the runtime.
    pub(crate) fn new(room: usize, woken: Arc<AtomicBool>) -> Self {
        let pipe =
            Pipe { unread: VecDeque::new(), read: Vec::new(), ready: false, interested: false };
        Self { room, pipe: Mutex::new(pipe), woken }
    }

    pub(crate) fn write(&self, bytes: &[Byte]) -> Written {
        let mut pipe = self.pipe.lock().unwrap();
        let free = if pipe.ready { self.room - pipe.unread.len() } else { 0 };
        let written = free.min(bytes.len());
        pipe.unread.extend(&bytes[..written]);
        match written {
            0 => {
                pipe.ready = false;
                Written::Nothing
            }
            _ if written == bytes.len() => Written::All,
            _ => Written::Cut(written),
        }
    }

    /// As [`Socket::write`], and nothing unless there is room for all of it.
    pub(crate) fn write_whole(&self, bytes: &[Byte]) -> Written {
        let mut pipe = self.pipe.lock().unwrap();
        if !pipe.ready || self.room - pipe.unread.len() < bytes.len() {
            pipe.ready = false;
            return Written::Nothing;
        }
        pipe.unread.extend(bytes);
        Written::All
    }

    pub(crate) fn poll_write_ready(&self) -> bool {
        let mut pipe = self.pipe.lock().unwrap();
        pipe.interested = !pipe.ready;
        pipe.ready
    }

    /// The client reads at most so many bytes, which makes the socket writable.
    pub(crate) fn read(&self, most: usize) {
        let mut pipe = self.pipe.lock().unwrap();
        let count = most.min(pipe.unread.len());
        let taken: Vec<_> = pipe.unread.drain(..count).collect();
        pipe.read.extend(taken);
        pipe.ready = true;
        if std::mem::take(&mut pipe.interested) {
            self.woken.store(true, Ordering::Relaxed);
        }
    }

    /// Whether an event is still to come: there is something to read, or nobody was told yet that
    /// there is room.
    pub(crate) fn is_idle(&self) -> bool {
        let pipe = self.pipe.lock().unwrap();
        pipe.unread.is_empty() && pipe.ready
    }

    /// All that the client has read.
    pub(crate) fn take_read(&self) -> Vec<Byte> {
        std::mem::take(&mut self.pipe.lock().unwrap().read)
    }
}
