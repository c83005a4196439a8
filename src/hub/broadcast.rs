//! What one tick has to tell: each kind encoded when the first subscriber is owed it, without the
//! channel's lock, and shared by all others. So a giant's snapshot stalls nobody.

use std::collections::HashMap;
use std::sync::Arc;

use herenow_protocol::reply::{InForce, LevelReason, SnapshotReason};
use herenow_protocol::{ChannelName, Level, ServerFrame, encode};

use crate::auth::{Access, Caller};
use crate::delivery::{Cursor, Owed, SharedFrame, Subscription};
use crate::metrics::Metrics;
use crate::presence::{Bundle, ChannelState, Sight, Standing, Step, Tally, View, Viewer};

/// The frames of a tick, and what else its round may need, taken at the tick.
pub(super) struct Broadcast {
    standing: Standing,
    frames: Option<Frames>,
    view: Option<View>,
    tally: Option<Tally>,
    /// What was encoded besides the frames.
    shared: Vec<(Kind, Arc<SharedFrame>)>,
    /// Told, instead of the frames, to those who see more.
    aside: Option<Arc<Step>>,
    asides: HashMap<Sight, Arc<SharedFrame>>,
    /// Snapshots of those who see more, by what they see: the numbers of the members.
    own_views: HashMap<(Kind, Vec<u64>), Arc<SharedFrame>>,
    metrics: Arc<Metrics>,
}

struct Frames {
    first: Cursor,
    next: Cursor,
    shared: Arc<SharedFrame>,
}

/// The kinds of shared frames, besides those of the tick.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Snapshot(SnapshotReason),
    Count { recent: bool },
    Switch(InForce),
}

impl Kind {
    /// Why the snapshot comes that is in it, if one is.
    fn snapshot_reason(self) -> Option<SnapshotReason> {
        match self {
            Self::Snapshot(reason) => Some(reason),
            Self::Switch(InForce::Events) => Some(SnapshotReason::Level),
            Self::Switch(InForce::Count) | Self::Count { .. } => None,
        }
    }
}

impl Broadcast {
    pub(super) fn new(
        standing: Standing,
        frames: Option<Bundle>,
        aside: Option<Arc<Step>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let frames = frames.map(|Bundle { first_seq, next_seq, bytes }| Frames {
            first: Cursor::Next(first_seq),
            next: Cursor::Next(next_seq),
            shared: SharedFrame::new(bytes),
        });
        Self {
            standing,
            frames,
            view: None,
            tally: None,
            shared: Vec::new(),
            aside,
            asides: HashMap::new(),
            own_views: HashMap::new(),
            metrics,
        }
    }

