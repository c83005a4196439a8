//! A client's copy of a channel, kept as strictly as the protocol promises: a gap in seq, a count
//! that does not fit, a join of somebody present or a leave of somebody absent is an error.
//!
//! Frames are shared by many connections, so each distinct one is parsed once (`peer::herenow`)
//! and applied as numbers.

/// A set of small numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    /// Adds a number; false if it was there.
    pub(crate) fn add(&mut self, number: usize) -> bool {
        let (word, bit) = (number / 64, 1 << (number % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += usize::from(new);
        new
    }

    /// Removes a number; false if it was not there.
    pub(crate) fn remove(&mut self, number: usize) -> bool {
        let there = self.holds(number);
        if there {
            self.words[number / 64] &= !(1 << (number % 64));
            self.count -= 1;
        }
        there
    }

    pub(crate) fn holds(&self, number: usize) -> bool {
        self.words.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Adds all of `other`; false if some were there.
    fn join(&mut self, other: &Self) -> bool {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
        let expected = self.count + other.count;
        self.count = self.words.iter().map(|word| word.count_ones() as usize).sum();
        self.count == expected
    }
}

/// What an event does to the member list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Joined,
    Gone,
    Updated,
}

/// The part of a frame that a replica needs.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) channel: String,
    pub(crate) seq: u64,
    pub(crate) count: usize,
    pub(crate) body: Body,
}

/// What kind of frame. Members are numbered within their channel.
#[derive(Debug)]
pub(crate) enum Body {
    Snapshot { members: Bits, more: bool },
    Presence { events: Vec<(usize, Change)> },
}

impl Frame {
    pub(crate) fn is_last_part(&self) -> bool {
        matches!(self.body, Body::Snapshot { more: false, .. })
    }
}

/// One channel as one connection knows it.
#[derive(Debug, Default)]
pub(crate) struct Replica {
    pub(crate) members: Bits,
    /// Seq of the last frame applied; none before the first snapshot. Peers without seq keep none.
    seq: Option<u64>,
    strict: bool,
    /// The parts of a snapshot so far, and their seq.
    parts: Option<(u64, Bits)>,
}

impl Replica {
    /// Whether `members` means something: always for peers, after the first snapshot for herenow.
    pub(crate) fn is_live(&self) -> bool {
        !self.strict || (self.seq.is_some() && self.parts.is_none())
    }

    /// Applies a frame.
    ///
    /// # Errors
    /// What promise the frame breaks.
    pub(crate) fn apply(&mut self, frame: &Frame) -> Result<(), String> {
        self.strict = true;
        match &frame.body {
            Body::Snapshot { members, more } => self.take_part(frame, members, *more),
            Body::Presence { events } => self.take_events(frame, events),
        }
    }

    fn take_part(&mut self, frame: &Frame, part: &Bits, more: bool) -> Result<(), String> {
        let (seq, mut members) = self.parts.take().unwrap_or((frame.seq, Bits::default()));
        if seq != frame.seq {
            return Err(format!("a snapshot's parts have seq {seq} and {}", frame.seq));
        }
        if !members.join(part) {
            return Err(format!("two parts of snapshot {seq} list the same member"));
        }
        if more {
            self.parts = Some((seq, members));
            return Ok(());
        }
        if members.count() != frame.count {
            let listed = members.count();
            return Err(format!("snapshot {seq} says count {} and lists {listed}", frame.count));
        }
        self.members = members;
        self.seq = Some(seq);
        Ok(())
    }

    fn take_events(&mut self, frame: &Frame, events: &[(usize, Change)]) -> Result<(), String> {
        let Some(last) = self.seq else {
            return Err(format!("presence {} came before the first snapshot", frame.seq));
        };
        if self.parts.is_some() {
            return Err(format!("presence {} came between a snapshot's parts", frame.seq));
        }
        if frame.seq != last + 1 {
            return Err(format!("presence {} came after {last}: a gap in seq", frame.seq));
        }
        for &(member, change) in events {
            let fits = match change {
                Change::Joined => self.members.add(member),
                Change::Gone => self.members.remove(member),
                Change::Updated => self.members.holds(member),
            };
            if !fits {
                return Err(format!(
                    "presence {}: member {member} can't have {change:?}",
                    frame.seq
                ));
            }
        }
        self.seq = Some(frame.seq);
        if self.members.count() != frame.count {
            let held = self.members.count();
            return Err(format!("presence {} says count {}, not {held}", frame.seq, frame.count));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(seq: u64, count: usize, users: &[usize], more: bool) -> Frame {
        let mut members = Bits::default();
        users.iter().for_each(|&user| assert!(members.add(user)));
        let body = Body::Snapshot { members, more };
        Frame { channel: "c".into(), seq, count, body }
    }

    fn presence(seq: u64, count: usize, events: &[(usize, Change)]) -> Frame {
        Frame { channel: "c".into(), seq, count, body: Body::Presence { events: events.to_vec() } }
    }

    #[test]
    fn parts_and_events_make_the_list() {
        let mut replica = Replica::default();
        replica.apply(&snapshot(4, 3, &[1, 2], true)).unwrap();
        assert!(!replica.is_live());
        replica.apply(&snapshot(4, 3, &[70], false)).unwrap();
        let events = [(1, Change::Gone), (5, Change::Joined), (70, Change::Updated)];
        replica.apply(&presence(5, 3, &events)).unwrap();
        assert!(replica.is_live() && replica.members.holds(5) && !replica.members.holds(1));
    }

    #[test]
    fn every_broken_promise_is_told() {
        let broken = |frames: &[Frame], why: &str| {
            let mut replica = Replica::default();
            let (last, first) = frames.split_last().unwrap();
            first.iter().for_each(|frame| replica.apply(frame).unwrap());
            let error = replica.apply(last).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        let start = || snapshot(1, 1, &[1], false);
        broken(&[presence(1, 0, &[])], "before the first");
        broken(&[start(), presence(3, 1, &[])], "gap");
        broken(&[start(), presence(1, 1, &[])], "gap");
        broken(&[start(), presence(2, 1, &[(1, Change::Joined)])], "can't");
        broken(&[start(), presence(2, 1, &[(2, Change::Gone)])], "can't");
        broken(&[start(), presence(2, 1, &[(2, Change::Updated)])], "can't");
        broken(&[start(), presence(2, 1, &[(2, Change::Joined)])], "count");
        broken(&[snapshot(1, 2, &[1], false)], "lists 1");
        broken(&[snapshot(1, 2, &[1], true), snapshot(1, 2, &[1], false)], "same member");
        broken(&[snapshot(1, 3, &[1], true), snapshot(2, 3, &[2], false)], "parts");
    }
}
