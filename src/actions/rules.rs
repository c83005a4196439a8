//! What holds for everybody, over whichever wire it asks: cadence, time-outs, limits.

use std::time::Duration;

use herenow_protocol::reply::HeartbeatInfo;
use herenow_protocol::{ChannelName, ErrorCode, Refusal};

use crate::config::Config;
use crate::limits::{LIST_DEFAULT, LIST_MAX};

/// What holds for everybody.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether presence is switched on.
    pub enabled: bool,
    /// The cadence that keeps members present, and users online.
    pub heartbeat: HeartbeatInfo,
    /// Longest grace that a join may ask for, in milliseconds: the longest of any channel.
    pub max_grace_ms: u64,
    /// Longest life that attributes may be given, in milliseconds.
    pub max_ttl_ms: u64,
    /// Longest lease, in milliseconds.
    pub max_lease_ms: u64,
}

impl Rules {
    /// The rules that `config` sets.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let ms = |duration: Duration| duration.as_millis() as u64;
        let limits = &config.limits;
        Self {
            enabled: !config.disable_presence,
            heartbeat: HeartbeatInfo {
                interval_ms: ms(config.heartbeat_interval()),
                timeout_ms: ms(config.presence_timeout),
            },
            max_grace_ms: ms(config.longest_grace()),
            max_ttl_ms: ms(limits.max_ttl),
            max_lease_ms: ms(limits.max_lease),
        }
    }

    /// Silence of so many milliseconds ends memberships.
    #[must_use]
    pub fn timeout_ms(&self) -> u64 {
        self.heartbeat.timeout_ms
    }

    /// Refuses everything while presence is switched off.
    ///
    /// # Errors
    /// `presence_disabled`.
    pub fn check_enabled(&self) -> Result<(), Refusal> {
        if self.enabled { Ok(()) } else { Err(Refusal::presence_disabled()) }
    }
}

/// Refuses a number that is not within `least` and `most`.
///
/// # Errors
/// `invalid_field`: names the field and the rule.
pub fn check_between(
    field: &'static str,
    value: u64,
    least: u64,
    most: u64,
) -> Result<(), Refusal> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Refusal::invalid(field, format_args!("must be a whole number from {least} to {most}")))
}

/// Refuses to join the channel of records, where each member is what a vendor's client library wrote.
///
/// # Errors
/// `forbidden`.
pub(super) fn check_joinable(channel: &ChannelName) -> Result<(), Refusal> {
    if !channel.is_of_records() {
        return Ok(());
    }
    let rule = "is the broker's own: it may be read, and nobody joins it";
    Err(Refusal::field(ErrorCode::Forbidden, "channel", rule))
}

/// How many of a list to answer with.
pub(super) fn check_limit(limit: Option<u64>) -> Result<usize, Refusal> {
    let limit = limit.unwrap_or(LIST_DEFAULT as u64);
    check_between("limit", limit, 1, LIST_MAX as u64)?;
    Ok(limit as usize)
}
