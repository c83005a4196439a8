//! The store, the wires to it, processes that fail, and users who act.

use std::collections::{BTreeMap, VecDeque};

use herenow::cluster::{Base, Inbox, LeaseSay, MarkSay, Said, Summary, Told, UserSay};
use herenow::presence::pending::Cause;
use herenow::presence::{Command, Lasts, NodeId, Source};
use herenow_protocol::{Audience, ChannelName, LeaveReason, LossReason, UserId};
use serde_json::json;

use super::faults::Fault;
use super::node::{Answer, Ask, CHANNELS, HOLD_MS, Node, Page, STORE_AHEAD_MS, channel, number};
use super::truth::Truth;
use crate::store::Store;

/// Processes at a time.
pub(super) const NODES: usize = 4;
pub(super) const USERS: usize = 6;
/// Everybody looks at what happens so often.
const STEP_MS: u64 = 50;
/// A process that ends is replaced.
const REPLACED_AFTER_MS: u64 = 2_000;
/// Above so many members they are counted.
const ROSTER: usize = 2;
/// Users in one page of a load.
const PAGE: usize = 2;

/// What happens, and how long after the one before, in milliseconds.
pub(super) type History = Vec<(u64, Action)>;

/// What happens. Times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Join(Place, Join),
    Write(Place, u8, bool, bool),
    Leave(Place),
    Lose(Place),
    Away(Place, bool),
    /// The lease is taken or renewed.
    Lease(Place, u64),
    EndLease(Place),
    Follow(usize, usize, bool),
    Pause(usize, u64),
    /// Nothing comes to the store, or from it.
    Cut(usize, (bool, bool), u64),
    Crash(usize),
    Drain(usize),
    /// The store stands still, and does what it was asked afterwards.
    Freeze(u64),
    Empty,
    /// The store comes back as it was so long ago.
    OldCopy(u64),
    /// The next answer to a node is lost.
    LoseAnswer(usize),
    /// The next that a node is told by itself is lost.
    LoseInbox(usize),
    /// Nothing happens any more, and all is looked at.
    Rest,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) slot: usize,
    pub(super) at: usize,
    pub(super) user: usize,
    pub(super) tab: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Join {
    /// What attributes it brings: 0 for none.
    pub(super) brings: u8,
    pub(super) merge: bool,
    /// Who may see it: 0 for nothing said.
    pub(super) audience: u8,
    pub(super) info: u8,
    pub(super) graced: bool,
}

/// One process, or the place for one.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) node: Option<Node>,
    process: u64,
    starts_ms: u64,
    pub(super) started_ms: u64,
    paused_until_ms: u64,
    cut: (bool, bool),
    cut_until_ms: u64,
    loses_answer: bool,
    loses_inbox: bool,
    /// When the last message reaches the store, and the node: on each wire they do not overtake.
    last_ms: [u64; 3],
}

#[derive(Clone, Debug)]
enum Message {
    Asked(u64, Ask),
    Answered(u64, Answer, (u64, u64)),
    Published(usize, Told),
    Inbox(usize, Told),
    Summary(usize, Summary),
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) now_ms: u64,
    pub(super) store: Store,
    run: u64,
    era: u64,
    copies: VecDeque<(u64, Store)>,
    frozen_until_ms: u64,
    pub(super) slots: Vec<Slot>,
    /// By their moments: of which slot, and of which of its processes.
    to_store: BTreeMap<(u64, u64), (usize, u64, Message)>,
    to_nodes: BTreeMap<(u64, u64), (usize, u64, Message)>,
    messages: u64,
    ids: u64,
    random: fastrand::Rng,
    pub(super) fault: Option<Fault>,
    pub(super) truth: Truth,
    pub(super) steps: u64,
}

pub(super) fn user(number: usize) -> UserId {
    UserId::parse(&format!("u{number}"), "user").unwrap()
}

impl Place {
    fn source(self) -> Source {
        Source::connection((self.slot * 100 + self.user * 10 + self.tab) as u64)
    }
}

