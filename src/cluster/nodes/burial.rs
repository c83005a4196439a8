//! What the dead left in the store, and how one of the living clears it away.
//!
//! For each dead node: claim it, so that one node alone does the work; list the channels in which it
//! had something, page by page; bury it in each; forget it in the end. All of it may be done twice
//! without harm, so a claim that runs out (its holder died as well) is all that is needed to go on
//! elsewhere. Losses whose grace runs stay until it is over: then the burial comes again. It also does
//! if the node's lease ran when it was ended, since data that were lost forgot the burial of before:
//! until that lease would have run out the node may say something, and nothing behind it.

use std::collections::BTreeMap;

use herenow_protocol::ChannelName;

use crate::limits::{BURIAL_BATCH, BURIAL_CLAIM_MS, BURIAL_REST_MS, MAX_STRAY_NODES};
use crate::now::NEVER;
use crate::presence::NodeId;

/// What is to be done next. Then [`Burial`] is told what came of it, or that it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing before that moment, by the broker's clock in milliseconds; [`NEVER`]: before something
    /// new comes.
    Rest {
        /// That moment.
        until_ms: u64,
    },
    /// End the dead node's lease, whatever it says (an old copy of the store may know it as living),
    /// and claim it for this node. [`Burial::claimed`] with the answer.
    Claim {
        /// Whose burial.
        dead: NodeId,
        /// For how long the claim lasts from now, in milliseconds.
        for_ms: u64,
    },
    /// List some channels in which it had something. [`Burial::listed`].
    List {
        /// Whose channels.
        dead: NodeId,
        /// Where to go on; 0 at first.
        cursor: u64,
    },
    /// Bury it in these channels, at most [`BURIAL_BATCH`]. [`Burial::buried`].
    Bury {
        /// Whose marks and leases.
        dead: NodeId,
        /// Where.
        channels: Vec<ChannelName>,
    },
    /// Nothing of it is left: forget the node, its list of channels first. [`Burial::forgotten`].
    Forget {
        /// Which node.
        dead: NodeId,
    },
}

/// Who clears away what a dead node left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// This node, until the claim runs out.
    Mine {
        /// For how long the dead one's lease would have run from now, in milliseconds: so long it may
        /// take itself for living.
        runs_ms: u64,
    },
    /// Another one, whose claim runs out after so many milliseconds unless it is renewed.
    Others {
        /// That time.
        left_ms: u64,
    },
    /// Nobody: the node is forgotten already.
    Gone,
}

/// All burials of one node: one at a time, so what they cost the store is bounded.
#[derive(Clone, Debug, Default)]
pub struct Burial {
    /// The dead that are to be buried, each with the moment before which there is nothing to do.
    waiting: BTreeMap<NodeId, u64>,
    /// Marks of dead nodes that are looked after once nobody has the node in a list any longer.
    /// Each with the moment before which there is nothing to do.
    strays: BTreeMap<(NodeId, ChannelName), u64>,
    work: Option<Work>,
    /// Nothing is done before: the store did not answer.
    rests_until_ms: u64,
}

#[derive(Clone, Debug)]
struct Work {
    dead: NodeId,
    /// When the claim runs out.
    claimed_until_ms: u64,
    /// Where the list goes on; `None`: it has ended.
    cursor: Option<u64>,
    channels: Vec<ChannelName>,
    /// When all is to be walked through again: by then the losses that stay are over, and the node says
    /// nothing any more.
    again_ms: Option<u64>,
}

impl Burial {
    /// The node was judged dead, and the store still knows it.
    pub(super) fn add(&mut self, dead: NodeId, now_ms: u64) {
        let is_at_work = self.work.as_ref().is_some_and(|work| work.dead == dead);
        if !is_at_work {
            self.waiting.entry(dead).or_insert(now_ms);
        }
    }

    /// The node was judged dead, and the store takes it for living: whatever was done is done again.
    pub(super) fn again(&mut self, dead: NodeId, now_ms: u64) {
        self.work.take_if(|work| work.dead == dead);
        self.waiting.insert(dead, now_ms);
    }

    /// Only those are still known to the store.
    pub(super) fn keep(&mut self, is_known: impl Fn(NodeId) -> bool) {
        self.waiting.retain(|&dead, _| is_known(dead));
        // Whom the store still knows is buried whole, and claimed first: it may live by another's word.
        for (&(dead, _), from_ms) in &mut self.strays {
            *from_ms = match *from_ms {
                _ if is_known(dead) => NEVER,
                NEVER => 0,
                from_ms => from_ms,
            };
        }
        self.work.take_if(|work| !is_known(work.dead));
    }

    /// A mark of a dead node was found in a channel.
    pub(super) fn stray(&mut self, dead: NodeId, channel: &ChannelName) {
        if self.strays.len() < MAX_STRAY_NODES {
            self.strays.entry((dead, channel.clone())).or_insert(NEVER);
        }
    }

