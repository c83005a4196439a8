//! What subscribers are told: who has seen which update.

use crate::broadcast::{Broadcast, CHANNEL};
use crate::clock;
use crate::crowd::{Population, updates_in};
use crate::failure::{Result, fail};
use crate::peer::Note;
use crate::socket::Upgrade;
use crate::swarm::Driver;

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
        self.lost(who, why)
    }

    fn message(&mut self, who: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some(subscriber) = who.checked_sub(self.publishers) else {
            // Where whoever joins must observe, publishers are told, too: work like any other.
            self.told.deliveries += updates_in(payload).count() as u64;
            if let Note::Welcomed = self.dialect.read(who, payload, out)? {
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

impl Broadcast {
    /// A reader that stands still is let go some day, and that is right.
    fn lost(&mut self, who: usize, why: &str) -> Result<()> {
        match who.checked_sub(self.publishers) {
            Some(subscriber) if self.aside.holds(subscriber) => self.let_go += 1,
            _ => fail!("the server ended connection {who}: {why}"),
        }
        Ok(())
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

    /// Publishers join, subscribers observe.
    fn place(&mut self, who: usize, out: &mut Vec<u8>) {
        self.welcomed += 1;
        if who < self.publishers {
            self.dialect.join(&Population::user(who), CHANNEL, out);
        } else {
            self.dialect.observe(&Population::user(who), CHANNEL, out);
        }
    }
}
