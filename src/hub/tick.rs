//! The flusher: turns a channel's changes into frames and writes them to every subscriber.
//!
//! It runs only while there is something to tell. The first tick comes at once; while it and its
//! pass are under way further changes gather and fold, so the busier a channel is the larger its
//! steps. Nothing is queued per subscriber and no task is woken: the pass writes to the sockets.

use std::sync::Arc;
use std::time::Duration;

use herenow_protocol::reply::SnapshotReason;

use super::Hub;
use super::channel::Channel;
use crate::delivery::{Blob, Cursor, Subscription};
use crate::limits::{PASS_BATCH, REST_MAX, REST_SHARE};
use crate::presence::{Bundle, Now, View};

/// Tells until there is nothing left to tell.
pub(super) async fn flush(hub: Arc<Hub>, channel: Arc<Channel>) {
    let running = Running { hub: &hub, channel: &channel };
    let mut rest = Rest::default();
    while let Some(round) = Round::begin(&channel, hub.clock.now()) {
        round.serve_snapshots(&hub, &channel, &mut rest).await;
        round.pass(&hub, &channel, &mut rest).await;
        rest.take().await;
    }
    drop(running);
}

/// What one tick has to tell, and to whom. Taken under the channel's lock, told without it.
struct Round {
    bundle: Option<Bundle>,
    /// Those who want a snapshot, and the state to take it from: only at a tick do log and state
    /// agree.
    waiting: Vec<Arc<Subscription>>,
    view: Option<View>,
}

impl Round {
    /// The tick. `None` ends the flusher, in the same hold in which it saw that nothing is left.
    fn begin(channel: &Channel, now: Now) -> Option<Self> {
        let mut room = channel.lock();
        if !room.has_news() {
            room.flusher_ended();
            return None;
        }
        let bundle = room.presence.tick(channel.name(), now);
        let waiting = room.take_waiting();
        let view = (!waiting.is_empty()).then(|| room.presence.view());
        Some(Self { bundle, waiting, view })
    }

    /// Sends everyone who waits the same snapshot: encoded once, without the channel's lock, so
    /// that a giant's snapshot stalls nobody.
    async fn serve_snapshots(&self, hub: &Hub, channel: &Channel, rest: &mut Rest) {
        let Some(view) = &self.view else { return };
        for reason in [SnapshotReason::Subscribed, SnapshotReason::Resync] {
            let wanted = Cursor::Want(reason);
            let wants = |sub: &&Arc<Subscription>| sub.outlet().lock().cursor(sub) == wanted;
            let asking: Vec<_> = self.waiting.iter().filter(wants).collect();
            if asking.is_empty() {
                continue;
            }
            let began = hub.clock.elapsed();
            let blob = Blob::new(view.encode(channel.name(), reason));
            rest.add(hub.clock.elapsed() - began);
            for batch in asking.chunks(PASS_BATCH) {
                let began = hub.clock.elapsed();
                for sub in batch {
                    sub.outlet().visit_with_snapshot(sub, wanted, view.seq + 1, &blob);
                }
                rest.add(hub.clock.elapsed() - began);
                tokio::task::yield_now().await;
            }
            pin(channel, &blob);
        }
    }

    /// Writes the frames to every subscriber that lacks just these, some at a time.
    async fn pass(self, hub: &Hub, channel: &Channel, rest: &mut Rest) {
        let Some(Bundle { first_seq, next_seq, bytes }) = self.bundle else { return };
        let blob = Blob::new(bytes);
        let mut batch = Vec::with_capacity(PASS_BATCH);
        let mut slot = 0;
        loop {
            let began = hub.clock.elapsed();
            slot = channel.lock().next_batch(slot, &mut batch);
            let last = batch.len() < PASS_BATCH;
            for sub in batch.drain(..) {
                sub.outlet().visit(&sub, first_seq, next_seq, &blob);
            }
            rest.add(hub.clock.elapsed() - began);
            if last {
                break;
            }
            tokio::task::yield_now().await;
        }
        pin(channel, &blob);
    }
}

/// Counts a blob that slow readers keep, and lets the readers of older ones go if there are too
/// many.
fn pin(channel: &Channel, blob: &Arc<Blob>) {
    let revoked = channel.lock().pin(blob);
    for blob in revoked {
        blob.revoke();
    }
}

/// The rest that a flusher owes the other channels.
#[derive(Default)]
struct Rest(Duration);

impl Rest {
    /// The runtime's timers know no less: a shorter rest is saved up.
    const LEAST: Duration = Duration::from_millis(1);

    fn add(&mut self, cost: Duration) {
        self.0 += cost.mul_f64(REST_SHARE);
    }

    async fn take(&mut self) {
        if self.0 < Self::LEAST {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(self.0.min(REST_MAX)).await;
            self.0 = Duration::ZERO;
        }
    }
}

/// Cleans up behind the flusher, whichever way it ends.
struct Running<'a> {
    hub: &'a Arc<Hub>,
    channel: &'a Arc<Channel>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // After a panic this starts another flusher if there is news; after the ordinary end it
        // finds nothing to do but to reap.
        let mut room = self.channel.lock();
        if std::thread::panicking() {
            room.flusher_ended();
        }
        self.hub.settle(self.channel, room);
    }
}
