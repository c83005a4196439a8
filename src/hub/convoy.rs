//! Subscribers that are given a snapshot together: part by part, each part encoded once for all who
//! keep pace.
//!
//! Whoever's socket does not take a part at once is left behind with its place, and its own task goes
//! on from there (`connection/catch_up`). While a ride lasts the channel does not tick, so that the
//! parts agree with each other and with the log, although each is read under a lock of its own. So a
//! ride ends after a while, and goes on behind the next tick: those who are in the midst of a snapshot
//! stand there by their cursors, and wait among those who asked. They go first; who came later waits
//! until they have it whole, and then all who came meanwhile ride together.

use std::collections::HashMap;
use std::sync::Arc;

use herenow_protocol::reply::{InForce, LevelReason, SnapshotReason};
use herenow_protocol::{ChannelName, Epoch, ServerFrame, encode};

use super::channel::Channel;
use super::pace::Pace;
use crate::auth::{Access, Caller};
use crate::clock::Clock;
use crate::delivery::{Backlog, Cursor, SharedFrame, Subscription, Want};
use crate::limits::{
    OWN_PART_BYTES, OWN_PARTS, PART_BYTES, PASS_BATCH, RIDE_BYTES, RIDE_SLICE, WHOLE_BYTES,
};
use crate::metrics::Metrics;
use crate::presence::{Part, Rest, SnapshotPlace, Viewer};

/// Those who are owed a snapshot, each with where it stands.
#[derive(Debug, Default)]
pub(super) struct Convoy(Vec<Rider>);

#[derive(Debug)]
struct Rider {
    sub: Arc<Subscription>,
    at: Cursor,
    reason: SnapshotReason,
    /// A `level` frame comes before the first part.
    switch: bool,
    /// Set if it began at an earlier tick: it was told all members numbered from this one on, and this
    /// is the seq of its snapshot.
    began: Option<(u64, u64)>,
}

/// The parts that are being told, each encoded when somebody first needs it: why it comes, whether a
/// `level` frame goes before it, and whether more follows.
type Encoded = Vec<((SnapshotReason, bool, bool), Arc<SharedFrame>)>;

/// What of a snapshot lies before its riders.
struct Leg {
    part: Part,
    epoch: Epoch,
    /// From where the part after it goes on; `None`: this is the last that everyone gets.
    next: Option<Rest>,
    /// Some viewers may see more than is in the parts for everyone.
    hides: bool,
    /// Whoever began at this seq or before may lack a member that stands higher in the lists since.
    leapt: Option<u64>,
    encoded: Encoded,
}

impl Convoy {
    /// Adds a subscriber that stands at `at` and is owed a snapshot for `reason`, behind a `level` frame
    /// or not (`switch`).
    pub(super) fn add(
        &mut self,
        sub: &Arc<Subscription>,
        at: Cursor,
        reason: SnapshotReason,
        switch: bool,
    ) {
        let began = None;
        self.0.push(Rider { sub: Arc::clone(sub), at, reason, switch, began });
    }

    /// Adds a subscriber that was told the parts before `place` at an earlier tick.
    pub(super) fn go_on(&mut self, sub: &Arc<Subscription>, place: SnapshotPlace) {
        let at = Cursor::Within(place);
        if let Rest::Public(below) = place.rest {
            let (began, reason) = (Some((below, place.seq)), place.reason);
            self.0.push(Rider { sub: Arc::clone(sub), at, reason, switch: false, began });
        } else {
            // What it lacks is for its eyes alone.
            let _ = sub.go_on_alone(at, at);
        }
    }

    /// Where those are who are the furthest, if any began at an earlier tick. All others wait for a
    /// later one: so each part is told to many at once.
    fn lead(&mut self, channel: &Channel) -> Option<(u64, u64)> {
        let lead = self.0.iter().filter_map(|rider| rider.began).min()?;
        let (riders, later) =
            std::mem::take(&mut self.0).into_iter().partition(|rider| rider.began == Some(lead));
        self.0 = riders;
        Self(later).wait(channel);
        Some(lead)
    }

    /// All of them ride at a later tick.
    fn wait(self, channel: &Channel) {
        let mut subs: Vec<_> = self.0.into_iter().map(|rider| rider.sub).collect();
        channel.lock().want_all(&mut subs);
    }

