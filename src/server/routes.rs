//! What is served over HTTP.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use super::{Shared, demo, upgrade};

/// The routes.
pub fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(|| async { demo::page("index.html") }))
        .route("/{file}", get(demo::file))
        .route("/healthz", get(healthz))
        .route("/ws", get(upgrade::websocket))
        .with_state(shared)
}

/// Alive, and able to answer.
async fn healthz() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#)
}
