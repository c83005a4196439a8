//! The one way to change a channel, for connections, requests, timers and other nodes alike,
//! and what follows from a change: somebody tells it, a timer looks in time, watchers of users hear,
//! and nothing remains of a channel that is empty.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use herenow_protocol::{ChannelName, Epoch, ErrorCode, LeaveReason, Refusal, UserId, UserStatus};
use parking_lot::MutexGuard;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;

use super::channel::{Channel, Guarded};
use super::channel_rules::ChannelRules;
use super::clustered::{Clustered, Wanted};
use super::followers::{Followers, Link};
use super::pace::Pace;
use super::round::{Round, wake_followers};
use super::state::{Hub, PatternFollower};
use super::wanting::Tended;
use crate::cluster::{Peers, Replica, Told};
use crate::delivery::Subscription;
use crate::limits::{PANIC_REST, STATUS_KEPT_MS};
use crate::now::{NEVER, Now};
use crate::presence::{
    Asked, ChannelState, Command, Follow, Keeper, Ring, Source, Standing, Sum, Touch, Viewer,
};
use crate::users::View;
use crate::vital::on_panic;

/// Which channel to enter.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// The channel of that name, made if there is none.
    Named(&'a ChannelName),
    /// One that cannot vanish because the caller keeps it: it joined, subscribed or follows it. No
    /// name is looked up.
    Held(&'a Arc<Channel>),
}

impl At<'_> {
    /// The channel's name.
    #[must_use]
    pub fn name(&self) -> &ChannelName {
        match self {
            Self::Named(name) => name,
            Self::Held(channel) => channel.name(),
        }
    }
}

/// A channel that was entered, with its lock held.
#[derive(Debug)]
pub struct Door<'a> {
    pub(super) hub: &'a Hub,
    channel: &'a Arc<Channel>,
    guarded: &'a mut Guarded,
}

