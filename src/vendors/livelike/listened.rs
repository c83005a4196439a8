//! A channel that is listened to: one ring for all who poll it, and those who wait for more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use herenow_protocol::ChannelName;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::ring::Ring;
use crate::limits::{POLL_BATCH, POLLED_BYTES, POLLED_IDLE_MS};
use crate::share::Share;

/// A channel that is listened to.
#[derive(Debug)]
pub struct Listened {
    name: ChannelName,
    /// With its share of the bytes of all rings.
    ring: Mutex<(Ring, Share)>,
    /// Who waits, by numbers that are never used twice. Bounded by the connections.
    waiting: Mutex<BTreeMap<u64, Arc<Notify>>>,
    /// When it was polled last.
    polled_ms: AtomicU64,
    /// Whether the ring has begun.
    ready: watch::Sender<bool>,
}

impl Listened {
    /// One whose ring begins after `stamp`, and is not ready yet. `total` counts the bytes of all.
    #[must_use]
    pub fn new(name: ChannelName, stamp: u64, total: Arc<AtomicUsize>, now_ms: u64) -> Self {
        let ring = (Ring::new(stamp), Share::new(total));
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
        read(&self.ring.lock().0)
    }

    /// Changes the ring. Where all rings together hold too much, this one is emptied.
    pub fn change<T>(&self, change: impl FnOnce(&mut Ring) -> T) -> T {
        let mut guarded = self.ring.lock();
        let (ring, share) = &mut *guarded;
        let changed = change(ring);
        let relieve: [fn(&mut Ring); 2] = [Ring::clear, |ring| ring.forget_gone(0)];
        for relieve in relieve {
            if share.set(ring.bytes()) <= POLLED_BYTES {
                return changed;
            }
            relieve(ring);
        }
        share.set(ring.bytes());
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
