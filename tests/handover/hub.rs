//! `src/hub/mod.rs`, `src/hub/channel.rs` and `src/hub/tick.rs`, reduced, with as much of a
//! `presence::Channel` as numbers its frames.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as Untracked};

use loom::sync::{Mutex, MutexGuard};
use loom::thread::JoinHandle;

use crate::Mutant;
use crate::outlet::{Cursor, Place, Subscription};
use crate::replica::Since;
use crate::socket::{Byte, Message, Values};

/// So few that a reader two frames behind wants a snapshot.
const LOG_FRAMES: usize = 1;
/// So few that a pass lets go of the channel between any two subscribers.
const PASS_BATCH: usize = 1;

/// `presence::Channel`: a state that is a number of changes.
pub(crate) struct Presence {
    channel: usize,
    epoch: u8,
    members: u8,
    changes: u8,
    /// The two members, as they are, and as they were told: how many changes there had been when each
    /// last changed.
    values: [u8; 2],
    told: [u8; 2],
    /// Changes of members whom not everyone sees, and those of them that were told; every subscriber
    /// here sees them.
    whispers: u8,
    told_whispers: u8,
    /// How often what is known of a giant changed, and how much of that was told: no frame has it.
    sums: u8,
    told_sums: u8,
    /// The seq that the last aside came to: no log has it.
    unlogged: Option<u8>,
    next_seq: u8,
    log: VecDeque<Message>,
}

/// What can be done to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Join,
    SetAttributes,
    /// As `SetAttributes`, of a member whom not everyone sees.
    Whisper,
    Leave,
    /// How many there are on all nodes, where nobody is told who.
    Sum,
}

/// What a tick tells.
struct Tick {
    frame: Option<(u8, Vec<Byte>)>,
    /// From which cursor, to which.
    aside: Option<(u8, u8, Vec<Byte>)>,
}

impl Presence {
    pub(crate) fn apply(&mut self, command: Command) {
        match command {
            Command::Join => self.members += 1,
            Command::SetAttributes => {}
            Command::Whisper => {
                self.whispers += 1;
                return;
            }
            Command::Sum => {
                self.sums += 1;
                return;
            }
            Command::Leave => self.members -= 1,
        }
        self.changes += 1;
        self.values[usize::from(self.changes % 2)] = self.changes;
    }

    fn has_news(&self) -> bool {
        let sum = self.sums != self.told_sums;
        self.values != self.told || self.whispers != self.told_whispers || sum
    }

    fn tick(&mut self) -> Tick {
        let (channel, from) = (self.channel, self.next_seq);
        let differs = |n: usize| (self.values[n] != self.told[n]).then_some(self.values[n]);
        let values = [differs(0), differs(1)];
        let frame = self.tick_for_everyone(values);
        self.tell_sum();
        let whispers = self.whispers;
        let whispered = std::mem::replace(&mut self.told_whispers, whispers) != whispers;
        let aside = whispered.then(|| {
            let seq = self.next_seq - 1;
            self.unlogged = Some(seq);
            let aside = Message::Aside { channel, seq, values, whispers };
            (from, self.next_seq, aside.bytes())
        });
        Tick { frame, aside }
    }

    fn tick_for_everyone(&mut self, values: Values) -> Option<(u8, Vec<Byte>)> {
        if values == [None, None] {
            return None;
        }
        self.told = self.values;
        let (channel, seq) = (self.channel, self.next_seq);
        let frame = Message::Presence { channel, seq, values };
        self.next_seq += 1;
        self.log.push_back(frame);
        if self.log.len() > LOG_FRAMES {
            self.log.pop_front();
        }
        Some((seq, frame.bytes()))
    }

    /// Whoever has had all frames lacks what none tells.
    fn tell_sum(&mut self) {
        if self.sums != self.told_sums {
            self.told_sums = self.sums;
            self.log.clear();
            self.next_seq += 1;
        }
    }

    pub(crate) fn begin_snapshot(&self) -> Place {
        Place { seq: self.next_seq - 1, half: 0, missed: false }
    }