impl Hub {
    /// Enters a channel and runs `act` there. Whatever became of it is then told to subscribers,
    /// followers, timers and the watchers of users.
    pub fn enter<T>(self: &Arc<Self>, at: At<'_>, act: impl FnOnce(&mut Door<'_>) -> T) -> T {
        loop {
            let found;
            let channel = match at {
                At::Held(channel) => channel,
                At::Named(name) => {
                    found = self.find(name).unwrap_or_else(|| self.create(name));
                    &found
                }
            };
            let mut guarded = channel.lock();
            // Reaped between finding and locking: the next look finds none, or a new one.
            if guarded.is_dead() && matches!(at, At::Named(_)) {
                continue;
            }
            let result = act(&mut Door { hub: self, channel, guarded: &mut guarded });
            self.settle(channel, guarded);
            return result;
        }
    }

    /// As [`Hub::enter`], if there is a channel of that name.
    pub fn enter_existing<T>(
        self: &Arc<Self>,
        name: &ChannelName,
        act: impl FnOnce(&mut Door<'_>) -> T,
    ) -> Option<T> {
        self.enter_living(&self.find(name)?, act)
    }

    /// As [`Hub::enter`], unless the channel has gone meanwhile.
    pub(super) fn enter_living<T>(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        act: impl FnOnce(&mut Door<'_>) -> T,
    ) -> Option<T> {
        let mut guarded = channel.lock();
        if guarded.is_dead() {
            return None;
        }
        let result = act(&mut Door { hub: self, channel, guarded: &mut guarded });
        self.settle(channel, guarded);
        Some(result)
    }

    /// Applies a command that is never refused (leaving, losing, time passing) to a channel that
    /// the caller keeps.
    pub fn apply_kept(self: &Arc<Self>, channel: &Arc<Channel>, command: Command, now: Now) {
        let applied = self.enter(At::Held(channel), |door| door.apply(command, now));
        debug_assert!(applied.is_ok());
    }

    fn create(&self, name: &ChannelName) -> Arc<Channel> {
        let entry = self.channels.entry(name.clone()).or_insert_with(|| {
            let epoch = Epoch::from_random(self.chance.number());
            // What a user sees of itself is told from what all see of it.
            let engine = self.engine().filter(|_| !name.is_own_status());
            let keep_ms = if name.is_status() { STATUS_KEPT_MS } else { 0 };
            let clustered = engine.map(|engine| Box::new(Clustered::new(engine.me(), keep_ms)));
            let channel =
                Arc::new(Channel::new(name.clone(), self.rules.number_of(name), epoch, clustered));
            self.attach_patterns(&channel);
            channel
        });
        Arc::clone(entry.value())
    }

    /// Adds to a new channel the followers whose pattern it matches.
    fn attach_patterns(&self, channel: &Arc<Channel>) {
        let name = channel.name();
        if name.is_status() {
            return;
        }
        let patterns = self.patterns.read();
        let guests_look = self.rules_in(channel).guests_look;
        let may_look = |one: &PatternFollower| guests_look || !one.reader.is_guest();
        let matching = |one: &&PatternFollower| one.patterns.match_any(name.as_str());
        for follower in patterns.iter().filter(matching).filter(|one| may_look(one)) {
            let shared = follower.lot.as_ref().map(|lot| lot.read().begin(name));
            if matches!(shared, Some(None)) {
                continue;
            }
            let mut guarded = channel.lock();
            let mut door = Door { hub: self, channel, guarded: &mut guarded };
            door.follow(|presence, ring| {
                let follow = match shared.flatten() {
                    Some(follow) => follow,
                    None if follower.changes_alone => Follow::changes_from_here(presence, ring),
                    None => Follow::new(follower.level),
                };
                Link::new(&follower.reader, name, follow, false)
            });
        }
    }

    /// Ends what ends by itself in a channel whose timer fired, and begins what is due.
    pub(super) fn expire(self: &Arc<Self>, channel: &Arc<Channel>, due_ms: u64, now: Now) {
        let mut guarded = channel.lock();
        if guarded.is_dead() || !guarded.disarm(due_ms) {
            return;
        }
        let mut door = Door { hub: self, channel, guarded: &mut guarded };
        let expired = door.apply(Command::Expire, now);
        debug_assert!(expired.is_ok());
        guarded.expire(now.mono_ms);
        self.settle(channel, guarded);
    }

    /// Tells those who watch the user, if there are any. No lock may be held.
    pub(super) fn tell_status(self: &Arc<Self>, user: &UserId) {
        self.tell_user(user, Touch::default());
    }

    /// After a channel was touched: someone has to tell, someone has to wake it in time, and
    /// nothing may remain of an empty one.
    fn settle(self: &Arc<Self>, channel: &Arc<Channel>, mut guarded: MutexGuard<'_, Guarded>) {
        let lends = guarded.lends(self.engine().is_some() && channel.name().is_own_status());
        if self.tend_cluster(channel, &mut guarded) == Tended::Unfollowed {
            guarded.forget_sum();
            self.runtime.spawn(forget(Arc::clone(self), Arc::clone(channel)));
        }
        // What the last member's going has to tell where nobody observes, nobody hears.
        let unheard = guarded.is_vain() && !guarded.is_followed();
        if !unheard && guarded.start_flusher() {
            self.runtime.spawn(flusher(Arc::clone(self), Arc::clone(channel)));
        }
        if let Some((before_ms, due_ms)) = guarded.arm() {
            self.timers.rearm_channel(channel.name(), before_ms, due_ms);
        }
        let vain = guarded.is_vain();
        if !vain && guarded.is_over() {
            guarded.begin_anew(Epoch::from_random(self.chance.number()));
        }
        let stirred = std::mem::take(&mut guarded.stirred);
        drop(guarded);
        lends.into_iter().for_each(|lent| self.lend(channel.name(), lent));
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
                let mut guarded = found.lock();
                let vain = guarded.is_vain();
                if vain {
                    self.timers.rearm_channel(channel.name(), guarded.bury(&self.metrics), NEVER);
                }
                vain
            }
        });
    }
}

