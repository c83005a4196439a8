//! How a connection ends: what the client is told, and what becomes of its memberships.

use std::sync::Arc;
use std::time::Duration;

use herenow_protocol::{
    BACK_SOON, CloseCode, ErrorCode, LeaveReason, LossReason, Refusal, ServerFrame,
};

use super::client::Client;
use super::codec::Violation;
use super::dialect::Dialect;
use super::place::Place;
use crate::chance::Chance;
use crate::delivery::{Cursor, Outlet, Sending, Wake};
use crate::hub::{At, Hub};
use crate::limits::{FLOOD_WAIT, LINGER, PLACES_BATCH, RECONNECT_SPREAD};
use crate::presence::{Command, Source};

/// How a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client sent a Close frame with this code.
    Closed(u16),
    /// The client closed with [`BACK_SOON`].
    BackSoon,
    /// The socket broke, or ended without a Close frame.
    Lost,
    /// The broker closes it.
    Refused(Violation),
    /// The broker closes it, and lets it wait for that.
    Flooded,
    /// The broker shuts down.
    Drain,
    /// A back end ended the user's connections.
    Kicked,
}

impl End {
    /// The client began a Close with this code.
    pub(super) fn closed(code: u16) -> Self {
        if code == BACK_SOON { Self::BackSoon } else { Self::Closed(code) }
    }

    pub(super) fn refused(code: CloseCode, reason: &'static str) -> Self {
        Self::Refused(Violation { code, reason })
    }

    pub(super) fn too_slow() -> Self {
        Self::refused(CloseCode::SlowConsumer, "the connection reads too slowly")
    }
}

/// Turns away a client without an acceptable identity, or whose user has too many connections. After
/// the handshake rather than in it,
/// because browsers do not show pages what a refused handshake said.
pub(super) fn turn_away(dialect: &mut impl Dialect, hub: &Hub, outlet: &Outlet, refusal: Refusal) {
    let mut sending = outlet.lock();
    let reason = refusal.message.to_string();
    // Whoever comes with a token that was good may come back with a fresh one.
    let (code, close) = match refusal.code {
        ErrorCode::TokenExpired => (ErrorCode::TokenExpired, CloseCode::TokenExpired),
        ErrorCode::Unavailable => (ErrorCode::Unavailable, CloseCode::Later),
        _ => (ErrorCode::Unauthenticated, CloseCode::Unauthenticated),
    };
    hub.metrics().websocket_refusals.inc(code);
    dialect.reply(&mut sending, &ServerFrame::error(None, Refusal { code, ..refusal }));
    close_with(dialect, &mut sending, close, &reason);
    outlet.transport().half_close();
}

/// A connection that ended for its user, and whose socket is still open. Known to the hub for as
/// long as this lives, so that a shutdown waits until its Close frame is out.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) hub: Arc<Hub>,
    pub(super) outlet: Arc<Outlet>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.hub.disconnected(&self.outlet);
    }
}

/// Lets whoever flooded wait, unread, before it is told: cut at once it would be back at once, and to
/// accept somebody costs the broker far more than what it read of them. Not all at one moment, since they
/// come back so too. Who does not wait is let go, if that shows behind what lies unread.
pub(super) async fn wait_and_close(word: Vec<u8>, leaving: Arc<Leaving>, guard: impl Send) {
    let (transport, most_ms) = (leaving.outlet.transport(), FLOOD_WAIT.as_millis() as u64);
    let wait = Duration::from_millis(most_ms / 2 + leaving.hub.chance().below(most_ms / 2));
    if tokio::time::timeout(wait, transport.gone()).await.is_err() {
        transport.say_last(&word);
        let _ = tokio::time::timeout(LINGER, transport.gone()).await;
    }
    drop((leaving, guard));
}

/// Reads on until the client closes too, for a while: closing a socket with unread bytes would
/// reset it and take the Close frame along. A task of its own, so that connections at rest need no
/// room for it. `guard` is dropped at the end.
pub(super) async fn linger(leaving: Arc<Leaving>, guard: impl Send) {
    let _ = tokio::time::timeout(LINGER, leaving.outlet.transport().closed()).await;
    drop((leaving, guard));
}

/// RFC 6455 section 5.5: a control frame carries 125 bytes, two of them the code.
fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    [&code.to_be_bytes(), &reason.as_bytes()[..end]].concat()
}

impl Client {
    /// Says goodbye, and gives up the connection's places: many of them later, a few at a time.
    /// The result: what is said later, and only then is the socket closed.
    pub(super) fn end(
        &mut self,
        dialect: &mut impl Dialect,
        end: &End,
        leaving: &Arc<Leaving>,
    ) -> Option<Vec<u8>> {
        let outlet = Arc::clone(&self.outlet);
        let mut sending = outlet.lock();
        self.count_choked(&mut sending);
        for subscribed in self.places.iter().filter_map(|place| place.subscribed.as_ref()) {
            sending.set_cursor(&subscribed.subscription, Cursor::Dead);
        }
        let later = say_goodbye(dialect, &mut sending, end, self.desk.hub().chance());
        drop(sending);
        self.desk.hub().backlog().forget(outlet.id());
        if later.is_none() {
            outlet.transport().half_close();
        }
        tracing::debug!(
            connection = outlet.id(),
            user = outlet.user().as_str(),
            ?end,
            "disconnected"
        );
        let mut parting =
            Parting::new(self.places.take(), end, self.counts_away, Arc::clone(leaving));
        if parting.some() == Rest::Some && !std::thread::panicking() {
            tokio::spawn(async move {
                while parting.some() == Rest::Some {
                    tokio::task::yield_now().await;
                }
            });
        }
        later
    }
}

