//! One connection's task: reads, acts, catches up, looks at its deadlines, and ends.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use herenow_protocol::reply::{
    HeartbeatInfo, LimitsInfo, RemovedReason, ServerInfo, SnapshotReason,
};
use herenow_protocol::{
    ChannelName, CloseCode, ErrorCode, LeaveReason, LossReason, Refusal, ServerFrame, UserId,
};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::allowance::{Allowance, Charge, Rate};
use super::codec::{Decoder, Incoming, Next, Violation};
use super::command::Client;
use super::liveness::{Heart, PingRules, Pulse};
use super::place::{Place, Places};
use crate::config::Config;
use crate::delivery::outlet::{PING, PONG};
use crate::delivery::{Cursor, Flow, Outlet, Sending, Sweep, Wake};
use crate::hub::Hub;
use crate::limits::{
    LINGER, LIST_MAX, READ_BYTES, RECONNECT_SPREAD, REPLIES_PAUSE_BYTES, SWEEP_BYTES,
};
use crate::presence::expiry::{Patience, Verdict};
use crate::presence::{Command, Now};

/// What holds for every connection.
#[derive(Debug)]
pub struct Rules {
    pub(super) patience: Patience,
    pub(super) ping: PingRules,
    pub(super) rate: Rate,
    pub(super) message_bytes: usize,
    pub(super) message_time_ms: u64,
    pub(super) max_channels: usize,
    pub(super) max_grace_ms: u64,
    pub(super) max_ttl_ms: u64,
    heartbeat: HeartbeatInfo,
    limits: LimitsInfo,
}

impl Rules {
    /// The rules that `config` sets.
    #[must_use]
    pub fn new(config: &Config) -> Arc<Self> {
        let ms = |duration: std::time::Duration| duration.as_millis() as u64;
        let limits = &config.limits;
        let timeout_ms = ms(config.presence_timeout);
        Arc::new(Self {
            patience: Patience { timeout_ms },
            ping: PingRules {
                interval_ms: ms(config.ping_interval),
                timeout_ms: ms(config.pong_timeout),
                write_timeout_ms: ms(limits.max_write_time),
            },
            rate: Rate { per_second: limits.max_frames_per_second, burst: limits.max_frames_burst },
            message_bytes: limits.max_message_bytes as usize,
            message_time_ms: ms(limits.max_message_time),
            max_channels: limits.max_channels as usize,
            max_grace_ms: ms(limits.max_grace),
            max_ttl_ms: ms(limits.max_ttl),
            heartbeat: HeartbeatInfo { interval_ms: ms(config.heartbeat_interval()), timeout_ms },
            limits: LimitsInfo {
                message_bytes: limits.max_message_bytes.into(),
                attribute_bytes: limits.max_attribute_bytes.into(),
                attribute_keys: limits.max_attribute_keys.into(),
                name_bytes: herenow_protocol::name::MAX_NAME_BYTES as u64,
                channels: limits.max_channels.into(),
                members: limits.max_members.into(),
                frames_per_second: limits.max_frames_per_second.into(),
                frames_burst: limits.max_frames_burst.into(),
                grace_ms: ms(limits.max_grace),
                ttl_ms: ms(limits.max_ttl),
                list: LIST_MAX as u64,
            },
        })
    }

    fn welcome(&self, connection: u64, user: &UserId, now: Now) -> ServerFrame {
        ServerFrame::Welcome {
            protocol: herenow_protocol::PROTOCOL_VERSION,
            connection: format!("c{connection}").into(),
            user: user.clone(),
            server: ServerInfo {
                name: env!("CARGO_PKG_NAME").into(),
                version: env!("CARGO_PKG_VERSION").into(),
            },
            heartbeat: self.heartbeat,
            limits: self.limits,
            now: now.unix_ms,
        }
    }
}

/// How a connection ends.
#[derive(Debug)]
enum End {
    /// The client sent a Close frame with this code.
    Closed(u16),
    /// The socket broke, or ended without a Close frame.
    Lost,
    /// The broker closes it.
    Refused(Violation),
    /// The broker shuts down.
    Drain,
}

