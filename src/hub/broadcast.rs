//! What one tick has to tell: each kind encoded when the first subscriber is owed it, without the
//! channel's lock, and shared by all others. Snapshots are told part by part (`hub/convoy`).

use std::collections::HashMap;
use std::sync::Arc;

use herenow_protocol::reply::{InForce, LevelReason, SnapshotReason};
use herenow_protocol::{ChannelName, Level, ServerFrame, UserStatus, encode};

use super::convoy::{Convoy, viewer};
use crate::delivery::{Backlog, Cursor, Owed, SharedFrame, Subscription};
use crate::limits::MAX_SHARED_KINDS;
use crate::metrics::Metrics;
use crate::presence::{Bundle, ChannelState, Recent, Sight, Standing, Step, Tally};

/// The frames of a tick, and what else its round may need, taken at the tick.
pub(super) struct Broadcast {
    standing: Standing,
    /// The frames, each with its seq.
    frames: Vec<(u64, Arc<SharedFrame>)>,
    /// The last seq, with what those who begin at `events` are told after it.
    begins: Option<(u64, Begins)>,
    tally: Option<Tally>,
    /// What was encoded besides the frames, given last last; at most [`MAX_SHARED_KINDS`].
    shared: Vec<(Kind, Arc<SharedFrame>)>,
    /// Told, instead of the frames, to those who see more.
    aside: Option<Arc<Step>>,
    asides: HashMap<Sight, Arc<SharedFrame>>,
    /// Those who are owed a snapshot.
    convoy: Convoy,
    backlog: Arc<Backlog>,
    /// How many are told it, about.
    readers: usize,
    metrics: Arc<Metrics>,
}

/// What somebody begins with at `events`.
enum Begins {
    /// The members, part by part.
    Members,
    /// The user's status, where that is what the channel tells.
    Status(Box<UserStatus>),
}

/// The kinds of shared frames, besides those of the tick and snapshots.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Status,
    Count(Recent),
    SwitchToCount(Recent),
}

impl Broadcast {
    pub(super) fn new(
        standing: Standing,
        frames: Option<Bundle>,
        aside: Option<Arc<Step>>,
        readers: usize,
        (backlog, metrics): (&Arc<Backlog>, &Arc<Metrics>),
    ) -> Self {
        let shared = |frame| SharedFrame::of_tick(frame, readers, metrics);
        let frames = frames.into_iter().flat_map(|Bundle { first_seq, frames }| {
            (first_seq..).zip(frames.into_iter().map(shared))
        });
        Self {
            standing,
            frames: frames.collect(),
            begins: None,
            tally: None,
            shared: Vec::new(),
            aside,
            asides: HashMap::new(),
            convoy: Convoy::default(),
            backlog: Arc::clone(backlog),
            readers,
            metrics: Arc::clone(metrics),
        }
    }

