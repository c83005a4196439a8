//! What a reader knows of its room: which members, and each one's number, which its attributes carry.
//!
//! Read out of the bytes by marks, as `population` writes them, because parsing gigabytes of snapshots
//! would take the processors from the broker.

use std::time::Instant;

use memchr::memmem;

use crate::clock;
use crate::population::update_mark;
use crate::population::{updates_in, user_index};

/// What a member without a number has.
const NO_NUMBER: u32 = 1;
const USER: &[u8] = b"\"user\":\"";
const USER_BYTES: usize = 10;
/// How far behind a snapshot's last member it is said whether more follows.
const TAIL: usize = 80;

/// One reader's replica.
#[derive(Debug, Default)]
pub(super) struct View {
    /// For each user: 0 if it is not there, else its number + 2, or [`NO_NUMBER`].
    members: Vec<u32>,
    present: usize,
    /// The parts of a snapshot so far.
    parts: Option<Vec<u32>>,
    /// Snapshots that came whole.
    pub(super) snapshots: usize,
    /// When the first of them had.
    pub(super) whole: Option<Instant>,
    /// What is the truth: how many members, how many of them with this number, and how many have it.
    truth: Option<(usize, usize, u32)>,
    at_truth: usize,
    /// Since when it is what this view shows.
    pub(super) true_since: Option<Instant>,
    /// Members that were told to be gone.
    pub(super) lost: usize,
}

impl View {
    /// From now on `members` are there, and `numbered` of them have `number`.
    pub(super) fn expect(&mut self, members: usize, numbered: usize, number: u32) {
        self.truth = Some((members, numbered, number + 2));
        self.count_truth();
        self.look();
    }

    pub(super) fn present(&self) -> usize {
        self.present
    }

    /// Takes in a frame, if it tells of members.
    pub(super) fn take(&mut self, payload: &[u8]) {
        if payload.starts_with(br#"{"type":"snapshot""#) {
            self.take_part(payload);
        } else if payload.starts_with(br#"{"type":"presence""#) {
            for (user, number, before) in entries(payload) {
                let gone = memmem::find(before, br#""event":"leave""#).is_some()
                    || memmem::find(before, br#""event":"timeout""#).is_some();
                self.lost += usize::from(gone);
                self.set(user, if gone { 0 } else { number });
            }
        } else {
            return;
        }
        self.look();
    }

    fn take_part(&mut self, payload: &[u8]) {
        let mut parts = self.parts.take().unwrap_or_default();
        for (user, number, _) in entries(payload) {
            put(&mut parts, user, number);
        }
        let tail = &payload[payload.len().saturating_sub(TAIL)..];
        if memmem::find(tail, br#""more":true"#).is_some() {
            self.parts = Some(parts);
            return;
        }
        self.members = parts;
        self.present = self.members.iter().filter(|&&number| number > 0).count();
        self.count_truth();
        self.snapshots += 1;
        self.whole.get_or_insert_with(clock::now);
    }

    fn set(&mut self, user: usize, number: u32) {
        let before = put(&mut self.members, user, number);
        let is_truth = |number| self.truth.is_some_and(|(_, _, truth)| truth == number);
        self.present = self.present + usize::from(number > 0) - usize::from(before > 0);
        self.at_truth =
            self.at_truth + usize::from(is_truth(number)) - usize::from(is_truth(before));
    }

    fn count_truth(&mut self) {
        let Some((_, _, truth)) = self.truth else { return };
        self.at_truth = self.members.iter().filter(|&&number| number == truth).count();
    }

    fn look(&mut self) {
        let (present, at_truth) = (self.present, self.at_truth);
        if self
            .truth
            .is_none_or(|(members, numbered, _)| (members, numbered) != (present, at_truth))
        {
            self.true_since = None;
        } else if self.true_since.is_none() {
            self.true_since = Some(clock::now());
        }
    }
}

fn put(members: &mut Vec<u32>, user: usize, number: u32) -> u32 {
    if members.len() <= user {
        members.resize(user + 1, 0);
    }
    std::mem::replace(&mut members[user], number)
}

/// The members that a frame names: which, with what number, and what stands before its name.
fn entries(payload: &[u8]) -> impl Iterator<Item = (usize, u32, &[u8])> {
    let mut names = memmem::find_iter(payload, USER).peekable();
    let mut end = 0;
    std::iter::from_fn(move || {
        let at = names.next()?;
        let before = &payload[end..at];
        let name = at + USER.len();
        let until = names.peek().copied().unwrap_or(payload.len());
        let index = payload.get(name..name + USER_BYTES).and_then(user_index)?;
        // The number comes first among the attributes: what is behind them is the next one's.
        end = until.min(name + USER_BYTES + 80);
        let number = updates_in(&payload[name..end]).next();
        end = until.saturating_sub(40).max(name);
        Some((index, number.map_or(NO_NUMBER, |number| number as u32 + 2), before))
    })
}

/// Attributes with a number, of about so many bytes.
pub(super) fn attributes(number: u32, bytes: usize) -> String {
    let mark = update_mark(number as usize);
    let text = "x".repeat(bytes.saturating_sub(mark.len() + 20));
    format!(r#"{{"n":"{mark}","text":"{text}"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::Population;

    fn member(user: usize, number: u32) -> String {
        let (user, attributes) = (Population::user(user), attributes(number, 300));
        format!(r#"{{"user":"{user}","attributes":{attributes},"joinedAt":1}}"#)
    }

    fn snapshot(members: &[String], more: &str) -> String {
        let members = members.join(",");
        format!(r#"{{"type":"snapshot","seq":1,"members":[{members}]{more},"reason":"resync"}}"#)
    }

    #[test]
    fn a_view_follows_its_room() {
        let mut view = View::default();
        view.expect(3, 2, 7);
        view.take(snapshot(&[member(5, 7), member(3, 6)], r#","more":true"#).as_bytes());
        assert_eq!((view.present(), view.whole.is_some()), (0, false));
        let plain = r#"{"user":"u~00000009","attributes":{},"joinedAt":1}"#.to_owned();
        view.take(snapshot(&[plain], "").as_bytes());
        assert_eq!((view.present(), view.snapshots, view.true_since), (3, 1, None));
        let update = format!(
            r#"{{"type":"presence","events":[{{"event":"updateAttributes","user":"u~00000003","attributes":{},"at":1}}]}}"#,
            attributes(7, 300)
        );
        view.take(update.as_bytes());
        assert!(view.true_since.is_some());
        let ends = r#"{"type":"presence","events":[{"event":"leave","user":"u~00000005","reason":"left","at":1},{"event":"timeout","user":"u~00000009","at":1}]}"#;
        view.take(ends.as_bytes());
        assert_eq!((view.present(), view.lost, view.true_since), (1, 2, None));
    }
}
