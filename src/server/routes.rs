//! What is served over HTTP.

use axum::Router;
use axum::routing::get;

use super::{demo, upgrade};
use crate::http::{Api, openapi, problem, v1, watch};

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .nest("/v1", v1(api.clone()))
        .route("/", get(|| async { demo::page("index.html") }))
        .route("/{file}", get(demo::file))
        .merge(watch())
        .route("/openapi.json", get(openapi::document))
        .route("/ws", get(upgrade::websocket))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .with_state(api)
}
