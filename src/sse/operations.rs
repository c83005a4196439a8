//! The streams, as a table.

use axum::routing;
use herenow_protocol::Level;
use serde_json::json;

use super::answer::{self, LAST_EVENT_ID_PARAMETER};
use crate::limits::{MAX_PATTERN_BYTES, MAX_PATTERNS};
use crate::web::operation::{Content, Operation, Parameter, ParameterPlace, operation, value_of};

const EVENT_STREAM: Content = Content::Text("text/event-stream");

const LEVEL: Parameter = Parameter::query(
    "level",
    "How much to tell, as with subscribe: auto if absent.",
    value_of::<Level>,
);

const TOKEN: Parameter = Parameter::query(
    "token",
    "A user's token, for clients that can set no header, as EventSource.",
    |_| json!({"type": "string"}),
);

const LAST_ID: Parameter = Parameter {
    name: "Last-Event-ID",
    place: ParameterPlace::Header,
    required: false,
    description: "The id of the last event that came: the stream goes on behind it, if what was \
        missed is still there. Otherwise it begins anew, as with any text that is no such id.",
    schema: |_| json!({"type": "string"}),
};

const LAST_ID_IN_QUERY: Parameter = Parameter::query(
    LAST_EVENT_ID_PARAMETER,
    "The same, for clients that can set no header. The header counts first.",
    |_| json!({"type": "string"}),
);

const CHANNELS: Parameter = Parameter {
    name: "channels",
    place: ParameterPlace::QueryList,
    required: true,
    description: "Patterns of names, with commas between them: * is any run of characters.",
    schema: |_| {
        let item = json!({"type": "string", "pattern": "^[^,]+$", "maxLength": MAX_PATTERN_BYTES});
        json!({"type": "array", "minItems": 1, "maxItems": MAX_PATTERNS, "items": item})
    },
};

/// The streams.
pub const OPERATIONS: &[Operation] = &[
    operation(
        "get",
        "/v1/channels/{channel}/events",
        "followChannel",
        || routing::get(answer::of_channel),
        "What becomes of a channel, as server-sent events. The data of each is a frame as over \
         WebSocket.",
        &[(200, "Each change, as long as the client listens.", EVENT_STREAM)],
    )
    .parameters(&[LEVEL, LAST_ID, LAST_ID_IN_QUERY, TOKEN])
    .token_in_address(),
    operation(
        "get",
        "/v1/users/{user}/events",
        "followUser",
        || routing::get(answer::of_user),
        "What becomes of a user's status, as server-sent events: it as it is, and each change. The data \
         of each is a status frame as over WebSocket.",
        &[(200, "Each change, as long as the client listens.", EVENT_STREAM)],
    )
    .parameters(&[TOKEN])
    .token_in_address(),
    operation(
        "get",
        "/v1/events",
        "followChannels",
        || routing::get(answer::of_patterns),
        "The same of all channels that match, those to come included. For back ends.",
        &[(200, "Each change, as long as the client listens.", EVENT_STREAM)],
    )
    .parameters(&[CHANNELS, LEVEL, TOKEN])
    .refuses(&[503])
    .token_in_address(),
];
