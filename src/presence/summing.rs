//! What becomes of a channel of which this node knows its own members alone, and of the others how
//! many there are: a giant, where nobody here is told each change.

use herenow_protocol::UserId;

use super::channel::ChannelState;
use super::roster::Roster;
use super::sum::{Sum, Summed};
use super::tally::Tally;

impl ChannelState {
    /// From here on this is known of all members, or they are known themselves.
    pub(super) fn set_sum(&mut self, sum: Option<Sum>) {
        let Some(sum) = sum else {
            self.sum = None;
            return;
        };
        let (mut moved, mut shown) = (true, true);
        if let Some(before) = &self.sum {
            let users = |sum: &Sum| -> Vec<(UserId, u64)> {
                sum.newest.iter().map(|member| (member.user.clone(), member.number)).collect()
            };
            moved =
                before.moved || before.is.count != sum.count || users(&before.is) != users(&sum);
            shown = before.shown || before.is.newest != sum.newest;
        }
        self.sum = Some(Box::new(Summed { is: sum, moved, shown }));
    }

    /// Nobody looks: what is known of other nodes' members is nothing.
    pub fn forget_sum(&mut self) {
        self.sum = None;
    }

    /// Whether what is known of all members changed since the last tick.
    pub(super) fn has_new_sum(&self) -> bool {
        self.sum.as_ref().is_some_and(|sum| sum.moved || sum.shown)
    }

    /// At a tick: whoever was told a count before is owed another one. It is no frame that anybody
    /// could go on from.
    pub(super) fn tell_sum(&mut self) {
        let Some(sum) = self.sum.as_mut().filter(|sum| sum.moved || sum.shown) else { return };
        let (moved, shown) = (std::mem::take(&mut sum.moved), std::mem::take(&mut sum.shown));
        self.log.skip();
        let seq = self.log.next_seq() - 1;
        if moved {
            self.moved_seq = seq;
        }
        if shown {
            self.shown_seq = seq;
        }
    }

    /// All nodes count the members, or list them: what holds in between of the two limits.
    pub fn agree(&mut self, counted: Option<bool>) {
        if let Some(shared) = &mut self.shared {
            shared.counted = counted;
        }
    }

    /// What `auto` means from this tick on.
    pub(super) fn next_roster(&self, limit: usize) -> Roster {
        if self.sum.is_some() {
            return Roster::Counted;
        }
        let count = self.order.len();
        // Where it depends on what was before, it is the same on all nodes.
        let between = count <= limit && count * 5 > limit * 4;
        match self.shared.as_ref().and_then(|shared| shared.counted).filter(|_| between) {
            Some(true) => Roster::Counted,
            Some(false) => Roster::Listed,
            None => self.roster.next(count, limit),
        }
    }

    /// As it is known of all nodes, if their members are not.
    pub(super) fn tally_of_sum(&self) -> Option<Tally> {
        let sum = &self.sum.as_ref()?.is;
        let seq = self.log.next_seq() - 1;
        Some(Tally::new(seq, sum.count, sum.newest.iter(), self.partial))
    }
}
