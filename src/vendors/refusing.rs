//! What a refusal's answer carries, in whatever shape its body is.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use herenow_protocol::Refusal;
use serde::Serialize;

/// The answer that tells of `refusal` by `status` and `body`.
pub fn refused(status: StatusCode, body: impl Serialize, refusal: &Refusal) -> Response {
    let mut response = (status, Json(body)).into_response();
    // For whoever counts refusals.
    response.extensions_mut().insert(refusal.code);
    let headers = response.headers_mut();
    if let Some(ms) = refusal.retry_after_ms {
        headers.insert(RETRY_AFTER, ms.div_ceil(1_000).into());
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
