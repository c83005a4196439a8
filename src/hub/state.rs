//! All channels, all connections, and what holds for them.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use herenow_protocol::{ChannelName, UserId};
use parking_lot::RwLock;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::channel::Channel;
use super::channel_rules::{AllChannelRules, ChannelRules};
use super::engine::Engine;
use super::followers::Reader;
use super::lot::Lot;
use super::timers::Timers;
use crate::auth::Patterns;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::{Backlog, Outlet};
use crate::limits::CHANNEL_SHARDS;
use crate::metrics::Metrics;
use crate::shrink::shrink;
use crate::users::Users;
use crate::vital::Vital;
use herenow_protocol::Level;

/// All channels of this broker, and all connections.
#[derive(Debug)]
pub struct Hub {
    pub(super) channels: DashMap<ChannelName, Arc<Channel>>,
    pub(super) users: Users,
    pub(super) connections: DashMap<u64, Arc<Outlet>>,
    pub(super) next_connection: AtomicU64,
    pub(super) timers: Timers,
    pub(super) rules: AllChannelRules,
    pub(super) max_statuses: usize,
    pub(super) max_channels_per_user: usize,
    pub(super) max_memberships: usize,
    pub(super) presence_timeout_ms: u64,
    pub(super) clock: Clock,
    pub(super) chance: Chance,
    pub(super) metrics: Arc<Metrics>,
    vital: Vital,
    pub(super) backlog: Arc<Backlog>,
    /// Where flushers run. They are spawned from synchronous code, which has no runtime of its own.
    pub(super) runtime: Handle,
    pub(super) leaving: AtomicBool,
    pub(super) draining: AtomicBool,
    /// Joins this node to others; empty where it runs alone.
    engine: OnceLock<Arc<dyn Engine>>,
    /// Held by whatever walks over all channels.
    walks: Arc<Semaphore>,
    /// The number of the last tick that somebody follows, of whichever channel.
    pub(super) stamps: AtomicU64,
    /// Bytes that the rings of all channels hold.
    pub(super) rings: Arc<AtomicUsize>,
    pub(super) next_follower: AtomicU64,
    /// Channels that are followed for a while because somebody asked; at most about
    /// [`MAX_ATTENDED`](crate::limits::MAX_ATTENDED).
    pub(super) attended: Arc<AtomicUsize>,
    /// Compared with the name of each new channel. At most
    /// [`MAX_PATTERN_FOLLOWERS`](crate::limits::MAX_PATTERN_FOLLOWERS).
    pub(super) patterns: RwLock<Vec<PatternFollower>>,
}

/// Somebody who follows all channels that match.
#[derive(Debug)]
pub(super) struct PatternFollower {
    pub(super) reader: Arc<Reader>,
    pub(super) patterns: Patterns,
    pub(super) level: Level,
    /// It is told changes, and never a snapshot.
    pub(super) changes_alone: bool,
    /// Set if not all of them fall to it, but some to other nodes.
    pub(super) lot: Option<Lot>,
}

impl Hub {
    pub(super) fn new(
        config: &Config,
        clock: Clock,
        chance: Chance,
        metrics: Arc<Metrics>,
        runtime: Handle,
    ) -> Self {
        let limits = &config.limits;
        Self {
            channels: DashMap::with_shard_amount(CHANNEL_SHARDS),
            users: Users::new(
                limits.max_statuses as usize,
                limits.max_connections_per_user as usize,
            ),
            connections: DashMap::new(),
            next_connection: AtomicU64::new(1),
            timers: Timers::default(),
            rules: AllChannelRules::new(config),
            max_statuses: limits.max_statuses as usize,
            max_channels_per_user: limits.max_channels_per_user as usize,
            max_memberships: limits.max_memberships as usize,
            presence_timeout_ms: config.presence_timeout.as_millis() as u64,
            clock,
            chance,
            metrics,
            vital: Vital::default(),
            backlog: Backlog::new(limits.max_backlog as usize),
            runtime,
            leaving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            engine: OnceLock::new(),
            walks: Arc::new(Semaphore::new(1)),
            stamps: AtomicU64::new(0),
            rings: Arc::default(),
            next_follower: AtomicU64::new(1),
            attended: Arc::default(),
            patterns: RwLock::default(),
        }
    }

    /// The broker's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Chance, as it was handed in.
    #[must_use]
    pub fn chance(&self) -> &Chance {
        &self.chance
    }

    /// What is counted as it happens.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Notices when work on which everybody depends panics.
    #[must_use]
    pub fn vital(&self) -> &Vital {
        &self.vital
    }

    /// What slow readers keep in memory.
    #[must_use]
    pub fn backlog(&self) -> &Arc<Backlog> {
        &self.backlog
    }

    /// Joins this node to others by `engine`, from the first channel on: so before anybody can ask
    /// for one. The first engine stays.
    pub fn join(&self, engine: Arc<dyn Engine>) {
        let _ = self.engine.set(engine);
    }

    /// What joins this node to others; `None`: it runs alone.
    #[must_use]
    pub fn engine(&self) -> Option<&Arc<dyn Engine>> {
        self.engine.get()
    }

    /// A stamp larger than that of any tick before.
    pub(super) fn next_stamp(&self) -> u64 {
        self.stamps.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The timers.
    #[must_use]
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// The channel of that name, if it has a member, a subscriber or a follower of its own.
    #[must_use]
    pub fn find(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.channels.get(name).map(|entry| Arc::clone(entry.value()))
    }

    /// Runs something that walks over all channels where it holds up nobody: beside the threads that
    /// serve everybody. One at a time; `None`: it failed.
    pub async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        walk: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        let turn = Arc::clone(&self.walks).acquire_owned().await.ok()?;
        let hub = Arc::clone(self);
        let walked = tokio::task::spawn_blocking(move || {
            let walked = walk(&hub);
            drop(turn);
            walked
        });
        walked.await.ok()
    }

    /// Gives back the room of maps that are mostly empty.
    pub(super) fn shrink(&self) {
        self.users.shrink();
        shrink(&self.channels);
        shrink(&self.connections);
    }

    /// The channels that a user is in.
    #[must_use]
    pub fn channels_of(&self, user: &UserId) -> Vec<ChannelName> {
        self.users.channels_of(user)
    }

    /// Number of users that are known.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.users.known()
    }

    /// Number of channels with a member, a subscriber or a follower of their own.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// Bytes that the rings of all channels hold, about.
    #[must_use]
    pub fn ring_bytes(&self) -> usize {
        self.rings.load(Ordering::Relaxed)
    }

    /// Bytes of a member's attributes at most, as JSON without white space.
    #[must_use]
    pub fn attribute_bytes(&self) -> usize {
        self.rules.most().bounds.attribute_bytes
    }

    /// What holds in that channel: as it came to be, or as it would.
    #[must_use]
    pub fn rules_of(&self, name: &ChannelName) -> &ChannelRules {
        let number = self.find(name).map(|channel| channel.rules());
        self.rules.get(number.unwrap_or_else(|| self.rules.number_of(name)))
    }

    /// What holds in a channel that the caller keeps.
    #[must_use]
    pub fn rules_in(&self, channel: &Channel) -> &ChannelRules {
        self.rules.get(channel.rules())
    }

    /// Whether those whose name nobody vouches for may join and look everywhere.
    #[must_use]
    pub fn trusts_guests(&self) -> bool {
        self.rules.trust_guests()
    }

    /// The broker will shut down: it serves as ever, and whoever asks whether it is ready is told no.
    pub fn prepare_to_leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
    }

    /// Whether the broker shuts down, or soon will.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// Whether the broker is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}
