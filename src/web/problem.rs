//! Refusals as problem details (RFC 9457): the same codes as over WebSocket, each with its status.

use axum::Json;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use herenow_protocol::{ErrorCode, Refusal};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A request that was refused.
#[derive(Debug)]
pub struct Problem {
    refusal: Refusal,
    status: StatusCode,
}

/// What the body says.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// Names the kind of problem: `code` as a URN. It leads nowhere.
    pub r#type: String,
    /// The status in words.
    pub title: &'static str,
    /// The status.
    pub status: u16,
    /// One plain sentence that names the field and the rule, for a person.
    pub detail: String,
    /// For programs.
    pub code: ErrorCode,
    /// The parameter, header or field of the body that is at fault, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    /// When to try again, in milliseconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The broker's wall clock in milliseconds since 1970, where a token was refused for its times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<u64>,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = status_of(refusal.code);
        Self { refusal, status }
    }
}

impl Problem {
    /// A refusal whose status is not the usual one of its code.
    #[must_use]
    pub fn with_status(status: StatusCode, refusal: Refusal) -> Self {
        Self { refusal, status }
    }

    /// The status and the refusal, for whoever tells it in another shape.
    #[must_use]
    pub fn into_parts(self) -> (StatusCode, Refusal) {
        (self.status, self.refusal)
    }

    /// An answer that a page of any origin may read: a browser tells a page nothing of a WebSocket that
    /// was refused, so the page asks by a plain request why. It says no more than that.
    #[must_use]
    pub fn for_any_page(self) -> Response {
        let mut response = self.into_response();
        let any = HeaderValue::from_static("*");
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
        response
    }
}

/// The status that tells of a code.
#[must_use]
pub fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadJson
        | ErrorCode::UnknownType
        | ErrorCode::MissingField
        | ErrorCode::InvalidField => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated | ErrorCode::TokenExpired => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden | ErrorCode::PresenceDisabled => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::NotJoined | ErrorCode::ChannelFull | ErrorCode::TooManyChannels => {
            StatusCode::CONFLICT
        }
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The code as it is written.
fn name_of(code: ErrorCode) -> String {
    match serde_json::to_value(code) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { refusal, status } = self;
        let code = refusal.code;
        let retry_after_ms = refusal.retry_after_ms;
        let details = Details {
            r#type: format!("urn:herenow:error:{}", name_of(code)),
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: refusal.message.into_owned(),
            code,
            field: refusal.field,
            retry_after_ms,
            now: refusal.now,
        };
        let mut response = (status, Json(details)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(ms) = retry_after_ms {
            headers.insert(RETRY_AFTER, ms.div_ceil(1_000).into());
        }
        // For whoever counts refusals.
        response.extensions_mut().insert(code);
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Answers what is no path of ours.
pub async fn no_such_path() -> Problem {
    absent()
}

/// That there is no such path.
#[must_use]
pub fn absent() -> Problem {
    Refusal::new(ErrorCode::NotFound, "there is no such path").into()
}

/// Answers a method that the path does not have, and `OPTIONS`. The router adds `Allow`.
pub async fn no_such_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let refusal = Refusal::new(
        ErrorCode::MethodNotAllowed,
        "the path does not have this method; the header Allow names those that it has",
    );
    Problem::from(refusal).into_response()
}
