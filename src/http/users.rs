//! Users apart from any channel: their status, their heartbeats, their connections.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use herenow_protocol::reply::HeartbeatInfo;
use herenow_protocol::request::MAX_USERS;
use herenow_protocol::{ErrorCode, Refusal, UserId, UserStatus, parse};

use super::shapes::{Beating, Kicked, StatusList};
use crate::auth::KeyRight;
use crate::web::caller::Caller;
use crate::web::input::{JsonText, OfUser, Query};
use crate::web::problem::Problem;
use crate::web::state::Web;

/// A user's status. Who was never there is not found.
pub async fn status(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    OfUser(user): OfUser,
) -> Result<Json<UserStatus>, Problem> {
    caller.may_watch(&user, "user")?;
    shown(&api, &caller, &user).map(Json).ok_or_else(|| {
        Refusal::field(ErrorCode::NotFound, "user", "has no status: it was never there").into()
    })
}

/// The status as the caller may see it: users and back ends that act for them see all of it.
fn shown(api: &Web, caller: &Caller, user: &UserId) -> Option<UserStatus> {
    let whole = caller.is(user) || matches!(caller, Caller::Key(_));
    api.hub.status(user, whole, api.hub.clock().now())
}

/// The status of several users at once. Those of whom nothing is known are left out.
pub async fn statuses(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    query: Query,
) -> Result<Json<StatusList>, Problem> {
    let mut users = ids(&query)?;
    users.iter().try_for_each(|user| caller.may_watch(user, "ids"))?;
    let mut seen = std::collections::HashSet::new();
    users.retain(|user| seen.insert(user.clone()));
    let users = users.iter().filter_map(|user| shown(&api, &caller, user)).collect();
    Ok(Json(StatusList { users }))
}

/// The users that `ids` names, with commas between them: whoever has a comma in its name is asked
/// for alone.
fn ids(query: &Query) -> Result<Vec<UserId>, Refusal> {
    let mut users = Vec::new();
    for list in query.all("ids") {
        for name in list.split(',') {
            if users.len() == MAX_USERS {
                let rule = format_args!("must be at most {MAX_USERS} users");
                return Err(Refusal::invalid("ids", rule));
            }
            users.push(UserId::parse(name, "ids")?);
        }
    }
    if users.is_empty() { Err(Refusal::missing("ids")) } else { Ok(users) }
}

/// Changes a user's status, and answers it as the user sees it.
pub async fn set_status(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    OfUser(user): OfUser,
    JsonText(body): JsonText,
) -> Result<Json<UserStatus>, Problem> {
    caller.may_write(&user)?;
    let now = api.hub.clock().now();
    api.hub.set_status(&user, parse::status(&body)?, now);
    let status = api.hub.status(&user, true, now);
    Ok(Json(status.unwrap_or_else(|| UserStatus::unknown(user))))
}

/// A heartbeat: the user is online for the presence timeout.
pub async fn beat(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    OfUser(user): OfUser,
) -> Result<Json<Beating>, Problem> {
    caller.may_write(&user)?;
    api.hub.heartbeat_user(&user, caller.info(), api.hub.clock().now())?;
    let heartbeat: HeartbeatInfo = api.rules.heartbeat();
    Ok(Json(Beating { user, heartbeat }))
}

/// Heartbeats keep the user online no longer.
pub async fn stop_beating(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    OfUser(user): OfUser,
) -> Result<StatusCode, Problem> {
    caller.may_write(&user)?;
    api.hub.stop_heartbeat(&user);
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the user's connections.
pub async fn kick(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    OfUser(user): OfUser,
) -> Result<Json<Kicked>, Problem> {
    caller.may_operate(KeyRight::Kick)?;
    let closed = api.hub.kick(&user, api.hub.clock().now()) as u64;
    Ok(Json(Kicked { user, closed }))
}
