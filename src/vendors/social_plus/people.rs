//! Logins, names, and the presence of users.

use axum::extract::{Request, State};
use axum::{Extension, Json};
use herenow_protocol::{Attributes, ErrorCode, Heartbeat, Refusal, StatusPatch};
use serde_json::{Value, json};

use super::failure::Failure;
use super::input::{Login, enabled, user_ids};
use super::session::{asker, identify, info_of, open_token};
use super::shapes::{Done, Enabled, Session, User, Users, settings};
use crate::auth::Credential;
use crate::limits::{SOCIAL_PLUS_BEAT_MS, SOCIAL_PLUS_SESSION_MS};
use crate::web::input::{Query, text_of};
use crate::web::state::Web;

/// Begins a session.
pub async fn log_in(State(web): State<Web>, request: Request) -> Result<Json<Session>, Failure> {
    let login = Login::parse(&text_of(request, &web).await?)?;
    let (auth, now) = (web.desk.auth(), web.desk.now());
    if auth.is_open() {
        let info = info_of(login.display_name.as_deref())?;
        let token = open_token(&login.user, login.display_name.as_deref());
        let ends_unix_ms = now.unix_ms + SOCIAL_PLUS_SESSION_MS;
        let user = User::new(&login.user, &info);
        return Ok(Json(Session::new(token, user, now.unix_ms, ends_unix_ms)));
    }
    let token = login.auth_token.ok_or_else(|| {
        Refusal::field(ErrorCode::Unauthenticated, "authToken", "is required: a user's token")
    })?;
    let credential = identify(auth, &token, now)?;
    let caller = credential.caller();
    if !caller.is(&login.user) {
        let rule = "must be the user whose token authToken is";
        return Err(Refusal::field(ErrorCode::Forbidden, "userId", rule).into());
    }
    let issued_unix_ms = caller.issued_unix_ms().unwrap_or(now.unix_ms);
    let ends_unix_ms = caller.expires_unix_ms().unwrap_or(u64::MAX);
    let user = User::new(&login.user, caller.info().unwrap_or(&Attributes::EMPTY));
    Ok(Json(Session::new(token, user, issued_unix_ms, ends_unix_ms)))
}

/// The settings of chats, of which there are none.
pub async fn network_settings() -> Json<Value> {
    Json(json!({ "enabled": true, "mention": {}, "messagePreview": { "enabled": false } }))
}

/// Whether there is presence, for the network and for the user, and how often to say that one is
/// there.
pub async fn presence_settings(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
) -> Result<Json<Value>, Failure> {
    let (rules, user, now) = (web.desk.rules(), asker(&credential)?, web.desk.now());
    let status = web.desk.own_status(credential.caller(), user, now).await?.is;
    let since = status.updated_at.unwrap_or(now.unix_ms);
    let beat_ms = rules.heartbeat.interval_ms.min(SOCIAL_PLUS_BEAT_MS);
    Ok(Json(settings(rules.enabled && !status.invisible, since, beat_ms)))
}

/// The users that are asked for, each by what the asker may know of it: whoever is left out vanishes
/// from the list of a room, where it was shown.
pub async fn users(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    query: Query,
) -> Result<Json<Users>, Failure> {
    let (caller, now) = (credential.caller(), web.desk.now());
    let mut users = Vec::new();
    for user in user_ids(&query)? {
        let info = web.desk.status(caller, &user, now).await.map(|status| status.is.info);
        users.push(User::new(&user, &info.unwrap_or_default()));
    }
    Ok(Json(Users { users, files: [] }))
}

/// Whether the presence of the user is on.
pub async fn is_enabled(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
) -> Result<Json<Enabled>, Failure> {
    Ok(Json(Enabled { enabled: shows(&web, &credential).await? }))
}

/// Switches the presence of the user on or off: off, it appears offline to all others.
pub async fn enable(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    request: Request,
) -> Result<Json<Enabled>, Failure> {
    let enabled = enabled(&text_of(request, &web).await?)?;
    let (caller, user, now) = (credential.caller(), asker(&credential)?, web.desk.now());
    let patch = StatusPatch { invisible: Some(!enabled), ..StatusPatch::default() };
    web.desk.change_status(caller, user, patch, now).await?;
    if !enabled {
        web.desk.stop_heartbeat(caller, user)?;
    }
    Ok(Json(Enabled { enabled }))
}

/// The user is online for a while, or for a while longer.
pub async fn beat(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
) -> Result<Json<Done>, Failure> {
    if !shows(&web, &credential).await? {
        let why =
            "the presence of this user is switched off: PUT {\"enabled\":true} switches it on";
        return Err(Refusal::new(ErrorCode::Forbidden, why).into());
    }
    let user = asker(&credential)?;
    web.desk.heartbeat(credential.caller(), user, Heartbeat::default(), web.desk.now())?;
    Ok(Json(Done::SUCCESS))
}

/// Heartbeats keep the user online no longer.
pub async fn stop(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
) -> Result<Json<Done>, Failure> {
    web.desk.stop_heartbeat(credential.caller(), asker(&credential)?)?;
    Ok(Json(Done::SUCCESS))
}

async fn shows(web: &Web, credential: &Credential) -> Result<bool, Refusal> {
    let (caller, user) = (credential.caller(), asker(credential)?);
    Ok(!web.desk.is_invisible(caller, user, web.desk.now()).await?)
}
