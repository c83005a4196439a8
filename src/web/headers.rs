//! What every answer says of itself.

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::response::Response;
use tower_http::set_header::SetResponseHeaderLayer;

use super::state::Web;

/// `routes`, whose answers are what their content type says, and are kept by nobody unless they say
/// so themselves.
pub fn guarded(routes: Router<Web>) -> Router<Web> {
    routes.layer((
        SetResponseHeaderLayer::overriding(X_CONTENT_TYPE_OPTIONS, |response: &Response| {
            on_documents(response, "nosniff")
        }),
        SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, |response: &Response| {
            on_documents(response, "no-store")
        }),
    ))
}

/// Not on the answer to a handshake: it is no document, and every byte of it is sent to each client.
fn on_documents(response: &Response, value: &'static str) -> Option<HeaderValue> {
    let handshake = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    (!handshake).then(|| HeaderValue::from_static(value))
}
