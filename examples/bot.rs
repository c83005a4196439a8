//! A bot that is present in one channel: it prints who comes and goes, and greets each newcomer with
//! an attribute of its own, which everybody in the channel sees for a few seconds.
//!
//! ```sh
//! cargo run --example bot -- ws://127.0.0.1:8080/ws lobby
//! ```
//!
//! It shows what a client in Rust needs: the frames of `herenow-protocol`, heartbeats, a replica of
//! the channel, and connections that end. Where the broker wants tokens, `HERENOW_TOKEN` is one. For
//! `wss://` turn on one of the TLS features of tokio-tungstenite.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use herenow_protocol::{
    ChannelName, ClientFrame, CloseCode, ErrorCode, Event, FrameId, Level, PROTOCOL_VERSION,
    Request, SUBPROTOCOL, ServerFrame, Sight, Since, UserId,
};
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request as Upgrade};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long a greeting stays.
const GREETING_MS: u64 = 5_000;
/// The longest wait before the first new attempt. It doubles with each that fails.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LAST_BACK_OFF: Duration = Duration::from_secs(30);
/// How long to wait for a connection and its welcome.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where the bot goes, and as whom.
#[derive(Debug, Parser)]
pub(crate) struct Settings {
    /// The broker, such as ws://127.0.0.1:8080/ws.
    pub(crate) url: String,
    /// The channel to be present in.
    pub(crate) channel: String,
    /// Who the bot is, where the broker takes its word for it.
    #[arg(long, default_value = "greeter")]
    pub(crate) user: String,
    /// Who the bot is, where the broker wants a token.
    #[arg(long, env = "HERENOW_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]
async fn main() -> std::process::ExitCode {
    let why = run(&Settings::parse(), tokio::signal::ctrl_c(), |line| println!("{line}")).await;
    let Err(why) = why else { return std::process::ExitCode::SUCCESS };
    eprintln!("{why}");
    std::process::ExitCode::FAILURE
}

/// Is present until `stop` is ready, and then leaves. Each line about the channel goes to `tell`.
///
/// # Errors
///
/// Says why, when trying again cannot help: a bad address or name, no acceptable token, a channel that
/// it may not join, or a kick.
pub(crate) async fn run<S>(
    settings: &Settings,
    stop: impl Future<Output = S>,
    tell: impl FnMut(String),
) -> Result<(), String> {
    let channel = ChannelName::parse(&settings.channel, "channel").map_err(|bad| bad.message)?;
    let mut bot = Bot {
        channel,
        me: None,
        since: None,
        sight: None,
        members: BTreeSet::new(),
        parts: None,
        tell,
    };
    let mut stop = std::pin::pin!(stop);
    let mut longest = FIRST_BACK_OFF;
    loop {
        let mut link = None;
        let end = tokio::select! {
            _ = &mut stop => None,
            end = bot.visit(settings, &mut link) => Some(end),
        };
        let Some(end) = end else {
            // A Close says that the bot leaves. Just dropping the connection would be a loss.
            if let Some(Link { mut socket, .. }) = link {
                let _ = socket.close(None).await;
            }
            return Ok(());
        };
        let End::Lost { why, wait } = end else { return Err(end.into_text()) };
        if link.is_some() {
            longest = FIRST_BACK_OFF;
        }
        let wait = wait.unwrap_or_else(|| longest.mul_f64(fastrand::f64()));
        (bot.tell)(format!("connection lost ({why}); again in {:.1} s", wait.as_secs_f64()));
        tokio::select! {
            _ = &mut stop => return Ok(()),
            () = sleep(wait) => {}
        }
        longest = (longest * 2).min(LAST_BACK_OFF);
    }
}

/// Why a connection ended.
enum End {
    /// Another one may do better, after `wait` if the broker asked for that.
    Lost { why: String, wait: Option<Duration> },
    /// Another one would meet with the same.
    Final(String),
}

impl End {
    fn into_text(self) -> String {
        match self {
            Self::Lost { why, .. } | Self::Final(why) => why,
        }
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::Url(_) | Error::HttpFormat(_) => Self::Final(error.to_string()),
            _ => Self::Lost { why: error.to_string(), wait: None },
        }
    }
}

/// A connection that has had its welcome.
struct Link {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// As often as the broker asks for.
    heartbeat: Interval,
    /// Silence for so long means that the connection is dead: each heartbeat has an answer.
    patience: Duration,
}

/// The ids of what is asked: an answer with one of them tells that it was done, or refused.
#[derive(Clone, Copy)]
enum Asked {
    Join = 1,
    Subscribe,
    Heartbeat,
    Greeting,
}

