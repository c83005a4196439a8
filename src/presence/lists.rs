//! Where members stand in a channel's lists, and where the history of those lists begins and ends.

use std::sync::Arc;

use herenow_protocol::{Audience, Epoch, ErrorCode, Refusal, UserId};

use super::channel::ChannelState;
use super::command::Bounds;
use super::log::Log;
use super::member::Member;
use super::roster::Roster;
use crate::now::Now;

/// Numbers between two members visible to all: for the others that join in between.
pub const NUMBER_STEP: u64 = 1 << 20;

/// The largest number that is taken from elsewhere: others come behind it.
pub(super) const MAX_NUMBER: u64 = 1 << 62;

impl ChannelState {
    /// Somebody comes to observe, and will know the epoch.
    pub fn observe(&mut self) {
        self.observed = true;
    }

    /// Whether there is a history, and nobody left who may know it, but for observers: no member is
    /// visible to all, and everything was told.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let begun = self.is_known() || self.unlogged.is_some();
        begun && self.count() == 0 && self.pending.is_empty()
    }

    /// Whether somebody may know the epoch, or a seq.
    fn is_known(&self) -> bool {
        self.observed || self.log.next_seq() > Log::default().next_seq()
    }

    /// Begins a new history, as a channel does that comes to be now: nobody can tell from it that
    /// hidden members have been here all the while. One that nobody knows goes on, and forgets.
    pub fn begin_anew(&mut self, epoch: Epoch) {
        self.unlogged = None;
        if !self.is_known() {
            return;
        }
        (self.epoch, self.log) = (epoch, Log::default());
        (self.roster, self.observed) = (Roster::default(), false);
        (self.moved_seq, self.shown_seq) = (0, 0);
        if self.shared.is_some() {
            // Places in lists mean the same on all nodes, whatever history each tells.
            return;
        }
        self.last_number = self.last_number.next_multiple_of(NUMBER_STEP);
        self.first_number = self.last_number;
    }

    /// Refuses one more member of that visibility. Each kind has the same bound of its own: whether
    /// there is room says nothing of members whom one may not see.
    pub(super) fn check_room(&self, visible_to: &Audience, bounds: &Bounds) -> Result<(), Refusal> {
        let hidden = self.hidden.as_ref().map_or(0, |hidden| hidden.len());
        let held = if visible_to.is_everyone() { self.order.len() } else { hidden };
        if held < bounds.members {
            return Ok(());
        }
        Err(Refusal::field(
            ErrorCode::ChannelFull,
            "channel",
            format_args!("holds {} members, and that is the limit", bounds.members),
        ))
    }

    /// Since when the member is there, and its number in the lists: as `given`, or as whoever observers
    /// saw last as `seen`: whoever comes to see it takes it for one that joins now.
    pub(super) fn place(
        &mut self,
        user: &UserId,
        given: Option<(u64, u64)>,
        seen: Option<&Member>,
        visible_to: &Audience,
        now: Now,
    ) -> (u64, u64) {
        let (joined_at, number) = match (given, seen) {
            (Some(given), _) => {
                self.give_way(user, given.1);
                given
            }
            (None, Some(seen)) if self.stays_in_place(seen, visible_to) => {
                (seen.joined_at, seen.number)
            }
            (None, _) => {
                self.note_placed(user);
                (now.unix_ms, self.next_number(visible_to))
            }
        };
        self.last_number = self.last_number.max(number);
        (joined_at, number)
    }

    /// The number of the next join. Members that not everyone may see are numbered in the gaps
    /// between the others, whose numbers so do not count them.
    pub(super) fn next_number(&self, visible_to: &Audience) -> u64 {
        let gap = self.last_number / NUMBER_STEP * NUMBER_STEP;
        if self.shared.is_some() {
            // Behind all that are known, until the store has given one.
            (self.last_number + 1).max(gap + NUMBER_STEP / 2)
        } else if visible_to.is_everyone() {
            gap + NUMBER_STEP
        } else {
            self.last_number + 1
        }
    }

    /// Who has that number in the lists here.
    #[must_use]
    pub fn numbered(&self, number: u64) -> Option<&Arc<Member>> {
        let hidden = || self.hidden.as_ref().and_then(|hidden| hidden.get(number));
        self.order.get(&number).or_else(hidden)
    }

    /// Whether whoever observers saw last as `seen` comes back to where it stood.
    fn stays_in_place(&self, seen: &Member, visible_to: &Audience) -> bool {
        !seen.is_widened_by(visible_to) && self.other_at(seen.number, &seen.user).is_none()
    }

    /// Who has that number and is not `user`.
    fn other_at(&self, number: u64, user: &UserId) -> Option<&Arc<Member>> {
        self.numbered(number).filter(|other| other.user != *user)
    }

    /// Another who has the number that `user` is given stands behind all, until its own is told: what
    /// is known of it here is older, such as from before the store lost its data, or was chosen here.
    fn give_way(&mut self, user: &UserId, number: u64) {
        let Some(other) = self.other_at(number, user).cloned() else { return };
        self.last_number = self.last_number.max(number);
        let behind = self.next_number(&Audience::EVERYONE);
        self.last_number = behind;
        self.note_leap(other.number, behind);
        let moved = Arc::new(Member { number: behind, ..Member::clone(&other) });
        self.list(Some(&other), Some(&moved));
        if let Some(membership) = self.members.get_mut(&moved.user) {
            membership.member = moved;
        }
    }

    /// Takes the member as it was out of the lists, and puts it there as it is now.
    pub(super) fn list(&mut self, before: Option<&Member>, now: Option<&Arc<Member>>) {
        match before {
            Some(before) if before.is_restricted() => {
                self.hidden.as_mut().into_iter().for_each(|hidden| hidden.remove(before));
            }
            Some(before) => drop(self.order.remove(&before.number)),
            None => {}
        }
        match now {
            Some(now) if now.is_restricted() => self.hidden.get_or_insert_default().insert(now),
            Some(now) => drop(self.order.insert(now.number, Arc::clone(now))),
            None => {}
        }
        self.hidden.take_if(|hidden| hidden.is_empty());
    }
}
