//! One connection's task: reads, acts, catches up, looks at its deadlines, and ends.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use herenow_protocol::{CloseCode, ErrorCode, Refusal, UserId};

use super::catch_up::CaughtUp;
use super::client::Client;
use super::codec::{AfterFrame, Decoder, Incoming, Terms};
use super::dialect::{Dialect, Herenow};
use super::ending::{End, Leaving, linger, turn_away, wait_and_close};
use super::liveness::{Heart, Pulse};
use super::rules::SocketRules;
use crate::actions::Desk;
use crate::auth::{Caller, Identity};
use crate::delivery::sending::{PING, PONG};
use crate::delivery::{Flow, Outlet, Sending, Transport, Wake};
use crate::limits::{READ_BYTES, REPLIES_PAUSE_BYTES};
use crate::now::Now;
use crate::token_bucket::{Charge, TokenBucket};

/// A socket whose handshake is done.
#[derive(Debug)]
pub struct Upgraded<D> {
    /// The socket.
    pub transport: Transport,
    /// What the client sent behind its handshake.
    pub early: Vec<u8>,
    /// How the client speaks.
    pub dialect: D,
    /// Whether messages may be compressed, as the handshake said.
    pub squeezes: bool,
}

/// Starts to serve a WebSocket in a task of its own. `guard` is kept until the socket is closed.
///
/// A user that is no acceptable name, or that has too many connections, gets an `error` and a Close
/// instead.
pub fn start(
    desk: Arc<Desk>,
    rules: Arc<SocketRules>,
    upgraded: Upgraded<impl Dialect>,
    identity: Result<Identity, Refusal>,
    guard: impl Send + Unpin + 'static,
) {
    let Upgraded { transport, early, mut dialect, squeezes } = upgraded;
    let (identity, refusal) = match identity {
        Ok(identity) => (identity, None),
        Err(refusal) => (Identity { user: UserId::nobody(), access: None }, Some(refusal)),
    };
    let (hub, now) = (Arc::clone(desk.hub()), desk.now());
    let number = hub.number_connection();
    let outlet = Outlet::new(number, transport, identity, now.mono_ms, squeezes);
    hub.connected(&outlet);
    match refusal.map_or_else(|| welcome(&desk, &rules, &outlet, &mut dialect, now), Err) {
        Ok(away) => {
            let client = Client::new(desk, rules, outlet, away);
            tokio::spawn(Task::begin(client, early, dialect, guard));
        }
        Err(refusal) => {
            turn_away(&mut dialect, &hub, &outlet, refusal);
            tokio::spawn(linger(Arc::new(Leaving { hub, outlet }), guard));
        }
    }
}

/// Makes the connection one of its user's, and says so. The lock is held for both, so that no letter
/// comes before. The result: whether the user counts as away from it.
fn welcome(
    desk: &Desk,
    rules: &SocketRules,
    outlet: &Outlet,
    dialect: &mut impl Dialect,
    now: Now,
) -> Result<bool, Refusal> {
    // Made before the lock is taken: it looks at what the token grants, which the same lock guards.
    let frame = rules.welcome(desk, outlet, now);
    let mut sending = outlet.lock();
    let access = sending.access().cloned();
    let info = access.as_ref().map(|access| access.info());
    // Of whom nobody knows who it is there is nothing to say.
    let away = outlet.is_known() && desk.hub().user_connected(outlet, info, now)?;
    // Sent with the first look.
    dialect.reply(&mut sending, &frame);
    drop(sending);
    // From here on a kick finds the connection. One that came since the token was looked at did not.
    let caller = Caller::User { user: outlet.user(), access: access.as_deref() };
    if desk.auth().check_signed_in(caller, now).is_err() {
        outlet.wake(Wake::Kick);
    }
    Ok(away)
}

/// A connection's task is this and nothing else: thousands of them lie in memory, and the runtime
/// rounds each up to a multiple of 128 bytes.
struct Task<D: Dialect, G: Send + Unpin + 'static> {
    decoder: Decoder,
    bucket: TokenBucket,
    heart: Heart,
    client: Client,
    dialect: D,
    /// Taken at the end.
    guard: Option<G>,
    /// What [`Sending::sent`] said when it was counted last.
    counted: u32,
    /// What is kept was not looked at yet: it came behind the handshake, or behind a command after which
    /// others have their turn.
    fresh: bool,
    /// Too many replies are unread: no more is read until the client has taken some.
    paused: bool,
}

/// With what the runtime adds this makes 256 bytes, not 384.
const _: () = assert!(size_of::<Task<Herenow, Arc<()>>>() <= 152);

