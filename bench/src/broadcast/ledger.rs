//! Which subscriber has been told of which update, and how long it took.
//!
//! Update `n` is made by publisher `n % publishers`. A subscriber that sees a later update of a
//! publisher without an earlier one was spared a folded change: it counts as told, but not as a
//! delivery.

use std::time::Instant;

use crate::failure::Result;
use crate::histogram::Histogram;
use crate::replica::Bits;

/// The deliveries of a time that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    pub(crate) deliveries: u64,
    /// Changes that no frame of their own told, because a later one said all.
    pub(crate) folded: u64,
    pub(crate) latency: Histogram,
}

impl Delivered {
    /// None yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { deliveries: 0, folded: 0, latency: Histogram::new()? })
    }

    /// Counts anew from here.
    pub(crate) fn clear(&mut self) {
        (self.deliveries, self.folded) = (0, 0);
        self.latency.clear();
    }
}

/// All updates of a run, and each subscriber's place in them.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) publishers: usize,
    pub(super) subscribers: usize,
    /// When each update was due.
    due: Vec<Instant>,
    /// How many subscribers have yet to be told of each update.
    lacking: Vec<u32>,
    /// Updates that every subscriber was told of.
    pub(super) settled: usize,
    /// For each subscriber and publisher, the last update seen, plus 1.
    seen: Vec<u32>,
    /// Subscribers that don't read, or are catching up: nobody waits for them.
    pub(super) aside: Bits,
    pub(super) delivered: Delivered,
}

impl Ledger {
    pub(super) fn new(publishers: usize, subscribers: usize) -> Result<Self> {
        Ok(Self {
            publishers,
            subscribers,
            due: Vec::new(),
            lacking: Vec::new(),
            settled: 0,
            seen: vec![0; publishers * subscribers],
            aside: Bits::default(),
            delivered: Delivered::new()?,
        })
    }

    /// Updates made so far; also the number of the next one.
    pub(super) fn made(&self) -> usize {
        self.due.len()
    }

    /// Notes one more update: every subscriber that reads must be told of it.
    pub(super) fn add(&mut self, due: Instant) {
        self.due.push(due);
        self.lacking.push((self.subscribers - self.aside.count()) as u32);
    }

    /// Subscriber `subscriber` saw update `number`, and so the state after all earlier ones of the
    /// same publisher.
    pub(super) fn saw(&mut self, subscriber: usize, number: usize, now: Instant) {
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
            self.delivered.folded += 1;
            self.settle_one(skipped);
        }
        self.delivered.deliveries += 1;
        self.delivered.latency.add(now.saturating_duration_since(self.due[number]));
        self.settle_one(number);
    }

    fn settle_one(&mut self, number: usize) {
        // An update made while a reader was aside never waited for it.
        self.lacking[number] = self.lacking[number].saturating_sub(1);
        self.settled += usize::from(self.lacking[number] == 0);
    }

    /// Whether a subscriber knows every publisher's last update.
    pub(super) fn is_up_to_date(&self, subscriber: usize) -> bool {
        let made = self.made();
        (made.saturating_sub(self.publishers)..made).all(|update| {
            let publisher = update % self.publishers;
            self.seen[subscriber * self.publishers + publisher] as usize == update + 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_folded_update_is_settled_and_no_delivery() {
        let mut ledger = Ledger::new(2, 2).unwrap();
        let now = clock::now();
        (0..4).for_each(|_| ledger.add(now));
        // Publisher 0 makes updates 0 and 2, publisher 1 the others.
        ledger.saw(0, 2, now);
        ledger.saw(0, 0, now);
        assert_eq!((ledger.delivered.deliveries, ledger.delivered.folded), (1, 1));
        assert_eq!(ledger.settled, 0);
        ledger.saw(1, 0, now);
        ledger.saw(1, 2, now);
        assert_eq!((ledger.delivered.deliveries, ledger.settled), (3, 2));
        assert!(!ledger.is_up_to_date(1));
        ledger.saw(1, 3, now);
        assert!(ledger.is_up_to_date(1) && !ledger.is_up_to_date(0));
    }

    #[test]
    fn nobody_waits_for_a_reader_aside() {
        let mut ledger = Ledger::new(1, 2).unwrap();
        let now = clock::now();
        assert!(ledger.aside.add(1));
        ledger.add(now);
        ledger.saw(1, 0, now);
        assert_eq!((ledger.delivered.deliveries, ledger.settled), (0, 0));
        ledger.saw(0, 0, now);
        assert_eq!((ledger.delivered.deliveries, ledger.settled), (1, 1));
    }
}
