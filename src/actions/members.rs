//! Being in a channel by a connection: join, leave, be away, set attributes.

use std::sync::Arc;

use herenow_protocol::reply::HeartbeatInfo;
use herenow_protocol::{AttributeMap, Audience, LeaveReason, Refusal, UserId};

use super::desk::Desk;
use super::rules::{check_between, check_joinable};
use crate::auth::Caller;
use crate::hub::{At, Channel};
use crate::now::Now;
use crate::presence::{Command, Lasts, Source};

/// What a join brings.
#[derive(Clone, Debug)]
pub struct Joining {
    /// The member.
    pub user: UserId,
    /// What keeps it present from now on.
    pub source: Source,
    /// Its attributes, or the keys to patch; `None`: as they are.
    pub attributes: Option<AttributeMap>,
    /// Patch instead of replace.
    pub merge: bool,
    /// Who may see it; `None`: as before.
    pub visible_to: Option<Audience>,
    /// Whether the user is away from the source; `None`: as before.
    pub away: Option<bool>,
    /// How long it is to stay after its connection was lost, in milliseconds; `None`: as is usual
    /// there.
    pub grace_ms: Option<u64>,
}

/// What a join came to.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The channel, which is held from then on.
    pub channel: Arc<Channel>,
    /// The grace that was given, in milliseconds; `None`: as it was asked for.
    pub grace_ms: Option<u64>,
    /// The cadence that keeps the member present; `None`: the one that clients are told when they
    /// connect.
    pub heartbeat: Option<HeartbeatInfo>,
}

/// What a write of attributes brings.
#[derive(Clone, Debug)]
pub struct Writing {
    /// The member.
    pub user: UserId,
    /// Which of its sources writes.
    pub source: Source,
    /// The attributes, or the keys to patch.
    pub attributes: AttributeMap,
    /// Patch instead of replace.
    pub merge: bool,
    /// How long the written keys live, in milliseconds.
    pub ttl_ms: Option<u64>,
}

impl Desk {
    /// Makes the user a member of the channel, which is held from then on: it cannot vanish before
    /// the source leaves.
    ///
    /// # Errors
    /// `forbidden`, `invalid_field` (graceMs), `channel_full`, `too_large`.
    pub fn join(
        &self,
        caller: Caller<'_>,
        at: At<'_>,
        joining: Joining,
        now: Now,
    ) -> Result<Joined, Refusal> {
        let Joining { user, source, attributes, merge, visible_to, away, grace_ms } = joining;
        check_joinable(at.name())?;
        self.may_join(caller, at.name(), &user)?;
        check_between("graceMs", grace_ms.unwrap_or(0), 0, self.rules().max_grace_ms)?;
        let info = caller.info().cloned();
        self.hub.enter(at, |door| {
            let rules = *door.rules();
            let given_ms = grace_ms.unwrap_or(rules.default_grace_ms).min(rules.max_grace_ms);
            let lasts = Lasts::Connection { grace_ms: given_ms };
            let command =
                Command::Join { user, source, attributes, merge, info, visible_to, away, lasts };
            door.apply(command, now)?;
            Ok(Joined {
                channel: Arc::clone(door.channel()),
                grace_ms: (given_ms != grace_ms.unwrap_or(0)).then_some(given_ms),
                heartbeat: rules.has_own_heartbeat.then_some(rules.heartbeat),
            })
        })
    }

    /// The user is away from `source`, or is back. Whose it is may say so.
    pub fn set_away(
        &self,
        channel: &Arc<Channel>,
        user: UserId,
        source: Source,
        away: bool,
        now: Now,
    ) {
        self.hub.apply_kept(channel, Command::SetAway { user, source, away }, now);
    }

    /// `source` keeps the user present no longer. Nobody is refused to leave.
    pub fn leave(
        &self,
        channel: &Arc<Channel>,
        user: UserId,
        source: Source,
        reason: LeaveReason,
        now: Now,
    ) {
        self.hub.apply_kept(channel, Command::Leave { user, source, reason }, now);
    }

    /// Writes the member's attributes. Whoever joined may write; no right is asked for.
    ///
    /// # Errors
    /// `invalid_field` (ttlMs), `not_joined`, `too_large`.
    pub fn set_attributes(&self, at: At<'_>, writing: Writing, now: Now) -> Result<(), Refusal> {
        let Writing { user, source, attributes, merge, ttl_ms } = writing;
        self.check_ttl(ttl_ms)?;
        let command = Command::SetAttributes { user, source, attributes, merge, ttl_ms };
        self.hub.enter(at, |door| door.apply(command, now))
    }

    /// Refuses attributes that are to live too long, or not at all.
    ///
    /// # Errors
    /// `invalid_field` (ttlMs).
    pub fn check_ttl(&self, ttl_ms: Option<u64>) -> Result<(), Refusal> {
        let Some(ttl_ms) = ttl_ms else { return Ok(()) };
        check_between("ttlMs", ttl_ms, 1, self.rules().max_ttl_ms)
    }
}
