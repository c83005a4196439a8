//! The connection by which a node hears what is published.
//!
//! It is asked every second, end to end, whether it still hears: what is published to topics of its
//! own must come back. In a cluster there is one for each group of channels, since each server tells
//! what it has by a connection of its own. After anything that may have been missed, whoever listens
//! is told so: all that is followed is loaded anew then.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{PushInfo, PushKind, RedisResult, Value, cmd};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::address::Address;
use super::line::jittered;
use super::wire::Wire;
use crate::chance::{Chance, keyed_hash};
use crate::clock::Clock;
use crate::cluster::name::Group;
use crate::limits::{
    HEARD_BYTES, HEARD_MESSAGES, REDIS_BACK_OFF, REDIS_PROBE, REDIS_PROBE_LATE, REDIS_PROBE_LOST,
    SUBSCRIBE_BATCH, SUBSCRIBE_TURNS,
};
use crate::metrics::RedisMetrics;

/// Something that was published.
#[derive(Debug)]
pub struct Heard {
    /// Where.
    pub topic: String,
    /// What.
    pub text: Vec<u8>,
    /// Bytes of all that is heard and not yet read.
    total: Arc<AtomicUsize>,
}

impl Heard {
    fn new(topic: String, text: Vec<u8>, total: &Arc<AtomicUsize>) -> Self {
        total.fetch_add(topic.len() + text.len(), Ordering::Relaxed);
        Self { topic, text, total: Arc::clone(total) }
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.total.fetch_sub(self.topic.len() + self.text.len(), Ordering::Relaxed);
    }
}

/// A topic by which the ear asks itself whether it hears.
#[derive(Debug)]
struct Probe {
    topic: String,
    sharded: bool,
    /// When it last heard it, by the broker's clock.
    heard_ms: AtomicU64,
}

impl Probe {
    /// For how long it was not heard.
    fn silent(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.heard_ms.load(Ordering::Relaxed)))
    }
}

/// Where what is published arrives. It never waits: what has no room is missed, and that is told.
#[derive(Debug)]
struct Inlet {
    clock: Clock,
    metrics: Arc<RedisMetrics>,
    sender: mpsc::Sender<Heard>,
    total: Arc<AtomicUsize>,
    probes: Vec<Probe>,
    /// Topics of channels that are listened to.
    topics: Mutex<HashSet<String>>,
    /// 0 while nothing is heard; another number after each time at which something may have been
    /// missed.
    whole: watch::Sender<u64>,
    next: AtomicU64,
    broken: Notify,
}

impl Inlet {
    fn push(&self, push: PushInfo) {
        let PushInfo { kind, data } = push;
        match kind {
            PushKind::Message | PushKind::SMessage => {
                let mut parts = data.into_iter();
                let (Some(Value::BulkString(topic)), Some(Value::BulkString(text))) =
                    (parts.next(), parts.next())
                else {
                    return;
                };
                self.message(String::from_utf8_lossy(&topic).into_owned(), text);
            }
            PushKind::Disconnection => {
                self.broken.notify_one();
                self.missed();
            }
            // The slot went to another server of the cluster, and its topics with it.
            PushKind::SUnsubscribe => {
                let lost = |part: &Value| match part {
                    Value::BulkString(topic) => {
                        self.topics.lock().contains(&*String::from_utf8_lossy(topic))
                    }
                    _ => false,
                };
                if data.iter().any(lost) {
                    self.missed();
                }
            }
            _ => {}
        }
    }

    fn message(&self, topic: String, text: Vec<u8>) {
        if let Some(probe) = self.probes.iter().find(|probe| probe.topic == topic) {
            probe.heard_ms.store(self.clock.now().mono_ms, Ordering::Relaxed);
            return;
        }
        let room = self.total.load(Ordering::Relaxed) < HEARD_BYTES;
        let heard = Heard::new(topic, text, &self.total);
        if !room || self.sender.try_send(heard).is_err() {
            self.missed();
        }
    }

