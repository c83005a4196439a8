//! What a connection is owed once its socket takes bytes again.

use std::cell::RefCell;
use std::sync::Arc;

use herenow_protocol::reply::SnapshotReason;

use super::command::Client;
use crate::delivery::{Cursor, Sending, Subscription, Sweep};
use crate::hub::Channel;
use crate::limits::SWEEP_BYTES;

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
    pub(super) fn catch_up(&self, sending: &mut Sending<'_>) -> CaughtUp {
        if sending.resume() != Sweep::Done {
            return CaughtUp::ForNow;
        }
        let mut bytes = 0;
        for place in self.places.iter() {
            let Some(subscribed) = &place.subscribed else { continue };
            match send_missed(&place.channel, &subscribed.subscription, sending) {
                (Sweep::Done, sent) => bytes += sent,
                _ => return CaughtUp::ForNow,
            }
            if bytes >= SWEEP_BYTES {
                return CaughtUp::NotYet;
            }
        }
        sending.flowing();
        self.ask_for_snapshots(sending);
        CaughtUp::ForNow
    }

    /// Those that fell off a log, or subscribed while the socket was full, ask only now: a snapshot
    /// taken earlier would have been for nobody.
    fn ask_for_snapshots(&self, sending: &Sending<'_>) {
        for place in self.places.iter() {
            let Some(subscribed) = &place.subscribed else { continue };
            if let Cursor::Want(_) = sending.cursor(&subscribed.subscription) {
                let subscription = Arc::clone(&subscribed.subscription);
                self.hub.enter_kept(&place.channel, |room| room.want_snapshot(subscription));
            }
        }
    }
}

/// Sends what a subscription lacks of its channel, and says how many bytes that was.
fn send_missed(
    channel: &Channel,
    subscription: &Subscription,
    sending: &mut Sending<'_>,
) -> (Sweep, usize) {
    thread_local! {
        static MISSED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let Cursor::Next(seq) = sending.cursor(subscription) else { return (Sweep::Done, 0) };
    MISSED.with_borrow_mut(|missed| {
        missed.clear();
        let room = channel.lock();
        let next_seq = room.presence.next_seq();
        match room.presence.since(seq) {
            Some([]) => return (Sweep::Done, 0),
            Some(frames) => missed.extend_from_slice(frames),
            None => {
                sending.set_cursor(subscription, Cursor::Want(SnapshotReason::Resync));
                return (Sweep::Done, 0);
            }
        }
        drop(room);
        (sending.catch_up(subscription, next_seq, missed), missed.len())
    })
}
