//! Answers as JSON. Times are in milliseconds since 1970 by the broker's wall clock.

use herenow_protocol::reply::{HeartbeatInfo, MemberView};
use herenow_protocol::{Audience, ChannelName, UserId, UserStatus};
use schemars::JsonSchema;
use serde::Serialize;

use crate::actions::Known;

/// An answer that may not be all.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Answered<T> {
    /// The answer.
    #[serde(flatten)]
    pub is: T,
    /// `true`: of other nodes of the cluster not everything is known here. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub partial: bool,
}

impl<T> From<Known<T>> for Answered<T> {
    fn from(Known { is, partial }: Known<T>) -> Self {
        Self { is, partial }
    }
}

/// A channel in numbers.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ChannelView {
    /// The channel.
    pub channel: ChannelName,
    /// Exact number of members that are visible to all.
    pub count: u64,
    /// Number of subscribers.
    pub observers: u64,
    /// Live connections that keep those members present.
    pub connections: u64,
}

/// How many are in a channel.
#[derive(Debug, JsonSchema, Serialize)]
pub struct CountView {
    /// The channel.
    pub channel: ChannelName,
    /// Exact number of members that are visible to all.
    pub count: u64,
}

/// How many are in each of several channels.
#[derive(Debug, JsonSchema, Serialize)]
pub struct CountList {
    /// In the order in which they were asked for.
    pub channels: Vec<CountView>,
}

/// One page of the channels that somebody is in.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ChannelList {
    /// By name.
    pub channels: Vec<CountView>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<ChannelName>,
}

/// One page of a channel's members.
#[derive(Debug, JsonSchema, Serialize)]
pub struct MemberList {
    /// The channel.
    pub channel: ChannelName,
    /// Exact number of members that are visible to all, however many are listed.
    pub count: u64,
    /// Newest first.
    pub members: Vec<MemberView>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One member.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneMember {
    /// Where.
    pub channel: ChannelName,
    /// The member.
    #[serde(flatten)]
    pub member: MemberView,
    /// When the user was last heard there.
    pub last_seen: u64,
}

/// A member that a lease keeps present.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeasedMember {
    /// Where.
    pub channel: ChannelName,
    /// The member.
    #[serde(flatten)]
    pub member: MemberView,
    /// Who may see it.
    pub visible_to: Audience,
    /// How often to ask for the lease anew, and how long it lasts without.
    pub heartbeat: HeartbeatInfo,
}

/// One page of where a user is.
#[derive(Debug, JsonSchema, Serialize)]
pub struct UserChannels {
    /// Who.
    pub user: UserId,
    /// Where the user is a member, by name.
    pub channels: Vec<ChannelName>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<ChannelName>,
}

/// The status of some users.
#[derive(Debug, JsonSchema, Serialize)]
pub struct StatusList {
    /// Of those that are known, in the order in which they were asked for.
    pub users: Vec<UserStatus>,
}

/// A user that heartbeats keep online.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Beating {
    /// Who.
    pub user: UserId,
    /// How often to send one, and how long one lasts.
    pub heartbeat: HeartbeatInfo,
}

/// A user whose connections were ended.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Kicked {
    /// Who.
    pub user: UserId,
    /// How many connections there were.
    pub closed: u64,
}

/// That all is well.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Health {
    /// `ok`.
    pub status: &'static str,
    /// Where many nodes show one presence: how that stands. A node serves without Redis, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterHealth>,
}

/// How one of many nodes stands.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ClusterHealth {
    /// `ok`, or `away`: it does not answer, and what is said here may not be all.
    pub redis: &'static str,
    /// How many other nodes live.
    pub nodes: usize,
}
