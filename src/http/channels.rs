//! Channels: how many are there, and where a user is.

use axum::extract::State;
use axum::{Extension, Json};
use herenow_protocol::ChannelName;

use super::shapes::{ChannelList, ChannelView, CountView, UserChannels};
use crate::auth::{KeyRight, Right};
use crate::hub::Room;
use crate::limits::{LIST_DEFAULT, LIST_MAX};
use crate::web::caller::Caller;
use crate::web::input::{OfChannel, OfUser, Query};
use crate::web::problem::Problem;
use crate::web::state::Web;

/// A channel in numbers. One that nobody is in has zeros: any name is a channel.
pub async fn read(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    OfChannel(channel): OfChannel,
) -> Result<Json<ChannelView>, Problem> {
    caller.may_read(Right::Count, &channel)?;
    let numbers =
        |room: &Room| (room.presence.count(), room.observers(), room.presence.connections());
    let (count, observers, connections) = api.hub.look(&channel, numbers).unwrap_or_default();
    let (count, observers, connections) = (count as u64, observers as u64, connections as u64);
    Ok(Json(ChannelView { channel, count, observers, connections }))
}

/// How many are in a channel.
pub async fn count(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    OfChannel(channel): OfChannel,
) -> Result<Json<CountView>, Problem> {
    caller.may_read(Right::Count, &channel)?;
    let count = api.hub.count(&channel) as u64;
    Ok(Json(CountView { channel, count }))
}

/// The channels that somebody is in.
pub async fn list(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    query: Query,
) -> Result<Json<ChannelList>, Problem> {
    caller.may_operate(KeyRight::Read)?;
    let limit = query.number("limit", 1, LIST_MAX as u64)?.unwrap_or(LIST_DEFAULT as u64);
    let after = query.text("after").map(|name| ChannelName::parse(&name, "after")).transpose()?;
    let prefix = query.text("prefix").unwrap_or_default();
    let (names, more) = api.hub.occupied(&prefix, after.as_ref(), limit as usize);
    let next = names.last().filter(|_| more).cloned();
    let channels = names.into_iter().map(|channel| {
        let count = api.hub.count(&channel) as u64;
        CountView { channel, count }
    });
    Ok(Json(ChannelList { channels: channels.collect(), next }))
}

/// Where a user is, as far as the caller may see.
pub async fn of_user(
    State(api): State<Web>,
    Extension(caller): Extension<Caller>,
    OfUser(user): OfUser,
) -> Result<Json<UserChannels>, Problem> {
    if let Caller::Key(key) = &caller {
        key.check(KeyRight::Read)?;
    }
    let own = caller.is(&user);
    let may_list = |name: &ChannelName| own || caller.may_read(Right::List, name).is_ok();
    let channels = api.hub.channels_seen(&user, caller.viewer(), may_list);
    Ok(Json(UserChannels { user, channels }))
}