impl Link {
    async fn say(&mut self, asked: Asked, request: Request) -> Result<(), End> {
        let frame = ClientFrame { id: Some(FrameId::Number(asked as i64)), request };
        let text = serde_json::to_string(&frame).map_err(|bug| End::Final(bug.to_string()))?;
        Ok(self.socket.send(Message::text(text)).await?)
    }

    /// The next frame that this bot knows. Heartbeats go out while it waits.
    async fn hear(&mut self) -> Result<ServerFrame, End> {
        loop {
            let message = tokio::select! {
                _ = self.heartbeat.tick() => {
                    self.say(Asked::Heartbeat, Request::Heartbeat { channels: None }).await?;
                    continue;
                }
                message = timeout(self.patience, self.socket.next()) => message,
            };
            let message = message.map_err(|_| lost("the broker is silent"))?;
            if let Some(frame) = frame(message.ok_or_else(|| lost("no goodbye"))??)? {
                return Ok(frame);
            }
        }
    }
}

fn lost(why: &str) -> End {
    End::Lost { why: why.to_owned(), wait: None }
}

/// The frame in a message, if this version of the protocol knows it.
fn frame(message: Message) -> Result<Option<ServerFrame>, End> {
    match message {
        Message::Text(text) => Ok(serde_json::from_str(&text).ok()),
        Message::Close(close) => {
            let (code, reason) = close.map_or((1005, String::new()), |close| {
                (close.code.into(), close.reason.to_string())
            });
            let why = format!("closed by the broker: {code} {reason}");
            // The bot has one token only, so one that has expired ends it too.
            let expired = code == CloseCode::TokenExpired.number();
            let ours = [1002, 1003, 1007, 1009].contains(&code);
            let is_final = expired || ours || (4000..4100).contains(&code);
            Err(if is_final { End::Final(why) } else { End::Lost { why, wait: None } })
        }
        _ => Ok(None),
    }
}

/// What the bot knows of its channel, which outlives connections.
struct Bot<T> {
    channel: ChannelName,
    /// Who the broker says the bot is.
    me: Option<UserId>,
    /// The last frame that `members` includes.
    since: Option<Since>,
    /// Whom the connection may see, as the broker names it.
    sight: Option<Sight>,
    members: BTreeSet<UserId>,
    /// The parts of a snapshot whose last has not come.
    parts: Option<BTreeSet<UserId>>,
    tell: T,
}

impl<T: FnMut(String)> Bot<T> {
    /// One connection from its first byte to its last. It is put into `link` once it is welcome.
    async fn visit(&mut self, settings: &Settings, link: &mut Option<Link>) -> End {
        let welcome = timeout(HANDSHAKE, self.connect(settings)).await;
        let link = match welcome.unwrap_or_else(|_| Err(lost("no welcome in time"))) {
            Ok(welcome) => link.insert(welcome),
            Err(end) => return end,
        };
        let mut come_back = None;
        loop {
            let heard = match link.hear().await {
                Ok(ServerFrame::Goaway { reconnect_in_ms, .. }) => {
                    come_back = Some(Duration::from_millis(reconnect_in_ms));
                    Ok(())
                }
                Ok(frame) => self.heard(link, frame).await,
                Err(end) => Err(end),
            };
            match heard {
                Ok(()) => {}
                Err(End::Lost { why, wait }) => return End::Lost { why, wait: wait.or(come_back) },
                Err(end) => return end,
            }
        }
    }

    async fn connect(&mut self, settings: &Settings) -> Result<Link, End> {
        let (mut socket, _) = connect_async(upgrade(settings)?).await?;
        let first = loop {
            let message = socket.next().await.ok_or_else(|| lost("no welcome"))??;
            if let Some(frame) = frame(message)? {
                break frame;
            }
        };
        let (user, heartbeat) = match first {
            ServerFrame::Welcome { protocol: PROTOCOL_VERSION, user, heartbeat, sight, .. } => {
                self.sight = Some(sight);
                (user, heartbeat)
            }
            ServerFrame::Welcome { protocol, .. } => {
                return Err(End::Final(format!("the broker speaks version {protocol}")));
            }
            ServerFrame::Error { code: ErrorCode::Unavailable, message, .. } => {
                return Err(lost(&message));
            }
            ServerFrame::Error { message, .. } => return Err(End::Final(message.into_owned())),
            _ => return Err(lost("no welcome")),
        };
        self.me = Some(user);
        let every = Duration::from_millis(heartbeat.interval_ms.max(1));
        let mut heartbeat = interval(every);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut link = Link { socket, heartbeat, patience: every * 2 };
        // Join first: then the bot is in the first snapshot already.
        self.join(&mut link).await?;
        self.subscribe(&mut link).await?;
        Ok(link)
    }

    async fn join(&self, link: &mut Link) -> Result<(), End> {
        let attributes = Some(Map::from_iter([("bot".to_owned(), true.into())]));
        let channel = self.channel.clone();
        let (grace_ms, visible_to, away) = (None, None, None);
        let join = Request::Join { channel, attributes, merge: false, grace_ms, visible_to, away };
        link.say(Asked::Join, join).await
    }

