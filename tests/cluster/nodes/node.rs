//! One process: what an engine does around [`Nodes`], and users who come and go.

use std::collections::BTreeSet;
use std::ops::Range;

use herenow::cluster::life::fingerprint;
use herenow::cluster::nodes::burial::Claimed;
use herenow::cluster::nodes::{Nodes, Order, Settings, Step};
use herenow::cluster::{Base, LeaseSay, Load, MarkSay, Place, Renew, Renewed, Said, Say, UserSay};
use herenow::now::Now;
use herenow::presence::{Keeper, NodeId};
use herenow_protocol::{ChannelName, LossReason, UserId};

use super::faults::Fault;
use super::truth::Truth;
use super::world::{CHANNELS, STORE_AHEAD_MS, TIMEOUT_MS};

/// What is asked of the store.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Renew(Renew),
    Claim {
        dead: NodeId,
        by: NodeId,
        for_ms: u64,
    },
    List(NodeId),
    Bury {
        dead: NodeId,
        by: NodeId,
        channels: Vec<ChannelName>,
    },
    Forget(NodeId),
    Say(usize, Say),
    Look(usize),
    /// With the name of the data since which.
    Groups(u64),
}

/// What it answers, with the run id of its process where that matters, and when it did.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Renewed {
        renewed: Renewed,
        run: u64,
        at_ms: u64,
    },
    Claimed(NodeId, Claimed),
    Listed(NodeId, Vec<ChannelName>),
    Buried(NodeId, Vec<ChannelName>, Option<u64>),
    Forgotten(NodeId),
    /// And the era.
    Said(usize, u64, u64),
    Looked(usize, Load),
    Groups(u64, u64, u64),
}

/// What a node has in one channel, in which it has one user and one lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Has {
    /// `Some(None)`: connected; otherwise until when it is kept.
    pub(super) mark: Option<Option<u64>>,
    pub(super) lease: bool,
    /// Something is to be said.
    pub(super) dirty: bool,
    /// For which data all is to be said again.
    owed: Option<u64>,
    /// The say that is in flight, and since when.
    in_flight: Option<(u64, u64)>,
}

impl Has {
    /// Whether the store was heard to have it as it is.
    pub(super) fn is_settled(self) -> bool {
        !self.dirty && self.in_flight.is_none()
    }
}

/// How long anything is waited for.
const PATIENCE_MS: u64 = 1_000;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) slot: usize,
    pub(super) nodes: Nodes,
    pub(super) has: [Has; CHANNELS],
    fault: Option<Fault>,
    /// The data that each channel was seen to hold.
    seen: [Option<(u64, u64)>; CHANNELS],
    /// Asks, each with a number: an answer to one that was given up is not listened to.
    pub(super) out: Vec<(u64, Ask)>,
    next: u64,
    renewal: Option<(u64, u64)>,
    burial: Option<(u64, u64)>,
    /// All nodes of which it ever heard.
    met: BTreeSet<NodeId>,
    /// How far its clock is behind: a fault.
    behind_ms: u64,
    /// The latest moment since which it asked what changed.
    asked_since: u64,
    heard_ms: u64,
    /// The lease was taken, so that something may be said.
    is_known: bool,
    pub(super) draining: bool,
    pub(super) left: bool,
    /// Until when the store's answers are late, or it is cut off, or stands still.
    pub(super) trouble_ms: u64,
}

pub(super) const CHANNELS_ALL: Range<usize> = 0..CHANNELS;

pub(super) fn channel(number: usize) -> ChannelName {
    ChannelName::parse(&format!("c{number}"), "channel").unwrap()
}

pub(super) fn user(slot: usize) -> UserId {
    UserId::parse(&format!("u{slot}"), "user").unwrap()
}

pub(super) fn leaser(slot: usize) -> UserId {
    UserId::parse(&format!("l{slot}"), "user").unwrap()
}

fn moment(now_ms: u64) -> Now {
    Now { mono_ms: now_ms, unix_ms: STORE_AHEAD_MS + now_ms }
}

impl Node {
    pub(super) fn new(slot: usize, id: NodeId, fault: Option<Fault>, now_ms: u64) -> Self {
        let timeout_ms = TIMEOUT_MS;
        let settings = Settings {
            name: format!("node {slot}"),
            version: String::new(),
            timeout_ms,
            hold_ms: 5_000,
            sends: false,
        };
        Self {
            slot,
            nodes: Nodes::new(id, settings, now_ms),
            has: <_>::default(),
            fault,
            seen: [None; CHANNELS],
            out: Vec::new(),
            next: 0,
            renewal: None,
            burial: None,
            met: BTreeSet::new(),
            behind_ms: 0,
            asked_since: 0,
            heard_ms: now_ms,
            is_known: false,
            draining: false,
            left: false,
            trouble_ms: now_ms,
        }
    }

    pub(super) fn id(&self) -> NodeId {
        self.nodes.me()
    }

    pub(super) fn ask(&mut self, ask: Ask) -> u64 {
        self.next += 1;
        self.out.push((self.next, ask));
        self.next
    }