    /// Takes from the channel, at the tick, what the level of those who asked for `asked` begins
    /// with.
    pub(super) fn take(&mut self, presence: &ChannelState, asked: Level) {
        match self.standing.level(asked) {
            InForce::Events if self.view.is_none() => self.view = Some(presence.view()),
            InForce::Count if self.tally.is_none() => self.tally = Some(presence.tally()),
            _ => {}
        }
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// Writes the frames to a subscriber who lacks just these.
    pub(super) fn tell_frames(&self, sub: &Subscription) {
        if let Some(Frames { first, next, shared }) = &self.frames {
            sub.visit(*first, *next, shared);
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
        let encode = || SharedFrame::new(changes.encode(channel, viewer));
        let shared = self.asides.entry(sight).or_insert_with(encode);
        let (from, to) = (Cursor::Next(changes.first_seq()), Cursor::Next(changes.next_seq()));
        sub.visit_once(from, to, shared)
    }

    /// Tells a subscriber what the tick means to it. The result: in how long it may be told a
    /// count that it is owed.
    pub(super) fn tell(
        &mut self,
        channel: &ChannelName,
        sub: &Subscription,
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
    pub(super) fn serve(&mut self, channel: &ChannelName, sub: &Subscription, now_ms: u64) {
        let cursor = sub.outlet().lock().cursor(sub);
        let owed = match self.standing.owed(sub.asked(), cursor, now_ms) {
            // The pass tells it, or there is nothing to tell.
            Owed::Frames(seq) if self.is_near(seq) => return,
            // It caught up while its level changed and changed back.
            Owed::Frames(_) => Owed::Snapshot(SnapshotReason::Resync),
            owed => owed,
        };
        self.give(channel, sub, cursor, owed, now_ms);
    }

    /// Whether a subscriber whose next frame is `seq` lacks at most the frames of this tick.
    fn is_near(&self, seq: u64) -> bool {
        let next = Cursor::Next(seq);
        self.frames.as_ref().is_some_and(|frames| frames.first == next || frames.next == next)
            || self.view.as_ref().is_some_and(|view| view.seq + 1 == seq)
    }

    fn give(
        &mut self,
        channel: &ChannelName,
        sub: &Subscription,
        from: Cursor,
        owed: Owed,
        now_ms: u64,
    ) {
        let kind = match owed {
            Owed::Nothing | Owed::Frames(_) | Owed::CountLater { .. } => return,
            Owed::Snapshot(reason) => Kind::Snapshot(reason),
            Owed::Count => Kind::Count { recent: sub.asked() == Level::Auto },
            Owed::Switch(level) => Kind::Switch(level),
        };
        let to = match kind {
            Kind::Snapshot(_) | Kind::Switch(InForce::Events) => {
                self.view.as_ref().map(|view| Cursor::Next(view.seq + 1))
            }
            Kind::Count { .. } | Kind::Switch(InForce::Count) => {
                let at_ms = now_ms as u32;
                self.tally.as_ref().map(|tally| Cursor::Counted { seq: tally.seq, at_ms })
            }
        };
        debug_assert!(to.is_some(), "nothing was taken for {owed:?}");
        if let Some(to) = to {
            let shared = match self.own_view(channel, kind, sub) {
                Some(own) => own,
                None => self.shared(channel, kind),
            };
            let given = sub.visit(from, to, &shared);
            // Here and nowhere else a subscriber gets one, whatever made it want one. Where the
            // socket does not take it, the subscriber still wants it, and it comes here again.
            if given && kind == Kind::Snapshot(SnapshotReason::Resync) {
                self.metrics.resyncs.inc();
            }
        }
    }

    /// The snapshot of a subscriber who sees more than everyone does: that for everyone, and what
    /// else it may see.
    fn own_view(
        &mut self,
        channel: &ChannelName,
        kind: Kind,
        sub: &Subscription,
    ) -> Option<Arc<SharedFrame>> {
        let reason = kind.snapshot_reason()?;
        let view = self.view.as_ref().filter(|view| !view.restricted.is_empty())?;
        let access = sub.outlet().access();
        let seen = view.sight(viewer(sub, access.as_deref()));
        if seen.is_empty() {
            return None;
        }
        let key = (kind, seen.iter().map(|member| member.number).collect());
        if let Some(shared) = self.own_views.get(&key) {
            return Some(Arc::clone(shared));
        }
        let mut bytes = self.encode(channel, kind, true);
        view.encode_rest(channel, reason, &seen, &mut bytes);
        let shared = SharedFrame::new(bytes);
        self.own_views.insert(key, Arc::clone(&shared));
        Some(shared)
    }

    fn shared(&mut self, channel: &ChannelName, kind: Kind) -> Arc<SharedFrame> {
        if let Some((_, shared)) = self.shared.iter().find(|(known, _)| *known == kind) {
            return Arc::clone(shared);
        }
        let shared = SharedFrame::new(self.encode(channel, kind, false));
        self.shared.push((kind, Arc::clone(&shared)));
        shared
    }

    /// `more`: a snapshot of which some more is to follow.
    fn encode(&self, channel: &ChannelName, kind: Kind, more: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if let Kind::Switch(level) = kind {
            let channel = channel.clone();
            let frame = ServerFrame::Level { channel, level, reason: LevelReason::Size };
            encode::text_message(&frame, &mut out);
        }
        match (kind, kind.snapshot_reason(), &self.view, &self.tally) {
            (_, Some(reason), Some(view), _) => view.encode(channel, reason, more, &mut out),
            (Kind::Switch(_), None, _, Some(tally)) => tally.encode(channel, true, &mut out),
            (Kind::Count { recent }, _, _, Some(tally)) => tally.encode(channel, recent, &mut out),
            _ => {}
        }
        out
    }

    /// All that was shared.
    pub(super) fn into_shared(self) -> Vec<Arc<SharedFrame>> {
        let frames = self.frames.map(|frames| frames.shared);
        frames
            .into_iter()
            .chain(self.shared.into_iter().map(|(_, shared)| shared))
            .chain(self.asides.into_values())
            .chain(self.own_views.into_values())
            .collect()
    }
}

/// Who looks through a subscription.
fn viewer<'a>(sub: &'a Subscription, access: Option<&'a Access>) -> Viewer<'a> {
    Caller::User { user: sub.outlet().user(), access }.viewer()
}