    /// Something may have been missed.
    fn missed(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // Many in a row are one, as long as nobody has looked.
        self.whole.send_if_modified(|whole| {
            let listens = *whole > 0;
            if listens {
                *whole = number;
                self.metrics.missed.inc();
            }
            listens
        });
    }
}

/// The connection by which a node hears, if there is one.
pub struct Ear {
    address: Address,
    chance: Arc<Chance>,
    inlet: Arc<Inlet>,
    wire: Mutex<Option<Wire>>,
    /// Topics that are no channel's.
    plain: Mutex<Vec<String>>,
    /// Of one topic one command at a time is under way: whoever finds it among those that are listened
    /// to may rely on that. By a hash of the topic.
    turns: [tokio::sync::Mutex<()>; SUBSCRIBE_TURNS],
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ear").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Ear {
    /// One that is not connected yet, and what it will hear, of which at most [`HEARD_MESSAGES`] of
    /// [`HEARD_BYTES`] wait. It proves that it hears by topics that begin with `prefix`, and which
    /// nobody else uses.
    #[must_use]
    pub fn new(
        address: Address,
        prefix: &str,
        clock: Clock,
        chance: Arc<Chance>,
        metrics: Arc<RedisMetrics>,
    ) -> (Self, mpsc::Receiver<Heard>) {
        let own = format!("{:016x}", chance.number());
        let probe = |topic, sharded| Probe { topic, sharded, heard_ms: AtomicU64::new(0) };
        let mut probes = vec![probe(format!("{prefix}:probe:{own}"), false)];
        if address.cluster {
            let of = |group: Group| probe(format!("{prefix}:{group}:probe:{own}"), true);
            probes.extend(Group::all().map(of));
        }
        let (sender, heard) = mpsc::channel(HEARD_MESSAGES);
        let inlet = Arc::new(Inlet {
            clock,
            metrics,
            sender,
            total: Arc::default(),
            probes,
            topics: Mutex::default(),
            whole: watch::channel(0).0,
            next: AtomicU64::new(1),
            broken: Notify::new(),
        });
        let (wire, plain) = (Mutex::new(None), Mutex::default());
        let turns = std::array::from_fn(|_| tokio::sync::Mutex::default());
        (Self { address, chance, inlet, wire, plain, turns }, heard)
    }

    /// 0 while nothing is heard; another number after each time at which something may have been
    /// missed.
    #[must_use]
    pub fn whole(&self) -> watch::Receiver<u64> {
        self.inlet.whole.subscribe()
    }

    /// The same at this moment.
    #[must_use]
    pub fn hearing(&self) -> u64 {
        *self.inlet.whole.borrow()
    }

    /// Whether all that was published until [`REDIS_PROBE_LATE`] ago was heard, or is known to be missed:
    /// [`Ear::hearing`] is another number then.
    #[must_use]
    pub fn is_prompt(&self) -> bool {
        let now_ms = self.inlet.clock.now().mono_ms;
        self.hearing() > 0
            && self.inlet.probes.iter().all(|it| it.silent(now_ms) < REDIS_PROBE_LATE)
    }

    /// From here on these topics, which are no channel's, are listened to instead of those before.
    pub async fn listen_always(&self, topics: Vec<String>) {
        let before = std::mem::replace(&mut *self.plain.lock(), topics.clone());
        let Some(mut wire) = self.wire.lock().clone() else { return };
        // Whatever fails here breaks the connection, and the next listens to what is wanted then.
        let gone: Vec<_> = before.into_iter().filter(|topic| !topics.contains(topic)).collect();
        let mut done = wire.subscribe(&topics, false).await;
        if done.is_ok() && !gone.is_empty() {
            done = wire.unsubscribe(&gone, false).await;
        }
        if done.is_err() {
            self.inlet.broken.notify_one();
        }
    }

