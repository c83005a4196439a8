//! What is answered where. Two families of paths are one: the document has both.

use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use herenow_protocol::{ErrorCode, Heartbeat, Refusal, UserId};

use super::failure::Failure;
use super::input::{Id, change, ids};
use super::manner::Saathii;
use super::shapes::{Beaten, OwnStatus, UserPresence};
use crate::auth::Credential;
use crate::web::admit::admitted;
use crate::web::input::{Query, text_of};
use crate::web::state::Web;

/// The routes.
pub fn routes(web: &Web) -> Router<Web> {
    let own = || get(own_status).put(set_status);
    let routes = Router::new()
        .route("/both/status/me", own())
        .route("/users/me/status", own())
        .route("/both/status/heartbeat", post(beat))
        .route("/users/me/heartbeat", post(beat))
        .route("/users/presence", get(several))
        .route("/users/{id}/presence", get(one))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method);
    Router::new().nest("/saathii", admitted(web.clone(), Saathii, routes))
}

async fn own_status(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
) -> Result<Json<OwnStatus>, Failure> {
    own(&web, &credential).await
}

async fn set_status(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    request: Request,
) -> Result<Json<OwnStatus>, Failure> {
    let change = change(&text_of(request, &web).await?)?;
    let (caller, (_, user), now) = (credential.caller(), asker(&credential)?, web.desk.now());
    // First what may be refused, so that nothing is half done.
    if change.online == Some(true) {
        web.desk.heartbeat(caller, user, Heartbeat::default(), now)?;
    }
    web.desk.change_status(caller, user, change.patch, now).await?;
    if change.online == Some(false) {
        web.desk.stop_heartbeat(caller, user)?;
    }
    own(&web, &credential).await
}

async fn beat(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
) -> Result<Json<Beaten>, Failure> {
    let (_, user) = asker(&credential)?;
    web.desk.heartbeat(credential.caller(), user, Heartbeat::default(), web.desk.now())?;
    Ok(Json(Beaten::RECEIVED))
}

async fn one(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    Path(id): Path<String>,
) -> Result<Json<UserPresence>, Failure> {
    let (id, now) = (Id::in_path(&id)?, web.desk.now());
    let status = web.desk.status(credential.caller(), &id.user()?, now).await?.is;
    Ok(Json(UserPresence::new(id, &status, now)))
}

async fn several(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    query: Query,
) -> Result<Json<Vec<UserPresence>>, Failure> {
    let (ids, now) = (ids(&query)?, web.desk.now());
    let users = ids.into_iter().map(Id::user).collect::<Result<Vec<_>, _>>()?;
    let statuses = web.desk.statuses(credential.caller(), users, now).await?.is;
    let shown = statuses.iter().filter_map(|status| {
        Some(UserPresence::new(Id::parse(status.user.as_str())?, status, now))
    });
    Ok(Json(shown.collect()))
}

async fn own(web: &Web, credential: &Credential) -> Result<Json<OwnStatus>, Failure> {
    let ((id, user), now) = (asker(credential)?, web.desk.now());
    let status = web.desk.own_status(credential.caller(), user, now).await?.is;
    Ok(Json(OwnStatus::new(id, &status, now)))
}

/// The user that asks.
fn asker(credential: &Credential) -> Result<(Id, &UserId), Refusal> {
    let user = credential.caller().user();
    let asker = user.and_then(|user| Some((Id::parse(user.as_str())?, user)));
    asker.ok_or_else(|| Refusal::new(ErrorCode::Unauthenticated, "a user's token is required"))
}

/// A page may ask anything, and be refused in words that it can read.
async fn no_such_path(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Failure::no_such_path().into_response()
}

async fn no_such_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Failure::no_such_method().into_response()
}
