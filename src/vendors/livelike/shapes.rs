//! Answers, as PubNub and LiveLike write them.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use herenow_protocol::{Attributes, ChannelName, ErrorCode, Refusal, UserId};
use serde::Serialize;

use super::input::PRESENCE_SUFFIX;
use super::ring::{Action, Kept, Repair};
use super::stamps::text_of;
use crate::web::problem::status_of;

const SERVICE: &str = "Presence";

/// An answer about presence.
#[derive(Debug, Serialize)]
pub struct Answer {
    status: u16,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occupancy: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuids: Option<Vec<Occupant>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelName>,
    service: &'static str,
}

/// What an answer holds.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Payload {
    /// Where a user is.
    Where {
        /// Those channels.
        channels: Vec<ChannelName>,
    },
    /// Who is in several channels.
    Here {
        /// How many channels.
        total_channels: usize,
        /// Members of all of them.
        total_occupancy: u64,
        /// Each.
        channels: BTreeMap<ChannelName, Here>,
    },
    /// Attributes.
    State(Attributes),
    /// Attributes in several channels.
    States(BTreeMap<ChannelName, Attributes>),
}

/// Who is in a channel.
#[derive(Debug, Serialize)]
pub struct Here {
    /// Members visible to all.
    pub occupancy: u64,
    /// Those that the caller may see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuids: Option<Vec<Occupant>>,
}

/// Somebody in a list.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Occupant {
    /// Its name alone.
    Name(UserId),
    /// With its attributes, if there are any.
    WithState {
        /// Who.
        uuid: UserId,
        /// How.
        #[serde(skip_serializing_if = "Attributes::is_empty")]
        state: Attributes,
    },
}

impl Answer {
    /// That it is done.
    #[must_use]
    pub fn ok() -> Self {
        let (status, message, service) = (200, "OK", SERVICE);
        let (action, occupancy, uuids, payload) = (None, None, None, None);
        Self {
            status,
            message,
            action,
            occupancy,
            uuids,
            payload,
            uuid: None,
            channel: None,
            service,
        }
    }

    /// That the user left.
    #[must_use]
    pub fn left() -> Self {
        Self { action: Some("leave"), ..Self::ok() }
    }

    /// Who is in one channel.
    #[must_use]
    pub fn here(here: Here) -> Self {
        Self { occupancy: Some(here.occupancy), uuids: here.uuids, ..Self::ok() }
    }

    /// What `payload` holds.
    #[must_use]
    pub fn with(payload: Payload) -> Self {
        Self { payload: Some(payload), ..Self::ok() }
    }

    /// What is told of one user in one channel.
    #[must_use]
    pub fn state_of(uuid: String, channel: ChannelName, state: Attributes) -> Self {
        let payload = Some(Payload::State(state));
        Self { payload, uuid: Some(uuid), channel: Some(channel), ..Self::ok() }
    }
}

/// A refusal, as PubNub writes it.
#[derive(Debug)]
pub struct Refused(pub Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            status: u16,
            error: u8,
            message: &'a str,
            service: &'static str,
        }
        let Refusal { code, message, .. } = self.0;
        let status = match code {
            ErrorCode::Unauthenticated | ErrorCode::TokenExpired | ErrorCode::NotJoined => {
                StatusCode::FORBIDDEN
            }
            ErrorCode::TooLarge => StatusCode::BAD_REQUEST,
            other => status_of(other),
        };
        let body = Body { status: status.as_u16(), error: 1, message: &message, service: SERVICE };
        let mut response = (status, Json(body)).into_response();
        response.extensions_mut().insert(code);
        response
    }
}

/// A timetoken.
#[derive(Clone, Debug, Serialize)]
pub struct Timetoken {
    t: String,
    /// The node that made it.
    r: u64,
}

/// What a poll is answered.
#[derive(Debug, Serialize)]
pub struct Polled {
    t: Timetoken,
    m: Vec<Message>,
}

#[derive(Debug, Serialize)]
struct Message {
    a: &'static str,
    f: u8,
    p: Timetoken,
    k: Box<str>,
    c: String,
    b: String,
    d: Data,
}

#[derive(Debug, Default, Serialize)]
struct Data {
    action: &'static str,
    timestamp: u64,
    occupancy: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Attributes>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    join: Vec<UserId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    leave: Vec<UserId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    timeout: Vec<UserId>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    here_now_refresh: bool,
}

impl Polled {
    /// An answer without messages: everything up to `stamp` was told.
    #[must_use]
    pub fn new(stamp: u64, node: u64) -> Self {
        Self { t: Timetoken { t: text_of(stamp), r: node }, m: Vec::new() }
    }

    /// Tells an event, which is `action` to whoever polls under the key `key`.
    pub fn event(&mut self, key: &str, channel: &ChannelName, kept: &Kept, action: Action) {
        let changed = kept.changed.as_ref();
        let now = changed.and_then(|changed| changed.now());
        let attributes = now.map(|member| member.attributes.clone());
        let data = match action {
            Action::Join => attributes.filter(|attributes| !attributes.is_empty()),
            Action::StateChange => attributes,
            Action::Leave | Action::Timeout | Action::Interval => None,
        };
        let data = Data {
            action: word_of(action),
            timestamp: kept.at / 1_000,
            occupancy: kept.count,
            uuid: changed.map(|changed| changed.user().clone()),
            data,
            ..Data::default()
        };
        self.push(key, channel, kept.stamp, data);
    }

    /// Tells at `unix_ms` what replaces events that are gone.
    pub fn repair(
        &mut self,
        key: &str,
        channel: &ChannelName,
        stamp: u64,
        unix_ms: u64,
        repair: Repair,
    ) {
        let Repair { count, join, leave, timeout } = repair;
        let data = Data {
            action: word_of(Action::Interval),
            timestamp: unix_ms / 1_000,
            occupancy: count,
            join,
            leave,
            timeout,
            here_now_refresh: true,
            ..Data::default()
        };
        self.push(key, channel, stamp, data);
    }

    fn push(&mut self, key: &str, channel: &ChannelName, stamp: u64, data: Data) {
        let name = format!("{channel}{PRESENCE_SUFFIX}");
        self.m.push(Message {
            a: "1",
            f: 0,
            p: Timetoken { t: text_of(stamp), r: self.t.r },
            k: key.into(),
            c: name.clone(),
            b: name,
            d: data,
        });
    }
}

fn word_of(action: Action) -> &'static str {
    match action {
        Action::Join => "join",
        Action::Leave => "leave",
        Action::Timeout => "timeout",
        Action::StateChange => "state-change",
        Action::Interval => "interval",
    }
}

/// A refusal, as LiveLike writes it.
#[must_use]
pub fn detail(refusal: Refusal) -> Response {
    #[derive(Serialize)]
    struct Body {
        detail: String,
    }
    let Refusal { code, message, .. } = refusal;
    let body = Json(Body { detail: message.into_owned() });
    let mut response = (status_of(code), body).into_response();
    response.extensions_mut().insert(code);
    response
}
