//! One simulated viewer: a client as any other, over a socket to the broker's own port.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use fastrand::Rng;
use futures_util::{SinkExt, StreamExt};
use herenow_protocol::{ChannelName, ClientFrame, Request, ServerFrame};
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{Interval, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::number_pool::Number;
use super::turn::{self, Turn};
use crate::limits::{DEMO_HANDSHAKE, DEMO_READ_BYTES, LINGER};

/// A visitor, who goes when this is dropped.
#[derive(Debug)]
pub(super) struct Visitor {
    _stay: oneshot::Sender<()>,
}

/// A visitor begins to live: in `channel` of the broker that listens on `address`, until that is
/// `stopped`.
pub(super) fn start(
    address: SocketAddr,
    channel: ChannelName,
    number: Number,
    rng: Rng,
    stopped: watch::Receiver<bool>,
) -> Visitor {
    let (stay, gone) = oneshot::channel();
    let life = Life { address, channel, number, rng, link: None };
    tokio::spawn(life.run(gone, stopped));
    Visitor { _stay: stay }
}

/// What a visitor has.
struct Life {
    address: SocketAddr,
    channel: ChannelName,
    number: Number,
    rng: Rng,
    link: Option<Welcomed>,
}

/// A connection that has had its welcome. Of what can fail there only one thing matters: it ended.
struct Welcomed {
    socket: WebSocketStream<TcpStream>,
    /// As often as the broker asked for.
    heartbeat: Interval,
}

impl Life {
    async fn run(mut self, gone: oneshot::Receiver<()>, mut stopped: watch::Receiver<bool>) {
        let goodbye = tokio::select! {
            biased;
            // The broker says goodbye itself, and its members do not leave.
            _ = stopped.wait_for(|&stop| stop) => false,
            _ = gone => true,
            () = self.live() => false,
        };
        let Some(Welcomed { mut socket, .. }) = self.link.take() else { return };
        // Read to its end: a socket that is dropped with bytes unread takes the Close frame along.
        let end = async {
            if goodbye {
                let _ = socket.close(None).await;
            }
            while let Some(Ok(_)) = socket.next().await {}
        };
        let _ = timeout(LINGER, end).await;
    }

    /// Comes, stays, drops out, and comes again. Never returns.
    async fn live(&mut self) {
        let mut refused = 0;
        loop {
            self.link = self.connect().await;
            let dropped = match self.link {
                Some(_) => self.stay().await,
                None => None,
            };
            // Without a goodbye.
            self.link = None;
            refused = if dropped.is_some() { 0 } else { refused + 1 };
            sleep(dropped.unwrap_or_else(|| turn::back_off(&mut self.rng, refused))).await;
        }
    }

    async fn connect(&self) -> Option<Welcomed> {
        let name = turn::name(self.number.get());
        timeout(DEMO_HANDSHAKE, Welcomed::open(self.address, &name)).await.ok()?
    }

    /// Takes its turns until the connection is to be dropped, and returns for how long; `None` if it
    /// ended by itself.
    async fn stay(&mut self) -> Option<Duration> {
        let link = self.link.as_mut()?;
        let channel = &self.channel;
        let mut mood = turn::mood(&mut self.rng);
        link.say(join(channel, mood)).await?;
        loop {
            let (pause, turn) = turn::next(&mut self.rng, self.number.taken());
            link.rest(pause).await?;
            match turn {
                Turn::Mood(next) => {
                    mood = next;
                    link.say(set(channel, mood)).await?;
                }
                Turn::Leave(away) => {
                    link.say(Request::Leave { channel: channel.clone() }).await?;
                    link.rest(away).await?;
                    link.say(join(channel, mood)).await?;
                }
                Turn::Drop(away) => return Some(away),
            }
        }
    }
}

impl Welcomed {
    async fn open(address: SocketAddr, user: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        // A visitor reads little, and there are many.
        let config = WebSocketConfig::default().read_buffer_size(DEMO_READ_BYTES);
        let url = format!("ws://{address}/ws?user={user}");
        let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await.ok()?;
        let Message::Text(welcome) = socket.next().await?.ok()? else { return None };
        let ServerFrame::Welcome { heartbeat, .. } = serde_json::from_str(&welcome).ok()? else {
            return None;
        };
        let heartbeat = interval(Duration::from_millis(heartbeat.interval_ms.max(1)));
        Some(Self { socket, heartbeat })
    }

    async fn say(&mut self, request: Request) -> Option<()> {
        let text = serde_json::to_string(&ClientFrame::from(request)).ok()?;
        self.socket.send(Message::text(text)).await.ok()
    }

    /// Lets time pass: reads what comes, which answers pings, and sends heartbeats.
    async fn rest(&mut self, pause: Duration) -> Option<()> {
        let mut over = pin!(sleep(pause));
        loop {
            tokio::select! {
                () = &mut over => return Some(()),
                _ = self.heartbeat.tick() => self.say(Request::Heartbeat { channels: None }).await?,
                read = self.socket.next() => check(&read?.ok()?)?,
            }
        }
    }
}

/// Whoever is told that it was removed or refused is not where it wants to be: it may as well hang up
/// and come anew. All else is of no interest.
fn check(message: &Message) -> Option<()> {
    let Message::Text(text) = message else { return Some(()) };
    match serde_json::from_str(text) {
        Ok(ServerFrame::Removed { .. } | ServerFrame::Error { .. }) => None,
        _ => Some(()),
    }
}

fn attributes(mood: &str) -> Map<String, Value> {
    Map::from_iter([("mood".to_owned(), mood.into())])
}

fn join(channel: &ChannelName, mood: &str) -> Request {
    let (channel, attributes) = (channel.clone(), Some(attributes(mood)));
    Request::Join {
        channel,
        attributes,
        merge: false,
        grace_ms: None,
        visible_to: None,
        away: None,
    }
}

fn set(channel: &ChannelName, mood: &str) -> Request {
    let (channel, attributes) = (channel.clone(), attributes(mood));
    Request::SetAttributes { channel, attributes, merge: true, ttl_ms: None }
}
