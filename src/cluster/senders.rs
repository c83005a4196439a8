//! Which node tells back ends of a channel. Each node works that out by itself, from the nodes that it
//! knows, and all that know the same nodes come to the same: nothing is said for it.

use std::sync::Arc;

use herenow_protocol::ChannelName;

use crate::presence::NodeId;

/// The nodes that share the channels among them, as one of them knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Senders {
    /// This node; `None`: it sends nothing.
    me: Option<NodeId>,
    nodes: Arc<[NodeId]>,
    /// Counts how often this node was kept from telling the others, and is back: what it told back ends
    /// meanwhile, no list of another node had.
    turn: u64,
}

impl Senders {
    /// `me` and `others`; without `me` none of them matters.
    #[must_use]
    pub fn new(me: Option<NodeId>, others: impl IntoIterator<Item = NodeId>, turn: u64) -> Self {
        let Some(node) = me else { return Self { turn, ..Self::default() } };
        let mut nodes: Vec<_> = others.into_iter().chain([node]).collect();
        nodes.sort_unstable();
        Self { me, nodes: nodes.into(), turn }
    }

    /// Whether this node sends anything.
    #[must_use]
    pub fn sends(&self) -> bool {
        self.me.is_some()
    }

    /// Whether this node sends what becomes of the channel.
    #[must_use]
    pub fn sends_of(&self, channel: &ChannelName) -> bool {
        let weight = |node: &&NodeId| (weight_of(**node, channel), **node);
        self.me.is_some() && self.nodes.iter().max_by_key(weight).copied() == self.me
    }

    /// Whether this node was kept from telling the others since it was one of `before`.
    #[must_use]
    pub fn is_back_since(&self, before: &Self) -> bool {
        self.turn != before.turn
    }
}

/// The node with the largest sends. Never to be changed: nodes of two versions must come to the same.
fn weight_of(node: NodeId, channel: &ChannelName) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let node = node.to_string();
    let hash = node.bytes().chain(channel.as_str().bytes()).fold(0xcbf2_9ce4_8422_2325, step);
    // FNV-1a leaves what two names have in common in the upper bits; the end of splitmix64 does not.
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn channel(number: usize) -> ChannelName {
        ChannelName::parse(&format!("room-{number}"), "channel").unwrap()
    }

    /// The one of the nodes, all of which live, that sends of the channel.
    fn sender(nodes: &BTreeSet<NodeId>, of: usize) -> NodeId {
        let sends = |node: &&NodeId| {
            let others = nodes.iter().copied().filter(|other| other != *node);
            Senders::new(Some(**node), others, 0).sends_of(&channel(of))
        };
        let all: Vec<_> = nodes.iter().filter(sends).collect();
        assert_eq!(all.len(), 1, "{all:?} send of {of}");
        *all[0]
    }

    proptest! {
        /// One of them sends, and when a node comes, only what is its own from then on changes hands.
        #[test]
        fn each_channel_has_one_sender_and_keeps_it_unless_a_new_node_takes_it(
            numbers in proptest::collection::btree_set(0..1_u64 << 48, 2..8),
        ) {
            let nodes: BTreeSet<_> = numbers.into_iter().map(NodeId::new).collect();
            let (&new, mut before) = (nodes.first().unwrap(), nodes.clone());
            before.remove(&new);
            for of in 0..50 {
                let (then, now) = (sender(&before, of), sender(&nodes, of));
                prop_assert!(now == then || now == new, "{} went from {} to {}", of, then, now);
            }
        }
    }

    #[test]
    fn each_sends_of_about_as_many() {
        let nodes: BTreeSet<_> = (1..4).map(NodeId::new).collect();
        let count = |node| (0..3_000).filter(|&of| sender(&nodes, of) == node).count();
        let counts: Vec<_> = nodes.iter().map(|&node| count(node)).collect();
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_choice_stays_what_it_is() {
        let nodes: BTreeSet<_> = (1..4).map(NodeId::new).collect();
        let chosen: Vec<_> = (0..12).map(|of| sender(&nodes, of)).collect();
        assert_eq!(chosen, [1, 3, 1, 2, 1, 2, 2, 2, 3, 2, 1, 1].map(NodeId::new));
        assert_eq!(weight_of(NodeId::new(1), &channel(1)), 0x5626_ee9a_b97a_f28b);
    }

    #[test]
    fn whoever_takes_no_part_sends_nothing() {
        let none = Senders::new(None, [NodeId::new(1)], 7);
        assert!(!none.sends() && !none.sends_of(&channel(1)));
        let some = Senders::new(Some(NodeId::new(2)), [NodeId::new(1)], 7);
        assert!(some.sends() && !some.is_back_since(&none));
        assert!(some.is_back_since(&Senders::new(Some(NodeId::new(2)), [], 6)));
        assert_eq!(none, Senders { turn: 7, ..Senders::default() });
    }
}
