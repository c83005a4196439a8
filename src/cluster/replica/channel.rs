//! What a channel knows of what was said and heard of it.

use std::collections::{BTreeMap, BTreeSet};

use herenow_protocol::UserId;
use indexmap::IndexSet;

use super::known::{Clock, Known};
use crate::cluster::peers::Peers;
use crate::cluster::record::{Record, StoreMs};
use crate::cluster::summary::Summary;
use crate::limits::REPLICA_BATCH;
use crate::now::Now;
use crate::presence::{ChannelState, Command, Keeper, NodeId};

/// What a channel knows of what was said and heard of it. Bounded by its members on all nodes while it
/// is followed, and by this node's own otherwise.
#[derive(Debug)]
pub struct Replica {
    pub(super) me: NodeId,
    pub(super) keep_ms: u64,
    pub(super) users: BTreeMap<UserId, Known>,
    /// Those of whom something is to be said, in the order in which it was done.
    pub(super) dirty: IndexSet<UserId>,
    /// Where saying all again goes on, while it does.
    pub(super) again: Option<UserId>,
    pub(super) again_from_start: bool,
    /// Those of whom something was said that is not answered yet.
    pub(super) in_flight: Option<Vec<UserId>>,
    /// Saying all again is a round.
    pub(super) round: u32,
    /// The last one that is because of lost data.
    pub(super) loss_round: u32,
    /// The data that the store holds, by its own name for it.
    pub(super) era: Option<u64>,
    /// And counted here, since an old copy has the old name.
    pub(super) generation: u32,
    pub(super) clock: Clock,
    pub(super) followed: Option<Followed>,
    /// Loads are numbered, for as long as the channel is there: an old one may end late.
    pub(super) loads: u32,
    /// Set where the summary alone is followed.
    pub(super) summed: Option<Summed>,
    /// Data were lost, and not all nodes have said all of theirs again since.
    pub(super) lost: bool,
    /// The node shuts down.
    pub(super) leaving: Option<Leaving>,
    /// Whether the store counts the members, and of which of its data and which version that is.
    pub(super) counts: Option<((u32, u64), bool)>,
}

/// What becomes of the connections of a node that shuts down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// Until when whoever had one is kept for it to come back elsewhere.
    pub(super) ends_ms: u64,
    /// When it was last heard, by the wall clock.
    pub(super) last_seen: u64,
}

/// What is known of a channel that is followed.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// All members are known.
    pub(super) whole: bool,
    pub(super) loading: Option<Loading>,
    /// From the first to the last version of those that were told without a gap.
    pub(super) run: Option<(u64, u64)>,
    /// Something was missed.
    pub(super) hole: bool,
    /// Users who went, and at which version: forgotten when all up to that was told.
    pub(super) gone: Vec<(u64, UserId)>,
    /// Users whom the store has.
    pub(super) present: usize,
    /// The nodes as they were known when the last load began.
    pub(super) peers: Peers,
    /// Nodes whose marks are kept although they are missing.
    pub(super) unsure: BTreeSet<NodeId>,
}

/// What is known of a channel whose summary is followed.
#[derive(Debug, Default)]
pub(super) struct Summed {
    /// The last summary that counts.
    pub(super) known: Option<Summary>,
    /// What is known is of before a gap, so it may be of an older copy of the data, or a newer one. The
    /// answer to what is asked since counts whatever its version, unless a newer one comes first.
    pub(super) anew: bool,
    /// The number of the last gap.
    pub(super) gap: u32,
    /// Data were lost, and not all nodes have said all of theirs again since; and until when it is
    /// waited for them, once that is known.
    pub(super) lost: bool,
    pub(super) held_until_ms: Option<u64>,
    /// When to ask for it.
    pub(super) ask_ms: u64,
}

impl Summed {
    /// The store holds other data than before.
    fn lose_data(&mut self) {
        // What never came cannot be lost.
        self.lost = self.known.is_some();
        (self.anew, self.ask_ms, self.held_until_ms) = (true, 0, None);
    }
}

