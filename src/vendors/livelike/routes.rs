//! What is answered where.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use herenow_protocol::{ErrorCode, Refusal};

use super::listening::Listening;
use super::manner::{LiveLike, PROFILE, PubNub, SUBSCRIBE, TIME};
use super::shapes::{Refused, detail};
use super::{poll, presence, start};
use crate::web::admit::admitted;
use crate::web::state::Web;

/// The routes: LiveLike's below a prefix, and PubNub's at the root, where its library looks for them.
pub fn routes(web: &Web) -> Router<Web> {
    let listening = Listening::new(web);
    let livelike = Router::new()
        .route("/applications/{id}/", get(start::application))
        .route("/applications/{id}", get(start::application))
        .route(PROFILE, get(start::profile).post(start::guest))
        .route(PROFILE.trim_end_matches('/'), get(start::profile).post(start::guest))
        .fallback(async || detail(absent()))
        .method_not_allowed_fallback(async |method| no_such_method(&method, detail));
    let polls = Router::new().route("/{key}/{channels}/{callback}", get(poll::subscribe));
    let channel = "/sub-key/{key}/channel/{channels}";
    let presence = Router::new()
        .route("/sub-key/{key}", get(presence::everywhere))
        .route(channel, get(presence::here))
        .route(&format!("{channel}/heartbeat"), get(presence::heartbeat))
        .route(&format!("{channel}/leave"), get(presence::leave))
        .route(&format!("{channel}/uuid/{{*user}}"), get(presence::state))
        .route("/sub-key/{key}/uuid/{*user}", get(presence::whereabouts));
    let time = get(time).fallback(async |method| no_such_method(&method, refused));
    let time = admitted(web.clone(), PubNub, Router::new().route(TIME, time));
    Router::new()
        .nest("/livelike/api/v1", admitted(web.clone(), LiveLike, livelike))
        .nest(SUBSCRIBE, admitted(web.clone(), PubNub, in_pubnubs_shape(polls)))
        .nest("/v2/presence", admitted(web.clone(), PubNub, in_pubnubs_shape(presence)))
        .merge(time)
        .layer(Extension(listening))
}

fn in_pubnubs_shape(routes: Router<Web>) -> Router<Web> {
    routes
        .fallback(async || refused(absent()))
        .method_not_allowed_fallback(async |method| no_such_method(&method, refused))
}

fn refused(refusal: Refusal) -> Response {
    Refused(refusal).into_response()
}

fn absent() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such path")
}

fn no_such_method(method: &Method, tell: fn(Refusal) -> Response) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let rule = "the path does not have this method; the header Allow names those that it has";
    tell(Refusal::new(ErrorCode::MethodNotAllowed, rule))
}

/// What time it is, as a timetoken: whoever lost its connection asks until it is answered.
async fn time(
    State(web): State<Web>,
    Extension(listening): Extension<Arc<Listening>>,
) -> Result<Json<[u64; 1]>, Refused> {
    if web.desk.hub().is_draining() || *web.stopped().borrow() {
        let rule = "the broker is shutting down";
        return Err(Refusal::new(ErrorCode::Unavailable, rule).into());
    }
    let now = web.desk.now().unix_ms * super::stamps::PER_MS;
    Ok(Json([now.max(listening.last_stamp())]))
}