impl Door<'_> {
    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &Arc<Channel> {
        self.channel
    }

    /// Its members, and the frames that told of them.
    #[must_use]
    pub fn presence(&self) -> &ChannelState {
        self.guarded.presence()
    }

    /// What holds in it.
    #[must_use]
    pub fn rules(&self) -> &ChannelRules {
        self.hub.rules_in(self.channel)
    }

    /// How the channel stands, as far as it matters to what its subscribers are owed.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.guarded.standing()
    }

    /// Applies a command whole, or refuses it and changes nothing.
    ///
    /// # Errors
    /// As [`ChannelState::apply`]; `unavailable`: the broker has as many members as it may have.
    pub fn apply(&mut self, command: Command, now: Now) -> Result<(), Refusal> {
        if let Command::Join { user, .. } = &command {
            self.check_memberships(user)?;
        }
        let (hub, name) = (self.hub, self.channel.name());
        let bounds = &hub.rules_in(self.channel).bounds;
        self.guarded.change(command, name, (&hub.users, &hub.metrics), bounds, now)
    }

    /// Refuses one more member than the broker may have in all. As with leases, as many threads as
    /// the runtime has may pass it at the same moment.
    fn check_memberships(&self, user: &UserId) -> Result<(), Refusal> {
        let limit = self.hub.max_memberships;
        let members = self.hub.metrics.members.get();
        if members < limit as i64 || self.presence().member(user, Viewer::All).is_some() {
            return Ok(());
        }
        let rule = format!("the broker holds {limit} memberships, and that is the limit");
        let retry_after_ms = Some(self.hub.presence_timeout_ms);
        Err(Refusal { retry_after_ms, ..Refusal::new(ErrorCode::Unavailable, rule) })
    }

    /// Whether a lost connection of `user` may have its grace here: not if the user is in more
    /// channels than what outlives a connection may keep it in. No join is refused for that.
    #[must_use]
    pub fn may_have_grace(&self, user: &UserId) -> bool {
        self.hub.users.channel_count(user) <= self.hub.max_channels_per_user
    }

    /// Refuses `user` a lease of `source` here, unless it has one, if it is in too many other
    /// channels. What connections join is bounded by what each may join, and what outlives them by
    /// [`Door::may_have_grace`]. Requests in different channels at the same moment may all be within the limit, so it
    /// may be passed by as many as the runtime has threads.
    ///
    /// # Errors
    /// `too_many_channels`.
    pub fn check_lease(&self, user: &UserId, source: Source) -> Result<(), Refusal> {
        if self.presence().has_source(user, source) {
            return Ok(());
        }
        let here = self.presence().is_own(user);
        let elsewhere = self.hub.users.channel_count(user).saturating_sub(usize::from(here));
        let limit = self.hub.max_channels_per_user;
        if elsewhere < limit {
            return Ok(());
        }
        Err(Refusal::field(
            ErrorCode::TooManyChannels,
            "channel",
            format_args!("would be one more than the {limit} in which a user may have leases"),
        ))
    }

    /// Ends the lease of `keeper`, whichever node times it.
    pub fn end_lease(&mut self, user: UserId, keeper: Keeper, reason: LeaveReason, now: Now) {
        let source = Source::Lease(keeper);
        if !self.presence().leases(&user).any(|lease| lease == source) {
            self.guarded.consult(|replica, _| replica.ended_lease(&user, keeper));
        }
        let ended = self.apply(Command::Leave { user, source, reason }, now);
        debug_assert!(ended.is_ok());
    }

    /// Takes in what the store told of users of whom something was done here just before.
    pub fn learn(&mut self, told: &Told) {
        let heard = self.hear(false, |replica, presence, peers, now| {
            let heard = replica.told_apart(told, presence, peers, now);
            (heard.commands, ())
        });
        debug_assert!(heard.is_some());
    }

    /// Adds a subscriber; the result is its slot among those who asked for the same level.
    pub fn subscribe(&mut self, sub: Arc<Subscription>) -> u32 {
        self.observers().inc();
        self.guarded.add_subscriber(sub)
    }

    /// Frees the slot of a subscriber who asked for `asked`.
    pub fn unsubscribe(&mut self, asked: Asked, slot: u32) {
        self.observers().dec();
        self.guarded.remove_subscriber(asked, slot);
    }

    fn observers(&self) -> &Gauge {
        self.hub.observers_of(self.channel.name())
    }

    /// Has the subscriber given what it is owed at the next tick.
    pub fn want(&mut self, sub: Arc<Subscription>) {
        self.guarded.want(sub);
    }

    /// What the channel's lock guards.
    pub(super) fn guarded(&mut self) -> &mut Guarded {
        self.guarded
    }

    /// Somebody asks for the channel and does not stay. What tells that so much of it is known as it
    /// `wants`; `None`: it is, or will not be soon.
    pub(super) fn attend(
        &mut self,
        wants: Wanted,
        hearing: Option<u64>,
        now_ms: u64,
    ) -> Option<oneshot::Receiver<()>> {
        let clustered = self.guarded.clustered.as_mut()?;
        clustered.attend(&self.hub.attended, wants, hearing, now_ms)
    }

    /// All that other nodes have is known.
    pub(super) fn complete(&mut self) {
        self.guarded.complete();
        if !self.guarded.is_partial() {
            self.show_sum(None);
        }
    }

    /// From here on this is known of all members, or they are known themselves.
    pub(super) fn show_sum(&mut self, sum: Option<Sum>) {
        let applied = self.apply(Command::Sum(sum.map(Box::new)), self.hub.clock.now());
        debug_assert!(applied.is_ok());
    }

    /// Has the channel followed, although nobody looks yet.
    pub(super) fn follow_others(&mut self) {
        if self.guarded.clustered.is_some() && !self.guarded.follows() {
            self.hub.begin_following(self.channel, self.guarded);
        }
    }

    /// Takes in what is heard of other nodes: `act` says what that means for the members. `unheard`:
    /// observers are not told, since they are not told yet whom other nodes have.
    pub(super) fn hear<T>(
        &mut self,
        unheard: bool,
        act: impl FnOnce(&mut Replica, &ChannelState, &Peers, Now) -> (Vec<Command>, T),
    ) -> Option<T> {
        if let Some(user) = self.channel.name().status_of() {
            return self.hear_status(&user, act);
        }
        let now = self.hub.clock.now();
        let peers = self.hub.engine()?.peers(self.channel.name());
        let heard =
            |replica: &mut Replica, presence: &ChannelState| act(replica, presence, &peers, now);
        let (commands, result) = self.guarded.consult(heard)?;
        let touched = self.guarded.touched();
        for command in commands {
            let applied = self.apply(command, now);
            debug_assert!(applied.is_ok());
        }
        if unheard {
            self.guarded.forget_touched(touched);
        }
        self.guarded.agree();
        Some(result)
    }

    /// Adds a follower, which `link` makes out of what there is to follow.
    pub(super) fn follow(&mut self, link: impl FnOnce(&ChannelState, &Ring) -> Arc<Link>) {
        let hub = self.hub;
        let new = || {
            let stamp = hub.stamps.load(Ordering::Relaxed);
            Followers::new(stamp, Arc::clone(&hub.rings), hub.clock.now().mono_ms)
        };
        self.guarded.add_follower(new, link);
    }

    pub(super) fn unfollow(&mut self, number: u64, now: Now) {
        self.guarded.remove_follower(number, now.mono_ms);
    }

    /// Where a user's status is told: has it tell what the status is. Looked up with the channel's
    /// lock held: of two changes at once the later one is told last, whoever comes first.
    pub fn tell_status(&mut self) {
        let name = self.channel.name();
        let Some(user) = name.status_of() else { return };
        let now = self.hub.clock.now();
        let view = match name.is_own_status() {
            true => View::Itself,
            false if self.guarded.hears(&user) => View::Others,
            false => View::Unheard,
        };
        let status = self.hub.users.status(&user, view, now);
        let status = status.unwrap_or_else(|| UserStatus::unknown(user));
        let told = self.apply(Command::SetStatus(Box::new(status)), now);
        debug_assert!(told.is_ok());
    }
}