impl Followed {
    /// Whether a load goes on or may have been asked for: what it brings may be older than what was told
    /// meanwhile.
    pub(super) fn may_be_loaded(&self) -> bool {
        self.loading.is_some() || self.hole || !self.unsure.is_empty()
    }

    /// Whether all was told up to that version: whoever is not known was not there then.
    pub(super) fn has_told(&self, version: u64) -> bool {
        !self.may_be_loaded() && self.run.is_some_and(|(_, last)| version <= last)
    }
}

/// A load that goes on.
#[derive(Debug)]
pub(super) struct Loading {
    pub(super) number: u32,
    /// The channel's version when it began; `None`: it was asked for.
    pub(super) version: Option<u64>,
    /// Whom it did not name is looked for behind this user.
    pub(super) swept: Option<UserId>,
}

/// What everything that is heard is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here<'a> {
    pub(super) state: &'a ChannelState,
    pub(super) peers: &'a Peers,
    pub(super) now: Now,
}

/// What follows from something that was heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// To be applied, in this order.
    pub commands: Vec<Command>,
    /// Something was missed: the channel is to be loaded again.
    pub load_again: bool,
}

/// What follows from the end of a load.
#[derive(Debug, Default)]
pub struct Loaded {
    /// To be applied, in this order.
    pub commands: Vec<Command>,
    /// Whether that is all. Otherwise the load is to be ended again, in another hold of the lock.
    pub done: bool,
    /// Something was missed: the channel is to be loaded again.
    pub load_again: bool,
}

/// A part of something that walks over all users, in several holds of the lock.
#[derive(Debug, Default)]
pub struct Part {
    /// To be applied, in this order.
    pub commands: Vec<Command>,
    /// Where to go on; `None`: that is all.
    pub next: Option<UserId>,
    /// At a burial: whether the store was last heard to have something of the node here.
    pub found: bool,
}

impl Replica {
    /// What the node `me` knows of a channel that comes to be. `keep_ms`: how long records are kept
    /// after the last mark went, in milliseconds; 0 but for channels that keep a user's status.
    #[must_use]
    pub fn new(me: NodeId, keep_ms: u64) -> Self {
        Self {
            me,
            keep_ms,
            users: BTreeMap::new(),
            dirty: IndexSet::new(),
            again: None,
            again_from_start: false,
            in_flight: None,
            round: 0,
            loss_round: 0,
            era: None,
            generation: 1,
            clock: Clock::default(),
            followed: None,
            loads: 0,
            summed: None,
            lost: false,
            leaving: None,
            counts: None,
        }
    }

    /// Notes what commands did to the channel. After each of them, in the same hold of the lock.
    pub fn note(&mut self, state: &mut ChannelState) {
        for (user, touch) in state.take_touched() {
            let is_empty = state.own(&user).is_none_or(|own| own.member.attributes.is_empty());
            let (round, clock) = (self.round, self.clock);
            let known = self.users.entry(user.clone());
            let known = known.or_insert_with(|| Known { round, ..Known::default() });
            known.touch(touch, is_empty, clock);
            self.dirty.insert(user);
        }
    }

    /// Whether [`Replica::say`] has something to say now: something differs from what was said last, and
    /// nothing is in flight.
    #[must_use]
    pub fn has_to_say(&self) -> bool {
        self.in_flight.is_none() && self.is_dirty()
    }

