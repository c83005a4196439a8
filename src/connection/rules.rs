//! What holds for every connection, and what `welcome` tells of it.

use std::sync::Arc;
use std::time::Duration;

use herenow_protocol::reply::{HeartbeatInfo, LimitsInfo, ServerInfo};
use herenow_protocol::{Refusal, ServerFrame};

use super::liveness::PingRules;
use super::patience::Patience;
use crate::allowance::Rate;
use crate::auth::Auth;
use crate::config::Config;
use crate::delivery::Outlet;
use crate::limits::LIST_MAX;
use crate::now::Now;

/// What holds for every connection.
#[derive(Debug)]
pub struct Rules {
    /// Who a client is, and what it may do.
    pub(super) auth: Arc<Auth>,
    enabled: bool,
    pub(super) patience: Patience,
    pub(super) ping: PingRules,
    pub(super) rate: Rate,
    pub(super) message_bytes: usize,
    pub(super) message_time_ms: u64,
    pub(super) max_channels: usize,
    pub(super) max_watches: usize,
    pub(super) max_grace_ms: u64,
    pub(super) max_ttl_ms: u64,
    heartbeat: HeartbeatInfo,
    limits: LimitsInfo,
}

impl Rules {
    /// The rules that `config` sets.
    #[must_use]
    pub fn new(config: &Config, auth: Arc<Auth>) -> Arc<Self> {
        let ms = |duration: Duration| duration.as_millis() as u64;
        let limits = &config.limits;
        let timeout_ms = ms(config.presence_timeout);
        Arc::new(Self {
            auth,
            enabled: !config.disable_presence,
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
            max_watches: limits.max_watches as usize,
            max_grace_ms: ms(limits.max_grace),
            max_ttl_ms: ms(limits.max_ttl),
            heartbeat: HeartbeatInfo { interval_ms: ms(config.heartbeat_interval()), timeout_ms },
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
                grace_ms: ms(limits.max_grace),
                ttl_ms: ms(limits.max_ttl),
                list: LIST_MAX as u64,
                roster: limits.roster_limit.into(),
            },
        })
    }

    /// The cadence that keeps members present, and users online.
    #[must_use]
    pub fn heartbeat(&self) -> HeartbeatInfo {
        self.heartbeat
    }

    /// Silence of so many milliseconds ends memberships.
    #[must_use]
    pub fn timeout_ms(&self) -> u64 {
        self.patience.timeout_ms
    }

    /// Refuses everything while presence is switched off.
    ///
    /// # Errors
    /// `presence_disabled`.
    pub fn check_enabled(&self) -> Result<(), Refusal> {
        if self.enabled { Ok(()) } else { Err(Refusal::presence_disabled()) }
    }

    /// The first frame of a connection.
    pub(super) fn welcome(&self, outlet: &Outlet, now: Now) -> ServerFrame {
        ServerFrame::Welcome {
            protocol: herenow_protocol::PROTOCOL_VERSION,
            connection: format!("c{}", outlet.id()).into(),
            user: outlet.user().clone(),
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
