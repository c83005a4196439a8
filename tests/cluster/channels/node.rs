//! One process: what the hub and the engine do around real channels.

use std::collections::BTreeMap;
use std::sync::Arc;

use herenow::cluster::nodes::burial::Claimed;
use herenow::cluster::nodes::{Nodes, Order, Settings, Step};
use herenow::cluster::summary::Asked;
use herenow::cluster::{
    Buried, Counted, Heard, Peers, Record, Renew, Renewed, Replica, Say, Summary, SummaryAsked,
    Told,
};
use herenow::now::Now;
use herenow::presence::pending::Cause;
use herenow::presence::{Bounds, ChannelState, Command, Keeper, NodeId, Source, Viewer};
use herenow_protocol::{ChannelName, Epoch, LossReason, UserId};

use super::faults::Fault;
use super::observer::{Observer, Told as ToldTo};

pub(super) const CHANNELS: usize = 2;
pub(super) const TIMEOUT_MS: u64 = 6_000;
pub(super) const STORE_AHEAD_MS: u64 = 1_700_000_000_000;
pub(super) const HOLD_MS: u64 = 5_000;
/// How long anything is waited for.
const PATIENCE_MS: u64 = 1_000;
const REST: Step = Step::Rest { until_ms: 0 };

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
    Groups,
    /// The channels in which this node has something, as the store knows them.
    Mine(NodeId),
    Say(usize, Say),
    /// The page behind that user.
    Load(usize, Option<UserId>),
    /// The summary, of which that version is known.
    Summary(usize, SummaryAsked),
}

/// What it answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Renewed(Renewed),
    Claimed(NodeId, Claimed),
    Listed(NodeId, Vec<ChannelName>),
    Buried(NodeId, Vec<(ChannelName, Buried)>),
    Forgotten(NodeId),
    Groups,
    Mine(Vec<ChannelName>),
    Said(usize, Told),
    Loaded(usize, Page),
    Summed(usize, SummaryAsked, Asked),
}

/// Some of a channel.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) version: u64,
    pub(super) counted: bool,
    pub(super) now: u64,
    pub(super) records: Vec<(UserId, Record)>,
    pub(super) more: bool,
    pub(super) first: bool,
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) state: ChannelState,
    pub(super) replica: Replica,
    pub(super) observer: Option<Observer>,
    pub(super) wanted: bool,
    said: Option<(u64, u64)>,
    /// Loads that were asked for and have not ended: by what number, and since when. All but the last
    /// are of no use any more, and end all the same.
    loads: BTreeMap<u64, Load>,
    last_load: u32,
    /// For which data all is to be said again.
    owed: Option<u64>,
    /// It is followed only until it was looked at.
    visited: bool,
    /// When this node owes its summary, and when it begins to follow that again.
    owes_ms: Option<u64>,
    sums_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Load {
    number: u32,
    since_ms: u64,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) nodes: Nodes,
    pub(super) channels: Vec<Channel>,
    pub(super) out: Vec<(u64, Ask)>,
    next: u64,
    renewal: Option<(u64, u64)>,
    /// An old copy may have what this node has no more: it asks for it.
    mine: Option<(u64, u64)>,
    burial: Option<(u64, u64)>,
    burying: Step,
    /// The lease was taken, so that something may be said.
    is_known: bool,
    pub(super) draining: bool,
    pub(super) left: bool,
    /// The connections to the store broke.
    pub(super) broken: bool,
    pub(super) reborn: bool,
    /// Its own clock is ahead by that.
    ahead_ms: u64,
    /// The store may have come back as an old copy.
    pub(super) may_go_back: bool,
    fault: Option<Fault>,
}

pub(super) fn channel(number: usize) -> ChannelName {
    ChannelName::parse(&format!("c{number}"), "channel").unwrap()
}

pub(super) fn number(name: &ChannelName) -> usize {
    name.as_str()[1..].parse().unwrap()
}

pub(super) fn bounds() -> Bounds {
    Bounds { members: 1_000, attribute_bytes: 10_000, attribute_keys: 100, roster: 1_000 }
}