    /// Whether the channel may go: nothing is to be said, nothing is in flight, and nobody follows.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let follows = self.followed.is_some() || self.summed.is_some();
        self.in_flight.is_none() && !self.is_dirty() && !follows
    }

    /// Whether all of this node's own was said, and answered.
    #[must_use]
    pub fn has_said_all(&self) -> bool {
        self.in_flight.is_none() && !self.is_dirty()
    }

    fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || self.again.is_some() || self.again_from_start
    }

    /// A lease is ended here although another node may time it. What the channel does by a command of
    /// its own it notes by itself; this is for a lease that it does not know.
    pub fn ended_lease(&mut self, user: &UserId, keeper: Keeper) {
        let round = self.round;
        let known = self.users.entry(user.clone());
        let known = known.or_insert_with(|| Known { round, ..Known::default() });
        let ended = &mut known.todo().touch.ended;
        ended.retain(|&(other, _)| other != keeper);
        ended.push((keeper, false));
        self.dirty.insert(user.clone());
    }

    /// The connection to the store is a new one: all of this node's own is said again, part by part.
    /// That changes nothing where it is there.
    pub fn say_all(&mut self) {
        self.round += 1;
        (self.again, self.again_from_start) = (None, !self.users.is_empty());
    }

    /// As [`Replica::say_all`], and the store holds other data than before, which may lack anything: by
    /// the run id of its process, say. What is missing in them is kept until it is known to be gone.
    /// (Another era is found out here.)
    pub fn lost_data(&mut self) {
        self.say_all();
        self.loss_round = self.round;
        self.generation += 1;
        self.lost = true;
        if let Some(followed) = &mut self.followed {
            (followed.hole, followed.run) = (true, None);
            (followed.loading, followed.present) = (None, 0);
            followed.gone.clear();
            followed.peers = Peers::default();
        }
        self.summed.iter_mut().for_each(Summed::lose_data);
    }

    /// Whether these are the data that were known. If not, those are lost.
    pub(super) fn knows_data(&mut self, era: u64, clock: StoreMs, now: Now) -> bool {
        let known = self.era.is_none_or(|known| known == era);
        if !known {
            self.lost_data();
        }
        self.era = Some(era);
        self.clock = Clock { store: clock, mono_ms: now.mono_ms };
        known
    }

    /// This node was taken for dead, and goes on under another id: all of its own is said again. The old
    /// id is among the dead of [`Peers`] from then on.
    pub fn reborn(&mut self, me: NodeId) {
        self.me = me;
        self.say_all();
    }

    /// The node shuts down, and its clients are gone: whoever had a connection here is said to be lost,
    /// and is kept until `ends_ms`, unless it is elsewhere already.
    pub fn drain(&mut self, ends_ms: u64, now: Now) {
        self.leaving = Some(Leaving { ends_ms, last_seen: now.unix_ms });
        self.say_all();
    }

    /// At that version the store counts the members, or does not.
    pub fn stands(&mut self, version: u64, counted: bool) {
        let at = (self.generation, version);
        if self.counts.is_none_or(|(before, _)| before <= at) {
            self.counts = Some((at, counted));
        }
    }

    /// Whether the store counts the members; `None`: it did not tell yet.
    #[must_use]
    pub fn counts(&self) -> Option<bool> {
        self.counts.map(|(_, counted)| counted)
    }

    /// Whether what is published is told here.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.followed.is_some()
    }

    /// Whether all members on all nodes are known.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.followed.as_ref().is_some_and(|followed| followed.whole)
    }

    /// What the store was last heard to have of the user: of all users while the channel is followed, of
    /// this node's own otherwise.
    #[must_use]
    pub fn record(&self, user: &UserId) -> Option<&Record> {
        self.users.get(user)?.record.as_ref()
    }

    /// The first users behind `from`, as many as are looked at in one hold of the lock, and where to go
    /// on.
    pub(super) fn batch(&self, from: Option<&UserId>) -> (Vec<UserId>, Option<UserId>) {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = from.map_or(Unbounded, Excluded);
        let behind = self.users.range::<UserId, _>((from, Unbounded)).map(|(user, _)| user.clone());
        let batch: Vec<_> = behind.take(REPLICA_BATCH).collect();
        let next = (batch.len() == REPLICA_BATCH).then(|| batch.last().cloned()).flatten();
        (batch, next)
    }
}