    /// Listens to a channel's topic. Whether it does now; otherwise it will once there is a
    /// connection, and `whole` changes then.
    pub async fn listen(&self, topic: &str) -> bool {
        let _turn = self.turn(topic).await;
        let is_new = self.inlet.topics.lock().insert(topic.to_owned());
        let Some(mut wire) = self.wire.lock().clone() else { return false };
        if !is_new && *self.inlet.whole.borrow() > 0 {
            return true;
        }
        let done = wire.subscribe(&[topic.to_owned()], true).await;
        if done.is_err() {
            // It is not known what is listened to: the next connection begins anew.
            self.inlet.broken.notify_one();
        }
        done.is_ok()
    }

    /// Listens to a channel's topic no longer.
    pub async fn ignore(&self, topic: &str) {
        let _turn = self.turn(topic).await;
        if !self.inlet.topics.lock().remove(topic) {
            return;
        }
        let Some(mut wire) = self.wire.lock().clone() else { return };
        if wire.unsubscribe(&[topic.to_owned()], true).await.is_err() {
            self.inlet.broken.notify_one();
        }
    }

    async fn turn(&self, topic: &str) -> tokio::sync::MutexGuard<'_, ()> {
        self.turns[keyed_hash(topic) as usize % SUBSCRIBE_TURNS].lock().await
    }

    /// Connects, looks after the connection, and connects anew, for ever.
    pub async fn keep(&self) {
        let mut back_off = *REDIS_BACK_OFF.start();
        loop {
            if let Ok(wire) = self.connect().await {
                back_off = *REDIS_BACK_OFF.start();
                self.watch_over(wire).await;
            }
            *self.wire.lock() = None;
            self.inlet.whole.send_replace(0);
            sleep(jittered(back_off, &self.chance)).await;
            back_off = (back_off * 2).min(*REDIS_BACK_OFF.end());
        }
    }

    /// A new connection that listens to all that is wanted.
    async fn connect(&self) -> RedisResult<Wire> {
        let inlet = Arc::clone(&self.inlet);
        let heard = move |push| {
            inlet.push(push);
            Ok::<(), ()>(())
        };
        let mut wire = Wire::connect(&self.address, Some(heard)).await?;
        for probe in &self.inlet.probes {
            wire.subscribe(std::slice::from_ref(&probe.topic), probe.sharded).await?;
        }
        // Before anything else is listened to, so that what is added meanwhile is added to this one.
        *self.wire.lock() = Some(wire.clone());
        let plain = self.plain.lock().clone();
        if !plain.is_empty() {
            wire.subscribe(&plain, false).await?;
        }
        let topics: Vec<_> = self.inlet.topics.lock().iter().cloned().collect();
        for some in topics.chunks(SUBSCRIBE_BATCH) {
            wire.subscribe(some, true).await?;
        }
        Ok(wire)
    }

    /// Until it does not hear any longer.
    async fn watch_over(&self, wire: Wire) {
        let now_ms = self.inlet.clock.now().mono_ms;
        for probe in &self.inlet.probes {
            probe.heard_ms.store(now_ms, Ordering::Relaxed);
        }
        let number = self.inlet.next.fetch_add(1, Ordering::Relaxed);
        self.inlet.whole.send_replace(number);
        let mut turns = interval(REDIS_PROBE);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.inlet.broken.notified() => return,
                _ = turns.tick() => {}
            }
            let now_ms = self.inlet.clock.now().mono_ms;
            if self.inlet.probes.iter().any(|it| it.silent(now_ms) > REDIS_PROBE_LOST) {
                tracing::warn!(
                    address = self.address.to_string(),
                    "what is published on Redis is not heard"
                );
                return;
            }
            self.probe(&wire);
        }
    }

    /// Publishes to itself. Nobody waits for the answers: what counts is what is heard.
    fn probe(&self, wire: &Wire) {
        for probe in &self.inlet.probes {
            let mut publish = cmd(if probe.sharded { "SPUBLISH" } else { "PUBLISH" });
            publish.arg(&probe.topic).arg("");
            let mut wire = wire.clone();
            tokio::spawn(async move {
                let _ = publish.query_async::<i64>(&mut wire).await;
            });
        }
    }
}
