//! The store, the wires to it, and processes that fail.

mod checks;
mod serving;

use std::collections::{BTreeMap, VecDeque};

use herenow::presence::NodeId;

use super::faults::Fault;
use super::node::{Answer, Ask, Node};
use super::truth::Truth;
use crate::store::Store;

/// Processes at a time.
pub(super) const NODES: usize = 4;
pub(super) const CHANNELS: usize = 3;
pub(super) const TIMEOUT_MS: u64 = 6_000;
/// What the store's clock shows when the history begins.
pub(super) const STORE_AHEAD_MS: u64 = 1_700_000_000_000;
/// Everybody looks at what happens so often.
const STEP_MS: u64 = 25;
/// A process that ends is replaced.
const REPLACED_AFTER_MS: u64 = 2_000;
/// After that long in which nothing fails, all must be well: whoever died last is judged, the longest
/// grace has ended, and the burial came again.
const QUIET_MS: u64 = 70_000;
/// The longest delay of a message, one way.
const DELAY_MS: u64 = 30;

/// What happens. Times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    /// The node's user and its lease join a channel.
    Join(usize, usize),
    Leave(usize, usize),
    /// The node's user is lost, and kept for so long.
    Lose(usize, usize, u64),
    /// The node loads a channel.
    Look(usize, usize),
    /// The process stands still.
    Pause(usize, u64),
    /// What it asks, or what it is answered, does not come through. Neither: it comes through, but
    /// what it asked then comes in the end.
    Cut(usize, (bool, bool), u64),
    Crash(usize),
    Drain(usize),
    /// The store stands still, and does what it was asked afterwards.
    Freeze(u64),
    /// The store cannot be reached.
    Down(u64),
    /// The store loses everything.
    Empty,
    /// The store comes back as it was so long ago, on a machine whose clock is so much ahead of the one
    /// before, or behind.
    OldCopy(u64, i64),
}

/// One process, or the place for one.
#[derive(Debug)]
struct Slot {
    node: Option<Node>,
    /// When the next process begins.
    starts_ms: u64,
    paused_until_ms: u64,
    cut: (bool, bool),
    cut_until_ms: u64,
    /// When the last message reaches the store: they do not overtake each other.
    last_ms: u64,
}

#[derive(Debug)]
pub(super) struct World {
    now_ms: u64,
    store: Store,
    /// How far the store's clock is ahead of the one that it began with.
    ahead_ms: i64,
    run: u64,
    era: u64,
    copies: VecDeque<(u64, Store)>,
    frozen_until_ms: u64,
    down_until_ms: u64,
    slots: Vec<Slot>,
    /// By their moments: to whom or from whom, by the process's first id.
    asks: BTreeMap<(u64, u64), (usize, u64, u64, Ask)>,
    answers: BTreeMap<(u64, u64), (usize, u64, u64, Answer)>,
    messages: u64,
    processes: Vec<u64>,
    ids: u64,
    /// For each channel whose lease was heard to be in the store.
    leased: [[bool; NODES]; CHANNELS],
    random: fastrand::Rng,
    fault: Option<Fault>,
    truth: Truth,
}

