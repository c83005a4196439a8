//! What a connection is owed once its socket takes bytes again.

use std::cell::RefCell;
use std::sync::Arc;

use herenow_protocol::{Level, encode};

use super::client::Client;
use super::place::Place;
use crate::auth::Caller;
use crate::deflate::squeeze;
use crate::delivery::{Cursor, Owed, Sending, Subscription, Sweep, Want};
use crate::hub::{At, Channel};
use crate::limits::{OWN_PART_BYTES, QUIET_MS, SWEEP_BYTES};
use crate::now::Now;
use crate::presence::{ChannelState, Rest, SnapshotPlace};
use herenow_protocol::reply::SnapshotReason;

/// What a step of catching up came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CaughtUp {
    /// Nothing is owed any more, or the socket is full again.
    ForNow,
    /// There is more, but others should have their turn.
    NotYet,
    /// There is more, and no room for it: not of this socket, but among what slow readers keep. The
    /// task is woken when there is.
    NoRoom,
}

impl Client {
    /// Sends what is owed: the rest of a cut frame, the replies, then what each channel has to tell
    /// from its cursor on, a little of each in turn. The connection's lock is held throughout: a frame
    /// appended before the last look at a log is sent here, one appended later finds its pass waiting
    /// for that lock.
    pub(super) fn catch_up(&mut self, sending: &mut Sending<'_>, now: Now) -> CaughtUp {
        if sending.resume() != Sweep::Done {
            return CaughtUp::ForNow;
        }
        if self.desk.hub().backlog().keeps_waiting(self.outlet.id()) {
            // Nothing is encoded only to be thrown away.
            return CaughtUp::NoRoom;
        }
        let (mut bytes, mut idle) = (0, 0);
        let places = self.places.len();
        while idle < places {
            let turn = usize::from(self.turn) % places;
            let Some(place) = self.places.iter().nth(turn) else { break };
            match self.send_next(place, sending, now) {
                (Sweep::Done, 0) => idle += 1,
                (Sweep::Done, sent) => (bytes, idle) = (bytes + sent, 0),
                (Sweep::NoRoom, _) => return CaughtUp::NoRoom,
                (Sweep::Full | Sweep::Broken, _) => return CaughtUp::ForNow,
            }
            self.turn = (turn + 1) as u16;
            if bytes >= SWEEP_BYTES {
                return CaughtUp::NotYet;
            }
        }
        sending.flowing();
        self.ask_for_the_rest(sending, now);
        CaughtUp::ForNow
    }

    /// What no log holds is asked for only now: taken earlier, it would have been for nobody. That
    /// is a snapshot for those that fell off a log, a count, or whatever begins the level that came
    /// into force meanwhile.
    fn ask_for_the_rest(&self, sending: &Sending<'_>, now: Now) {
        for place in self.places.iter() {
            let Some(subscribed) = &place.subscribed else { continue };
            let subscription = &subscribed.subscription;
            let (asked, cursor) = (subscription.asked(), sending.cursor(subscription));
            // Most have had it all, and whoever asked for events has no other level to come to.
            if asked.level == Level::Events && matches!(cursor, Cursor::Next(_)) {
                continue;
            }
            self.desk.hub().enter(At::Held(&place.channel), |door| {
                let wants = match door.standing().owed(asked, cursor, now.mono_ms) {
                    // A count that comes too soon is owed by a round to come.
                    Owed::Nothing | Owed::CountLater { .. } => false,
                    // Its level changed and changed back since the log was looked at.
                    Owed::Frames(seq) => seq < door.presence().next_seq(),
                    Owed::Snapshot(_) | Owed::Part(_) | Owed::Count | Owed::Switch(_) => true,
                };
                if wants {
                    door.want(Arc::clone(subscription));
                }
            });
        }
    }
}

/// What comes next for a subscriber.
enum Next {
    /// Nothing, or nothing before the connection flows.
    Nothing,
    /// What was put into the buffer, after which the subscription stands here.
    Bytes(Cursor, Shown),
}

/// What a connection is caught up by, as far as it matters to its being compressed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// A part of a snapshot that everyone gets.
    ListToAll,
    /// Frames of a log, which is not worth it for one alone; or what only some may see.
    Plain,
}

