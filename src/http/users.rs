//! Users apart from any channel: their status, their heartbeats, their connections.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use herenow_protocol::request::MAX_USERS;
use herenow_protocol::{Heartbeat, Refusal, UserId, UserStatus, parse};

use super::shapes::{Answered, Beating, ConnectionList, ConnectionView, Kicked, StatusList};
use crate::auth::Credential;
use crate::hub::LiveConnection;
use crate::limits::LIST_MAX;
use crate::web::input::{JsonText, OfConnection, OfUser, Query};
use crate::web::problem::Problem;
use crate::web::state::Web;

/// A user's status. Who was never there is not found.
pub async fn status(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfUser(user): OfUser,
) -> Result<Json<Answered<UserStatus>>, Problem> {
    let status = web.desk.status(credential.caller(), &user, web.desk.now()).await?;
    Ok(Json(status.into()))
}

/// The status of several users at once. Those of whom nothing is known are left out.
pub async fn statuses(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    query: Query,
) -> Result<Json<Answered<StatusList>>, Problem> {
    let known = web.desk.statuses(credential.caller(), ids(&query)?, web.desk.now()).await?;
    Ok(Json(known.map(|users| StatusList { users }).into()))
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
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfUser(user): OfUser,
    JsonText(body): JsonText,
) -> Result<Json<Answered<UserStatus>>, Problem> {
    let (caller, now) = (credential.caller(), web.desk.now());
    let status = web.desk.change_status(caller, &user, parse::status(&body)?, now).await?;
    Ok(Json(status.into()))
}

/// A heartbeat: the user is online for the presence timeout.
pub async fn beat(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfUser(user): OfUser,
    JsonText(body): JsonText,
) -> Result<Json<Beating>, Problem> {
    let said = if body.trim().is_empty() { Heartbeat::default() } else { parse::heartbeat(&body)? };
    let heartbeat = web.desk.heartbeat(credential.caller(), &user, said, web.desk.now())?;
    Ok(Json(Beating { user, heartbeat }))
}

/// Heartbeats keep the user online no longer.
pub async fn stop_beating(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfUser(user): OfUser,
) -> Result<StatusCode, Problem> {
    web.desk.stop_heartbeat(credential.caller(), &user)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Signs the user out.
pub async fn kick(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfUser(user): OfUser,
    query: Query,
) -> Result<Json<Answered<Kicked>>, Problem> {
    let keeps_leases = match query.text("leases").as_deref() {
        None => false,
        Some("keep") => true,
        Some(_) => return Err(Refusal::invalid("leases", "must be \"keep\", or absent").into()),
    };
    let (caller, now) = (credential.caller(), web.desk.now());
    let known = web.desk.kick(caller, user.clone(), keeps_leases, now).await?;
    Ok(Json(known.map(|closed| Kicked { user, closed }).into()))
}

/// By which connections the user is here.
pub async fn connections(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfUser(user): OfUser,
    query: Query,
) -> Result<Json<Answered<ConnectionList>>, Problem> {
    let (limit, after) = (query.number("limit", 1, LIST_MAX as u64)?, query.text("after"));
    let (caller, now) = (credential.caller(), web.desk.now());
    let seen = web.desk.connections(caller, &user, limit, after, now).await?;
    let view = |LiveConnection { number, last_seen, channels }| ConnectionView {
        connection: web.desk.hub().name_of_connection(number),
        last_seen,
        channels,
    };
    let connections: Vec<_> = seen.found.into_iter().map(view).collect();
    let next = connections.last().filter(|_| seen.more).map(|last| last.connection.clone());
    let is = ConnectionList { user, connections, next };
    Ok(Json(Answered { is, partial: seen.partial }))
}

/// Ends one of the user's connections.
pub async fn kick_one(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfConnection(user, connection): OfConnection,
) -> Result<Json<Kicked>, Problem> {
    let closed = web.desk.kick_one(credential.caller(), &user, &connection)?;
    Ok(Json(Kicked { user, closed: u64::from(closed) }))
}
