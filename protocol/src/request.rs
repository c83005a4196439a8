//! What a client asks: the frames from client to broker.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::attributes::AttributeMap;
use crate::error::Refusal;
use crate::name::{ChannelName, UserId};
use crate::role::Audience;
use crate::status::StatusPatch;

/// Longest `id` of a frame when it is a string, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 64;

/// Most members that the `recent` of one `count` frame names.
pub const MAX_RECENT: usize = 200;

/// Most users that one `watch`, `unwatch` or read of statuses may name.
pub const MAX_USERS: usize = 100;

/// A token. What it says is for whoever verifies it, and it is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
#[serde(transparent)]
pub struct Token(pub Box<str>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

/// What keeps a member present without a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The member's attributes; absent: as they were, or none. At most 64 keys and 4096 bytes, unless
    /// the broker was told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<AttributeMap>,
    /// Patch top-level keys of what is there instead of replacing all, also where only grace kept
    /// the member.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
    pub merge: bool,
    /// Who may see the member; absent: as it was, or everyone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible_to: Option<Audience>,
    /// Whether the user is away, as far as the lease knows; absent: as it was, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away: Option<bool>,
    /// How long the lease lasts unless it is refreshed, in milliseconds; absent: the presence
    /// timeout. An hour at most, unless the broker was told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub ttl_ms: Option<u64>,
}

/// A heartbeat over HTTP, which keeps a user online without a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Heartbeat {
    /// Whether the user is away; absent: as the last heartbeat said, if that still keeps the user
    /// online, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away: Option<bool>,
}

/// A frame's `id`: asks for exactly one `ok`, `result` or `error` that echoes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum FrameId {
    /// An integer of at most 64 bits, signed.
    Number(i64),
    /// At most [`MAX_ID_BYTES`] bytes.
    #[cfg_attr(feature = "schema", schemars(description = "At most 64 bytes of UTF-8."))]
    Text(#[cfg_attr(feature = "schema", schemars(length(max = MAX_ID_BYTES)))] Box<str>),
}

/// The id of a channel's unbroken history on one node, random so that no two histories share it.
/// On the wire a short text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// How many bits of the seed are used: enough that two histories never share an epoch by
    /// chance, few enough that a person can compare two by eye.
    const BITS: u32 = 40;
    const DIGITS: &'static [u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    /// An epoch out of a random number.
    #[must_use]
    pub fn from_random(random: u64) -> Self {
        Self(random & ((1 << Self::BITS) - 1))
    }

    /// The epoch that `text` writes; of a text that no broker wrote, one that no channel has.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self::parse(text).unwrap_or(Self(u64::MAX))
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = (Self::BITS / 5) as usize;
        let value = text.bytes().try_fold(0u64, |value, byte| {
            let digit = Self::DIGITS.iter().position(|&d| d == byte)?;
            Some((value << 5) | digit as u64)
        })?;
        (text.len() == digits).then_some(Self(value))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..Self::BITS / 5).rev() {
            let digit = Self::DIGITS[((self.0 >> (5 * place)) & 31) as usize];
            write!(f, "{}", digit as char)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Epoch {
    fn serialize<S: serde::Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        ser.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    /// A text that no broker wrote becomes an epoch that matches no channel: whoever resumes with
    /// it gets a snapshot, as with any other epoch that is gone.
    fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        Ok(Self::from_text(&text))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Epoch {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Epoch".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "opaque: compare, never parse" })
    }
}

/// Where a subscriber's replica stands: the last frame that it applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Since {
    /// The epoch of the last snapshot.
    pub epoch: Epoch,
    /// The seq of the last snapshot or presence frame.
    pub seq: u64,
    /// The sight that the connection had when the last snapshot came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sight: Option<Sight>,
}

/// Tells apart those who may see different members, and says nothing of why: a keyed hash of what
/// decides it. On the wire a short text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sight(u64);

impl Sight {
    const DIGITS: usize = 16;

    /// The sight of that hash.
    #[must_use]
    pub fn from_hash(hash: u64) -> Self {
        Self(hash)
    }

    /// The sight that `text` writes; `None`: no broker wrote it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let ours = text.len() == Self::DIGITS && text.bytes().all(digits);
        ours.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = Self::DIGITS)
    }
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Sight {
    fn serialize<S: serde::Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        ser.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sight {
    /// A text that no broker wrote becomes a sight that, but for chance, nobody has.
    fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        Ok(Self::from_text(&text).unwrap_or(Self(u64::MAX)))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Sight {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sight".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "opaque: compare, never parse" })
    }
}

/// How much a subscriber asks to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// The broker chooses by the channel's size, and tells when it chooses anew.
    #[default]
    Auto,
    /// Every presence frame, however large the channel.
    Events,
    /// The number of members, at most once a second.
    Count,
}

impl Level {
    /// The level of this name.
    ///
    /// # Errors
    /// `invalid_field`: there is none.
    pub fn parse(name: &str) -> Result<Self, Refusal> {
        Self::named(name).ok_or_else(Self::refusal)
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "events" => Some(Self::Events),
            "count" => Some(Self::Count),
            _ => None,
        }
    }

    pub(crate) fn refusal() -> Refusal {
        Refusal::invalid("level", "must be \"auto\", \"events\" or \"count\"")
    }
}

