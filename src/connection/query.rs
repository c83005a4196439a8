//! Requests that ask, and one's own status.

use herenow_protocol::reply::Answer;
use herenow_protocol::{ChannelName, Refusal, StatusPatch, UserId};

use super::client::{Client, Done};
use crate::delivery::Sending;
use crate::now::Now;

impl Client {
    pub(super) fn get_count(
        &self,
        sending: &Sending<'_>,
        channel: ChannelName,
    ) -> Result<Done, Refusal> {
        let count = self.desk.count(Self::caller(&self.outlet, sending), &channel)?;
        Ok(Done::Answer(Answer::Count { channel, count }))
    }

    pub(super) fn get_members(
        &self,
        sending: &Sending<'_>,
        channel: ChannelName,
        limit: Option<u64>,
        after: Option<u64>,
    ) -> Result<Done, Refusal> {
        let caller = Self::caller(&self.outlet, sending);
        let (count, page) = self.desk.list(caller, &channel, limit, after)?;
        let members = page.members.iter().map(|member| member.view()).collect();
        Ok(Done::Answer(Answer::Members { channel, count, members, next: page.next }))
    }

    pub(super) fn get_attributes(
        &self,
        sending: &Sending<'_>,
        channel: ChannelName,
        user: Option<UserId>,
    ) -> Result<Done, Refusal> {
        let user = user.unwrap_or_else(|| self.outlet.user().clone());
        let caller = Self::caller(&self.outlet, sending);
        let attributes = self.desk.member(caller, &channel, &user)?.attributes.clone();
        Ok(Done::Answer(Answer::Attributes { channel, user, attributes }))
    }

    pub(super) fn get_channels(
        &self,
        sending: &Sending<'_>,
        user: Option<UserId>,
        limit: Option<u64>,
        after: Option<&ChannelName>,
    ) -> Result<Done, Refusal> {
        let user = user.unwrap_or_else(|| self.outlet.user().clone());
        let caller = Self::caller(&self.outlet, sending);
        let (channels, next) = self.desk.channels_of(caller, &user, limit, after)?;
        Ok(Done::Answer(Answer::Channels { user, channels, next }))
    }

    pub(super) fn set_status(
        &self,
        sending: &Sending<'_>,
        patch: StatusPatch,
        now: Now,
    ) -> Result<Done, Refusal> {
        let caller = Self::caller(&self.outlet, sending);
        self.desk.set_status(caller, self.outlet.user(), patch, now)?;
        Ok(Done::Quiet(None))
    }
}
