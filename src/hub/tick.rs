//! The flusher: turns a channel's changes into frames and writes them to every subscriber.
//!
//! It runs only while there is something to tell. The first tick comes at once; while it and its
//! pass are under way further changes gather and fold, so the busier a channel is the larger its
//! steps. Nothing is queued per subscriber and no task is woken: the pass writes to the sockets.
//! It never sleeps until a count is due: it ends, and the channel's timer starts another.

use std::sync::Arc;

use herenow_protocol::Level;
use herenow_protocol::reply::InForce;

use super::Hub;
use super::channel::{Channel, Room};
use super::pace::Pace;
use super::telling::Telling;
use crate::delivery::Subscription;
use crate::limits::{PASS_BATCH, PASS_TURN};
use crate::presence::{Bounds, Now, Roster};

/// Tells until there is nothing left to tell.
pub(super) async fn flush(hub: Arc<Hub>, channel: Arc<Channel>) {
    let running = Running { hub: &hub, channel: &channel };
    let mut pace = Pace::default();
    while let Some(mut round) = Round::begin(&channel, hub.clock.now(), &hub.bounds) {
        round.tell_aside(&hub, &channel, &mut pace).await;
        round.serve_waiting(&hub, &channel, &mut pace).await;
        round.pass(&hub, &channel, &mut pace).await;
        round.end(&hub, &channel);
        match pace.rest() {
            Some(rest) => tokio::time::sleep(rest).await,
            None => tokio::task::yield_now().await,
        }
    }
    drop(running);
}

/// Some subscribers of a channel, taken under its lock and told without it.
type Batch = Vec<Arc<Subscription>>;

/// What one tick has to tell, and to whom. Taken under the channel's lock, told without it.
struct Round {
    telling: Telling,
    /// Those who asked for something since the last tick, or have caught up since.
    waiting: Vec<Arc<Subscription>>,
    /// Whom the pass takes besides: those who asked for one of these levels.
    crowds: Vec<Level>,
    /// `auto` means another level than at the last tick.
    switched: bool,
    /// When the first of those who could not be told the count yet may be told.
    passed_over_ms: Option<u64>,
}

impl Round {
    /// The tick. `None` ends the flusher, in the same hold in which it saw that nothing is left.
    fn begin(channel: &Channel, now: Now, bounds: &Bounds) -> Option<Self> {
        let mut room = channel.lock();
        room.beat.ring(now.mono_ms);
        if !room.has_news() {
            room.flusher_ended();
            return None;
        }
        let before = room.standing();
        let tick = room.presence.tick(channel.name(), now, bounds);
        let standing = room.standing();
        if before.moved_seq != standing.moved_seq {
            room.owe_count();
        }
        let counting = room.beat.begin(now.mono_ms);
        let switched = before.roster != standing.roster;
        let waiting = room.take_waiting();
        let crowds = crowds(&room, tick.frames.is_some(), counting, switched);
        let mut telling = Telling::new(standing, tick);
        // Only at a tick do log and state agree, so whatever this round may need is taken now. A
        // crowd that is told frames as ever needs nothing else.
        let beginning = switched && crowds.contains(&Level::Auto);
        let asked = waiting.iter().map(|sub| sub.asked());
        for asked in asked.chain(beginning.then_some(Level::Auto)) {
            telling.take(&room, asked);
        }
        if counting {
            telling.take(&room, Level::Count);
        }
        Some(Self { telling, waiting, crowds, switched, passed_over_ms: None })
    }

    /// Tells those who see more than everyone does: before anybody is given a snapshot, which has
    /// what is told here, and before the frames for everyone, which they are not told.
    async fn tell_aside(&mut self, hub: &Hub, channel: &Channel, pace: &mut Pace) {
        if !self.telling.has_aside() {
            return;
        }
        let standing = self.telling.standing();
        let levels = [Level::Events, Level::Auto];
        let listed = levels.into_iter().filter(|&asked| standing.level(asked) == InForce::Events);
        let tell = |round: &mut Self, _, batch: &mut Batch, _| {
            batch.retain(|sub| round.telling.tell_aside(channel.name(), sub));
            if !batch.is_empty() {
                channel.lock().want_all(batch);
            }
        };
        self.over(listed, hub, channel, pace, tell).await;
    }

