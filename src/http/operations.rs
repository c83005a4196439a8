//! What can be asked of the HTTP API, as a table.

use axum::routing;
use herenow_protocol::request::MAX_USERS;
use herenow_protocol::{ChannelName, Heartbeat, Lease, StatusPatch, UserId, UserStatus};
use serde_json::{Map, Value, json};

use super::leases::{LeasesAnswered, LeasesAsked};
use super::shapes::{
    Answered, Beating, ChannelList, ChannelView, ConnectionList, CountList, CountView, Health,
    Kicked, LeasedMember, MemberList, OneMember, StatusList, UserChannels,
};
use super::{channels, health, leases, members, openapi, users};
use crate::limits::{COUNTS_MAX, LIST_DEFAULT, LIST_MAX};
use crate::web::operation::{
    Content, Operation, Parameter, ParameterPlace, json as json_of, operation, value_of,
};

const MEMBER: &str = "/v1/channels/{channel}/members/{user}";
const STATUS: &str = "/v1/users/{user}/status";
const HEARTBEAT: &str = "/v1/users/{user}/heartbeat";

const LIMIT: Parameter = Parameter::query(
    "limit",
    "At most so many.",
    |_| json!({"type": "integer", "minimum": 1, "maximum": LIST_MAX, "default": LIST_DEFAULT}),
);

const AFTER_MEMBER: Parameter = Parameter::query(
    "after",
    "The next of the page before.",
    |_| json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
);

const AFTER_CHANNEL: Parameter =
    Parameter::query("after", "The next of the page before.", value_of::<ChannelName>);

const LEASES: Parameter =
    Parameter::query("leases", "Leases stay.", |_| json!({"type": "string", "enum": ["keep"]}));

const PREFIX: Parameter = Parameter::query(
    "prefix",
    "Only channels whose names begin so.",
    |_| json!({"type": "string"}),
);

const ORDER: Parameter = Parameter::query(
    "order",
    "By name, or the largest first; of many nodes each then tells what it knows by itself.",
    |_| json!({"type": "string", "enum": ["name", "size"], "default": "name"}),
);

const BELOW: Parameter = Parameter::query(
    "below",
    "By size, the count of the last channel of the page before; absent: the count that it has now.",
    |_| json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
);

const SOURCES: Parameter = Parameter::query(
    "sources",
    "Also what keeps each member present. For back ends.",
    |_| json!({"type": "string", "enum": ["true", "false"], "default": "false"}),
);

const AFTER_CONNECTION: Parameter =
    Parameter::query("after", "The next of the page before.", |_| json!({"type": "string"}));

const IDS: Parameter = Parameter {
    name: "ids",
    place: ParameterPlace::QueryList,
    required: true,
    description: "Users, with commas between them, in a request whose head is at most 16 KiB. \
        Whoever has a comma in its name can't be asked for here.",
    schema: |generator| {
        let mut item = value_of::<UserId>(generator);
        item["pattern"] =
            json!("^[^$,\\u0000-\\u001f\\u007f-\\u009f][^,\\u0000-\\u001f\\u007f-\\u009f]*$");
        json!({"type": "array", "minItems": 1, "maxItems": MAX_USERS, "items": item})
    },
};

const COUNTED: Parameter = Parameter {
    name: "channels",
    place: ParameterPlace::QueryList,
    required: true,
    description: "Channels, with commas between them, in a request whose head is at most 16 KiB. One \
        that has a comma in its name can't be asked for here.",
    schema: |generator| {
        let mut item = value_of::<ChannelName>(generator);
        item["pattern"] =
            json!("^[^$,\\u0000-\\u001f\\u007f-\\u009f][^,\\u0000-\\u001f\\u007f-\\u009f]*$");
        json!({"type": "array", "minItems": 1, "maxItems": COUNTS_MAX, "items": item})
    },
};

