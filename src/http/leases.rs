//! Many leases in one request: for back ends that keep thousands present.

use std::collections::HashSet;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use futures_util::stream::{self, StreamExt};
use herenow_protocol::reply::HeartbeatInfo;
use herenow_protocol::{ChannelName, ErrorCode, Lease, Refusal, UserId, parse};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::auth::Credential;
use crate::limits::{LEASES_AT_ONCE, LEASES_BYTES, LEASES_MAX, LEASES_OF_A_REQUEST, LEASES_TURN};
use crate::presence::Keeper;
use crate::web::input::text_up_to;
use crate::web::limit::Account;
use crate::web::problem::{Problem, status_of};
use crate::web::state::Web;

/// Many leases to take, to refresh or to end.
#[derive(Debug, JsonSchema, Serialize)]
pub struct LeasesAsked {
    /// Each of another member, and each judged for itself: one that is nothing of the kind gets its own
    /// answer, and the others are done.
    #[schemars(schema_with = "leases_asked")]
    pub leases: Vec<LeaseAsked>,
}

/// What they should be; that any are let in, the document says as well.
fn leases_asked(generator: &mut SchemaGenerator) -> Schema {
    let items = json!({"anyOf": [generator.subschema_for::<LeaseAsked>(), true]});
    json_schema!({"type": "array", "minItems": 1, "maxItems": LEASES_MAX, "items": items})
}

/// One of them.
#[derive(Debug, JsonSchema, Serialize)]
pub struct LeaseAsked {
    /// Where.
    pub channel: ChannelName,
    /// Who.
    pub user: UserId,
    /// `true`: the lease ends, and nothing else is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<bool>,
    /// As one alone would be asked for.
    #[serde(flatten)]
    pub lease: Lease,
}

/// What became of each, in the order in which they were asked for.
#[derive(Debug, JsonSchema, Serialize)]
pub struct LeasesAnswered {
    /// As many as were asked for.
    pub leases: Vec<LeaseAnswered>,
}

/// What became of one.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseAnswered {
    /// The status that it would have had alone: 201, the user is present now; 200, it was already;
    /// 204, there is no lease now; otherwise why not.
    pub status: u16,
    /// How often to ask for the lease anew, and how long it lasts without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatInfo>,
    /// Why not, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// The field that is at fault, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    /// Why not, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The body, its items not looked at.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    leases: Option<Vec<&'a RawValue>>,
}

/// What an item has beside what one alone may ask for.
#[derive(Deserialize)]
struct Item {
    channel: Option<String>,
    user: Option<String>,
    end: Option<bool>,
}

/// One item, understood.
struct Asked {
    channel: ChannelName,
    user: UserId,
    /// `None`: it is to end.
    lease: Option<Lease>,
}

/// Takes, refreshes and ends many leases. Each is answered for itself, whatever becomes of the others.
pub async fn many(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    Extension(account): Extension<Account>,
    request: Request,
) -> Result<Json<LeasesAnswered>, Problem> {
    let (body, _held) = text_up_to(request, &web, LEASES_BYTES).await?;
    let items = items(&body)?;
    web.limiter.spend(account, items.len() / LEASES_OF_A_REQUEST, web.desk.now().mono_ms);
    let mut seen = HashSet::new();
    let asked: Vec<_> = items.into_iter().map(|item| asked(item, &mut seen)).collect();
    let (web, credential) = (&web, &credential);
    let answers = stream::iter(asked.into_iter().enumerate()).map(|(number, asked)| async move {
        if number % LEASES_TURN == 0 {
            tokio::task::yield_now().await;
        }
        let done = match asked {
            Ok(asked) => do_one(web, credential, asked).await,
            Err(refusal) => Err(refusal),
        };
        done.unwrap_or_else(refused)
    });
    // Where nodes share one presence most of the time is spent waiting for the store.
    Ok(Json(LeasesAnswered { leases: answers.buffered(LEASES_AT_ONCE).collect().await }))
}

fn items(body: &str) -> Result<Vec<&RawValue>, Refusal> {
    if !body.trim_start().starts_with('{') {
        return Err(Refusal::new(ErrorCode::BadJson, "the body is not a JSON object"));
    }
    let body: Body<'_> = serde_json::from_str(body).map_err(|error| {
        Refusal::new(ErrorCode::BadJson, format!("the body can't be read: {error}"))
    })?;
    let items = body.leases.ok_or_else(|| Refusal::missing("leases"))?;
    if !(1..=LEASES_MAX).contains(&items.len()) {
        let rule = format_args!("must be from 1 to {LEASES_MAX}");
        return Err(Refusal::invalid("leases", rule));
    }
    Ok(items)
}

fn asked(item: &RawValue, seen: &mut HashSet<(ChannelName, UserId)>) -> Result<Asked, Refusal> {
    let lease = parse::lease(item.get())?;
    let Item { channel, user, end } = serde_json::from_str(item.get()).map_err(|error| {
        Refusal::new(ErrorCode::BadJson, format!("the lease can't be read: {error}"))
    })?;
    let channel = channel.ok_or_else(|| Refusal::missing("channel"))?;
    let user = user.ok_or_else(|| Refusal::missing("user"))?;
    let channel = ChannelName::parse(&channel, "channel")?;
    let user = UserId::parse(&user, "user")?;
    if !seen.insert((channel.clone(), user.clone())) {
        // Which of them came last would be anybody's guess.
        let rule = "must be another than in the leases before: each member at most once";
        return Err(Refusal::invalid("user", rule));
    }
    let ends = end.unwrap_or_default();
    if ends && lease != Lease::default() {
        return Err(Refusal::invalid("end", "must be alone: a lease that ends takes nothing else"));
    }
    Ok(Asked { channel, user, lease: (!ends).then_some(lease) })
}

async fn do_one(
    web: &Web,
    credential: &Credential,
    asked: Asked,
) -> Result<LeaseAnswered, Refusal> {
    let Asked { channel, user, lease } = asked;
    let (caller, now) = (credential.caller(), web.desk.now());
    let Some(lease) = lease else {
        web.desk.end_lease(caller, &channel, user, Keeper::Herenow, now).await?;
        return Ok(answer(StatusCode::NO_CONTENT));
    };
    let leased = web.desk.lease(caller, &channel, &user, lease, Keeper::Herenow, now).await?;
    let status = if leased.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(LeaseAnswered { heartbeat: Some(leased.heartbeat), ..answer(status) })
}

fn answer(status: StatusCode) -> LeaseAnswered {
    let status = status.as_u16();
    LeaseAnswered { status, heartbeat: None, code: None, field: None, detail: None }
}

fn refused(refusal: Refusal) -> LeaseAnswered {
    let Refusal { code, field, message, .. } = refusal;
    let (code, detail) = (Some(code), Some(message.into_owned()));
    LeaseAnswered { code, field, detail, ..answer(status_of(refusal.code)) }
}
