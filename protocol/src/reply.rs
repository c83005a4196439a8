//! What the broker says: the frames from broker to client, and the events inside them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::attributes::Attributes;
use crate::error::{ErrorCode, Refusal};
use crate::name::{ChannelName, UserId};
use crate::request::{Epoch, FrameId, MAX_RECENT, Sight};
use crate::status::UserStatus;

/// One member as observers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    /// Who.
    pub user: UserId,
    /// Name, avatar and the like, as the user's token gave them; absent if it gave none.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub info: Attributes,
    /// What they set, `{}` if nothing.
    pub attributes: Attributes,
    /// All that keeps the member present says that the user is away. Absent: not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub away: bool,
    /// When they joined, in milliseconds since 1970 by the broker's wall clock.
    pub joined_at: u64,
}

/// One member as `recent` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecentView {
    /// Who.
    pub user: UserId,
    /// As in a list of members.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub info: Attributes,
    /// As they were when the frame was made; absent: not asked for, or there was no room for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
}

/// Why a member left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum LeaveReason {
    /// A `leave` frame.
    Left,
    /// The client closed its WebSocket with a Close frame.
    Closed,
    /// A back end ended the user's connections.
    Kicked,
}

impl LeaveReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Left, Self::Closed, Self::Kicked];
}

/// Why a member was taken for gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum LossReason {
    /// Nothing was heard for the presence timeout.
    Heartbeat,
    /// The connection broke without a Close frame from the client.
    Connection,
    /// The lease ran out.
    Lease,
    /// The node of the cluster that had the connection is gone.
    Node,
}

impl LossReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Heartbeat, Self::Connection, Self::Lease, Self::Node];
}

/// Why attributes changed, where it was not their owner's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum UpdateReason {
    /// The keys' `ttlMs` ran out.
    Expired,
}

/// A change of one member. `at` is in milliseconds since 1970 by the broker's wall clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The user became a member.
    Join {
        /// Who.
        user: UserId,
        /// As in a list of members.
        #[serde(default, skip_serializing_if = "Attributes::is_empty")]
        info: Attributes,
        /// The attributes as they are now.
        attributes: Attributes,
        /// As in a list of members.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        away: bool,
        /// The member's `joinedAt`.
        at: u64,
    },
    /// The user is no longer a member, by somebody's decision.
    Leave {
        /// Who.
        user: UserId,
        /// Whose decision.
        reason: LeaveReason,
        /// When.
        at: u64,
    },
    /// The user is no longer a member, because nothing was heard of it.
    Timeout {
        /// Who.
        user: UserId,
        /// How the silence was noticed.
        reason: LossReason,
        /// When the user was last heard.
        last_seen: u64,
        /// When the silence had lasted long enough.
        at: u64,
    },
    /// The member's attributes changed, or its `info`, or whether it is away.
    UpdateAttributes {
        /// Who.
        user: UserId,
        /// All attributes as they are now.
        attributes: Attributes,
        /// All of `info` as it is now (`{}`: there is none any more), if it changed: the user came
        /// with another token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        info: Option<Attributes>,
        /// Whether the member is away now, if that changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        away: Option<bool>,
        /// The member's `joinedAt`, if it counts as one that joins anew: others see it since then too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        joined_at: Option<u64>,
        /// When.
        at: u64,
        /// Absent when the user set them.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<UpdateReason>,
    },
}

impl Event {
    /// Whom the event is about.
    #[must_use]
    pub fn user(&self) -> &UserId {
        match self {
            Self::Join { user, .. }
            | Self::Leave { user, .. }
            | Self::Timeout { user, .. }
            | Self::UpdateAttributes { user, .. } => user,
        }
    }
}

/// Who serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerInfo {
    /// `herenow`.
    pub name: Cow<'static, str>,
    /// The broker's version.
    pub version: Cow<'static, str>,
}

/// The cadence that keeps a member present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatInfo {
    /// Send a heartbeat this often, in milliseconds.
    pub interval_ms: u64,
    /// Silence of this many milliseconds ends memberships.
    pub timeout_ms: u64,
}

