//! What one node knows of all nodes, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use herenow_protocol::ChannelName;

use super::burial::Burial;
use super::data::Data;
use super::dead::Dead;
use super::rhythm::Rhythm;
use super::unbroken::Unbroken;
use crate::cluster::life::{NodeInfo, NodeSeen, Renew, Renewed};
use crate::cluster::peers::Peers;
use crate::cluster::record::StoreMs;
use crate::cluster::senders::Senders;
use crate::limits::MAX_STRAY_NODES;
use crate::now::Now;
use crate::presence::NodeId;

/// What an operator says of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What people call it.
    pub name: String,
    /// What it runs.
    pub version: String,
    /// How long its lease lasts, in milliseconds.
    pub timeout_ms: u64,
    /// How long the members of a node that shuts down are kept, in milliseconds.
    pub hold_ms: u64,
    /// Whether it tells back ends of channels.
    pub sends: bool,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// This node was taken for dead. It goes on under that id, and says everything again.
    Reborn(NodeId),
    /// The node is dead: what it had ends here, for the reason `node`.
    Judged {
        /// Which node.
        node: NodeId,
        /// When it was last heard, by the wall clock, about.
        last_seen: u64,
    },
    /// The store holds other data than before, or is met for the first time. These are of that name:
    /// each group is to be asked which data it holds ([`Nodes::data_seen`]), since groups in which nothing
    /// happens would not be heard of. Said again until [`Nodes::asked_groups`].
    AskGroups(u64),
}

/// Whether a node serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Serving,
    Draining,
    Left,
}

/// Another node.
#[derive(Clone, Debug)]
struct Peer {
    info: NodeInfo,
    /// When it last renewed its lease, by the wall clock.
    last_seen: u64,
    /// By the last list.
    left_ms: i64,
}

/// What one node knows of all nodes. Moments are of the broker's clock, in milliseconds.
#[derive(Clone, Debug)]
pub struct Nodes {
    me: NodeId,
    settings: Settings,
    service: Service,
    rhythm: Rhythm,
    /// When what renewed the lease last was asked; `None`: there is no lease.
    leased_ms: Option<u64>,
    unbroken: Unbroken,
    data: Data,
    /// The era that the last answer told.
    era: Option<u64>,
    /// What the store's clock showed when it last told the infos of the others: those that changed
    /// before are known. 0: none are.
    knows_ms: StoreMs,
    /// The era, and kept when the node begins again.
    shared_key: Option<u64>,
    /// Those in the last list, but for this one.
    peers: BTreeMap<NodeId, Peer>,
    dead: Dead,
    /// Those that tell back ends, by the last list in which they were.
    senders: BTreeSet<NodeId>,
    /// See [`Senders`].
    turn: u64,
    /// Nodes that were heard of and are in no list yet, each with the moment when that was.
    strangers: BTreeMap<NodeId, Now>,
    /// Where something of theirs was found.
    found: BTreeSet<(NodeId, ChannelName)>,
    burial: Burial,
    /// The name of the data since which not all groups were asked.
    asks_groups: Option<u64>,
    /// For each group who has said everything for the data that it holds now.
    said_all: BTreeMap<u8, Arc<BTreeSet<NodeId>>>,
    /// And who has not.
    owing: BTreeMap<u8, Arc<BTreeSet<NodeId>>>,
}

impl Nodes {
    /// The node `me`, which has no lease yet.
    #[must_use]
    pub fn new(me: NodeId, settings: Settings, now_ms: u64) -> Self {
        Self {
            me,
            service: Service::Serving,
            rhythm: Rhythm::new(settings.timeout_ms, now_ms),
            leased_ms: None,
            unbroken: Unbroken::new(settings.timeout_ms),
            settings,
            data: Data::default(),
            era: None,
            shared_key: None,
            knows_ms: 0,
            peers: BTreeMap::new(),
            dead: Dead::default(),
            senders: BTreeSet::new(),
            turn: 0,
            strangers: BTreeMap::new(),
            found: BTreeSet::new(),
            burial: Burial::default(),
            asks_groups: None,
            said_all: BTreeMap::new(),
            owing: BTreeMap::new(),
        }
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// A number that all nodes know, and no client: the era that the last answer told.
    #[must_use]
    pub fn shared_key(&self) -> Option<u64> {
        self.shared_key
    }

    // Renewing.

    /// When the lease is to be renewed; [`NEVER`](crate::now::NEVER) while that is in flight, and after
    /// [`Nodes::leave`].
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.rhythm.due_ms()
    }

