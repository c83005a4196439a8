//! Clients that are members and subscribers of their channel at once, and how far each is on its way
//! to knowing all its members.

use std::ops::Range;

use crate::failure::{Result, fail};
use crate::peer::{Dialect, Note};
use crate::population::{Population, users_in};
use crate::replica::{Frame, Replica};
use crate::socket::Upgrade;
use crate::swarm::Driver;

/// How far a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    #[default]
    Opened,
    Welcomed,
    Entered,
}

/// What one connection knows of its channel.
#[derive(Debug, Default)]
struct Attendee {
    step: Step,
    replica: Replica,
    complete: bool,
}

/// The connections of one system, each a member and a subscriber of its channel.
pub(crate) struct Attendees {
    pub(crate) dialect: Box<dyn Dialect>,
    pub(crate) population: Population,
    each: Vec<Attendee>,
    /// Whether connections enter their channel as soon as they may, or wait to be told.
    enter_at_once: bool,
    pub(crate) welcomed: usize,
    pub(crate) complete: usize,
    /// Snapshots of channels that a connection is not a member of.
    pub(crate) foreign_snapshots: usize,
    leaving: bool,
}

impl Attendees {
    pub(crate) fn new(
        dialect: Box<dyn Dialect>,
        population: Population,
        enter_at_once: bool,
    ) -> Self {
        let mut attendees = Self {
            dialect,
            population,
            each: Vec::new(),
            enter_at_once,
            welcomed: 0,
            complete: 0,
            foreign_snapshots: 0,
            leaving: false,
        };
        attendees.reset();
        attendees
    }

    /// Forgets everything: all connections are new again.
    pub(crate) fn reset(&mut self) {
        self.each.clear();
        self.each.resize_with(self.population.users, Attendee::default);
        (self.welcomed, self.complete, self.leaving) = (0, 0, false);
        self.foreign_snapshots = 0;
    }

    /// From now on others leave, so nobody has to be complete.
    pub(crate) fn leave(&mut self) {
        self.leaving = true;
    }

    /// What connection `who` sends to join and observe its channel.
    pub(crate) fn enter(&self, who: usize, out: &mut Vec<u8>) {
        let channel = self.population.channel(who);
        self.dialect.enter(&Population::user(who), &channel, out);
    }

    pub(crate) fn all(&self) -> Range<usize> {
        0..self.population.users
    }

    /// Checks member by member that every connection knows exactly the members of its channel.
    pub(crate) fn verify(&self) -> Result<()> {
        let mut lacking = 0;
        let mut example = String::new();
        for (who, attendee) in self.each.iter().enumerate() {
            let size = self.population.size(who);
            let missing = (0..size).find(|&slot| !attendee.replica.members.holds(slot));
            if let Some(slot) = missing {
                lacking += 1;
                if example.is_empty() {
                    let user = slot * self.population.channels + who % self.population.channels;
                    example = format!(
                        "connection {who} knows {} of {size} and lacks {}",
                        attendee.replica.members.count(),
                        Population::user(user)
                    );
                }
            }
        }
        if lacking > 0 {
            fail!("{lacking} of {} connections lack members: {example}", self.population.users);
        }
        Ok(())
    }

    fn welcome(&mut self, who: usize, out: &mut Vec<u8>) {
        if self.each[who].step == Step::Opened {
            self.each[who].step = Step::Welcomed;
            self.welcomed += 1;
            if self.enter_at_once {
                self.enter(who, out);
            }
        }
    }

    /// For systems that have no seq: a user that a message names has been seen.
    fn see(&mut self, who: usize, payload: &[u8]) {
        for user in users_in(payload) {
            if let Some(slot) = self.population.slot(who, user) {
                self.each[who].replica.members.add(slot);
            }
        }
    }

    fn apply(&mut self, who: usize, frame: &Frame) -> Result<()> {
        if frame.channel != self.population.channel(who) {
            self.foreign_snapshots += usize::from(frame.is_last_part());
            return Ok(());
        }
        if let Err(why) = self.each[who].replica.apply(frame) {
            fail!("connection {who}, channel {}: {why}", frame.channel);
        }
        Ok(())
    }
}

impl Driver for Attendees {
    fn upgrade(&self, who: usize) -> Option<Upgrade> {
        self.dialect.upgrade(&Population::user(who))
    }

    fn opened(&mut self, who: usize, out: &mut Vec<u8>) -> Result<()> {
        self.dialect.hello(&Population::user(who), &self.population.channel(who), out);
        Ok(())
    }

    fn message(&mut self, who: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self.dialect.read(who, payload, out)? {
            Note::Nothing => return Ok(()),
            Note::Welcomed => {
                self.welcome(who, out);
                return Ok(());
            }
            Note::Entered => {
                self.each[who].step = Step::Entered;
                self.see(who, payload);
            }
            Note::Members => self.see(who, payload),
            Note::Frame(frame) => {
                self.each[who].step = Step::Entered;
                self.apply(who, &frame)?;
            }
        }
        let attendee = &mut self.each[who];
        let complete = attendee.step == Step::Entered
            && attendee.replica.is_live()
            && attendee.replica.members.count() == self.population.size(who);
        if complete != attendee.complete && !self.leaving {
            attendee.complete = complete;
            self.complete = if complete { self.complete + 1 } else { self.complete - 1 };
        }
        Ok(())
    }
}

impl std::fmt::Debug for Attendees {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attendees").field("population", &self.population).finish_non_exhaustive()
    }
}
