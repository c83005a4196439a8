//! What can be asked over HTTP, as a table: the document that describes the API is made from it.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::shapes::{
    Beating, ChannelList, ChannelView, CountView, Health, Kicked, LeasedMember, MemberList,
    OneMember, StatusList, UserChannels,
};
use herenow_protocol::{Lease, StatusPatch, UserStatus};

/// One thing that can be asked.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [Parameter],
    pub(super) body: Option<SchemaOf>,
    pub(super) answers: &'static [Answer],
    /// Refusals beside those that any request may meet.
    pub(super) refusals: &'static [u16],
}

/// The schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A status that is no refusal, and what it brings.
pub(super) type Answer = (u16, &'static str, Content);

#[derive(Clone, Copy)]
pub(super) enum Content {
    Nothing,
    Json(SchemaOf),
    /// Of this type.
    Text(&'static str),
}

/// The parameters of queries. Those of paths go without saying.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    Limit,
    AfterMember,
    AfterChannel,
    Prefix,
    Ids,
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const CHANNEL: &str = "/v1/channels/{channel}";
const MEMBERS: &str = "/v1/channels/{channel}/members";
const MEMBER: &str = "/v1/channels/{channel}/members/{user}";
const STATUS: &str = "/v1/users/{user}/status";
const HEARTBEAT: &str = "/v1/users/{user}/heartbeat";

const fn get(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    query: &'static [Parameter],
    answers: &'static [Answer],
    refusals: &'static [u16],
) -> Operation {
    Operation { method: "get", path, id, summary, query, body: None, answers, refusals }
}

const fn act(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    body: Option<SchemaOf>,
    answers: &'static [Answer],
    refusals: &'static [u16],
) -> Operation {
    Operation { method, path, id, summary, query: &[], body, answers, refusals }
}

/// Everything below `/v1`, and what watches over the broker.
pub(super) const OPERATIONS: &[Operation] = &[
    get(
        "/v1/channels",
        "listChannels",
        "The channels that somebody is in, by name. For back ends.",
        &[Parameter::Prefix, Parameter::Limit, Parameter::AfterChannel],
        &[(200, "One page of them.", Content::Json(of::<ChannelList>))],
        &[],
    ),
    get(
        CHANNEL,
        "readChannel",
        "A channel in numbers. Any name is a channel: one that nobody is in has zeros.",
        &[],
        &[(200, "The numbers.", Content::Json(of::<ChannelView>))],
        &[],
    ),
    get(
        "/v1/channels/{channel}/count",
        "countMembers",
        "How many are in a channel: exactly, whatever a list shows.",
        &[],
        &[(200, "The count.", Content::Json(of::<CountView>))],
        &[],
    ),
    get(
        MEMBERS,
        "listMembers",
        "Who is in a channel, newest first, as far as the caller may see.",
        &[Parameter::Limit, Parameter::AfterMember],
        &[(200, "One page of them.", Content::Json(of::<MemberList>))],
        &[],
    ),
    get(
        MEMBER,
        "readMember",
        "One member. Who is absent and whom the caller may not see are answered alike.",
        &[],
        &[(200, "The member.", Content::Json(of::<OneMember>))],
        &[404],
    ),
    act(
        "put",
        MEMBER,
        "leaseMember",
        "Makes the user present without a socket, or for a while longer.",
        Some(of::<Lease>),
        &[
            (200, "The user was present already.", Content::Json(of::<LeasedMember>)),
            (201, "The user is present now.", Content::Json(of::<LeasedMember>)),
        ],
        &[408, 409, 413, 415],
    ),
    act(
        "delete",
        MEMBER,
        "endLease",
        "Ends the user's lease. Connections that joined keep it present.",
        None,
        &[(204, "There is no lease now.", Content::Nothing)],
        &[],
    ),
    get(
        "/v1/users/status",
        "readStatuses",
        "The status of several users. Those of whom nothing is known are left out.",
        &[Parameter::Ids],
        &[(200, "Those that are known.", Content::Json(of::<StatusList>))],
        &[],
    ),
    get(
        "/v1/users/{user}/channels",
        "listUserChannels",
        "Where a user is, as far as the caller may see.",
        &[],
        &[(200, "The channels.", Content::Json(of::<UserChannels>))],
        &[],
    ),
    get(
        STATUS,
        "readStatus",
        "A user's status.",
        &[],
        &[(200, "The status.", Content::Json(of::<UserStatus>))],
        &[404],
    ),
    act(
        "put",
        STATUS,
        "setStatus",
        "Changes what is given of a user's status.",
        Some(of::<StatusPatch>),
        &[(200, "The status as its user sees it.", Content::Json(of::<UserStatus>))],
        &[408, 413, 415, 503],
    ),
    act(
        "post",
        HEARTBEAT,
        "beat",
        "Keeps the user online for the presence timeout.",
        None,
        &[(200, "How often to send one.", Content::Json(of::<Beating>))],
        &[503],
    ),
    act(
        "delete",
        HEARTBEAT,
        "stopBeating",
        "Heartbeats keep the user online no longer.",
        None,
        &[(204, "No heartbeat keeps it online now.", Content::Nothing)],
        &[],
    ),
    act(
        "delete",
        "/v1/users/{user}/connections",
        "kick",
        "Ends the user's connections, and what only grace keeps. For back ends.",
        None,
        &[(200, "How many there were.", Content::Json(of::<Kicked>))],
        &[],
    ),
    get(
        "/healthz",
        "healthz",
        "Whether the broker is alive.",
        &[],
        &[(200, "It is.", Content::Json(of::<Health>))],
        &[],
    ),
    get(
        "/readyz",
        "readyz",
        "Whether the broker is ready for new clients.",
        &[],
        &[(200, "It is.", Content::Json(of::<Health>))],
        &[503],
    ),
    get(
        "/metrics",
        "metrics",
        "Everything in numbers, as Prometheus reads it.",
        &[],
        &[(200, "The numbers.", Content::Text("application/openmetrics-text"))],
        &[],
    ),
];
