//! One channel as connections, followers and flushers share it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use herenow_protocol::reply::InForce;
use herenow_protocol::{ChannelName, Epoch, Level, LossReason, Refusal, UserId};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::clustered::{Clustered, Wanted};
use super::count_pacer::CountPacer;
use super::followers::{Followers, Link};
use super::subscribers::Subscribers;
use crate::cluster::Replica;
use crate::delivery::Subscription;
use crate::limits::LOGS_BYTES;
use crate::metrics::Metrics;
use crate::now::{NEVER, Now};
use crate::presence::follow::mark_of;
use crate::presence::pending::Cause;
use crate::presence::{
    Asked, Bounds, Bundle, ChannelState, Command, Ring, Standing, Step, Transition, Viewer,
};
use crate::users::Users;

/// A channel: its name, and everything else behind its lock.
pub struct Channel {
    name: ChannelName,
    /// The number of what holds in it.
    rules: u16,
    guarded: Mutex<Guarded>,
}

impl Channel {
    /// An empty one. `clustered` where other nodes may have members in it.
    pub(super) fn new(
        name: ChannelName,
        rules: u16,
        epoch: Epoch,
        clustered: Option<Box<Clustered>>,
    ) -> Self {
        let mut presence = ChannelState::new(epoch);
        if clustered.is_some() {
            presence.share();
        }
        let guarded = Guarded {
            presence,
            subscribers: Subscribers::default(),
            followers: None,
            clustered,
            lends: false,
            lent: 0,
            pacer: CountPacer::default(),
            waiting: Vec::new(),
            stirred: Vec::new(),
            logged: 0,
            armed_ms: NEVER,
            changes: 0,
            running: false,
            dead: false,
        };
        Self { name, rules, guarded: Mutex::new(guarded) }
    }

    /// The channel's name.
    #[must_use]
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// The number of what holds in it.
    pub(super) fn rules(&self) -> u16 {
        self.rules
    }

    /// Takes the channel's lock, to read. The hub's door is the only way to change anything.
    pub fn look(&self) -> Look<'_> {
        Look(self.lock())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.guarded.lock()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A channel's lock, held to read.
pub struct Look<'a>(MutexGuard<'a, Guarded>);

impl Deref for Look<'_> {
    type Target = Guarded;

    fn deref(&self) -> &Guarded {
        &self.0
    }
}

impl fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// What a channel's lock guards.
#[derive(Debug)]
pub struct Guarded {
    /// The members, and the frames that told of them. Only [`Guarded::change`] and
    /// [`Guarded::tick`] change it.
    presence: ChannelState,
    subscribers: Subscribers,
    /// Boxed, since most channels have none.
    followers: Option<Box<Followers>>,
    /// What it knows of the other nodes of a cluster; `None`: the node runs alone.
    pub(super) clustered: Option<Box<Clustered>>,
    /// Where a user sees its own status: the channel where others see it is followed for that.
    lends: bool,
    /// Where a user's status is told: how many of the other channels of it have this one followed.
    lent: i32,
    /// When subscribers that are told the count are told again.
    pub(super) pacer: CountPacer,
    /// Subscribers that get what they are owed at the next tick. One may be in here twice, so
    /// whoever serves them looks at the cursor.
    waiting: Vec<Arc<Subscription>>,
    /// Users that came online or went, are away or back by what happened here: their watchers are
    /// told once the lock is free.
    pub(super) stirred: Vec<UserId>,
    /// Bytes of its log, as they were counted among those of all.
    logged: usize,
    /// When the timers will look at this channel.
    armed_ms: u64,
    /// Commands since the last tick that have, or joined, something to be told.
    changes: u32,
    /// A flusher runs.
    running: bool,
    /// Removed from the map: whoever still finds it must look again.
    dead: bool,
}

/// What one tick has to tell.
pub(super) struct Ticked {
    /// The frames for everyone.
    pub(super) frames: Option<Bundle>,
    /// The same as values, where some viewers see more than everyone.
    pub(super) aside: Option<Arc<Step>>,
    /// Whether followers have something to look at.
    pub(super) followed: bool,
    /// How many commands it tells of.
    pub(super) changes: u32,
}