/// Everything below `/v1`, and what watches over the broker.
pub const OPERATIONS: &[Operation] = &[
    operation(
        "get",
        "/v1/channels",
        "listChannels",
        || routing::get(channels::list),
        "The channels that somebody is in, by name or by size. For back ends.",
        &[(200, "One page of them.", json_of::<Answered<ChannelList>>())],
    )
    .parameters(&[PREFIX, ORDER, LIMIT, AFTER_CHANNEL, BELOW]),
    operation(
        "get",
        "/v1/channels/{channel}",
        "readChannel",
        || routing::get(channels::read),
        "A channel in numbers. Any name is a channel: one that nobody is in has zeros.",
        &[(200, "The numbers.", json_of::<Answered<ChannelView>>())],
    ),
    operation(
        "get",
        "/v1/channels/{channel}/count",
        "countMembers",
        || routing::get(channels::count),
        "How many are in a channel: exactly, whatever a list shows.",
        &[(200, "The count.", json_of::<Answered<CountView>>())],
    ),
    operation(
        "get",
        "/v1/channels/{channel}/members",
        "listMembers",
        || routing::get(members::list),
        "Who is in a channel, newest first, as far as the caller may see.",
        &[(200, "One page of them.", json_of::<Answered<MemberList>>())],
    )
    .parameters(&[LIMIT, AFTER_MEMBER, SOURCES]),
    operation(
        "get",
        MEMBER,
        "readMember",
        || routing::get(members::read),
        "One member. Who is absent and whom the caller may not see are answered alike.",
        &[(200, "The member.", json_of::<Answered<OneMember>>())],
    )
    .refuses(&[404]),
    operation(
        "put",
        MEMBER,
        "leaseMember",
        || routing::put(members::lease),
        "Makes the user present without a socket, or for a while longer.",
        &[
            (200, "The user was present already.", json_of::<LeasedMember>()),
            (201, "The user is present now.", json_of::<LeasedMember>()),
        ],
    )
    .optional_body::<Lease>(&[408, 409, 413, 415]),
    operation(
        "delete",
        MEMBER,
        "endLease",
        || routing::delete(members::end),
        "Ends the user's lease. Connections that joined keep it present.",
        &[(204, "There is no lease now.", Content::Nothing)],
    ),
    operation(
        "post",
        "/v1/leases",
        "leaseMembers",
        || routing::post(leases::many),
        "Takes, refreshes and ends many leases, each answered for itself: not all or nothing.",
        &[(200, "What became of each, in their order.", json_of::<LeasesAnswered>())],
    )
    .body::<LeasesAsked>(&[408, 413, 415, 503]),
    operation(
        "get",
        "/v1/counts",
        "countSeveral",
        || routing::get(channels::counts),
        "How many are in each of several channels.",
        &[(200, "In the order in which they were asked for.", json_of::<Answered<CountList>>())],
    )
    .parameters(&[COUNTED])
    .refuses(&[431]),
    operation(
        "get",
        "/v1/users/status",
        "readStatuses",
        || routing::get(users::statuses),
        "The status of several users. Those of whom nothing is known are left out.",
        &[(200, "Those that are known.", json_of::<Answered<StatusList>>())],
    )
    .parameters(&[IDS])
    .refuses(&[431]),
    operation(
        "get",
        "/v1/users/{user}/channels",
        "listUserChannels",
        || routing::get(channels::of_user),
        "Where a user is, by the name of the channel, as far as the caller may see.",
        &[(200, "One page of the channels.", json_of::<Answered<UserChannels>>())],
    )
    .parameters(&[LIMIT, AFTER_CHANNEL]),
    operation(
        "get",
        STATUS,
        "readStatus",
        || routing::get(users::status),
        "A user's status.",
        &[(200, "The status.", json_of::<Answered<UserStatus>>())],
    )
    .refuses(&[404]),
    operation(
        "put",
        STATUS,
        "setStatus",
        || routing::put(users::set_status),
        "Changes what is given of a user's status.",
        &[(200, "The status as its user sees it.", json_of::<Answered<UserStatus>>())],
    )
    .body::<StatusPatch>(&[408, 413, 415]),
    operation(
        "post",
        HEARTBEAT,
        "beat",
        || routing::post(users::beat),
        "Keeps the user online for the presence timeout.",
        &[(200, "How often to send one.", json_of::<Beating>())],
    )
    .optional_body::<Heartbeat>(&[408, 413, 415, 503]),
    operation(
        "delete",
        HEARTBEAT,
        "stopBeating",
        || routing::delete(users::stop_beating),
        "Heartbeats keep the user online no longer.",
        &[(204, "No heartbeat keeps it online now.", Content::Nothing)],
    ),
    operation(
        "get",
        "/v1/users/{user}/connections",
        "listConnections",
        || routing::get(users::connections),
        "A user's connections, the oldest first: those to the node that answers. For back ends.",
        &[(200, "One page of them.", json_of::<Answered<ConnectionList>>())],
    )
    .parameters(&[LIMIT, AFTER_CONNECTION]),
    operation(
        "delete",
        "/v1/users/{user}/connections",
        "kick",
        || routing::delete(users::kick),
        "Signs a user out: ends its connections, what only grace keeps, and its leases, and refuses \
            its earlier tokens. For back ends.",
        &[(200, "How many connections there were.", json_of::<Answered<Kicked>>())],
    )
    .parameters(&[LEASES]),
    operation(
        "delete",
        "/v1/users/{user}/connections/{connection}",
        "kickConnection",
        || routing::delete(users::kick_one),
        "Ends one of a user's connections, of those to the node that answers. Its tokens stay good. For \
            back ends.",
        &[(200, "How many there were: 1, or 0.", json_of::<Kicked>())],
    ),
    operation(
        "get",
        "/healthz",
        "healthz",
        || routing::get(health::healthz),
        "Whether the broker is alive.",
        &[(200, "It is.", json_of::<Health>())],
    )
    .for_both(),
    operation(
        "get",
        "/readyz",
        "readyz",
        || routing::get(health::readyz),
        "Whether the broker is ready for new clients.",
        &[(200, "It is.", json_of::<Health>())],
    )
    .refuses(&[503])
    .for_operators(),
    operation(
        "get",
        "/metrics",
        "metrics",
        || routing::get(health::metrics),
        "Everything in numbers, as Prometheus reads it; for who asks for `text/plain`, in its older format.",
        &[(200, "The numbers.", Content::Text("application/openmetrics-text"))],
    )
    .for_operators(),
    operation(
        "get",
        "/openapi.json",
        "openapi",
        || routing::get(openapi::document),
        "This document.",
        &[(200, "It.", json_of::<Map<String, Value>>())],
    ),
];
