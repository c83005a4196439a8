//! Refusals in Appwrite's shape: its libraries make an `AppwriteException` of them.

use std::borrow::Cow;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use herenow_protocol::{ErrorCode, Refusal};
use serde::Serialize;

use crate::vendors::refusing::refused;

/// The version of Appwrite's server that answers name.
const VERSION: &str = "1.9.0";

/// A refusal.
#[derive(Debug)]
pub struct Fault {
    /// The status, which the libraries show as `code`.
    pub status: StatusCode,
    /// The kind, for programs.
    pub kind: &'static str,
    /// For people.
    pub message: Cow<'static, str>,
    /// The same of ours, for whoever counts refusals.
    pub code: ErrorCode,
    retry_after_ms: Option<u64>,
}

/// The body of an answer that refuses.
#[derive(Serialize)]
struct Told<'a> {
    message: &'a str,
    code: u16,
    #[serde(rename = "type")]
    kind: &'static str,
    version: &'static str,
}

impl Fault {
    fn new(
        status: u16,
        kind: &'static str,
        code: ErrorCode,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, kind, message: message.into(), code, retry_after_ms: None }
    }

    /// An argument that breaks a rule, which `message` names.
    pub fn argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "general_argument_invalid", ErrorCode::InvalidField, message)
    }

    /// A query that breaks a rule.
    pub fn query(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "general_query_invalid", ErrorCode::InvalidField, message)
    }

    /// A cursor at which there is nothing that the caller may see.
    pub fn cursor() -> Self {
        let message = "The cursor names no presence that can be read.";
        Self::new(400, "general_cursor_not_found", ErrorCode::NotFound, message)
    }

    /// Something that guests, or clients, may not do at all.
    pub fn scope(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(401, "general_unauthorized_scope", ErrorCode::Unauthenticated, message)
    }

    /// A record that is there for the caller to read, and not to change.
    pub fn not_yours() -> Self {
        let message = "The current user is not authorized to perform the requested action.";
        Self::new(401, "user_unauthorized", ErrorCode::Forbidden, message)
    }

    /// No record, or one that the caller may not read.
    pub fn absent() -> Self {
        let message = "Presence with the requested ID could not be found.";
        Self::new(404, "presence_not_found", ErrorCode::NotFound, message)
    }

    /// An id that is another user's.
    pub fn taken() -> Self {
        let message = "Presence with the requested ID already exists.";
        Self::new(409, "presence_already_exists", ErrorCode::InvalidField, message)
    }

    /// No such path, or not with this method.
    pub fn no_route() -> Self {
        let message =
            "The requested route was not found. Please refer to the API docs and try again.";
        Self::new(404, "general_route_not_found", ErrorCode::NotFound, message)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let (status, kind) = match refusal.code {
            ErrorCode::BadJson
            | ErrorCode::UnknownType
            | ErrorCode::MissingField
            | ErrorCode::InvalidField
            | ErrorCode::NotJoined
            | ErrorCode::TooLarge => (400, "general_argument_invalid"),
            ErrorCode::Unauthenticated | ErrorCode::TokenExpired => (401, "user_jwt_invalid"),
            ErrorCode::Forbidden if refusal.field == Some("origin") => {
                (403, "general_unknown_origin")
            }
            ErrorCode::Forbidden => (401, "user_unauthorized"),
            ErrorCode::PresenceDisabled => (403, "general_service_disabled"),
            ErrorCode::NotFound | ErrorCode::MethodNotAllowed => (404, "general_route_not_found"),
            ErrorCode::RateLimited => (429, "general_rate_limit_exceeded"),
            ErrorCode::ChannelFull | ErrorCode::TooManyChannels | ErrorCode::Unavailable => {
                (503, "general_resource_limit_exceeded")
            }
            ErrorCode::Internal => (500, "general_unknown"),
        };
        let fault = Self::new(status, kind, refusal.code, refusal.message);
        Self { retry_after_ms: refusal.retry_after_ms, ..fault }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let Self { status, kind, message, code, retry_after_ms } = self;
        let refusal = Refusal { retry_after_ms, ..Refusal::new(code, message) };
        let message = &*refusal.message;
        let body = Told { message, code: status.as_u16(), kind, version: VERSION };
        refused(status, body, &refusal)
    }
}
