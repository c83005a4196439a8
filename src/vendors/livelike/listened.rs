//! A channel that is listened to: one ring for all who poll it, and those who wait for more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use herenow_protocol::ChannelName;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::ring::Ring;
use crate::limits::{POLL_BATCH, POLLED_BYTES, POLLED_IDLE_MS};

/// A channel that is listened to.
#[derive(Debug)]
pub struct Listened {
    name: ChannelName,
    ring: Mutex<Counted>,
    /// Who waits, by numbers that are never used twice. Bounded by the connections.
    waiting: Mutex<BTreeMap<u64, Arc<Notify>>>,
    /// When it was polled last.
    polled_ms: AtomicU64,
    /// Whether the ring has begun.
    ready: watch::Sender<bool>,
}

/// A ring, and how much of the bytes of all rings are its own.
#[derive(Debug)]
struct Counted {
    ring: Ring,
    total: Arc<AtomicUsize>,
    counted: usize,
}

impl Listened {
    /// One whose ring begins after `stamp`, and is not ready yet. `total` counts the bytes of all.
    #[must_use]
    pub fn new(name: ChannelName, stamp: u64, total: Arc<AtomicUsize>, now_ms: u64) -> Self {
        let ring = Counted { ring: Ring::new(stamp), total, counted: 0 };
        Self {
            name,
            ring: Mutex::new(ring),
            waiting: Mutex::default(),
            polled_ms: AtomicU64::new(now_ms),
            ready: watch::Sender::new(false),
        }
    }

    /// The channel.
    #[must_use]
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Notes that it is polled.
    pub fn polled(&self, now_ms: u64) {
        self.polled_ms.fetch_max(now_ms, Ordering::SeqCst);
    }

    /// When nobody listens to it any longer, unless it is polled again.
    #[must_use]
    pub fn idle_ms(&self) -> u64 {
        self.polled_ms.load(Ordering::SeqCst) + POLLED_IDLE_MS
    }

    /// The ring has begun.
    pub fn begun(&self) {
        self.ready.send_replace(true);
    }

    /// Waits until the ring has begun.
    pub async fn ready(&self) {
        let _ = self.ready.subscribe().wait_for(|&ready| ready).await;
    }

    /// Reads the ring.
    pub fn read<T>(&self, read: impl FnOnce(&Ring) -> T) -> T {
        read(&self.ring.lock().ring)
    }

    /// Changes the ring. Where all rings together hold too much, this one is emptied.
    pub fn change<T>(&self, change: impl FnOnce(&mut Ring) -> T) -> T {
        let mut guarded = self.ring.lock();
        let changed = change(&mut guarded.ring);
        guarded.count();
        if guarded.total.load(Ordering::Relaxed) > POLLED_BYTES {
            guarded.ring.clear();
            guarded.count();
        }
        if guarded.total.load(Ordering::Relaxed) > POLLED_BYTES {
            guarded.ring.forget_gone(0);
            guarded.count();
        }
        changed
    }

    /// Has the ring wake somebody, by its `number`, whenever there is more in it.
    pub fn wait(&self, number: u64, notify: &Arc<Notify>) {
        self.waiting.lock().insert(number, Arc::clone(notify));
    }

    /// Somebody waits no longer.
    pub fn leave(&self, number: u64) {
        self.waiting.lock().remove(&number);
    }

    /// Wakes all who wait.
    pub async fn wake(&self) {
        let mut from = 0;
        loop {
            let batch: Vec<_> = {
                let waiting = self.waiting.lock();
                let batch = waiting.range(from..).take(POLL_BATCH);
                batch.map(|(number, notify)| (*number, Arc::clone(notify))).collect()
            };
            batch.iter().for_each(|(_, notify)| notify.notify_one());
            tokio::task::yield_now().await;
            let Some((last, _)) = batch.last().filter(|_| batch.len() == POLL_BATCH) else {
                return;
            };
            from = last + 1;
        }
    }
}

impl Counted {
    fn count(&mut self) {
        let (before, now) = (self.counted, self.ring.bytes());
        if now >= before {
            self.total.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.total.fetch_sub(before - now, Ordering::Relaxed);
        }
        self.counted = now;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.total.fetch_sub(self.counted, Ordering::Relaxed);
    }
}
