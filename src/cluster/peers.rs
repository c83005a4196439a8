//! What is known of the other nodes as far as it matters to what is heard of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::presence::NodeId;

/// Which nodes are dead, and which have said all of their own. A look at one moment, cheap to copy: for
/// each group of channels another one, since each may lose its data by itself.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// The nodes that were judged dead, as long as anything of theirs may still be heard.
    pub dead: Arc<BTreeSet<NodeId>>,
    /// The nodes that have said everything for the data that the group holds now.
    pub said_all: Arc<BTreeSet<NodeId>>,
    /// The nodes that have not, or are not known to have. Some may be dead.
    pub owing: Arc<BTreeSet<NodeId>>,
}

impl Peers {
    /// Whether the node was judged dead.
    #[must_use]
    pub fn is_dead(&self, node: NodeId) -> bool {
        self.dead.contains(&node)
    }

    /// Whether nothing of the node is missing any more in what the store has: it has said all, or is
    /// dead.
    #[must_use]
    pub fn is_complete(&self, node: NodeId) -> bool {
        self.said_all.contains(&node) || self.is_dead(node)
    }

    /// Whether nothing of any node is missing any more in what the store has.
    #[must_use]
    pub fn are_complete(&self) -> bool {
        self.owing.iter().all(|&node| self.is_complete(node))
    }
}
