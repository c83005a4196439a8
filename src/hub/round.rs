//! One tick, and broadcast it to everybody.
//!
//! Nothing is queued for a subscriber and no task is woken: the pass writes to the sockets.
//! Followers come last: they are woken, and read at their leisure.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use herenow_protocol::Level;
use herenow_protocol::reply::InForce;

use super::broadcast::Broadcast;
use super::channel::{Channel, Guarded};
use super::pace::Pace;
use crate::clock::Clock;
use crate::delivery::{Backlog, Subscription};
use crate::limits::PASS_BATCH;
use crate::metrics::Metrics;
use crate::now::Now;
use crate::presence::{Bounds, Roster};

/// Some subscribers of a channel, taken under its lock and told without it.
type Batch = Vec<Arc<Subscription>>;

/// What one tick has to tell, and to whom. Taken under the channel's lock, told without it.
pub(super) struct Round {
    broadcast: Broadcast,
    /// Those who asked for something since the last tick, or have caught up since.
    waiting: Vec<Arc<Subscription>>,
    /// Whom the pass takes besides: those who asked for one of these levels.
    asked: Vec<Level>,
    /// Followers have something to look at.
    followed: bool,
    /// It tells of several things that happened since the last tick.
    folds: bool,
    /// `auto` means another level than at the last tick.
    switched: bool,
    /// When the first of those who could not be told the count yet may be told.
    passed_over_ms: Option<u64>,
    backlog: Arc<Backlog>,
    metrics: Arc<Metrics>,
}

impl Round {
    /// The tick. `None` ends the flusher, in the same hold in which it saw that nothing is left.
    pub(super) fn begin(
        channel: &Channel,
        now: Now,
        bounds: &Bounds,
        stamps: &AtomicU64,
        (backlog, metrics): (&Arc<Backlog>, &Arc<Metrics>),
    ) -> Option<Self> {
        let mut guarded = channel.lock();
        guarded.pacer.ring(now.mono_ms);
        if !guarded.has_news() {
            guarded.flusher_ended();
            return None;
        }
        metrics.ticks.inc();
        guarded.begin_anew_if_due(stamps);
        let before = guarded.standing();
        let told = guarded.tick(channel.name(), now, bounds, stamps, metrics);
        let standing = guarded.standing();
        if before.moved_seq != standing.moved_seq || before.shown_seq != standing.shown_seq {
            guarded.owe_count();
        }
        let counting = guarded.pacer.begin(now.mono_ms);
        let switched = before.roster != standing.roster;
        let waiting = guarded.take_waiting();
        let asked = asked(&guarded, told.frames.is_some(), counting, switched);
        let (frames, aside, readers) = (told.frames, told.aside, guarded.observers());
        let mut broadcast = Broadcast::new(standing, frames, aside, readers, (backlog, metrics));
        // Only at a tick do log and state agree, so whatever this round may need is taken now.
        // Subscribers that are told frames as ever need nothing else.
        let beginning = switched && asked.contains(&Level::Auto);
        let begun = waiting.iter().map(|sub| sub.asked().level);
        for asked in begun.chain(beginning.then_some(Level::Auto)) {
            broadcast.take(guarded.presence(), asked);
        }
        if counting {
            broadcast.take(guarded.presence(), Level::Count);
        }
        let folds = told.changes as usize + waiting.len() > 1;
        let followed = told.followed;
        let (backlog, metrics) = (Arc::clone(backlog), Arc::clone(metrics));
        let passed_over_ms = None;
        Some(Self {
            broadcast,
            waiting,
            asked,
            followed,
            folds,
            switched,
            passed_over_ms,
            backlog,
            metrics,
        })
    }

    /// Tells subscribers all of it, in the order in which it must come.
    pub(super) async fn tell_subscribers(
        &mut self,
        clock: Clock,
        channel: &Channel,
        pace: &mut Pace,
    ) {
        self.tell_aside(clock, channel, pace).await;
        self.serve_waiting(clock, channel, pace).await;
        self.pass(clock, channel, pace).await;
    }

    /// Whether the tick put something into the ring of followers.
    pub(super) fn is_followed(&self) -> bool {
        self.followed
    }

    /// Whether it told of several things at once: a sign that more come while it tells.
    pub(super) fn folds(&self) -> bool {
        self.folds
    }

    /// Tells those who see more than everyone does: before anybody is given a snapshot, which has
    /// what is told here, and before the frames for everyone, which they are not told.
    async fn tell_aside(&mut self, clock: Clock, channel: &Channel, pace: &mut Pace) {
        if !self.broadcast.has_aside() {
            return;
        }
        let standing = self.broadcast.standing();
        let levels = [Level::Events, Level::Auto];
        let listed = levels.into_iter().filter(|&asked| standing.level(asked) == InForce::Events);
        let tell = |round: &mut Self, _, batch: &mut Batch, _| {
            batch.retain(|sub| round.broadcast.tell_aside(channel.name(), sub));
            if !batch.is_empty() {
                channel.lock().want_all(batch);
            }
        };
        self.over(listed, clock, channel, pace, tell).await;
    }