    /// Tells all of it, or as much as there is time for.
    pub(super) async fn ride(
        mut self,
        clock: Clock,
        channel: &Channel,
        (backlog, metrics): (&Arc<Backlog>, &Arc<Metrics>),
        pace: &mut Pace,
    ) {
        let ends = clock.elapsed() + RIDE_SLICE;
        let (below, seq) =
            self.lead(channel).map_or((u64::MAX, None), |(below, seq)| (below, Some(seq)));
        let mut rest = Some(Rest::Public(below));
        let mut told = 0;
        while let Some(from) = rest.filter(|_| !self.0.is_empty()) {
            let began = clock.elapsed();
            if began >= ends && told >= RIDE_BYTES {
                return self.wait(channel);
            }
            // Where there is no room for rests, only what sockets take whole.
            let sharing = if backlog.has_room() { self.0.len() } else { 1 };
            let mut leg = Leg::new(channel, from, seq, sharing);
            told += leg.bytes();
            rest = leg.next;
            let mut riders = std::mem::take(&mut self.0);
            pace.spent(clock.elapsed() - began);
            while !riders.is_empty() {
                let began = clock.elapsed();
                for mut rider in riders.drain(..riders.len().min(PASS_BATCH)) {
                    if rider.ride(channel, &mut leg, backlog, metrics) {
                        self.0.push(rider);
                    }
                }
                pace.spent(clock.elapsed() - began);
                pace.let_others(clock).await;
            }
        }
        self.ride_alone(clock, channel, backlog, pace).await;
    }

    /// Tells those who have had all that everyone sees whom else they see.
    async fn ride_alone(
        mut self,
        clock: Clock,
        channel: &Channel,
        backlog: &Arc<Backlog>,
        pace: &mut Pace,
    ) {
        let mut own = HashMap::new();
        for riders in self.0.chunks_mut(PASS_BATCH) {
            let began = clock.elapsed();
            for rider in riders {
                rider.ride_alone(channel, &mut own, backlog);
            }
            pace.spent(clock.elapsed() - began);
            pace.let_others(clock).await;
        }
    }
}

impl Leg {
    /// The part at `from`, which so many share: the fewer they are the smaller it is, since whoever
    /// does not take it whole keeps all of it alive. So nobody comes to more than its own part.
    ///
    /// `seq` is that of a snapshot that began at an earlier tick.
    fn new(channel: &Channel, from: Rest, seq: Option<u64>, sharing: usize) -> Self {
        let bytes = PART_BYTES.min(sharing * OWN_PART_BYTES);
        let look = channel.look();
        let presence = look.presence();
        let begin = presence.begin_snapshot(SnapshotReason::Subscribed);
        let place = SnapshotPlace { rest: from, seq: seq.unwrap_or(begin.seq), ..begin };
        let (part, next) = presence.snapshot_part(place, Viewer::Public, bytes);
        let hides = next.is_none() && presence.hides();
        let (epoch, next) = (presence.epoch(), next.map(|place| place.rest));
        let leapt = presence.last_leap(from);
        Self { part, epoch, next, hides, leapt, encoded: Encoded::new() }
    }

    /// Bytes of JSON, about.
    fn bytes(&self) -> usize {
        self.part.members.iter().map(|member| member.bytes()).sum()
    }

    fn shared(
        &mut self,
        name: &ChannelName,
        reason: SnapshotReason,
        switch: bool,
        more: bool,
        metrics: &Arc<Metrics>,
    ) -> Arc<SharedFrame> {
        let key = (reason, switch, more);
        if let Some((_, shared)) = self.encoded.iter().find(|(known, _)| *known == key) {
            return Arc::clone(shared);
        }
        let mut out = Vec::new();
        if switch {
            tell_level(name, &mut out);
        }
        (self.part.reason, self.part.more) = (reason, more);
        encode::text_message(&self.part.frame(name, self.epoch), &mut out);
        let shared = SharedFrame::squeezable(out, metrics);
        self.encoded.push((key, Arc::clone(&shared)));
        shared
    }
}

impl Rider {
    /// Tells the rider the part that all get. Whether it keeps pace, and there is more for it.
    fn ride(
        &mut self,
        channel: &Channel,
        leg: &mut Leg,
        backlog: &Arc<Backlog>,
        metrics: &Arc<Metrics>,
    ) -> bool {
        if let Cursor::Within(place) = self.at
            && leg.leapt.is_some_and(|seq| seq >= place.seq)
        {
            // A member is in no part of it any more: its own task has another snapshot follow.
            let missed = SnapshotPlace { missed: true, ..place };
            let _ = self.sub.go_on_alone(self.at, Cursor::Within(missed));
            return false;
        }
        let rest = match leg.next {
            Some(rest) => Some(rest),
            None if leg.hides => self.sees_more(channel).then_some(Rest::Own(u64::MAX)),
            None => None,
        };
        if let Some((_, seq)) = self.began.filter(|_| leg.next.is_none()) {
            self.arrive(channel, leg, seq, (backlog, metrics));
            return false;
        }
        let first = !matches!(self.at, Cursor::Within(_));
        let shared =
            leg.shared(channel.name(), self.reason, self.switch && first, rest.is_some(), metrics);
        if first && shared.bytes().len() > WHOLE_BYTES && !backlog.has_room() {
            if self.wait_for_room(channel.name(), leg.part.seq, backlog)
                && self.reason == SnapshotReason::Resync
            {
                metrics.resyncs.inc();
            }
            return false;
        }
        let to = match (self.at, rest) {
            // It may have missed something.
            (Cursor::Within(place), Some(rest)) => Cursor::Within(SnapshotPlace { rest, ..place }),
            _ => place_of(leg.part.seq, self.reason, rest),
        };
        let told = self.sub.visit(self.at, to, &shared, backlog);
        // Here and nowhere else a subscriber begins one, whatever made it want one. Where the socket
        // does not take it, the subscriber still wants it, and it comes here again.
        if told && first && self.reason == SnapshotReason::Resync {
            metrics.resyncs.inc();
        }
        self.at = to;
        told && rest.is_some()
    }