impl<D: Dialect, G: Send + Unpin + 'static> Future for Task<D, G> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let end = ready!(self.look(cx));
        if let Some((leaving, later, guard)) = self.finish(&end) {
            match later {
                Some(word) => drop(tokio::spawn(wait_and_close(word, leaving, guard))),
                None if matches!(end, End::Lost) => {}
                None => drop(tokio::spawn(linger(leaving, guard))),
            }
        }
        Poll::Ready(())
    }
}

impl<D: Dialect, G: Send + Unpin + 'static> Task<D, G> {
    fn begin(client: Client, early: Vec<u8>, dialect: D, guard: G) -> Self {
        let now = client.desk.now();
        client.desk.hub().metrics().received.inc_by(early.len() as u64);
        Self {
            decoder: Decoder::after(early),
            bucket: TokenBucket::new(client.rules.rate, now.mono_ms),
            heart: Heart::new(now.mono_ms),
            client,
            dialect,
            guard: Some(guard),
            counted: 0,
            fresh: true,
            paused: false,
        }
    }

    fn look(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let now = self.client.desk.hub().clock().now();
        self.client.outlet.register(cx);
        loop {
            match self.step(cx, now) {
                Ok(AfterStep::Again) => {}
                Ok(AfterStep::Wait) => return Poll::Pending,
                Ok(AfterStep::Yield) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(end) => return Poll::Ready(end),
            }
        }
    }

    /// Looks at everything that may have happened, once.
    fn step(&mut self, cx: &mut Context<'_>, now: Now) -> Result<AfterStep, End> {
        if self.fresh && self.may_read() {
            self.fresh = false;
            self.receive(&mut [], now)?;
        }
        let mut sending = self.client.outlet.lock();
        let (flow, has_letters) = (sending.flow(), sending.has_letters());
        self.client.count_choked(&mut sending);
        self.client.count_sent(&sending, &mut self.counted);
        sending.count_replies(self.client.desk.hub().backlog());
        drop(sending);
        if self.client.outlet.take_wake(Wake::Drain) {
            return Err(End::Drain);
        }
        if self.client.outlet.take_wake(Wake::Kick) {
            return Err(End::Kicked);
        }
        if flow == Flow::Closed {
            return Err(End::Lost);
        }
        if flow == Flow::Choked {
            let ready = self.client.outlet.transport().poll_write_ready(cx);
            if let Poll::Ready(ready) = ready {
                ready.map_err(|_| End::Lost)?;
                match self.catch_up(cx, now)? {
                    // It waits for room, not for its socket.
                    AfterStep::Wait => {}
                    step => return Ok(step),
                }
            } else {
                // It could not use its turn, so it keeps nobody from theirs.
                self.client.desk.hub().backlog().forget(self.client.outlet.id());
            }
        }
        if self.client.parked.is_some() && self.answer(cx, now)? {
            return Ok(if self.fresh { AfterStep::Yield } else { AfterStep::Again });
        }
        if has_letters && !self.paused {
            self.pass_on_letters();
            return Ok(AfterStep::Again);
        }
        // What has come is read before anybody is judged by it: after a stall of the broker the
        // heartbeats of the time lie in the sockets.
        if self.may_read() {
            match self.read(cx, now)? {
                AfterStep::Wait => {}
                step => return Ok(step),
            }
        }
        if D::TELLS && !self.paused && self.tell(cx, now)? {
            return Ok(AfterStep::Yield);
        }
        let timer = self.client.outlet.take_wake(Wake::Timer);
        if timer || self.client.retime || flow == Flow::Choked {
            let flow_now = self.tend(now)?;
            if flow_now != flow {
                // A ping filled the socket: nobody but the next look waits for it to drain.
                return Ok(AfterStep::Again);
            }
        }
        Ok(AfterStep::Wait)
    }

    /// Whether what the client sends is looked at. Behind a query that waits for its answer it is not.
    fn may_read(&self) -> bool {
        !self.paused && self.client.parked.is_none()
    }

    /// Answers the query that is parked, if its answer is there, and goes on with what came behind it.
    /// Whether it did.
    fn answer(&mut self, cx: &mut Context<'_>, now: Now) -> Result<bool, End> {
        let Some((id, outcome)) = self.client.poll_parked(cx) else { return Ok(false) };
        let outlet = Arc::clone(&self.client.outlet);
        let mut sending = outlet.lock();
        self.client.reply_to(&mut self.dialect, &mut sending, id, outcome);
        sending.flush_replies();
        drop(sending);
        if self.may_read() && self.decoder.has_kept_bytes() {
            self.receive(&mut [], now)?;
        }
        Ok(true)
    }

    /// Makes replies of the letters that wait, as far as there is room among the replies: a slow
    /// reader's letters stay in its mailbox, which is bounded, until it has taken what is queued.
    fn pass_on_letters(&mut self) {
        let mut sending = self.client.outlet.lock();
        while pause_if_unread(&self.client, &mut sending, &mut self.paused) == AfterFrame::More
            && let Some(letter) = sending.take_letter()
        {
            self.dialect.reply(&mut sending, letter.frame());
        }
        sending.flush_replies();
    }

    /// Tells what others did, one thing at a time, as long as the client takes it.
    fn tell(&mut self, cx: &Context<'_>, now: Now) -> Result<bool, End> {
        let Self { client, dialect, paused, .. } = self;
        let outlet = Arc::clone(&client.outlet);
        let mut sending = outlet.lock();
        if pause_if_unread(client, &mut sending, paused) == AfterFrame::Pause {
            return Ok(false);
        }
        let told = dialect.tell(cx, client, &mut sending, now).map_err(End::Refused)?;
        sending.flush_replies();
        Ok(told)
    }

    /// Reads what has come, into the thread's buffer, and acts on it.
    fn read(&mut self, cx: &mut Context<'_>, now: Now) -> Result<AfterStep, End> {
        if self.fresh {
            return Ok(AfterStep::Yield);
        }
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
        }
        BUFFER.with_borrow_mut(|buffer| {
            match self.client.outlet.transport().poll_read(cx, buffer) {
                Poll::Pending => Ok(AfterStep::Wait),
                Poll::Ready(Ok(length)) if length > 0 => {
                    self.client.desk.hub().metrics().received.inc_by(length as u64);
                    self.receive(&mut buffer[..length], now)?;
                    let may_be_more = length == buffer.len();
                    let yields = self.fresh || may_be_more;
                    Ok(if yields { AfterStep::Yield } else { AfterStep::Again })
                }
                Poll::Ready(_) => Err(End::Lost),
            }
        })
    }

    /// Acts on bytes: all commands of one read and their replies under one hold of the lock.
    fn receive(&mut self, input: &mut [u8], now: Now) -> Result<(), End> {
        self.heart.heard();
        let outlet = Arc::clone(&self.client.outlet);
        let mut sending = outlet.lock();
        let (mut end, mut frames) = (None, 0);
        let Self { decoder, client, dialect, bucket, paused, fresh, .. } = self;
        let terms = Terms { limit: client.rules.message_bytes, squeezes: outlet.squeezes() };
        let decoded = decoder.feed(input, terms, now.mono_ms, |incoming| {
            frames += 1;
            let charge = bucket.charge(client.rules.rate, now.mono_ms);
            match take(client, dialect, &mut sending, incoming, charge, now) {
                Ok(()) => {
                    let heavy = std::mem::take(&mut client.heavy);
                    *fresh |= heavy;
                    match pause_if_unread(client, &mut sending, paused) {
                        AfterFrame::More if heavy || client.parked.is_some() => AfterFrame::Pause,
                        after => after,
                    }
                }
                Err(why) => {
                    end = Some(why);
                    AfterFrame::Stop
                }
            }
        });
        client.desk.hub().metrics().frames_received.inc_by(frames);
        if std::mem::take(&mut client.resumed) {
            // The next look catches up, as with any choked connection.
            sending.hold_passes();
        } else {
            sending.flush_replies();
        }
        client.retime |= decoder.unfinished_since().is_some();
        match (end, decoded) {
            (Some(end), _) => Err(end),
            (None, Err(violation)) => Err(End::Refused(violation)),
            (None, Ok(())) => Ok(()),
        }
    }

    /// The socket takes bytes again: everything that is owed, oldest first.
    fn catch_up(&mut self, cx: &Context<'_>, now: Now) -> Result<AfterStep, End> {
        let outlet = Arc::clone(&self.client.outlet);
        let mut sending = outlet.lock();
        let caught_up = self.client.catch_up(&mut sending, now);
        self.client.charge_snapshots(&mut sending, now);
        let backlog = self.client.desk.hub().backlog();
        sending.count_replies(backlog);
        if caught_up != CaughtUp::NoRoom {
            backlog.forget(outlet.id());
        }
        match sending.flow() {
            Flow::Flowing => self.heart.flowing(now.mono_ms),
            Flow::Choked if caught_up == CaughtUp::NoRoom => {
                // Its write time stands still: it is not its client that keeps it waiting.
                self.heart.waits(sending.sent(), now.mono_ms);
                backlog.wait(outlet.id(), cx.waker());
            }
            Flow::Choked => self.heart.full(sending.sent(), now.mono_ms),
            Flow::Closed => return Err(End::Lost),
        }
        self.client.retime = true;
        if self.paused && sending.queued() <= REPLIES_PAUSE_BYTES {
            self.paused = false;
            drop(sending);
            if self.may_read() && self.decoder.has_kept_bytes() {
                self.receive(&mut [], now)?;
            }
        }
        Ok(match caught_up {
            CaughtUp::ForNow => AfterStep::Again,
            CaughtUp::NotYet => AfterStep::Yield,
            CaughtUp::NoRoom => AfterStep::Wait,
        })
    }

    /// Does what is due, and arms the connection's timer for what is due next.
    fn tend(&mut self, now: Now) -> Result<Flow, End> {
        self.client.retime = false;
        let outlet = Arc::clone(&self.client.outlet);
        let mut sending = outlet.lock();
        if sending.flow() == Flow::Choked {
            self.heart.full(sending.sent(), now.mono_ms);
        }
        let socket_ms = self.tend_socket(&mut sending, now)?;
        let presence_ms = self.client.tend_presence(&mut self.dialect, &mut sending, now);
        let message_ms = self.tend_message(now)?;
        let token_ms = self.client.tend_token(&mut self.dialect, &mut sending, now)?;
        sending.flush_replies();
        let due_ms = socket_ms.min(presence_ms).min(message_ms).min(token_ms);
        self.client.desk.hub().timers().watch_connection(&outlet, due_ms);
        Ok(sending.flow())
    }

    fn tend_socket(&mut self, sending: &mut Sending<'_>, now: Now) -> Result<u64, End> {
        let rules = self.client.rules.ping;
        loop {
            match self.heart.check(rules, now.mono_ms) {
                Pulse::Quiet { until_ms } => return Ok(until_ms),
                Pulse::Ping => {
                    sending.control(PING, b"");
                    self.heart.pinged(now.mono_ms);
                }
                Pulse::NoPong => {
                    return Err(End::refused(CloseCode::NoPong, "no sign of life after a ping"));
                }
                Pulse::Stuck => return Err(End::too_slow()),
            }
        }
    }

    fn tend_message(&self, now: Now) -> Result<u64, End> {
        let Some(since_ms) = self.decoder.unfinished_since() else {
            return Ok(u64::MAX);
        };
        let due_ms = since_ms + self.client.rules.message_time_ms;
        if now.mono_ms < due_ms {
            return Ok(due_ms);
        }
        Err(End::refused(CloseCode::Abuse, "a message was begun and not finished"))
    }

    /// Ends the connection. What is left is its socket, to be read empty, and what it is told later.
    fn finish(&mut self, end: &End) -> Option<(Arc<Leaving>, Option<Vec<u8>>, G)> {
        let guard = self.guard.take()?;
        let Client { desk, outlet, .. } = &self.client;
        let (hub, outlet) = (Arc::clone(desk.hub()), Arc::clone(outlet));
        let leaving = Arc::new(Leaving { hub, outlet });
        let later = self.client.end(&mut self.dialect, end, &leaving);
        self.client.count_sent(&leaving.outlet.lock(), &mut self.counted);
        Some((leaving, later, guard))
    }
}

