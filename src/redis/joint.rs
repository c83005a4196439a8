//! What all loops between Redis and the hub share.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Weak};

use herenow_protocol::ChannelName;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::ear::Ear;
use super::line::{Joined, Line};
use super::noted::Hints;
use super::orders::Orders;
use super::queue::Queue;
use super::store::Store;
use crate::actions::Desk;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::cluster::life::fingerprint;
use crate::cluster::name::Group;
use crate::cluster::nodes::Order;
use crate::cluster::record::Record;
use crate::cluster::{Nodes, Peers, Senders};
use crate::hub::{Channel, Hub};
use crate::limits::SAYS_IN_FLIGHT;
use crate::metrics::RedisMetrics;
use crate::now::Now;
use crate::presence::NodeId;

/// What all loops share. Nothing in it waits, and each lock is a leaf.
pub(super) struct Joint {
    pub(super) hub: Weak<Hub>,
    pub(super) desk: Weak<Desk>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) clock: Clock,
    pub(super) chance: Arc<Chance>,
    pub(super) metrics: Arc<RedisMetrics>,
    pub(super) prefix: String,
    pub(super) line: Arc<Line>,
    pub(super) store: Store,
    pub(super) ear: Ear,
    pub(super) orders: Orders,
    pub(super) nodes: Mutex<Nodes>,
    /// What takes long, for whoever does it. Few: some for each node that dies, and each connection.
    pub(super) deeds: mpsc::Sender<Deed>,
    /// Whether the node has a lease: without it nothing may be said.
    pub(super) leased: watch::Sender<bool>,
    /// Something about nodes is to be done sooner than was planned.
    pub(super) soon: Notify,
    /// A burial may have something to do.
    pub(super) burial: Notify,
    /// The data may be an old copy.
    pub(super) to_compare: Notify,

    /// Channels that have something to say.
    pub(super) unsaid: Queue,
    /// Channels in which nothing but leases was renewed, and when that is said.
    pub(super) renewals: Mutex<HashMap<usize, u64>>,
    /// One permit for each say that may be in flight.
    pub(super) says: Arc<Semaphore>,
    /// The channels in which everything is being said again for data that Redis holds now.
    pub(super) owed: Mutex<Owed>,
    /// Where Redis was told that this node has something.
    pub(super) hints: Hints,

    /// Channels that are followed.
    pub(super) followed: Mutex<HashMap<ChannelName, Arc<Channel>>>,
    /// Those that are to be loaded.
    pub(super) unloaded: Queue,
    /// Those that are being loaded.
    pub(super) loading: Mutex<HashSet<usize>>,
    /// Channels whose summary this node owes.
    pub(super) unsummed: Queue,
    /// Names that are perhaps not to be listened to any longer.
    pub(super) left: Mutex<Vec<ChannelName>>,
    pub(super) some_left: Notify,
    /// Whether somebody follows channels by patterns.
    pub(super) wants_names: watch::Sender<bool>,
    /// How often all channels were told to them.
    pub(super) meetings: watch::Sender<Meetings>,
    pub(super) to_meet: Notify,
    /// The nodes that tell back ends.
    pub(super) senders: watch::Sender<Senders>,
}

/// Something that takes long, and is done in order.
#[derive(Debug)]
pub(super) enum Deed {
    /// What follows from a renewal.
    Order(Order),
    /// Redis is connected anew, or another process answers.
    Joined(Joined),
    /// Redis was seen to hold other data.
    Lost,
}

/// How often all channels were told to whoever follows them by patterns.
#[derive(Debug, Default)]
pub(super) struct Meetings {
    /// Times at which that was begun.
    pub(super) begun: u64,
    /// The last of them that came to its end.
    pub(super) ended: u64,
}

/// See [`Joint::owed`].
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Groups of which all channels are being looked at, each with its data.
    pub(super) walks: HashMap<Group, u64>,
    /// Channels in which something is to be said, each with its group and the data.
    pub(super) channels: HashMap<usize, (Group, u64)>,
}

impl fmt::Debug for Joint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joint").field("line", &self.line).finish_non_exhaustive()
    }
}

impl Joint {
    /// The present moment.
    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Whether its lease runs: no other node can have taken this one for dead.
    pub(super) fn is_surely_alive(&self) -> bool {
        self.nodes.lock().is_surely_alive(self.now().mono_ms)
    }

    /// This node.
    pub(super) fn me(&self) -> NodeId {
        self.nodes.lock().me()
    }

    /// The hub, as long as it lives.
    pub(super) fn hub(&self) -> Option<Arc<Hub>> {
        self.hub.upgrade()
    }

    /// What is known of the other nodes, as far as it matters to the channel.
    pub(super) fn peers(&self, channel: &ChannelName) -> Peers {
        self.nodes.lock().peers(Group::of(channel).number())
    }

    /// An answer named the era of the data of a group. Nothing is made of it while it is not known
    /// which process answered.
    pub(super) fn era_seen(&self, group: Group, era: u64) -> Option<u64> {
        let data = fingerprint(era, self.line.joined_now()?.runs.of(group));
        if self.nodes.lock().data_seen(group.number(), data) {
            self.soon.notify_one();
            self.do_later(Deed::Lost);
        }
        Some(data)
    }

    /// Records that were heard name nodes: one that is in no list is dead, and what a dead one left
    /// is to be cleared away.
    pub(super) fn nodes_seen<'a>(
        &self,
        channel: &ChannelName,
        records: impl IntoIterator<Item = &'a Record>,
    ) {
        let now = self.now();
        let peers = self.peers(channel);
        let mut seen: Vec<NodeId> = Vec::new();
        for record in records {
            let owners = record.leases.values().map(|lease| lease.owner);
            for node in record.marks.keys().copied().chain(owners) {
                if !seen.contains(&node) && seen.len() < 64 {
                    seen.push(node);
                }
            }
        }
        let mut nodes = self.nodes.lock();
        for node in seen {
            nodes.heard_of(node, now);
            nodes.stray(node, channel);
            if peers.is_dead(node) {
                self.burial.notify_one();
            }
        }
    }

    /// Has it done, behind all that is to be done before it.
    pub(super) fn do_later(&self, deed: Deed) {
        // Nobody does anything any longer once the hub is gone.
        if let Err(lost) = self.deeds.try_send(deed) {
            tracing::error!(?lost, "too much to do about other nodes");
        }
    }

    /// How many says may be in flight.
    pub(super) fn says() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(SAYS_IN_FLIGHT))
    }
}