/// Forgets what other nodes have of a channel that is not followed any longer, some at a time, unless
/// somebody looks again.
pub(super) async fn forget(hub: Arc<Hub>, channel: Arc<Channel>) {
    let mut from = None;
    loop {
        let part = hub.enter_living(&channel, |door| {
            if door.guarded.follows() && !door.guarded.is_summed() {
                return None;
            }
            door.hear(true, |replica, presence, _, now| {
                let part = replica.unfollow(from.as_ref(), presence, now);
                (part.commands, part.next)
            })
        });
        from = part.flatten().flatten();
        if from.is_none() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// A channel's flusher. Where one panics, another goes on after a rest, since it may panic each time.
fn flusher(hub: Arc<Hub>, channel: Arc<Channel>) -> impl Future<Output = ()> {
    let flush = flush(Arc::clone(&hub), Arc::clone(&channel));
    on_panic(flush, move || {
        let runtime = hub.runtime.clone();
        runtime.spawn(async move {
            tokio::time::sleep(PANIC_REST).await;
            let mut guarded = channel.lock();
            guarded.flusher_ended();
            hub.settle(&channel, guarded);
        });
    })
}

/// Tells until there is nothing left to tell.
///
/// It runs only while there is something to tell. The first tick comes at once; while it and its
/// pass are under way further changes gather and fold, so the busier a channel is the larger its
/// steps. It never sleeps until a count is due: it ends, and the channel's timer starts another.
async fn flush(hub: Arc<Hub>, channel: Arc<Channel>) {
    let counted = (&hub.backlog, &hub.metrics);
    let bounds = &hub.rules_in(&channel).bounds;
    let mut pace = Pace::default();
    loop {
        let began = hub.clock.elapsed();
        let begun = Round::begin(&channel, hub.clock.now(), bounds, &hub.stamps, counted);
        let Some(mut round) = begun else { break };
        let ticked = hub.clock.elapsed();
        round.tell_subscribers(hub.clock, &channel, &mut pace).await;
        hub.metrics.tick_times.observe((ticked - began).as_secs_f64());
        hub.metrics.pass_times.observe((hub.clock.elapsed() - ticked).as_secs_f64());
        let (followed, folds) = (round.is_followed(), round.folds());
        round.end(&channel);
        match pace.rest(folds) {
            Some(rest) => tokio::time::sleep(rest).await,
            None => tokio::task::yield_now().await,
        }
        if followed {
            wake_followers(hub.clock, &channel, &mut pace).await;
        }
    }
    // Nothing is left to do but to reap.
    hub.settle(&channel, channel.lock());
}
