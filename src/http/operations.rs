//! What can be asked over HTTP, as a table: the routes are made from it, and so is the document that
//! describes them. Neither can have what the other lacks.

use axum::Router;
use axum::routing::{self, MethodRouter};
use herenow_protocol::{Lease, StatusPatch, UserStatus};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};

use super::shapes::{
    Beating, ChannelList, ChannelView, CountView, Health, Kicked, LeasedMember, MemberList,
    OneMember, StatusList, UserChannels,
};
use super::{Api, channels, health, members, openapi, users};

/// One thing that can be asked.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [Parameter],
    pub(super) body: Option<Body>,
    pub(super) answers: &'static [Answer],
    /// Refusals beside those that any request may meet.
    pub(super) refusals: &'static [u16],
    route: Route,
}

/// Who answers.
type Route = fn() -> MethodRouter<Api>;

/// The schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a request carries.
#[derive(Clone, Copy)]
pub(super) struct Body {
    pub(super) schema: SchemaOf,
    /// Otherwise there is a default for everything.
    pub(super) required: bool,
}

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

/// Where everything is that knows callers, rights and rates.
pub(super) const V1: &str = "/v1";

/// The routes below [`V1`], less that beginning (`true`), or all others.
pub(super) fn routes(below_v1: bool) -> Router<Api> {
    let path = |operation: &Operation| match operation.path.strip_prefix(V1) {
        Some(rest) => below_v1.then_some(rest),
        None => (!below_v1).then_some(operation.path),
    };
    OPERATIONS
        .iter()
        .filter_map(|operation| Some((path(operation)?, operation.route)))
        .fold(Router::new(), |router, (path, route)| router.route(path, route()))
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const fn json<T: JsonSchema>() -> Content {
    Content::Json(of::<T>)
}

const fn operation(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    route: Route,
    summary: &'static str,
    answers: &'static [Answer],
) -> Operation {
    Operation { method, path, id, summary, query: &[], body: None, answers, refusals: &[], route }
}

impl Operation {
    const fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    /// Needs a body, with what may be wrong with any.
    const fn body<T: JsonSchema>(self, refusals: &'static [u16]) -> Self {
        Self { body: Some(Body { schema: of::<T>, required: true }), refusals, ..self }
    }

    /// Takes a body, with what may be wrong with any.
    const fn optional_body<T: JsonSchema>(self, refusals: &'static [u16]) -> Self {
        Self { body: Some(Body { schema: of::<T>, required: false }), refusals, ..self }
    }

    const fn refuses(self, refusals: &'static [u16]) -> Self {
        Self { refusals, ..self }
    }
}

const MEMBER: &str = "/v1/channels/{channel}/members/{user}";
const STATUS: &str = "/v1/users/{user}/status";
const HEARTBEAT: &str = "/v1/users/{user}/heartbeat";

/// Everything below `/v1`, and what watches over the broker.
pub(super) const OPERATIONS: &[Operation] = &[
    operation(
        "get",
        "/v1/channels",
        "listChannels",
        || routing::get(channels::list),
        "The channels that somebody is in, by name. For back ends.",
        &[(200, "One page of them.", json::<ChannelList>())],
    )
    .query(&[Parameter::Prefix, Parameter::Limit, Parameter::AfterChannel]),
    operation(
        "get",
        "/v1/channels/{channel}",
        "readChannel",
        || routing::get(channels::read),
        "A channel in numbers. Any name is a channel: one that nobody is in has zeros.",
        &[(200, "The numbers.", json::<ChannelView>())],
    ),
    operation(
        "get",
        "/v1/channels/{channel}/count",
        "countMembers",
        || routing::get(channels::count),
        "How many are in a channel: exactly, whatever a list shows.",
        &[(200, "The count.", json::<CountView>())],
    ),
    operation(
        "get",
        "/v1/channels/{channel}/members",
        "listMembers",
        || routing::get(members::list),
        "Who is in a channel, newest first, as far as the caller may see.",
        &[(200, "One page of them.", json::<MemberList>())],
    )
    .query(&[Parameter::Limit, Parameter::AfterMember]),
    operation(
        "get",
        MEMBER,
        "readMember",
        || routing::get(members::read),
        "One member. Who is absent and whom the caller may not see are answered alike.",
        &[(200, "The member.", json::<OneMember>())],
    )
    .refuses(&[404]),
    operation(
        "put",
        MEMBER,
        "leaseMember",
        || routing::put(members::lease),
        "Makes the user present without a socket, or for a while longer.",
        &[
            (200, "The user was present already.", json::<LeasedMember>()),
            (201, "The user is present now.", json::<LeasedMember>()),
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
        "get",
        "/v1/users/status",
        "readStatuses",
        || routing::get(users::statuses),
        "The status of several users. Those of whom nothing is known are left out.",
        &[(200, "Those that are known.", json::<StatusList>())],
    )
    .query(&[Parameter::Ids])
    .refuses(&[431]),
    operation(
        "get",
        "/v1/users/{user}/channels",
        "listUserChannels",
        || routing::get(channels::of_user),
        "Where a user is, as far as the caller may see.",
        &[(200, "The channels.", json::<UserChannels>())],
    ),
    operation(
        "get",
        STATUS,
        "readStatus",
        || routing::get(users::status),
        "A user's status.",
        &[(200, "The status.", json::<UserStatus>())],
    )
    .refuses(&[404]),
    operation(
        "put",
        STATUS,
        "setStatus",
        || routing::put(users::set_status),
        "Changes what is given of a user's status.",
        &[(200, "The status as its user sees it.", json::<UserStatus>())],
    )
    .body::<StatusPatch>(&[408, 413, 415]),
    operation(
        "post",
        HEARTBEAT,
        "beat",
        || routing::post(users::beat),
        "Keeps the user online for the presence timeout.",
        &[(200, "How often to send one.", json::<Beating>())],
    )
    .refuses(&[503]),
    operation(
        "delete",
        HEARTBEAT,
        "stopBeating",
        || routing::delete(users::stop_beating),
        "Heartbeats keep the user online no longer.",
        &[(204, "No heartbeat keeps it online now.", Content::Nothing)],
    ),
    operation(
        "delete",
        "/v1/users/{user}/connections",
        "kick",
        || routing::delete(users::kick),
        "Ends the user's connections, and what only grace keeps. For back ends.",
        &[(200, "How many there were.", json::<Kicked>())],
    ),
    operation(
        "get",
        "/healthz",
        "healthz",
        || routing::get(health::healthz),
        "Whether the broker is alive.",
        &[(200, "It is.", json::<Health>())],
    ),
    operation(
        "get",
        "/readyz",
        "readyz",
        || routing::get(health::readyz),
        "Whether the broker is ready for new clients.",
        &[(200, "It is.", json::<Health>())],
    )
    .refuses(&[503]),
    operation(
        "get",
        "/metrics",
        "metrics",
        || routing::get(health::metrics),
        "Everything in numbers, as Prometheus reads it.",
        &[(200, "The numbers.", Content::Text("application/openmetrics-text"))],
    ),
    operation(
        "get",
        "/openapi.json",
        "openapi",
        || routing::get(openapi::document),
        "This document.",
        &[(200, "It.", json::<Map<String, Value>>())],
    ),
];
