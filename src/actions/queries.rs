//! What is answered from the live state, as the caller may see it. In a cluster the channel is
//! followed for that, so that any node answers the same.

use std::sync::Arc;

use herenow_protocol::{ChannelName, ErrorCode, Refusal, UserId};

use super::desk::Desk;
use super::known::Known;
use super::rules::check_limit;
use crate::auth::{Caller, Credential, KeyRight, Right};
use crate::hub::Seen;
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
    pub async fn numbers(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
    ) -> Result<Known<Numbers>, Refusal> {
        self.may_look(caller, Right::Count, channel)?;
        let partial = self.hub.attend_count(channel).await;
        let numbers = self.hub.look(channel, |guarded| Numbers {
            count: guarded.presence().count(),
            observers: guarded.observers(),
            connections: guarded.presence().connections(),
        });
        Ok(Known { is: numbers.unwrap_or_default(), partial })
    }

    /// Number of members visible to all.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn count(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
    ) -> Result<Known<u64>, Refusal> {
        self.may_look(caller, Right::Count, channel)?;
        let partial = self.hub.attend_count(channel).await;
        Ok(Known { is: self.hub.count(channel) as u64, partial })
    }

    /// The same of several channels, in their order.
    ///
    /// # Errors
    /// `forbidden`: one of them is not for the caller.
    pub async fn counts(
        &self,
        caller: Caller<'_>,
        channels: &[ChannelName],
    ) -> Result<Known<Vec<u64>>, Refusal> {
        for channel in channels {
            self.may_look(caller, Right::Count, channel)?;
        }
        let partial = self.hub.attend_counts(channels).await;
        let counts = channels.iter().map(|channel| self.hub.count(channel) as u64).collect();
        Ok(Known { is: counts, partial })
    }

    /// Number of members visible to all, and one page of those that the caller may see, newest
    /// first, from the one numbered `after` on.
    ///
    /// # Errors
    /// `forbidden`, `invalid_field` (limit).
    pub async fn list(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        limit: Option<u64>,
        after: Option<u64>,
    ) -> Result<Known<(u64, Page)>, Refusal> {
        self.may_look(caller, Right::List, channel)?;
        let limit = check_limit(limit)?;
        let partial = self.hub.attend(channel).await;
        let (count, page) = self.hub.members(channel, limit, after, caller.viewer());
        Ok(Known { is: (count as u64, page), partial })
    }

    /// One member. Who is not there and whom the caller may not see are answered alike.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn member(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        user: &UserId,
    ) -> Result<Known<Arc<Member>>, Refusal> {
        self.check_member(caller, channel, user)?;
        let (is, partial) = self.hub.attend_member(channel, user, caller.viewer()).await;
        Ok(Known { is: is.ok_or_else(no_member)?, partial })
    }

    /// One member, as with [`Desk::member`], and when the user was last heard there, by the wall
    /// clock.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn member_seen(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        user: &UserId,
        now: Now,
    ) -> Result<Known<(Arc<Member>, u64)>, Refusal> {
        self.check_member(caller, channel, user)?;
        let (is, partial) = self.hub.attend_member(channel, user, caller.viewer()).await;
        let seen = self.hub.member_seen(channel, user, caller.viewer(), now);
        // Of one whom only others know it is not known when it was heard.
        let seen = seen.or_else(|| is.map(|member| (Arc::clone(&member), member.joined_at)));
        Ok(Known { is: seen.ok_or_else(no_member)?, partial })
    }

    /// One page of the channels in which the caller may see the user, by name, and the name behind
    /// which the next page begins. Those that the caller may not list are left out: that a user is
    /// there is no less a secret than who is.
    ///
    /// # Errors
    /// `forbidden`: a key without the right to read; `invalid_field` (limit).
    pub async fn channels_of(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        limit: Option<u64>,
        after: Option<&ChannelName>,
    ) -> Result<Known<(Vec<ChannelName>, Option<ChannelName>)>, Refusal> {
        let limit = check_limit(limit)?;
        if let Caller::Key(key) = caller {
            key.check(KeyRight::Read)?;
        }
        let own = caller.is(user);
        let may_list = |name: &ChannelName| own || self.may_look(caller, Right::List, name).is_ok();
        let seen = self.hub.channels_seen(user, caller.viewer(), after, limit, may_list).await;
        let next = seen.found.last().filter(|_| seen.more).cloned();
        Ok(Known { is: (seen.found, next), partial: seen.partial })
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
    ) -> Result<Seen<(ChannelName, u64)>, Refusal> {
        credential.caller().may_operate(KeyRight::Read)?;
        let limit = check_limit(limit)?;
        let failed = || Refusal::new(ErrorCode::Internal, "the channels can't be walked");
        let may_look =
            |name: &ChannelName| self.may_look(credential.caller(), Right::List, name).is_ok();
        let shown = self.hub.channels_shown(credential, &prefix, after, limit, may_look).await;
        shown.ok_or_else(failed)
    }

    /// Everybody may read its own membership.
    fn check_member(
        &self,
        caller: Caller<'_>,
        channel: &ChannelName,
        user: &UserId,
    ) -> Result<(), Refusal> {
        if caller.is(user) { Ok(()) } else { self.may_look(caller, Right::List, channel) }
    }
}

fn no_member() -> Refusal {
    Refusal::field(ErrorCode::NotFound, "user", "is not a member of the channel")
}