impl Node {
    pub(super) fn new(slot: usize, id: NodeId, fault: Option<Fault>, now_ms: u64) -> Self {
        let ahead_ms = slot as u64 * 1_000_003;
        let settings = Settings {
            name: format!("node {slot}"),
            version: String::new(),
            timeout_ms: TIMEOUT_MS,
            hold_ms: HOLD_MS,
            sends: false,
        };
        let new_channel = |_| {
            let mut state = ChannelState::new(Epoch::from_random(1));
            state.share();
            Channel {
                state,
                replica: Replica::new(id, 0),
                observer: None,
                wanted: false,
                said: None,
                loads: BTreeMap::new(),
                last_load: 0,
                owed: None,
                visited: false,
                owes_ms: None,
                sums_ms: 0,
            }
        };
        Self {
            nodes: Nodes::new(id, settings, now_ms + ahead_ms),
            channels: (0..CHANNELS).map(new_channel).collect(),
            out: Vec::new(),
            next: 0,
            renewal: None,
            mine: None,
            burial: None,
            burying: REST,
            is_known: false,
            draining: false,
            left: false,
            broken: false,
            reborn: false,
            ahead_ms,
            may_go_back: false,
            fault,
        }
    }

    pub(super) fn id(&self) -> NodeId {
        self.nodes.me()
    }

    pub(super) fn now(&self, now_ms: u64) -> Now {
        Now { mono_ms: now_ms + self.ahead_ms, unix_ms: STORE_AHEAD_MS + now_ms }
    }

    fn ask(&mut self, ask: Ask) -> u64 {
        self.next += 1;
        self.out.push((self.next, ask));
        self.next
    }

    /// A command of one of its own users. Whether it was done.
    pub(super) fn apply(&mut self, at: usize, command: Command, now_ms: u64) -> bool {
        let now = self.now(now_ms);
        let channel = &mut self.channels[at];
        let done = channel.state.apply(command, now, &bounds(), |_| {}).is_ok();
        channel.replica.note(&mut channel.state);
        done
    }

    pub(super) fn end_lease(&mut self, at: usize, user: &UserId, now_ms: u64) {
        if self.channels[at].state.held_by(user).any(|source| source == Source::LEASE) {
            let reason = herenow_protocol::LeaveReason::Left;
            let leave = Command::Leave { user: user.clone(), source: Source::LEASE, reason };
            self.apply(at, leave, now_ms);
        } else {
            self.channels[at].replica.ended_lease(user, Keeper::Herenow);
        }
    }

    pub(super) fn follow(&mut self, at: usize, wanted: bool, now_ms: u64) {
        let now = self.now(now_ms);
        let channel = &mut self.channels[at];
        channel.wanted = wanted;
        if wanted && !channel.replica.is_followed() {
            channel.replica.follow();
        } else if !wanted {
            channel.observer = None;
            if channel.visited {
                // Followed until it was looked at, whoever else goes.
                return;
            }
            let mut from = None;
            loop {
                let part = channel.replica.unfollow(from.as_ref(), &channel.state, now);
                channel.hear(part.commands, now);
                from = part.next;
                if from.is_none() {
                    break;
                }
            }
        }
    }

    /// The connections to the store are there again, and nothing was heard meanwhile.
    fn reconnect(&mut self) {
        self.broken = false;
        for channel in &mut self.channels {
            channel.replica.say_all();
            if channel.said.take().is_some() {
                channel.replica.unanswered();
            }
            if channel.replica.is_followed() && self.fault != Some(Fault::GapOverlooked) {
                channel.replica.follow();
            }
            channel.replica.follow_summary();
        }
    }