    /// Tells the last part to a rider that began at an earlier tick. What ticks told since `seq` comes
    /// from the log, by its own task.
    fn arrive(
        &self,
        channel: &Channel,
        leg: &mut Leg,
        seq: u64,
        (backlog, metrics): (&Arc<Backlog>, &Arc<Metrics>),
    ) {
        let missed = matches!(self.at, Cursor::Within(SnapshotPlace { missed: true, .. }));
        let to = Cursor::Next(seq + 1);
        if missed || leg.hides {
            // The task makes that part, too: whoever missed something needs a snapshot after it, and
            // others may see more than is in it.
            let _ = self.sub.go_on_alone(self.at, self.at);
            return;
        }
        let shared = leg.shared(channel.name(), self.reason, false, false, metrics);
        if self.sub.visit(self.at, to, &shared, backlog) {
            let _ = self.sub.go_on_alone(to, to);
        }
    }

    /// Has the rider's own task begin the snapshot, since that may wait in line for room. Left as it is
    /// the rider would come here again at once, and again in vain. Whether it does.
    fn wait_for_room(&mut self, name: &ChannelName, seq: u64, backlog: &Arc<Backlog>) -> bool {
        if self.switch {
            let mut out = Vec::new();
            tell_level(name, &mut out);
            let to = Cursor::Want(Want::Snapshot(self.reason));
            if !self.sub.visit(self.at, to, &SharedFrame::new(out), backlog) {
                return false;
            }
            self.at = to;
        }
        let begin = place_of(seq, self.reason, Some(Rest::Public(u64::MAX)));
        self.sub.go_on_alone(self.at, begin)
    }

    fn sees_more(&self, channel: &Channel) -> bool {
        let access = self.sub.outlet().access();
        channel.look().presence().sees_more(viewer(&self.sub, access.as_deref()))
    }

    /// Tells the rest, of whom not everyone may see. Viewers who see the same share it.
    fn ride_alone(
        &mut self,
        channel: &Channel,
        told: &mut HashMap<(SnapshotReason, Vec<u64>, bool), Arc<SharedFrame>>,
        backlog: &Arc<Backlog>,
    ) {
        let access = self.sub.outlet().access();
        while let Cursor::Within(place) = self.at {
            let look = channel.look();
            let viewer = viewer(&self.sub, access.as_deref());
            let (part, next) = look.presence().snapshot_part(place, viewer, OWN_PART_BYTES);
            let epoch = look.presence().epoch();
            drop(look);
            if told.len() == OWN_PARTS {
                told.clear();
            }
            let numbers = part.members.iter().map(|member| member.number).collect();
            // Never compressed: what one writes stands beside what only others may see.
            let shared = told.entry((self.reason, numbers, part.more)).or_insert_with(|| {
                let mut out = Vec::new();
                encode::text_message(&part.frame(channel.name(), epoch), &mut out);
                SharedFrame::new(out)
            });
            let to = place_of(place.seq, self.reason, next.map(|place| place.rest));
            if !self.sub.visit(self.at, to, shared, backlog) {
                return;
            }
            self.at = to;
        }
    }
}

/// From now on every event is told.
fn tell_level(name: &ChannelName, out: &mut Vec<u8>) {
    let (channel, level) = (name.clone(), InForce::Events);
    let frame = ServerFrame::Level { channel, level, reason: LevelReason::Size };
    encode::text_message(&frame, out);
}

/// Where somebody stands who is in the midst of a snapshot, or has it whole.
fn place_of(seq: u64, reason: SnapshotReason, rest: Option<Rest>) -> Cursor {
    let place = |rest| SnapshotPlace { seq, reason, rest, missed: false, renewed: false };
    rest.map_or(Cursor::Next(seq + 1), |rest| Cursor::Within(place(rest)))
}

/// Who looks through a subscription.
pub(super) fn viewer<'a>(sub: &'a Subscription, access: Option<&'a Access>) -> Viewer<'a> {
    Caller::User { user: sub.outlet().user(), access }.viewer()
}
