//! Asking for simulated viewers over HTTP. For the demo page alone: it is no part of the API, and no document
//! describes it.

use std::sync::Arc;

use axum::{Extension, Json};
use herenow_protocol::{ChannelName, ErrorCode, Refusal};
use serde::Serialize;
use serde_json::Value;

use super::visitors::Visitors;
use crate::web::input::{JsonText, Query};
use crate::web::problem::Problem;

/// How many viewers a channel is to have.
#[derive(Debug, Serialize)]
pub struct Shown {
    channel: ChannelName,
    viewers: usize,
    /// In all channels together.
    max: usize,
}

impl Shown {
    fn of(visitors: &Visitors, channel: ChannelName) -> Json<Self> {
        Json(Self { viewers: visitors.size(&channel), max: visitors.max(), channel })
    }
}

/// How many there are to be.
pub async fn read(
    Extension(visitors): Extension<Arc<Visitors>>,
    query: Query,
) -> Result<Json<Shown>, Problem> {
    let channel = query.text("channel").ok_or_else(|| Refusal::missing("channel"))?;
    Ok(Shown::of(&visitors, ChannelName::parse(&channel, "channel")?))
}

/// Sets how many there are to be: from now on for the time of a lease.
pub async fn set(
    Extension(visitors): Extension<Arc<Visitors>>,
    JsonText(body): JsonText,
) -> Result<Json<Shown>, Problem> {
    let (channel, viewers) = asked(&body, visitors.max())?;
    visitors.ask(channel.clone(), viewers)?;
    Ok(Shown::of(&visitors, channel))
}

fn asked(body: &str, max: usize) -> Result<(ChannelName, u64), Refusal> {
    let Ok(Value::Object(body)) = serde_json::from_str(body) else {
        return Err(Refusal::new(ErrorCode::BadJson, "the body is not a JSON object"));
    };
    let field = |name| body.get(name).ok_or_else(|| Refusal::missing(name));
    let channel = field("channel")?
        .as_str()
        .ok_or_else(|| Refusal::invalid("channel", "must be a string"))?;
    let viewers = field("viewers")?.as_u64().ok_or_else(|| {
        Refusal::invalid("viewers", format_args!("must be a whole number from 0 to {max}"))
    })?;
    Ok((ChannelName::parse(channel, "channel")?, viewers))
}
