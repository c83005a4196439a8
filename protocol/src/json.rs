//! A message that is JSON → [`ClientFrame`], or the [`Refusal`] that says what is wrong with it.
//!
//! A frame is read as one flat struct of raw fields, borrowed from the text; then only the fields
//! that its `type` knows are looked at, one by one, so that a refusal can name the field. Unknown
//! fields, and fields of other types, are ignored. A field that is null counts as absent, except for
//! the two of a status whose null is a value: `waitTime` (nobody knows) and `text` (none).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::attributes::{AttributeMap, shallow};
use crate::error::{ErrorCode, Refusal, shorten};
use crate::name::{ChannelName, UserId};
use crate::request::{
    ClientFrame, Epoch, FrameId, Heartbeat, Lease, Level, MAX_ID_BYTES, MAX_RECENT, MAX_USERS,
    Request, Sight, Since, Token,
};
use crate::role::Audience;
use crate::status::{MAX_WAIT_MINUTES, StatusPatch};

/// A message that is no acceptable frame: the refusal, and the `id` if it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Echoed by the `error` frame.
    pub id: Option<FrameId>,
    /// What is wrong.
    pub refusal: Refusal,
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        Self { id: None, refusal }
    }
}

type Raw<'a> = Option<&'a RawValue>;

/// Every field that any frame knows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    channel: Raw<'a>,
    #[serde(borrow)]
    channels: Raw<'a>,
    #[serde(borrow)]
    user: Raw<'a>,
    #[serde(borrow)]
    attributes: Raw<'a>,
    #[serde(borrow)]
    grace_ms: Raw<'a>,
    #[serde(borrow)]
    merge: Raw<'a>,
    #[serde(borrow)]
    ttl_ms: Raw<'a>,
    #[serde(borrow)]
    level: Raw<'a>,
    #[serde(borrow)]
    recent: Raw<'a>,
    #[serde(borrow)]
    recent_attributes: Raw<'a>,
    #[serde(borrow)]
    since: Raw<'a>,
    #[serde(borrow)]
    limit: Raw<'a>,
    #[serde(borrow)]
    after: Raw<'a>,
    #[serde(borrow)]
    visible_to: Raw<'a>,
    #[serde(borrow)]
    users: Raw<'a>,
    #[serde(borrow)]
    away: Raw<'a>,
    #[serde(borrow)]
    token: Raw<'a>,
    #[serde(borrow)]
    busy: Raw<'a>,
    #[serde(borrow)]
    invisible: Raw<'a>,
    // Of these two null says something.
    #[serde(borrow, default, deserialize_with = "null_too")]
    wait_time: Raw<'a>,
    #[serde(borrow, default, deserialize_with = "null_too")]
    text: Raw<'a>,
}

/// A field that is there although it is null.
fn null_too<'de, D: serde::Deserializer<'de>>(de: D) -> Result<Raw<'de>, D::Error> {
    <&RawValue>::deserialize(de).map(Some)
}

/// Reads what a lease asks for, as `PUT` over HTTP brings it.
///
/// # Errors
/// As [`parse`](crate::parse()).
pub fn lease(text: &str) -> Result<Lease, Refusal> {
    let fields = fields(text)?;
    Ok(Lease {
        attributes: fields.attributes.map(attributes).transpose()?,
        merge: fields.merge()?,
        visible_to: fields.visible_to.map(audience).transpose()?,
        away: fields.away()?,
        ttl_ms: integer(fields.ttl_ms, "ttlMs")?,
    })
}

/// Reads what a heartbeat over HTTP says.
///
/// # Errors
/// As [`parse`](crate::parse()).
pub fn heartbeat(text: &str) -> Result<Heartbeat, Refusal> {
    Ok(Heartbeat { away: fields(text)?.away()? })
}

/// Reads what to change of a status, as `PUT` over HTTP brings it.
///
/// # Errors
/// As [`parse`](crate::parse()).
pub fn status(text: &str) -> Result<StatusPatch, Refusal> {
    fields(text)?.status()
}

fn fields(text: &str) -> Result<Fields<'_>, Refusal> {
    // Derived code would take an array for a struct.
    if !text.trim_start().starts_with('{') {
        return Err(Refusal::new(ErrorCode::BadJson, "the message is not a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| {
        Refusal::new(ErrorCode::BadJson, format!("the message can't be read: {error}"))
    })
}

/// Reads one message that begins with `{`.
pub(crate) fn parse(text: &str) -> Result<ClientFrame, Rejected> {
    let fields = fields(text)?;
    let id = fields.id.map(frame_id).transpose()?;
    match fields.request() {
        Ok(request) => Ok(ClientFrame { id, request }),
        Err(refusal) => Err(Rejected { id, refusal }),
    }
}

