//! Who is expected where, and how far each connection is on its way to knowing it.
//!
//! The user of connection `i` is called `u~` and `i` in hex, so that its name is found in whatever
//! a system sends. Connection `i` is in channel `i % channels`, as the `i / channels`-th member.

use std::ops::Range;

use crate::failure::{Result, fail};
use crate::peer::{Dialect, Note};
use crate::replica::{Frame, Replica};
use crate::socket::Upgrade;
use crate::swarm::Driver;

const USER_MARK: &[u8] = b"u~";
const UPDATE_MARK: &[u8] = b"n~";
const DIGITS: usize = 8;

/// How many users, over how many channels.
#[derive(Clone, Debug)]
pub(crate) struct Population {
    pub(crate) users: usize,
    pub(crate) channels: usize,
    /// Begins every channel's name, so that one round's channels are not another's.
    pub(crate) prefix: String,
}

impl Population {
    pub(crate) fn user(index: usize) -> String {
        format!("u~{index:08x}")
    }

    pub(crate) fn channel(&self, index: usize) -> String {
        format!("{}-{}", self.prefix, index % self.channels)
    }

    /// How many are in the channel of connection `index`.
    pub(crate) fn size(&self, index: usize) -> usize {
        (self.users - index % self.channels).div_ceil(self.channels)
    }

    /// Which member of its own channel user `user` is; none if `who` is in another.
    fn slot(&self, who: usize, user: usize) -> Option<usize> {
        let same = user < self.users && user % self.channels == who % self.channels;
        same.then_some(user / self.channels)
    }
}

/// The users that `bytes` name, in order.
fn users_in(bytes: &[u8]) -> impl Iterator<Item = usize> {
    numbers_in(bytes, USER_MARK)
}

/// The updates that `bytes` carry, in order.
pub(crate) fn updates_in(bytes: &[u8]) -> impl Iterator<Item = usize> {
    numbers_in(bytes, UPDATE_MARK)
}

/// How update `number` is found in whatever a system makes of it.
pub(crate) fn update_mark(number: usize) -> String {
    format!("n~{number:08x}")
}

/// The index in a user's name.
pub(crate) fn user_index(name: &[u8]) -> Option<usize> {
    let digits = name.strip_prefix(USER_MARK).filter(|digits| digits.len() == DIGITS)?;
    parse_hex(digits)
}

fn numbers_in<'a>(bytes: &'a [u8], mark: &'static [u8]) -> impl Iterator<Item = usize> + 'a {
    memchr::memmem::find_iter(bytes, mark).filter_map(move |at| {
        let start = at + mark.len();
        parse_hex(bytes.get(start..start + DIGITS)?)
    })
}

fn parse_hex(digits: &[u8]) -> Option<usize> {
    usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    #[default]
    Opened,
    Welcomed,
    Entered,
}

/// What one connection knows.
#[derive(Debug, Default)]
struct Attendee {
    step: Step,
    replica: Replica,
    complete: bool,
}

/// The connections of one system, each joined and subscribed to its channel.
pub(crate) struct Crowd {
    pub(crate) dialect: Box<dyn Dialect>,
    pub(crate) population: Population,
    attendees: Vec<Attendee>,
    /// Whether connections enter their channel as soon as they may, or wait to be told.
    enter_at_once: bool,
    pub(crate) welcomed: usize,
    pub(crate) complete: usize,
    /// Snapshots of channels that a connection is not a member of.
    pub(crate) foreign_snapshots: usize,
    leaving: bool,
}

impl Crowd {
    pub(crate) fn new(
        dialect: Box<dyn Dialect>,
        population: Population,
        enter_at_once: bool,
    ) -> Self {
        let mut crowd = Self {
            dialect,
            population,
            attendees: Vec::new(),
            enter_at_once,
            welcomed: 0,
            complete: 0,
            foreign_snapshots: 0,
            leaving: false,
        };
        crowd.reset();
        crowd
    }

    /// Forgets everything: all connections are new again.
    pub(crate) fn reset(&mut self) {
        self.attendees.clear();
        self.attendees.resize_with(self.population.users, Attendee::default);
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
        for (who, attendee) in self.attendees.iter().enumerate() {
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
        if self.attendees[who].step == Step::Opened {
            self.attendees[who].step = Step::Welcomed;
            self.welcomed += 1;
            if self.enter_at_once {
                self.enter(who, out);
            }
        }
    }

    /// Peers that have no seq: whoever is named in a message has been seen.
    fn see(&mut self, who: usize, payload: &[u8]) {
        for user in users_in(payload) {
            if let Some(slot) = self.population.slot(who, user) {
                self.attendees[who].replica.members.add(slot);
            }
        }
    }

    fn apply(&mut self, who: usize, frame: &Frame) -> Result<()> {
        if frame.channel != self.population.channel(who) {
            self.foreign_snapshots += usize::from(frame.is_last_part());
            return Ok(());
        }
        if let Err(why) = self.attendees[who].replica.apply(frame) {
            fail!("connection {who}, channel {}: {why}", frame.channel);
        }
        Ok(())
    }
}

impl Driver for Crowd {
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
                self.attendees[who].step = Step::Entered;
                self.see(who, payload);
            }
            Note::Members => self.see(who, payload),
            Note::Frame(frame) => {
                self.attendees[who].step = Step::Entered;
                self.apply(who, &frame)?;
            }
        }
        let attendee = &mut self.attendees[who];
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

impl std::fmt::Debug for Crowd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crowd").field("population", &self.population).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_a_place() {
        let population = Population { users: 10, channels: 4, prefix: "c".into() };
        let sizes: Vec<_> = (0..4).map(|channel| population.size(channel)).collect();
        assert_eq!(sizes, [3, 3, 2, 2]);
        assert_eq!(population.slot(1, 9), Some(2));
        assert_eq!(population.slot(1, 8), None);
    }

    #[test]
    fn names_are_found_anywhere() {
        assert_eq!(updates_in(update_mark(300).as_bytes()).next(), Some(300));
        let text = format!("x{{{}}},\"u~zz\",{}u~", Population::user(17), Population::user(255));
        assert_eq!(users_in(text.as_bytes()).collect::<Vec<_>>(), [17, 255]);
        assert_eq!(user_index(b"u~00000a"), None);
    }
}
