//! Members of a channel: who is there, and being there without a socket.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, StatusCode};
use axum::{Extension, Json};
use herenow_protocol::{Lease, parse};

use super::shapes::{Answered, LeasedMember, MemberList, OneMember};
use crate::auth::Credential;
use crate::limits::LIST_MAX;
use crate::presence::{Keeper, Member};
use crate::web::compressed::ForAll;
use crate::web::input::{JsonText, OfChannel, OfMember, Query};
use crate::web::problem::Problem;
use crate::web::state::Web;

/// A list may be a little old; whose it is depends on who asks.
const CACHED: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "private, max-age=3")];

/// A list, and whether everyone may see all who stand in it.
type Listed =
    ([(HeaderName, &'static str); 1], Option<Extension<ForAll>>, Json<Answered<MemberList>>);

/// Who is in a channel, newest first.
pub async fn list(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfChannel(channel): OfChannel,
    query: Query,
) -> Result<Listed, Problem> {
    let limit = query.number("limit", 1, LIST_MAX as u64)?;
    let after = query.number("after", 0, u64::MAX)?;
    let known = web.desk.list(credential.caller(), &channel, limit, after).await?;
    let for_all = known.is.1.is_for_all().then_some(Extension(ForAll));
    let list = known.map(|(count, page)| {
        let members = page.members.iter().map(|member| member.view()).collect();
        MemberList { channel, count, members, next: page.next }
    });
    Ok((CACHED, for_all, Json(list.into())))
}

/// One member. Who is not there and whom the caller may not see are answered alike.
pub async fn read(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfMember(channel, user): OfMember,
) -> Result<Json<Answered<OneMember>>, Problem> {
    let now = web.desk.now();
    let known = web.desk.member_seen(credential.caller(), &channel, &user, now).await?;
    let member = |(member, last_seen): (Arc<Member>, u64)| {
        let member = member.view();
        OneMember { channel, member, last_seen }
    };
    Ok(Json(known.map(member).into()))
}

/// Makes the user present for a while, or for a while longer.
pub async fn lease(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfMember(channel, user): OfMember,
    JsonText(body): JsonText,
) -> Result<(StatusCode, Json<LeasedMember>), Problem> {
    let asked = if body.trim().is_empty() { Lease::default() } else { parse::lease(&body)? };
    let leased = web
        .desk
        .lease(credential.caller(), &channel, &user, asked, Keeper::Herenow, web.desk.now())
        .await?;
    let status = if leased.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let (visible_to, heartbeat) = (leased.visible_to(), leased.heartbeat);
    let member = leased.member.view();
    Ok((status, Json(LeasedMember { channel, member, visible_to, heartbeat })))
}

/// Ends the user's lease. Connections that joined keep the user present.
pub async fn end(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfMember(channel, user): OfMember,
) -> Result<StatusCode, Problem> {
    web.desk
        .end_lease(credential.caller(), &channel, user, Keeper::Herenow, web.desk.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