    pub(crate) fn snapshot_part(&self, place: Place) -> (Message, Option<Place>) {
        let Self { channel, epoch, told, told_whispers: whispers, .. } = *self;
        let Place { seq, half, .. } = place;
        let part = Message::Snapshot { channel, epoch, seq, half, value: told[half], whispers };
        (part, (half == 0).then_some(Place { half: 1, ..place }))
    }

    pub(crate) fn since(&self, seq: u8) -> Option<Vec<Byte>> {
        let first = self.log.len().checked_sub(usize::from(self.next_seq - seq))?;
        Some(self.log.iter().skip(first).flat_map(|frame| frame.bytes()).collect())
    }

    /// What was not told is known from here on, and nobody goes on from what was told.
    fn begin_unheard(&mut self) {
        (self.told, self.told_whispers) = (self.values, self.whispers);
        self.log.clear();
        self.next_seq += 1;
    }

    pub(crate) fn next_seq(&self) -> u8 {
        self.next_seq
    }

    pub(crate) fn values(&self) -> [u8; 2] {
        self.values
    }

    pub(crate) fn whispers(&self) -> u8 {
        self.whispers
    }

    pub(crate) fn resume(&self, since: Since, mutant: Mutant) -> Option<u8> {
        let next = since.seq + 1;
        let missed = self.unlogged.is_some_and(|seq| seq >= since.seq);
        let missed = missed && mutant != Mutant::ResumesPastAnAside;
        let logged = since.epoch == self.epoch && self.since(next).is_some();
        (logged && !missed).then_some(next)
    }
}

pub(crate) struct Channel {
    pub(crate) name: usize,
    guarded: Mutex<Guarded>,
}

pub(crate) struct Guarded {
    pub(crate) presence: Presence,
    slots: Vec<Option<Arc<Subscription>>>,
    waiting: Vec<Arc<Subscription>>,
    running: bool,
    dead: bool,
    /// What other nodes have is about to come: nobody is told anything.
    holds_back: bool,
    /// It has come, and the next tick has everybody begin anew.
    anew: bool,
}

