//! What the store keeps of one user in one channel.
//!
//! What a member *is* and what *keeps it there* are never mixed: whoever leaves one of two nodes must
//! not take the attributes along, and a join that brings none must not empty them.

use std::collections::BTreeMap;

use herenow_protocol::{Attributes, Audience, LossReason};

use crate::presence::{Keeper, NodeId};

/// A moment of the store's own clock, in milliseconds. Every answer of the store says what that clock
/// shows, so no node's clock is ever compared with another's.
pub type StoreMs = u64;

/// Who wrote a field last: the larger stamp wins. Whoever writes takes the largest counter that it
/// knows plus one, so nodes agree without clocks (a Lamport clock, with the node to break ties).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    /// Counts the writes of this field. From 1.
    pub counter: u64,
    /// The node that wrote.
    pub node: NodeId,
}

/// A field and who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped<T> {
    /// Who wrote it.
    pub stamp: Stamp,
    /// What was written.
    pub value: T,
}

/// A member's attributes, and when some of their keys run out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The attributes, with the keys that have run out and were not written since.
    pub attributes: Attributes,
    /// The keys that vanish by themselves, each with its moment. In order of the keys.
    pub ends: Vec<(Box<str>, StoreMs)>,
}

/// Where the member stands in lists, on all nodes alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When it joined, by the wall clock of the node where it did.
    pub joined_at: u64,
    /// Lists run by it. Given by the store, as [`lists`](crate::presence::lists) gives them on one
    /// node: visible to all, the next multiple of the step; hidden, the next number in the gap.
    pub number: u64,
}

/// That a node has a source of its own that keeps the user present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A connection, or more.
    Live {
        /// How many.
        connections: u32,
        /// Whether the user is away from all of them.
        away: bool,
    },
    /// The last one was lost, and its grace runs.
    Lost {
        /// When that is over.
        until: StoreMs,
        /// Whether the user was away.
        away: bool,
        /// How it was lost.
        reason: LossReason,
        /// When it was last heard, by the wall clock.
        last_seen: u64,
    },
}

/// A lease: of no node, but one times it, where it was taken or renewed last. Others learn from that
/// node, or from whoever takes over after its death, that it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseMark {
    /// The node that times it.
    pub owner: NodeId,
    /// When it ends unless it is renewed. Renewals at the same node move it without telling anybody.
    pub ends: StoreMs,
    /// Whether the user is away from it.
    pub away: bool,
}

/// What the store keeps of one user in one channel. Exists as long as it has a mark or a lease, and a
/// while longer where records are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The version of the channel at which this last changed.
    pub version: u64,
    /// What the user set; `None`: nobody said anything of it.
    pub attributes: Option<Stamped<Written>>,
    /// Name, avatar and the like; `None`: no token told any.
    pub info: Option<Stamped<Attributes>>,
    /// Who may see the member; `None`: nobody said anything of it, so everyone may.
    pub audience: Option<Stamped<Audience>>,
    /// Where it stands in lists.
    pub place: Stamped<Place>,
    /// The nodes that have a source of their own.
    pub marks: BTreeMap<NodeId, Mark>,
    /// The leases.
    pub leases: BTreeMap<Keeper, LeaseMark>,
    /// Where records are kept: when something that is no longer last showed the user to be there, by
    /// the wall clock; 0: nothing did.
    pub seen: u64,
}

impl Record {
    /// Whether the node has a mark or a lease in it.
    #[must_use]
    pub fn is_of(&self, node: NodeId) -> bool {
        self.marks.contains_key(&node) || self.is_timed_by(node)
    }

    /// Whether the node times a lease in it.
    #[must_use]
    pub fn is_timed_by(&self, node: NodeId) -> bool {
        self.leases.values().any(|lease| lease.owner == node)
    }

    /// Whether anything keeps the user present. Not so of what is merely kept of one that is gone.
    #[must_use]
    pub fn is_member(&self) -> bool {
        !(self.leases.is_empty() && self.marks.is_empty())
    }
}

/// A record with a mark of one node for each of `marks`, and so many leases: whether the user is away
/// from them.
#[cfg(test)]
pub(super) fn example(marks: &[bool], leases: &[bool]) -> Record {
    let node = |number: usize| NodeId::new(number as u64 + 1);
    let stamp = Stamp { counter: 1, node: node(0) };
    let mark = |(number, &away)| (node(number), Mark::Live { connections: 1, away });
    let lease = |(number, &away): (usize, &bool)| {
        (Keeper::Vendor(number as u8), LeaseMark { owner: node(0), ends: 1_000, away })
    };
    Record {
        version: 1,
        attributes: None,
        info: None,
        audience: None,
        place: Stamped { stamp, value: Place { joined_at: 5, number: 1 << 20 } },
        marks: marks.iter().enumerate().map(mark).collect(),
        leases: leases.iter().enumerate().map(lease).collect(),
        seen: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_of_whoever_has_a_mark_or_times_a_lease_in_it() {
        let [one, two] = [1, 2].map(NodeId::new);
        let (marked, leased, gone) =
            (example(&[false, true], &[]), example(&[], &[true]), example(&[], &[]));
        assert!(marked.is_of(one) && marked.is_of(two) && !marked.is_timed_by(one));
        assert!(leased.is_of(one) && leased.is_timed_by(one));
        assert!(!leased.is_of(two) && !leased.is_timed_by(two));
        assert!(!gone.is_of(one));
        assert_eq!([marked, leased, gone].map(|record| record.is_member()), [true, true, false]);
    }
}
