//! One webhook: a task that follows what it is told of, and one that sends.
//!
//! The first never waits for the second, so a receiver that is slow, or gone, holds up nobody: what
//! happens is put into the queue, or noted as lacking. The second has one request under way at a time,
//! and repeats it until it is taken: so batches come in order.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use herenow_protocol::{ChannelName, Epoch, Refusal};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::sleep;

use super::back_off::BackOff;
use super::file::{HookOrder, Target};
use super::item::{Gap, GapReason, Item, Kind, Span, batch, of_changes, of_found, span_of};
use super::post::{NotTaken, post};
use super::queue::{Lost, Queue};
use crate::cluster::Senders;
use crate::hub::{Follower, Hub, Sharing, Told, What};
use crate::limits::{WEBHOOK_LOOK, WEBHOOK_SETTLE, WEBHOOK_TURN};
use crate::metrics::HookMetrics;
use crate::outgoing::Client;
use crate::presence::{Changes, News};

/// How all webhooks send.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    pub(super) hub: Arc<Hub>,
    pub(super) client: Client,
    /// Memory of one webhook.
    pub(super) bound: usize,
    pub(super) patience: Duration,
    pub(super) back_off: (Duration, Duration),
    /// A number of this broker's, so that no other one's batches have the same ids.
    pub(super) run: u64,
}

/// What a webhook is told of first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// That the broker began with it.
    Started,
    /// That it lacks all that was before.
    Gap,
}

/// A webhook at work. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Hook {
    order: HookOrder,
    shared: Arc<Shared>,
    hub: Arc<Hub>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    target: RwLock<Arc<Target>>,
    queue: Mutex<Queue>,
    /// Something may be in the queue.
    filled: Notify,
    /// Whose batches they are, if this is one node of several.
    node: Option<String>,
    metrics: HookMetrics,
}

impl Hook {
    /// Begins to follow and to send.
    ///
    /// # Errors
    /// One line: there are as many followers as there may be.
    pub(super) fn start(
        order: &HookOrder,
        manner: &Manner,
        number: u64,
        beginning: Beginning,
    ) -> Result<Self, String> {
        let hub = &manner.hub;
        let refused =
            |refusal: Refusal| format!("the webhook {:?}: {}", order.name, refusal.message);
        let (follower, sharing) = match hub.senders() {
            None => (hub.follow_changes(order.channels.clone()).map_err(refused)?, None),
            Some(senders) => {
                let (follower, sharing) =
                    hub.follow_shared(order.channels.clone()).map_err(refused)?;
                (follower, Some((sharing, senders)))
            }
        };
        let shared = Arc::new(Shared {
            name: order.name.clone(),
            target: RwLock::new(Arc::new(order.target.clone())),
            queue: Mutex::new(Queue::new(manner.bound)),
            filled: Notify::new(),
            node: sharing.as_ref().map(|_| format!("{:016x}", manner.run)),
            metrics: hub.metrics().webhooks.of(&order.name),
        });
        let at = hub.clock().now().unix_ms;
        let first = match beginning {
            Beginning::Started => Item::Started { at },
            Beginning::Gap => {
                Item::Gap(Gap { channel: None, span: None, reason: GapReason::Began })
            }
        };
        shared.queue.lock().push_item(&first, at);
        let kinds = order.kinds.clone();
        let follows = follow(Arc::clone(&shared), follower, kinds, Arc::clone(hub));
        let sends = send(Arc::clone(&shared), manner.clone(), number);
        let shares = sharing.map(|(sharing, senders)| {
            share(Arc::clone(&shared), sharing, senders, Arc::clone(hub))
        });
        let mut tasks = vec![spawn(hub, follows), spawn(hub, sends)];
        tasks.extend(shares.map(|shares| spawn(hub, shares)));
        Ok(Self { order: order.clone(), shared, hub: Arc::clone(hub), tasks })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.order.name
    }

    /// Whether it follows what the order says, wherever that is to be sent.
    pub(super) fn is_for(&self, order: &HookOrder) -> bool {
        let HookOrder { name, channels, kinds, .. } = &self.order;
        (name, channels, kinds) == (&order.name, &order.channels, &order.kinds)
    }

    /// Goes on where it is, with this address and these secrets, within so many bytes.
    pub(super) fn go_on(&mut self, order: HookOrder, bound: usize) {
        let lost = self.shared.queue.lock().set_bound(bound, self.hub.clock().now().unix_ms);
        self.shared.count(lost);
        *self.shared.target.write() = Arc::new(order.target.clone());
        self.order = order;
    }

