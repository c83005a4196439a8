//! Being in channels, who is in them, and how: PubNub's requests but for the poll.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use herenow_protocol::{AttributeMap, Attributes, ChannelName, ErrorCode, Lease, Refusal, UserId};

use super::input::{self, Names};
use super::shapes::{Answer, Here, Occupant, Payload, Refused};
use crate::actions::{Desk, Writing};
use crate::auth::{Caller, Credential};
use crate::hub::At;
use crate::limits::{HERE_NOW_BYTES, JOIN_LOOK, JOIN_WAIT, LIST_MAX};
use crate::presence::{Member, Source};
use crate::vendors::keepers::LIVELIKE;
use crate::web::input::Query;
use crate::web::state::Web;

/// How somebody is to stay in channels.
#[derive(Debug)]
pub struct Staying {
    /// How long without another request.
    time: Duration,
    /// Attributes for whoever was not there, by channel.
    states: Vec<(String, AttributeMap)>,
}

impl Staying {
    /// How a request asks for it.
    ///
    /// # Errors
    /// `invalid_field`: `heartbeat`, `state`.
    pub fn of(query: &Query, most_ms: u64) -> Result<Self, Refusal> {
        let time = input::heartbeat(query, most_ms)?;
        Ok(Self { time, states: input::states(query)? })
    }
}

/// Has the user stay in `channels`, or join those in which it is not.
///
/// # Errors
/// `forbidden`, before anything is done; else those of a lease.
pub async fn stay(
    desk: &Desk,
    credential: &Credential,
    channels: &[ChannelName],
    staying: &Staying,
) -> Result<(), Refusal> {
    let caller = credential.caller();
    let user = user_of(caller)?;
    channels.iter().try_for_each(|channel| desk.may_join(caller, channel, user))?;
    for channel in channels {
        // The client repeats what it set last, for whoever was lost: to a member, other devices and
        // other wires may have given other attributes since.
        let lease = |is_new: bool| {
            let state = staying.states.iter().find(|(name, _)| name == channel.as_str());
            let attributes = state.filter(|_| is_new).map(|(_, state)| state.clone());
            let ttl_ms = Some(staying.time.as_millis() as u64);
            Lease { attributes, ttl_ms, ..Lease::default() }
        };
        desk.keep(caller, channel, user, lease, LIVELIKE, desk.now()).await?;
    }
    Ok(())
}

fn user_of(caller: Caller<'_>) -> Result<&UserId, Refusal> {
    caller.user().ok_or_else(|| Refusal::missing("uuid"))
}

