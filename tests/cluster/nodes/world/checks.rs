//! What must hold all the while, and in the end.

use std::collections::BTreeSet;

use herenow::cluster::Mark;
use herenow::presence::{Keeper, NodeId};

use super::super::node::{CHANNELS_ALL, Node, channel, leaser, user};
use super::super::truth::Witness;
use super::World;

impl World {
    fn living(&self) -> impl Iterator<Item = &Node> {
        self.slots.iter().filter_map(|slot| slot.node.as_ref())
    }

    pub(super) fn check_deaths(&mut self) -> Result<(), String> {
        let nodes: Vec<_> = self.slots.iter().filter_map(|slot| slot.node.as_ref()).collect();
        let looks: Vec<_> = nodes.iter().map(|node| |dead| node.is_aware(dead)).collect();
        let witnesses: Vec<_> = nodes
            .iter()
            .zip(&looks)
            .map(|(node, is_aware)| Witness { id: node.id(), clean_ms: node.trouble_ms, is_aware })
            .collect();
        self.truth.check_deaths(&witnesses, self.now_ms)
    }

    /// Of whom a node believes that it has said everything for what the store holds, nothing is
    /// missing.
    pub(super) fn check_complete(&mut self, number: usize) -> Result<(), String> {
        let now = self.store_ms();
        for at in CHANNELS_ALL {
            let Some(node) = &self.slots[number].node else { return Ok(()) };
            let load = self.store.load(&channel(at), now);
            if !node.believes(at, load.era, self.run) {
                continue;
            }
            let lives = |node: NodeId| self.store.nodes(now).any(|known| known == (node, true));
            let complete = |other: &&Node| {
                // Of the dead nobody misses anything, also if one came back meanwhile.
                let is_dead = node.nodes.peers(0).is_dead(other.id());
                node.takes_for_complete(at, other.id()) && lives(other.id()) && !is_dead
            };
            for other in self.living().filter(complete) {
                let has = other.has[at];
                let record = load.records.iter().find(|(name, _)| *name == user(other.slot));
                let mark = record.and_then(|(_, record)| record.marks.get(&other.id()));
                if has.mark == Some(None) && has.is_settled() && mark.is_none() {
                    let (by, other) = (node.id(), other.id());
                    return Err(format!(
                        "{}: {by} misses nothing of {other}, wrongly",
                        self.now_ms
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_end(&mut self) -> Result<(), String> {
        let now = self.store_ms();
        let living: BTreeSet<_> = self.living().map(Node::id).collect();
        let known: BTreeSet<_> = self.store.nodes(now).collect();
        let wanted: BTreeSet<_> = living.iter().map(|&node| (node, true)).collect();
        if known != wanted {
            return Err(format!("in the end {living:?} live, and the store has {known:?}"));
        }
        for node in self.living() {
            let peers = node.nodes.peers(0);
            if let Some(other) = living.iter().find(|other| peers.is_dead(**other)) {
                return Err(format!("in the end {} takes {other} for dead", node.id()));
            }
            let waits =
                |at| living.iter().find(|&&it| it != node.id() && !node.takes_for_complete(at, it));
            if let Some((at, other)) =
                CHANNELS_ALL.into_iter().find_map(|at| Some((at, waits(at)?)))
            {
                let node = node.id();
                return Err(format!("in the end {node} still waits for what {other} has in {at}"));
            }
        }
        for at in CHANNELS_ALL {
            self.check_channel(at, &living)?;
        }
        Ok(())
    }

    fn check_channel(&mut self, at: usize, living: &BTreeSet<NodeId>) -> Result<(), String> {
        let load = self.store.load(&channel(at), self.store_ms());
        let mut marks = BTreeSet::new();
        let mut leases = BTreeSet::new();
        for (name, record) in &load.records {
            let live = |mark: &Mark| matches!(mark, Mark::Live { .. });
            marks.extend(record.marks.iter().map(|(&node, mark)| (name.clone(), node, live(mark))));
            let lease = record.leases.get(&Keeper::Herenow).map(|lease| lease.owner);
            if lease.is_some_and(|owner| !living.contains(&owner)) {
                return Err(format!(
                    "in the end nobody times the lease of {name} in {at}: {lease:?}"
                ));
            }
            lease.is_some().then(|| leases.insert(name.clone()));
        }
        let has = |node: &&Node| node.has[at].mark.is_some();
        let wanted: BTreeSet<_> = self
            .living()
            .filter(has)
            .map(|node| (user(node.slot), node.id(), node.has[at].mark == Some(None)))
            .collect();
        if marks != wanted {
            return Err(format!("in the end {at} has {marks:?}, and should have {wanted:?}"));
        }
        for (slot, settled) in self.leased[at].iter().enumerate() {
            if *settled && !self.truth.lost_data && !leases.contains(&leaser(slot)) {
                return Err(format!("in the end the lease of {slot} in {at} is gone"));
            }
        }
        Ok(())
    }
}
