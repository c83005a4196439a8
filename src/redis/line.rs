//! The connection by which a node asks: kept, looked after, and made anew.
//!
//! Redis that stands still closes nothing, so a connection that is up proves nothing: every command
//! has an end in time, and what does not answer for [`REDIS_PROBE_LOST`] is connected anew. Before
//! that the old connection is closed from the other side: what Redis had not yet read of it would
//! else be done later than what is said by the new one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{ErrorKind, RedisError, RedisResult, cmd};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::address::Address;
use super::wire::{Runs, Wire};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::limits::{REDIS_BACK_OFF, REDIS_COMMAND, REDIS_PROBE, REDIS_PROBE_LOST};
use crate::metrics::RedisMetrics;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// There is no connection, or no lease: nothing was done.
    Away,
    /// Redis refused: nothing was done. What it said.
    Refused(String),
    /// Nobody knows whether it was done.
    Unknown,
}

impl From<&RedisError> for Failed {
    fn from(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Refused(error.to_string()),
            _ => Self::Unknown,
        }
    }
}

/// That Redis is connected: which connection it is, and which processes are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Counts the connections, from 1.
    pub number: u64,
    /// The run ids.
    pub runs: Arc<Runs>,
}

/// The connection, if there is one.
pub struct Line {
    address: Address,
    clock: Clock,
    chance: Arc<Chance>,
    metrics: Arc<RedisMetrics>,
    wire: Mutex<Option<Wire>>,
    joined: watch::Sender<Option<Joined>>,
    broken: Notify,
    /// When Redis last answered anything, by the broker's clock.
    answered_ms: AtomicU64,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Line {
    /// One that is not connected yet: [`Line::keep`] does that.
    #[must_use]
    pub fn new(
        address: Address,
        clock: Clock,
        chance: Arc<Chance>,
        metrics: Arc<RedisMetrics>,
    ) -> Self {
        Self {
            address,
            clock,
            chance,
            metrics,
            wire: Mutex::new(None),
            joined: watch::channel(None).0,
            broken: Notify::new(),
            answered_ms: AtomicU64::new(0),
        }
    }

    /// The connection that there is; changes with each.
    #[must_use]
    pub fn joined(&self) -> watch::Receiver<Option<Joined>> {
        self.joined.subscribe()
    }

    /// The connection that there is now.
    #[must_use]
    pub fn joined_now(&self) -> Option<Joined> {
        self.joined.borrow().clone()
    }

    /// Whether Redis is connected and answered lately.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.joined.borrow().is_some() && self.silent_for() < REDIS_PROBE_LOST
    }

    /// For how long Redis has answered nothing.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        let answered_ms = self.answered_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.now_ms().saturating_sub(answered_ms))
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().mono_ms
    }

    /// Asks something, and waits for the answer: not longer than twice [`REDIS_COMMAND`], since a
    /// script may have to be loaded first.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn ask<T, F>(&self, act: impl FnOnce(Wire) -> F) -> Result<T, Failed>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let Some(wire) = self.wire.lock().clone() else { return Err(Failed::Away) };
        let began = self.clock.elapsed();
        let answer = timeout(2 * REDIS_COMMAND, act(wire)).await;
        let took = self.clock.elapsed() - began;
        let failed = match answer {
            Ok(Ok(answer)) => {
                self.heard();
                self.metrics.commands.observe(took.as_secs_f64());
                return Ok(answer);
            }
            Ok(Err(error)) => {
                if error.is_unrecoverable_error() {
                    self.broken.notify_one();
                }
                Failed::from(&error)
            }
            Err(_) => Failed::Unknown,
        };
        if let Failed::Refused(_) = failed {
            self.heard();
        }
        self.metrics.failures.inc();
        Err(failed)
    }

    fn heard(&self) {
        self.answered_ms.fetch_max(self.now_ms(), Ordering::Relaxed);
    }

    /// Connects, looks after the connection, and connects anew, for ever.
    pub async fn keep(&self) {
        let mut number = 0;
        let mut before = None;
        let mut back_off = *REDIS_BACK_OFF.start();
        let mut complained = false;
        loop {
            match self.connect(before).await {
                Ok((wire, runs, id)) => {
                    number += 1;
                    if std::mem::take(&mut complained) {
                        tracing::info!(address = self.address.to_string(), "Redis is back");
                    }
                    (before, back_off) = (id, *REDIS_BACK_OFF.start());
                    self.watch_over(wire, number, runs).await;
                    tracing::warn!(
                        address = self.address.to_string(),
                        "the connection to Redis is lost"
                    );
                    complained = true;
                }
                Err(error) if !std::mem::replace(&mut complained, true) => {
                    let why = error.to_string();
                    tracing::warn!(
                        address = self.address.to_string(),
                        why,
                        "can't connect to Redis"
                    );
                }
                Err(_) => {}
            }
            sleep(jittered(back_off, &self.chance)).await;
            back_off = (back_off * 2).min(*REDIS_BACK_OFF.end());
        }
    }

    /// A new connection, with the run ids and its number at Redis. That `before` is closed.
    async fn connect(&self, before: Option<i64>) -> RedisResult<(Wire, Arc<Runs>, Option<i64>)> {
        let mut wire = Wire::connect(&self.address, None::<fn(_) -> Result<(), ()>>).await?;
        if let Some(before) = before {
            // It may be closed already; and a user of Redis that may not do so does without.
            let mut kill = cmd("CLIENT");
            kill.arg("KILL").arg("ID").arg(before);
            let _ = kill.query_async::<i64>(&mut wire).await;
        }
        let runs = Arc::new(wire.runs().await?);
        let id = match wire {
            Wire::One(_) => cmd("CLIENT").arg("ID").query_async(&mut wire).await.ok(),
            Wire::Cluster(_) => None,
        };
        Ok((wire, runs, id))
    }

    /// Until the connection is of no use any longer.
    async fn watch_over(&self, mut wire: Wire, number: u64, mut runs: Arc<Runs>) {
        self.heard();
        *self.wire.lock() = Some(wire.clone());
        self.metrics.connected.set(1);
        self.metrics.connections.inc();
        self.joined.send_replace(Some(Joined { number, runs: Arc::clone(&runs) }));
        loop {
            tokio::select! {
                () = self.broken.notified() => break,
                () = sleep(REDIS_PROBE) => {}
            }
            // In a cluster one server may be replaced while the connection stays.
            match wire.runs().await {
                Ok(now) => {
                    self.heard();
                    if now != *runs {
                        runs = Arc::new(now);
                        self.joined.send_replace(Some(Joined { number, runs: Arc::clone(&runs) }));
                    }
                }
                Err(error) if error.is_unrecoverable_error() => break,
                Err(_) if self.silent_for() >= REDIS_PROBE_LOST => break,
                Err(_) => {}
            }
        }
        *self.wire.lock() = None;
        self.metrics.connected.set(0);
        self.joined.send_replace(None);
    }
}

/// Between half of it and all of it: nodes that lost Redis together do not come back together.
pub(super) fn jittered(time: Duration, chance: &Chance) -> Duration {
    let half_ms = time.as_millis() as u64 / 2;
    Duration::from_millis(half_ms + chance.below(half_ms + 1))
}
