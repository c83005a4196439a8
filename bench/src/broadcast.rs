//! Many subscribers of one channel, some publishers whose attributes change: who has been told of
//! which change, and how long it took.
//!
//! Connections `0..publishers` are members and don't observe; the rest observe and aren't members.
//! Update `n` is made by publisher `n % publishers` and carries a mark that is found in whatever a
//! system makes of it. A subscriber that sees a later update of a publisher without an earlier one
//! was spared a folded change: it counts as told, but not as a delivery.

use std::time::{Duration, Instant};

use crate::clock::{self, Deadline};
use crate::crowd::{Population, update_mark, updates_in};
use crate::failure::{Result, fail};
use crate::histogram::Histogram;
use crate::peer::{Dialect, Note};
use crate::progress::Progress;
use crate::replica::Bits;
use crate::socket::Upgrade;
use crate::swarm::{Driver, Swarm, TURN};

const CHANNEL: &str = "fanout-0";

/// What subscribers were told since [`Broadcast::start_counting`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) deliveries: u64,
    pub(crate) folded: u64,
    pub(crate) latency: Histogram,
}

/// The publishers and subscribers of one channel.
pub(crate) struct Broadcast {
    dialect: Box<dyn Dialect>,
    publishers: usize,
    subscribers: usize,
    welcomed: usize,
    entered: Bits,
    /// When each update was due.
    due: Vec<Instant>,
    /// How many subscribers have yet to be told of each update.
    lacking: Vec<u32>,
    settled: usize,
    /// For each subscriber and publisher, the last update seen, plus 1.
    seen: Vec<u32>,
    /// Subscribers that don't read, or are catching up: nobody waits for them.
    aside: Bits,
    told: Told,
    now: Instant,
}

impl Broadcast {
    pub(crate) fn new(dialect: Box<dyn Dialect>, publishers: usize, subscribers: usize) -> Self {
        Self {
            dialect,
            publishers,
            subscribers,
            welcomed: 0,
            entered: Bits::default(),
            due: Vec::new(),
            lacking: Vec::new(),
            settled: 0,
            seen: vec![0; publishers * subscribers],
            aside: Bits::default(),
            told: Told::default(),
            now: clock::now(),
        }
    }

    /// Connects everybody; returns when all are in place and nothing is on its way any more.
    pub(crate) fn gather(&mut self, swarm: &mut Swarm, deadline: Deadline) -> Result<()> {
        let (publishers, subscribers) = (self.publishers, self.subscribers);
        swarm.connect(publishers + subscribers, deadline, self)?;
        if !swarm.turn_until(deadline, self, |all| all.entered.count() == subscribers)? {
            let entered = self.entered.count();
            fail!("only {entered} of {subscribers} subscribers were in the channel in time");
        }
        swarm.settle(Duration::from_millis(300), self)
    }

    /// Counts anew from here.
    pub(crate) fn start_counting(&mut self) {
        self.told = Told::default();
    }

    pub(crate) fn told(&self) -> &Told {
        &self.told
    }

    /// Makes `updates` updates with at most `window` outstanding, and waits for the last.
    pub(crate) fn closed_loop(
        &mut self,
        swarm: &mut Swarm,
        updates: usize,
        window: usize,
        deadline: Deadline,
    ) -> Result<()> {
        let goal = self.due.len() + updates;
        let mut progress = Progress::new("updates", goal);
        while self.settled < goal {
            while self.due.len() < goal && self.due.len() - self.settled < window {
                self.update(swarm, clock::now())?;
            }
            swarm.turn(TURN, self)?;
            progress.at(self.settled);
            self.check(deadline, goal)?;
        }
        Ok(())
    }

    /// Makes `updates` updates at `rate` a second, come what may, and waits for the last. An update
    /// that the generator makes late has been on its way since it was due.
    pub(crate) fn open_loop(
        &mut self,
        swarm: &mut Swarm,
        updates: usize,
        rate: f64,
        deadline: Deadline,
    ) -> Result<()> {
        let start = clock::now();
        let first = self.due.len();
        let goal = first + updates;
        let mut progress = Progress::new("updates", goal);
        while self.settled < goal {
            let mut wait = TURN;
            while self.due.len() < goal {
                let due = start + Duration::from_secs_f64((self.due.len() - first) as f64 / rate);
                wait = due.saturating_duration_since(clock::now()).min(TURN);
                if !wait.is_zero() {
                    break;
                }
                self.update(swarm, due)?;
            }
            swarm.turn(wait, self)?;
            progress.at(self.settled);
            self.check(deadline, goal)?;
        }
        Ok(())
    }

    /// Takes the first `count` subscribers aside: they stop reading and nobody waits for them.
    pub(crate) fn stop_readers(&mut self, swarm: &mut Swarm, count: usize) -> Result<()> {
        for subscriber in 0..count {
            self.aside.add(subscriber);
            swarm.pause(self.publishers + subscriber, true, self)?;
        }
        Ok(())
    }

