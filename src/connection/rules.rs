//! What holds for every WebSocket beyond what holds for everybody, and what `welcome` tells of it.

use std::sync::Arc;
use std::time::Duration;

use herenow_protocol::ServerFrame;
use herenow_protocol::reply::{LimitsInfo, ServerInfo};

use super::liveness::PingRules;
use crate::actions::Desk;
use crate::auth::Caller;
use crate::config::{Compression, Config};
use crate::deflate::Answer;
use crate::delivery::Outlet;
use crate::limits::LIST_MAX;
use crate::now::Now;
use crate::token_bucket::Rate;

/// What holds for every WebSocket.
#[derive(Debug)]
pub struct SocketRules {
    pub(super) ping: PingRules,
    pub(super) rate: Rate,
    pub(super) message_bytes: usize,
    pub(super) message_time_ms: u64,
    pub(super) max_channels: usize,
    pub(super) max_watches: usize,
    /// Whether clients may negotiate that messages are compressed.
    pub(super) squeezes: bool,
    limits: LimitsInfo,
}

impl SocketRules {
    /// The rules that `config` sets.
    #[must_use]
    pub fn new(config: &Config) -> Arc<Self> {
        let ms = |duration: Duration| duration.as_millis() as u64;
        let limits = &config.limits;
        Arc::new(Self {
            ping: PingRules {
                interval_ms: ms(config.ping_interval),
                timeout_ms: ms(config.pong_timeout),
                write_timeout_ms: ms(limits.max_write_time),
            },
            rate: Rate { per_second: limits.max_frames_per_second, burst: limits.max_frames_burst },
            message_bytes: limits.max_message_bytes as usize,
            message_time_ms: ms(limits.max_message_time),
            max_channels: limits.max_channels as usize,
            max_watches: limits.max_watches as usize,
            squeezes: config.compression == Compression::On,
            limits: LimitsInfo {
                message_bytes: limits.max_message_bytes.into(),
                attribute_bytes: limits.max_attribute_bytes.into(),
                attribute_keys: limits.max_attribute_keys.into(),
                name_bytes: herenow_protocol::name::MAX_NAME_BYTES as u64,
                channels: limits.max_channels.into(),
                watches: limits.max_watches.into(),
                members: limits.max_members.into(),
                frames_per_second: limits.max_frames_per_second.into(),
                frames_burst: limits.max_frames_burst.into(),
                grace_ms: ms(config.longest_grace()),
                ttl_ms: ms(limits.max_ttl),
                list: LIST_MAX as u64,
                roster: limits.roster_limit.into(),
            },
        })
    }

    /// What is answered to the lines of `Sec-WebSocket-Extensions` of a client; `None`: nothing, and
    /// frames stay plain.
    pub fn answer_extensions<'a>(
        &self,
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Option<Answer> {
        if self.squeezes { Answer::to(lines) } else { None }
    }

    /// The first frame of a connection.
    pub(super) fn welcome(&self, desk: &Desk, outlet: &Outlet, now: Now) -> ServerFrame {
        let access = outlet.access();
        let caller = Caller::User { user: outlet.user(), access: access.as_deref() };
        ServerFrame::Welcome {
            protocol: herenow_protocol::PROTOCOL_VERSION,
            connection: format!("c{}", outlet.id()).into(),
            user: outlet.user().clone(),
            server: ServerInfo {
                name: env!("CARGO_PKG_NAME").into(),
                version: env!("CARGO_PKG_VERSION").into(),
            },
            heartbeat: desk.rules().heartbeat,
            limits: self.limits,
            sight: caller.sight(),
            now: now.unix_ms,
        }
    }
}