impl World {
    pub(super) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let slot = |slot| Slot {
            node: None,
            process: 0,
            starts_ms: slot as u64 * 300,
            started_ms: 0,
            paused_until_ms: 0,
            cut: (false, false),
            cut_until_ms: 0,
            loses_answer: false,
            loses_inbox: false,
            last_ms: [0; 3],
        };
        Self {
            now_ms: 0,
            store: Store::new(1).with_roster(ROSTER).with_twice(fault == Some(Fault::NumbersTwice)),
            run: 1,
            era: 1,
            copies: VecDeque::new(),
            frozen_until_ms: 0,
            slots: (0..NODES).map(slot).collect(),
            to_store: BTreeMap::new(),
            to_nodes: BTreeMap::new(),
            messages: 0,
            ids: 0,
            random: fastrand::Rng::with_seed(seed),
            fault,
            truth: Truth::default(),
            steps: 0,
        }
    }

    /// Runs a history. The result: how many steps that were.
    pub(super) fn run(mut self, history: &[(u64, Action)]) -> Result<u64, String> {
        self.pass(3_000)?;
        for (at, slot) in (0..CHANNELS).flat_map(|at| (0..NODES - 1).map(move |slot| (at, slot))) {
            self.act(Action::Follow(slot, at, true))?;
        }
        self.rest()?;
        for &(wait_ms, action) in history {
            self.pass(wait_ms)?;
            self.act(action)?;
        }
        self.rest()?;
        self.write_calmly()?;
        Ok(self.steps)
    }

    pub(super) fn pass(&mut self, ms: u64) -> Result<(), String> {
        let until_ms = self.now_ms + ms;
        while self.now_ms < until_ms {
            self.now_ms += STEP_MS;
            self.steps += 1;
            self.step().map_err(|what| format!("{} ms: {what}", self.now_ms))?;
        }
        Ok(())
    }

    /// All that is broken is mended.
    pub(super) fn heal(&mut self) {
        self.frozen_until_ms = self.frozen_until_ms.min(self.now_ms);
        for slot in &mut self.slots {
            slot.paused_until_ms = slot.paused_until_ms.min(self.now_ms);
            slot.cut_until_ms = slot.cut_until_ms.min(self.now_ms);
        }
    }

    fn new_id(&mut self) -> NodeId {
        self.ids += 1;
        NodeId::new(self.ids)
    }

    /// The process that serves users at that place.
    fn serving(&mut self, slot: usize) -> Option<&mut Node> {
        let now_ms = self.now_ms;
        let slot = &mut self.slots[slot];
        let runs = slot.paused_until_ms <= now_ms;
        slot.node.as_mut().filter(|node| runs && !node.draining)
    }

    pub(super) fn act(&mut self, action: Action) -> Result<(), String> {
        let now_ms = self.now_ms;
        match action {
            Action::Join(place, join) => self.join(place, join),
            Action::Write(place, value, merge, ends) => {
                self.write(place, value, merge, ends);
            }
            Action::Leave(place) => {
                let reason = LeaveReason::Left;
                let leave =
                    Command::Leave { user: user(place.user), source: place.source(), reason };
                if self.command(place, leave) {
                    self.truth.disconnected(place);
                }
            }
            Action::Lose(place) => {
                let lose = Command::Lose {
                    user: user(place.user),
                    source: place.source(),
                    reason: LossReason::Connection,
                    last_seen: STORE_AHEAD_MS + now_ms,
                    graced: true,
                };
                if self.command(place, lose) {
                    self.truth.disconnected(place);
                }
            }
            Action::Away(place, away) => {
                let user = user(place.user);
                self.command(place, Command::SetAway { user, source: place.source(), away });
            }
            Action::Lease(place, ttl_ms) => {
                let lease = Command::Join {
                    user: user(place.user),
                    source: Source::LEASE,
                    attributes: None,
                    merge: true,
                    info: None,
                    visible_to: None,
                    away: None,
                    lasts: Lasts::Lease { ttl_ms },
                };
                if self.command(place, lease) {
                    self.truth.leased(place, Some(now_ms + ttl_ms), now_ms);
                }
            }
            Action::EndLease(place) => {
                if let Some(node) = self.serving(place.slot) {
                    node.end_lease(place.at, &user(place.user), now_ms);
                    self.truth.leased(place, None, now_ms);
                }
            }
            Action::Follow(slot, at, wanted) => {
                if let Some(node) = self.serving(slot) {
                    node.follow(at, wanted, now_ms);
                }
            }
            Action::LoseInbox(slot) => self.slots[slot].loses_inbox = true,
            Action::Rest => self.rest()?,
            trouble => self.trouble(trouble),
        }
        Ok(())
    }

    fn trouble(&mut self, action: Action) {
        let now_ms = self.now_ms;
        self.truth.trouble(now_ms);
        match action {
            Action::Pause(slot, ms) => {
                self.slots[slot].paused_until_ms = now_ms + ms;
                self.truth.node_trouble(slot, ms, now_ms);
            }
            Action::Cut(slot, ways, ms) => {
                let slot_number = slot;
                let slot = &mut self.slots[slot];
                (slot.cut, slot.cut_until_ms) = (ways, now_ms + ms);
                if let Some(node) = slot.node.as_mut().filter(|_| ways != (false, false)) {
                    node.broken = true;
                }
                self.to_nodes.retain(|_, (number, ..)| *number != slot_number);
                self.truth.node_trouble(slot_number, ms, now_ms);
            }
            Action::Crash(slot) => self.end_process(slot),
            Action::Drain(slot) => self.drain(slot),
            Action::Freeze(ms) => {
                self.frozen_until_ms = self.frozen_until_ms.max(now_ms + ms);
                self.truth.long_freeze |= ms > 900;
            }
            Action::Empty => {
                self.era += 1;
                self.store.lose_everything(self.era);
                self.truth.lost_data(None);
            }
            Action::OldCopy(age_ms) => {
                let old = self.copies.iter().rev().find(|(at, _)| at + age_ms <= now_ms);
                if let Some((at, copy)) = old.cloned() {
                    self.store.go_back(copy);
                    self.run += 1;
                    self.truth.lost_data(Some(at));
                    for (number, slot) in self.slots.iter_mut().enumerate() {
                        if slot.started_ms + 1_000 > at {
                            self.truth.node_trouble(number, u64::MAX, now_ms);
                        }
                        if let Some(node) = &mut slot.node {
                            (node.broken, node.may_go_back) = (true, true);
                        }
                    }
                    // What the old process was asked is gone with it.
                    self.to_store.clear();
                    self.to_nodes.clear();
                }
            }
            Action::LoseAnswer(slot) => self.slots[slot].loses_answer = true,
            _ => {}
        }
    }

    fn drain(&mut self, slot: usize) {
        let now_ms = self.now_ms;
        let connections = self.truth.connections_of(slot);
        let Some(node) = self.serving(slot) else { return };
        node.nodes.drain();
        for place in connections {
            node.apply(
                place.at,
                Command::Lose {
                    user: user(place.user),
                    source: place.source(),
                    reason: LossReason::Connection,
                    last_seen: STORE_AHEAD_MS + now_ms,
                    graced: true,
                },
                now_ms,
            );
        }
        node.draining = true;
        self.truth.gone(slot);
        self.truth.node_trouble(slot, u64::MAX, now_ms);
    }

    fn command(&mut self, place: Place, command: Command) -> bool {
        let now_ms = self.now_ms;
        self.serving(place.slot).is_some_and(|node| node.apply(place.at, command, now_ms))
    }

    fn join(&mut self, place: Place, join: Join) {
        let now_ms = self.now_ms;
        let attributes = (join.brings > 0).then(|| json!({"brought": join.brings, "k": place.tab}));
        let join = Command::Join {
            user: user(place.user),
            source: place.source(),
            attributes: attributes.and_then(|it| it.as_object().cloned()),
            merge: join.merge,
            info: (join.info > 0)
                .then(|| json!({"name": join.info}))
                .and_then(|it| it.as_object().map(herenow_protocol::Attributes::from_map)),
            visible_to: match join.audience {
                1 => Some(Audience::EVERYONE),
                2 => Audience::parse(["red"]).ok(),
                3 => Audience::parse(["red", "blue"]).ok(),
                4 => Audience::parse([]).ok(),
                _ => None,
            },
            away: None,
            lasts: Lasts::Connection { grace_ms: if join.graced { 2_500 } else { 0 } },
        };
        if self.command(place, join) {
            self.truth.connected(place, now_ms);
        }
    }

    /// Whether the user was connected there.
    pub(super) fn write(&mut self, place: Place, value: u8, merge: bool, ends: bool) -> bool {
        let attributes = json!({["a", "b", "c"][usize::from(value) % 3]: value});
        let write = Command::SetAttributes {
            user: user(place.user),
            source: place.source(),
            attributes: attributes.as_object().cloned().unwrap(),
            merge,
            ttl_ms: ends.then_some(1_500),
        };
        self.command(place, write)
    }

    fn end_process(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        if slot.node.take().is_some() {
            slot.starts_ms = self.now_ms + REPLACED_AFTER_MS;
            self.truth.gone(number);
            self.truth.node_trouble(number, u64::MAX, self.now_ms);
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let now_ms = self.now_ms;
        if now_ms.is_multiple_of(500) {
            self.copies.push_back((now_ms, self.store.copy()));
            self.copies.drain(..self.copies.len().saturating_sub(20));
        }
        self.serve();
        self.deliver()?;
        let mut gone = Vec::new();
        for number in 0..NODES {
            if self.slots[number].node.is_none() && self.slots[number].starts_ms <= now_ms {
                let id = self.new_id();
                let slot = &mut self.slots[number];
                slot.process += 1;
                slot.started_ms = now_ms;
                slot.last_ms = [0; 3];
                let mut node = Node::new(number, id, self.fault, now_ms);
                (0..CHANNELS)
                    .filter(|_| number + 1 < NODES)
                    .for_each(|at| node.follow(at, true, now_ms));
                slot.node = Some(node);
            }
            let slot = &mut self.slots[number];
            let is_cut = slot.cut_until_ms > now_ms;
            let Some(node) = slot.node.as_mut().filter(|_| slot.paused_until_ms <= now_ms) else {
                continue;
            };
            node.turn(now_ms, !is_cut);
            node.tick(now_ms, &mut gone).map_err(|what| format!("at node {number}: {what}"))?;
            if std::mem::take(&mut node.reborn) {
                self.truth.node_trouble(number, u64::MAX, now_ms);
            }
            let (asks, left) = (std::mem::take(&mut node.out), node.left);
            for (asked, ask) in asks {
                self.send(number, Message::Asked(asked, ask));
            }
            if left {
                self.end_process(number);
            }
            for told in gone.drain(..) {
                self.truth.told_gone(number, &told)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, number: usize, message: Message) {
        let delay_ms = self.random.u64(0..=40) * if self.random.u8(..) < 8 { 8 } else { 1 };
        let slot = &mut self.slots[number];
        let is_cut = slot.cut_until_ms > self.now_ms;
        let (wire, cut) = match message {
            Message::Asked(..) => (0, slot.cut.0),
            Message::Answered(..) => (1, slot.cut.1),
            Message::Published(..) | Message::Inbox(..) | Message::Summary(..) => (2, slot.cut.1),
        };
        if is_cut && cut {
            return;
        }
        // Nothing comes by a wire that broke, before it was joined up.
        if wire == 2 && slot.node.as_ref().is_none_or(|node| node.broken) {
            return;
        }
        if wire == 1 && std::mem::take(&mut slot.loses_answer) {
            return;
        }
        if matches!(message, Message::Inbox(..)) && std::mem::take(&mut slot.loses_inbox) {
            return;
        }
        let at_ms = (self.now_ms + delay_ms).max(slot.last_ms[wire]);
        slot.last_ms[wire] = at_ms;
        self.messages += 1;
        let entry = (number, slot.process, message);
        if wire == 0 {
            self.to_store.insert((at_ms, self.messages), entry);
        } else {
            self.to_nodes.insert((at_ms, self.messages), entry);
        }
    }

    /// The store does what has reached it.
    fn serve(&mut self) {
        if self.frozen_until_ms > self.now_ms {
            return;
        }
        while let Some(entry) = self.to_store.first_entry().filter(|it| it.key().0 <= self.now_ms) {
            let (number, process, message) = entry.remove();
            let Message::Asked(asked, ask) = message else { continue };
            let answer = self.answer(ask);
            if self.slots[number].process == process {
                let data = (self.era_now(), self.run);
                self.send(number, Message::Answered(asked, answer, data));
            }
        }
    }

    /// Mistakes in what a node says.
    fn misunderstand(&self, user: &mut UserSay) {
        match self.fault {
            Some(Fault::RanOutEndsAll) => {
                for (_, lease) in user.leases.iter_mut().filter(|it| it.1 == LeaseSay::RanOut) {
                    *lease = LeaseSay::End;
                }
            }
            Some(Fault::LeaseSaidAgainWins) => {
                for (_, lease) in &mut user.leases {
                    if let LeaseSay::Take { again, .. } = lease {
                        *again = false;
                    }
                }
            }
            Some(Fault::AwayNotSaid) => {
                if let Some(MarkSay::Live { away, .. }) = &mut user.mark {
                    *away = false;
                }
            }
            Some(Fault::StampsStand) => {
                if let Some(Said { base: Base::At(stamp), .. }) = &mut user.attributes {
                    stamp.counter = 1;
                }
            }
            _ => {}
        }
    }

    /// Mistakes in what the store tells.
    fn garble(&self, told: &mut Told) {
        match self.fault {
            Some(Fault::VersionsStand) => told.version &= !1,
            Some(Fault::EraIgnored) => told.era = 1,
            _ => {}
        }
    }

    fn era_now(&mut self) -> u64 {
        if self.fault == Some(Fault::EraIgnored) {
            return 1;
        }
        self.store.load(&channel(0), STORE_AHEAD_MS + self.now_ms).era
    }

    fn answer(&mut self, ask: Ask) -> Answer {
        let now = STORE_AHEAD_MS + self.now_ms;
        match ask {
            Ask::Renew(renew) => Answer::Renewed(self.store.renew(&renew, now)),
            Ask::Claim { dead, by, for_ms } => {
                Answer::Claimed(dead, self.store.claim((dead, by), for_ms, now))
            }
            Ask::List(dead) => Answer::Listed(dead, self.store.channels_of(dead)),
            Ask::Bury { dead, by, channels } => self.bury((dead, by), channels, now),
            Ask::Forget(dead) => {
                self.store.forget(dead);
                Answer::Forgotten(dead)
            }
            Ask::Groups => Answer::Groups,
            Ask::Mine(node) => Answer::Mine(self.store.channels_of(node)),
            Ask::Say(at, mut say) => {
                say.users.iter_mut().for_each(|user| self.misunderstand(user));
                let mut done = self.store.say(&channel(at), &say, now);
                self.garble(&mut done.answer);
                self.publish_summary(at, done.summary);
                if let Some(mut told) = done.published {
                    self.garble(&mut told);
                    if self.fault == Some(Fault::GoneNotPublished) {
                        told.users.retain(|user| user.record.is_some());
                    }
                    self.publish(at, &told);
                }
                for Inbox { node, channel, told } in done.inbox {
                    self.tell(node, number(&channel), told);
                }
                Answer::Said(at, done.answer)
            }
            Ask::Summary(at, asked) => {
                let (answer, published) = self.store.summary(&channel(at), asked.version, now);
                self.publish_summary(at, published);
                Answer::Summed(at, asked, answer)
            }
            Ask::Load(at, behind) => {
                let mut load = self.store.load(&channel(at), now);
                if self.fault == Some(Fault::EraIgnored) {
                    load.era = 1;
                }
                let first = behind.is_none();
                let mut records = load.records;
                if self.fault == Some(Fault::LoadSkips) {
                    records.pop();
                }
                records.sort_by(|a, b| a.0.cmp(&b.0));
                records.retain(|(user, _)| behind.as_ref().is_none_or(|behind| user > behind));
                let more = records.len() > PAGE;
                records.truncate(PAGE);
                Answer::Loaded(
                    at,
                    Page {
                        version: load.version,
                        counted: load.counted,
                        now: load.now,
                        records,
                        more,
                        first,
                    },
                )
            }
        }
    }

    fn bury(
        &mut self,
        (dead, by): (NodeId, NodeId),
        channels: Vec<ChannelName>,
        now: u64,
    ) -> Answer {
        let mut all = Vec::new();
        for name in channels {
            let why = Cause::Lost(LossReason::Connection, 0);
            let (mut buried, summary) = self.store.bury(&name, (dead, by), why, 0, now);
            self.publish_summary(number(&name), summary);
            self.garble(&mut buried.told);
            if self.fault == Some(Fault::LeasesBuried) {
                self.store.drop_leases(&name, by);
            }
            if buried.told.changed {
                self.publish(number(&name), &buried.told);
                self.tell(dead, number(&name), buried.told.clone());
            }
            all.push((name, buried));
        }
        Answer::Buried(dead, all)
    }

    fn publish(&mut self, at: usize, told: &Told) {
        for number in 0..NODES {
            let node = self.slots[number].node.as_ref();
            if node.is_some_and(|node| node.channels[at].replica.is_followed()) {
                self.send(number, Message::Published(at, told.clone()));
                // A message may come twice: that changes nothing.
                if self.random.u8(..) < 8 {
                    self.send(number, Message::Published(at, told.clone()));
                }
            }
        }
    }

    fn publish_summary(&mut self, at: usize, summary: Option<Summary>) {
        let Some(mut summary) = summary else { return };
        if self.fault == Some(Fault::EraIgnored) {
            summary.era = 1;
        }
        (0..NODES).for_each(|number| self.send(number, Message::Summary(at, summary.clone())));
    }

    /// What the store has of the channel's summary.
    pub(super) fn summary(&self, at: usize) -> Summary {
        let now = STORE_AHEAD_MS + self.now_ms;
        self.store.copy().summary(&channel(at), 0, now).0.summary.unwrap()
    }

    fn tell(&mut self, node: NodeId, at: usize, told: Told) {
        let is_it = |slot: &Slot| slot.node.as_ref().is_some_and(|it| it.id() == node);
        if let Some(number) = self.slots.iter().position(is_it) {
            self.send(number, Message::Inbox(at, told));
        }
    }

    fn deliver(&mut self) -> Result<(), String> {
        let mut rest = self.to_nodes.split_off(&(self.now_ms + 1, 0));
        for (key, (number, process, message)) in std::mem::take(&mut self.to_nodes) {
            if self.slots[number].paused_until_ms > self.now_ms {
                rest.insert(key, (number, process, message));
                continue;
            }
            let (new_id, now_ms) = (self.new_id(), self.now_ms);
            let slot = &mut self.slots[number];
            let node = slot.node.as_mut().filter(|_| slot.process == process);
            let Some(node) = node else { continue };
            let now = node.now(now_ms);
            match message {
                Message::Answered(asked, answer, data) => {
                    node.hear(asked, answer, data, new_id, now_ms)?;
                }
                _ if node.broken => {}
                Message::Summary(at, summary) => node.summed(at, &summary, None, now)?,
                Message::Published(at, told) if node.channels[at].replica.is_followed() => {
                    node.told(at, &told, true, now);
                }
                Message::Asked(..) | Message::Published(..) => {}
                Message::Inbox(at, told) => node.told(at, &told, false, now),
            }
        }
        self.to_nodes = rest;
        Ok(())
    }
}

/// How long a drained node's members are kept.
const _: () = assert!(HOLD_MS < 10_000);
