//! Many small channels: which subscriber is told of which change, and when.
//!
//! Connections `0..channels` are members, one in each channel; the rest observe, connection
//! `channels + i` the channel `i % channels`. Change `n` is made in channel `n % channels`.

use std::time::{Duration, Instant};

use crate::broadcast::Delivered;
use crate::clock::{self, Deadline};
use crate::failure::{Result, fail};
use crate::histogram::Histogram;
use crate::peer::{Dialect, Note};
use crate::population::{Population, update_mark, updates_in};
use crate::progress::Progress;
use crate::replica::Bits;
use crate::socket::Upgrade;
use crate::swarm::{Driver, Swarm, TURN};

/// Long enough for what is on its way to arrive.
const SETTLE: Duration = Duration::from_millis(300);

pub(super) struct Small {
    dialect: Box<dyn Dialect>,
    names: Population,
    subscribers_each: usize,
    entered: Bits,
    /// When each change was written.
    written: Vec<Instant>,
    /// For each subscriber, the number of the last change seen, plus 1.
    seen: Vec<usize>,
    /// Deliveries that have not come yet.
    lacking: usize,
    /// Latency runs from a change's writing to its delivery.
    delivered: Delivered,
    /// From the moment when a change was due to its writing.
    written_late: Histogram,
}

impl Small {
    pub(super) fn new(
        dialect: Box<dyn Dialect>,
        channels: usize,
        subscribers_each: usize,
    ) -> Result<Self> {
        Ok(Self {
            dialect,
            names: Population { users: channels, channels, prefix: "small".to_owned() },
            subscribers_each,
            entered: Bits::default(),
            written: Vec::new(),
            seen: vec![0; channels * subscribers_each],
            lacking: 0,
            delivered: Delivered::new()?,
            written_late: Histogram::new()?,
        })
    }

    /// Connects everybody; returns when all are in place and nothing is on its way any more.
    pub(super) fn gather(&mut self, swarm: &mut Swarm, deadline: Deadline) -> Result<()> {
        let subscribers = self.seen.len();
        swarm.connect(self.names.channels + subscribers, deadline, self)?;
        if !swarm.turn_until(deadline, self, |all| all.entered.count() == subscribers)? {
            let entered = self.entered.count();
            fail!("only {entered} of {subscribers} subscribers were in small channels in time");
        }
        swarm.settle(SETTLE, self)
    }

    /// Counts anew from here.
    pub(super) fn start_counting(&mut self) {
        self.delivered.clear();
        self.written_late.clear();
    }

    /// What subscribers were told since [`Self::start_counting`].
    pub(super) fn delivered(&self) -> &Delivered {
        &self.delivered
    }

    /// How late changes were written since then.
    pub(super) fn written_late(&self) -> &Histogram {
        &self.written_late
    }

    /// Makes `changes` changes at `rate` a second, come what may, and waits for the last delivery.
    pub(super) fn open_loop(
        &mut self,
        swarm: &mut Swarm,
        changes: usize,
        rate: f64,
        deadline: Deadline,
    ) -> Result<()> {
        let start = clock::now();
        let first = self.written.len();
        let mut progress = Progress::new("small changes", changes);
        loop {
            let mut wait = TURN;
            while self.written.len() - first < changes {
                let made = (self.written.len() - first) as f64;
                let due = start + Duration::from_secs_f64(made / rate);
                wait = due.saturating_duration_since(clock::now()).min(TURN);
                if !wait.is_zero() {
                    break;
                }
                self.change(swarm, due)?;
            }
            let made = self.written.len() - first;
            if made == changes && self.lacking == 0 {
                return Ok(());
            }
            if deadline.passed() {
                fail!("{} deliveries in small channels had not come in time", self.lacking);
            }
            swarm.turn(wait, self)?;
            progress.at(made);
        }
    }

    fn change(&mut self, swarm: &mut Swarm, due: Instant) -> Result<()> {
        let number = self.written.len();
        let who = number % self.names.channels;
        let (user, channel) = (Population::user(who), self.names.channel(who));
        let mut frame = Vec::with_capacity(256);
        self.dialect.update(&user, &channel, &update_mark(number), &mut frame);
        let now = clock::now();
        self.written_late.add(now.saturating_duration_since(due));
        self.written.push(now);
        self.lacking += self.subscribers_each;
        swarm.send(who, self, |out| out.extend_from_slice(&frame))
    }

    /// Subscriber `subscriber` saw change `number`, and so the state after all earlier ones.
    fn saw(&mut self, subscriber: usize, number: usize, now: Instant) {
        let channels = self.names.channels;
        let last = self.seen[subscriber];
        if number < last || number >= self.written.len() {
            return;
        }
        self.seen[subscriber] = number + 1;
        let next = if last == 0 { number % channels } else { last - 1 + channels };
        let folded = (number - next) / channels;
        self.lacking = self.lacking.saturating_sub(folded + 1);
        self.delivered.folded += folded as u64;
        self.delivered.deliveries += 1;
        self.delivered.latency.add(now.saturating_duration_since(self.written[number]));
    }

    fn place(&self, who: usize, out: &mut Vec<u8>) {
        let (user, channel) = (Population::user(who), self.names.channel(who));
        if who < self.names.channels {
            self.dialect.join(&user, &channel, out);
        } else {
            self.dialect.observe(&user, &channel, out);
        }
    }
}

impl Driver for Small {
    fn upgrade(&self, who: usize) -> Option<Upgrade> {
        self.dialect.upgrade(&Population::user(who))
    }

    fn opened(&mut self, _: usize, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn message(&mut self, who: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let subscriber = who.checked_sub(self.names.channels);
        if let Some(subscriber) = subscriber.filter(|&one| self.entered.holds(one)) {
            let now = clock::now();
            let mut any = false;
            for number in updates_in(payload) {
                any = true;
                self.saw(subscriber, number, now);
            }
            if any {
                return Ok(());
            }
        }
        match (self.dialect.read(who, payload, out)?, subscriber) {
            (Note::Welcomed, _) => self.place(who, out),
            (Note::Entered | Note::Frame(_), Some(subscriber)) => {
                self.entered.add(subscriber);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Peer;

    #[test]
    fn a_folded_change_is_settled_and_no_delivery() {
        let mut small = Small::new(Peer::Herenow.dialect(3), 3, 2).unwrap();
        let now = clock::now();
        small.written = vec![now; 8];
        small.lacking = 8 * 2;
        // Subscriber 4 observes channel 1, where changes 1, 4 and 7 are made.
        small.saw(4, 1, now);
        small.saw(4, 7, now);
        small.saw(4, 4, now);
        assert_eq!((small.delivered.deliveries, small.delivered.folded, small.lacking), (2, 1, 13));
    }
}
