//! Members of a channel: who is there, and being there without a socket.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, StatusCode};
use axum::{Extension, Json};
use herenow_protocol::{Lease, Refusal, parse};

use super::shapes::{
    Answered, LeasedMember, ListedMember, MemberList, OneMember, SourceKind, SourceView,
};
use crate::auth::Credential;
use crate::hub::Held;
use crate::limits::LIST_MAX;
use crate::presence::{Keeper, Member, Source};
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
    let (caller, desk) = (credential.caller(), &web.desk);
    let (known, sources) = if with_sources(&query)? {
        let now = desk.now();
        let listed = desk.list_with_sources(caller, &channel, limit, after, now).await?;
        (listed.0, Some(listed.1))
    } else {
        (desk.list(caller, &channel, limit, after).await?, None)
    };
    // How many windows somebody has open is not for all.
    let is_for_all = sources.is_none() && known.is.1.is_for_all();
    let list = known.map(|(count, page)| {
        let members = listed(&web, &page.members, sources);
        let (epoch, seq) = page.place.unzip();
        MemberList { channel, count, epoch, seq, members, next: page.next }
    });
    Ok((CACHED, is_for_all.then_some(Extension(ForAll)), Json(list.into())))
}

fn with_sources(query: &Query) -> Result<bool, Refusal> {
    match query.text("sources").as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Refusal::invalid("sources", "must be \"true\" or \"false\"")),
    }
}

/// Members, each with what keeps it present, if that was asked for.
fn listed(
    web: &Web,
    members: &[Arc<Member>],
    sources: Option<Vec<Vec<Held>>>,
) -> Vec<ListedMember> {
    let views = |held: Vec<Held>| held.into_iter().map(|held| source_view(web, held)).collect();
    let mut sources = sources.map(Vec::into_iter);
    let view = |member: &Arc<Member>| {
        let sources = sources.as_mut().and_then(Iterator::next).map(views);
        ListedMember { member: member.view(), sources }
    };
    members.iter().map(view).collect()
}

fn source_view(web: &Web, Held { source, last_seen, is_lost: lost }: Held) -> SourceView {
    let (kind, connection, node) = match source {
        Source::Connection(id) => {
            let name = web.desk.hub().name_of_connection(id.number());
            (SourceKind::Connection, Some(name), None)
        }
        Source::Lease(_) => (SourceKind::Lease, None, None),
        Source::Node(node) => (SourceKind::Node, None, Some(node.to_string())),
    };
    SourceView { kind, connection, node, lost, last_seen }
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
