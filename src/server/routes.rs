//! What is served over HTTP.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};

use super::{demo, upgrade};
use crate::connection::SocketRules;
use crate::crowd::{self, Crowds};
use crate::http::{Api, admit, admitted, problem, v1, watch};

/// The routes. Without `crowds` there is no path that asks for one.
pub fn router(api: Api, rules: Arc<SocketRules>, crowds: Option<Arc<Crowds>>) -> Router {
    let crowd = crowds.map_or_else(Router::new, |crowds| {
        let routes = get(crowd::route::read).put(crowd::route::set).layer(Extension(crowds));
        admitted(api.clone(), Router::new().route("/demo/crowd", routes))
    });
    Router::new()
        .nest("/v1", v1(api.clone()))
        .route("/", get(|| async { demo::page("index.html") }))
        .route("/{file}", get(demo::file))
        .route("/client/{file}", get(demo::client))
        .merge(watch())
        .merge(crowd)
        .route("/ws", get(upgrade::websocket).layer(Extension(rules)))
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