/// Whether places are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    Some,
}

/// The places that a connection which is gone still has to give up: slots to free, memberships to
/// end. Whatever becomes of this, all of it is done: a connection leaves no ghosts. Until then kicks
/// reach it.
#[derive(Debug)]
struct Parting {
    places: Vec<Place>,
    leaving: Arc<Leaving>,
    /// The client said that it goes, so nothing has grace.
    closed: bool,
    kicked: bool,
    /// The user was there when it ended, whenever it was heard.
    seen: bool,
    /// The user was away from it.
    away: bool,
    /// When it was last heard, in any channel.
    heard_ms: u64,
}

impl Parting {
    fn new(places: Vec<Place>, end: &End, away: bool, leaving: Arc<Leaving>) -> Self {
        let heard_ms = leaving.outlet.heard_ms();
        let closed = matches!(end, End::Closed(_));
        let kicked = matches!(end, End::Kicked);
        let seen = closed || kicked || matches!(end, End::BackSoon);
        Self { places, leaving, closed, kicked, seen, away, heard_ms }
    }

    /// Gives up as many as one go may take.
    fn some(&mut self) -> Rest {
        for _ in 0..PLACES_BATCH {
            let Some(place) = self.places.pop() else { return Rest::Nothing };
            self.give_up(&place);
        }
        if self.places.is_empty() { Rest::Nothing } else { Rest::Some }
    }

    fn give_up(&mut self, place: &Place) {
        let Leaving { hub, outlet } = &*self.leaving;
        let now = hub.clock().now();
        let (user, source) = (outlet.user().clone(), Source::connection(outlet.id()));
        self.heard_ms = self.heard_ms.max(place.heard_ms);
        let last_seen = now.unix_at(outlet.heard_ms().max(place.heard_ms));
        // It is the broker that goes, not its members: nobody is told that they left.
        let keep_members = hub.is_draining();
        hub.enter(At::Held(&place.channel), |door| {
            // A kick wakes first and ends graces then. Looked at with the room's lock held, so
            // that a grace which begins here is either seen by the kick, or never begins.
            self.kicked |= outlet.take_wake(Wake::Kick);
            let graced = door.may_have_grace(&user);
            let command = match (self.closed, self.kicked) {
                (true, _) => Command::Leave { user, source, reason: LeaveReason::Closed },
                (_, true) => Command::Leave { user, source, reason: LeaveReason::Kicked },
                _ => {
                    let reason = LossReason::Connection;
                    Command::Lose { user, source, reason, last_seen, graced }
                }
            };
            if let Some(subscribed) = &place.subscribed {
                door.unsubscribe(subscribed.subscription.asked(), subscribed.slot);
            }
            if place.joined && !keep_members {
                // Neither leaving nor losing is ever refused.
                let _ = door.apply(command, now);
            }
        });
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        while let Some(place) = self.places.pop() {
            self.give_up(&place);
        }
        let Leaving { hub, outlet } = &*self.leaving;
        if !hub.is_draining() && outlet.is_known() {
            let now = hub.clock().now();
            let last_seen = if self.seen { now.unix_ms } else { now.unix_at(self.heard_ms) };
            hub.user_disconnected(outlet, self.away, last_seen, now);
        }
    }
}

/// The result: what is to be said later.
fn say_goodbye(
    dialect: &mut impl Dialect,
    sending: &mut Sending<'_>,
    end: &End,
    chance: &Chance,
) -> Option<Vec<u8>> {
    match end {
        End::Flooded => {
            let (code, reason) = (CloseCode::Abuse, "far more frames than allowed");
            return sending
                .close_later(|out| close_payload(dialect.farewell(code, reason, out), reason));
        }
        End::Closed(code) => sending.close(Some(&close_answer(*code))),
        End::BackSoon => sending.close(Some(&close_answer(BACK_SOON))),
        End::Lost => sending.close(None),
        End::Refused(Violation { code, reason }) => close_with(dialect, sending, *code, reason),
        End::Kicked => {
            let reason = "a back end ended the user's connections";
            close_with(dialect, sending, CloseCode::Kicked, reason);
        }
        End::Drain => {
            let reconnect_in_ms = chance.below(RECONNECT_SPREAD.as_millis() as u64);
            let reason = "the broker is shutting down";
            let goaway = ServerFrame::Goaway { reconnect_in_ms, reason: reason.into() };
            dialect.reply(sending, &goaway);
            close_with(dialect, sending, CloseCode::Restart, reason);
        }
    }
    None
}

fn close_with(
    dialect: &mut impl Dialect,
    sending: &mut Sending<'_>,
    code: CloseCode,
    reason: &str,
) {
    let mut number = code.number();
    sending.queue(|out| number = dialect.farewell(code, reason, out));
    sending.close(Some(&close_payload(number, reason)));
}

/// The answer to a Close: the same code (1005 stands for none, and is never sent).
fn close_answer(code: u16) -> Vec<u8> {
    if code == 1005 { Vec::new() } else { close_payload(code, "") }
}
