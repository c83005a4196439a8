//! How many bytes slow readers keep alive in the whole broker, and the bound of that.
//!
//! What is counted: the rests of cut frames, shared frames of which a rest is kept (once, however
//! many keep one), replies that a full socket has not taken, and large answers over HTTP. Beyond the
//! bound nothing is begun whose rest would have to be kept: a reader then gets only what its socket
//! takes whole, and who is owed something larger waits in line for room: first come, first served.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

/// The bytes that slow readers keep alive. One for the whole broker.
#[derive(Debug)]
pub struct Backlog {
    most: usize,
    held: AtomicUsize,
    /// How long the line is, for the many who find it empty.
    waiting: AtomicUsize,
    /// A leaf lock.
    line: Mutex<Line>,
}

/// Tasks of connections that wait for room: at most one for each connection.
#[derive(Debug, Default)]
struct Line {
    /// In the order in which they came: the connection's number, and how its task is woken.
    order: BTreeMap<u64, (u64, Waker)>,
    /// Where each connection stands.
    places: HashMap<u64, u64>,
    next: u64,
}

impl Line {
    fn first(&self) -> Option<&(u64, Waker)> {
        self.order.first_key_value().map(|(_, first)| first)
    }
}

impl Backlog {
    /// Nothing is held, of at most `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        let (held, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { most, held, waiting, line: Mutex::default() })
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

    /// Whether somebody who does not wait in line may be given something whose rest might have to be
    /// kept: not before those who do.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.is_full() && !self.has_line()
    }

    /// The same for connection number `connection`, which may be the first in line.
    #[must_use]
    pub fn has_room_for(&self, connection: u64) -> bool {
        !self.is_full() && (!self.has_line() || self.is_first(connection))
    }

    /// Whether that connection is in line, and its turn has not come.
    #[must_use]
    pub fn keeps_waiting(&self, connection: u64) -> bool {
        if !self.has_line() {
            return false;
        }
        let line = self.line.lock();
        let is_first = line.first().is_some_and(|(first, _)| *first == connection);
        line.places.contains_key(&connection) && (self.is_full() || !is_first)
    }

    fn has_line(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    fn is_first(&self, connection: u64) -> bool {
        self.line.lock().first().is_none_or(|(first, _)| *first == connection)
    }

    /// Counts `bytes` for as long as the result lives. A rest that is there has to be kept, so this is
    /// never refused: whoever writes asks [`Backlog::has_room`] first. The bound may so be passed by
    /// what as many threads as the runtime has are writing just then.
    #[must_use]
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        self.held.fetch_add(bytes, Ordering::SeqCst);
        Held { backlog: Arc::clone(self), bytes }
    }

    /// Has the task of connection number `connection` woken when its turn has come and there is room;
    /// it keeps its place in line if it has one. If there is room by now, whoever is first is woken at
    /// once: whoever makes room looks here after it made it, and this looks for room after it is here.
    pub fn wait(&self, connection: u64, waker: &Waker) {
        let mut line = self.line.lock();
        let Line { order, places, next } = &mut *line;
        let place = *places.entry(connection).or_insert_with(|| {
            *next += 1;
            *next
        });
        order.insert(place, (connection, waker.clone()));
        self.waiting.store(order.len(), Ordering::SeqCst);
        drop(line);
        self.wake_first();
    }

    /// The connection does not wait any more, whether it got what it waited for or ended; a waker keeps
    /// its task alive. The next one's turn has come.
    pub fn forget(&self, connection: u64) {
        if !self.has_line() {
            return;
        }
        let mut line = self.line.lock();
        let Some(place) = line.places.remove(&connection) else { return };
        line.order.remove(&place);
        self.waiting.store(line.order.len(), Ordering::SeqCst);
        drop(line);
        self.wake_first();
    }

    /// Wakes the first in line if there is room. Whoever is behind it is woken when it is gone.
    fn wake_first(&self) {
        if self.has_line() && !self.is_full() {
            let first = self.line.lock().first().map(|(_, waker)| waker.clone());
            first.into_iter().for_each(Waker::wake);
        }
    }
}

/// Bytes that are held, until this is dropped.
#[derive(Debug)]
pub struct Held {
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
            self.backlog.wake_first();
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
        assert!(backlog.has_room_for(1) && !backlog.has_room(), "others come before it");
        backlog.forget(1);
        assert!(backlog.has_room());
        drop(some);
        assert!(!task.take_woken(), "it does not wait any more");
        assert_eq!(backlog.bytes(), 0);
    }

    #[test]
    fn who_comes_when_there_is_room_does_not_wait_and_who_left_is_not_kept() {
        let (backlog, task) = (Backlog::new(100), Arc::new(Task::default()));
        let waker = Waker::from(Arc::clone(&task));
        backlog.wait(1, &waker);
        assert!(task.take_woken() && backlog.has_room_for(1));
        let all = backlog.hold(100);
        backlog.wait(1, &waker);
        backlog.wait(1, &waker);
        backlog.forget(1);
        drop(all);
        assert!(!task.take_woken());
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 1, "a waker was left");
    }

    /// One after the other, in the order in which they came, and nobody past them; whoever has to wait
    /// again keeps its place.
    #[test]
    fn first_come_first_served() {
        let backlog = Backlog::new(100);
        let tasks: Vec<_> = (0..4).map(|_| Arc::new(Task::default())).collect();
        let all = backlog.hold(100);
        // Their numbers are no order.
        let numbers = [7, 3, 9, 1];
        let wait =
            |turn: usize| backlog.wait(numbers[turn], &Waker::from(Arc::clone(&tasks[turn])));
        (0..4).for_each(wait);
        drop(all);
        let woken = || tasks.iter().position(|task| task.take_woken());
        assert_eq!((woken(), woken()), (Some(0), None), "the first alone");
        for turn in 0..4 {
            let behind = &numbers[turn + 1..];
            assert!(backlog.has_room_for(numbers[turn]) && !backlog.keeps_waiting(numbers[turn]));
            assert!(!backlog.has_room() && !backlog.has_room_for(100), "somebody gets past them");
            assert!(behind.iter().all(|&number| backlog.keeps_waiting(number)));
            // Somebody else's rest came in between.
            let rest = backlog.hold(100);
            wait(turn);
            assert_eq!(woken(), None);
            drop(rest);
            assert_eq!((woken(), woken()), (Some(turn), None), "it lost its place");
            backlog.forget(numbers[turn]);
            let next = (turn < 3).then_some(turn + 1);
            assert_eq!((woken(), woken()), (next, None));
        }
        assert!(backlog.has_room() && !backlog.keeps_waiting(7));
    }
}
