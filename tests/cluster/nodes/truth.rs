//! What really happens, seen by nobody but the test, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};

use herenow::presence::NodeId;

use super::world::TIMEOUT_MS;

/// From the end of a lease until everybody knows: the next renewal, which is made for it, and some
/// delay.
const JUDGED_WITHIN_MS: u64 = TIMEOUT_MS + 1_000;

/// What happened. Moments by one clock.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// When the store renewed each lease.
    renewed: BTreeMap<NodeId, BTreeSet<u64>>,
    /// Those that ended their leases by themselves.
    pub(super) left: BTreeSet<NodeId>,
    /// When the store last stood still for long or lost data.
    pub(super) store_trouble_ms: u64,
    /// When it was back each time that it stood still. Even a short time may make a hole in somebody's
    /// renewals, and who has a hole judges nobody for a whole time-out.
    pub(super) hiccups: Vec<u64>,
    /// When it last came back old.
    pub(super) old_ms: Option<u64>,
    /// The furthest that its clock ever went back at that: so much longer leases may last.
    back_ms: u64,
    /// Whether it ever lost anything.
    pub(super) lost_data: bool,
    /// Those whose death is still to be noticed.
    deaths: Vec<NodeId>,
    judged: BTreeSet<(NodeId, NodeId)>,
}

/// A node as it is at the moment.
pub(super) struct Witness<'a> {
    pub(super) id: NodeId,
    /// Since when nothing kept it from its work.
    pub(super) clean_ms: u64,
    pub(super) is_aware: &'a dyn Fn(NodeId) -> bool,
}

impl Truth {
    /// The store's clock went back by so much.
    pub(super) fn clock_back(&mut self, ms: u64) {
        self.back_ms = self.back_ms.max(ms);
    }

    /// The store renewed a lease.
    pub(super) fn renew(&mut self, node: NodeId, now_ms: u64) {
        self.renewed.entry(node).or_default().insert(now_ms);
    }

    /// When it last did until then.
    fn renewed_ms(&self, node: NodeId, until_ms: u64) -> Option<u64> {
        self.renewed.get(&node)?.range(..=until_ms).next_back().copied()
    }

    /// `by`, a process, judges `node` by what the store answered at `answered_ms`.
    pub(super) fn judge(
        &mut self,
        by: NodeId,
        node: NodeId,
        (answered_ms, now_ms): (u64, u64),
    ) -> Result<(), String> {
        // Dead for one is dead for all: also if it comes back to a store that has lost who was dead.
        let is_known = self.judged.iter().any(|&(_, dead)| dead == node);
        if !self.judged.insert((by, node)) {
            return Err(format!("{now_ms}: {by} judged {node} twice"));
        }
        // What the store did in the same moment it may have done after the answer.
        let before_ms = answered_ms.saturating_sub(1);
        let silent_ms = answered_ms - self.renewed_ms(node, before_ms).unwrap_or(0);
        if silent_ms < TIMEOUT_MS && !is_known && !self.left.contains(&node) {
            return Err(format!("{now_ms}: {by} judged {node}, heard {silent_ms} ms ago"));
        }
        let is_over = is_known || self.left.contains(&node);
        let after_ms = answered_ms.checked_sub(self.store_trouble_ms);
        let after_ms = after_ms.filter(|_| self.store_trouble_ms > 0 && !is_over);
        if let Some(after_ms) = after_ms.filter(|after_ms| (1..TIMEOUT_MS).contains(after_ms)) {
            return Err(format!(
                "{now_ms}: {by} judged {node} {after_ms} ms after the store was back"
            ));
        }
        Ok(())
    }

    /// `old` finds itself dead. `trouble_ms`: when something last kept it from its work.
    pub(super) fn reborn(
        &mut self,
        old: NodeId,
        trouble_ms: u64,
        now_ms: u64,
    ) -> Result<(), String> {
        let renewed_ms = self.renewed_ms(old, now_ms).unwrap_or(0);
        let since_ms = |old_ms: u64| old_ms.max(self.store_trouble_ms);
        let is_old = self.old_ms.is_some_and(|old| since_ms(old) + 2 * TIMEOUT_MS > now_ms);
        // It came back to a store that knows nothing any more; the others do.
        let was_judged = self.judged.iter().any(|&(_, node)| node == old);
        // Twice within one time-out the store was away: all the others may have had luck between.
        let was_away_twice = self.hiccups.iter().filter(|end_ms| **end_ms > renewed_ms).count() > 1;
        if !is_old
            && !was_judged
            && !was_away_twice
            && (now_ms < renewed_ms + TIMEOUT_MS || trouble_ms < renewed_ms)
        {
            return Err(format!("{now_ms}: {old} died for nothing, renewed at {renewed_ms}"));
        }
        self.died(old);
        Ok(())
    }

    /// The node is no more.
    pub(super) fn died(&mut self, node: NodeId) {
        self.deaths.push(node);
    }

    /// Whether every death was noticed in time by everybody who could.
    pub(super) fn check_deaths(&mut self, all: &[Witness<'_>], now_ms: u64) -> Result<(), String> {
        let hiccup_ms = self.hiccups.iter().copied().max().unwrap_or(0);
        let mut late = None;
        let mut deaths = std::mem::take(&mut self.deaths);
        deaths.retain(|&dead| {
            let Some(renewed_ms) = self.renewed_ms(dead, now_ms) else { return false };
            if now_ms <= renewed_ms + JUDGED_WITHIN_MS + self.back_ms {
                return true;
            }
            let unaware = all.iter().find(|node| {
                let clean_ms = node.clean_ms.max(self.store_trouble_ms).max(hiccup_ms);
                clean_ms + 2 * TIMEOUT_MS <= renewed_ms && !(node.is_aware)(dead)
            });
            late = late.or(unaware.map(|node| (node.id, dead)));
            false
        });
        self.deaths = deaths;
        late.map_or(Ok(()), |(node, dead)| {
            Err(format!("{now_ms}: {node} does not know that {dead} is dead"))
        })
    }
}
