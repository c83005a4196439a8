//! The publishers and subscribers of one channel: their connections, and the updates that are made.

use std::time::{Duration, Instant};

use crate::broadcast::ledger::{Delivered, Ledger};
use crate::clock::{self, Deadline};
use crate::failure::{Result, fail};
use crate::peer::{Dialect, Note};
use crate::population::{Population, update_mark, updates_in};
use crate::progress::Progress;
use crate::replica::Bits;
use crate::socket::Upgrade;
use crate::swarm::{Driver, Swarm, TURN};

/// Its name.
pub(crate) const CHANNEL: &str = "fanout-0";
/// How often a crawling reader reads.
const SIP: Duration = Duration::from_millis(1000 / SIPS_PER_SECOND as u64);
pub(crate) const SIPS_PER_SECOND: usize = 10;

/// The publishers and subscribers of one channel.
pub(crate) struct Broadcast {
    dialect: Box<dyn Dialect>,
    entered: Bits,
    ledger: Ledger,
    /// Bytes that each subscriber aside reads every [`SIP`]; 0: none, they stand still.
    sip_bytes: usize,
    next_sip: Instant,
    /// Subscribers aside that the server let go.
    pub(crate) let_go: usize,
}

impl Broadcast {
    pub(crate) fn new(
        dialect: Box<dyn Dialect>,
        publishers: usize,
        subscribers: usize,
    ) -> Result<Self> {
        Ok(Self {
            dialect,
            entered: Bits::default(),
            ledger: Ledger::new(publishers, subscribers)?,
            sip_bytes: 0,
            next_sip: clock::now(),
            let_go: 0,
        })
    }

    /// Connects everybody; returns when all are in place and nothing is on its way any more.
    pub(crate) fn gather(&mut self, swarm: &mut Swarm, deadline: Deadline) -> Result<()> {
        let (publishers, subscribers) = (self.ledger.publishers, self.ledger.subscribers);
        swarm.connect(publishers + subscribers, deadline, self)?;
        if !swarm.turn_until(deadline, self, |all| all.entered.count() == subscribers)? {
            let entered = self.entered.count();
            fail!("only {entered} of {subscribers} subscribers were in the channel in time");
        }
        swarm.settle(Duration::from_millis(300), self)
    }

    /// Counts anew from here.
    pub(crate) fn start_counting(&mut self) {
        self.ledger.delivered.clear();
    }

    /// What subscribers were told since [`Self::start_counting`].
    pub(crate) fn delivered(&self) -> &Delivered {
        &self.ledger.delivered
    }

