//! The path from anybody to one connection: why its task is to look, and letters that it passes on
//! to its client.
//!
//! A mailbox lies in two places. The *wakes* are atomic bits beside the connection's lock, so that
//! one can be looked at by whoever holds a channel's lock, which comes later in the order of locks.
//! The *letters* lie behind the connection's lock: that a letter lies there and that the task is
//! woken for it are one step, so no letter waits unseen. Most connections never get one, and hold a
//! null pointer for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use herenow_protocol::{ServerFrame, encode};

use crate::limits::{MAILBOX_BYTES, MAILBOX_LETTERS};

/// Why a connection's task is woken, apart from its socket and its letters.
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

/// The [`Wake`]s that a task has not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Wakes(AtomicU8);

impl Wakes {
    pub(super) fn add(&self, reason: Wake) {
        self.0.fetch_or(reason as u8, Ordering::Relaxed);
    }

    /// Whether `reason` was added since it was last taken.
    pub(super) fn take(&self, reason: Wake) -> bool {
        let bit = reason as u8;
        // Most looks find nothing, and a load is cheaper than a write.
        self.0.load(Ordering::Relaxed) & bit != 0
            && self.0.fetch_and(!bit, Ordering::Relaxed) & bit != 0
    }
}

/// A frame for somebody's client. The connection's task encodes it, in the dialect of its client;
/// on its way nobody looks into it.
#[derive(Debug)]
pub struct Letter {
    frame: ServerFrame,
    bytes: usize,
}

impl Letter {
    /// A letter, to be posted to as many connections as one likes.
    #[must_use]
    pub fn new(frame: ServerFrame) -> Arc<Self> {
        let mut out = Vec::new();
        encode::text_message(&frame, &mut out);
        Arc::new(Self { frame, bytes: out.len() })
    }

    /// What it says.
    #[must_use]
    pub fn frame(&self) -> &ServerFrame {
        &self.frame
    }

    /// What it counts for in a mailbox, in bytes: its length in our own protocol, whatever the
    /// dialect of those who get it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Why a letter was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// With it there would be more than [`MAILBOX_LETTERS`] or [`MAILBOX_BYTES`]. The connection
    /// lives, and reads slowly.
    Full,
    /// The connection ended, or must end.
    Closed,
}

/// Letters that wait for a connection's task, oldest first.
#[derive(Debug, Default)]
pub(super) struct Letters(Option<Box<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    letters: VecDeque<Arc<Letter>>,
    bytes: usize,
}

impl Letters {
    /// Adds a letter behind the others.
    ///
    /// # Errors
    /// [`Undelivered::Full`].
    pub(super) fn add(&mut self, letter: Arc<Letter>) -> Result<(), Undelivered> {
        let (letters, bytes) =
            self.0.as_ref().map_or((0, 0), |waiting| (waiting.letters.len(), waiting.bytes));
        if letters == MAILBOX_LETTERS || bytes + letter.bytes > MAILBOX_BYTES {
            return Err(Undelivered::Full);
        }
        let waiting = self.0.get_or_insert_default();
        waiting.bytes += letter.bytes;
        waiting.letters.push_back(letter);
        Ok(())
    }

    /// Takes the oldest letter. An empty mailbox gives its memory back.
    pub(super) fn take(&mut self) -> Option<Arc<Letter>> {
        let waiting = self.0.as_mut()?;
        let letter = waiting.letters.pop_front();
        waiting.bytes -= letter.as_ref().map_or(0, |letter| letter.bytes);
        if waiting.letters.is_empty() {
            self.0 = None;
        }
        letter
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(in_ms: u64) -> Arc<Letter> {
        Letter::new(ServerFrame::HeartbeatDue { in_ms })
    }

    /// One whose frame takes `bytes` in all.
    fn sized(bytes: usize) -> Arc<Letter> {
        let goaway = |length: usize| {
            let reason = "x".repeat(length).into();
            Letter::new(ServerFrame::Goaway { reconnect_in_ms: 1, reason })
        };
        // Long enough that the header has its final length.
        let letter = goaway(bytes - (goaway(200).bytes() - 200));
        assert_eq!(letter.bytes(), bytes);
        letter
    }

    #[test]
    fn each_reason_is_taken_once_and_leaves_the_others() {
        let wakes = Wakes::default();
        assert!(!wakes.take(Wake::Kick));
        wakes.add(Wake::Kick);
        wakes.add(Wake::Timer);
        wakes.add(Wake::Kick);
        assert!(wakes.take(Wake::Kick) && !wakes.take(Wake::Kick));
        assert!(!wakes.take(Wake::Drain));
        assert!(wakes.take(Wake::Timer));
    }

    #[test]
    fn letters_come_out_in_order_and_leave_nothing() {
        let mut letters = Letters::default();
        assert!(letters.is_empty() && letters.take().is_none());
        for number in 0..3 {
            letters.add(letter(number)).unwrap();
        }
        for number in 0..3 {
            assert!(!letters.is_empty());
            let frame = &letters.take().unwrap().frame;
            assert_eq!(*frame, ServerFrame::HeartbeatDue { in_ms: number });
        }
        assert!(letters.is_empty() && letters.take().is_none());
        assert!(letters.0.is_none(), "it keeps memory");
    }

    #[test]
    fn one_letter_too_many_is_refused() {
        let mut letters = Letters::default();
        for number in 0..MAILBOX_LETTERS as u64 {
            letters.add(letter(number)).unwrap();
        }
        assert_eq!(letters.add(letter(7)), Err(Undelivered::Full));
        letters.take().unwrap();
        letters.add(letter(8)).unwrap();
        assert_eq!(letters.add(letter(9)), Err(Undelivered::Full));
    }

    #[test]
    fn one_byte_too_many_is_refused() {
        let mut letters = Letters::default();
        assert_eq!(letters.add(sized(MAILBOX_BYTES + 1)), Err(Undelivered::Full));
        assert!(letters.is_empty(), "what was refused left something");
        letters.add(sized(MAILBOX_BYTES / 2)).unwrap();
        assert_eq!(letters.add(sized(MAILBOX_BYTES / 2 + 1)), Err(Undelivered::Full));
        letters.add(sized(MAILBOX_BYTES / 2)).unwrap();
        assert_eq!(letters.add(letter(1)), Err(Undelivered::Full));
        letters.take().unwrap();
        letters.add(letter(1)).unwrap();
    }

    #[test]
    fn what_was_taken_out_makes_room_for_as_much_and_no_more() {
        let (mut letters, third) = (Letters::default(), sized(MAILBOX_BYTES / 3));
        (0..3).for_each(|_| letters.add(Arc::clone(&third)).unwrap());
        letters.take().unwrap();
        letters.add(Arc::clone(&third)).unwrap();
        assert_eq!(letters.add(third), Err(Undelivered::Full));
    }
}
