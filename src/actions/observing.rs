//! Being told of channels and users: subscribe, follow, watch.

use herenow_protocol::{ChannelName, Level, Refusal, UserId};

use super::desk::Desk;
use crate::auth::{Caller, Credential, KeyRight, Patterns, Right};
use crate::hub::{At, Door, Follower};
use crate::presence::Asked;
use crate::presence::follow::Mark;

/// The right that it needs to be told what was `asked` for.
#[must_use]
pub fn right_of(asked: Asked) -> Right {
    match asked.level {
        Level::Auto | Level::Events => Right::Subscribe,
        Level::Count if asked.recent.limit > 0 => Right::List,
        Level::Count => Right::Count,
    }
}

impl Desk {
    /// Has `attach` add a subscriber of level `asked` to the channel.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn subscribe<T>(
        &self,
        caller: Caller<'_>,
        at: At<'_>,
        asked: Asked,
        attach: impl FnOnce(&mut Door<'_>) -> T,
    ) -> Result<T, Refusal> {
        self.may_look(caller, right_of(asked), at.name())?;
        Ok(self.hub.enter(at, attach))
    }

    /// Follows the channel without a socket. See [`Hub::follow`](crate::hub::Hub::follow).
    ///
    /// # Errors
    /// `forbidden`.
    pub fn follow(
        &self,
        credential: Credential,
        channel: &ChannelName,
        asked: Level,
        since: Option<Mark>,
    ) -> Result<Follower, Refusal> {
        self.may_look(credential.caller(), right_of(asked.into()), channel)?;
        Ok(self.hub.follow(At::Named(channel), credential, asked, since))
    }

    /// Follows a user's status without a socket, as the caller may see it.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn follow_user(&self, credential: Credential, user: &UserId) -> Result<Follower, Refusal> {
        let caller = credential.caller();
        caller.may_watch(user, "user")?;
        let name = match caller.sees_all_of(user) {
            true => ChannelName::of_own_status(user),
            false => ChannelName::of_shown_status(user),
        };
        Ok(self.hub.follow(At::Named(&name), credential, Level::Events, None))
    }

    /// Refuses to be told of the channel what a follower is told: for whoever is told of it by a
    /// follower that many share.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn check_follow(&self, caller: Caller<'_>, channel: &ChannelName) -> Result<(), Refusal> {
        self.may_look(caller, right_of(Level::Auto.into()), channel)
    }

    /// Follows the channel of records from here on, for many clients: whoever does so shows each what
    /// it may see, and asks for its rights.
    #[must_use]
    pub fn follow_records(&self) -> Follower {
        self.hub.follow_on(At::Named(&ChannelName::of_records()), Credential::Broker)
    }

    /// Follows all channels that match. For back ends. See
    /// [`Hub::follow_all`](crate::hub::Hub::follow_all).
    ///
    /// # Errors
    /// `forbidden`, `unavailable`.
    pub fn follow_all(
        &self,
        credential: Credential,
        patterns: Patterns,
        asked: Level,
    ) -> Result<Follower, Refusal> {
        credential.caller().may_operate(KeyRight::Read)?;
        self.hub.follow_all(patterns, credential, asked)
    }

    /// Refuses to watch any of `users`, all of whom the field `users` names.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn check_watch(&self, caller: Caller<'_>, users: &[UserId]) -> Result<(), Refusal> {
        users.iter().try_for_each(|user| caller.may_watch(user, "users"))
    }

    /// Has `attach` add a subscriber to the channel `name`, where a user's status is told. Rights
    /// were checked for all users together.
    pub fn watch<T>(&self, name: &ChannelName, attach: impl FnOnce(&mut Door<'_>) -> T) -> T {
        self.hub.enter(At::Named(name), |door| {
            door.tell_status();
            attach(door)
        })
    }
}