/// Serves a WebSocket on `stream`, whose handshake is done, until it ends. `early` is what the
/// client sent behind its handshake.
///
/// A user that is no acceptable name gets an `error` and a Close instead.
pub async fn run(
    hub: Arc<Hub>,
    rules: Arc<Rules>,
    stream: TcpStream,
    early: Vec<u8>,
    user: Result<UserId, Refusal>,
) {
    let (reader, writer) = stream.into_split();
    let outlet = Outlet::new(hub.number_connection(), writer);
    let reader = match user {
        Ok(user) => {
            let mut task = Task::begin(hub, rules, reader, outlet, user);
            let end = task.serve(early).await;
            task.finish(&end)
        }
        Err(refusal) => {
            refuse(&outlet, refusal);
            Some(reader)
        }
    };
    if let Some(reader) = reader {
        linger(reader).await;
    }
}

fn refuse(outlet: &Arc<Outlet>, refusal: Refusal) {
    let mut sending = outlet.lock();
    let reason = refusal.message.to_string();
    sending
        .reply(&ServerFrame::error(None, Refusal { code: ErrorCode::Unauthenticated, ..refusal }));
    sending.close(Some(&close_payload(CloseCode::Unauthenticated.number(), &reason)));
    shut_down(outlet);
}

/// Reads on until the client closes too, for a while: closing a socket with unread bytes would
/// reset it and take the Close frame along.
async fn linger(mut reader: OwnedReadHalf) {
    let drained = async {
        let mut scratch = [0; 1024];
        while reader.read(&mut scratch).await.is_ok_and(|read| read > 0) {}
    };
    let _ = tokio::time::timeout(LINGER, drained).await;
}

fn shut_down(outlet: &Outlet) {
    // An error means that it is down already.
    let _ = socket2::SockRef::from(outlet.socket()).shutdown(std::net::Shutdown::Write);
}

/// RFC 6455 section 5.5: a control frame carries 125 bytes, two of them the code.
fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    [&code.to_be_bytes(), &reason.as_bytes()[..end]].concat()
}

struct Task {
    /// Taken at the end.
    reader: Option<OwnedReadHalf>,
    decoder: Decoder,
    allowance: Allowance,
    heart: Heart,
    client: Client,
    /// Too many replies are unread: no more is read until the client has taken some.
    paused: bool,
    finished: bool,
}

impl Task {
    fn begin(
        hub: Arc<Hub>,
        rules: Arc<Rules>,
        reader: OwnedReadHalf,
        outlet: Arc<Outlet>,
        user: UserId,
    ) -> Self {
        let now = hub.clock().now();
        hub.connected(&outlet);
        Self {
            reader: Some(reader),
            decoder: Decoder::default(),
            allowance: Allowance::new(rules.rate, now.mono_ms),
            heart: Heart::new(now.mono_ms),
            client: Client {
                hub,
                rules,
                outlet,
                user,
                places: Places::default(),
                heard_ms: now.mono_ms,
                retime: true,
                resumed: false,
            },
            paused: false,
            finished: false,
        }
    }