    /// Does what is due.
    pub(super) fn turn(&mut self, now_ms: u64) {
        let now_ms = now_ms - self.behind_ms;
        let patience_ms = self.nodes.patience_ms();
        if self.renewal.is_some_and(|(_, asked_ms)| now_ms >= asked_ms + patience_ms) {
            self.renewal = None;
            self.nodes.failed(now_ms);
        }
        if self.nodes.due_ms() <= now_ms {
            let mut renew = self.nodes.renew((0, 0), now_ms);
            if self.fault == Some(Fault::ClockTrusted) {
                self.asked_since = self.asked_since.max(renew.since);
                renew.since = self.asked_since;
            }
            self.renewal = Some((self.ask(Ask::Renew(renew)), now_ms));
        }
        self.bury(now_ms);
        for number in 0..CHANNELS {
            let has = &mut self.has[number];
            if has.mark.flatten().is_some_and(|ends_ms| ends_ms <= now_ms) && !self.draining {
                (has.mark, has.dirty) = (None, true);
            }
            let late = has.in_flight.take_if(|(_, since_ms)| now_ms >= *since_ms + PATIENCE_MS);
            has.dirty |= late.is_some();
            let may_say = self.is_known && self.nodes.is_surely_alive(now_ms);
            if has.dirty && has.in_flight.is_none() && may_say {
                has.dirty = false;
                let say = self.say(number, now_ms);
                let asked = self.ask(Ask::Say(number, say));
                self.has[number].in_flight = Some((asked, now_ms));
            } else if has.in_flight.is_none() && has.owed.is_some() {
                has.dirty = true;
            }
        }
        let all_said = self.has.iter().all(|has| has.is_settled());
        if self.draining && !self.left && all_said && self.nodes.is_all_said() {
            self.left = true;
            let renew = self.nodes.leave((0, 0), now_ms);
            self.ask(Ask::Renew(renew));
        }
    }

    fn bury(&mut self, now_ms: u64) {
        if self.burial.is_some_and(|(_, since_ms)| now_ms >= since_ms + PATIENCE_MS) {
            self.burial = None;
            self.nodes.burial().failed(now_ms);
        }
        if self.burial.is_some() {
            return;
        }
        let ask = match self.nodes.burial().step(now_ms) {
            Step::Rest { .. } => return,
            Step::Claim { dead, for_ms } => Ask::Claim { dead, by: self.id(), for_ms },
            Step::List { dead, .. } => Ask::List(dead),
            Step::Bury { dead, channels } => Ask::Bury { dead, by: self.id(), channels },
            Step::Forget { dead } => Ask::Forget(dead),
        };
        self.burial = Some((self.ask(ask), now_ms));
    }

    fn say(&self, number: usize, now_ms: u64) -> Say {
        let has = self.has[number];
        let mark = has.mark.map(|ends_ms| match ends_ms {
            None => MarkSay::Live { connections: 1, away: false },
            Some(ends_ms) => MarkSay::Lost {
                for_ms: ends_ms.saturating_sub(now_ms),
                away: false,
                reason: LossReason::Connection,
                last_seen: 0,
            },
        });
        let said = |user, mark, leases| UserSay {
            user,
            mark,
            leases,
            attributes: None,
            info: None,
            audience: None,
            place: Said { base: Base::IfNone, value: Place { joined_at: 0, number: 0 } },
            fresh: false,
            ends_grace: false,
            why: None,
        };
        let lease = LeaseSay::Take { for_ms: 3_600_000, away: false, again: false };
        let mut users = vec![said(user(self.slot), mark, Vec::new())];
        if has.lease {
            users.push(said(leaser(self.slot), None, vec![(Keeper::Herenow, lease)]));
        }
        Say { node: self.id(), users, keep_ms: 0 }
    }

    /// An answer has come to what was asked by that number.
    pub(super) fn hear(
        &mut self,
        asked: u64,
        answer: Answer,
        new_id: NodeId,
        truth: &mut Truth,
        now_ms: u64,
    ) -> Result<(), String> {
        let true_ms = now_ms;
        let now_ms = now_ms - self.behind_ms;
        let is_burial = self.burial.is_some_and(|(number, _)| number == asked);
        match answer {
            Answer::Renewed { renewed, run, at_ms } => {
                if self.renewal.take_if(|(number, _)| *number == asked).is_some() {
                    return self.renewed(renewed, run, new_id, truth, (at_ms, true_ms));
                }
            }
            Answer::Said(number, era, run) => {
                let data = self.data(Some(number), era, run);
                self.said(number, asked, data);
            }
            Answer::Looked(number, load) => self.looked(number, &load, now_ms),
            Answer::Groups(since, era, run) => {
                self.nodes.asked_groups(since);
                let data = self.data(None, era, run);
                for number in 0..CHANNELS {
                    self.nodes.data_seen(group(number), data);
                }
            }
            _ if !is_burial => {}
            answer => {
                let since_ms = self.burial.take().map_or(now_ms, |(_, since_ms)| since_ms);
                let burial = self.nodes.burial();
                match answer {
                    Answer::Claimed(dead, claimed) => {
                        burial.claimed(dead, claimed, (since_ms, now_ms))
                    }
                    Answer::Listed(dead, channels) => burial.listed(dead, channels, 0),
                    Answer::Buried(dead, channels, lost_ms) => {
                        burial.buried(dead, &channels, lost_ms, now_ms);
                    }
                    Answer::Forgotten(dead) => burial.forgotten(dead),
                    _ => {}
                }
            }
        }
        self.say_again();
        Ok(())
    }

