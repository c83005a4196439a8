//! Who was judged dead. An id never comes again, so a judgement is for ever.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::limits::MAX_DEAD_NODES;
use crate::presence::NodeId;

/// The nodes that were judged dead. Of more than [`MAX_DEAD_NODES`] the first are forgotten: should
/// anything of theirs be heard again, they are judged again, as whoever has no lease.
#[derive(Clone, Debug, Default)]
pub(super) struct Dead {
    /// Shared with everybody who looks: another one with each death.
    all: Arc<BTreeSet<NodeId>>,
    in_order: VecDeque<NodeId>,
}

impl Dead {
    pub(super) fn contains(&self, node: NodeId) -> bool {
        self.all.contains(&node)
    }

    /// Whether that is new.
    pub(super) fn add(&mut self, node: NodeId) -> bool {
        if self.contains(node) {
            return false;
        }
        let all = Arc::make_mut(&mut self.all);
        all.insert(node);
        self.in_order.push_back(node);
        if self.in_order.len() > MAX_DEAD_NODES {
            self.in_order.pop_front().map(|first| all.remove(&first));
        }
        true
    }

    pub(super) fn shared(&self) -> Arc<BTreeSet<NodeId>> {
        Arc::clone(&self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_bounded_and_the_first_are_forgotten() {
        let mut dead = Dead::default();
        let ids = || (0..=MAX_DEAD_NODES as u64).map(NodeId::new);
        assert!(ids().all(|node| dead.add(node)));
        assert!(!dead.add(NodeId::new(1)), "it was known");
        assert_eq!(dead.shared().len(), MAX_DEAD_NODES);
        assert!(!dead.contains(NodeId::new(0)) && ids().skip(1).all(|node| dead.contains(node)));
    }
}
