//! What a caller may do in a channel: its rights, and what the channel lets guests do. A guest is
//! whoever has neither token nor API key, so that nobody vouches for its name.

use herenow_protocol::{ChannelName, ErrorCode, Refusal, UserId};

use super::desk::Desk;
use crate::auth::{Caller, Right};
use crate::hub::ChannelRules;

impl Desk {
    /// Refuses to read what the caller may not look at.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_look(
        &self,
        caller: Caller<'_>,
        right: Right,
        channel: &ChannelName,
    ) -> Result<(), Refusal> {
        caller.may_read(right, channel)?;
        self.check_guest(caller, channel, "look", |rules| rules.guests_look)
    }

    /// Refuses to make `user` present in the channel.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_join(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        user: &UserId,
    ) -> Result<(), Refusal> {
        caller.may_join(channel, user)?;
        self.check_joins(caller, channel)
    }

    /// Refuses guests where they may not join.
    ///
    /// # Errors
    /// `forbidden`.
    pub(super) fn check_joins(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
    ) -> Result<(), Refusal> {
        self.check_guest(caller, channel, "join", |rules| rules.guests_join)
    }

    fn check_guest(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        what: &str,
        may: impl FnOnce(&ChannelRules) -> bool,
    ) -> Result<(), Refusal> {
        if !caller.is_guest() || self.hub.trusts_guests() || may(self.hub.rules_of(channel)) {
            return Ok(());
        }
        let rule =
            format_args!("is one that guests may not {what}: that needs a token or an API key");
        Err(Refusal::field(ErrorCode::Forbidden, "channel", rule))
    }
}
