//! Channels that wait for something to be done about them: each at most once.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::hub::Channel;

/// Channels that wait. At most as many as there are; two of one name, where one is about to vanish,
/// are two.
#[derive(Debug)]
pub struct Queue {
    clock: Clock,
    inner: Mutex<Inner>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// All that wait, by where they lie in memory: they stay there as long as they wait.
    known: HashSet<usize>,
    ready: Lanes<Arc<Channel>>,
    /// Those whose turn is not before a moment, in milliseconds of the broker's clock.
    later: BTreeMap<(u64, usize), Arc<Channel>>,
    /// Those among them that wait so long only as long as nothing new comes, and until when.
    resting: HashMap<usize, u64>,
}

/// Those whose turn it is: statuses of users and all other channels, one by turns. Where a thousand come at
/// once, each brings a status of its own, and all of them together one room: in a single line the room
/// would wait for all of them, again and again.
#[derive(Debug)]
struct Lanes<T> {
    lanes: [VecDeque<T>; 2],
    /// Which of them comes next, if it has any.
    next: bool,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { lanes: [VecDeque::new(), VecDeque::new()], next: false }
    }
}

impl<T> Lanes<T> {
    fn push(&mut self, lane: bool, it: T) {
        self.lanes[usize::from(lane)].push_back(it);
    }

    fn pop(&mut self) -> Option<T> {
        let lane = self.next;
        self.next = !lane;
        let [first, second] = [lane, !lane].map(usize::from);
        self.lanes[first].pop_front().or_else(|| self.lanes[second].pop_front())
    }
}

fn place(channel: &Arc<Channel>) -> usize {
    Arc::as_ptr(channel) as usize
}

impl Queue {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, inner: Mutex::default(), woken: Notify::new() }
    }

    /// Has the channel wait, unless it does. Takes no lock but its own.
    pub fn push(&self, channel: &Arc<Channel>) {
        let mut inner = self.inner.lock();
        let rested = inner.resting.remove(&place(channel));
        if let Some(due_ms) = rested {
            inner.later.remove(&(due_ms, place(channel)));
        }
        if rested.is_some() || inner.known.insert(place(channel)) {
            inner.ready.push(channel.name().is_status(), Arc::clone(channel));
            drop(inner);
            self.woken.notify_one();
        }
    }

    /// Has the channel wait until that moment, by the broker's clock, or until [`Queue::push`].
    pub fn rest(&self, channel: &Arc<Channel>, due_ms: u64) {
        let mut inner = self.inner.lock();
        if inner.known.insert(place(channel)) {
            inner.later.insert((due_ms, place(channel)), Arc::clone(channel));
            inner.resting.insert(place(channel), due_ms);
            drop(inner);
            self.woken.notify_one();
        }
    }

    /// Has the channel wait for so long at least, unless it waits already.
    pub fn push_later(&self, channel: &Arc<Channel>, wait: Duration) {
        let due_ms = self.clock.now().mono_ms + wait.as_millis() as u64;
        let mut inner = self.inner.lock();
        if inner.known.insert(place(channel)) {
            inner.later.insert((due_ms, place(channel)), Arc::clone(channel));
            drop(inner);
            self.woken.notify_one();
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.lock().known.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next channel, once there is one.
    pub async fn next(&self) -> Arc<Channel> {
        loop {
            let wait_ms = match self.take() {
                Ok(channel) => return channel,
                Err(wait_ms) => wait_ms,
            };
            match wait_ms {
                None => self.woken.notified().await,
                Some(ms) => {
                    // Whichever comes first.
                    let _ = timeout(Duration::from_millis(ms), self.woken.notified()).await;
                }
            }
        }
    }

    /// A channel, or after how many milliseconds there will be one.
    fn take(&self) -> Result<Arc<Channel>, Option<u64>> {
        let now_ms = self.clock.now().mono_ms;
        let mut inner = self.inner.lock();
        let due = inner.later.first_key_value().map(|(&(due_ms, _), _)| due_ms);
        let late = due.filter(|&due_ms| due_ms <= now_ms).and_then(|_| inner.later.pop_first());
        let channel = late.map(|(_, channel)| channel).or_else(|| inner.ready.pop());
        match channel {
            Some(channel) => {
                inner.known.remove(&place(&channel));
                inner.resting.remove(&place(&channel));
                Ok(channel)
            }
            None => Err(due.map(|due_ms| due_ms - now_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_does_not_wait_for_a_thousand_statuses() {
        let mut lanes = Lanes::default();
        (0..1_000).for_each(|n| lanes.push(true, n));
        lanes.push(false, 1_000);
        lanes.push(false, 1_001);
        let first: Vec<_> = (0..5).map_while(|_| lanes.pop()).collect();
        assert_eq!(first, [1_000, 0, 1_001, 1, 2]);
        assert_eq!(std::iter::from_fn(|| lanes.pop()).count(), 997);
    }
}