    /// Gives those who waited what they are owed.
    async fn serve_waiting(&mut self, hub: &Hub, channel: &Channel, pace: &mut Pace) {
        for batch in std::mem::take(&mut self.waiting).chunks(PASS_BATCH) {
            let began = hub.clock.elapsed();
            for sub in batch {
                self.telling.serve(channel.name(), sub, began.as_millis() as u64);
            }
            pace.spent(hub.clock.elapsed() - began);
            tokio::task::yield_now().await;
        }
    }

    /// Writes to every subscriber to whom the tick means something.
    async fn pass(&mut self, hub: &Hub, channel: &Channel, pace: &mut Pace) {
        let crowds = std::mem::take(&mut self.crowds);
        let tell = |round: &mut Self, asked, batch: &mut Batch, now_ms| {
            round.tell(channel, asked, batch, now_ms);
        };
        self.over(crowds, hub, channel, pace, tell).await;
    }

    /// Has `act` done with all who asked for one of `levels`, some at a time: the channel's lock is
    /// held only to fetch them, and others get their turn after every few. `act` gets what they
    /// asked for, empties the batch, and is told the time.
    async fn over(
        &mut self,
        levels: impl IntoIterator<Item = Level>,
        hub: &Hub,
        channel: &Channel,
        pace: &mut Pace,
        mut act: impl FnMut(&mut Self, Level, &mut Batch, u64),
    ) {
        let mut batch = Batch::with_capacity(PASS_BATCH);
        for asked in levels {
            let mut slot = 0;
            for batches in 1.. {
                let began = hub.clock.elapsed();
                slot = channel.lock().next_batch(asked, slot, &mut batch);
                let last = batch.len() < PASS_BATCH;
                act(self, asked, &mut batch, began.as_millis() as u64);
                pace.spent(hub.clock.elapsed() - began);
                if last {
                    break;
                }
                if batches % PASS_TURN == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Tells a batch of those who asked for `asked`, and empties it.
    fn tell(&mut self, channel: &Channel, asked: Level, batch: &mut Batch, now_ms: u64) {
        let only_frames = self.telling.standing().level(asked) == InForce::Events
            && !(self.switched && asked == Level::Auto);
        batch.iter().for_each(|sub| sub.outlet().fetch());
        for sub in batch.drain(..) {
            if only_frames {
                self.telling.tell_frames(&sub);
            } else if let Some(in_ms) = self.telling.tell(channel.name(), &sub, now_ms) {
                let due_ms = now_ms + in_ms;
                self.passed_over_ms = Some(self.passed_over_ms.map_or(due_ms, |ms| ms.min(due_ms)));
            }
        }
    }

    /// What is left of a round: those whom it passed over, and what slow readers keep of it.
    fn end(self, hub: &Hub, channel: &Channel) {
        let shared = self.telling.into_shared();
        let mut room = channel.lock();
        if let Some(due_ms) = self.passed_over_ms {
            room.beat.passed_over(due_ms);
        }
        let revoked: Vec<_> = shared.iter().flat_map(|frame| room.pin(frame)).collect();
        drop(room);
        revoked.iter().for_each(|frame| hub.revoke(frame));
    }
}

/// Whose subscribers a pass takes after a tick that had `frames`, with a round of counts that is
/// due (`counting`), or after which `auto` means another level (`switched`).
fn crowds(room: &Room, frames: bool, counting: bool, switched: bool) -> Vec<Level> {
    let auto = match room.presence.roster() {
        Roster::Listed => frames,
        Roster::Counted => counting,
    };
    let takes =
        [(Level::Events, frames), (Level::Auto, auto || switched), (Level::Count, counting)];
    let taken = takes.into_iter().filter(|&(asked, takes)| takes && room.has(asked));
    taken.map(|(asked, _)| asked).collect()
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