    /// Does what is due.
    pub(super) fn turn(&mut self, now_ms: u64, reachable: bool) {
        let now = self.now(now_ms);
        let patience_ms = self.nodes.patience_ms();
        if self.broken && reachable {
            self.reconnect();
        }
        if self.renewal.is_some_and(|(_, asked_ms)| now.mono_ms >= asked_ms + patience_ms) {
            self.renewal = None;
            self.nodes.failed(now.mono_ms);
        }
        if self.nodes.due_ms() <= now.mono_ms {
            let renew = self.nodes.renew((0, 0), now.mono_ms);
            self.renewal = Some((self.ask(Ask::Renew(renew)), now.mono_ms));
        }
        if self.mine.is_some_and(|(_, asked_ms)| now.mono_ms >= asked_ms + PATIENCE_MS) {
            self.look_for_mine(now);
        }
        self.bury(now);
        for at in 0..CHANNELS {
            self.apply(at, Command::Expire, now_ms);
            self.say_and_load(at, now);
            self.end_visit(at, now_ms);
            self.sum_up(at, now);
        }
        self.settle_debts();
        let all_said = self.channels.iter().all(|channel| channel.replica.has_said_all());
        if self.draining && !self.left && all_said && self.nodes.is_all_said() {
            self.left = true;
            let renew = self.nodes.leave((0, 0), now.mono_ms);
            self.ask(Ask::Renew(renew));
        }
    }

    fn look_for_mine(&mut self, now: Now) {
        let me = self.id();
        self.mine = Some((self.ask(Ask::Mine(me)), now.mono_ms));
    }

    /// The channel is followed until it was looked at.
    fn visit(&mut self, at: usize) {
        let channel = &mut self.channels[at];
        channel.visited = true;
        if !channel.replica.is_followed() {
            channel.replica.follow();
        }
    }

    fn end_visit(&mut self, at: usize, now_ms: u64) {
        let peers = self.peers(at);
        let channel = &mut self.channels[at];
        let replica = &channel.replica;
        let is_done = replica.is_whole() && !replica.wants_load(&peers) && channel.loads.is_empty();
        if channel.visited && is_done && replica.has_said_all() {
            channel.visited = false;
            if !channel.wanted {
                self.follow(at, false, now_ms);
            }
        }
    }

    fn say_and_load(&mut self, at: usize, now: Now) {
        let peers = self.peers(at);
        let is_late = |asked: &mut (u64, u64)| now.mono_ms >= asked.1 + PATIENCE_MS;
        let channel = &mut self.channels[at];
        if channel.said.take_if(is_late).is_some() {
            channel.replica.unanswered();
        }
        channel.loads.retain(|_, load| {
            let is_late = now.mono_ms >= load.since_ms + PATIENCE_MS;
            if is_late {
                channel.replica.load_fails(load.number);
            }
            !is_late
        });
        let lives = self.nodes.is_surely_alive(now.mono_ms) || self.fault == Some(Fault::DeadSay);
        if self.is_known
            && lives
            && channel.replica.has_to_say()
            && let Some(say) = channel.replica.say(&channel.state, now)
        {
            self.next += 1;
            channel.said = Some((self.next, now.mono_ms));
            self.out.push((self.next, Ask::Say(at, say)));
        }
        let wants = channel.replica.wants_load(&peers);
        if let Some(number) = wants.then(|| channel.replica.load_asked()).flatten() {
            self.next += 1;
            channel.last_load = number;
            channel.loads.insert(self.next, Load { number, since_ms: now.mono_ms });
            self.out.push((self.next, Ask::Load(at, None)));
        }
    }

    /// Beside all else the summary is followed, and told by whoever owes it.
    fn sum_up(&mut self, at: usize, now: Now) {
        let channel = &mut self.channels[at];
        if channel.sums_ms <= now.mono_ms {
            channel.sums_ms = u64::MAX;
            channel.replica.follow_summary();
        }
        let owes = channel.owes_ms.take_if(|due_ms| *due_ms <= now.mono_ms).is_some();
        let asked = match channel.replica.wants_summary(now) {
            true => Some(channel.replica.ask_summary(now)),
            false => owes.then(SummaryAsked::default),
        };
        if let Some(asked) = asked.filter(|_| self.is_known) {
            self.ask(Ask::Summary(at, asked));
        }
    }

    pub(super) fn owes(&mut self, at: usize, in_ms: Option<u64>, now: Now) {
        if let Some(in_ms) = in_ms.filter(|_| self.fault != Some(Fault::SummaryNotOwed)) {
            self.channels[at].owes_ms = Some(now.mono_ms + in_ms);
        }
    }

