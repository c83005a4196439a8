//! Requests that ask: what is answered from the live state, as this connection's user may see it.

use std::sync::Arc;

use herenow_protocol::reply::Answer;
use herenow_protocol::{ChannelName, ErrorCode, Refusal, UserId};

use super::command::{Client, Done, check_between};
use crate::auth::{self, Access, Right};
use crate::delivery::Sending;
use crate::limits::{LIST_DEFAULT, LIST_MAX};
use crate::presence::Viewer;

impl Client {
    /// This connection's user, looking.
    fn viewer<'a>(&'a self, sending: &'a Sending<'_>) -> Viewer<'a> {
        auth::viewer(self.outlet.user(), sending.access().map(Arc::as_ref))
    }

    pub(super) fn get_count(
        &self,
        sending: &Sending<'_>,
        channel: ChannelName,
    ) -> Result<Done, Refusal> {
        check_right(sending, Right::Count, &channel)?;
        let count = self.hub.count(&channel) as u64;
        Ok(Done::Answer(Answer::Count { channel, count }))
    }

    pub(super) fn get_members(
        &self,
        sending: &Sending<'_>,
        channel: ChannelName,
        limit: Option<u64>,
        after: Option<u64>,
    ) -> Result<Done, Refusal> {
        check_right(sending, Right::List, &channel)?;
        let limit = limit.unwrap_or(LIST_DEFAULT as u64);
        check_between("limit", limit, 1, LIST_MAX as u64)?;
        let viewer = self.viewer(sending);
        let (count, page) = self.hub.members(&channel, limit as usize, after, viewer);
        let members = page.members.iter().map(|member| member.view()).collect();
        Ok(Done::Answer(Answer::Members { channel, count: count as u64, members, next: page.next }))
    }

    pub(super) fn get_attributes(
        &self,
        sending: &Sending<'_>,
        channel: ChannelName,
        user: Option<UserId>,
    ) -> Result<Done, Refusal> {
        let own = self.outlet.user();
        let user = user.unwrap_or_else(|| own.clone());
        if user != *own {
            check_right(sending, Right::List, &channel)?;
        }
        let Some(member) = self.hub.member(&channel, &user, self.viewer(sending)) else {
            let rule = "is not a member of the channel";
            return Err(Refusal::field(ErrorCode::NotFound, "user", rule));
        };
        let attributes = member.attributes.clone();
        Ok(Done::Answer(Answer::Attributes { channel, user, attributes }))
    }

    pub(super) fn get_channels(&self, sending: &Sending<'_>, user: Option<UserId>) -> Done {
        let own = self.outlet.user();
        let user = user.unwrap_or_else(|| own.clone());
        let access = sending.access();
        let may_list = |channel: &ChannelName| {
            user == *own || access.is_none_or(|access| access.check(Right::List, channel).is_ok())
        };
        let channels = self.hub.channels_seen(&user, self.viewer(sending), may_list);
        Done::Answer(Answer::Channels { user, channels })
    }
}

/// Refuses what the connection's token does not grant.
pub(super) fn check_right(
    sending: &Sending<'_>,
    right: Right,
    channel: &ChannelName,
) -> Result<(), Refusal> {
    sending.access().map_or(Ok(()), |access| Access::check(access, right, channel))
}
