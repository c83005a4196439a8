//! The systems that can be measured.

use clap::ValueEnum;

use crate::peer::dialect::Dialect;
use crate::peer::floor::Floor;
use crate::peer::herenow::Herenow;
use crate::peer::mosquitto::Mosquitto;
use crate::peer::nats::Nats;
use crate::peer::socketio::SocketIo;
use crate::peer::sockudo::Sockudo;
use crate::peer::ws::Ws;

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
            Self::Herenow => Box::new(Herenow::new(channels)),
            Self::Floor | Self::FloorBatched => Box::new(Floor),
            Self::Mosquitto => Box::new(Mosquitto),
            Self::Socketio => Box::new(SocketIo),
            Self::Ws => Box::new(Ws),
            Self::Nats => Box::new(Nats),
            Self::Sockudo => Box::new(Sockudo::default()),
        }
    }
}