    /// How long an answer is to be waited for, in milliseconds.
    #[must_use]
    pub fn patience_ms(&self) -> u64 {
        self.rhythm.patience_ms()
    }

    /// What renews the lease. In flight until [`Nodes::renewed`] or [`Nodes::failed`]. `counts`: how
    /// many members and channels the node has.
    pub fn renew(&mut self, counts: (u64, u64), now_ms: u64) -> Renew {
        self.rhythm.asked(now_ms);
        Renew {
            node: self.me,
            // A lease of no time is over at once.
            timeout_ms: if self.service == Service::Left { 0 } else { self.settings.timeout_ms },
            era: self.era,
            info: self.info(),
            counts,
            // A clock that was set back a little may show that twice.
            since: self.knows_ms.saturating_sub(self.settings.timeout_ms),
        }
    }

    fn info(&self) -> NodeInfo {
        NodeInfo {
            name: self.settings.name.clone(),
            version: self.settings.version.clone(),
            draining: self.service != Service::Serving,
            sends: self.settings.sends,
            said: self.data.said().clone(),
        }
    }

    /// What is to be renewed was not answered in time, or by an error.
    pub fn failed(&mut self, now_ms: u64) {
        self.rhythm.failed(now_ms);
    }

    /// The renewal was answered. `data` names what the store holds of nodes, by the answer's era and
    /// the server's run id ([`fingerprint`](crate::cluster::life::fingerprint)). `new_id` is the id
    /// under which this node goes on, should it have been taken for dead: one that nobody ever had.
    #[expect(clippy::needless_pass_by_value, reason = "an answer is heard once")]
    pub fn renewed(&mut self, answer: Renewed, data: u64, new_id: NodeId, now: Now) -> Vec<Order> {
        // A late answer to what was given up tells nothing that the next will not.
        if !self.rhythm.is_in_flight() {
            return Vec::new();
        }
        let asked_ms = self.rhythm.asked_ms();
        self.rhythm.answered();
        let mut orders = Vec::new();
        if self.unbroken.data() != Some(data) {
            self.asks_groups = Some(data);
        }
        orders.extend(self.asks_groups.map(Order::AskGroups));
        // Infos are told once, by the store's clock: by another store's, and by one that was set back,
        // all are told again.
        let goes_on = self.unbroken.data().is_none_or(|before| before == data);
        let knows_ms = if goes_on && answer.now >= self.knows_ms { answer.now } else { 0 };
        let may_judge = self.unbroken.heard((asked_ms, now.mono_ms), answer.now, data);
        (self.era, self.knows_ms) = (Some(answer.era), knows_ms);
        self.shared_key = self.era;
        // What was said meanwhile came late.
        let patience_ms = self.rhythm.interval_ms() + self.settings.timeout_ms / 2;
        if self.leased_ms.is_some_and(|before_ms| asked_ms > before_ms + patience_ms) {
            self.is_back();
        }
        self.leased_ms = answer.alive.then_some(asked_ms);
        if !answer.alive && self.service != Service::Left {
            orders.push(self.begin_again(new_id, now.mono_ms));
        }
        self.list(&answer.nodes, now);
        if may_judge {
            self.judge(asked_ms, now, &mut orders);
        }
        self.look_after_burials(may_judge, now.mono_ms);
        self.count_said();
        self.list_senders();
        orders
    }

    fn begin_again(&mut self, new_id: NodeId, now_ms: u64) -> Order {
        self.dead.add(self.me);
        self.me = new_id;
        self.era = None;
        self.data.begin_again();
        // Until then nobody may write anything under the new id.
        self.rhythm.sooner(now_ms);
        Order::Reborn(new_id)
    }

    /// Takes in the list of all nodes.
    fn list(&mut self, nodes: &[NodeSeen], now: Now) {
        let mut before = std::mem::take(&mut self.peers);
        for seen in nodes.iter().filter(|seen| seen.node != self.me) {
            let silent_ms = self.settings.timeout_ms.cast_signed() - seen.left_ms;
            let last_seen = now.unix_ms.saturating_sub(silent_ms.max(0).cast_unsigned());
            let known = before.remove(&seen.node);
            let info = seen.info.clone().or(known.map(|known| known.info)).unwrap_or_default();
            self.peers.insert(seen.node, Peer { info, last_seen, left_ms: seen.left_ms });
            if self.strangers.remove(&seen.node).is_some() {
                self.found.retain(|(node, _)| *node != seen.node);
            }
            // Whoever is late will be dead soon: it is not left for later than need be.
            let late = (1..self.rhythm.interval_ms().cast_signed()).contains(&seen.left_ms);
            if late && !self.dead.contains(seen.node) {
                self.rhythm.sooner(now.mono_ms + seen.left_ms.cast_unsigned());
            }
        }
        // Somebody else forgot them, or the store did.
        for (node, peer) in before {
            let heard = Now { mono_ms: 0, unix_ms: peer.last_seen };
            self.note_stranger(node, heard);
        }
    }

