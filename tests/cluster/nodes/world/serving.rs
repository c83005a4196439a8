//! What the store does.

use herenow::cluster::nodes::burial::Claimed;
use herenow::cluster::{Mark, Renew, Renewed};
use herenow::presence::NodeId;
use herenow::presence::pending::Cause;
use herenow_protocol::{ChannelName, LossReason};

use super::super::faults::Fault;
use super::super::node::{Answer, Ask, channel};
use super::World;

impl World {
    pub(super) fn answer(&mut self, ask: Ask) -> Result<Answer, String> {
        let (now, run) = (self.store_ms(), self.run);
        Ok(match ask {
            Ask::Renew(renew) => {
                let (renewed, at_ms) = (self.renew(&renew, now), self.now_ms);
                Answer::Renewed { renewed, run, at_ms }
            }
            Ask::Claim { dead, by, for_ms } => {
                Answer::Claimed(dead, self.claim((dead, by), for_ms, now))
            }
            Ask::List(dead) => Answer::Listed(dead, self.store.channels_of(dead)),
            Ask::Bury { dead, by, channels } => self.bury((dead, by), channels, now)?,
            Ask::Forget(dead) => {
                self.store.forget(dead);
                Answer::Forgotten(dead)
            }
            Ask::Say(number, say) => {
                let told = self.store.say(&channel(number), &say, now).answer;
                Answer::Said(number, told.era, run)
            }
            Ask::Look(number) => Answer::Looked(number, self.store.load(&channel(number), now)),
            Ask::Groups(since) => Answer::Groups(since, self.store.load(&channel(0), now).era, run),
        })
    }

    fn renew(&mut self, renew: &Renew, now: u64) -> Renewed {
        if self.fault == Some(Fault::NoMoreTime) {
            self.store.seems_awake(now);
        }
        let mut answer = self.store.renew(renew, now);
        if self.fault == Some(Fault::DeadRenews) && !answer.alive {
            self.store.forget(renew.node);
            answer = self.store.renew(&Renew { era: None, ..renew.clone() }, now);
        }
        if renew.timeout_ms == 0 {
            self.truth.left.insert(renew.node);
        } else if answer.alive {
            self.truth.renew(renew.node, self.now_ms);
        }
        answer
    }

    fn claim(&mut self, (dead, by): (NodeId, NodeId), for_ms: u64, now: u64) -> Claimed {
        let lives = self.store.nodes(now).any(|node| node == (dead, true));
        if self.fault == Some(Fault::ClaimSpares) && lives {
            return Claimed::Mine { runs_ms: 0 };
        }
        let long = if self.fault == Some(Fault::ClaimForEver) { 3_600_000 } else { for_ms };
        self.store.claim((dead, by), long, now)
    }

    fn bury(
        &mut self,
        (dead, by): (NodeId, NodeId),
        channels: Vec<ChannelName>,
        now: u64,
    ) -> Result<Answer, String> {
        let mut lost_ms = None;
        let why = Cause::Lost(LossReason::Connection, 0);
        for name in &channels {
            let losses = self.losses(name, dead, now);
            let late = if self.fault == Some(Fault::BuriesLosses) { 60_000 } else { 0 };
            let (buried, _) = self.store.bury(name, (dead, by), why, 0, now + late);
            if self.fault == Some(Fault::BuriesLeases) {
                self.store.drop_leases(name, by);
            }
            if self.losses(name, dead, now) != losses {
                return Err(format!("{}: {dead} was buried with losses that stay", self.now_ms));
            }
            lost_ms = lost_ms.max(buried.lost_until.map(|until| until - now));
        }
        Ok(Answer::Buried(dead, channels, lost_ms))
    }

    /// How many of a node's losses have still time.
    fn losses(&mut self, name: &ChannelName, node: NodeId, now: u64) -> usize {
        let load = self.store.load(name, now);
        let has_time = |mark: &Mark| matches!(mark, Mark::Lost { until, .. } if *until > now);
        let marks = load.records.iter().filter_map(|(_, record)| record.marks.get(&node));
        marks.filter(|mark| has_time(mark)).count()
    }
}