impl Fields<'_> {
    fn request(&self) -> Result<Request, Refusal> {
        let kind = string(required(self.kind, "type")?, "type")?;
        Ok(match &*kind {
            "heartbeat" => {
                Request::Heartbeat { channels: self.channels.map(channels).transpose()? }
            }
            "join" => Request::Join {
                channel: self.channel()?,
                attributes: self.attributes.map(attributes).transpose()?,
                merge: self.merge()?,
                grace_ms: integer(self.grace_ms, "graceMs")?,
                visible_to: self.visible_to.map(audience).transpose()?,
                away: self.away()?,
            },
            "away" => Request::Away {
                away: self.away()?.unwrap_or(true),
                channels: self.channels.map(channels).transpose()?,
            },
            "leave" => Request::Leave { channel: self.channel()? },
            "setAttributes" => Request::SetAttributes {
                channel: self.channel()?,
                attributes: attributes(required(self.attributes, "attributes")?)?,
                merge: self.merge()?,
                ttl_ms: integer(self.ttl_ms, "ttlMs")?,
            },
            "subscribe" => Request::Subscribe {
                channel: self.channel()?,
                level: self.level.map(level).transpose()?.unwrap_or_default(),
                recent: self.recent.map(recent).transpose()?,
                recent_attributes: flag(self.recent_attributes, "recentAttributes")?,
                since: self.since.map(since).transpose()?,
            },
            "unsubscribe" => Request::Unsubscribe { channel: self.channel()? },
            "getMembers" => Request::GetMembers {
                channel: self.channel()?,
                limit: integer(self.limit, "limit")?,
                after: integer(self.after, "after")?,
            },
            "getCount" => Request::GetCount { channel: self.channel()? },
            "getAttributes" => {
                Request::GetAttributes { channel: self.channel()?, user: self.user()? }
            }
            "getChannels" => Request::GetChannels {
                user: self.user()?,
                limit: integer(self.limit, "limit")?,
                after: self.after.map(|raw| channel(raw, "after")).transpose()?,
            },
            "setStatus" => Request::SetStatus { patch: self.status()? },
            "watch" => Request::Watch { users: users(required(self.users, "users")?)? },
            "unwatch" => Request::Unwatch { users: users(required(self.users, "users")?)? },
            "auth" => Request::Auth {
                token: Token(string(required(self.token, "token")?, "token")?.into()),
            },
            _ => return Err(unknown_type(&kind)),
        })
    }

    fn channel(&self) -> Result<ChannelName, Refusal> {
        channel(required(self.channel, "channel")?, "channel")
    }

    fn merge(&self) -> Result<bool, Refusal> {
        flag(self.merge, "merge")
    }

    fn user(&self) -> Result<Option<UserId>, Refusal> {
        self.user.map(|raw| UserId::parse(&string(raw, "user")?, "user")).transpose()
    }

    fn away(&self) -> Result<Option<bool>, Refusal> {
        self.away.map(|raw| boolean(raw, "away")).transpose()
    }

    fn status(&self) -> Result<StatusPatch, Refusal> {
        let patch = StatusPatch {
            busy: self.busy.map(|raw| boolean(raw, "busy")).transpose()?,
            invisible: self.invisible.map(|raw| boolean(raw, "invisible")).transpose()?,
            wait_time: self.wait_time.map(wait_time).transpose()?,
            text: self.text.map(status_text).transpose()?,
        };
        patch.check()
    }
}

fn unknown_type(kind: &str) -> Refusal {
    Refusal {
        field: Some("type"),
        ..Refusal::new(
            ErrorCode::UnknownType,
            format!("type {:?} is not known here", shorten(kind)),
        )
    }
}

fn required<'a>(raw: Raw<'a>, field: &'static str) -> Result<&'a RawValue, Refusal> {
    raw.ok_or_else(|| Refusal::missing(field))
}

/// The text of a JSON string, borrowed unless it holds escapes.
fn string<'a>(raw: &'a RawValue, field: &'static str) -> Result<Cow<'a, str>, Refusal> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'a>>(raw.get())
        .map(|text| text.0)
        .map_err(|error| not_a(field, "a string", &error))
}

/// The refusal of a raw field that is no `kind`, or is one that no reader takes: the text as a
/// whole parsed, but lone surrogates, huge numbers and deep nesting are found out only here.
fn not_a(field: &'static str, kind: &str, error: &serde_json::Error) -> Refusal {
    if error.is_data() {
        Refusal::invalid(field, format_args!("must be {kind}"))
    } else {
        Refusal::invalid(field, format_args!("can't be read: {error}"))
    }
}

fn boolean(raw: &RawValue, field: &'static str) -> Result<bool, Refusal> {
    serde_json::from_str(raw.get()).map_err(|_| Refusal::invalid(field, "must be true or false"))
}

/// A boolean that is false if it is absent.
fn flag(raw: Raw<'_>, field: &'static str) -> Result<bool, Refusal> {
    Ok(raw.map(|raw| boolean(raw, field)).transpose()?.unwrap_or(false))
}

