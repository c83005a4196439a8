//! What is served over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use super::listener::Counted;
use super::{Shared, demo, upgrade};

/// The routes, for one connection: `counted` keeps it counted for as long as it lasts.
pub fn router(shared: Shared, counted: Arc<Counted>) -> Router {
    Router::new()
        .route("/", get(|| async { demo::page("index.html") }))
        .route("/{file}", get(demo::file))
        .route("/healthz", get(healthz))
        .route("/ws", get(upgrade::websocket))
        .with_state(upgrade::Entry { shared, counted })
}

/// Alive, and able to answer.
async fn healthz() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#)
}
