//! Users apart from any channel: their status, their heartbeats, their connections.

use std::sync::Arc;

use herenow_protocol::reply::HeartbeatInfo;
use herenow_protocol::{ErrorCode, Heartbeat, Refusal, StatusPatch, UserId, UserStatus};

use super::desk::Desk;
use crate::auth::{Caller, KeyRight};
use crate::now::Now;

impl Desk {
    /// A user's status, as the caller may see it.
    ///
    /// # Errors
    /// `forbidden`; `not_found`: the user was never there.
    pub fn status(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        now: Now,
    ) -> Result<UserStatus, Refusal> {
        caller.may_watch(user, "user")?;
        self.shown_status(caller, user, now).ok_or_else(|| {
            Refusal::field(ErrorCode::NotFound, "user", "has no status: it was never there")
        })
    }

    /// The status of several users, each once, in the order in which they are first named. Those of
    /// whom nothing is known are left out.
    ///
    /// # Errors
    /// `forbidden`: of any of them the caller may not watch.
    pub fn statuses(
        &self,
        caller: Caller<'_>,
        mut users: Vec<UserId>,
        now: Now,
    ) -> Result<Vec<UserStatus>, Refusal> {
        users.iter().try_for_each(|user| caller.may_watch(user, "ids"))?;
        let mut seen = std::collections::HashSet::new();
        users.retain(|user| seen.insert(user.clone()));
        Ok(users.iter().filter_map(|user| self.shown_status(caller, user, now)).collect())
    }

    /// Users and back ends that act for them see all of a status.
    fn shown_status(&self, caller: Caller<'_>, user: &UserId, now: Now) -> Option<UserStatus> {
        self.hub.status(user, caller.sees_all_of(user), now)
    }

    /// Changes what the user sets of its status.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn set_status(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        patch: StatusPatch,
        now: Now,
    ) -> Result<(), Refusal> {
        caller.may_write(user)?;
        self.hub.set_status(user, patch, now);
        Ok(())
    }

    /// A user's status as the user sees it.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn own_status(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        now: Now,
    ) -> Result<UserStatus, Refusal> {
        caller.may_write(user)?;
        let status = self.hub.status(user, true, now);
        Ok(status.unwrap_or_else(|| UserStatus::unknown(user.clone())))
    }

    /// A heartbeat without a socket: the user is online for the presence timeout. The result: how
    /// often to send one.
    ///
    /// # Errors
    /// `forbidden`, `unavailable`.
    pub fn heartbeat(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        heartbeat: Heartbeat,
        now: Now,
    ) -> Result<HeartbeatInfo, Refusal> {
        caller.may_write(user)?;
        self.hub.heartbeat_user(user, heartbeat.away, caller.info().cloned(), now)?;
        Ok(self.rules().heartbeat)
    }

    /// Heartbeats keep the user online no longer.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn stop_heartbeat(&self, caller: Caller<'_>, user: &UserId) -> Result<(), Refusal> {
        caller.may_write(user)?;
        self.hub.stop_heartbeat(user);
        Ok(())
    }

    /// Signs the user out: ends its connections, its memberships that only grace keeps, and its
    /// leases, unless those are to stay; and from here on refuses its tokens from before. The
    /// result: how many connections there were. For back ends. What was begun is done even if the
    /// caller does not wait for it.
    ///
    /// # Errors
    /// `forbidden`; `internal`: it failed.
    pub async fn kick(
        &self,
        caller: Caller<'_>,
        user: UserId,
        keeps_leases: bool,
        now: Now,
    ) -> Result<usize, Refusal> {
        caller.may_operate(KeyRight::Kick)?;
        // First: whoever is let in by an earlier token at this moment looks again once it is in, and
        // so either finds this, or is among those who are ended below.
        self.auth().sign_out(&user, now.unix_ms, now);
        let hub = Arc::clone(&self.hub);
        let kick = tokio::spawn(async move {
            let closed = hub.kick(&user, now).await;
            if !keeps_leases {
                hub.end_leases(&user, now).await;
            }
            closed
        });
        kick.await.map_err(|_| Refusal::new(ErrorCode::Internal, "the kick failed"))
    }
}