    /// Takes from the channel, at the tick, what the level of those who asked for `asked` begins
    /// with.
    pub(super) fn take(&mut self, presence: &ChannelState, asked: Level) {
        match self.standing.level(asked) {
            InForce::Events if self.begins.is_none() => {
                let status = presence.told_status().cloned().map(Box::new);
                let begins = status.map_or(Begins::Members, Begins::Status);
                self.begins = Some((presence.next_seq() - 1, begins));
            }
            InForce::Count if self.tally.is_none() => self.tally = Some(presence.tally()),
            _ => {}
        }
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// Writes the frames to a subscriber who lacks just these.
    pub(super) fn tell_frames(&self, sub: &Subscription) {
        for (seq, shared) in &self.frames {
            if !sub.visit(Cursor::Next(*seq), Cursor::Next(seq + 1), shared, &self.backlog) {
                return;
            }
        }
    }

    /// Whether some subscribers see more of this tick than others.
    pub(super) fn has_aside(&self) -> bool {
        self.aside.is_some()
    }

    /// Writes what the tick means to a subscriber who sees more of it than everyone does, and
    /// nothing to others. The result: whether it has to be given a snapshot instead.
    pub(super) fn tell_aside(&mut self, channel: &ChannelName, sub: &Subscription) -> bool {
        let Some(aside) = &self.aside else { return false };
        let access = sub.outlet().access();
        let viewer = viewer(sub, access.as_deref());
        let changes = &aside.changes;
        let Some(sight) = changes.sight(viewer) else { return false };
        // Never compressed: what one writes stands beside what only others may see.
        let encode = || SharedFrame::new(changes.encode(channel, viewer));
        let shared = self.asides.entry(sight).or_insert_with(encode);
        let (from, to) = (Cursor::Next(changes.first_seq()), Cursor::Next(changes.next_seq()));
        sub.visit_once(from, to, shared, &self.backlog)
    }

    /// Tells a subscriber what the tick means to it. The result: in how long it may be told a
    /// count that it is owed.
    pub(super) fn tell(
        &mut self,
        channel: &ChannelName,
        sub: &Arc<Subscription>,
        now_ms: u64,
    ) -> Option<u64> {
        let cursor = sub.outlet().lock().cursor(sub);
        match self.standing.owed(sub.asked(), cursor, now_ms) {
            Owed::CountLater { in_ms } => return Some(in_ms),
            Owed::Frames(_) => self.tell_frames(sub),
            // Whoever asked after the tick waits for the next: this one is older than its wish.
            _ if matches!(cursor, Cursor::Want(_)) => {}
            Owed::Nothing => {}
            owed => self.give(channel, sub, cursor, owed, now_ms),
        }
        None
    }

    /// Gives a subscriber that waited what it is owed.
    pub(super) fn serve(&mut self, channel: &ChannelName, sub: &Arc<Subscription>, now_ms: u64) {
        let cursor = sub.outlet().lock().cursor(sub);
        let owed = match self.standing.owed(sub.asked(), cursor, now_ms) {
            // The pass tells it, or there is nothing to tell.
            Owed::Frames(seq) if self.is_near(seq) => return,
            // It caught up while its level changed and changed back.
            Owed::Frames(_) => Owed::Snapshot(SnapshotReason::Resync),
            // It rides on, unless its socket is full: then its own task goes on by itself.
            Owed::Part(place) => {
                return self.convoy.go_on(sub, place);
            }
            owed => owed,
        };
        self.give(channel, sub, cursor, owed, now_ms);
    }

    /// Whether a subscriber whose next frame is `seq` lacks at most the frames of this tick.
    fn is_near(&self, seq: u64) -> bool {
        let first = self.frames.first().map(|(first, _)| *first);
        let next = self.frames.last().map(|(last, _)| last + 1);
        let begins = self.begins.as_ref().map(|(last, _)| last + 1);
        [first, next, begins].contains(&Some(seq))
    }

    /// Gives what one frame tells, and has those ride along who are owed a snapshot.
    fn give(
        &mut self,
        channel: &ChannelName,
        sub: &Arc<Subscription>,
        from: Cursor,
        owed: Owed,
        now_ms: u64,
    ) {
        let (kind, to) = match (owed, &self.begins, &self.tally) {
            // The task of a connection that is in the midst of a snapshot goes on with it by itself.
            (Owed::Nothing | Owed::Frames(_) | Owed::CountLater { .. } | Owed::Part(_), ..) => {
                return;
            }
            (Owed::Snapshot(_), Some((last, Begins::Status(_))), _) => {
                (Kind::Status, Cursor::Next(last + 1))
            }
            (Owed::Snapshot(reason), Some(_), _) => {
                return self.convoy.add(sub, from, reason, false);
            }
            (Owed::Switch(InForce::Events), Some(_), _) => {
                return self.convoy.add(sub, from, SnapshotReason::Level, true);
            }
            (Owed::Count | Owed::Switch(InForce::Count), _, Some(tally)) => {
                let of = if owed == Owed::Count { Kind::Count } else { Kind::SwitchToCount };
                let kind = of(sub.asked().recent);
                (kind, Cursor::Counted { seq: tally.seq, at_ms: now_ms as u32 })
            }
            _ => {
                debug_assert!(false, "nothing was taken for {owed:?}");
                return;
            }
        };
        let shared = self.shared(channel, kind);
        sub.visit(from, to, &shared, &self.backlog);
    }

    /// Takes out those who are owed a snapshot.
    pub(super) fn take_convoy(&mut self) -> Convoy {
        std::mem::take(&mut self.convoy)
    }

    fn shared(&mut self, channel: &ChannelName, kind: Kind) -> Arc<SharedFrame> {
        let known = self.shared.iter().position(|(known, _)| *known == kind);
        let of_kind = match known {
            Some(index) => self.shared.remove(index),
            None => {
                let bytes = self.encode(channel, kind);
                (kind, SharedFrame::of_tick(bytes, self.readers, &self.metrics))
            }
        };
        // What was given longest ago goes: whatever few ask for, the crowd's is kept.
        if self.shared.len() == MAX_SHARED_KINDS {
            self.shared.remove(0);
        }
        let shared = Arc::clone(&of_kind.1);
        self.shared.push(of_kind);
        shared
    }

    fn encode(&self, channel: &ChannelName, kind: Kind) -> Vec<u8> {
        let mut out = Vec::new();
        match (kind, &self.begins, &self.tally) {
            (Kind::Status, Some((_, Begins::Status(status))), _) => {
                let status = UserStatus::clone(status);
                encode::text_message(&ServerFrame::Status { status }, &mut out);
            }
            (Kind::Count(recent), _, Some(tally)) => tally.encode(channel, recent, &mut out),
            (Kind::SwitchToCount(recent), _, Some(tally)) => {
                let (name, level) = (channel.clone(), InForce::Count);
                let frame = ServerFrame::Level { channel: name, level, reason: LevelReason::Size };
                encode::text_message(&frame, &mut out);
                tally.encode(channel, recent, &mut out);
            }
            _ => {}
        }
        out
    }
}