impl Guarded {
    /// The members, and the frames that told of them.
    #[must_use]
    pub fn presence(&self) -> &ChannelState {
        &self.presence
    }

    /// The ring that a follower reads by `link`; `None`: the link is not of this channel.
    pub(super) fn ring(&self, link: &Arc<Link>) -> Option<&Ring> {
        let followers = self.followers.as_ref().filter(|followers| followers.has(link))?;
        Some(followers.ring())
    }

    /// Applies a command. What came of it is noted for everybody who has to know: the index of
    /// users and the metrics at once, watchers once the lock is free.
    ///
    /// # Errors
    /// As [`ChannelState::apply`].
    pub(super) fn change(
        &mut self,
        command: Command,
        channel: &ChannelName,
        (users, metrics): (&Users, &Metrics),
        bounds: &Bounds,
        now: Now,
    ) -> Result<(), Refusal> {
        let Self { presence, stirred, changes, clustered, .. } = self;
        let (held, mut own) = (presence.members_held(), 0);
        let buries = matches!(&command, Command::Elsewhere(heard) if heard.is_of_dead());
        let applied = presence.apply(command, now, bounds, |transition| {
            let (user, stirs) = match transition {
                Transition::Appeared { user, away } => {
                    metrics.joins.inc();
                    own += 1;
                    (user, users.appeared(user, channel, away, now))
                }
                Transition::Turned { user, away } => (user, users.turned(user, away, now)),
                Transition::Vanished { user, cause, away, last_seen } => {
                    own -= 1;
                    match cause {
                        Cause::Left(reason) => metrics.leaves.inc(reason),
                        Cause::Lost(reason, _) => metrics.timeouts.inc(reason),
                        Cause::Own | Cause::Expired => {}
                    }
                    (user, users.vanished(user, channel, away, last_seen, now))
                }
            };
            if stirs {
                stirred.push(user.clone());
            }
        });
        let came = presence.members_held() as i64 - held as i64;
        metrics.members.inc_by(came);
        if came != own {
            metrics.members_elsewhere.inc_by(came - own);
        }
        if buries && came < 0 {
            metrics.timeouts.inc(LossReason::Node);
        }
        if let Some(clustered) = clustered {
            clustered.replica.note(presence);
        }
        *changes = changes.saturating_add(u32::from(presence.has_news()));
        self.count_log(metrics);
        applied
    }

    /// Counts the bytes of the log among those of all channels.
    fn count_log(&mut self, metrics: &Metrics) {
        let before = std::mem::replace(&mut self.logged, self.presence.log_memory());
        if before != self.logged {
            metrics.log_bytes.inc_by(self.logged as i64 - before as i64);
        }
    }

    /// Ends what time ends beside the members: what followers no longer need, and the wait of those
    /// that are told the count.
    pub(super) fn expire(&mut self, now_ms: u64) {
        if self.followers.as_mut().is_some_and(|followers| followers.expire(now_ms)) {
            self.followers = None;
        }
        self.pacer.ring(now_ms);
        if self.clustered.as_mut().is_some_and(|clustered| clustered.expire(now_ms)) {
            self.followers.iter().for_each(|followers| followers.wake());
        }
    }

    /// The tick. `stamps` numbers those of all channels that somebody follows.
    pub(super) fn tick(
        &mut self,
        channel: &ChannelName,
        now: Now,
        bounds: &Bounds,
        stamps: &AtomicU64,
        metrics: &Metrics,
    ) -> Ticked {
        let tick = self.presence.tick(channel, now, bounds);
        let changes = std::mem::take(&mut self.changes);
        if self.subscribers.have_attributes() {
            self.presence.note_shown(&tick.changes);
        }
        self.count_log(metrics);
        if metrics.log_bytes.get() > LOGS_BYTES as i64 {
            self.presence.forget_log();
            self.count_log(metrics);
        }
        let hides = tick.changes.hide();
        let followed = self.followers.is_some() && !tick.changes.is_empty();
        if !(hides || followed) {
            return Ticked { frames: tick.frames, aside: None, followed, changes };
        }
        let stamp = if followed { stamps.fetch_add(1, Ordering::Relaxed) + 1 } else { 0 };
        let step = Step::new(stamp, tick.changes, now.mono_ms);
        if let Some(followers) = &mut self.followers {
            followers.push(Arc::clone(&step));
        }
        Ticked { frames: tick.frames, aside: hides.then_some(step), followed, changes }
    }

