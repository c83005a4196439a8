//! Members of a channel: who is there, and being there without a socket.

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, StatusCode};
use axum::{Extension, Json};
use herenow_protocol::reply::HeartbeatInfo;
use herenow_protocol::{Audience, ErrorCode, Lease, LeaveReason, Refusal, parse};

use super::shapes::{LeasedMember, MemberList, OneMember};
use crate::auth::Right;
use crate::limits::{LIST_DEFAULT, LIST_MAX};
use crate::presence::{Command, LEASE, Lasts, Viewer};
use crate::web::caller::Caller;
use crate::web::input::{JsonText, OfChannel, OfMember, Query};
use crate::web::problem::Problem;
use crate::web::state::Web;

/// A list may be a little old; whose it is depends on who asks.
const CACHED: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "private, max-age=3")];

/// Who is in a channel, newest first.
pub async fn list(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    OfChannel(channel): OfChannel,
    query: Query,
) -> Result<([(HeaderName, &'static str); 1], Json<MemberList>), Problem> {
    caller.may_read(Right::List, &channel)?;
    let limit = query.number("limit", 1, LIST_MAX as u64)?.unwrap_or(LIST_DEFAULT as u64);
    let after = query.number("after", 0, u64::MAX)?;
    let (count, page) = api.hub.members(&channel, limit as usize, after, caller.viewer());
    let members = page.members.iter().map(|member| member.view()).collect();
    Ok((CACHED, Json(MemberList { channel, count: count as u64, members, next: page.next })))
}

/// One member. Who is not there and whom the caller may not see are answered alike.
pub async fn read(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    OfMember(channel, user): OfMember,
) -> Result<Json<OneMember>, Problem> {
    if !caller.is(&user) {
        caller.may_read(Right::List, &channel)?;
    }
    let now = api.hub.clock().now();
    let Some((member, last_seen)) = api.hub.member_seen(&channel, &user, caller.viewer(), now)
    else {
        let rule = "is not a member of the channel";
        return Err(Refusal::field(ErrorCode::NotFound, "user", rule).into());
    };
    Ok(Json(OneMember { channel, member: member.view(), last_seen }))
}

/// Makes the user present for a while, or for a while longer.
pub async fn lease(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    OfMember(channel, user): OfMember,
    JsonText(body): JsonText,
) -> Result<(StatusCode, Json<LeasedMember>), Problem> {
    caller.may_join(&channel, &user)?;
    let asked = if body.trim().is_empty() { Lease::default() } else { parse::lease(&body)? };
    let ttl_ms = asked.ttl_ms.unwrap_or(api.rules.timeout_ms().min(api.lease_ms));
    if !(1..=api.lease_ms).contains(&ttl_ms) {
        let rule = format_args!("must be a whole number from 1 to {}", api.lease_ms);
        return Err(Refusal::invalid("ttlMs", rule).into());
    }
    let command = Command::Join {
        user: user.clone(),
        source: LEASE,
        attributes: asked.attributes,
        info: caller.info(),
        visible_to: asked.visible_to,
        lasts: Lasts::Lease { ttl_ms },
    };
    let now = api.hub.clock().now();
    let hub = &api.hub;
    let (before, member) = hub.enter(&channel, |shared, room| {
        let before = room.presence.member(&user, Viewer::All).is_some();
        hub.check_lease(room, &user)?;
        hub.apply(shared, room, command, now)?;
        Ok::<_, Refusal>((before, room.presence.member(&user, Viewer::All).cloned()))
    })?;
    let member = member.ok_or_else(|| Refusal::new(ErrorCode::Internal, "the lease is lost"))?;
    let heartbeat = HeartbeatInfo { interval_ms: (ttl_ms / 2).max(1), timeout_ms: ttl_ms };
    let visible_to =
        member.profile.as_ref().map_or(Audience::EVERYONE, |profile| profile.visible_to.clone());
    let status = if before { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(LeasedMember { channel, member: member.view(), visible_to, heartbeat })))
}

/// Ends the user's lease. Connections that joined keep the user present.
pub async fn end(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    OfMember(channel, user): OfMember,
) -> Result<StatusCode, Problem> {
    caller.may_write(&user)?;
    let now = api.hub.clock().now();
    if api.hub.find(&channel).is_some() {
        let command = Command::Leave { user, source: LEASE, reason: LeaveReason::Left };
        api.hub.enter(&channel, |shared, room| api.hub.apply(shared, room, command, now))?;
    }
    Ok(StatusCode::NO_CONTENT)
}
