//! What is served over HTTP.

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;

use super::{demo, upgrade};
use crate::http::{Api, admit, problem, v1, watch};

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .nest("/v1", v1(api.clone()))
        .route("/", get(|| async { demo::page("index.html") }))
        .route("/{file}", get(demo::file))
        .route("/client/{file}", get(demo::client))
        .merge(watch())
        .route("/ws", get(upgrade::websocket))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(middleware::map_response(guarded))
        .with_state(api)
}

/// Not the answer to a handshake: it is no document, and every byte of it is sent to each client.
async fn guarded(mut response: Response) -> Response {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        admit::guard(&mut response);
    }
    response
}