    /// A summary was published, or answered.
    pub(super) fn summed(
        &mut self,
        at: usize,
        summary: &Summary,
        mut answers: Option<SummaryAsked>,
        now: Now,
    ) -> Result<(), String> {
        let peers = self.peers(at);
        let replica = &mut self.channels[at].replica;
        let known = replica.summary().map(|known| (known.era, known.version));
        match self.fault {
            // Nobody asks whether anything was missed.
            Some(Fault::SummaryNotOwed) if answers.is_some() && known.is_some() => return Ok(()),
            Some(Fault::OlderSummaryWins) => {
                replica.follow_summary();
                answers = Some(replica.ask_summary(now));
            }
            _ => {}
        }
        let was_sure = !replica.is_summary_partial();
        match replica.summary_told(summary, answers, &peers, now) {
            Counted::AsBefore => {}
            Counted::Anew => {
                let older = |(era, version)| era == summary.era && version > summary.version;
                if was_sure && !self.may_go_back && known.is_some_and(older) {
                    return Err(format!("c{at}: an older summary counts"));
                }
            }
            Counted::NoLonger => {
                replica.unfollow_summary();
                self.channels[at].sums_ms = now.mono_ms + PATIENCE_MS;
            }
        }
        Ok(())
    }

    fn bury(&mut self, now: Now) {
        let now_ms = now.mono_ms;
        if self.burial.is_some_and(|(_, since_ms)| now_ms >= since_ms + PATIENCE_MS) {
            self.burial = None;
            self.nodes.burial().failed(now_ms);
            // Leases may have been inherited unheard.
            if let Step::Bury { channels, .. } = std::mem::replace(&mut self.burying, REST) {
                channels.iter().for_each(|name| self.visit(number(name)));
            }
        }
        if self.burial.is_some() {
            return;
        }
        self.burying = self.nodes.burial().step(now_ms);
        let ask = match self.burying.clone() {
            Step::Rest { .. } => return,
            Step::Claim { dead, for_ms } => Ask::Claim { dead, by: self.id(), for_ms },
            Step::List { dead, .. } => Ask::List(dead),
            Step::Bury { dead, channels } => Ask::Bury { dead, by: self.id(), channels },
            Step::Forget { dead } => Ask::Forget(dead),
        };
        self.burial = Some((self.ask(ask), now_ms));
    }

    /// An answer has come to what was asked by that number.
    pub(super) fn hear(
        &mut self,
        asked: u64,
        answer: Answer,
        (era, run): (u64, u64),
        new_id: NodeId,
        now_ms: u64,
    ) -> Result<(), String> {
        let now = self.now(now_ms);
        let data = era << 32 | run;
        let is_burial = self.burial.is_some_and(|(number, _)| number == asked);
        match answer {
            Answer::Renewed(answer) => {
                if self.renewal.take_if(|(number, _)| *number == asked).is_some() {
                    self.renewed(answer, data, new_id, now);
                }
            }
            Answer::Groups => {
                self.nodes.asked_groups(data);
                for at in 0..CHANNELS {
                    self.nodes.data_seen(at as u8, data);
                }
                self.say_again(now);
            }
            Answer::Said(at, told) => {
                self.nodes.data_seen(at as u8, data);
                self.say_again(now);
                let peers = self.peers(at);
                let channel = &mut self.channels[at];
                if channel.said.take_if(|(number, _)| *number == asked).is_none() {
                    return Ok(());
                }
                let (replica, state) = (&mut channel.replica, &channel.state);
                let heard = replica.answered(&told, state, &peers, now);
                self.owes(at, told.owes_ms, now);
                self.heard(at, heard, &told, now);
            }
            Answer::Loaded(at, page) => {
                self.nodes.data_seen(at as u8, data);
                self.say_again(now);
                if let Some(load) = self.channels[at].loads.remove(&asked) {
                    self.loaded(at, load, &page, era, now);
                }
            }
            Answer::Summed(at, asked, answer) => {
                self.nodes.data_seen(at as u8, data);
                self.say_again(now);
                self.owes(at, answer.owes_ms, now);
                if let Some(summary) = &answer.summary {
                    self.summed(at, summary, Some(asked), now)?;
                }
            }
            Answer::Mine(channels) => {
                if self.mine.take_if(|(number, _)| *number == asked).is_some() {
                    channels.iter().for_each(|name| self.visit(number(name)));
                }
            }
            _ if !is_burial => {}
            answer => self.buried(answer, now),
        }
        Ok(())
    }