impl<D: Dialect, G: Send + Unpin + 'static> Drop for Task<D, G> {
    /// A task that panicked, or that the runtime dropped, leaves no ghosts either.
    fn drop(&mut self) {
        self.finish(&End::refused(CloseCode::Internal, "the broker failed"));
    }
}

/// What to do after a look.
enum AfterStep {
    /// Look again: something was done.
    Again,
    /// Look again, after others had their turn.
    Yield,
    /// Wait to be woken.
    Wait,
}

/// Acts on one frame.
fn take(
    client: &mut Client,
    dialect: &mut impl Dialect,
    sending: &mut Sending<'_>,
    incoming: Incoming<'_>,
    charge: Charge,
    now: Now,
) -> Result<(), End> {
    let limited = match charge {
        Charge::Fine => None,
        Charge::Limited { retry_after_ms } => Some(retry_after_ms),
        Charge::Abuse => {
            return Err(End::Flooded);
        }
    };
    match incoming {
        Incoming::Text(text) => {
            let refusal = limited.map(|retry_after_ms| Refusal {
                retry_after_ms: Some(retry_after_ms),
                ..Refusal::new(ErrorCode::RateLimited, "frames come faster than allowed")
            });
            dialect.act(client, sending, text, refusal, now).map_err(End::Refused)?;
        }
        Incoming::Ping(payload) => sending.control(PONG, payload),
        Incoming::Part | Incoming::Pong => {}
        Incoming::Close(code) => return Err(End::closed(code)),
    }
    Ok(())
}

/// Stops reading from a client that does not read.
fn pause_if_unread(client: &Client, sending: &mut Sending<'_>, paused: &mut bool) -> AfterFrame {
    let full = sending.flow() == Flow::Choked && client.desk.hub().backlog().is_full();
    let most = if full { 0 } else { REPLIES_PAUSE_BYTES };
    if sending.queued() > most {
        sending.flush_replies();
        *paused = sending.queued() > most;
    }
    if *paused { AfterFrame::Pause } else { AfterFrame::More }
}
