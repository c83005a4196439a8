//! A user's status: whether it is online, and away, follows from its connections, memberships and
//! heartbeats; the rest it sets. Whoever watches is told through a channel of the broker's own, so
//! that order, bounds and catching up are those of any channel.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use herenow_protocol::{
    Attributes, ErrorCode, LeaveReason, Refusal, StatusPatch, UserId, UserStatus,
};

use super::door::Door;
use super::state::Hub;
use crate::auth::Access;
use crate::cluster::Act;
use crate::delivery::{Flow, Outlet, Wake};
use crate::limits::KICK_BATCH;
use crate::now::{NEVER, Now};
use crate::presence::{Command, Touch};
use crate::users::{Connected, View};

impl Hub {
    /// The status of the user, as the user sees it (`as_itself`) or as others do; `None`: the broker
    /// does not know the user.
    #[must_use]
    pub fn status(&self, user: &UserId, as_itself: bool, now: Now) -> Option<UserStatus> {
        let view = match as_itself {
            true => View::Itself,
            false if self.hears(user) => View::Others,
            false => View::Unheard,
        };
        self.users.status(user, view, now)
    }

    /// Changes what the user sets of its status. One who is not there takes the place of whoever
    /// has been gone longest, so there is always room.
    pub fn set_status(self: &Arc<Self>, user: &UserId, patch: StatusPatch, now: Now) {
        let hears = self.hears(user);
        let mut touch = Touch::default();
        self.users.record(user, now, |record, kept| match hears {
            true => touch.wrote = record.patch(user, patch, kept, now),
            false => {
                record.patch_blindly(user, patch, kept, now);
                touch.patched = true;
            }
        });
        self.tell_user(user, touch);
    }

    /// A heartbeat over HTTP: the user is online for the presence timeout, and `away` or not (`None`:
    /// as the last one said). `info` is what its token tells, if it came with one.
    ///
    /// # Errors
    /// `unavailable`: there is no room for one more user who is online.
    pub fn heartbeat_user(
        self: &Arc<Self>,
        user: &UserId,
        away: Option<bool>,
        info: Option<Attributes>,
        now: Now,
    ) -> Result<(), Refusal> {
        self.check_room_for(user, now)?;
        let lasts_ms = self.presence_timeout_ms;
        let mut touch = Touch::default();
        let turned = self.users.record(user, now, |record, _| {
            record.beat(lasts_ms, away, now);
            touch.informed = info.is_some_and(|info| record.inform(&info));
        });
        if let Some((before_ms, due_ms)) = self.users.arm(user) {
            self.timers.rearm_user(user, before_ms, due_ms);
        }
        if self.engine().is_none() || turned || touch.informed {
            self.tell_user(user, touch);
        }
        // Whoever is away is so by all heartbeats before, wherever they came.
        if turned && away == Some(true) {
            self.order(user, Act::StopBeating);
        }
        Ok(())
    }

    /// Heartbeats keep the user online no longer.
    pub fn stop_heartbeat(self: &Arc<Self>, user: &UserId) {
        self.stop_heartbeat_here(user);
        self.order(user, Act::StopBeating);
    }

    /// As [`Hub::stop_heartbeat`], those that came to this node.
    pub fn stop_heartbeat_here(self: &Arc<Self>, user: &UserId) {
        if self.users.stop_beating(user, self.clock.now()) {
            self.tell_status(user);
        }
    }

    /// Has all other nodes do something about the user. Nobody waits for them.
    fn order(&self, user: &UserId, act: Act) {
        if let Some(engine) = self.engine() {
            engine.order(user, act);
        }
    }

    /// The timer of a user's heartbeat fired.
    pub(super) fn expire_user(self: &Arc<Self>, user: &UserId, due_ms: u64, now: Now) {
        // It is the broker that goes, not its users.
        if self.is_draining() {
            return;
        }
        let (went, next_ms) = self.users.expire_beat(user, due_ms, now);
        if let Some(next_ms) = next_ms {
            self.timers.rearm_user(user, NEVER, next_ms);
        }
        if went {
            self.tell_status(user);
        }
    }

    /// Refuses one more user online than there is room for. Those who are gone make room by
    /// themselves; those who hold a connection have a bound of their own.
    fn check_room_for(&self, user: &UserId, now: Now) -> Result<(), Refusal> {
        if self.users.is_online(user, now) {
            return Ok(());
        }
        // Not one moment: somebody may go between the two.
        let online = self.users.known().saturating_sub(self.users.gone());
        if online < self.max_statuses + self.connection_count() {
            return Ok(());
        }
        Err(Refusal {
            retry_after_ms: Some(self.presence_timeout_ms),
            ..Refusal::new(
                ErrorCode::Unavailable,
                format!(
                    "the broker keeps the status of {} users, and that is the limit",
                    self.max_statuses
                ),
            )
        })
    }