    /// Goes on after the last frame it knows. What the broker has no longer comes as a snapshot.
    async fn subscribe(&mut self, link: &mut Link) -> Result<(), End> {
        self.parts = None;
        let (channel, since) = (self.channel.clone(), self.since);
        let subscribe = Request::Subscribe {
            channel,
            level: Level::Events,
            recent: None,
            recent_attributes: false,
            since,
        };
        link.say(Asked::Subscribe, subscribe).await
    }

    async fn heard(&mut self, link: &mut Link, frame: ServerFrame) -> Result<(), End> {
        match frame {
            ServerFrame::Snapshot { epoch, seq, members, more, .. } => {
                let parts = self.parts.get_or_insert_default();
                parts.extend(members.into_iter().map(|member| member.user));
                if !more {
                    self.since = Some(Since { epoch, seq, sight: self.sight });
                    self.state();
                }
            }
            ServerFrame::Presence { seq, events, .. } => {
                return self.presence(link, seq, events).await;
            }
            // Present no longer, although connected: the process was stopped for too long.
            ServerFrame::Removed { reason, .. } => {
                (self.tell)(format!("removed ({reason:?})"));
                self.join(link).await?;
            }
            ServerFrame::Error { id, code, message, retry_after_ms, .. } => {
                let retry = retry_after_ms.map(Duration::from_millis);
                let why = format!("refused: {message}");
                let vital =
                    [Asked::Join, Asked::Subscribe].map(|asked| FrameId::Number(asked as i64));
                let passes = matches!(
                    code,
                    ErrorCode::RateLimited | ErrorCode::Unavailable | ErrorCode::Internal
                );
                match id {
                    Some(id) if vital.contains(&id) && passes => {
                        return Err(End::Lost { why, wait: retry });
                    }
                    Some(id) if vital.contains(&id) => return Err(End::Final(why)),
                    _ => (self.tell)(why),
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A snapshot is a new state, and nobody who comes and goes: it is compared with what was known.
    fn state(&mut self) {
        let now = self.parts.take().unwrap_or_default();
        let before = std::mem::replace(&mut self.members, now);
        for user in self.members.difference(&before) {
            (self.tell)(format!("{user} is here"));
        }
        for user in before.difference(&self.members) {
            (self.tell)(format!("{user} is not here any more"));
        }
    }

    async fn presence(&mut self, link: &mut Link, seq: u64, events: Vec<Event>) -> Result<(), End> {
        // The same seq again is about members whom not everyone may see.
        match &mut self.since {
            Some(since) if seq == since.seq || seq == since.seq + 1 => since.seq = seq,
            _ => {
                self.since = None;
                return self.subscribe(link).await;
            }
        }
        let mut newcomers = Vec::new();
        for event in events {
            match event {
                Event::Join { user, .. } => {
                    (self.tell)(format!("{user} came"));
                    self.members.insert(user.clone());
                    newcomers.push(user);
                }
                Event::Leave { user, reason, .. } => {
                    (self.tell)(format!("{user} left ({reason:?})"));
                    self.members.remove(&user);
                }
                Event::Timeout { user, reason, .. } => {
                    (self.tell)(format!("{user} was lost ({reason:?})"));
                    self.members.remove(&user);
                }
                Event::UpdateAttributes { .. } => {}
            }
        }
        newcomers.retain(|user| Some(user) != self.me.as_ref());
        self.greet(link, &newcomers).await
    }

    /// One frame, however many came at once: a bot that greeted each would be refused in a crowd.
    async fn greet(&self, link: &mut Link, newcomers: &[UserId]) -> Result<(), End> {
        let greeting = match newcomers {
            [] => return Ok(()),
            [one] => format!("Hello, {one}!"),
            [one, others @ ..] => format!("Hello, {one} and {} more!", others.len()),
        };
        let attributes = Map::from_iter([("greeting".to_owned(), Value::from(greeting))]);
        let (channel, ttl_ms) = (self.channel.clone(), Some(GREETING_MS));
        let set = Request::SetAttributes { channel, attributes, merge: true, ttl_ms };
        link.say(Asked::Greeting, set).await
    }
}

/// The request that opens the WebSocket.
fn upgrade(settings: &Settings) -> Result<Upgrade<()>, End> {
    let no_header = |_| End::Final("the token cannot stand in a header".to_owned());
    let mut url = settings.url.clone();
    if settings.token.is_none() {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("user", &settings.user)
            .finish();
        url = format!("{url}?{query}");
    }
    let mut request = url.into_client_request()?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    if let Some(token) = &settings.token {
        let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(no_header)?;
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}