    async fn serve(&mut self, mut early: Vec<u8>) -> End {
        let now = self.client.hub.clock().now();
        let outlet = Arc::clone(&self.client.outlet);
        {
            let mut sending = outlet.lock();
            sending.reply(&self.client.rules.welcome(outlet.id(), &self.client.user, now));
            sending.flush_replies();
        }
        if !early.is_empty()
            && let Err(end) = self.receive(&mut early, now)
        {
            return end;
        }
        drop(early);
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            match self.step(cx) {
                Ok(Step::Again) => {}
                Ok(Step::Wait) => return Poll::Pending,
                Ok(Step::Yield) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(end) => return Poll::Ready(end),
            }
        }
    }

    /// Looks at everything that may have happened, once.
    fn step(&mut self, cx: &mut Context<'_>) -> Result<Step, End> {
        let flow = self.client.outlet.register(cx);
        let now = self.client.hub.clock().now();
        if self.client.outlet.take_wake(Wake::Drain) {
            return Err(End::Drain);
        }
        if flow == Flow::Closed {
            return Err(self.why_closed());
        }
        if flow == Flow::Choked {
            let ready = self.client.outlet.socket().poll_write_ready(cx);
            if let Poll::Ready(ready) = ready {
                ready.map_err(|_| End::Lost)?;
                if let Step::Yield = self.catch_up(now)? {
                    return Ok(Step::Yield);
                }
                return Ok(Step::Again);
            }
        }
        let timer = self.client.outlet.take_wake(Wake::Timer);
        if timer || self.client.retime || flow == Flow::Choked {
            let flow_now = self.tend(now)?;
            if flow_now != flow {
                // A ping filled the socket: nobody but the next look waits for it to drain.
                return Ok(Step::Again);
            }
        }
        if self.paused { Ok(Step::Wait) } else { self.read(cx, now) }
    }

    fn why_closed(&self) -> End {
        if self.client.outlet.is_revoked() { End::Refused(too_slow()) } else { End::Lost }
    }

    /// Reads what has come, into the thread's buffer, and acts on it.
    fn read(&mut self, cx: &mut Context<'_>, now: Now) -> Result<Step, End> {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
        }
        BUFFER.with_borrow_mut(|buffer| {
            let Some(reader) = &mut self.reader else { return Err(End::Lost) };
            let mut bytes = ReadBuf::new(buffer);
            match Pin::new(reader).poll_read(cx, &mut bytes) {
                Poll::Pending => Ok(Step::Wait),
                Poll::Ready(Ok(())) if !bytes.filled().is_empty() => {
                    self.receive(bytes.filled_mut(), now)?;
                    Ok(Step::Again)
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
        let mut end = None;
        let Self { decoder, client, allowance, paused, .. } = self;
        let limit = client.rules.message_bytes;
        let decoded = decoder.feed(input, limit, now.mono_ms, |incoming| {
            let charge = allowance.charge(client.rules.rate, now.mono_ms);
            match take(client, &mut sending, incoming, charge, now) {
                Ok(()) => pause_if_unread(&mut sending, paused),
                Err(why) => {
                    end = Some(why);
                    Next::Stop
                }
            }
        });
        if std::mem::take(&mut client.resumed) {
            sending.hold_passes();
            sweep(client, &mut sending);
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
    fn catch_up(&mut self, now: Now) -> Result<Step, End> {
        let outlet = Arc::clone(&self.client.outlet);
        let mut sending = outlet.lock();
        let step = sweep(&mut self.client, &mut sending);
        match sending.flow() {
            Flow::Flowing => self.heart.flowing(now.mono_ms),
            Flow::Choked => self.heart.full(sending.sent(), now.mono_ms),
            Flow::Closed => return Err(End::Lost),
        }
        self.client.retime = true;
        if self.paused && sending.queued() <= REPLIES_PAUSE_BYTES {
            self.paused = false;
            drop(sending);
            if self.decoder.has_kept_bytes() {
                self.receive(&mut [], now)?;
            }
        }
        Ok(step)
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
        let presence_ms = self.client.tend_presence(&mut sending, now);
        let message_ms = self.tend_message(now)?;
        sending.flush_replies();
        let due_ms = socket_ms.min(presence_ms).min(message_ms);
        self.client.hub.timers().watch_connection(&outlet, due_ms);
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
                    let reason = "no sign of life after a ping";
                    return Err(End::Refused(Violation { code: CloseCode::NoPong, reason }));
                }
                Pulse::Stuck => return Err(End::Refused(too_slow())),
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
        let reason = "a message was begun and not finished";
        Err(End::Refused(Violation { code: CloseCode::Abuse, reason }))
    }

    /// Ends the connection: says so to the client, and gives up its places.
    fn finish(&mut self, end: &End) -> Option<OwnedReadHalf> {
        self.finished = true;
        let client = &mut self.client;
        let outlet = Arc::clone(&client.outlet);
        let mut sending = outlet.lock();
        for place in client.places.iter().filter_map(|place| place.subscribed.as_ref()) {
            sending.set_cursor(&place.subscription, Cursor::Dead);
        }
        match end {
            End::Closed(code) => sending.close(Some(&close_answer(*code))),
            End::Lost => sending.close(None),
            End::Refused(Violation { code, reason }) => {
                sending.close(Some(&close_payload(code.number(), reason)));
            }
            End::Drain => {
                let spread = RECONNECT_SPREAD.as_millis() as u64;
                let reconnect_in_ms = fastrand::u64(..spread);
                let reason = "the broker is shutting down";
                sending.reply(&ServerFrame::Goaway { reconnect_in_ms, reason: reason.into() });
                sending.close(Some(&close_payload(CloseCode::Restart.number(), reason)));
            }
        }
        drop(sending);
        shut_down(&outlet);
        client.give_up_places(matches!(end, End::Closed(_)));
        client.hub.disconnected(&outlet);
        tracing::debug!(connection = outlet.id(), user = %client.user, ?end, "disconnected");
        self.reader.take().filter(|_| !matches!(end, End::Lost))
    }
}

impl Drop for Task {
    /// A task that panicked, or that the runtime dropped, leaves no ghosts either.
    fn drop(&mut self) {
        if !self.finished {
            let (code, reason) = (CloseCode::Internal, "the broker failed");
            self.finish(&End::Refused(Violation { code, reason }));
        }
    }
}

/// What to do after a look.
enum Step {
    /// Look again: something was done.
    Again,
    /// Look again, after others had their turn.
    Yield,
    /// Wait to be woken.
    Wait,
}

fn too_slow() -> Violation {
    Violation { code: CloseCode::SlowConsumer, reason: "the connection reads too slowly" }
}

/// The answer to a Close: the same code (1005 stands for none, and is never sent).
fn close_answer(code: u16) -> Vec<u8> {
    if code == 1005 { Vec::new() } else { close_payload(code, "") }
}

/// Acts on one frame.
fn take(
    client: &mut Client,
    sending: &mut Sending<'_>,
    incoming: Incoming<'_>,
    charge: Charge,
    now: Now,
) -> Result<(), End> {
    let limited = match charge {
        Charge::Fine => None,
        Charge::Limited { retry_after_ms } => Some(retry_after_ms),
        Charge::Abuse => {
            let (code, reason) = (CloseCode::Abuse, "far more frames than allowed");
            return Err(End::Refused(Violation { code, reason }));
        }
    };
    match incoming {
        Incoming::Text(text) => {
            let refusal = limited.map(|retry_after_ms| Refusal {
                retry_after_ms: Some(retry_after_ms),
                ..Refusal::new(ErrorCode::RateLimited, "frames come faster than allowed")
            });
            client.act(sending, text, refusal, now);
        }
        Incoming::Ping(payload) => sending.control(PONG, payload),
        Incoming::Part | Incoming::Pong => {}
        Incoming::Close(code) => return Err(End::Closed(code)),
    }
    Ok(())
}

/// Stops reading from a client that does not read.
fn pause_if_unread(sending: &mut Sending<'_>, paused: &mut bool) -> Next {
    if sending.queued() > REPLIES_PAUSE_BYTES {
        sending.flush_replies();
        *paused = sending.queued() > REPLIES_PAUSE_BYTES;
    }
    if *paused { Next::Pause } else { Next::More }
}

/// Sends what is owed: the rest of a cut frame, the replies, then each channel's missed frames from
/// its cursor on. The connection's lock is held throughout: a frame appended before the last look
/// is sent here, one appended later finds its pass waiting for that lock.
fn sweep(client: &mut Client, sending: &mut Sending<'_>) -> Step {
    thread_local! {
        static MISSED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    if sending.resume() != Sweep::Done {
        return Step::Again;
    }
    let mut bytes = 0;
    for subscribed in
        client.places.iter().filter_map(|p| Some((&p.channel, p.subscribed.as_ref()?)))
    {
        let (channel, sub) = (subscribed.0, &subscribed.1.subscription);
        let Cursor::Next(seq) = sending.cursor(sub) else { continue };
        let done = MISSED.with_borrow_mut(|missed| {
            missed.clear();
            let room = channel.lock();
            let next_seq = room.presence.next_seq();
            match room.presence.since(seq) {
                Some([]) => return Sweep::Done,
                Some(frames) => missed.extend_from_slice(frames),
                None => {
                    sending.set_cursor(sub, Cursor::Want(SnapshotReason::Resync));
                    return Sweep::Done;
                }
            }
            drop(room);
            bytes += missed.len();
            sending.catch_up(sub, next_seq, missed)
        });
        if done != Sweep::Done {
            return Step::Again;
        }
        if bytes >= SWEEP_BYTES {
            return Step::Yield;
        }
    }
    sending.flowing();
    client.ask_for_snapshots(sending);
    Step::Again
}

impl Client {
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

    /// Ends memberships that were silent for too long, nudges those that soon will be; the result
    /// is when to look again.
    fn tend_presence(&mut self, sending: &mut Sending<'_>, now: Now) -> u64 {
        let mut due_ms = u64::MAX;
        let mut nudge_in_ms = None;
        let mut silent = Vec::new();
        for place in self.places.iter_mut().filter(|place| place.joined) {
            let heard_ms = self.heard_ms.max(place.heard_ms);
            match self.rules.patience.judge(heard_ms, now.mono_ms) {
                Verdict::Fresh { until_ms } => due_ms = due_ms.min(until_ms),
                Verdict::Due { in_ms } => {
                    due_ms = due_ms.min(now.mono_ms + in_ms);
                    if place.nudged_ms.replace(heard_ms) != Some(heard_ms) {
                        nudge_in_ms = Some(nudge_in_ms.unwrap_or(in_ms).min(in_ms));
                    }
                }
                Verdict::Silent => {
                    place.joined = false;
                    let name = lose(&self.hub, &self.user, place, &self.outlet, heard_ms, now);
                    silent.push(name);
                }
            }
        }
        if let Some(in_ms) = nudge_in_ms {
            sending.reply(&ServerFrame::HeartbeatDue { in_ms });
        }
        if !silent.is_empty() {
            self.places.tidy();
            let reason = RemovedReason::Heartbeat;
            sending.reply(&ServerFrame::Removed { channels: silent, reason });
        }
        due_ms
    }

    /// Frees the slots and ends the memberships of a connection that is gone.
    fn give_up_places(&mut self, closed: bool) {
        let now = self.hub.clock().now();
        let (user, source) = (&self.user, self.outlet.id());
        // It is the broker that goes, not its members: nobody is told that they left.
        let keep_members = self.hub.is_draining();
        for place in self.places.take() {
            let last_seen = now.unix_at(self.heard_ms.max(place.heard_ms));
            let user = user.clone();
            let command = if closed {
                Command::Leave { user, source, reason: LeaveReason::Closed }
            } else {
                Command::Lose { user, source, reason: LossReason::Connection, last_seen }
            };
            self.hub.enter_kept(&place.channel, |room| {
                if let Some(subscribed) = &place.subscribed {
                    room.remove_subscriber(subscribed.slot);
                }
                if place.joined && !keep_members {
                    // Neither leaving nor losing is ever refused.
                    let _ = self.hub.apply(&place.channel, room, command, now);
                }
            });
        }
        self.outlet.armed_ms.store(Outlet::NEVER, Ordering::Relaxed);
    }
}

fn lose(
    hub: &Arc<Hub>,
    user: &UserId,
    place: &Place,
    outlet: &Outlet,
    heard_ms: u64,
    now: Now,
) -> ChannelName {
    let command = Command::Lose {
        user: user.clone(),
        source: outlet.id(),
        reason: LossReason::Heartbeat,
        last_seen: now.unix_at(heard_ms),
    };
    hub.apply_kept(&place.channel, command, now);
    place.channel.name().clone()
}
