//! What is answered to whoever asks for events.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::Sse;
use axum::response::{IntoResponse, Response};
use herenow_protocol::{Level, Refusal};

use super::cursor::Cursor;
use super::stream::{Order, events};
use super::streams::Streams;
use crate::auth::{Credential, Patterns};
use crate::web::input::{OfChannel, OfUser, Query};
use crate::web::problem::Problem;
use crate::web::state::Web;

/// What a client that comes back says of where it was.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The same in the query, for who can set no header.
pub(super) const LAST_EVENT_ID_PARAMETER: &str = "lastEventId";

/// For nginx: each byte goes on at once.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The events of one channel.
pub async fn of_channel(
    State(web): State<Web>,
    Extension(streams): Extension<Arc<Streams>>,
    Extension(credential): Extension<Credential>,
    OfChannel(channel): OfChannel,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let level = level(&query)?;
    let since = last_event_id(&headers, &query)
        .and_then(|text| Cursor::resume(&text, credential.caller().sight()));
    let follower = web.desk.follow(credential.clone(), &channel, level, since)?;
    let order = Order { follower, credential, level, resumes: true };
    Ok(answer(&web, &streams, order))
}

/// What becomes of a user's status.
pub async fn of_user(
    State(web): State<Web>,
    Extension(streams): Extension<Arc<Streams>>,
    Extension(credential): Extension<Credential>,
    OfUser(user): OfUser,
) -> Result<Response, Problem> {
    let follower = web.desk.follow_user(credential.clone(), &user)?;
    let order = Order { follower, credential, level: Level::Events, resumes: false };
    Ok(answer(&web, &streams, order))
}

/// The events of all channels that match.
pub async fn of_patterns(
    State(web): State<Web>,
    Extension(streams): Extension<Arc<Streams>>,
    Extension(credential): Extension<Credential>,
    query: Query,
) -> Result<Response, Problem> {
    let (level, patterns) = (level(&query)?, patterns(&query)?);
    let follower = web.desk.follow_all(credential.clone(), patterns, level)?;
    let order = Order { follower, credential, level, resumes: false };
    Ok(answer(&web, &streams, order))
}

fn answer(web: &Web, streams: &Streams, order: Order) -> Response {
    let mut response = Sse::new(events(&web.desk, streams, order)).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

fn level(query: &Query) -> Result<Level, Refusal> {
    query.text("level").map_or(Ok(Level::default()), |name| Level::parse(&name))
}

/// The patterns that `channels` names, with commas between them.
fn patterns(query: &Query) -> Result<Patterns, Refusal> {
    let mut given = query.all("channels");
    let Some(list) = given.next() else { return Err(Refusal::missing("channels")) };
    if given.next().is_some() {
        return Err(Refusal::invalid("channels", "must be given once, with commas"));
    }
    Patterns::parse(list.split(',')).map_err(|rule| Refusal::invalid("channels", rule))
}

/// The header counts first: a browser that comes back sends the last event's there, to the address
/// with which it began.
fn last_event_id(headers: &HeaderMap, query: &Query) -> Option<String> {
    let header = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    header.map(str::to_owned).or_else(|| query.text(LAST_EVENT_ID_PARAMETER))
}
