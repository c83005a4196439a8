//! What the store knows of the nodes themselves: a lease of each, by its own clock.
//!
//! A node renews its lease every third of its time-out. One whose lease has run out is dead for ever:
//! it takes a new id. Two things are no death:
//!
//! - The store lost its data: its era is another than the node knew, so a lease that is missing is
//!   taken anew.
//! - The store stood still: nobody renewed for half a time-out, so nobody can have judged anybody by
//!   what ran out meanwhile (who judges has renewed all the while). Whoever comes first gives all
//!   nodes that lived when it stopped one more time-out.
//!
//! Whoever buries a dead node claims that first. The claim ends the node's lease by setting its end to
//! 0, whatever it was: an old copy of the store may know as living who was judged dead.

use std::collections::BTreeMap;

use super::record::StoreMs;
use crate::presence::NodeId;

/// A node renews its lease, or takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renew {
    /// Which node.
    pub node: NodeId,
    /// How long the lease lasts from now on.
    pub timeout_ms: u64,
    /// The era that the last answer told; `None`: the node has no lease yet, and takes one.
    pub era: Option<u64>,
    /// What others should know of it.
    pub info: NodeInfo,
    /// Members and channels, which nobody needs but people who look.
    pub counts: (u64, u64),
    /// What the store's clock showed in the last answer, or 0: infos that are older are not told again.
    pub since: StoreMs,
}

/// What a node tells the others of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// What people call it.
    pub name: String,
    /// What it runs.
    pub version: String,
    /// Whether it is about to end.
    pub draining: bool,
    /// Whether it tells back ends of channels.
    pub sends: bool,
    /// For each group of channels a fingerprint of the data (era and run id) for which it has said
    /// everything of its own.
    pub said: BTreeMap<u8, u64>,
}

/// The answer to a [`Renew`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Names the data that the store holds of nodes.
    pub era: u64,
    /// What the store's clock shows.
    pub now: StoreMs,
    /// Whether the lease was renewed. If not, it had run out: the node is dead, and takes a new id.
    pub alive: bool,
    /// All nodes that have a lease, or had one that nobody removed yet; this one too. In order of
    /// their ids.
    pub nodes: Vec<NodeSeen>,
}

/// One node, as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSeen {
    /// Which.
    pub node: NodeId,
    /// How long its lease lasts; 0 or less: it has run out, and the node is dead.
    pub left_ms: i64,
    /// What it tells of itself, if that changed since the moment that the [`Renew`] named.
    pub info: Option<NodeInfo>,
}

/// Names the data that the store holds, by their era and the run id of the server: as long as it is
/// the same, nothing was lost.
#[must_use]
pub fn fingerprint(era: u64, run_id: &str) -> u64 {
    // FNV-1a. Nobody gains by two that are the same.
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let bytes = era.to_be_bytes().into_iter().chain(run_id.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, step)
}