    /// Adds a subscriber; the result is its slot among those who asked for the same level.
    pub(super) fn add_subscriber(&mut self, sub: Arc<Subscription>) -> u32 {
        self.observe();
        self.subscribers.add(sub)
    }

    /// Frees the slot of a subscriber who asked for `asked`.
    pub(super) fn remove_subscriber(&mut self, asked: Asked, slot: u32) {
        self.subscribers.remove(asked, slot);
    }

    /// Adds a follower, which `link` makes out of what there is to follow; `new` makes the ring of
    /// the first.
    pub(super) fn add_follower(
        &mut self,
        new: impl FnOnce() -> Followers,
        link: impl FnOnce(&ChannelState, &Ring) -> Arc<Link>,
    ) {
        let followers = self.followers.get_or_insert_with(|| Box::new(new()));
        let link = link(&self.presence, followers.ring());
        if link.is_alone() {
            self.observe();
        }
        if let Some(followers) = &mut self.followers {
            followers.add(link);
        }
    }

    /// Somebody comes to observe. The first has followers of patterns look, to whom the channel may
    /// have been like one that is gone.
    fn observe(&mut self) {
        if self.observers() == 0 && self.presence.count() == 0 {
            self.followers.iter().for_each(|followers| followers.wake());
        }
        self.presence.observe();
    }

    /// A list named the channel's epoch, so somebody knows it.
    pub(super) fn was_listed(&mut self) {
        self.presence.observe();
    }

    pub(super) fn remove_follower(&mut self, number: u64, now_ms: u64) {
        if let Some(followers) = &mut self.followers {
            followers.remove(number, now_ms);
        }
    }

    /// The next followers after `number` that are to be told.
    pub(super) fn next_links(
        &self,
        number: Option<u64>,
        batch: &mut Vec<Arc<Link>>,
    ) -> Option<u64> {
        self.followers.as_ref()?.next_batch(number, batch)
    }

