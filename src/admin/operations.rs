//! What the operator's page asks beyond the HTTP API of back ends, as a table.

use axum::routing;
use serde_json::json;

use super::answers::{self, KeyView, Overview};
use crate::web::operation::{Operation, Parameter, json as json_of, operation};

const SINCE: Parameter = Parameter::query(
    "since",
    "Only samples after that moment, in milliseconds since 1970: the `at` of the last one that came.",
    |_| json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
);

/// The broker as a whole, and who looks at it.
pub const OPERATIONS: &[Operation] = &[
    operation(
        "get",
        "/v1/overview",
        "readOverview",
        || routing::get(answers::overview),
        "The broker in numbers, now and over the last hour. For back ends.",
        &[(200, "The numbers.", json_of::<Overview>())],
    )
    .parameters(&[SINCE]),
    operation(
        "get",
        "/v1/key",
        "readKey",
        || routing::get(answers::key),
        "What the API key that asks is called, and what it may do.",
        &[(200, "The key.", json_of::<KeyView>())],
    ),
];
