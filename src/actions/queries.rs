//! What is answered from the live state, as the caller may see it.

use std::sync::Arc;

use herenow_protocol::{ChannelName, ErrorCode, Refusal, UserId};

use super::desk::Desk;
use super::rules::check_between;
use crate::auth::{Caller, Credential, KeyRight, Right};
use crate::limits::{LIST_DEFAULT, LIST_MAX};
use crate::now::Now;
use crate::presence::{Member, Page};

/// A channel in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    /// Members visible to all.
    pub count: usize,
    /// Subscribers, and followers of this channel alone.
    pub observers: usize,
    /// Live connections that keep those members present.
    pub connections: usize,
}

impl Desk {
    /// A channel in numbers. One that nobody is in has zeros: any name is a channel.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn numbers(&self, caller: Caller<'_>, channel: &ChannelName) -> Result<Numbers, Refusal> {
        caller.may_read(Right::Count, channel)?;
        let numbers = self.hub.look(channel, |guarded| Numbers {
            count: guarded.presence().count(),
            observers: guarded.observers(),
            connections: guarded.presence().connections(),
        });
        Ok(numbers.unwrap_or_default())
    }

    /// Number of members visible to all.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn count(&self, caller: Caller<'_>, channel: &ChannelName) -> Result<u64, Refusal> {
        caller.may_read(Right::Count, channel)?;
        Ok(self.hub.count(channel) as u64)
    }

    /// Number of members visible to all, and one page of those that the caller may see, newest
    /// first, from the one numbered `after` on.
    ///
    /// # Errors
    /// `forbidden`, `invalid_field` (limit).
    pub fn list(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        limit: Option<u64>,
        after: Option<u64>,
    ) -> Result<(u64, Page), Refusal> {
        caller.may_read(Right::List, channel)?;
        let limit = check_limit(limit)?;
        let (count, page) = self.hub.members(channel, limit, after, caller.viewer());
        Ok((count as u64, page))
    }

    /// One member. Who is not there and whom the caller may not see are answered alike.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub fn member(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        user: &UserId,
    ) -> Result<Arc<Member>, Refusal> {
        check_member(caller, channel, user)?;
        self.hub.member(channel, user, caller.viewer()).ok_or_else(no_member)
    }

    /// One member, as with [`Desk::member`], and when the user was last heard there, by the wall
    /// clock.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub fn member_seen(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        user: &UserId,
        now: Now,
    ) -> Result<(Arc<Member>, u64), Refusal> {
        check_member(caller, channel, user)?;
        self.hub.member_seen(channel, user, caller.viewer(), now).ok_or_else(no_member)
    }

    /// One page of the channels in which the caller may see the user, by name, and the name behind
    /// which the next page begins. Those that the caller may not list are left out: that a user is
    /// there is no less a secret than who is.
    ///
    /// # Errors
    /// `forbidden`: a key without the right to read; `invalid_field` (limit).
    pub fn channels_of(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        limit: Option<u64>,
        after: Option<&ChannelName>,
    ) -> Result<(Vec<ChannelName>, Option<ChannelName>), Refusal> {
        let limit = check_limit(limit)?;
        if let Caller::Key(key) = caller {
            key.check(KeyRight::Read)?;
        }
        let own = caller.is(user);
        let may_list = |name: &ChannelName| own || caller.may_read(Right::List, name).is_ok();
        let (names, more) = self.hub.channels_seen(user, caller.viewer(), after, limit, may_list);
        let next = names.last().filter(|_| more).cloned();
        Ok((names, next))
    }

    /// Channels in which `credential` may see somebody, by name, each with its count, and whether
    /// there are more. For back ends.
    ///
    /// # Errors
    /// `forbidden`, `invalid_field` (limit).
    pub async fn channels(
        &self,
        credential: &Credential,
        prefix: String,
        after: Option<ChannelName>,
        limit: Option<u64>,
    ) -> Result<(Vec<(ChannelName, u64)>, bool), Refusal> {
        credential.caller().may_operate(KeyRight::Read)?;
        let limit = check_limit(limit)?;
        let credential = credential.clone();
        let walk = self.hub.aside(move |hub| {
            let viewer = credential.caller().viewer();
            hub.occupied(&prefix, after.as_ref(), limit, viewer)
        });
        let failed = || Refusal::new(ErrorCode::Internal, "the channels can't be walked");
        let (names, more) = walk.await.ok_or_else(failed)?;
        let counted = names.into_iter().map(|name| {
            let count = self.hub.count(&name) as u64;
            (name, count)
        });
        Ok((counted.collect(), more))
    }
}

/// How many of a list to answer with.
fn check_limit(limit: Option<u64>) -> Result<usize, Refusal> {
    let limit = limit.unwrap_or(LIST_DEFAULT as u64);
    check_between("limit", limit, 1, LIST_MAX as u64)?;
    Ok(limit as usize)
}

/// Everybody may read its own membership.
fn check_member(caller: Caller<'_>, channel: &ChannelName, user: &UserId) -> Result<(), Refusal> {
    if caller.is(user) { Ok(()) } else { caller.may_read(Right::List, channel) }
}

fn no_member() -> Refusal {
    Refusal::field(ErrorCode::NotFound, "user", "is not a member of the channel")
}