    /// Something of a node was heard: if it is in no list, it is dead.
    pub fn heard_of(&mut self, node: NodeId, now: Now) {
        if node != self.me && !self.peers.contains_key(&node) {
            self.note_stranger(node, now);
        }
    }

    fn note_stranger(&mut self, node: NodeId, heard: Now) {
        let is_new = !self.dead.contains(node) && !self.strangers.contains_key(&node);
        if is_new && self.strangers.len() < MAX_STRAY_NODES {
            self.strangers.insert(node, heard);
        }
    }

    fn judge(&mut self, asked_ms: u64, now: Now, orders: &mut Vec<Order>) {
        let out =
            |(&node, peer): (&NodeId, &Peer)| (peer.left_ms <= 0).then_some((node, peer.last_seen));
        let mut ended: Vec<_> = self.peers.iter().filter_map(out).collect();
        self.strangers.retain(|&node, heard| {
            // The list may be older than what was heard.
            let stays = heard.mono_ms >= asked_ms;
            (!stays).then(|| ended.push((node, heard.unix_ms)));
            stays
        });
        for (node, last_seen) in ended {
            if self.dead.add(node) {
                orders.push(Order::Judged { node, last_seen: last_seen.min(now.unix_ms) });
                let found = self.found.extract_if(.., |(found, _)| *found == node);
                found.for_each(|(_, channel)| self.burial.stray(node, &channel));
            }
        }
    }

    fn look_after_burials(&mut self, may_judge: bool, now_ms: u64) {
        let peers = &self.peers;
        self.burial.keep(|dead| peers.contains_key(&dead));
        if !may_judge {
            return;
        }
        for (&node, peer) in peers.iter().filter(|(node, _)| self.dead.contains(**node)) {
            match peer.left_ms {
                ..=0 => self.burial.add(node, now_ms),
                _ => self.burial.again(node, now_ms),
            }
        }
    }

    // Data.

    /// An answer of the group named the data that it holds, by its era and the server's run id
    /// ([`fingerprint`](crate::cluster::life::fingerprint)). Whether they are other data than before:
    /// then [`Nodes::take_lost`] has something.
    pub fn data_seen(&mut self, group: u8, data: u64) -> bool {
        let lost = self.data.seen(group, data);
        if lost || !self.said_all.contains_key(&group) {
            self.count_said();
            self.rhythm.hurry();
        }
        lost
    }

    /// All groups were asked since [`Order::AskGroups`] named those data, and answered.
    pub fn asked_groups(&mut self, data: u64) {
        self.asks_groups.take_if(|asks| *asks == data);
    }

    /// The groups that lost data, each with the data that it holds now, each once: in all their
    /// channels what this node has is to be said again, and what is followed is to be loaded again.
    /// For each channel in which something is to be said [`Nodes::owes`] is called, and
    /// [`Nodes::settled`] once it was; [`Nodes::walked`] when all channels were looked at.
    pub fn take_lost(&mut self) -> BTreeMap<u8, u64> {
        self.data.take_lost()
    }

    /// See [`Nodes::take_lost`].
    pub fn owes(&mut self, group: u8, data: u64) {
        self.data.owes(group, data);
    }

    /// See [`Nodes::take_lost`].
    pub fn settled(&mut self, group: u8, data: u64) {
        if self.data.settled(group, data) {
            self.rhythm.hurry();
        }
    }

    /// See [`Nodes::take_lost`].
    pub fn walked(&mut self, group: u8, data: u64) {
        if self.data.walked(group, data) {
            self.rhythm.hurry();
        }
    }

    /// Whether this node has said everything for what the store holds.
    #[must_use]
    pub fn is_all_said(&self) -> bool {
        self.data.is_all_said()
    }