    fn data(&mut self, at: Option<usize>, era: u64, run: u64) -> u64 {
        match at {
            Some(number) => self.seen[number] = Some((era, run)),
            None => self.seen = [Some((era, run)); CHANNELS],
        }
        let ignored = self.fault == Some(Fault::EraIgnored);
        if ignored { 1 } else { fingerprint(era, &run.to_string()) }
    }

    fn renewed(
        &mut self,
        mut answer: Renewed,
        run: u64,
        new_id: NodeId,
        truth: &mut Truth,
        (answered_ms, now_ms): (u64, u64),
    ) -> Result<(), String> {
        if self.fault == Some(Fault::JudgedTooSoon) {
            answer.nodes.iter_mut().for_each(|seen| seen.left_ms -= TIMEOUT_MS.cast_signed() / 2);
        }
        self.met.extend(answer.nodes.iter().map(|seen| seen.node));
        let hole_ms = now_ms - self.heard_ms;
        self.heard_ms = now_ms;
        if self.fault == Some(Fault::HoleOverlooked) && hole_ms > TIMEOUT_MS / 3 {
            self.behind_ms += hole_ms - TIMEOUT_MS / 3;
        }
        answer.now -= self.behind_ms;
        if self.fault == Some(Fault::KeepsItsName) {
            answer.alive = true;
        }
        self.is_known = true;
        let ignored = self.fault == Some(Fault::EraIgnored);
        let data = if ignored { 1 } else { fingerprint(answer.era, &run.to_string()) };
        let old = self.id();
        for order in self.nodes.renewed(answer, data, new_id, moment(now_ms - self.behind_ms)) {
            match order {
                Order::AskGroups(_) if self.fault == Some(Fault::GroupsUnasked) => {}
                Order::AskGroups(data) => drop(self.ask(Ask::Groups(data))),
                Order::Judged { node, .. } => {
                    truth.judge(self.id(), node, (answered_ms, now_ms))?
                }
                Order::Reborn(_) => {
                    truth.reborn(old, self.trouble_ms, now_ms)?;
                    // Nothing is said before the new lease is taken.
                    self.is_known = false;
                    self.has.iter_mut().for_each(|has| {
                        has.in_flight = None;
                        has.dirty = self.fault != Some(Fault::SaysNothingAgain);
                    });
                }
            }
        }
        self.say_again();
        Ok(())
    }

    fn said(&mut self, number: usize, asked: u64, data: u64) {
        self.nodes.data_seen(group(number), data);
        let has = &mut self.has[number];
        if has.in_flight.is_some_and(|(in_flight, _)| in_flight == asked) {
            has.in_flight = None;
            if has.owed == Some(data) {
                has.owed = None;
                self.nodes.settled(group(number), data);
            }
        }
    }

    /// Everything of what was lost.
    fn say_again(&mut self) {
        for (number, data) in self.nodes.take_lost() {
            let has = &mut self.has[usize::from(number)];
            if (has.mark.is_some() || has.lease) && self.fault != Some(Fault::SaysNothingAgain) {
                (has.owed, has.dirty, has.in_flight) = (Some(data), true, None);
                self.nodes.owes(number, data);
            }
            self.nodes.walked(number, data);
        }
    }

    fn looked(&mut self, number: usize, load: &Load, now_ms: u64) {
        // Lost ones, too: the node may have said that after it was buried.
        let marks = load.records.iter().flat_map(|(_, record)| &record.marks);
        let owners = load.records.iter().flat_map(|(_, record)| record.leases.values());
        let nodes: BTreeSet<_> =
            marks.map(|(&node, _)| node).chain(owners.map(|lease| lease.owner)).collect();
        self.met.extend(&nodes);
        for node in nodes {
            self.nodes.heard_of(node, moment(now_ms));
            if self.fault != Some(Fault::StraysStay) {
                self.nodes.stray(node, &channel(number));
            }
        }
    }

    /// Whether it knows that the node is dead, or nothing of it at all: others may have buried it before
    /// this one ever heard of it.
    pub(super) fn is_aware(&self, dead: NodeId) -> bool {
        !self.met.contains(&dead) || self.nodes.peers(0).is_dead(dead)
    }

    /// Whether it knows that the store holds those data in a channel.
    pub(super) fn believes(&self, number: usize, era: u64, run: u64) -> bool {
        self.seen[number] == Some((era, run))
    }

    /// Whether it takes what the store has of another node for complete.
    pub(super) fn takes_for_complete(&self, number: usize, other: NodeId) -> bool {
        other != self.id() && self.nodes.peers(group(number)).said_all.contains(&other)
    }
}

/// Each channel is a group of its own here.
fn group(channel: usize) -> u8 {
    channel as u8
}
