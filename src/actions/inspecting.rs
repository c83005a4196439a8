//! What only back ends ask, and whoever operates the broker by the page: channels by size, what keeps
//! members present, a user's connections one by one.

use herenow_protocol::{ChannelName, ErrorCode, Refusal, UserId};

use super::desk::Desk;
use super::known::Known;
use super::rules::check_limit;
use crate::auth::{Caller, Credential, KeyRight, Right};
use crate::hub::{Held, LiveConnection, Seen};
use crate::now::Now;
use crate::presence::Page;

impl Desk {
    /// One page of the channels by size, the largest first, each with its count: behind the one named
    /// `after`, which had `below` members then. The second result: how many there are in all. For back
    /// ends.
    ///
    /// # Errors
    /// `forbidden`, `invalid_field` (limit).
    pub async fn channels_by_size(
        &self,
        credential: &Credential,
        prefix: String,
        after: Option<(ChannelName, Option<u64>)>,
        limit: Option<u64>,
    ) -> Result<(Seen<(ChannelName, u64)>, u64), Refusal> {
        credential.caller().may_operate(KeyRight::Read)?;
        let limit = check_limit(limit)?;
        let failed = || Refusal::new(ErrorCode::Internal, "the channels can't be walked");
        self.hub.channels_by_size(credential, prefix, after, limit).await.ok_or_else(failed)
    }

    /// As [`Desk::list`], and what keeps each of the members present. For back ends: to others sources
    /// tell by how many windows a user is here.
    ///
    /// # Errors
    /// `forbidden`, `invalid_field` (limit).
    pub async fn list_with_sources(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        limit: Option<u64>,
        after: Option<u64>,
        now: Now,
    ) -> Result<(Known<(u64, Page)>, Vec<Vec<Held>>), Refusal> {
        caller.may_operate(KeyRight::Read)?;
        let known = self.list(caller, channel, limit, after).await?;
        let sources = self.hub.sources_of(channel, &known.is.1.members, now);
        Ok((known, sources))
    }

    /// One page of the user's connections to this node, behind the one called `after`. For back ends.
    ///
    /// # Errors
    /// `forbidden`, `invalid_field` (limit).
    pub async fn connections(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        limit: Option<u64>,
        after: Option<String>,
        now: Now,
    ) -> Result<Seen<LiveConnection>, Refusal> {
        caller.may_operate(KeyRight::Read)?;
        let limit = check_limit(limit)?;
        let after = after.map(|name| self.hub.connection_called(&name).unwrap_or_default());
        let may_list = |name: &ChannelName| self.may_look(caller, Right::List, name).is_ok();
        Ok(self.hub.connections_of(user, caller.viewer(), (after, limit), may_list, now).await)
    }

    /// Ends one of the user's connections to this node. Its tokens stay good: it is no
    /// [sign-out](Desk::kick). The result: whether there was one. For back ends.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn kick_one(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        connection: &str,
    ) -> Result<bool, Refusal> {
        caller.may_operate(KeyRight::Kick)?;
        let number = self.hub.connection_called(connection);
        Ok(number.is_some_and(|number| self.hub.kick_one(user, number)))
    }
}
