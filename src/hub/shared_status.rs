//! A user's status in a cluster: what this node says of the user where that is told, and what it
//! hears there of other nodes.
//!
//! All of it goes by the channel where others see the status, as what becomes of members does. Who is
//! online here is there by a mark, as if it were a member; what it set are the attributes. The channel
//! where the user sees its own status is told from the same, and has the other one followed.

use std::sync::Arc;

use herenow_protocol::{ChannelName, LossReason, UserId};

use super::channel::Guarded;
use super::clustered::Wanted;
use super::door::{At, Door};
use super::state::Hub;
use crate::cluster::{Peers, Replica};
use crate::now::Now;
use crate::presence::pending::Cause;
use crate::presence::{
    ChannelState, Command, Elsewhere, HeldElsewhere, Member, Own, OwnMark, Profile, Touch,
};
use crate::users;

impl Hub {
    /// Tells those who watch the user, and other nodes. `touch`: what was done here to what all nodes
    /// share. No lock may be held.
    pub(super) fn tell_user(self: &Arc<Self>, user: &UserId, touch: Touch) {
        let (shown, own) = (ChannelName::of_shown_status(user), ChannelName::of_own_status(user));
        match self.engine() {
            None => drop(self.enter_existing(&shown, |door| door.tell_status())),
            Some(_) => self.enter(At::Named(&shown), |door| {
                door.say_own(user, touch);
                door.tell_status();
            }),
        }
        self.enter_existing(&own, |door| door.tell_status());
    }

    /// Whether it is known what the user set on other nodes: it is online here, or somebody looks.
    pub(super) fn hears(&self, user: &UserId) -> bool {
        let hears = |guarded: &Guarded| guarded.hears(user);
        self.engine().is_none()
            || self.look(&ChannelName::of_shown_status(user), hears).unwrap_or(false)
    }

    /// Has the status of each user followed for a while, and waits until it is known, a second at
    /// most. Whether it may not be.
    pub async fn attend_users(self: &Arc<Self>, users: &[UserId]) -> bool {
        if self.engine().is_none() {
            return false;
        }
        let names: Vec<_> = users.iter().map(ChannelName::of_shown_status).collect();
        self.attend_all(&names, Wanted::Members).await
    }

    /// As [`Hub::attend_users`], but only if it is not known yet what the user set.
    pub async fn attend_settings(self: &Arc<Self>, user: &UserId) -> bool {
        !self.hears(user) && self.attend_users(std::slice::from_ref(user)).await
    }

    /// The user looks at its own status here, or no longer.
    pub(super) fn lend(self: &Arc<Self>, own: &ChannelName, lent: bool) {
        let Some(user) = own.status_of() else { return };
        self.enter(At::Named(&ChannelName::of_shown_status(&user)), |door| {
            door.guarded().lend(lent);
        });
    }
}

impl Door<'_> {
    /// Where a user's status is told: what this node has of the user is to be said to others, who are
    /// told if that changed, or if `touch` says that something did.
    pub(super) fn say_own(&mut self, user: &UserId, mut touch: Touch) {
        let now = self.hub.clock().now();
        let Some(own) = self.hub.users.own(user, now) else { return };
        if own.online.is_none() && own.seen > 0 {
            touch.why = Some(Cause::Lost(LossReason::Connection, own.seen));
        }
        let said = self.apply(Command::KeepOwn(Box::new(as_member(user, own)), touch), now);
        debug_assert!(said.is_ok());
    }

    /// As [`Door::hear`], where a user's status is told.
    pub(super) fn hear_status<T>(
        &mut self,
        user: &UserId,
        act: impl FnOnce(&mut Replica, &ChannelState, &Peers, Now) -> (Vec<Command>, T),
    ) -> Option<T> {
        let now = self.hub.clock().now();
        let peers = self.hub.engine()?.peers(self.channel().name());
        let (commands, result) =
            self.guarded().consult(|replica, presence| act(replica, presence, &peers, now))?;
        let (seen, settled) = (self.guarded().seen(user), self.guarded().has_said_all());
        for command in commands {
            let Command::Elsewhere(elsewhere) = command else { continue };
            let again = self.hub.users.hear(user, heard_of(*elsewhere, seen), now);
            self.say_own(user, Touch { wrote: again, ..Touch::default() });
        }
        if settled && self.guarded().hears(user) {
            // What was set without knowing what others had is said, and holds.
            self.hub.users.settle(user);
        }
        self.tell_status();
        self.guarded().stirred.push(user.clone());
        Some(result)
    }
}

/// What this node has of a user, as of a member of a channel.
fn as_member(user: &UserId, own: users::Own) -> Own {
    let profile = Profile { info: own.info, ..Profile::default() };
    let member = Member {
        user: user.clone(),
        attributes: own.set,
        away: own.online.unwrap_or_default(),
        joined_at: own.created_at,
        number: 0,
        profile: (profile != Profile::default()).then(|| Arc::new(profile)),
    };
    // One for all: how many there are is no news.
    let mark = own.online.map(|away| OwnMark::Live { connections: 1, away });
    Own { member: Arc::new(member), mark, leases: Vec::new(), ends: Vec::new() }
}

/// What is heard of a member, as of a user. `seen`: when that was last seen, as the store knows.
fn heard_of(elsewhere: Elsewhere, seen: u64) -> users::Heard {
    let mut live = elsewhere.held.iter().filter(|held| held.ends.is_none()).peekable();
    let online = live.peek().is_some().then(|| live.all(|&HeldElsewhere { away, .. }| away));
    let value = elsewhere.value;
    users::Heard {
        online,
        set: value.attributes.map(|(attributes, _)| attributes),
        info: value.info,
        created_at: value.joined_at,
        seen,
    }
}