    /// What is to be done next.
    #[must_use]
    pub fn step(&self, now_ms: u64) -> Step {
        if now_ms < self.rests_until_ms {
            return Step::Rest { until_ms: self.rests_until_ms };
        }
        if let Some(work) = &self.work {
            return work.step(now_ms);
        }
        let stray = self.strays.iter().min_by_key(|(_, from_ms)| **from_ms);
        let next = self.waiting.iter().min_by_key(|(_, from_ms)| **from_ms);
        match (stray, next) {
            (Some(((dead, channel), &from_ms)), _) if from_ms <= now_ms => {
                Step::Bury { dead: *dead, channels: vec![channel.clone()] }
            }
            (_, Some((&dead, &from_ms))) if from_ms <= now_ms => {
                Step::Claim { dead, for_ms: BURIAL_CLAIM_MS }
            }
            (stray, next) => {
                let moments = stray.map(|it| *it.1).into_iter().chain(next.map(|it| *it.1));
                Step::Rest { until_ms: moments.min().unwrap_or(NEVER) }
            }
        }
    }

    /// What came of [`Step::Claim`], which was begun at `asked_ms`.
    pub fn claimed(&mut self, dead: NodeId, claimed: Claimed, (asked_ms, now_ms): (u64, u64)) {
        match claimed {
            Claimed::Mine { runs_ms } => {
                self.waiting.remove(&dead);
                let claimed_until_ms = asked_ms + BURIAL_CLAIM_MS;
                let runs_until_ms = (runs_ms > 0).then_some(now_ms + runs_ms);
                match &mut self.work {
                    Some(work) if work.dead == dead && work.is_over() => self.wait_to_walk(now_ms),
                    Some(work) if work.dead == dead => work.claimed_until_ms = claimed_until_ms,
                    _ => self.work = Some(Work::new(dead, claimed_until_ms, runs_until_ms)),
                }
            }
            Claimed::Others { left_ms } => {
                self.work.take_if(|work| work.dead == dead);
                // Not the very moment: whoever has it renews it well before.
                self.waiting.insert(dead, now_ms + left_ms + BURIAL_REST_MS);
            }
            Claimed::Gone => self.forgotten(dead),
        }
    }

    /// What came of [`Step::List`]: some channels, and where the list goes on (0: it has ended).
    pub fn listed(&mut self, dead: NodeId, channels: Vec<ChannelName>, cursor: u64) {
        if let Some(work) = self.work_on(dead) {
            work.channels = channels;
            work.cursor = (cursor > 0).then_some(cursor);
        }
    }

    /// What came of [`Step::Bury`]: the latest end of a loss that stays in these channels, in
    /// milliseconds from now.
    pub fn buried(
        &mut self,
        dead: NodeId,
        channels: &[ChannelName],
        lost_ms: Option<u64>,
        now_ms: u64,
    ) {
        for channel in channels {
            // What stays is looked after again when its time is over.
            match (self.strays.get_mut(&(dead, channel.clone())), lost_ms) {
                (Some(from_ms), Some(lost_ms)) => *from_ms = now_ms + lost_ms + BURIAL_REST_MS,
                _ => drop(self.strays.remove(&(dead, channel.clone()))),
            }
        }
        if let Some(work) = self.work_on(dead) {
            work.channels.retain(|channel| !channels.contains(channel));
            work.again_ms = work.again_ms.max(lost_ms.map(|lost_ms| now_ms + lost_ms));
        }
    }

    /// What came of [`Step::Forget`].
    pub fn forgotten(&mut self, dead: NodeId) {
        self.work.take_if(|work| work.dead == dead);
        self.waiting.remove(&dead);
    }

    /// The store did not answer: the same again, a little later.
    pub fn failed(&mut self, now_ms: u64) {
        self.rests_until_ms = now_ms + BURIAL_REST_MS;
    }

    fn work_on(&mut self, dead: NodeId) -> Option<&mut Work> {
        self.work.as_mut().filter(|work| work.dead == dead)
    }

    /// All was walked through, and is to be once more: others may be buried meanwhile.
    fn wait_to_walk(&mut self, now_ms: u64) {
        if let Some(work) = self.work.take() {
            let until_ms = work.again_ms.unwrap_or(now_ms);
            self.waiting.insert(work.dead, until_ms + BURIAL_REST_MS);
        }
    }
}

impl Work {
    fn new(dead: NodeId, claimed_until_ms: u64, again_ms: Option<u64>) -> Self {
        Self { dead, claimed_until_ms, cursor: Some(0), channels: Vec::new(), again_ms }
    }

    /// Whether all was walked through, and is to be once more.
    fn is_over(&self) -> bool {
        self.cursor.is_none() && self.channels.is_empty() && self.again_ms.is_some()
    }

    fn step(&self, now_ms: u64) -> Step {
        let dead = self.dead;
        if self.is_over() {
            // Held on to until then, so that the others do not walk through it all as well.
            let rest_ms = self.again_ms.unwrap_or(0).saturating_sub(now_ms);
            return Step::Claim { dead, for_ms: rest_ms + BURIAL_CLAIM_MS };
        }
        if self.claimed_until_ms <= now_ms + BURIAL_CLAIM_MS / 2 {
            return Step::Claim { dead, for_ms: BURIAL_CLAIM_MS };
        }
        match (self.channels.get(..BURIAL_BATCH.min(self.channels.len())), self.cursor) {
            (Some(channels), _) if !channels.is_empty() => {
                Step::Bury { dead, channels: channels.to_vec() }
            }
            (_, Some(cursor)) => Step::List { dead, cursor },
            _ => Step::Forget { dead },
        }
    }
}

#[cfg(test)]
mod tests;