/// The bounds that a client has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LimitsInfo {
    /// Bytes of one message from the client.
    pub message_bytes: u64,
    /// Bytes of a member's attributes, as canonical JSON.
    pub attribute_bytes: u64,
    /// Top-level keys of a member's attributes.
    pub attribute_keys: u64,
    /// Bytes of a channel's or user's name.
    pub name_bytes: u64,
    /// Channels that one connection may have joined or subscribed.
    pub channels: u64,
    /// Users that one connection may watch.
    pub watches: u64,
    /// Members of one channel.
    pub members: u64,
    /// Frames per second, in the long run.
    pub frames_per_second: u64,
    /// Frames at once.
    pub frames_burst: u64,
    /// Largest `graceMs`.
    pub grace_ms: u64,
    /// Largest `ttlMs`.
    pub ttl_ms: u64,
    /// Largest `limit` of `getMembers`.
    pub list: u64,
    /// Members above which `auto` means `count`.
    pub roster: u64,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Answer {
    /// To `getMembers`.
    Members {
        /// The channel.
        channel: ChannelName,
        /// Exact number of members that are visible to all, however many are listed.
        count: u64,
        /// The history that `seq` counts in. Absent if nobody is there whom everyone
        /// may see.
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
        /// The last frame that observers were told: what it told is in the list, and the next one may
        /// tell again what is in it.
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        /// Newest first.
        members: Vec<MemberView>,
        /// Pass as `after` for the next page; absent on the last.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    },
    /// To `getAttributes`.
    Attributes {
        /// The channel.
        channel: ChannelName,
        /// Whose.
        user: UserId,
        /// `{}` if none are set.
        attributes: Attributes,
    },
    /// To `getCount`.
    Count {
        /// The channel.
        channel: ChannelName,
        /// Exact number of members that are visible to all.
        count: u64,
    },
    /// To `getChannels`.
    Channels {
        /// Whose.
        user: UserId,
        /// Where the user is a member, by name, in the order of their bytes.
        channels: Vec<ChannelName>,
        /// Pass as `after` for the next page; absent on the last.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<ChannelName>,
    },
}

/// Why a snapshot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum SnapshotReason {
    /// A subscription begins (or could not resume).
    Subscribed,
    /// The connection was too slow: frames that it lacked are gone.
    Resync,
    /// The level in force is `events` again.
    Level,
}

/// How much a subscriber is told now: what it asked for, or what `auto` came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum InForce {
    /// A snapshot, and every presence frame from there on.
    Events,
    /// The number of members, at once and then at most once a second.
    Count,
}

/// Why another level is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum LevelReason {
    /// The subscription is `auto`, and the channel has grown or shrunk.
    Size,
    /// The client subscribed again, with another level.
    Asked,
}

/// Why something of a connection's own ended without its asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum RemovedReason {
    /// Nothing was heard for the presence timeout. The connection may join again.
    Heartbeat,
    /// The token that came with `auth` no longer grants them.
    Rights,
}

