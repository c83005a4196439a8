//! The systems that can be measured, and what each one's clients say: the same work for all.

mod floor;
mod herenow;
mod mosquitto;
mod nats;
mod socketio;
mod sockudo;
mod ws;

use std::rc::Rc;

use clap::ValueEnum;

use crate::failure::Result;
use crate::replica::Frame;
use crate::socket::Upgrade;

pub(crate) use floor::{SUBSCRIBE, SUBSCRIBED, set_frame_bytes};

/// A system under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// This project's broker
    Herenow,
    /// A bare loop of write(2), one write for each update and subscriber (no presence)
    Floor,
    /// The same, with all updates that wait in one write (no presence)
    FloorBatched,
    /// MQTT over WebSocket; a retained message and a will are a member
    Mosquitto,
    /// A small rooms server on socket.io
    Socketio,
    /// A small broadcast server on ws
    Ws,
    /// NATS over WebSocket (fan-out only)
    Nats,
    /// A presence channel of Pusher's protocol
    Sockudo,
}

impl Peer {
    pub(crate) const ALL: [Self; 8] = [
        Self::Herenow,
        Self::Floor,
        Self::FloorBatched,
        Self::Mosquitto,
        Self::Socketio,
        Self::Ws,
        Self::Nats,
        Self::Sockudo,
    ];

    /// As flags and tables write it; also its folder under `peers/`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Herenow => "herenow",
            Self::Floor => "floor",
            Self::FloorBatched => "floor-batched",
            Self::Mosquitto => "mosquitto",
            Self::Socketio => "socketio",
            Self::Ws => "ws",
            Self::Nats => "nats",
            Self::Sockudo => "sockudo",
        }
    }

    /// Whether it keeps a list of members.
    pub(crate) fn has_presence(self) -> bool {
        !matches!(self, Self::Floor | Self::FloorBatched | Self::Nats)
    }

    /// How to speak to it, where `channels` channels are in use.
    pub(crate) fn dialect(self, channels: usize) -> Box<dyn Dialect> {
        match self {
            Self::Herenow => Box::new(herenow::Herenow::new(channels)),
            Self::Floor | Self::FloorBatched => Box::new(floor::Floor),
            Self::Mosquitto => Box::new(mosquitto::Mosquitto),
            Self::Socketio => Box::new(socketio::SocketIo),
            Self::Ws => Box::new(ws::Ws),
            Self::Nats => Box::new(nats::Nats),
            Self::Sockudo => Box::new(sockudo::Sockudo::default()),
        }
    }
}

/// What a message from the server means.
#[derive(Debug)]
pub(crate) enum Note {
    /// Nothing that matters here.
    Nothing,
    /// The connection may enter its channel.
    Welcomed,
    /// The connection observes the channel. The message may name members.
    Entered,
    /// The message may name members.
    Members,
    /// A frame that a strict replica applies.
    Frame(Rc<Frame>),
}

/// How a system's clients speak.
pub(crate) trait Dialect {
    /// What to ask for; none: no WebSocket.
    fn upgrade(&self, user: &str) -> Option<Upgrade>;

    /// What a client says first.
    fn hello(&self, user: &str, channel: &str, out: &mut Vec<u8>);

    /// Becomes a member of the channel.
    fn join(&self, user: &str, channel: &str, out: &mut Vec<u8>);

    /// Observes a channel: all members now, and every change.
    fn observe(&self, user: &str, channel: &str, out: &mut Vec<u8>);

    /// Does both.
    fn enter(&self, user: &str, channel: &str, out: &mut Vec<u8>) {
        self.join(user, channel, out);
        self.observe(user, channel, out);
    }

    /// Changes the member's attributes to ones that hold `mark`.
    fn update(&self, user: &str, channel: &str, mark: &str, out: &mut Vec<u8>);

    /// Says that the client is still here.
    fn heartbeat(&self, out: &mut Vec<u8>);

    /// Reads a message to connection `who`. What is appended to `out` is the answer that the protocol demands.
    ///
    /// # Errors
    /// If the server refused something or broke its protocol.
    fn read(&mut self, who: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<Note>;
}

/// The event that systems without a presence format of their own are given to carry: as long as
/// herenow's.
fn event(kind: &str, user: &str, attributes: &str) -> String {
    format!(r#"{{"event":"{kind}","user":"{user}","attributes":{attributes},"at":1795348641000}}"#)
}

/// The attributes of an update.
fn attributes(mark: &str) -> String {
    format!(r#"{{"mood":"happy","n":"{mark}"}}"#)
}
