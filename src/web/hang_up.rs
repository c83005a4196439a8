//! Not answering: for clients that take any refusal for the last word, and come back after a
//! connection that broke.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

#[derive(Clone, Copy)]
struct HangUp;

/// Instead of an answer the connection breaks. Counted as 503.
#[must_use]
pub fn hang_up() -> Response {
    let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
    response.extensions_mut().insert(HangUp);
    response
}

/// Whether this is not to be sent.
#[must_use]
pub fn is_hang_up(response: &Response) -> bool {
    response.extensions().get::<HangUp>().is_some()
}
