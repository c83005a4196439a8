//! Names of channels and users: checked once when they enter, cheap to share ever after.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, Refusal};

/// Longest name of a channel or a user, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 200;

/// Names that begin with this are the broker's own.
pub const RESERVED_PREFIX: char = '$';

/// In a path these are steps and no names, even percent-encoded (RFC 3986, section 5.2.4).
const UNSAYABLE: [&str; 2] = [".", ".."];

/// The channel of presence records, which vendors' client libraries write: the one of the broker's
/// own channels that may be named, to read it.
const RECORDS: &str = "$presences";

/// Says what is wrong with a name, or nothing if it is fine.
fn broken_rule(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        Some("must be 1 to 200 bytes of UTF-8")
    } else if name.chars().any(char::is_control) {
        Some("must not contain control characters")
    } else if name.starts_with(RESERVED_PREFIX) {
        Some("must not begin with \"$\": such names are reserved")
    } else if UNSAYABLE.contains(&name) {
        Some("must not be \".\" or \"..\": no URL can say such a name")
    } else {
        None
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $pattern:literal) => {
        $(#[$doc])*
        ///
        /// 1 to [`MAX_NAME_BYTES`] bytes of UTF-8 without control characters, not beginning with
        /// [`RESERVED_PREFIX`], and neither `.` nor `..`. Clones share one allocation.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            fn checked(name: &str, field: &'static str) -> Result<Self, Refusal> {
                match broken_rule(name) {
                    None => Ok(Self(name.into())),
                    Some(rule) => Err(Refusal::field(ErrorCode::InvalidField, field, rule)),
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
                let text = String::deserialize(de)?;
                Self::parse(&text, "name").map_err(|r| serde::de::Error::custom(r.message))
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                // maxLength counts characters and our rule counts bytes, so the schema is the looser of the two.
                schemars::json_schema!({
                    "type": "string", "minLength": 1, "maxLength": MAX_NAME_BYTES,
                    "pattern": $pattern,
                    "not": { "enum": UNSAYABLE },
                })
            }
        }
    };
}

name_type! {
    /// The name of a channel.
    ChannelName,
    "^(\\$presences|[^$\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*)$"
}

name_type! {
    /// The stable id of a user.
    UserId,
    "^[^$\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*$"
}

impl UserId {
    /// Checks `name`; `field` is the frame's field that a refusal names.
    ///
    /// # Errors
    /// `invalid_field` with the rule that the name breaks.
    pub fn parse(name: &str, field: &'static str) -> Result<Self, Refusal> {
        Self::checked(name, field)
    }

    /// Whether this is [`UserId::nobody`].
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.0.starts_with(RESERVED_PREFIX)
    }

    /// Who has no identity and is turned away: nobody can be called that.
    #[must_use]
    pub fn nobody() -> Self {
        Self("$nobody".into())
    }
}

/// The channel of records, which the broker keeps for vendors' client libraries.
impl ChannelName {
    /// Checks `name`; `field` is the frame's field that a refusal names. Of the broker's own
    /// channels only that of presence records may be named.
    ///
    /// # Errors
    /// `invalid_field` with the rule that the name breaks.
    pub fn parse(name: &str, field: &'static str) -> Result<Self, Refusal> {
        if name == RECORDS { Ok(Self::of_records()) } else { Self::checked(name, field) }
    }

    /// Where presence records are: whoever may list or subscribe it may read them, and nobody joins.
    #[must_use]
    pub fn of_records() -> Self {
        Self(RECORDS.into())
    }

    /// Whether this is where presence records are.
    #[must_use]
    pub fn is_of_records(&self) -> bool {
        &*self.0 == RECORDS
    }
}

/// Channels of the broker's own, where a user's status is told: two for each user, since the user
/// sees more of it than others do. Nobody is a member of them, [`ChannelName::parse`] refuses their
/// names, and they may be longer than [`MAX_NAME_BYTES`].
impl ChannelName {
    const STATUS: &str = "$user:";
    const OWN_STATUS: &str = "$self:";

    /// Where the status of `user` is told, as `watcher` sees it.
    #[must_use]
    pub fn of_status(user: &UserId, watcher: &UserId) -> Self {
        if user == watcher { Self::of_own_status(user) } else { Self::of_shown_status(user) }
    }

    /// Where the status of `user` is told as others see it.
    #[must_use]
    pub fn of_shown_status(user: &UserId) -> Self {
        Self(format!("{}{user}", Self::STATUS).into())
    }

    /// Where the status of `user` is told as the user sees it.
    #[must_use]
    pub fn of_own_status(user: &UserId) -> Self {
        Self(format!("{}{user}", Self::OWN_STATUS).into())
    }

    /// Whether this is where a status is told.
    #[must_use]
    pub fn is_status(&self) -> bool {
        self.0.starts_with(RESERVED_PREFIX) && !self.is_of_records()
    }

    /// Whose status is told here, if this is such a channel.
    #[must_use]
    pub fn status_of(&self) -> Option<UserId> {
        let user = self.0.strip_prefix(Self::STATUS).or(self.0.strip_prefix(Self::OWN_STATUS))?;
        Some(UserId(user.into()))
    }

    /// Whether a status is told here as its user sees it.
    #[must_use]
    pub fn is_own_status(&self) -> bool {
        self.0.starts_with(Self::OWN_STATUS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_of_a_status_knows_whose_it_is() {
        for name in ["bob", "a$user:b", "user:bob", "会議室", &"x".repeat(MAX_NAME_BYTES)] {
            let (user, other) = (UserId::parse(name, "user").unwrap(), UserId("ada".into()));
            let (own, shown) =
                (ChannelName::of_own_status(&user), ChannelName::of_shown_status(&user));
            assert_eq!(ChannelName::of_status(&user, &user), own);
            assert_eq!(ChannelName::of_status(&user, &other), shown);
            assert_ne!(own, shown);
            for channel in [&own, &shown] {
                assert_eq!(channel.status_of(), Some(user.clone()));
                assert!(ChannelName::parse(channel.as_str(), "channel").is_err(), "{channel}");
            }
            assert!(own.is_own_status() && !shown.is_own_status());
        }
    }

    #[test]
    fn the_channel_of_records_may_be_named_and_is_of_no_status() {
        let records = ChannelName::parse("$presences", "channel").unwrap();
        assert_eq!(records, ChannelName::of_records());
        assert!(records.is_of_records() && !records.is_status() && !records.is_own_status());
        assert_eq!(records.status_of(), None);
        for other in ["$presence", "$presences2", "$", "$Presences"] {
            assert!(ChannelName::parse(other, "channel").is_err(), "{other}");
        }
        assert!(UserId::parse("$presences", "user").is_err() && UserId::nobody().is_nobody());
    }

    #[test]
    fn a_channel_that_a_frame_may_name_is_of_no_status() {
        for name in ["room", "user:bob", "self:bob", "a$user:bob"] {
            let channel = ChannelName::parse(name, "channel").unwrap();
            assert_eq!((channel.status_of(), channel.is_own_status()), (None, false));
        }
    }
}
