//! All channels: finding one by its name, applying commands under its lock, and telling what came
//! of them.
//!
//! - [`channel`]: one channel shared: its state, its subscribers, its lock.
//! - [`crowds`]: its subscribers, by the level that they asked for.
//! - [`tick`]: the flusher, which turns changes into frames and writes them to every subscriber.
//! - `post`: reaching connections, by number and by user.
//! - `telling`: what one tick has to tell, encoded once for all.
//! - [`pace`]: how long a flusher rests.
//! - `reading`: what anybody asks of the live state.
//! - [`users`]: where each user is, and what is kept of it.
//! - `status`: whether a user is online, and what it sets of itself.
//! - [`timers`]: what happens because time passes.
//!
//! Lock order: a connection's, a shard of the map of channels, a channel's, a user's entry. At most
//! one of each kind at a time, and never across an await: nothing here that locks is async, except
//! the flusher between its steps.

pub mod channel;
pub mod crowds;
pub mod pace;
mod post;
mod reading;
mod status;
mod telling;
pub mod tick;
pub mod timers;
pub mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dashmap::DashMap;
use herenow_protocol::{ChannelName, Epoch, ErrorCode, Refusal, UserId};
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::{Outlet, Wake};
use crate::presence::{Bounds, Change, Command, Now, Viewer};

pub use channel::{Channel, Room};

use timers::{NEVER, Timers};
use users::Users;

/// All channels of this broker, and all connections.
#[derive(Debug)]
pub struct Hub {
    channels: DashMap<ChannelName, Arc<Channel>>,
    users: Users,
    connections: DashMap<u64, Arc<Outlet>>,
    next_connection: AtomicU64,
    timers: Timers,
    bounds: Bounds,
    max_statuses: usize,
    max_channels_per_user: usize,
    presence_timeout_ms: u64,
    clock: Clock,
    /// Where flushers run. They are spawned from synchronous code, which has no runtime of its own.
    runtime: Handle,
    draining: AtomicBool,
}

impl Hub {
    /// An empty hub whose flushers and timers run on `runtime`.
    #[must_use]
    pub fn new(config: &Config, clock: Clock, runtime: Handle) -> Arc<Self> {
        let bounds = Bounds {
            members: config.limits.max_members as usize,
            attribute_bytes: config.limits.max_attribute_bytes as usize,
            attribute_keys: config.limits.max_attribute_keys as usize,
            roster: config.limits.roster_limit as usize,
        };
        let hub = Arc::new(Self {
            channels: DashMap::new(),
            users: Users::new(config.limits.max_statuses as usize),
            connections: DashMap::new(),
            next_connection: AtomicU64::new(1),
            timers: Timers::default(),
            bounds,
            max_statuses: config.limits.max_statuses as usize,
            max_channels_per_user: config.limits.max_channels_per_user as usize,
            presence_timeout_ms: config.presence_timeout.as_millis() as u64,
            clock,
            runtime,
            draining: AtomicBool::new(false),
        });
        hub.runtime.spawn(timers::run(Arc::downgrade(&hub)));
        hub
    }

    /// The broker's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The timers.
    #[must_use]
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// The channel of that name, if it has a member or a subscriber.
    #[must_use]
    pub fn find(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.channels.get(name).map(|entry| Arc::clone(entry.value()))
    }

    /// Runs `act` on the channel of that name, under its lock, making the channel if there is none.
    /// Whatever became of it is then told to subscribers, timers and the index of users.
    pub fn enter<T>(
        self: &Arc<Self>,
        name: &ChannelName,
        act: impl FnOnce(&Arc<Channel>, &mut Room) -> T,
    ) -> T {
        loop {
            let channel = self.find(name).unwrap_or_else(|| self.create(name));
            let mut room = channel.lock();
            // Reaped between finding and locking: the next look finds none, or a new one.
            if room.is_dead() {
                continue;
            }
            let result = act(&channel, &mut room);
            self.settle(&channel, room);
            return result;
        }
    }

    /// As [`Hub::enter`], for a channel that cannot vanish because the caller keeps it: it joined
    /// or subscribed it.
    pub fn enter_kept<T>(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        act: impl FnOnce(&mut Room) -> T,
    ) -> T {
        let mut room = channel.lock();
        let result = act(&mut room);
        self.settle(channel, room);
        result
    }

    fn create(&self, name: &ChannelName) -> Arc<Channel> {
        let entry = self.channels.entry(name.clone()).or_insert_with(|| {
            Arc::new(Channel::new(name.clone(), Epoch::from_random(fastrand::u64(..))))
        });
        Arc::clone(entry.value())
    }

    /// Applies a command: the only way to change a channel, for connections, timers and (later)
    /// other nodes alike. `room` is the channel of that name, locked.
    ///
    /// # Errors
    /// As [`presence::Channel::apply`](crate::presence::Channel::apply).
    pub fn apply(
        &self,
        channel: &Channel,
        room: &mut Room,
        command: Command,
        now: Now,
    ) -> Result<(), Refusal> {
        let user = command.user().clone();
        let last_seen = match &command {
            Command::Lose { last_seen, .. } => *last_seen,
            _ => now.unix_ms,
        };
        let stirred = match room.presence.apply(command, now, &self.bounds)? {
            Change::Appeared => self.users.appeared(&user, channel.name(), now),
            Change::Vanished => self.users.vanished(&user, channel.name(), last_seen, now),
            Change::Stayed => false,
        };
        if stirred {
            room.stirred.push(user);
        }
        Ok(())
    }

