//! Channels: how many are there, and where a user is.

use axum::extract::State;
use axum::{Extension, Json};
use herenow_protocol::{ChannelName, Refusal};

use super::shapes::{Answered, ChannelList, ChannelView, CountList, CountView, UserChannels};
use crate::auth::Credential;
use crate::limits::{COUNTS_MAX, LIST_MAX};
use crate::web::input::{OfChannel, OfUser, Query};
use crate::web::problem::Problem;
use crate::web::state::Web;

/// A channel in numbers. One that nobody is in has zeros: any name is a channel.
pub async fn read(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfChannel(channel): OfChannel,
) -> Result<Json<Answered<ChannelView>>, Problem> {
    let known = web.desk.numbers(credential.caller(), &channel).await?;
    let view = known.map(|numbers| ChannelView {
        channel,
        count: numbers.count as u64,
        observers: numbers.observers as u64,
        connections: numbers.connections as u64,
    });
    Ok(Json(view.into()))
}

/// How many are in a channel.
pub async fn count(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfChannel(channel): OfChannel,
) -> Result<Json<Answered<CountView>>, Problem> {
    let known = web.desk.count(credential.caller(), &channel).await?;
    Ok(Json(known.map(|count| CountView { channel, count }).into()))
}

/// How many are in each of several channels.
pub async fn counts(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    query: Query,
) -> Result<Json<Answered<CountList>>, Problem> {
    let mut names = Vec::new();
    for list in query.all("channels") {
        for name in list.split(',') {
            if names.len() == COUNTS_MAX {
                let rule = format_args!("must be at most {COUNTS_MAX} names");
                return Err(Refusal::invalid("channels", rule).into());
            }
            names.push(ChannelName::parse(name, "channels")?);
        }
    }
    if names.is_empty() {
        return Err(Refusal::missing("channels").into());
    }
    let known = web.desk.counts(credential.caller(), &names).await?;
    let counted = |(channel, count)| CountView { channel, count };
    let channels = known.map(|counts| names.into_iter().zip(counts).map(counted).collect());
    Ok(Json(channels.map(|channels| CountList { channels }).into()))
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
) -> Result<Json<Answered<ChannelList>>, Problem> {
    let limit = query.number("limit", 1, LIST_MAX as u64)?;
    let (after, below) = (after(&query)?, query.number("below", 0, u64::MAX)?);
    let prefix = query.text("prefix").unwrap_or_default();
    let (seen, total) = if by_size(&query)? {
        let after = after.map(|name| (name, below));
        let (seen, all) = web.desk.channels_by_size(&credential, prefix, after, limit).await?;
        (seen, Some(all))
    } else {
        (web.desk.channels(&credential, prefix, after, limit).await?, None)
    };
    let next = seen.found.last().filter(|_| seen.more).map(|(name, _)| name.clone());
    let channels = seen.found.into_iter().map(|(channel, count)| CountView { channel, count });
    let is = ChannelList { channels: channels.collect(), total, next };
    Ok(Json(Answered { is, partial: seen.partial }))
}

fn by_size(query: &Query) -> Result<bool, Refusal> {
    match query.text("order").as_deref() {
        None | Some("name") => Ok(false),
        Some("size") => Ok(true),
        Some(_) => Err(Refusal::invalid("order", "must be \"name\" or \"size\"")),
    }
}

/// Where a user is, as far as the caller may see.
pub async fn of_user(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    OfUser(user): OfUser,
    query: Query,
) -> Result<Json<Answered<UserChannels>>, Problem> {
    let (limit, after) = (query.number("limit", 1, LIST_MAX as u64)?, after(&query)?);
    let caller = credential.caller();
    let known = web.desk.channels_of(caller, &user, limit, after.as_ref()).await?;
    Ok(Json(known.map(|(channels, next)| UserChannels { user, channels, next }).into()))
}