impl World {
    pub(super) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let slot = |slot| Slot {
            node: None,
            starts_ms: slot as u64 * 300,
            paused_until_ms: 0,
            cut: (false, false),
            cut_until_ms: 0,
            last_ms: 0,
        };
        Self {
            now_ms: 0,
            store: Store::new(1),
            ahead_ms: 0,
            run: 1,
            era: 1,
            copies: VecDeque::new(),
            frozen_until_ms: 0,
            down_until_ms: 0,
            slots: (0..NODES).map(slot).collect(),
            asks: BTreeMap::new(),
            answers: BTreeMap::new(),
            messages: 0,
            processes: vec![0; NODES],
            ids: 0,
            leased: [[false; NODES]; CHANNELS],
            random: fastrand::Rng::with_seed(seed),
            fault,
            truth: Truth::default(),
        }
    }

    /// Runs a history, and then waits until all must be well.
    pub(super) fn run(mut self, history: &[(u64, Action)]) -> Result<(), String> {
        self.pass(2 * TIMEOUT_MS)?;
        for &(wait_ms, action) in history {
            self.pass(wait_ms)?;
            self.act(action);
        }
        let of_slots = self.slots.iter().map(|slot| slot.paused_until_ms.max(slot.cut_until_ms));
        let last_ms = of_slots.max().max(Some(self.frozen_until_ms.max(self.down_until_ms)));
        self.pass(last_ms.unwrap_or(0).saturating_sub(self.now_ms))?;
        for _ in 0..5 {
            self.pass(QUIET_MS / 5)?;
            let all = (0..NODES).flat_map(|node| (0..CHANNELS).map(move |at| (node, at)));
            all.for_each(|(node, at)| self.act(Action::Look(node, at)));
        }
        self.pass(TIMEOUT_MS)?;
        self.check_end()
    }

    fn pass(&mut self, ms: u64) -> Result<(), String> {
        let until_ms = self.now_ms + ms;
        while self.now_ms < until_ms {
            self.now_ms += STEP_MS;
            self.step()?;
        }
        Ok(())
    }

    /// What the store's clock shows.
    fn store_ms(&self) -> u64 {
        (STORE_AHEAD_MS + self.now_ms).strict_add_signed(self.ahead_ms)
    }

    fn new_id(&mut self) -> NodeId {
        self.ids += 1;
        NodeId::new(self.ids)
    }

    fn act(&mut self, action: Action) {
        let now_ms = self.now_ms;
        match action {
            Action::Join(node, at) => self.with(node, |node| {
                let has = &mut node.has[at];
                (has.mark, has.lease, has.dirty) = (Some(None), true, true);
            }),
            Action::Leave(node, at) => self.with(node, |node| {
                (node.has[at].mark, node.has[at].dirty) = (None, true);
            }),
            Action::Lose(node, at, ms) => self.with(node, |node| {
                let has = &mut node.has[at];
                if has.mark == Some(None) {
                    (has.mark, has.dirty) = (Some(Some(now_ms + ms)), true);
                }
            }),
            Action::Look(node, at) => self.with(node, |node| {
                node.ask(Ask::Look(at));
            }),
            Action::Pause(node, ms) => {
                self.slots[node].paused_until_ms = now_ms + ms;
                self.trouble(node, now_ms + ms);
            }
            Action::Cut(node, ways, ms) => {
                self.slots[node].cut = ways;
                self.slots[node].cut_until_ms = now_ms + ms;
                self.trouble(node, now_ms + ms);
            }
            Action::Crash(node) => self.end_process(node),
            Action::Drain(node) => self.with(node, |node| {
                node.draining = true;
                node.nodes.drain();
                let until_ms = now_ms + node.nodes.hold_ms();
                for has in node.has.iter_mut().filter(|has| has.mark == Some(None)) {
                    (has.mark, has.dirty) = (Some(Some(until_ms)), true);
                }
            }),
            Action::Freeze(ms) => self.store_trouble(ms, |world, end| {
                world.frozen_until_ms = world.frozen_until_ms.max(end);
            }),
            Action::Down(ms) => self.store_trouble(ms, |world, end| {
                world.down_until_ms = world.down_until_ms.max(end);
            }),
            Action::Empty => {
                self.era += 1;
                self.store.lose_everything(self.era);
                self.lost_data(false);
            }
            Action::OldCopy(age_ms, ahead_ms) => {
                let old = self.copies.iter().rev().find(|(at, _)| at + age_ms <= now_ms);
                if let Some((_, copy)) = old.cloned() {
                    self.store.go_back(copy);
                    self.run += 1;
                    self.ahead_ms += ahead_ms;
                    self.truth.clock_back(ahead_ms.min(0).unsigned_abs());
                    self.lost_data(true);
                }
            }
        }
    }

    fn lost_data(&mut self, is_old: bool) {
        self.truth.lost_data = true;
        self.truth.store_trouble_ms = self.truth.store_trouble_ms.max(self.now_ms);
        if is_old {
            self.truth.old_ms = Some(self.now_ms);
        }
    }

    fn store_trouble(&mut self, ms: u64, set: impl FnOnce(&mut Self, u64)) {
        let end_ms = self.now_ms + ms;
        set(self, end_ms);
        if ms >= TIMEOUT_MS {
            self.truth.store_trouble_ms = self.truth.store_trouble_ms.max(end_ms);
        }
        self.truth.hiccups.push(end_ms);
    }

    fn trouble(&mut self, node: usize, until_ms: u64) {
        // Also while it shuts down.
        if let Some(node) = &mut self.slots[node].node {
            node.trouble_ms = node.trouble_ms.max(until_ms);
        }
    }

    fn with(&mut self, slot: usize, act: impl FnOnce(&mut Node)) {
        if let Some(node) = &mut self.slots[slot].node
            && !node.draining
        {
            act(node);
        }
    }

    fn end_process(&mut self, slot: usize) {
        let slot = &mut self.slots[slot];
        if let Some(node) = slot.node.take() {
            self.truth.died(node.id());
            slot.starts_ms = self.now_ms + REPLACED_AFTER_MS;
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let now_ms = self.now_ms;
        if now_ms.is_multiple_of(500) {
            self.copies.push_back((now_ms, self.store.copy()));
            self.copies.drain(..self.copies.len().saturating_sub(20));
        }
        self.serve()?;
        self.deliver()?;
        for number in 0..NODES {
            if self.slots[number].node.is_none() && self.slots[number].starts_ms <= now_ms {
                let id = self.new_id();
                self.processes[number] += 1;
                let mut node = Node::new(number, id, self.fault, now_ms);
                let slot = &mut self.slots[number];
                // Its machine may be in trouble still.
                node.trouble_ms = now_ms.max(slot.paused_until_ms).max(slot.cut_until_ms);
                slot.node = Some(node);
            }
            let slot = &mut self.slots[number];
            let Some(node) = &mut slot.node else { continue };
            if slot.paused_until_ms > now_ms {
                continue;
            }
            node.turn(now_ms);
            let (asks, left) = (std::mem::take(&mut node.out), node.left);
            for (asked, ask) in asks {
                self.send(number, asked, ask);
            }
            if left {
                self.end_process(number);
            }
        }
        self.check_deaths()
    }

    fn send(&mut self, number: usize, asked: u64, ask: Ask) {
        let slot = &mut self.slots[number];
        let is_cut = slot.cut_until_ms > self.now_ms;
        if is_cut && slot.cut == (true, false) {
            return;
        }
        let from_ms = if is_cut && slot.cut.0 { slot.cut_until_ms } else { self.now_ms };
        let at_ms = (from_ms + self.random.u64(0..DELAY_MS)).max(slot.last_ms);
        slot.last_ms = at_ms;
        self.messages += 1;
        let message = (number, self.processes[number], asked, ask);
        self.asks.insert((at_ms, self.messages), message);
    }

    /// The store does what has reached it.
    fn serve(&mut self) -> Result<(), String> {
        if self.frozen_until_ms > self.now_ms {
            return Ok(());
        }
        while let Some(entry) = self.asks.first_entry().filter(|it| it.key().0 <= self.now_ms) {
            let (number, process, asked, ask) = entry.remove();
            if self.down_until_ms > self.now_ms {
                continue;
            }
            let answer = self.answer(ask)?;
            let slot = &self.slots[number];
            let is_cut = slot.cut_until_ms > self.now_ms && slot.cut.1;
            let at_ms = self.now_ms + self.random.u64(0..DELAY_MS);
            self.messages += 1;
            if !is_cut {
                self.answers.insert((at_ms, self.messages), (number, process, asked, answer));
            }
        }
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), String> {
        let mut rest = self.answers.split_off(&(self.now_ms + 1, 0));
        for (key, (number, process, asked, answer)) in std::mem::take(&mut self.answers) {
            if self.slots[number].paused_until_ms > self.now_ms {
                rest.insert(key, (number, process, asked, answer));
                continue;
            }
            let is_renewal = matches!(answer, Answer::Renewed { .. });
            let new_id = self.new_id();
            let node = self.slots[number].node.as_mut();
            if let Some(node) = node.filter(|_| self.processes[number] == process) {
                if let Answer::Said(at, ..) = answer {
                    self.leased[at][number] |= node.has[at].lease && !node.has[at].dirty;
                }
                node.hear(asked, answer, new_id, &mut self.truth, self.now_ms)?;
                if is_renewal {
                    self.check_complete(number)?;
                }
            }
        }
        self.answers = rest;
        Ok(())
    }
}
