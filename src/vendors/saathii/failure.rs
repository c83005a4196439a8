//! What goes wrong, as Saathii says it: a `detail`, which is a sentence, or a list of what is wrong
//! with a request.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use herenow_protocol::{ErrorCode, Refusal};
use serde_json::{Value, json};

use crate::vendors::refusing::refused;
use crate::web::problem::{Problem, status_of};

/// What goes wrong.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    detail: Value,
    refusal: Refusal,
}

/// One thing that is wrong with a request: the kind of mistake, where it is, and the rule.
pub type Fault<'a> = (&'a str, &'a [&'a str], &'a str);

impl Failure {
    /// The request can't be done, for the reason that Saathii's document gives in these words.
    #[must_use]
    pub fn bad_request(detail: &'static str) -> Self {
        let refusal = Refusal::new(ErrorCode::InvalidField, detail);
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into(), refusal }
    }

    /// The request says what it may not.
    #[must_use]
    pub fn unprocessable(faults: &[Fault<'_>]) -> Self {
        let detail = faults
            .iter()
            .map(|(kind, place, rule)| json!({ "type": kind, "loc": place, "msg": rule }));
        let refusal = Refusal::new(ErrorCode::InvalidField, "the request says what it may not");
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail: detail.collect(), refusal }
    }

    /// There is no such path.
    #[must_use]
    pub fn no_such_path() -> Self {
        let refusal = Refusal::new(ErrorCode::NotFound, "Not Found");
        Self { detail: "Not Found".into(), ..refusal.into() }
    }

    /// The path does not have this method.
    #[must_use]
    pub fn no_such_method() -> Self {
        Refusal::new(ErrorCode::MethodNotAllowed, "Method Not Allowed").into()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = status_of(refusal.code);
        let detail = match refusal.code {
            ErrorCode::Unauthenticated | ErrorCode::TokenExpired => {
                "Invalid or expired token".into()
            }
            ErrorCode::NotFound => "User status not found".into(),
            _ => Value::from(&*refusal.message),
        };
        Self { status, detail, refusal }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let (status, refusal) = problem.into_parts();
        Self { status, ..refusal.into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        refused(self.status, json!({ "detail": self.detail }), &self.refusal)
    }
}
