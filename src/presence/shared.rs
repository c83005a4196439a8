//! What a channel notes that other nodes have members of, too.

use std::collections::VecDeque;

use herenow_protocol::UserId;
use indexmap::IndexMap;

use super::elsewhere::{Own, Touch};
use crate::limits::LEAPS;

/// What a channel notes that other nodes have members of, too.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// What own commands did since the last look, in the order of the first of each user's: so the
    /// store numbers them as they came. Bounded like [`Pending`](super::pending::Pending), by whoever
    /// looks.
    touched: IndexMap<UserId, Touch>,
    /// Where a user's status is told: what this node has of that user, who is no member.
    pub(super) status: Option<Box<Own>>,
    /// Members whose number became a larger one, which no event tells: whoever reads a snapshot part by
    /// part from the largest number down, and was between the two, does not come by them any more. At
    /// most [`LEAPS`]; the oldest become one.
    leaps: VecDeque<Leap>,
    /// Whether all nodes count the members; `None`: not known yet.
    pub(super) counted: Option<bool>,
}

/// Members that leapt over those who were reading.
#[derive(Debug)]
struct Leap {
    /// The last seq when they did.
    seq: u64,
    /// The smallest number that one of them had, and the largest that one of them got.
    over: (u64, u64),
}

impl Shared {
    /// The user's touch, to note more.
    pub(super) fn touch(&mut self, user: &UserId) -> &mut Touch {
        if !self.touched.contains_key(user) {
            self.touched.insert(user.clone(), Touch::default());
        }
        &mut self.touched[user]
    }

    pub(super) fn take_touched(&mut self) -> Vec<(UserId, Touch)> {
        std::mem::take(&mut self.touched).into_iter().collect()
    }

    pub(super) fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// A member's number became a larger one, when the last seq was `seq`.
    pub(super) fn note_leap(&mut self, seq: u64, (from, to): (u64, u64)) {
        match self.leaps.back_mut().filter(|last| last.seq == seq) {
            Some(last) => last.over = (last.over.0.min(from), last.over.1.max(to)),
            None => self.leaps.push_back(Leap { seq, over: (from, to) }),
        }
        if self.leaps.len() > LEAPS
            && let (Some(oldest), Some(next)) = (self.leaps.pop_front(), self.leaps.front_mut())
        {
            next.over = (next.over.0.min(oldest.over.0), next.over.1.max(oldest.over.1));
        }
    }

    /// The last seq when a member may have leapt over whoever reads below `below`.
    pub(super) fn last_leap(&self, below: u64) -> Option<u64> {
        let mut newest_first = self.leaps.iter().rev();
        let leap = newest_first.find(|leap| leap.over.0 < below && below <= leap.over.1);
        leap.map(|leap| leap.seq)
    }
}
