//! Who is in a room.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use herenow_protocol::{ChannelName, Lease, Refusal};

use super::failure::Failure;
use super::input::{OfRoom, room};
use super::session::asker;
use super::shapes::{Count, Done, Viewer, Viewers};
use crate::auth::Credential;
use crate::limits::{SOCIAL_PLUS_ROOM_MS, SOCIAL_PLUS_VIEWERS};
use crate::vendors::keepers::SOCIAL_PLUS;
use crate::web::state::Web;

/// What is there to read of a room.
pub async fn read(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    uri: Uri,
) -> Result<Response, Failure> {
    match room(uri.path())? {
        Some((room, OfRoom::Count)) => {
            let count = web.desk.count(credential.caller(), &room).await?.is;
            Ok(Json(Count { count }).into_response())
        }
        Some((room, OfRoom::Viewers)) => {
            Ok(Json(viewers(&web, &credential, &room).await?).into_response())
        }
        Some((_, OfRoom::Heartbeat)) | None => Err(Failure::no_such_path()),
    }
}

/// The newest members, as many as a list may have, over as many pages as it takes.
async fn viewers(
    web: &Web,
    credential: &Credential,
    room: &ChannelName,
) -> Result<Viewers, Refusal> {
    let (mut viewers, mut after) = (Vec::new(), None);
    loop {
        let limit = (SOCIAL_PLUS_VIEWERS - viewers.len()) as u64;
        let list = web.desk.list(credential.caller(), room, Some(limit), after).await?;
        let (_, page) = list.is;
        viewers.extend(page.members.iter().map(|member| Viewer::new(member)));
        after = page.next;
        if after.is_none() || viewers.len() >= SOCIAL_PLUS_VIEWERS {
            return Ok(Viewers { viewers });
        }
    }
}

/// The user is in the room for a while, or for a while longer.
pub async fn beat(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    uri: Uri,
) -> Result<Json<Done>, Failure> {
    let Some((room, OfRoom::Heartbeat)) = room(uri.path())? else {
        return Err(Failure::no_such_path());
    };
    let ttl_ms = SOCIAL_PLUS_ROOM_MS.min(web.desk.rules().max_lease_ms);
    let lease = Lease { ttl_ms: Some(ttl_ms), ..Lease::default() };
    let user = asker(&credential)?;
    let now = web.desk.now();
    web.desk.lease(credential.caller(), &room, user, lease, SOCIAL_PLUS, now).await?;
    Ok(Json(Done::SUCCESS))
}