    /// Whether anybody follows it, alone or by a pattern.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.followers.as_ref().is_some_and(|followers| !followers.is_empty())
    }

    /// Number of subscribers, and of followers of this channel alone.
    #[must_use]
    pub fn observers(&self) -> usize {
        let alone = self.followers.as_ref().map_or(0, |followers| followers.alone());
        self.subscribers.len() + alone
    }

    /// How the channel stands, as far as it matters to what its subscribers are owed.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.presence.standing()
    }

    /// Has the subscriber given what it is owed at the next tick.
    pub(super) fn want(&mut self, sub: Arc<Subscription>) {
        self.waiting.push(sub);
    }

    pub(super) fn want_all(&mut self, subs: &mut Vec<Arc<Subscription>>) {
        self.waiting.append(subs);
    }

    pub(super) fn take_waiting(&mut self) -> Vec<Arc<Subscription>> {
        std::mem::take(&mut self.waiting)
    }

    /// Whether anybody who asked for `asked` subscribed.
    pub(super) fn has(&self, asked: Level) -> bool {
        self.subscribers.has(asked)
    }

    /// The next of those who asked for `asked`, from slot `from` on, into `batch`; the slot to go
    /// on from.
    pub(super) fn next_batch(
        &self,
        asked: Level,
        from: usize,
        batch: &mut Vec<Arc<Subscription>>,
    ) -> usize {
        self.subscribers.next_batch(asked, from, batch)
    }

    /// A member came or went, or one of the newest changed: subscribers that are told the count are owed
    /// it, if there are any.
    pub(super) fn owe_count(&mut self) {
        let standing = self.standing();
        let counted = |asked| standing.level(asked) == InForce::Count && self.has(asked);
        if [Level::Auto, Level::Count].into_iter().any(counted) {
            self.pacer.owe();
        }
    }

    /// Whether there is something to tell.
    pub(super) fn has_news(&self) -> bool {
        let any = self.presence.has_news() || !self.waiting.is_empty() || self.pacer.rings();
        match &self.clustered {
            None => any,
            Some(clustered) => (any || clustered.begins_anew()) && !clustered.holds_back(),
        }
    }

    /// Whether whoever looks waits, since all that other nodes have is about to come.
    pub(super) fn holds_back(&self) -> bool {
        self.clustered.as_ref().is_some_and(|clustered| clustered.holds_back())
    }

    /// Whether whoever looks is to begin anew at the next tick.
    pub(super) fn begins_anew(&self) -> bool {
        self.clustered.as_ref().is_some_and(|clustered| clustered.begins_anew())
    }

    /// Whether it is known what other nodes have of the user, whose status is told here: all is, or
    /// the user is online here, and the store has answered so.
    pub(super) fn hears(&self, user: &UserId) -> bool {
        let knows = |it: &Clustered| it.is_whole() || it.replica.record(user).is_some();
        self.clustered.as_deref().is_none_or(knows)
    }

    /// Whether all of this node's own was said to other nodes, and answered.
    pub(super) fn has_said_all(&self) -> bool {
        self.clustered.as_ref().is_none_or(|it| it.replica.has_said_all())
    }

    /// When the user was last seen, as far as the store told; 0: it did not.
    pub(super) fn seen(&self, user: &UserId) -> u64 {
        let record = self.clustered.as_ref().and_then(|it| it.replica.record(user));
        record.map_or(0, |record| record.seen)
    }

    /// Whether the channel where others see the status is to be followed from here on, or no longer:
    /// said once.
    pub(super) fn lends(&mut self, can: bool) -> Option<bool> {
        let lends = can && self.observers() > 0;
        (std::mem::replace(&mut self.lends, lends) != lends).then_some(lends)
    }

    /// The channel is followed for another one of the same user, or no longer. In whichever order.
    pub(super) fn lend(&mut self, lent: bool) {
        self.lent += if lent { 1 } else { -1 };
    }

    /// Whether not everybody may be known who is a member by other nodes.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.clustered.as_ref().is_some_and(|clustered| !clustered.is_whole())
    }

    /// Whether this node itself keeps the user present.
    pub(super) fn has_own(&self, user: &UserId) -> bool {
        let own = self.presence.own(user);
        own.is_some_and(|own| own.mark.is_some() || !own.leases.is_empty())
    }

    /// Whether other nodes' members are in it, or will be soon.
    pub(super) fn follows(&self) -> bool {
        self.clustered.as_ref().is_some_and(|clustered| clustered.is_followed())
    }

    /// What is to be known of other nodes' members. To followers of patterns a channel without any
    /// member is like one that is gone, once they were told that the last one went.
    pub(super) fn wanted(&self) -> Wanted {
        let Some(clustered) = &self.clustered else { return Wanted::Nothing };
        let by_pattern = || !self.is_deserted() || clustered.holds_back();
        let alone = self.followers.as_ref().is_some_and(|followers| followers.alone() > 0);
        let each = self.subscribers.has(Level::Events) || alone || self.lent > 0;
        if each || (self.is_followed() && by_pattern()) {
            return Wanted::Members;
        }
        // Whoever asked for `auto` is content with a count where the store counts.
        let some = if self.subscribers.is_empty() { Wanted::Nothing } else { Wanted::Count };
        some.max(clustered.attention())
    }

    /// Whether nobody is there, by any node, and whoever looks was told so.
    fn is_deserted(&self) -> bool {
        self.presence.is_empty() && !self.presence.has_news()
    }

    /// Whether so much is known of other nodes' members as somebody needs to know.
    pub(super) fn knows(&self, wanted: Wanted, hearing: Option<u64>) -> bool {
        self.clustered.as_ref().is_none_or(|clustered| clustered.knows(wanted, hearing))
    }

    /// Whether the summary suffices to all who look, if there is one.
    pub(super) fn counts_only(&self) -> bool {
        self.clustered.as_ref().is_some_and(|clustered| clustered.counts_only())
    }

    /// Whether of other nodes' members the summary is all that is known.
    pub(super) fn is_summed(&self) -> bool {
        self.clustered.as_ref().is_some_and(|clustered| clustered.is_summed())
    }

    /// The summary is known, and suffices. Whether what else is known is to be forgotten.
    pub(super) fn sum_up(&mut self) -> bool {
        self.clustered.as_mut().is_some_and(|clustered| clustered.sum_up())
    }

    /// What is known of the channel as a whole was heard anew: whether its members are counted, and
    /// whether the summary, where it is all that is known, may be wrong.
    pub(super) fn agree(&mut self) {
        let Self { clustered, presence, .. } = self;
        let Some(clustered) = clustered else { return };
        presence.agree(clustered.replica.counts());
        if clustered.is_summed() {
            presence.set_partial(clustered.replica.is_summary_partial());
        }
    }

    pub(super) fn begin_following(&mut self, well: bool, now_ms: u64) {
        if let Some(clustered) = &mut self.clustered {
            clustered.begin(well, now_ms);
            self.presence.set_partial(true);
        }
    }

    /// Nobody looks any longer. Whoever comes back must not be told that the others left: `stamp` is
    /// larger than that of any tick before.
    pub(super) fn end_following(&mut self, stamp: u64) {
        if let Some(clustered) = &mut self.clustered {
            clustered.end();
            self.presence.set_partial(false);
            if !self.is_deserted() {
                self.begin_unheard(stamp);
            }
        }
    }

    /// Nobody looks any longer: this node's own members are all that is known.
    pub(super) fn forget_sum(&mut self) {
        self.presence.forget_sum();
    }

    /// All that other nodes have is known. Those who were told less, or nothing yet, are told at the
    /// next tick.
    pub(super) fn complete(&mut self) {
        self.clustered.iter_mut().for_each(|clustered| clustered.complete());
    }

    /// What is known of other nodes was asked for in that hearing, and all of it has come.
    pub(super) fn heard_in(&mut self, hearing: u64) {
        self.clustered.iter_mut().for_each(|clustered| clustered.heard_in(hearing));
    }

    /// At a tick: has everybody begin anew, if that is due. Between two ticks somebody may be in the
    /// midst of a snapshot, whose parts are to agree.
    pub(super) fn begin_anew_if_due(&mut self, stamps: &AtomicU64) {
        if self.clustered.as_mut().is_some_and(|clustered| clustered.take_anew()) {
            self.presence.set_partial(false);
            self.begin_unheard(stamps.fetch_add(1, Ordering::Relaxed) + 1);
        }
    }

    /// Has what this node knows of the others look at the members.
    pub(super) fn consult<T>(
        &mut self,
        act: impl FnOnce(&mut Replica, &ChannelState) -> T,
    ) -> Option<T> {
        let Self { clustered, presence, .. } = self;
        clustered.as_mut().map(|clustered| act(&mut clustered.replica, presence))
    }

    /// What tells that other nodes can know what was done here of the user; `None`: they can.
    pub(super) fn until_told(&mut self, user: &UserId) -> Option<oneshot::Receiver<()>> {
        let Self { clustered, presence, .. } = self;
        clustered.as_mut()?.until_told(user, presence)
    }

    /// The store answered: see [`Clustered::release_told`].
    pub(super) fn release_told(&mut self) {
        let Self { clustered, presence, .. } = self;
        clustered.iter_mut().for_each(|clustered| clustered.release_told(presence));
    }

    /// How many members were touched since the last tick.
    pub(super) fn touched(&self) -> usize {
        self.presence.touched()
    }

    /// No tick tells of those touched last, but for the first `touched`.
    pub(super) fn forget_touched(&mut self, touched: usize) {
        self.presence.forget_touched(touched);
    }

    /// Has everybody who looks begin anew, with a snapshot: what came last is no news of people who
    /// came or went. `stamp` is larger than that of any tick before.
    fn begin_unheard(&mut self, stamp: u64) {
        self.presence.begin_unheard();
        let Self { subscribers, waiting, .. } = self;
        subscribers.all(waiting);
        if let Some(followers) = &mut self.followers {
            followers.skip(stamp);
        }
        self.owe_count();
    }

    /// Whether a flusher has to be started now.
    pub(super) fn start_flusher(&mut self) -> bool {
        let start = !self.running && self.has_news();
        self.running |= start;
        start
    }

    pub(super) fn flusher_ended(&mut self) {
        self.running = false;
    }

    /// When the timers looked at this channel next, and when they have to from now on, if that is
    /// earlier.
    pub(super) fn arm(&mut self) -> Option<(u64, u64)> {
        if self.dead {
            return None;
        }
        let followers = self.followers.as_ref().and_then(|followers| followers.deadline());
        let clustered = self.clustered.as_ref().and_then(|clustered| clustered.deadline());
        let deadlines = [self.presence.deadline(), self.pacer.deadline(), followers, clustered];
        let due_ms = deadlines.into_iter().flatten().min().filter(|&ms| ms < self.armed_ms)?;
        Some((std::mem::replace(&mut self.armed_ms, due_ms), due_ms))
    }

    /// Whether the timer that fired is the one that is armed: another may just have been instead.
    pub(super) fn disarm(&mut self, due_ms: u64) -> bool {
        let armed = self.armed_ms == due_ms;
        if armed {
            self.armed_ms = NEVER;
        }
        armed
    }

    /// No member, no subscriber, no follower of this channel alone, nothing to be said to other nodes,
    /// and nobody at work: nothing may remain.
    pub(super) fn is_vain(&self) -> bool {
        let idle = self.clustered.as_ref().is_none_or(|clustered| clustered.is_idle());
        let empty = self.presence.is_empty() && self.observers() == 0;
        let lent = self.lent != 0;
        !self.running && !self.dead && empty && idle && !lent && !self.presence.keeps_own()
    }

    /// Whether only hidden members keep the channel: to everybody else it is to be like one that is
    /// gone, and the next one of that name has another epoch.
    pub(super) fn is_over(&self) -> bool {
        !self.running && !self.dead && self.observers() == 0 && self.presence.is_over()
    }

    /// Whether, to a `viewer` who does not keep it, the channel is like one that is gone.
    pub(super) fn is_none_to(&self, viewer: Viewer<'_>) -> bool {
        let over = !self.running && self.observers() == 0 && !self.presence.has_news();
        over && self.presence.count() == 0 && !self.presence.shows(viewer)
    }

    /// Begins a new history, of which followers of patterns are told.
    pub(super) fn begin_anew(&mut self, epoch: Epoch) {
        let end = self.followers.as_ref().map(|it| mark_of(&self.presence, it.ring()));
        self.presence.begin_anew(epoch);
        self.pacer = CountPacer::default();
        // What is kept for whoever comes back is of the old one.
        self.followers.take_if(|followers| followers.is_empty());
        if let (Some(followers), Some(end)) = (&self.followers, end) {
            followers.begin_anew(end, self.presence.epoch());
        }
    }

    /// Marks the channel dead; the result is when its timer would have fired.
    pub(super) fn bury(&mut self, metrics: &Metrics) -> u64 {
        self.dead = true;
        if let Some(followers) = self.followers.take() {
            let end = mark_of(&self.presence, followers.ring());
            followers.bury(end);
        }
        self.presence.forget_log();
        self.count_log(metrics);
        self.clustered = None;
        std::mem::replace(&mut self.armed_ms, NEVER)
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }
}