    /// Gives those who waited what they are owed.
    async fn serve_waiting(&mut self, clock: Clock, channel: &Channel, pace: &mut Pace) {
        for batch in std::mem::take(&mut self.waiting).chunks(PASS_BATCH) {
            let began = clock.elapsed();
            for sub in batch {
                self.broadcast.serve(channel.name(), sub, began.as_millis() as u64);
            }
            pace.spent(clock.elapsed() - began);
            pace.let_others(clock).await;
        }
        self.give_snapshots(clock, channel, pace).await;
    }

    /// Gives snapshots to those who were found to be owed one.
    async fn give_snapshots(&mut self, clock: Clock, channel: &Channel, pace: &mut Pace) {
        let convoy = self.broadcast.take_convoy();
        convoy.ride(clock, channel, (&self.backlog, &self.metrics), pace).await;
    }

    /// Writes to every subscriber to whom the tick means something.
    async fn pass(&mut self, clock: Clock, channel: &Channel, pace: &mut Pace) {
        let asked = std::mem::take(&mut self.asked);
        let tell = |round: &mut Self, asked, batch: &mut Batch, now_ms| {
            round.tell(channel, asked, batch, now_ms);
        };
        self.over(asked, clock, channel, pace, tell).await;
        self.give_snapshots(clock, channel, pace).await;
    }

    /// Has `act` done with all who asked for one of `levels`, some at a time: the channel's lock is
    /// held only to fetch them, and others get their turn behind them. `act` gets what they
    /// asked for, empties the batch, and is told the time.
    async fn over(
        &mut self,
        levels: impl IntoIterator<Item = Level>,
        clock: Clock,
        channel: &Channel,
        pace: &mut Pace,
        mut act: impl FnMut(&mut Self, Level, &mut Batch, u64),
    ) {
        let mut batch = Batch::with_capacity(PASS_BATCH);
        for asked in levels {
            let mut slot = 0;
            loop {
                let began = clock.elapsed();
                slot = channel.lock().next_batch(asked, slot, &mut batch);
                let last = batch.len() < PASS_BATCH;
                act(self, asked, &mut batch, began.as_millis() as u64);
                pace.spent(clock.elapsed() - began);
                if last {
                    break;
                }
                pace.let_others(clock).await;
            }
        }
    }

    /// Tells a batch of those who asked for `asked`, and empties it.
    fn tell(&mut self, channel: &Channel, asked: Level, batch: &mut Batch, now_ms: u64) {
        let only_frames = self.broadcast.standing().level(asked) == InForce::Events
            && !(self.switched && asked == Level::Auto);
        self.metrics.deliveries.inc_by(batch.len() as u64);
        batch.iter().for_each(|sub| sub.outlet().fetch());
        for sub in batch.drain(..) {
            if only_frames {
                self.broadcast.tell_frames(&sub);
            } else if let Some(in_ms) = self.broadcast.tell(channel.name(), &sub, now_ms) {
                let due_ms = now_ms + in_ms;
                self.passed_over_ms = Some(self.passed_over_ms.map_or(due_ms, |ms| ms.min(due_ms)));
            }
        }
    }

    /// What is left of a round: those whom it passed over.
    pub(super) fn end(self, channel: &Channel) {
        if let Some(due_ms) = self.passed_over_ms {
            channel.lock().pacer.passed_over(due_ms);
        }
    }
}

/// Has followers look at what the tick put into the ring, some at a time. The flusher comes to this
/// after its rest: a thousand followers that wake take the processors from whoever reads the sockets
/// just written to, and these had their p99 doubled when followers were woken at once.
pub(super) async fn wake_followers(clock: Clock, channel: &Channel, pace: &mut Pace) {
    let (mut number, mut batch) = (None, Vec::new());
    loop {
        let began = clock.elapsed();
        number = channel.lock().next_links(number, &mut batch);
        batch.drain(..).for_each(|link| link.queue());
        pace.spent(clock.elapsed() - began);
        if number.is_none() {
            return;
        }
        pace.let_others(clock).await;
    }
}

/// Whose subscribers a pass takes after a tick that had `frames`, with a round of counts that is
/// due (`counting`), or after which `auto` means another level (`switched`).
fn asked(guarded: &Guarded, frames: bool, counting: bool, switched: bool) -> Vec<Level> {
    let auto = match guarded.presence().roster() {
        Roster::Listed => frames,
        Roster::Counted => counting,
    };
    let takes =
        [(Level::Events, frames), (Level::Auto, auto || switched), (Level::Count, counting)];
    let taken = takes.into_iter().filter(|&(asked, takes)| takes && guarded.has(asked));
    taken.map(|(asked, _)| asked).collect()
}
