//! What a connection is owed once its socket takes bytes again.

use std::cell::RefCell;
use std::sync::Arc;

use herenow_protocol::Level;
use herenow_protocol::reply::SnapshotReason;

use super::client::Client;
use crate::delivery::{Cursor, Owed, Sending, Subscription, Sweep, Want};
use crate::hub::{At, Channel};
use crate::limits::SWEEP_BYTES;
use crate::now::Now;

/// What a step of catching up came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CaughtUp {
    /// Nothing is owed any more, or the socket is full again.
    ForNow,
    /// There is more, but others should have their turn.
    NotYet,
}

impl Client {
    /// Sends what is owed: the rest of a cut frame, the replies, then each channel's missed frames
    /// from its cursor on. The connection's lock is held throughout: a frame appended before the
    /// last look is sent here, one appended later finds its pass waiting for that lock.
    pub(super) fn catch_up(&self, sending: &mut Sending<'_>, now: Now) -> CaughtUp {
        if sending.resume() != Sweep::Done {
            return CaughtUp::ForNow;
        }
        let mut bytes = 0;
        for place in self.places.iter() {
            let Some(subscribed) = &place.subscribed else { continue };
            match send_missed(&place.channel, &subscribed.subscription, sending, now) {
                (Sweep::Done, sent) => bytes += sent,
                _ => return CaughtUp::ForNow,
            }
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
            if asked == Level::Events && matches!(cursor, Cursor::Next(_)) {
                continue;
            }
            self.desk.hub().enter(At::Held(&place.channel), |door| {
                let wants = match door.standing().owed(asked, cursor, now.mono_ms) {
                    // A count that comes too soon is owed by a round to come.
                    Owed::Nothing | Owed::CountLater { .. } => false,
                    // Its level changed and changed back since the log was looked at.
                    Owed::Frames(seq) => seq < door.presence().next_seq(),
                    Owed::Snapshot(_) | Owed::Count | Owed::Switch(_) => true,
                };
                if wants {
                    door.want(Arc::clone(subscription));
                }
            });
        }
    }
}

/// Sends what a subscription lacks of its channel, and says how many bytes that was.
fn send_missed(
    channel: &Channel,
    subscription: &Subscription,
    sending: &mut Sending<'_>,
    now: Now,
) -> (Sweep, usize) {
    thread_local! {
        static MISSED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let cursor = sending.cursor(subscription);
    MISSED.with_borrow_mut(|missed| {
        missed.clear();
        let look = channel.look();
        let Owed::Frames(seq) = look.standing().owed(subscription.asked(), cursor, now.mono_ms)
        else {
            return (Sweep::Done, 0);
        };
        let next_seq = look.presence().next_seq();
        match look.presence().since(seq) {
            Some([]) => return (Sweep::Done, 0),
            Some(frames) => missed.extend_from_slice(frames),
            None => {
                sending
                    .set_cursor(subscription, Cursor::Want(Want::Snapshot(SnapshotReason::Resync)));
                return (Sweep::Done, 0);
            }
        }
        drop(look);
        (sending.catch_up(subscription, next_seq, missed), missed.len())
    })
}