    /// Lets those who were taken aside read again; seconds until each knows every publisher's last
    /// update.
    pub(crate) fn resume_readers(&mut self, swarm: &mut Swarm, deadline: Deadline) -> Result<f64> {
        let stopped: Vec<usize> =
            (0..self.subscribers).filter(|&subscriber| self.aside.holds(subscriber)).collect();
        let start = clock::now();
        for &subscriber in &stopped {
            swarm.pause(self.publishers + subscriber, false, self)?;
        }
        let up_to_date = |all: &Self| stopped.iter().all(|&subscriber| all.is_up_to_date(subscriber));
        if !swarm.turn_until(deadline, self, up_to_date)? {
            let behind = stopped.iter().filter(|&&one| !self.is_up_to_date(one)).count();
            fail!("{behind} of {} resumed readers did not reach the truth in time", stopped.len());
        }
        let seconds = clock::seconds_since(start);
        for subscriber in stopped {
            self.aside.remove(subscriber);
        }
        Ok(seconds)
    }

    fn is_up_to_date(&self, subscriber: usize) -> bool {
        let made = self.due.len();
        (made.saturating_sub(self.publishers)..made).all(|update| {
            let publisher = update % self.publishers;
            self.seen[subscriber * self.publishers + publisher] as usize == update + 1
        })
    }

    fn check(&self, deadline: Deadline, goal: usize) -> Result<()> {
        if deadline.passed() {
            fail!("only {} of {goal} updates had reached every subscriber in time", self.settled);
        }
        Ok(())
    }

    fn update(&mut self, swarm: &mut Swarm, due: Instant) -> Result<()> {
        let number = self.due.len();
        let publisher = number % self.publishers;
        self.due.push(due);
        self.lacking.push((self.subscribers - self.aside.count()) as u32);
        let mut frame = Vec::with_capacity(256);
        let user = Population::user(publisher);
        self.dialect.update(&user, CHANNEL, &update_mark(number), &mut frame);
        swarm.send(publisher, self, |out| out.extend_from_slice(&frame))
    }

    /// Subscriber `subscriber` saw update `number`, and so the state after all earlier ones of the
    /// same publisher.
    fn saw(&mut self, subscriber: usize, number: usize) {
        let publisher = number % self.publishers;
        let place = subscriber * self.publishers + publisher;
        let last = self.seen[place] as usize;
        if number < last || number >= self.due.len() {
            return;
        }
        self.seen[place] = number as u32 + 1;
        if self.aside.holds(subscriber) {
            return;
        }
        let next = if last == 0 { publisher } else { last - 1 + self.publishers };
        for skipped in (next..number).step_by(self.publishers) {
            self.told.folded += 1;
            self.settle_one(skipped);
        }
        self.told.deliveries += 1;
        self.told.latency.add(self.now.saturating_duration_since(self.due[number]));
        self.settle_one(number);
    }

    fn settle_one(&mut self, number: usize) {
        // An update made while a reader was aside never waited for it.
        self.lacking[number] = self.lacking[number].saturating_sub(1);
        self.settled += usize::from(self.lacking[number] == 0);
    }
}

impl Driver for Broadcast {
    fn upgrade(&self, who: usize) -> Option<Upgrade> {
        self.dialect.upgrade(&Population::user(who))
    }

    fn opened(&mut self, who: usize, out: &mut Vec<u8>) -> Result<()> {
        self.dialect.hello(&Population::user(who), CHANNEL, out);
        if self.upgrade(who).is_none() {
            self.place(who, out);
        }
        Ok(())
    }

    fn message(&mut self, who: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some(subscriber) = who.checked_sub(self.publishers) else {
            if let Note::Welcomed = self.dialect.read(payload, out)? {
                self.place(who, out);
            }
            return Ok(());
        };
        if self.entered.holds(subscriber) {
            self.now = clock::now();
            let mut any = false;
            for number in updates_in(payload) {
                any = true;
                self.saw(subscriber, number);
            }
            if any {
                return Ok(());
            }
        }
        match self.dialect.read(payload, out)? {
            Note::Welcomed => self.place(who, out),
            Note::Entered | Note::Frame(_) => {
                self.entered.add(subscriber);
            }
            Note::Nothing | Note::Members => {}
        }
        Ok(())
    }
}

impl Broadcast {
    /// Publishers join, subscribers observe.
    fn place(&mut self, who: usize, out: &mut Vec<u8>) {
        self.welcomed += 1;
        if who < self.publishers {
            self.dialect.join(&Population::user(who), CHANNEL, out);
        } else {
            self.dialect.observe(CHANNEL, out);
        }
    }
}

impl std::fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broadcast").field("told", &self.told).finish_non_exhaustive()
    }
}