    /// Makes `updates` updates with at most `window` outstanding, and waits for the last.
    pub(crate) fn closed_loop(
        &mut self,
        swarm: &mut Swarm,
        updates: usize,
        window: usize,
        deadline: Deadline,
    ) -> Result<()> {
        let goal = self.ledger.made() + updates;
        let mut progress = Progress::new("updates", goal);
        while self.ledger.settled < goal {
            while self.ledger.made() < goal && self.ledger.made() - self.ledger.settled < window {
                self.update(swarm, clock::now())?;
            }
            swarm.turn(Duration::ZERO, self)?;
            progress.at(self.ledger.settled);
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
        let first = self.ledger.made();
        let goal = first + updates;
        let mut progress = Progress::new("updates", goal);
        while self.ledger.settled < goal {
            let mut wait = TURN;
            while self.ledger.made() < goal {
                let due =
                    start + Duration::from_secs_f64((self.ledger.made() - first) as f64 / rate);
                wait = due.saturating_duration_since(clock::now()).min(TURN);
                if !wait.is_zero() {
                    break;
                }
                self.update(swarm, due)?;
            }
            swarm.turn(wait, self)?;
            self.sip(swarm)?;
            progress.at(self.ledger.settled);
            self.check(deadline, goal)?;
        }
        Ok(())
    }

    /// Takes the first `count` subscribers aside: nobody waits for them, and they read no more than
    /// `bytes_per_second` each.
    pub(crate) fn stop_readers(
        &mut self,
        swarm: &mut Swarm,
        count: usize,
        bytes_per_second: usize,
    ) -> Result<()> {
        self.sip_bytes = bytes_per_second / SIPS_PER_SECOND;
        for subscriber in 0..count {
            self.ledger.aside.add(subscriber);
            swarm.pause(self.ledger.publishers + subscriber, true, self)?;
        }
        Ok(())
    }

    fn sip(&mut self, swarm: &mut Swarm) -> Result<()> {
        let now = clock::now();
        if self.sip_bytes == 0 || self.ledger.aside.count() == 0 || now < self.next_sip {
            return Ok(());
        }
        self.next_sip = now + SIP;
        let crawling = (0..self.ledger.subscribers).filter(|&one| self.ledger.aside.holds(one));
        for subscriber in crawling.collect::<Vec<_>>() {
            swarm.sip(self.ledger.publishers + subscriber, self.sip_bytes, self)?;
        }
        Ok(())
    }

    /// Lets the subscribers aside read again; seconds until each knows every publisher's last update.
    pub(crate) fn resume_readers(&mut self, swarm: &mut Swarm, deadline: Deadline) -> Result<f64> {
        let stopped: Vec<usize> = (0..self.ledger.subscribers)
            .filter(|&subscriber| self.ledger.aside.holds(subscriber))
            .collect();
        self.sip_bytes = 0;
        let start = clock::now();
        for &subscriber in &stopped {
            swarm.pause(self.ledger.publishers + subscriber, false, self)?;
        }
        let behind =
            |all: &Self| stopped.iter().filter(|&&one| !all.ledger.is_up_to_date(one)).count();
        if !swarm.turn_until(deadline, self, |all| behind(all) <= all.let_go)? {
            let behind = behind(self) - self.let_go;
            fail!("{behind} of {} resumed readers did not reach the truth in time", stopped.len());
        }
        let seconds = clock::seconds_since(start);
        for subscriber in stopped {
            self.ledger.aside.remove(subscriber);
        }
        Ok(seconds)
    }

    fn check(&self, deadline: Deadline, goal: usize) -> Result<()> {
        if deadline.passed() {
            fail!(
                "only {} of {goal} updates had reached every subscriber in time",
                self.ledger.settled
            );
        }
        Ok(())
    }

    fn update(&mut self, swarm: &mut Swarm, due: Instant) -> Result<()> {
        let number = self.ledger.made();
        let publisher = number % self.ledger.publishers;
        self.ledger.add(due);
        let mut frame = Vec::with_capacity(256);
        let user = Population::user(publisher);
        self.dialect.update(&user, CHANNEL, &update_mark(number), &mut frame);
        swarm.send(publisher, self, |out| out.extend_from_slice(&frame))
    }

    /// Publishers join, subscribers observe.
    fn place(&self, who: usize, out: &mut Vec<u8>) {
        let user = Population::user(who);
        if who < self.ledger.publishers {
            self.dialect.join(&user, CHANNEL, out);
        } else {
            self.dialect.observe(&user, CHANNEL, out);
        }
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

    fn ended(&mut self, who: usize, why: &str) -> Result<()> {
        match who.checked_sub(self.ledger.publishers) {
            // A reader that stands still is let go some day, and that is right.
            Some(subscriber) if self.ledger.aside.holds(subscriber) => self.let_go += 1,
            _ => fail!("the server ended connection {who}: {why}"),
        }
        Ok(())
    }

    fn message(&mut self, who: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some(subscriber) = who.checked_sub(self.ledger.publishers) else {
            // Where a member cannot but observe, publishers are told, too: work like any other.
            self.ledger.delivered.deliveries += updates_in(payload).count() as u64;
            if let Note::Welcomed = self.dialect.read(who, payload, out)? {
                self.place(who, out);
            }
            return Ok(());
        };
        if self.entered.holds(subscriber) {
            let now = clock::now();
            let mut any = false;
            for number in updates_in(payload) {
                any = true;
                self.ledger.saw(subscriber, number, now);
            }
            if any {
                return Ok(());
            }
        }
        match self.dialect.read(who, payload, out)? {
            Note::Welcomed => self.place(who, out),
            Note::Entered | Note::Frame(_) => {
                self.entered.add(subscriber);
            }
            Note::Nothing | Note::Members => {}
        }
        Ok(())
    }
}

impl std::fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broadcast").field("delivered", self.delivered()).finish_non_exhaustive()
    }
}