    /// The user of `outlet` has one more connection, which kicks and letters reach from here on.
    /// `info` is what its token tells, if it came with one; that and coming online are one piece of
    /// news. The result: whether the user counts as away from it, until it says something.
    ///
    /// # Errors
    /// `unavailable`: the user has as many connections as it may have.
    pub fn user_connected(
        self: &Arc<Self>,
        outlet: &Outlet,
        info: Option<&Attributes>,
        now: Now,
    ) -> Result<bool, Refusal> {
        let user = outlet.user();
        let Connected { came, away, informed } =
            self.users.connected(user, outlet.id(), info, now)?;
        if came || informed {
            self.tell_user(user, Touch { informed, ..Touch::default() });
        }
        Ok(away)
    }

    /// The user of `outlet` is away from that connection, or is back.
    pub fn connection_turned(self: &Arc<Self>, outlet: &Outlet, away: bool, now: Now) {
        let user = outlet.user();
        if self.users.connection_turned(user, away, now) {
            self.tell_status(user);
        }
    }

    /// Refuses a user one more connection if it has too many. For a handshake: many of them at once
    /// may all pass, and are told by [`Hub::user_connected`].
    ///
    /// # Errors
    /// `unavailable`.
    pub fn check_connections(&self, user: &UserId) -> Result<(), Refusal> {
        self.users.check_connections(user)
    }

    /// The user of `outlet` has one connection less, from which it was `away` or not; it was last
    /// heard at `last_seen`, by the wall clock. It has given up its memberships by now.
    pub fn user_disconnected(
        self: &Arc<Self>,
        outlet: &Outlet,
        away: bool,
        last_seen: u64,
        now: Now,
    ) {
        let user = outlet.user();
        if self.users.disconnected(user, outlet.id(), away, last_seen, now) {
            self.tell_status(user);
        }
    }

    /// The user's token tells a name, which may be another one.
    pub fn inform_user(self: &Arc<Self>, user: &UserId, info: &Attributes, now: Now) {
        if self.users.inform(user, info, now) {
            self.tell_user(user, Touch { informed: true, ..Touch::default() });
        }
    }

    /// Ends the user's leases, in each channel that it is in now, a few at a time.
    pub async fn end_leases(self: &Arc<Self>, user: &UserId, now: Now) {
        self.in_channels_of(user, |door| {
            let leases: Vec<_> = door.presence().leases(user).collect();
            for source in leases {
                let (user, reason) = (user.clone(), LeaveReason::Kicked);
                // Never refused.
                let _ = door.apply(Command::Leave { user, source, reason }, now);
            }
        })
        .await;
    }

    /// Ends the user's connections, and its memberships that only grace keeps. The result: how many
    /// connections there were. A few at a time, and others get their turn between: each connection
    /// that ends has all its channels tell it.
    pub async fn kick(self: &Arc<Self>, user: &UserId, now: Now) -> usize {
        // One that is leaving has only its socket left, and does not count. It is told all the same:
        // its task may not have looked yet, and would leave a grace behind.
        let live = |outlet: &Outlet| {
            let live = outlet.lock().flow() != Flow::Closed;
            outlet.wake(Wake::Kick);
            live
        };
        // Whoever comes meanwhile comes after the kick, and would make it endless.
        let next = self.next_connection.load(Ordering::Relaxed);
        let (mut closed, mut after) = (0, None);
        loop {
            let some = self.outlets_of(user, after, KICK_BATCH);
            let before = some.iter().filter(|&&(number, _)| number < next);
            closed +=
                before.filter_map(|(_, outlet)| outlet.as_deref()).filter(|o| live(o)).count();
            let Some(&(last, _)) = some.last().filter(|&&(number, _)| number < next) else { break };
            after = Some(last);
            tokio::task::yield_now().await;
        }
        self.in_channels_of(user, |door| {
            let command = Command::EndGrace { user: user.clone(), reason: LeaveReason::Kicked };
            // Never refused.
            let _ = door.apply(command, now);
        })
        .await;
        closed
    }

    /// Ends those of the user's connections of whose tokens `covered` says so, a few at a time.
    pub async fn kick_those(&self, user: &UserId, covered: impl Fn(Option<&Access>) -> bool) {
        let mut after = None;
        loop {
            let some = self.outlets_of(user, after, KICK_BATCH);
            for outlet in some.iter().filter_map(|(_, outlet)| outlet.as_deref()) {
                let is_covered = covered(outlet.lock().access().map(|access| &**access));
                if is_covered {
                    outlet.wake(Wake::Kick);
                }
            }
            let Some(&(last, _)) = some.last() else { return };
            after = Some(last);
            tokio::task::yield_now().await;
        }
    }

    /// Enters each channel that the user is in, a few at a time. Those that it comes into meanwhile
    /// may be left out.
    async fn in_channels_of(
        self: &Arc<Self>,
        user: &UserId,
        mut act: impl FnMut(&mut Door<'_>) + Send,
    ) {
        let mut after = None;
        loop {
            let some = self.users.channels_after(user, after.as_ref(), KICK_BATCH);
            for name in &some {
                self.enter_existing(name, &mut act);
            }
            let Some(last) = some.last() else { return };
            after = Some(last.clone());
            tokio::task::yield_now().await;
        }
    }
}