/// Still there.
pub async fn heartbeat(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    Path((_, names)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Answer>, Refused> {
    let Names { channels, .. } = Names::parse(&names, &query)?;
    let staying = Staying::of(&query, web.desk.rules().max_lease_ms)?;
    stay(&web.desk, &credential, &channels, &staying).await?;
    Ok(Json(Answer::ok()))
}

/// No longer there.
pub async fn leave(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    Path((_, names)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Answer>, Refused> {
    let Names { channels, .. } = Names::parse(&names, &query)?;
    let caller = credential.caller();
    let user = user_of(caller)?;
    for channel in &channels {
        web.desk.end_lease(caller, channel, user.clone(), LIVELIKE, web.desk.now()).await?;
    }
    Ok(Json(Answer::left()))
}

/// Who is in all channels there are: for nobody.
pub async fn everywhere() -> Response {
    let rule = "who is in all channels is not told: name channels";
    let mut response = Refused(Refusal::new(ErrorCode::Forbidden, rule)).into_response();
    *response.status_mut() = axum::http::StatusCode::PAYMENT_REQUIRED;
    response
}

/// Who is there.
pub async fn here(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    Path((_, names)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Answer>, Refused> {
    let channels = Names::plain(&names, &query)?;
    let mut listing = Listing {
        limit: input::limit(&query)?,
        names: !input::flag(&query, "disable_uuids"),
        state: input::flag(&query, "state"),
        bytes: 0,
    };
    let mut all = BTreeMap::new();
    for channel in channels {
        let here = listing.of(&web.desk, credential.caller(), &channel).await?;
        all.insert(channel, here);
    }
    if all.len() == 1
        && let Some((_, here)) = all.pop_first()
    {
        return Ok(Json(Answer::here(here)));
    }
    let total_occupancy = all.values().map(|here| here.occupancy).sum();
    let total_channels = all.len();
    let payload = Payload::Here { total_channels, total_occupancy, channels: all };
    Ok(Json(Answer::with(payload)))
}

/// What lists of members are to hold, and hold already.
struct Listing {
    limit: usize,
    names: bool,
    state: bool,
    bytes: usize,
}

impl Listing {
    async fn of(
        &mut self,
        desk: &Desk,
        caller: Caller<'_>,
        channel: &ChannelName,
    ) -> Result<Here, Refusal> {
        if !self.names {
            return Ok(Here { occupancy: desk.count(caller, channel).await?.is, uuids: None });
        }
        let (mut uuids, mut after) = (Vec::new(), None);
        loop {
            let wanted = self.limit.saturating_sub(uuids.len()).clamp(1, LIST_MAX) as u64;
            let list = desk.list(caller, channel, Some(wanted), after).await?;
            let (occupancy, page) = list.is;
            for member in page.members.iter().take(self.limit - uuids.len()) {
                self.bytes += member.bytes();
                uuids.push(self.occupant(member));
            }
            let full = uuids.len() >= self.limit || self.bytes > HERE_NOW_BYTES;
            after = page.next.filter(|_| !full);
            if after.is_none() {
                return Ok(Here { occupancy, uuids: Some(uuids) });
            }
        }
    }

    fn occupant(&self, member: &Member) -> Occupant {
        let uuid = member.user.clone();
        if self.state {
            return Occupant::WithState { uuid, state: member.attributes.clone() };
        }
        Occupant::Name(uuid)
    }
}

/// Where a user is.
pub async fn whereabouts(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    Path((_, user)): Path<(String, String)>,
) -> Result<Json<Answer>, Refused> {
    let user = UserId::parse(&user, "uuid")?;
    let (mut channels, mut bytes) = (Vec::new(), 0);
    let mut after: Option<ChannelName> = None;
    loop {
        let most = Some(LIST_MAX as u64);
        let known = web.desk.channels_of(credential.caller(), &user, most, after.as_ref()).await?;
        let (page, next) = known.is;
        bytes += page.iter().map(|name| name.as_str().len()).sum::<usize>();
        channels.extend(page);
        after = next.filter(|_| bytes < HERE_NOW_BYTES);
        if after.is_none() {
            return Ok(Json(Answer::with(Payload::Where { channels })));
        }
        tokio::task::yield_now().await;
    }
}

/// What follows a user's name where its attributes are set.
const DATA: &str = "/data";

/// How a user is in channels: asked for, or set. Its name is not encoded where it is asked for, so it
/// may have slashes.
pub async fn state(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    Path((_, names, rest)): Path<(String, String, String)>,
    query: Query,
) -> Result<Json<Answer>, Refused> {
    let channels = Names::plain(&names, &query)?;
    let caller = credential.caller();
    let Some(user) = rest.strip_suffix(DATA) else {
        let user = UserId::parse(&rest, "uuid")?;
        return Ok(Json(read(&web.desk, caller, channels, &user).await?));
    };
    let (user, attributes) = (UserId::parse(user, "uuid")?, input::state(&query)?);
    caller.may_write(&user)?;
    joined(&web.desk, &channels, &user).await?;
    for channel in &channels {
        let writing = Writing {
            user: user.clone(),
            source: Source::Lease(LIVELIKE),
            attributes: attributes.clone(),
            merge: false,
            ttl_ms: None,
        };
        // The user may have been signed out meanwhile.
        web.desk.auth().check_signed_in(caller, web.desk.now())?;
        web.desk.set_attributes(At::Named(channel), writing, web.desk.now())?;
    }
    Ok(Json(Answer::with(Payload::State(Attributes::from_map(&attributes)))))
}

async fn read(
    desk: &Desk,
    caller: Caller<'_>,
    channels: Vec<ChannelName>,
    user: &UserId,
) -> Result<Answer, Refusal> {
    let mut all = BTreeMap::new();
    for channel in channels {
        let attributes = match desk.member(caller, &channel, user).await {
            Ok(member) => member.is.attributes.clone(),
            Err(refusal) if refusal.code == ErrorCode::NotFound => Attributes::EMPTY,
            Err(refusal) => return Err(refusal),
        };
        all.insert(channel, attributes);
    }
    if all.len() == 1
        && let Some((channel, attributes)) = all.pop_first()
    {
        return Ok(Answer::state_of(user.to_string(), channel, attributes));
    }
    Ok(Answer::with(Payload::States(all)))
}

/// Whether the user's leases of ours keep it in all of `channels`.
async fn hold_all(desk: &Desk, channels: &[ChannelName], user: &UserId) -> bool {
    for channel in channels {
        if !desk.holds(channel, user, LIVELIKE).await {
            return false;
        }
    }
    true
}

/// Waits for joins that were sent before and may come later, on another connection.
///
/// # Errors
/// `not_joined`.
async fn joined(desk: &Arc<Desk>, channels: &[ChannelName], user: &UserId) -> Result<(), Refusal> {
    let end_ms = desk.now().mono_ms + JOIN_WAIT.as_millis() as u64;
    while !hold_all(desk, channels, user).await {
        if desk.now().mono_ms >= end_ms {
            let rule = "the user must join the channel before its attributes are set";
            return Err(Refusal::field(ErrorCode::NotJoined, "channel", rule));
        }
        tokio::time::sleep(JOIN_LOOK).await;
    }
    Ok(())
}
