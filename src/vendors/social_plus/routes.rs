//! What is answered where.

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::failure::Failure;
use super::input::ROOMS;
use super::manner::{NETWORK_SETTINGS, PRESENCE_SETTINGS, SESSIONS, SocialPlus};
use super::{people, rooms};
use crate::web::admit::admitted;
use crate::web::state::Web;

/// The routes.
pub fn routes(web: &Web) -> Router<Web> {
    let routes = Router::new()
        .route(SESSIONS, post(people::log_in))
        .route(NETWORK_SETTINGS, get(people::network_settings))
        .route(PRESENCE_SETTINGS, get(people::presence_settings))
        .route("/api/v3/users/list", get(people::users))
        .route(&format!("{ROOMS}{{*asked}}"), get(rooms::read).post(rooms::beat))
        .route("/api/v1/presence/user", get(people::is_enabled).put(people::enable))
        .route("/api/v1/presence/user/heartbeat", post(people::beat).delete(people::stop))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_path);
    Router::new().nest("/social-plus", admitted(web.clone(), SocialPlus, routes))
}

/// A page may ask anything, and be refused in words that it can read.
async fn no_such_path(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Failure::no_such_path().into_response()
}
