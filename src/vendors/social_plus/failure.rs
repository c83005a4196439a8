//! What goes wrong, as social.plus says it. Without `status` its library can't read an error, and
//! its code for a bad token ends the session: so that stands for nothing else.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use herenow_protocol::{ErrorCode, Refusal};
use serde::Serialize;

use crate::vendors::refusing::refused;
use crate::web::problem::{Problem, status_of};

const MALFORMED: u32 = 400_000;
const BAD_TOKEN: u32 = 400_100;
const FORBIDDEN: u32 = 400_300;
const NOT_FOUND: u32 = 400_400;
const CONFLICT: u32 = 400_900;
const OTHER: u32 = 500_000;

/// What goes wrong.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    refusal: Refusal,
}

#[derive(Serialize)]
struct Body<'a> {
    status: &'a str,
    code: u32,
    message: &'a str,
    data: Data,
}

#[derive(Serialize)]
struct Data {}

impl Failure {
    /// There is no such path, or not for this method.
    #[must_use]
    pub fn no_such_path() -> Self {
        Refusal::new(ErrorCode::NotFound, "there is no such path, or not for this method").into()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { status: status_of(refusal.code), refusal }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let (status, refusal) = problem.into_parts();
        Self { status, refusal }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, refusal } = self;
        let (code, message) = (number_of(refusal.code), &*refusal.message);
        refused(status, Body { status: "error", code, message, data: Data {} }, &refusal)
    }
}

fn number_of(code: ErrorCode) -> u32 {
    match code {
        ErrorCode::BadJson
        | ErrorCode::UnknownType
        | ErrorCode::MissingField
        | ErrorCode::InvalidField
        | ErrorCode::TooLarge => MALFORMED,
        ErrorCode::Unauthenticated | ErrorCode::TokenExpired => BAD_TOKEN,
        ErrorCode::Forbidden | ErrorCode::PresenceDisabled => FORBIDDEN,
        ErrorCode::NotFound | ErrorCode::MethodNotAllowed => NOT_FOUND,
        ErrorCode::NotJoined | ErrorCode::ChannelFull | ErrorCode::TooManyChannels => CONFLICT,
        ErrorCode::RateLimited | ErrorCode::Unavailable | ErrorCode::Internal => OTHER,
    }
}