    fn buried(&mut self, answer: Answer, now: Now) {
        let since_ms = self.burial.take().map_or(now.mono_ms, |(_, since_ms)| since_ms);
        match answer {
            Answer::Claimed(dead, mut claimed) => {
                if let (Claimed::Mine { runs_ms }, Some(Fault::BuriedOnce)) =
                    (&mut claimed, self.fault)
                {
                    *runs_ms = 0;
                }
                self.nodes.burial().claimed(dead, claimed, (since_ms, now.mono_ms));
            }
            Answer::Listed(dead, channels) => self.nodes.burial().listed(dead, channels, 0),
            Answer::Forgotten(dead) => self.nodes.burial().forgotten(dead),
            Answer::Buried(dead, all) => {
                let lost = all.iter().filter_map(|(_, it)| Some(it.lost_until? - it.told.now));
                let names: Vec<_> = all.iter().map(|(name, _)| name.clone()).collect();
                self.nodes.burial().buried(dead, &names, lost.max(), now.mono_ms);
                for (name, buried) in &all {
                    self.owes(number(name), buried.told.owes_ms, now);
                    self.told(number(name), &buried.told, false, now);
                }
            }
            _ => {}
        }
    }

    /// Something was told that was not asked for.
    pub(super) fn told(&mut self, at: usize, told: &Told, published: bool, now: Now) {
        let peers = self.peers(at);
        let channel = &mut self.channels[at];
        let (replica, state) = (&mut channel.replica, &channel.state);
        if self.fault == Some(Fault::DeafWhileLoading) && published && !replica.is_whole() {
            return;
        }
        let heard = if published {
            replica.told(told, state, &peers, now)
        } else {
            replica.told_apart(told, state, &peers, now)
        };
        self.heard(at, heard, told, now);
    }

    fn heard(&mut self, at: usize, heard: Heard, told: &Told, now: Now) {
        self.channels[at].hear(heard.commands, now);
        let records = told.users.iter().filter_map(|user| user.record.as_ref());
        self.meet(at, records, now);
    }