    fn count_said(&mut self) {
        for (group, data) in self.data.held() {
            let has_said = |peer: &Peer| peer.info.said.get(&group) == Some(&data);
            let said = self.peers.iter().filter(|(_, peer)| has_said(peer));
            let said: BTreeSet<_> = said.map(|(&node, _)| node).collect();
            // Those that are in no list just now may only have been lost with it.
            let all = self.peers.keys().chain(self.strangers.keys());
            let owing: BTreeSet<_> = all.copied().filter(|&node| !said.contains(&node)).collect();
            for (of, now) in [(&mut self.said_all, said), (&mut self.owing, owing)] {
                let known = of.entry(group).or_default();
                if **known != now {
                    *known = Arc::new(now);
                }
            }
        }
    }

    /// What is known of the other nodes as far as it matters to a channel of that group.
    #[must_use]
    pub fn peers(&self, group: u8) -> Peers {
        let said_all = self.said_all.get(&group).map(Arc::clone).unwrap_or_default();
        let owing = self.owing.get(&group).map(Arc::clone).unwrap_or_default();
        Peers { dead: self.dead.shared(), said_all, owing }
    }

    // Burials.

    /// What clears away what the dead left.
    pub fn burial(&mut self) -> &mut Burial {
        &mut self.burial
    }

    /// Whether the store knows the node: should it be dead, its burial goes wherever it had something.
    #[must_use]
    pub fn is_listed(&self, node: NodeId) -> bool {
        self.peers.contains_key(&node)
    }

    /// Whether the node is dead, and nothing of it is left that anybody still looks for.
    #[must_use]
    pub fn is_buried(&self, node: NodeId) -> bool {
        node != self.me && self.dead.contains(node) && !self.is_listed(node)
    }

    /// A mark of a node was found in a channel. If it was judged dead, or will be, that is cleared away
    /// once the burial is over, which may have passed there before that was said.
    pub fn stray(&mut self, node: NodeId, channel: &ChannelName) {
        if self.dead.contains(node) && node != self.me {
            self.burial.stray(node, channel);
        } else if self.strangers.contains_key(&node) && self.found.len() < MAX_STRAY_NODES {
            self.found.insert((node, channel.clone()));
        }
    }

    // Draining.

    /// The node shuts down: others are told at once. Its lease is renewed until [`Nodes::leave`].
    pub fn drain(&mut self) {
        if self.service == Service::Serving {
            self.service = Service::Draining;
            self.rhythm.hurry();
        }
    }

    /// For how long the members of a node that shuts down are kept from its last Close on, in
    /// milliseconds.
    #[must_use]
    pub fn hold_ms(&self) -> u64 {
        self.settings.hold_ms
    }

    /// Everything was said: the node ends its lease by one more [`Renew`], so that nobody waits for it
    /// to run out, and nothing follows.
    pub fn leave(&mut self, counts: (u64, u64), now_ms: u64) -> Renew {
        self.service = Service::Left;
        self.rhythm.stop();
        self.renew(counts, now_ms)
    }

    /// The other nodes that live, as far as is known.
    #[must_use]
    pub fn others(&self) -> BTreeSet<NodeId> {
        let living = self.peers.iter().filter(|(_, peer)| peer.left_ms > 0);
        living.map(|(&node, _)| node).collect()
    }

    /// How many they are.
    #[must_use]
    pub fn living(&self) -> usize {
        self.peers.values().filter(|peer| peer.left_ms > 0).count()
    }

    // Telling back ends.

    fn list_senders(&mut self) {
        let sends = |peer: &Peer| peer.info.sends && !peer.info.draining;
        let listed = self.peers.iter().filter(|(_, peer)| sends(peer)).map(|(&node, _)| node);
        // Those that are in no list just now may only have been lost with it.
        let lost = self.senders.iter().copied().filter(|node| self.strangers.contains_key(node));
        let all = listed.chain(lost).filter(|&node| !self.dead.contains(node));
        self.senders = all.collect();
    }

    /// Whether its lease runs: no other node can have taken it for dead.
    #[must_use]
    pub fn is_surely_alive(&self, now_ms: u64) -> bool {
        self.leased_ms.is_some_and(|asked_ms| now_ms < asked_ms + self.settings.timeout_ms)
    }

    /// The nodes that tell back ends, as this one knows them. It is none of them from the moment on at
    /// which the others may have taken it for dead.
    #[must_use]
    pub fn senders(&self, now_ms: u64) -> Senders {
        let may = self.settings.sends && self.service == Service::Serving;
        let me = (may && self.is_surely_alive(now_ms)).then_some(self.me);
        Senders::new(me, self.senders.iter().copied(), self.turn)
    }

    /// For a while the store may have lacked what this node told back ends, and does not any longer.
    pub fn is_back(&mut self) {
        self.turn += 1;
    }
}

#[cfg(test)]
mod tests;
