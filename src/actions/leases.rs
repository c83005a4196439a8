//! Being in a channel for a while, without a socket.

use std::sync::Arc;

use herenow_protocol::reply::HeartbeatInfo;
use herenow_protocol::{Audience, ChannelName, ErrorCode, Lease, LeaveReason, Refusal, UserId};

use super::desk::Desk;
use super::rules::{check_between, check_joinable};
use crate::auth::Caller;
use crate::cluster::Told;
use crate::hub::{At, Door, Guarded};
use crate::now::Now;
use crate::presence::{Command, Keeper, Lasts, Member, Source, Viewer};

/// A member that a lease keeps present.
#[derive(Clone, Debug)]
pub struct Leased {
    /// The member as it is now.
    pub member: Arc<Member>,
    /// Whether it was no member before.
    pub is_new: bool,
    /// How often to ask for the lease anew, and how long it lasts without.
    pub heartbeat: HeartbeatInfo,
}

impl Leased {
    /// Who may see the member.
    #[must_use]
    pub fn visible_to(&self) -> Audience {
        let profile = self.member.profile.as_ref();
        profile.map_or(Audience::EVERYONE, |profile| profile.visible_to.clone())
    }
}

impl Desk {
    /// Makes the user present for a while, or for a while longer. `keeper` renews and ends the
    /// lease; each has at most one for a member. What a token tells of the user shows in its status,
    /// too, as where it connects.
    ///
    /// # Errors
    /// `forbidden`, `invalid_field` (ttlMs), `too_many_channels`, `channel_full`, `too_large`;
    /// `unauthenticated`: the user was signed out meanwhile.
    pub async fn lease(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        user: &UserId,
        lease: Lease,
        keeper: Keeper,
        now: Now,
    ) -> Result<Leased, Refusal> {
        self.keep(caller, channel, user, |_| lease, keeper, now).await
    }

    /// As [`Desk::lease`], where what is asked for depends on whether the user is no member yet:
    /// `lease_if` is told so, with the channel's lock held.
    ///
    /// # Errors
    /// As [`Desk::lease`].
    pub async fn keep(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        user: &UserId,
        lease_if: impl FnOnce(bool) -> Lease,
        keeper: Keeper,
        now: Now,
    ) -> Result<Leased, Refusal> {
        check_joinable(channel)?;
        self.may_join(caller, channel, user)?;
        let most_ms = self.rules().max_lease_ms;
        let source = Source::Lease(keeper);
        // What another node has of the user: it is no new member then, and what it is stays.
        let elsewhere = self.hub.look_up(channel, user).await;
        let is_there = elsewhere.as_ref().is_some_and(Told::has_members);
        let (is_new, ttl_ms, member) = self.hub.enter(At::Named(channel), |door| {
            let is_new = !is_there && door.presence().member(user, Viewer::All).is_none();
            let lease = lease_if(is_new);
            let usual_ms = door.rules().heartbeat.timeout_ms.min(most_ms);
            let ttl_ms = lease.ttl_ms.unwrap_or(usual_ms);
            check_between("ttlMs", ttl_ms, 1, most_ms)?;
            door.check_lease(user, source)?;
            let command = Command::Join {
                user: user.clone(),
                source,
                attributes: lease.attributes,
                merge: lease.merge,
                info: caller.info().cloned(),
                visible_to: lease.visible_to,
                away: lease.away,
                lasts: Lasts::Lease { ttl_ms },
            };
            door.apply(command, now)?;
            // Behind the change: a kick that came before it refuses here, one that comes later finds
            // the lease.
            if let Err(refusal) = self.auth().check_signed_in(caller, now) {
                let (user, reason) = (user.clone(), LeaveReason::Kicked);
                door.apply(Command::Leave { user, source, reason }, now)?;
                return Err(refusal);
            }
            elsewhere.iter().for_each(|told| door.learn(told));
            let member = door.presence().member(user, Viewer::All).cloned();
            Ok::<_, Refusal>((is_new, ttl_ms, member))
        })?;
        let member =
            member.ok_or_else(|| Refusal::new(ErrorCode::Internal, "the lease is lost"))?;
        if let Some(info) = caller.info() {
            self.hub.inform_user(user, info, now);
        }
        self.hub.until_told(channel, user).await;
        let heartbeat = HeartbeatInfo { interval_ms: (ttl_ms / 2).max(1), timeout_ms: ttl_ms };
        Ok(Leased { member, is_new, heartbeat })
    }

    /// Whether the keeper's lease keeps the user present, whichever node it was taken at.
    pub async fn holds(&self, channel: &ChannelName, user: &UserId, keeper: Keeper) -> bool {
        self.hub.attend(channel).await;
        let source = Source::Lease(keeper);
        let held = |guarded: &Guarded| guarded.presence().leases(user).any(|one| one == source);
        self.hub.look(channel, held).unwrap_or(false)
    }

    /// Ends the keeper's lease, if there is one. Connections that joined, and other keepers, keep
    /// the user present.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn end_lease(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        user: UserId,
        keeper: Keeper,
        now: Now,
    ) -> Result<(), Refusal> {
        caller.may_write(&user)?;
        self.check_joins(caller, channel)?;
        let ended = user.clone();
        let end = |door: &mut Door<'_>| door.end_lease(ended, keeper, LeaveReason::Left, now);
        if self.hub.engine().is_some() {
            // Other nodes may have the channel, and this one not.
            self.hub.enter(At::Named(channel), end);
        } else {
            self.hub.enter_existing(channel, end);
        }
        self.hub.until_told(channel, &user).await;
        Ok(())
    }
}