/// A frame from the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ServerFrame {
    /// The first frame of every connection.
    Welcome {
        /// [`crate::PROTOCOL_VERSION`].
        #[cfg_attr(feature = "schema", schemars(description = "The protocol's version: 1."))]
        protocol: u32,
        /// This connection's id.
        connection: Cow<'static, str>,
        /// Who the connection is.
        user: UserId,
        /// Who serves.
        server: ServerInfo,
        /// The cadence that keeps members present.
        heartbeat: HeartbeatInfo,
        /// The bounds that a client has to know.
        limits: LimitsInfo,
        /// Whom the connection may see, as a text to hand back in `since`.
        sight: Sight,
        /// The broker's wall clock, in milliseconds since 1970.
        now: u64,
    },
    /// An action with an `id` was done.
    Ok {
        /// The action's `id`.
        id: FrameId,
        /// The action's channel, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        channel: Option<ChannelName>,
        /// To `join`: the grace that the channel gives, where it is not what was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grace_ms: Option<u64>,
        /// To `join`: the cadence that keeps the member present in this channel, where it is not that
        /// of `welcome`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heartbeat: Option<HeartbeatInfo>,
        /// To `subscribe`: the level in force.
        #[serde(skip_serializing_if = "Option::is_none")]
        level: Option<InForce>,
        /// To `subscribe`: whether missed frames follow instead of a snapshot.
        #[serde(skip_serializing_if = "Option::is_none")]
        resumed: Option<bool>,
        /// To `auth`: that of the fresh token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sight: Option<Sight>,
    },
    /// The answer to a query.
    Result {
        /// The query's `id`, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<FrameId>,
        /// What was asked.
        #[serde(flatten)]
        answer: Answer,
        /// This may not be all: of other nodes of the cluster not everything is known here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    },
    /// A frame was not applied.
    Error {
        /// The frame's `id`, if it had one that could be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<FrameId>,
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: Cow<'static, str>,
        /// The frame's field that is at fault.
        #[serde(skip_serializing_if = "Option::is_none")]
        field: Option<Cow<'static, str>>,
        /// When to try again, in milliseconds from now.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        /// The broker's wall clock in milliseconds since 1970, where a token was refused for its
        /// times: so whoever made it sees by how much the clocks differ.
        #[serde(skip_serializing_if = "Option::is_none")]
        now: Option<u64>,
    },
    /// A channel's state at `seq`. Replaces what the client knew, once the last part has come.
    Snapshot {
        /// The channel.
        channel: ChannelName,
        /// The history that `seq` counts in.
        epoch: Epoch,
        /// The state is that after this frame.
        seq: u64,
        /// Number of members that are visible to all.
        count: u64,
        /// This part's members, newest first. Those that not everyone may see come last, in a part
        /// of their own, and only to who may see them.
        members: Vec<MemberView>,
        /// Another part of the same snapshot follows.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        more: bool,
        /// Why it came.
        reason: SnapshotReason,
        /// Of other nodes of the cluster not everything is known here yet: members who are not named
        /// may be there all the same. A snapshot with reason `resync` follows once it is.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    },
    /// What changed since the frame before. A user appears at most once.
    Presence {
        /// The channel.
        channel: ChannelName,
        /// The seq of the frame before, plus 1; or the same again, if only members changed that not
        /// everyone may see.
        seq: u64,
        /// Number of members that are visible to all, after this frame.
        count: u64,
        /// The changes.
        events: Vec<Event>,
    },
    /// How many are in the channel. It says nothing of who came and who went.
    Count {
        /// The channel.
        channel: ChannelName,
        /// The count is that after this frame. It moves no replica.
        seq: u64,
        /// Number of members that are visible to all.
        count: u64,
        /// To `auto` subscribers: those visible to all who joined last, newest first, at most
        /// 200.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(length(max = MAX_RECENT)))]
        recent: Option<Vec<RecentView>>,
        /// This may not be all: of other nodes of the cluster not everything is known here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    },
    /// From here on another level is in force.
    Level {
        /// The channel.
        channel: ChannelName,
        /// The level.
        level: InForce,
        /// Why.
        reason: LevelReason,
    },
    /// The status of a user that this connection watches: now, and whenever it changes.
    Status {
        /// The status.
        #[serde(flatten)]
        status: UserStatus,
    },
    /// Comes once, and only in an event stream of patterns (HTTP): of each channel that was there when
    /// the stream began, at least the first part of its snapshot was told.
    Synced,
    /// Nothing was heard for two thirds of the presence timeout.
    HeartbeatDue {
        /// How long until memberships end, in milliseconds.
        in_ms: u64,
    },
    /// This connection's own memberships or subscriptions ended without its asking.
    Removed {
        /// Where.
        channels: Vec<ChannelName>,
        /// Whom it watches no longer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        users: Vec<UserId>,
        /// Why.
        reason: RemovedReason,
    },
    /// The broker is about to close this connection; come back.
    Goaway {
        /// Wait this long before reconnecting, in milliseconds; differs from connection to
        /// connection, so that not all come back at once.
        reconnect_in_ms: u64,
        /// Why, for a person.
        reason: Cow<'static, str>,
    },
    /// The shorthand, for a person at a terminal.
    Help {
        /// One line for each word: what to type, and what it does.
        commands: Vec<Cow<'static, str>>,
    },
}

impl ServerFrame {
    /// The `error` frame that tells `refusal`.
    #[must_use]
    pub fn error(id: Option<FrameId>, refusal: Refusal) -> Self {
        Self::Error {
            id,
            code: refusal.code,
            message: refusal.message,
            field: refusal.field.map(Cow::Borrowed),
            retry_after_ms: refusal.retry_after_ms,
            now: refusal.now,
        }
    }
}
