//! Many subscribers of one channel, some publishers whose attributes change: who has been told of
//! which change, and how long it took.
//!
//! Connections `0..publishers` are members and don't observe; the rest observe and aren't members.
//! Update `n` is made by publisher `n % publishers` and carries a mark that is found in whatever a
//! system makes of it. A subscriber that sees a later update of a publisher without an earlier one
//! was spared a folded change: it counts as told, but not as a delivery.

mod told;

use std::time::{Duration, Instant};

use crate::clock::{self, Deadline};
use crate::crowd::{Population, update_mark};
use crate::failure::{Result, fail};
use crate::histogram::Histogram;
use crate::peer::Dialect;
use crate::progress::Progress;
use crate::replica::Bits;
use crate::swarm::{Swarm, TURN};

const CHANNEL: &str = "fanout-0";
/// How often a crawling reader reads.
const SIP: Duration = Duration::from_millis(1000 / SIPS_PER_SECOND as u64);
pub(crate) const SIPS_PER_SECOND: usize = 10;

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
    /// Bytes that each of those reads every [`SIP`]; 0: none, they stand still.
    sip_bytes: usize,
    next_sip: Instant,
    /// Those of them whom the server let go.
    pub(crate) let_go: usize,
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
            sip_bytes: 0,
            next_sip: clock::now(),
            let_go: 0,
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
            swarm.turn(Duration::ZERO, self)?;
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
            self.sip(swarm)?;
            progress.at(self.settled);
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
            self.aside.add(subscriber);
            swarm.pause(self.publishers + subscriber, true, self)?;
        }
        Ok(())
    }

    fn sip(&mut self, swarm: &mut Swarm) -> Result<()> {
        let now = clock::now();
        if self.sip_bytes == 0 || self.aside.count() == 0 || now < self.next_sip {
            return Ok(());
        }
        self.next_sip = now + SIP;
        let crawling = (0..self.subscribers).filter(|&one| self.aside.holds(one));
        for subscriber in crawling.collect::<Vec<_>>() {
            swarm.sip(self.publishers + subscriber, self.sip_bytes, self)?;
        }
        Ok(())
    }

    /// Lets those who were taken aside read again; seconds until each knows every publisher's last
    /// update.
    pub(crate) fn resume_readers(&mut self, swarm: &mut Swarm, deadline: Deadline) -> Result<f64> {
        let stopped: Vec<usize> =
            (0..self.subscribers).filter(|&subscriber| self.aside.holds(subscriber)).collect();
        self.sip_bytes = 0;
        let start = clock::now();
        for &subscriber in &stopped {
            swarm.pause(self.publishers + subscriber, false, self)?;
        }
        let behind = |all: &Self| stopped.iter().filter(|&&one| !all.is_up_to_date(one)).count();
        if !swarm.turn_until(deadline, self, |all| behind(all) <= all.let_go)? {
            let behind = behind(self) - self.let_go;
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
}

impl std::fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broadcast").field("told", &self.told).finish_non_exhaustive()
    }
}
