//! Why a frame was refused.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The code of an `error` frame. Codes never change their meaning; new ones may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The text is not one JSON object (nor a known shorthand).
    BadJson,
    /// The frame's `type`, or the shorthand's first word, is not one of the protocol's.
    UnknownType,
    /// A required field is absent (or null).
    MissingField,
    /// A field has the wrong type, breaks its rule, or exceeds its bound.
    InvalidField,
    /// Attributes over their bytes or their keys. The old value stays.
    TooLarge,
    /// The connection has no acceptable identity. A Close 4001 follows.
    Unauthenticated,
    /// The token's time is over, or (as a warning) will be in seconds. A Close 4102 follows, unless
    /// an `auth` frame brings a fresh token in time.
    TokenExpired,
    /// The token, the key or the page's origin does not give the right that this needs; the message
    /// names it.
    Forbidden,
    /// This connection has not joined the channel.
    NotJoined,
    /// What was asked for does not exist, or the caller may not see that it does.
    NotFound,
    /// There is such a path over HTTP, but not with this method.
    MethodNotAllowed,
    /// The channel holds as many members as it may.
    ChannelFull,
    /// This connection joined or subscribed as many channels as it may, or the user is in as many as
    /// it may have leases in.
    TooManyChannels,
    /// Frames came faster than allowed; this one was not applied.
    RateLimited,
    /// Presence is switched off for the whole broker: its configuration, not a failure. Trying again
    /// does not help.
    PresenceDisabled,
    /// The broker can't do this now (it is full, or shutting down). Trying again later helps.
    Unavailable,
    /// The broker failed in a way that it did not foresee. Trying again may help.
    Internal,
}

impl ErrorCode {
    /// Every code, for documentation and tests.
    pub const ALL: [Self; 17] = [
        Self::BadJson,
        Self::UnknownType,
        Self::MissingField,
        Self::InvalidField,
        Self::TooLarge,
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::Forbidden,
        Self::NotJoined,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::ChannelFull,
        Self::TooManyChannels,
        Self::RateLimited,
        Self::PresenceDisabled,
        Self::Unavailable,
        Self::Internal,
    ];
}

/// A request that was not applied, and why: what an `error` frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What a program looks at.
    pub code: ErrorCode,
    /// One plain sentence that names the field and the rule, for a person.
    pub message: Cow<'static, str>,
    /// The frame's field that is at fault, where one is.
    pub field: Option<&'static str>,
    /// When it makes sense to try again, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
    /// The broker's wall clock in milliseconds since 1970, where a token was refused for its times.
    pub now: Option<u64>,
}

impl Refusal {
    /// A refusal that concerns the frame as a whole.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), field: None, retry_after_ms: None, now: None }
    }

    /// A refusal of one field: `rule` continues the sentence that begins with the field's name.
    pub fn field(code: ErrorCode, field: &'static str, rule: impl fmt::Display) -> Self {
        Self {
            code,
            message: format!("{field} {rule}").into(),
            field: Some(field),
            retry_after_ms: None,
            now: None,
        }
    }

    /// A required field that is absent.
    #[must_use]
    pub fn missing(field: &'static str) -> Self {
        Self::field(ErrorCode::MissingField, field, "is required")
    }

    /// Attributes of a channel that this connection has not joined, or was removed from.
    #[must_use]
    pub fn not_joined() -> Self {
        Self::field(ErrorCode::NotJoined, "channel", "must be joined before its attributes are set")
    }

    /// Whatever is asked while presence is switched off.
    #[must_use]
    pub fn presence_disabled() -> Self {
        Self::new(ErrorCode::PresenceDisabled, "presence is switched off for this broker")
    }

    /// A field of the wrong type, out of rule or beyond its bound.
    pub fn invalid(field: &'static str, rule: impl fmt::Display) -> Self {
        Self::field(ErrorCode::InvalidField, field, rule)
    }
}

/// The first characters of `text`, for a message that must not echo kilobytes.
pub(crate) fn shorten(text: &str) -> Cow<'_, str> {
    const SHOWN: usize = 32;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