impl Channel {
    pub(crate) fn new(name: usize, epoch: u8) -> Self {
        let presence = Presence {
            channel: name,
            epoch,
            members: 0,
            changes: 0,
            values: [0, 0],
            told: [0, 0],
            whispers: 0,
            told_whispers: 0,
            sums: 0,
            told_sums: 0,
            unlogged: None,
            next_seq: 1,
            log: VecDeque::new(),
        };
        let (slots, waiting) = (Vec::new(), Vec::new());
        Self {
            name,
            guarded: Mutex::new(Guarded {
                presence,
                slots,
                waiting,
                running: false,
                dead: false,
                holds_back: false,
                anew: false,
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.guarded.lock().unwrap()
    }
}

impl Guarded {
    pub(crate) fn add_subscriber(&mut self, sub: Arc<Subscription>) -> usize {
        self.slots.push(Some(sub));
        self.slots.len() - 1
    }

    pub(crate) fn remove_subscriber(&mut self, slot: usize) {
        self.slots[slot] = None;
    }

    pub(crate) fn want_snapshot(&mut self, sub: Arc<Subscription>) {
        self.waiting.push(sub);
    }

    fn next_batch(&self, from: usize, batch: &mut Vec<Arc<Subscription>>) -> usize {
        let mut slot = from;
        while let Some(entry) = self.slots.get(slot) {
            slot += 1;
            batch.extend(entry.iter().cloned());
            if batch.len() == PASS_BATCH {
                break;
            }
        }
        slot
    }

    fn has_news(&self) -> bool {
        let any = self.presence.has_news() || !self.waiting.is_empty() || self.anew;
        any && !self.holds_back
    }

    /// All that other nodes have is known, and how many that is.
    fn complete(&mut self) {
        (self.holds_back, self.anew) = (false, true);
        self.presence.told_sums = self.presence.sums;
    }

    fn begin_unheard(&mut self, mutant: Mutant) {
        self.anew = false;
        self.presence.begin_unheard();
        if mutant != Mutant::ForgetsWhoWasToldLess {
            self.waiting.extend(self.slots.iter().flatten().cloned());
        }
    }

    fn start_flusher(&mut self, mutant: Mutant) -> bool {
        let running = self.running && mutant != Mutant::StartsTwice;
        let start = !running && self.has_news();
        self.running |= start;
        start
    }

    fn flusher_ended(&mut self) {
        self.running = false;
    }

    fn is_vain(&self) -> bool {
        let subscribed = self.slots.iter().any(Option::is_some);
        !self.running && !self.dead && self.presence.members == 0 && !subscribed
    }

    /// What must hold once nobody is at work any more.
    pub(crate) fn assert_at_rest(&self) {
        assert!(!self.running && !self.has_news(), "a flusher ended while something was owed");
        assert!(!self.is_vain(), "an empty channel was left behind");
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }
}

/// A flusher: a thread of the model, or one that waits until everything else has come to rest.
enum Flusher {
    Thread(JoinHandle<()>),
    Waiting(Arc<Channel>),
}

pub(crate) struct Hub {
    /// The map of channels, one shard for each name.
    shards: [Mutex<Option<Arc<Channel>>>; 2],
    epochs: AtomicU8,
    /// Who was spawned. Not of the model: the checker needn't explore who gets at it first.
    flushers: Untracked<Vec<Flusher>>,
    /// The checker knows five threads in all. Further flushers wait.
    threads: AtomicUsize,
    /// Every other round tells one part of a snapshot, and not all of it.
    by_parts: AtomicBool,
    rounds: AtomicUsize,
    pub(crate) mutant: Mutant,
}

impl Hub {
    pub(crate) fn new(mutant: Mutant) -> Arc<Self> {
        Arc::new(Self {
            shards: [Mutex::new(None), Mutex::new(None)],
            epochs: AtomicU8::new(0),
            flushers: Untracked::new(Vec::new()),
            threads: AtomicUsize::new(0),
            by_parts: AtomicBool::new(false),
            rounds: AtomicUsize::new(0),
            mutant,
        })
    }

    /// From here on a channel ticks twice between the parts of a snapshot.
    pub(crate) fn tell_by_parts(&self) {
        self.by_parts.store(true, Ordering::Relaxed);
    }

    fn has_time_for_parts(&self) -> bool {
        let by_parts = self.by_parts.load(Ordering::Relaxed);
        !by_parts || self.rounds.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
    }

    /// From here on so many flushers may run beside everything else.
    pub(crate) fn allow_flushers(&self, threads: usize) {
        self.threads.store(threads, Ordering::Relaxed);
    }

    fn spawn(self: &Arc<Self>, channel: &Arc<Channel>) {
        let threads = self.threads.load(Ordering::Relaxed);
        let channel = Arc::clone(channel);
        let flusher = if threads == 0 {
            Flusher::Waiting(channel)
        } else {
            self.threads.store(threads - 1, Ordering::Relaxed);
            let hub = Arc::clone(self);
            Flusher::Thread(loom::thread::spawn(move || flush(&hub, &channel)))
        };
        self.flushers.lock().unwrap().push(flusher);
    }

    /// Runs, or waits for, a flusher that was spawned. Whether there was one.
    pub(crate) fn run_flusher(self: &Arc<Self>) -> bool {
        let flusher = self.flushers.lock().unwrap().pop();
        match flusher {
            Some(Flusher::Thread(thread)) => thread.join().unwrap(),
            Some(Flusher::Waiting(channel)) => flush(self, &channel),
            None => return false,
        }
        true
    }

    pub(crate) fn find(&self, name: usize) -> Option<Arc<Channel>> {
        self.shards[name].lock().unwrap().clone()
    }

    fn create(&self, name: usize) -> Arc<Channel> {
        let mut shard = self.shards[name].lock().unwrap();
        let made = || Arc::new(Channel::new(name, self.epochs.fetch_add(1, Ordering::Relaxed)));
        Arc::clone(shard.get_or_insert_with(made))
    }

    pub(crate) fn enter<T>(
        self: &Arc<Self>,
        name: usize,
        act: impl FnOnce(&Arc<Channel>, &mut Guarded) -> T,
    ) -> T {
        loop {
            let channel = self.find(name).unwrap_or_else(|| self.create(name));
            let mut guarded = channel.lock();
            if guarded.is_dead() && self.mutant != Mutant::EntersTheDead {
                continue;
            }
            let result = act(&channel, &mut guarded);
            self.settle(&channel, guarded);
            return result;
        }
    }

    pub(crate) fn enter_kept<T>(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        act: impl FnOnce(&mut Guarded) -> T,
    ) -> T {
        let mut guarded = channel.lock();
        let result = act(&mut guarded);
        self.settle(channel, guarded);
        result
    }

    /// Other nodes may have members of the channel: it waits until they are known.
    pub(crate) fn hold_back(self: &Arc<Self>, name: usize) {
        self.enter(name, |_, guarded| guarded.holds_back = true);
    }

    /// How many they are is known.
    pub(crate) fn sum_up(self: &Arc<Self>, name: usize) {
        self.enter(name, |_, guarded| guarded.presence.apply(Command::Sum));
    }

    /// They are known.
    pub(crate) fn complete(self: &Arc<Self>, name: usize) {
        if self.mutant == Mutant::OpensWithoutSettling {
            let channel = self.find(name).expect("a channel");
            channel.lock().complete();
            return;
        }
        self.enter(name, |_, guarded| guarded.complete());
    }

    fn settle(self: &Arc<Self>, channel: &Arc<Channel>, mut guarded: MutexGuard<'_, Guarded>) {
        let unheard = guarded.is_vain();
        if !unheard && guarded.start_flusher(self.mutant) {
            self.spawn(channel);
        }
        let vain = guarded.is_vain();
        drop(guarded);
        if vain {
            self.reap(channel);
        }
    }

    fn reap(&self, channel: &Arc<Channel>) {
        let mut shard = self.shards[channel.name].lock().unwrap();
        if shard.as_ref().is_some_and(|found| Arc::ptr_eq(found, channel)) {
            let mut guarded = channel.lock();
            if guarded.is_vain() || self.mutant == Mutant::ReapsWithoutLookingAgain {
                guarded.dead = true;
                drop(guarded);
                *shard = None;
            }
        }
    }
}

fn flush(hub: &Arc<Hub>, channel: &Arc<Channel>) {
    while let Some(round) = Round::begin(channel, hub.mutant) {
        if hub.mutant == Mutant::AsidesBehindSnapshots {
            round.serve_snapshots(hub, channel);
            round.tell_aside(channel);
        } else {
            round.tell_aside(channel);
            round.serve_snapshots(hub, channel);
        }
        round.pass(channel);
    }
    if hub.mutant != Mutant::EndsInAnotherHold {
        hub.settle(channel, channel.lock());
    }
}

struct Round {
    tick: Tick,
    /// After the tick.
    next_seq: u8,
    waiting: Vec<Arc<Subscription>>,
}

impl Round {
    fn begin(channel: &Channel, mutant: Mutant) -> Option<Self> {
        let mut guarded = channel.lock();
        if !guarded.has_news() {
            if mutant == Mutant::EndsInAnotherHold {
                drop(guarded);
                guarded = channel.lock();
            }
            guarded.flusher_ended();
            return None;
        }
        if guarded.anew {
            guarded.begin_unheard(mutant);
        }
        let tick = guarded.presence.tick();
        let next_seq = guarded.presence.next_seq();
        let waiting = std::mem::take(&mut guarded.waiting);
        Some(Self { tick, next_seq, waiting })
    }

    fn tell_aside(&self, channel: &Channel) {
        let Some((from, to, shared)) = &self.tick.aside else { return };
        over(channel, |batch| {
            batch.retain(|sub| sub.visit_once(*from, *to, shared));
            if !batch.is_empty() {
                channel.lock().waiting.append(batch);
            }
        });
    }

    /// The convoy: part by part, each read under a lock of its own. Those who are the furthest go on;
    /// others wait for a later round.
    fn serve_snapshots(&self, hub: &Hub, channel: &Channel) {
        if !self.waiting.is_empty() && !hub.has_time_for_parts() {
            return channel.lock().waiting.extend(self.waiting.iter().cloned());
        }
        let stands = |sub: &Arc<Subscription>| (Arc::clone(sub), sub.stands());
        let all: Vec<_> = self.waiting.iter().map(stands).collect();
        let lead = all.iter().find_map(|(_, stands)| stands.place());
        let wants = |stands: Cursor| stands == Cursor::Want || self.is_far(stands);
        let is_with = |stands: Cursor| match lead {
            Some(_) => stands.place().is_some(),
            None => wants(stands),
        };
        let (mut riders, later): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, stands)| is_with(*stands));
        let later = later.into_iter().filter(|(_, stands)| wants(*stands));
        channel.lock().waiting.extend(later.map(|(sub, _)| sub));
        let mut place = Some(lead.unwrap_or_else(|| channel.lock().presence.begin_snapshot()));
        while let Some(at) = place.filter(|_| !riders.is_empty()) {
            let (part, next) = channel.lock().presence.snapshot_part(at);
            let shared = part.bytes();
            riders.retain_mut(|(sub, stands)| {
                if lead.is_some() && next.is_none() {
                    arrive(hub, sub, *stands, &shared);
                    return false;
                }
                let to = next.map_or(Cursor::Next(at.seq + 1), |next| {
                    let missed = stands.place().is_some_and(|place| place.missed);
                    Cursor::Within(Place { missed, ..next })
                });
                let from = std::mem::replace(stands, to);
                sub.visit(from, to, &shared)
            });
            place = next;
            if hub.by_parts.load(Ordering::Relaxed) {
                if place.is_some() && hub.mutant != Mutant::ForgetsTheConvoy {
                    channel.lock().waiting.extend(riders.into_iter().map(|(sub, _)| sub));
                }
                return;
            }
        }
    }

    /// Whether somebody lacks frames that are gone, and not just those of this tick.
    fn is_far(&self, stands: Cursor) -> bool {
        let first = self.tick.frame.as_ref().map(|(seq, _)| *seq);
        matches!(stands, Cursor::Next(seq) if seq != self.next_seq && Some(seq) != first)
    }

    fn pass(self, channel: &Channel) {
        let Some((seq, shared)) = self.tick.frame else { return };
        over(channel, |batch| {
            for sub in batch.drain(..) {
                sub.visit(Cursor::Next(seq), Cursor::Next(seq + 1), &shared);
            }
        });
    }
}

/// The last part for whoever began before this round's tick: its own task goes on with the log.
fn arrive(hub: &Hub, sub: &Subscription, stands: Cursor, last: &[Byte]) {
    let Some(place) = stands.place() else { return };
    if place.missed && hub.mutant != Mutant::ArrivesWithoutWhatItMissed {
        return sub.go_on_alone(stands, stands);
    }
    let to = Cursor::Next(place.seq + 1);
    if sub.visit(stands, to, last) && hub.mutant != Mutant::ArrivesAtAnOldTick {
        sub.go_on_alone(to, to);
    }
}

/// Has `act` done with all subscribers, some at a time, and the batch emptied by it.
fn over(channel: &Channel, mut act: impl FnMut(&mut Vec<Arc<Subscription>>)) {
    let mut batch = Vec::new();
    let mut slot = 0;
    loop {
        slot = channel.lock().next_batch(slot, &mut batch);
        let last = batch.len() < PASS_BATCH;
        act(&mut batch);
        if last {
            break;
        }
    }
}