impl Client {
    /// Sends the next of what a subscription lacks of its channel, at most about [`OWN_PART_BYTES`], and
    /// says how many bytes that was: some frames of the log, or a part of a snapshot.
    fn send_next(&self, place: &Place, sending: &mut Sending<'_>, now: Now) -> (Sweep, usize) {
        thread_local! {
            static NEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let Some(subscribed) = &place.subscribed else { return (Sweep::Done, 0) };
        let subscription = &*subscribed.subscription;
        NEXT.with_borrow_mut(|bytes| {
            bytes.clear();
            match self.next(&place.channel, subscription, sending, bytes, now) {
                Next::Nothing => (Sweep::Done, 0),
                Next::Bytes(to, shown) => {
                    let (hub, cost) = (self.desk.hub(), bytes.len());
                    let squeezes = sending.squeezes() && shown == Shown::ListToAll;
                    let squeezed = squeezes.then(|| squeeze(bytes, hub.metrics())).flatten();
                    let frames = squeezed.as_ref().unwrap_or(bytes);
                    (sending.catch_up(subscription, to, (frames, cost), hub.backlog()), cost)
                }
            }
        })
    }

    fn next(
        &self,
        channel: &Channel,
        subscription: &Subscription,
        sending: &mut Sending<'_>,
        out: &mut Vec<u8>,
        now: Now,
    ) -> Next {
        let resync = Cursor::Want(Want::Snapshot(SnapshotReason::Resync));
        let cursor = sending.cursor(subscription);
        let look = channel.look();
        let presence = look.presence();
        match look.standing().owed(subscription.asked(), cursor, now.mono_ms) {
            Owed::Frames(seq) => match presence.first_since(seq, OWN_PART_BYTES) {
                Some(([], _)) => Next::Nothing,
                Some((frames, next_seq)) => {
                    out.extend_from_slice(frames);
                    Next::Bytes(Cursor::Next(next_seq), Shown::Plain)
                }
                None => {
                    sending.set_cursor(subscription, resync);
                    Next::Nothing
                }
            },
            Owed::Part(place) => {
                let leapt = presence.last_leap(place.rest).is_some_and(|seq| seq >= place.seq);
                let missed = place.missed || leapt;
                let place = SnapshotPlace { missed, ..place };
                let place = if is_in_vain(place, presence, now) {
                    SnapshotPlace { renewed: true, ..presence.begin_snapshot(place.reason) }
                } else {
                    place
                };
                let user = self.outlet.user();
                let access = sending.access().map(Arc::as_ref);
                let viewer = Caller::User { user, access }.viewer();
                let (part, rest) = presence.snapshot_part(place, viewer, OWN_PART_BYTES);
                let epoch = presence.epoch();
                drop(look);
                encode::text_message(&part.frame(channel.name(), epoch), out);
                let to = match rest {
                    Some(rest) => Cursor::Within(rest),
                    None if place.missed => resync,
                    None => Cursor::Next(place.seq + 1),
                };
                let to_all = matches!(place.rest, Rest::Public(_));
                Next::Bytes(to, if to_all { Shown::ListToAll } else { Shown::Plain })
            }
            _ => Next::Nothing,
        }
    }
}

/// Whether another snapshot has to follow the one under way, since the log does not reach back to its
/// beginning, and nothing has been told for a while: then the truth is there soonest if it begins anew
/// at once. Once at most, so that it ends however often the channel falls quiet.
fn is_in_vain(place: SnapshotPlace, presence: &ChannelState, now: Now) -> bool {
    let quiet = || presence.told_ms().is_none_or(|told_ms| told_ms + QUIET_MS <= now.mono_ms);
    let followed = !place.missed && presence.since(place.seq + 1).is_some();
    !place.renewed && !followed && quiet()
}

#[cfg(test)]
mod tests {
    use herenow_protocol::{Epoch, UserId};

    use super::*;
    use crate::presence::{Bounds, Command, Lasts, Source};

    const TOLD_MS: u64 = 20_000;

    /// Has the channel tell of one member more.
    fn tell(presence: &mut ChannelState, n: u64) {
        let bounds = Bounds { members: 9, attribute_bytes: 99, attribute_keys: 9, roster: 9 };
        let now = Now { mono_ms: TOLD_MS, unix_ms: 5_000_000 };
        let join = Command::Join {
            user: UserId::parse(&format!("user-{n}"), "user").unwrap(),
            source: Source::connection(n),
            attributes: None,
            merge: false,
            info: None,
            visible_to: None,
            away: None,
            lasts: Lasts::Connection { grace_ms: 0 },
        };
        presence.apply(join, now, &bounds, |_| {}).unwrap();
        let room = herenow_protocol::ChannelName::parse("room", "channel").unwrap();
        presence.tick(&room, now, &bounds);
    }

    /// The truth is there soonest so; but not over and over while the channel goes on.
    #[test]
    fn a_snapshot_that_another_must_follow_begins_anew_once_it_is_quiet() {
        let mut presence = ChannelState::new(Epoch::from_random(7));
        tell(&mut presence, 1);
        let old = presence.begin_snapshot(SnapshotReason::Subscribed);
        tell(&mut presence, 2);
        presence.forget_log();
        let new = presence.begin_snapshot(SnapshotReason::Subscribed);
        tell(&mut presence, 3);
        let begins_anew = |place, quiet_ms| {
            is_in_vain(place, &presence, Now { mono_ms: TOLD_MS + quiet_ms, unix_ms: 5_000_000 })
        };
        let missed = SnapshotPlace { missed: true, ..new };
        for place in [old, missed] {
            assert!(!begins_anew(place, 0) && !begins_anew(place, QUIET_MS - 1), "{place:?}");
            assert!(begins_anew(place, QUIET_MS), "{place:?}");
            assert!(!begins_anew(SnapshotPlace { renewed: true, ..place }, QUIET_MS), "{place:?}");
        }
        assert!(!begins_anew(new, QUIET_MS), "the log holds what follows it");
    }
}
