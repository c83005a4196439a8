//! Where not all members are known: a node of a cluster that has not heard of the others yet.

use super::channel::ChannelState;
use super::pending::Pending;

impl ChannelState {
    /// Whether others may be members who are not known here. Snapshots and counts say so.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// From here on all members are known, or not.
    pub fn set_partial(&mut self, partial: bool) {
        self.partial = partial;
    }

    /// How many members were touched since the last tick.
    #[must_use]
    pub fn touched(&self) -> usize {
        self.pending.len()
    }

    /// Of members who were touched last, but for the first `touched`, no tick tells: of them observers
    /// do not know yet.
    pub fn forget_touched(&mut self, touched: usize) {
        self.pending.truncate(touched);
    }

    /// What changed since the last tick is told to nobody, as no news: whoever was told anything
    /// before needs a snapshot, and so nobody goes on from there.
    pub fn begin_unheard(&mut self) {
        self.pending = Pending::default();
        self.unlogged = None;
        self.log.skip();
        let seq = self.log.next_seq() - 1;
        (self.moved_seq, self.shown_seq) = (seq, seq);
    }
}

#[cfg(test)]
mod tests {
    use herenow_protocol::reply::SnapshotReason;
    use herenow_protocol::{ChannelName, Epoch, Since, UserId};

    use super::*;
    use crate::limits::PART_BYTES;
    use crate::now::Now;
    use crate::presence::{Bounds, Command, Lasts, Source, Viewer};

    #[test]
    fn what_comes_unheard_is_told_by_a_snapshot_and_by_nothing_else() {
        let bounds = Bounds { members: 9, attribute_bytes: 99, attribute_keys: 9, roster: 9 };
        let now = Now { mono_ms: 5, unix_ms: 5_000 };
        let room = ChannelName::parse("room", "channel").unwrap();
        let join = |user| Command::Join {
            user: UserId::parse(user, "user").unwrap(),
            source: Source::connection(1),
            attributes: None,
            merge: false,
            info: None,
            visible_to: None,
            away: None,
            lasts: Lasts::Connection { grace_ms: 0 },
        };
        let mut channel = ChannelState::new(Epoch::from_random(1));
        channel.set_partial(true);
        channel.apply(join("ada"), now, &bounds, |_| {}).unwrap();
        channel.tick(&room, now, &bounds);
        let told = Since { epoch: channel.epoch(), seq: channel.next_seq() - 1, sight: None };
        assert!(channel.resume(told, Viewer::Public).is_some());
        assert!(channel.tally().partial);

        let touched = channel.touched();
        channel.apply(join("cy"), now, &bounds, |_| {}).unwrap();
        channel.forget_touched(touched);
        assert!(!channel.has_news() && channel.count() == 2, "cy was there before");
        channel.apply(join("bob"), now, &bounds, |_| {}).unwrap();
        channel.set_partial(false);
        channel.begin_unheard();
        assert!(!channel.has_news(), "nobody is told that bob joined");
        assert_eq!(channel.resume(told, Viewer::Public), None, "whoever knew less begins anew");
        let place = channel.begin_snapshot(SnapshotReason::Resync);
        let (part, rest) = channel.snapshot_part(place, Viewer::Public, PART_BYTES);
        assert_eq!((part.members.len(), part.seq, part.partial), (3, told.seq + 1, false));
        assert_eq!((rest, channel.moved_seq()), (None, part.seq));
        let after = Since { seq: part.seq, ..told };
        assert!(channel.resume(after, Viewer::Public).is_some());
    }
}