    fn meet<'a>(&mut self, at: usize, records: impl Iterator<Item = &'a Record>, now: Now) {
        let owners = |record: &'a Record| {
            let marked = record.marks.keys().copied();
            marked.chain(record.leases.values().map(|lease| lease.owner))
        };
        for node in records.flat_map(owners) {
            self.nodes.heard_of(node, now);
            self.nodes.stray(node, &channel(at));
        }
    }

    fn loaded(&mut self, at: usize, load: Load, page: &Page, era: u64, now: Now) {
        let peers = self.peers(at);
        let channel = &mut self.channels[at];
        let is_mixed = self.fault == Some(Fault::LoadsMixed);
        let number = if is_mixed { channel.last_load } else { load.number };
        if page.first {
            channel.replica.load_begins(number, (era, page.version, page.now), &peers, now);
            channel.replica.stands(page.version, page.counted);
        }
        let commands =
            channel.replica.load_part(number, &page.records, &channel.state, &peers, now);
        channel.hear(commands, now);
        self.meet(at, page.records.iter().map(|(_, record)| record), now);
        let channel = &mut self.channels[at];
        if page.more {
            let last = page.records.last().map(|(user, _)| user.clone());
            self.next += 1;
            channel.loads.insert(self.next, Load { since_ms: now.mono_ms, ..load });
            self.out.push((self.next, Ask::Load(at, last)));
            return;
        }
        loop {
            let loaded = channel.replica.load_ends(number, &channel.state, &peers, now);
            channel.hear(loaded.commands, now);
            if loaded.done {
                break;
            }
        }
    }

    fn renewed(&mut self, mut answer: Renewed, data: u64, new_id: NodeId, now: Now) {
        if self.fault == Some(Fault::JudgedTooSoon) {
            answer
                .nodes
                .iter_mut()
                .for_each(|seen| seen.left_ms -= TIMEOUT_MS.cast_signed() * 3 / 4);
        }
        self.is_known = true;
        for order in self.nodes.renewed(answer, data, new_id, now) {
            match order {
                Order::AskGroups(_) => drop(self.ask(Ask::Groups)),
                Order::Reborn(id) => {
                    self.reborn = true;
                    // Nothing is said before the new lease is taken.
                    self.is_known = false;
                    for channel in &mut self.channels {
                        if channel.said.take().is_some() {
                            channel.replica.unanswered();
                        }
                        if self.fault != Some(Fault::NameKept) {
                            channel.replica.reborn(id);
                        }
                    }
                }
                Order::Judged { node, last_seen } => self.end_dead(node, last_seen, now),
            }
        }
        self.say_again(now);
    }

    /// What is known of the other nodes as far as it matters to a channel.
    pub(super) fn peers(&self, at: usize) -> Peers {
        let peers = self.nodes.peers(at as u8);
        match self.fault {
            Some(Fault::DeadStay) => Peers { dead: Arc::default(), ..peers },
            _ => peers,
        }
    }

    fn end_dead(&mut self, node: NodeId, last_seen: u64, now: Now) {
        if self.fault == Some(Fault::DeadStay) {
            return;
        }
        for at in 0..CHANNELS {
            let peers = self.peers(at);
            let channel = &mut self.channels[at];
            let name = super::node::channel(at);
            let (mut from, cause) = (None, Cause::Lost(LossReason::Node, last_seen));
            loop {
                let (replica, state) = (&mut channel.replica, &channel.state);
                let part = replica.bury(node, cause, from.as_ref(), state, &peers, now);
                // A burial that was done already may have been undone by an old copy.
                if part.found && !self.nodes.is_listed(node) {
                    self.nodes.stray(node, &name);
                }
                channel.hear(part.commands, now);
                from = part.next;
                if from.is_none() {
                    break;
                }
            }
        }
    }

    /// Everything of what was lost.
    fn say_again(&mut self, now: Now) {
        let lost = self.nodes.take_lost();
        if !lost.is_empty() {
            self.look_for_mine(now);
        }
        for (group, data) in lost {
            let channel = &mut self.channels[usize::from(group)];
            if self.fault != Some(Fault::LossOverlooked) {
                channel.replica.lost_data();
            }
            if !channel.replica.has_said_all() && self.fault != Some(Fault::SaidTooSoon) {
                channel.owed = Some(data);
                self.nodes.owes(group, data);
            }
            self.nodes.walked(group, data);
        }
    }

    fn settle_debts(&mut self) {
        for (group, channel) in self.channels.iter_mut().enumerate() {
            if channel.replica.has_said_all()
                && let Some(data) = channel.owed.take()
            {
                self.nodes.settled(group as u8, data);
            }
        }
    }

    /// Tells observers what happened since the last tick.
    pub(super) fn tick(&mut self, now_ms: u64, told: &mut Vec<ToldTo>) -> Result<(), String> {
        let now = self.now(now_ms);
        for at in 0..CHANNELS {
            let one = &mut self.channels[at];
            if one.state.has_news() {
                let tick = one.state.tick(&channel(at), now, &bounds());
                if let Some(observer) = &mut one.observer {
                    observer.fold(at, tick.changes.changed(), told)?;
                }
            }
            if one.wanted && one.observer.is_none() && one.replica.is_whole() {
                one.observer = Some(Observer::new(&one.state));
            }
        }
        Ok(())
    }

    /// All that it shows of a channel.
    pub(super) fn shown(&self, at: usize) -> BTreeMap<UserId, String> {
        super::observer::shown(&self.channels[at].state)
    }
}

impl Channel {
    fn hear(&mut self, commands: Vec<Command>, now: Now) {
        for command in commands {
            assert!(matches!(command, Command::Elsewhere(_)));
            self.state.apply(command, now, &bounds(), |_| {}).unwrap();
        }
        self.replica.note(&mut self.state);
    }

    /// All that viewers who see everybody are shown.
    pub(super) fn all(&self) -> usize {
        self.state.members(1_000, None, Viewer::All).members.len()
    }
}
