//! How many bytes slow readers keep alive in the whole broker, and the bound of that.
//!
//! What is counted: the rests of cut frames, shared frames of which a rest is kept (once, however
//! many keep one), and replies that a full socket has not taken. Beyond the bound nothing is begun
//! whose rest would have to be kept: a reader then gets only what its socket takes whole, and what is
//! larger waits for room.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

/// The bytes that slow readers keep alive. One for the whole broker.
#[derive(Debug)]
pub struct Backlog {
    most: usize,
    held: AtomicUsize,
    /// Tasks of connections that wait for room, by the connections' numbers: at most one for each. A
    /// leaf lock.
    waiting: Mutex<HashMap<u64, Waker>>,
}

impl Backlog {
    /// Nothing is held, of at most `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: AtomicUsize::new(0), waiting: Mutex::default() })
    }

    /// Bytes that are held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// Whether nothing more may be begun whose rest might have to be kept.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.held.load(Ordering::SeqCst) >= self.most
    }

    /// Counts `bytes` for as long as the result lives. A rest that is there has to be kept, so this is
    /// never refused: whoever writes asks [`Backlog::is_full`] first. The bound may so be passed by
    /// what as many threads as the runtime has are writing just then.
    #[must_use]
    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        self.held.fetch_add(bytes, Ordering::SeqCst);
        Held { backlog: Arc::clone(self), bytes }
    }

    /// Has the task of connection number `connection` woken once there is room. If there is by now, at
    /// once: whoever makes room looks here after it made it, and this looks for room after it is here.
    pub fn wait(&self, connection: u64, waker: &Waker) {
        self.waiting.lock().insert(connection, waker.clone());
        self.wake_if_room();
    }

    /// The connection does not wait any more: a waker keeps its task alive.
    pub fn forget(&self, connection: u64) {
        self.waiting.lock().remove(&connection);
    }

    fn wake_if_room(&self) {
        if !self.is_full() {
            // All of them, since each may want another size; who finds it taken again waits again.
            let waiting = std::mem::take(&mut *self.waiting.lock());
            waiting.into_values().for_each(Waker::wake);
        }
    }
}

/// Bytes that are held, until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    backlog: Arc<Backlog>,
    bytes: usize,
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let before = self.backlog.held.fetch_sub(self.bytes, Ordering::SeqCst);
        if before >= self.backlog.most {
            self.backlog.wake_if_room();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicBool);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    impl Task {
        fn take_woken(&self) -> bool {
            self.0.swap(false, Ordering::SeqCst)
        }
    }

    #[test]
    fn whoever_waits_is_woken_once_there_is_room() {
        let (backlog, task) = (Backlog::new(100), Arc::new(Task::default()));
        let waker = Waker::from(Arc::clone(&task));
        let (some, more) = (backlog.hold(99), backlog.hold(51));
        assert!(backlog.is_full());
        backlog.wait(1, &waker);
        drop(backlog.hold(7));
        assert!(!task.take_woken(), "woken for nothing");
        drop(more);
        assert!(!backlog.is_full() && task.take_woken());
        drop(some);
        assert!(!task.take_woken(), "it does not wait any more");
        assert_eq!(backlog.bytes(), 0);
    }

    #[test]
    fn who_comes_when_there_is_room_does_not_wait_and_who_left_is_not_kept() {
        let (backlog, task) = (Backlog::new(100), Arc::new(Task::default()));
        let waker = Waker::from(Arc::clone(&task));
        backlog.wait(1, &waker);
        assert!(task.take_woken());
        let all = backlog.hold(100);
        backlog.wait(1, &waker);
        backlog.wait(1, &waker);
        backlog.forget(1);
        drop(all);
        assert!(!task.take_woken());
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 1, "a waker was left");
    }
}
