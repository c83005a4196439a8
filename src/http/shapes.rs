//! Answers as JSON. Times are in milliseconds since 1970 by the broker's wall clock.

use herenow_protocol::reply::{HeartbeatInfo, MemberView};
use herenow_protocol::{Audience, ChannelName, Epoch, UserId, UserStatus};
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
    /// By name, or by size.
    pub channels: Vec<CountView>,
    /// How many there are in all. Only by size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
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
    /// The history of the channel that `seq` counts in. Absent if nobody is there whom
    /// everyone may see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The last frame that observers were told: what it told is in the list, and the next one may tell
    /// again what is in it. Pages with the same epoch and seq differ by what that one tells, and by
    /// members whom not everyone may see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Newest first.
    pub members: Vec<ListedMember>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A member as a list has it.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ListedMember {
    /// The member.
    #[serde(flatten)]
    pub member: MemberView,
    /// What keeps it present. Only if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<SourceView>>,
}

/// What keeps a member present.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceView {
    /// What it is.
    pub kind: SourceKind,
    /// Which connection of this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Which other node, on which the user has a source of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// `true`: the connection is lost, and its grace runs. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub lost: bool,
    /// When it was last heard; absent: another node knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
}

/// What may keep a member present.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceKind {
    /// A connection.
    Connection,
    /// A lease.
    Lease,
    /// Another node.
    Node,
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

/// One page of a user's connections to the node that answers.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ConnectionList {
    /// Who.
    pub user: UserId,
    /// The oldest first.
    pub connections: Vec<ConnectionView>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One connection.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionView {
    /// As `welcome` told its client; behind that, where there are many nodes, `@` and the node.
    pub connection: String,
    /// When it was last heard; absent: it has just gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
    /// Where it keeps the user present, by name: of the first 1,000 channels that the user is in, and
    /// until about 1,000 are named of all connections.
    pub channels: Vec<ChannelName>,
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