    /// Refuses `user` a lease in `room`, unless it has one, if it is in too many other channels.
    /// Nothing else bounds leases: what connections join is bounded by what each may join. Requests
    /// in different channels at the same moment may all be within the limit, so it may be passed
    /// by as many as the runtime has threads.
    ///
    /// # Errors
    /// `too_many_channels`.
    pub fn check_lease(&self, room: &Room, user: &UserId) -> Result<(), Refusal> {
        if room.presence.has_lease(user) {
            return Ok(());
        }
        let here = room.presence.member(user, Viewer::All).is_some();
        let elsewhere = self.users.channel_count(user).saturating_sub(usize::from(here));
        let limit = self.max_channels_per_user;
        if elsewhere < limit {
            return Ok(());
        }
        Err(Refusal::field(
            ErrorCode::TooManyChannels,
            "channel",
            format_args!("would be one more than the {limit} in which a user may have leases"),
        ))
    }

    /// Applies a command that is never refused (leaving, losing) to a channel that the caller
    /// keeps.
    pub fn apply_kept(self: &Arc<Self>, channel: &Arc<Channel>, command: Command, now: Now) {
        let applied = self.enter_kept(channel, |room| self.apply(channel, room, command, now));
        debug_assert!(applied.is_ok());
    }

    /// Ends what ends by itself in a channel whose timer fired, and begins what is due.
    fn expire(self: &Arc<Self>, channel: &Arc<Channel>, due_ms: u64, now: Now) {
        let mut room = channel.lock();
        if room.is_dead() || !room.disarm(due_ms) {
            return;
        }
        for (user, last_seen) in room.presence.expire(now) {
            if self.users.vanished(&user, channel.name(), last_seen, now) {
                room.stirred.push(user);
            }
        }
        room.beat.ring(now.mono_ms);
        self.settle(channel, room);
    }

    /// After a channel was touched: someone has to tell, someone has to wake it in time, and
    /// nothing may remain of an empty one.
    fn settle(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        mut room: parking_lot::MutexGuard<'_, Room>,
    ) {
        if room.start_flusher() {
            self.runtime.spawn(tick::flush(Arc::clone(self), Arc::clone(channel)));
        }
        if let Some((before_ms, due_ms)) = room.arm() {
            self.timers.rearm_channel(channel.name(), before_ms, due_ms);
        }
        let vain = room.is_vain();
        let stirred = std::mem::take(&mut room.stirred);
        drop(room);
        stirred.iter().for_each(|user| self.tell_status(user));
        if vain {
            self.reap(channel);
        }
    }

    /// Removes a channel that is empty: looked at again under the shard's lock, so that nobody can
    /// be on the way in.
    fn reap(&self, channel: &Arc<Channel>) {
        self.channels.remove_if(channel.name(), |_, found| {
            Arc::ptr_eq(found, channel) && {
                let mut room = found.lock();
                let vain = room.is_vain();
                if vain {
                    self.timers.rearm_channel(channel.name(), room.bury(), NEVER);
                }
                vain
            }
        });
    }

    /// The channels that a user is in.
    #[must_use]
    pub fn channels_of(&self, user: &UserId) -> Vec<ChannelName> {
        self.users.channels_of(user)
    }

    /// A number for a new connection.
    #[must_use]
    pub fn number_connection(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Registers a connection, so that a shutdown reaches it.
    pub fn connected(&self, outlet: &Arc<Outlet>) {
        self.connections.insert(outlet.id(), Arc::clone(outlet));
        // One that registers while the others are being told is told by itself.
        if self.is_draining() {
            outlet.wake(Wake::Drain);
        }
    }

    /// Forgets a connection whose task has ended.
    pub fn disconnected(&self, outlet: &Outlet) {
        self.timers.forget_connection(outlet);
        self.connections.remove(&outlet.id());
        if self.connections.is_empty() {
            self.connections.shrink_to_fit();
        }
    }

    /// A connection's timer fired; the connection may just have armed another instead.
    fn wake_connection(&self, number: u64, due_ms: u64) {
        if let Some(outlet) = self.connection(number) {
            outlet.fire(due_ms);
        }
    }

    /// Number of WebSockets that are connected.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Number of WebSockets that were ever connected.
    #[must_use]
    pub fn connections_opened(&self) -> u64 {
        self.next_connection.load(Ordering::Relaxed) - 1
    }

    /// Number of users that are known.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.users.known()
    }

    /// Number of channels with a member or a subscriber.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// Tells every connection to go. From here on nobody is told of leaves: it is the broker that
    /// goes, not its members.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        for entry in &self.connections {
            entry.value().wake(Wake::Drain);
        }
    }

    /// Whether the broker is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}