    /// Whether its receiver has taken all that there was.
    pub(super) fn is_idle(&self) -> bool {
        self.shared.queue.lock().is_empty()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn spawn(hub: &Hub, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(hub.vital().mind("a webhook", work))
}

/// Puts what happens into the queue.
async fn follow(shared: Arc<Shared>, mut follower: Follower, kinds: Vec<Kind>, hub: Arc<Hub>) {
    loop {
        for _ in 0..WEBHOOK_TURN {
            let told = follower.next().await;
            shared.put(&told, &kinds, hub.clock().now().unix_ms);
        }
        yield_now().await;
    }
}

/// One of several nodes: has what falls to this one followed. Behind that a gap is said: of channels that
/// are gone by then, nobody may have told.
async fn share(
    shared: Arc<Shared>,
    sharing: Sharing,
    mut senders: watch::Receiver<Senders>,
    hub: Arc<Hub>,
) {
    loop {
        let now = senders.borrow_and_update().clone();
        if now.sends() {
            // A node that died is in the lists of others until they know it, too.
            tokio::select! {
                () = sleep(WEBHOOK_SETTLE) => {}
                changed = senders.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                }
            }
        }
        sharing.take(&now).await;
        let at = hub.clock().now().unix_ms;
        let lost = shared.queue.lock().give_up(|channel| now.sends_of(channel), at);
        shared.count(lost);
        shared.filled.notify_one();
        if now.sends() {
            let met = tokio::select! {
                () = sharing.meet_all() => true,
                changed = senders.changed() => changed.is_err(),
            };
            if !met {
                continue;
            }
            let moved = Gap { channel: None, span: None, reason: GapReason::Moved };
            shared.queue.lock().push_item(&Item::Gap(moved), hub.clock().now().unix_ms);
            shared.filled.notify_one();
        }
        if senders.changed().await.is_err() {
            return;
        }
    }
}

impl Shared {
    fn put(&self, Told { channel, what }: &Told, kinds: &[Kind], at: u64) {
        // Whoever follows changes was told the last of them.
        let What::News { epoch, news, .. } = what else { return };
        let lost = match news {
            News::Step(step) => self.put_step(channel, *epoch, &step.changes, kinds, at),
            News::Found { part, first } => {
                let span = Span { epoch: *epoch, from: part.seq, to: part.seq };
                let items = of_found(kinds, channel, *epoch, part, *first);
                self.queue.lock().push(channel, span, items, at)
            }
            &News::Missed { from, to, begins } => {
                let span = Span { epoch: *epoch, from, to };
                let moved = begins && self.node.is_some();
                let reason = if moved { GapReason::Moved } else { GapReason::Behind };
                self.queue.lock().lack(channel, span, reason, at)
            }
            News::Snapshot(_) | News::Count(_) | News::Level(_) | News::Status(_) => return,
        };
        self.count(lost);
        self.filled.notify_one();
    }

    fn put_step(
        &self,
        channel: &ChannelName,
        epoch: Epoch,
        changes: &Changes,
        kinds: &[Kind],
        at: u64,
    ) -> Lost {
        let span = span_of(epoch, changes);
        {
            // Where there is no room anyway nothing is encoded.
            let mut queue = self.queue.lock();
            if queue.is_cut(channel) {
                let lost = queue.lack(channel, span, GapReason::Overflow, at);
                return Lost { items: 1, ..lost };
            }
        }
        let items = of_changes(kinds, channel, span, changes);
        self.queue.lock().push(channel, span, items, at)
    }

    fn count(&self, Lost { items, gaps }: Lost) {
        self.metrics.dropped.inc_by(items as u64);
        self.metrics.gaps.inc_by(gaps as u64);
        self.show();
    }

    fn show(&self) {
        let (bytes, oldest) = {
            let queue = self.queue.lock();
            (queue.bytes(), queue.oldest())
        };
        self.metrics.waiting_bytes.set(bytes as i64);
        self.metrics.oldest_time.set((oldest.unwrap_or_default() / 1_000) as i64);
    }

    /// Waits until there is something to send.
    async fn next(&self, hub: &Hub) -> Vec<Box<str>> {
        loop {
            // What waits is perhaps another node's to tell by now, and given up then.
            if !hub.is_surely_alive() {
                sleep(WEBHOOK_LOOK).await;
                continue;
            }
            let taken = self.queue.lock().take();
            match taken {
                Some(items) => return items,
                None => self.filled.notified().await,
            }
        }
    }
}

/// Sends what is in the queue.
async fn send(shared: Arc<Shared>, manner: Manner, number: u64) {
    for count in 1_u64.. {
        let items = shared.next(&manner.hub).await;
        let clock = manner.hub.clock();
        let id = format!("msg_{:016x}_{number}_{count}", manner.run);
        let body = Bytes::from(batch(&items, clock.now().unix_ms, shared.node.as_deref()));
        let sent = items.len() as u64;
        drop(items);
        shared.send_until_taken(&manner, &id, &body).await;
        shared.queue.lock().taken();
        let metrics = &shared.metrics;
        metrics.batches.inc();
        metrics.sent.inc_by(sent);
        metrics.taken_time.set((clock.now().unix_ms / 1_000) as i64);
        shared.show();
    }
}

impl Shared {
    async fn send_until_taken(&self, manner: &Manner, id: &str, body: &Bytes) {
        let Manner { hub, client, patience, .. } = manner;
        let mut back_off = BackOff::new(manner.back_off);
        let mut failed = 0_u64;
        loop {
            let target = Arc::clone(&self.target.read());
            let unix_s = hub.clock().now().unix_ms / 1_000;
            let Err(NotTaken { why, retry_after }) =
                post(client, &target, (id, unix_s, body), *patience).await
            else {
                if failed > 0 {
                    tracing::info!(hook = &*self.name, failed, "a webhook is taken again");
                }
                return;
            };
            failed += 1;
            self.metrics.failed.inc();
            if failed == 1 {
                let error = why;
                tracing::warn!(hook = &*self.name, %error, "a webhook is not taken, and repeated");
            }
            let wait = back_off.wait(|end| hub.chance().below(end));
            sleep(wait.max(retry_after.unwrap_or_default())).await;
        }
    }
}
