//! What nodes tell each other of a user.

use herenow_protocol::{AttributeMap, Attributes, UserStatus};
use serde_json::Value;

/// What this node has to say of a user to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Whether the user is online here, and then whether it is away.
    pub online: Option<bool>,
    /// What the user set, as `Settings::encode` writes it; empty: nothing yet.
    pub set: Attributes,
    /// Name, avatar and the like.
    pub info: Attributes,
    /// Since when the user is known, by the wall clock.
    pub created_at: u64,
    /// When something that is no longer last showed the user to be there, by the wall clock; 0:
    /// nothing did.
    pub seen: u64,
}

/// What is heard of a user from other nodes: it replaces what was heard before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Whether the user is online on others, and then whether it is away on all of those.
    pub online: Option<bool>,
    /// What the user set; `None`: what is known of that here holds.
    pub set: Option<Attributes>,
    /// Name, avatar and the like; `None`: what is known here holds.
    pub info: Option<Attributes>,
    /// Since when the user is known, by the wall clock; `None`: nobody said.
    pub created_at: Option<u64>,
    /// When it was last seen by what is no longer, by the wall clock; 0: never.
    pub seen: u64,
}

/// What a user set of its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) busy: bool,
    pub(super) wait_time: Option<u32>,
    pub(super) text: Option<Box<str>>,
    /// What others are shown while the user appears offline: what they saw last, less the user.
    pub(super) shown: Option<Box<UserStatus>>,
}

impl Settings {
    /// As other nodes read it. `updated_at`: when it was set, by the wall clock.
    pub(super) fn encode(&self, updated_at: u64) -> Attributes {
        let mut map = AttributeMap::new();
        // What is merely as it always was says nothing.
        map.insert("busy".into(), self.busy.then_some(true).into());
        map.insert("waitTime".into(), self.wait_time.into());
        map.insert("text".into(), self.text.as_deref().into());
        map.insert("updatedAt".into(), updated_at.into());
        let shown = self.shown.as_ref().and_then(|shown| serde_json::to_value(shown).ok());
        map.insert("shown".into(), shown.unwrap_or_default());
        Attributes::from_map(&map)
    }

    /// What another node wrote, and when that was set. What cannot be read counts as not set; but
    /// whoever wants to be invisible is, whatever `shown` says.
    pub(super) fn decode(
        written: &Attributes,
        unreadable: impl FnOnce() -> UserStatus,
    ) -> (Self, u64) {
        let map = written.to_map();
        let whole = |key: &str| map.get(key).and_then(Value::as_u64);
        let shown = map
            .get("shown")
            .map(|shown| serde_json::from_value(shown.clone()).unwrap_or_else(|_| unreadable()));
        let settings = Self {
            busy: map.get("busy").and_then(Value::as_bool).unwrap_or_default(),
            wait_time: whole("waitTime").and_then(|minutes| u32::try_from(minutes).ok()),
            text: map.get("text").and_then(Value::as_str).map(Into::into),
            shown: shown.map(Box::new),
        };
        (settings, whole("updatedAt").unwrap_or_default())
    }
}
