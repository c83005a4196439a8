//! Users apart from any channel: their status, their heartbeats, their connections.

use std::sync::Arc;

use herenow_protocol::reply::HeartbeatInfo;
use herenow_protocol::{
    ChannelName, ErrorCode, Heartbeat, Refusal, StatusPatch, UserId, UserStatus,
};

use super::desk::Desk;
use super::known::Known;
use crate::auth::{Access, Caller, KeyRight};
use crate::cluster::Act;
use crate::hub::Kicked;
use crate::now::Now;

impl Desk {
    /// A user's status, as the caller may see it.
    ///
    /// # Errors
    /// `forbidden`; `not_found`: the user was never there.
    pub async fn status(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        now: Now,
    ) -> Result<Known<UserStatus>, Refusal> {
        caller.may_watch(user, "user")?;
        let partial = self.hub.attend_users(std::slice::from_ref(user)).await;
        let status = self.shown_status(caller, user, now).ok_or_else(|| {
            Refusal::field(ErrorCode::NotFound, "user", "has no status: it was never there")
        });
        Ok(Known { is: status?, partial })
    }

    /// The status of several users, each once, in the order in which they are first named. Those of
    /// whom nothing is known are left out.
    ///
    /// # Errors
    /// `forbidden`: of any of them the caller may not watch.
    pub async fn statuses(
        &self,
        caller: Caller<'_>,
        mut users: Vec<UserId>,
        now: Now,
    ) -> Result<Known<Vec<UserStatus>>, Refusal> {
        users.iter().try_for_each(|user| caller.may_watch(user, "ids"))?;
        let mut seen = std::collections::HashSet::new();
        users.retain(|user| seen.insert(user.clone()));
        let partial = self.hub.attend_users(&users).await;
        let shown = users.iter().filter_map(|user| self.shown_status(caller, user, now));
        Ok(Known { is: shown.collect(), partial })
    }

    /// Users and back ends that act for them see all of a status.
    fn shown_status(&self, caller: Caller<'_>, user: &UserId, now: Now) -> Option<UserStatus> {
        self.hub.status(user, caller.sees_all_of(user), now)
    }

    /// Changes what the user sets of its status, and tells what the user sees of it then.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn change_status(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        patch: StatusPatch,
        now: Now,
    ) -> Result<Known<UserStatus>, Refusal> {
        caller.may_write(user)?;
        self.hub.attend_settings(user).await;
        self.set_status(caller, user, patch, now)?;
        for status in [ChannelName::of_shown_status(user), ChannelName::of_own_status(user)] {
            self.hub.until_told(&status, user).await;
        }
        self.own_status(caller, user, now).await
    }

    /// As [`Desk::change_status`], and tells nothing.
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
    pub async fn own_status(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        now: Now,
    ) -> Result<Known<UserStatus>, Refusal> {
        caller.may_write(user)?;
        let partial = self.hub.attend_users(std::slice::from_ref(user)).await;
        let status = self.hub.status(user, true, now);
        Ok(Known { is: status.unwrap_or_else(|| UserStatus::unknown(user.clone())), partial })
    }

    /// Whether the user appears offline to all others.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn is_invisible(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        now: Now,
    ) -> Result<bool, Refusal> {
        caller.may_write(user)?;
        self.hub.attend_settings(user).await;
        Ok(self.hub.status(user, true, now).is_some_and(|status| status.invisible))
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

    /// Signs the user out, on all nodes: ends its connections, its memberships that only grace keeps,
    /// and its leases, unless those are to stay; and from here on refuses its tokens from before. The
    /// result: how many connections there were; not all may be counted. For back ends. What was begun
    /// is done even if the caller does not wait for it.
    ///
    /// # Errors
    /// `forbidden`; `internal`: it failed.
    pub async fn kick(
        &self,
        caller: Caller<'_>,
        user: UserId,
        keeps_leases: bool,
        now: Now,
    ) -> Result<Known<u64>, Refusal> {
        caller.may_operate(KeyRight::Kick)?;
        let act = Act::Kick { at: now.unix_ms, keeps_leases };
        let here = self.begin_kicking(user.clone(), (now.unix_ms, keeps_leases), now);
        let hub = Arc::clone(&self.hub);
        let kick = tokio::spawn(async move {
            let elsewhere = async {
                let Some(engine) = hub.engine() else { return Kicked::default() };
                engine.kick(&user, act).await
            };
            let (here, elsewhere) = tokio::join!(here, elsewhere);
            Known { is: here + elsewhere.closed, partial: elsewhere.partial }
        });
        kick.await.map_err(|_| Refusal::new(ErrorCode::Internal, "the kick failed"))
    }

    /// Does on this node what another one ordered. The result: how many connections were closed by a
    /// kick.
    pub async fn obey(&self, user: UserId, act: Act, now: Now) -> u64 {
        match act {
            Act::Kick { at, keeps_leases } => {
                self.begin_kicking(user, (at, keeps_leases), now).await
            }
            Act::SignOut { at } => {
                self.catch_up_sign_outs(vec![(at, user)], now).await;
                0
            }
            Act::StopBeating => {
                self.hub.stop_heartbeat_here(&user);
                0
            }
        }
    }

    /// `at`: tokens from before that second are refused.
    fn begin_kicking(
        &self,
        user: UserId,
        (at, keeps_leases): (u64, bool),
        now: Now,
    ) -> impl Future<Output = u64> + Send + 'static {
        // First: whoever is let in by an earlier token at this moment looks again once it is in, and
        // so either finds this, or is among those who are ended below.
        self.auth().sign_out(&user, at, now);
        let hub = Arc::clone(&self.hub);
        async move {
            let closed = hub.kick(&user, now).await;
            if !keeps_leases {
                hub.end_leases(&user, now).await;
            }
            closed as u64
        }
    }

    /// Somebody else knows of these users that they were signed out, by when: whoever is connected
    /// here by a token from before is signed out, too.
    pub async fn catch_up_sign_outs(&self, signed_out: Vec<(u64, UserId)>, now: Now) {
        for (at, user) in signed_out {
            if self.auth().sign_out(&user, at, now) {
                let covered = |access: Option<&Access>| {
                    let caller = Caller::User { user: &user, access };
                    self.auth().check_signed_in(caller, now).is_err()
                };
                self.hub.kick_those(&user, covered).await;
            }
        }
    }
}
