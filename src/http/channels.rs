//! Channels: how many are there, and where a user is.

use axum::extract::State;
use axum::{Extension, Json};
use herenow_protocol::{ChannelName, Refusal};

use super::shapes::{ChannelList, ChannelView, CountView, UserChannels};
use crate::auth::Credential;
use crate::limits::LIST_MAX;
use crate::web::input::{OfChannel, OfUser, Query};
use crate::web::problem::Problem;
use crate::web::state::Web;

/// A channel in numbers. One that nobody is in has zeros: any name is a channel.
pub async fn read(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfChannel(channel): OfChannel,
) -> Result<Json<ChannelView>, Problem> {
    let numbers = web.desk.numbers(credential.caller(), &channel)?;
    Ok(Json(ChannelView {
        channel,
        count: numbers.count as u64,
        observers: numbers.observers as u64,
        connections: numbers.connections as u64,
    }))
}

/// How many are in a channel.
pub async fn count(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfChannel(channel): OfChannel,
) -> Result<Json<CountView>, Problem> {
    let count = web.desk.count(credential.caller(), &channel)?;
    Ok(Json(CountView { channel, count }))
}

/// The channel behind which a page begins.
fn after(query: &Query) -> Result<Option<ChannelName>, Refusal> {
    query.text("after").map(|name| ChannelName::parse(&name, "after")).transpose()
}

/// The channels that somebody is in.
pub async fn list(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    query: Query,
) -> Result<Json<ChannelList>, Problem> {
    let limit = query.number("limit", 1, LIST_MAX as u64)?;
    let after = after(&query)?;
    let prefix = query.text("prefix").unwrap_or_default();
    let (channels, more) = web.desk.channels(&credential, prefix, after, limit).await?;
    let next = channels.last().filter(|_| more).map(|(name, _)| name.clone());
    let channels = channels.into_iter().map(|(channel, count)| CountView { channel, count });
    Ok(Json(ChannelList { channels: channels.collect(), next }))
}

/// Where a user is, as far as the caller may see.
pub async fn of_user(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfUser(user): OfUser,
    query: Query,
) -> Result<Json<UserChannels>, Problem> {
    let (limit, after) = (query.number("limit", 1, LIST_MAX as u64)?, after(&query)?);
    let caller = credential.caller();
    let (channels, next) = web.desk.channels_of(caller, &user, limit, after.as_ref())?;
    Ok(Json(UserChannels { user, channels, next }))
}