fn integer(raw: Raw<'_>, field: &'static str) -> Result<Option<u64>, Refusal> {
    raw.map(|raw| {
        whole(raw).ok_or_else(|| Refusal::invalid(field, "must be a whole number, zero or more"))
    })
    .transpose()
}

/// A whole number, also if it is written as `30.0` or `3e1`: JSON does not tell them apart, and some
/// writers do not either.
fn whole(raw: &RawValue) -> Option<u64> {
    /// Up to here every whole number is a double of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    serde_json::from_str(raw.get()).ok().or_else(|| {
        let number: f64 = serde_json::from_str(raw.get()).ok()?;
        (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64)
    })
}

fn frame_id(raw: &RawValue) -> Result<FrameId, Refusal> {
    serde_json::from_str(raw.get())
        .ok()
        .filter(|id| !matches!(id, FrameId::Text(text) if text.len() > MAX_ID_BYTES))
        .ok_or_else(|| {
            Refusal::invalid("id", "must be a 64-bit integer or a string of at most 64 bytes")
        })
}

fn channel(raw: &RawValue, field: &'static str) -> Result<ChannelName, Refusal> {
    ChannelName::parse(&string(raw, field)?, field)
}

fn channels(raw: &RawValue) -> Result<Vec<ChannelName>, Refusal> {
    let texts: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| Refusal::invalid("channels", "must be an array of strings"))?;
    texts.into_iter().map(|raw| channel(raw, "channels")).collect()
}

fn attributes(raw: &RawValue) -> Result<AttributeMap, Refusal> {
    serde_json::from_str(raw.get())
        .map_err(|error| not_a("attributes", "an object", &error))
        .and_then(shallow)
}

/// Users to watch: at least one, at most [`MAX_USERS`].
fn users(raw: &RawValue) -> Result<Vec<UserId>, Refusal> {
    let texts: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| Refusal::invalid("users", "must be an array of strings"))?;
    let users: Result<Vec<_>, _> =
        texts.into_iter().map(|raw| UserId::parse(&string(raw, "users")?, "users")).collect();
    users.and_then(check_users)
}

/// Refuses no users, and more than [`MAX_USERS`].
pub(crate) fn check_users(users: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
    if (1..=MAX_USERS).contains(&users.len()) {
        return Ok(users);
    }
    Err(Refusal::invalid("users", format_args!("must be 1 to {MAX_USERS} users")))
}

fn audience(raw: &RawValue) -> Result<Audience, Refusal> {
    let texts: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| Refusal::invalid("visibleTo", "must be an array of strings"))?;
    let roles: Result<Vec<_>, _> = texts.into_iter().map(|raw| string(raw, "visibleTo")).collect();
    Audience::parse(roles?.iter().map(|role| &**role))
}

fn wait_time(raw: &RawValue) -> Result<Option<u32>, Refusal> {
    if raw.get() == "null" {
        return Ok(None);
    }
    whole(raw).and_then(|minutes| u32::try_from(minutes).ok()).map(Some).ok_or_else(|| {
        let rule = format_args!("must be null or a whole number from 0 to {MAX_WAIT_MINUTES}");
        Refusal::invalid("waitTime", rule)
    })
}

fn status_text(raw: &RawValue) -> Result<Option<Box<str>>, Refusal> {
    if raw.get() == "null" { Ok(None) } else { string(raw, "text").map(|text| Some(text.into())) }
}

/// Goes by the text: derived code would take `{"auto":null}` too.
fn level(raw: &RawValue) -> Result<Level, Refusal> {
    string(raw, "level").ok().and_then(|name| Level::named(&name)).ok_or_else(Level::refusal)
}

fn recent(raw: &RawValue) -> Result<u8, Refusal> {
    let fits = |&limit: &u8| usize::from(limit) <= MAX_RECENT;
    whole(raw).and_then(|limit| u8::try_from(limit).ok()).filter(fits).ok_or_else(|| {
        Refusal::invalid("recent", format_args!("must be a whole number from 0 to {MAX_RECENT}"))
    })
}

fn since(raw: &RawValue) -> Result<Since, Refusal> {
    #[derive(Deserialize)]
    struct Parts<'a> {
        epoch: Epoch,
        #[serde(borrow)]
        seq: &'a RawValue,
        sight: Option<Sight>,
    }
    Some(raw.get())
        .filter(|text| text.starts_with('{')) // derived code would take ["…",7] too
        .and_then(|text| serde_json::from_str::<Parts<'_>>(text).ok())
        .and_then(|Parts { epoch, seq, sight }| Some(Since { epoch, seq: whole(seq)?, sight }))
        .ok_or_else(|| {
            let rule = "must be {\"epoch\":string,\"seq\":whole number,\"sight\":string if known}";
            Refusal::invalid("since", rule)
        })
}

#[cfg(test)]
mod tests;