/// What a client asks of the broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Request {
    /// Make this connection's user a member of the channel.
    Join {
        /// The channel to be present in.
        channel: ChannelName,
        /// The member's attributes, or the keys to patch; absent: none, or what a living tab of the
        /// user set. A null value means no such key.
        #[serde(skip_serializing_if = "Option::is_none")]
        attributes: Option<AttributeMap>,
        /// Patch top-level keys of what is there instead of replacing all, also where only grace kept
        /// the member.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
        merge: bool,
        /// How long the member stays when this connection is lost, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        grace_ms: Option<u64>,
        /// Who may see the member; absent: as it was, or everyone.
        #[serde(skip_serializing_if = "Option::is_none")]
        visible_to: Option<Audience>,
        /// Whether the user is away from this connection; absent: as it was, or as the last `away`
        /// for all channels said.
        #[serde(skip_serializing_if = "Option::is_none")]
        away: Option<bool>,
    },
    /// End what this connection's join began.
    Leave {
        /// The channel to leave.
        channel: ChannelName,
    },
    /// Say that the user is still here.
    Heartbeat {
        /// Only these channels; absent: all that this connection joined.
        #[serde(skip_serializing_if = "Option::is_none")]
        channels: Option<Vec<ChannelName>>,
    },
    /// Say that the user is away from this connection, or is back: its window is hidden, or shown.
    Away {
        /// False: the user is back.
        #[serde(default = "yes")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
        away: bool,
        /// Only in these channels; absent: in all that this connection joined or will join, and in
        /// the user's status while it has joined none.
        #[serde(skip_serializing_if = "Option::is_none")]
        channels: Option<Vec<ChannelName>>,
    },
    /// Write attributes of this connection's member.
    SetAttributes {
        /// A channel that this connection joined.
        channel: ChannelName,
        /// The new attributes, or the keys to patch; a null value means no such key.
        attributes: AttributeMap,
        /// Patch top-level keys instead of replacing all.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
        merge: bool,
        /// How long the written keys live, in milliseconds; absent: as long as the member.
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl_ms: Option<u64>,
    },
    /// Observe a channel.
    Subscribe {
        /// The channel to observe.
        channel: ChannelName,
        /// How much to be told.
        #[serde(default)]
        #[cfg_attr(feature = "schema", schemars(with = "Option<Level>"))]
        level: Level,
        /// So many of the newest members come with each count; absent: 200 at `auto`, else none.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(range(max = MAX_RECENT)))]
        recent: Option<u8>,
        /// With their attributes, as far as there is room, and again when these change.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
        recent_attributes: bool,
        /// Resume after this frame instead of starting from a snapshot.
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<Since>,
    },
    /// Stop observing a channel.
    Unsubscribe {
        /// The channel.
        channel: ChannelName,
    },
    /// List the members, newest first.
    GetMembers {
        /// The channel.
        channel: ChannelName,
        /// At most so many; 200 by default, 1,000 at most.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        /// The `next` of the page before.
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
    },
    /// Count the members.
    GetCount {
        /// The channel.
        channel: ChannelName,
    },
    /// Read one member's attributes.
    GetAttributes {
        /// The channel.
        channel: ChannelName,
        /// Whose; absent: this connection's user.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
    },
    /// List the channels that a user is present in.
    GetChannels {
        /// Whose; absent: this connection's user.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
        /// At most so many; 200 by default, 1,000 at most.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        /// The `next` of the page before.
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<ChannelName>,
    },
    /// Change the status of this connection's user. At least one field is required.
    SetStatus {
        /// What to change.
        #[serde(flatten)]
        patch: StatusPatch,
    },
    /// Be told the status of users, now and on each change.
    Watch {
        /// Whose, 1 to 100.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_USERS)))]
        users: Vec<UserId>,
    },
    /// Be told the status of users no longer.
    Unwatch {
        /// Whose, 1 to 100.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_USERS)))]
        users: Vec<UserId>,
    },
    /// Go on with a fresh token of the same user.
    Auth {
        /// The token.
        token: Token,
    },
    /// List the shorthand. Only a person asks this, so it has no JSON form.
    #[serde(skip)]
    Help,
}

/// Who says `away` and no more is away.
#[cfg(feature = "schema")]
fn yes() -> bool {
    true
}

/// A request with its optional `id`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClientFrame {
    /// Echoed by the answer; without it the success of an action is silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<FrameId>,
    /// What is asked.
    #[serde(flatten)]
    pub request: Request,
}

impl From<Request> for ClientFrame {
    fn from(request: Request) -> Self {
        Self { id: None, request }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_printed() {
        let token = Token("eyJhbGciOi.secret".into());
        let request = Request::Auth { token: token.clone() };
        let frame = ClientFrame { id: Some(FrameId::Number(1)), request: request.clone() };
        for printed in [
            format!("{token:?} {token:#?}"),
            format!("{request:?} {request:#?}"),
            format!("{frame:?} {frame:#?}"),
        ] {
            assert!(!printed.contains("secret") && printed.contains("[token]"), "{printed}");
        }
        assert_eq!(
            serde_json::to_string(&frame).unwrap(),
            r#"{"id":1,"type":"auth","token":"eyJhbGciOi.secret"}"#,
            "sent it is, of course"
        );
    }
}
