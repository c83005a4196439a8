//! Answers.

use herenow_protocol::{Attributes, UserId};
use serde::Serialize;
use serde_json::{Value, json};

use crate::presence::Member;
use crate::vendors::times::in_millis;

/// A session that began.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    access_token: String,
    users: [User; 1],
    files: [(); 0],
    user_type: &'static str,
    issued_at: String,
    expires_at: String,
}

impl Session {
    /// Of that user, with that token. Times are in milliseconds since 1970.
    #[must_use]
    pub fn new(access_token: String, user: User, issued_unix_ms: u64, ends_unix_ms: u64) -> Self {
        Self {
            access_token,
            users: [user],
            files: [],
            user_type: "signed-in",
            issued_at: in_millis(issued_unix_ms),
            expires_at: in_millis(ends_unix_ms),
        }
    }
}

/// A user as social.plus shows it. Of what has no counterpart here there is none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    #[serde(rename = "_id")]
    id: UserId,
    user_id: UserId,
    user_internal_id: UserId,
    user_public_id: UserId,
    display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_custom_url: Option<String>,
    metadata: Value,
    roles: [(); 0],
    permissions: [(); 0],
    tags: [(); 0],
    flag_count: u32,
    is_brand: bool,
    is_global_ban: bool,
    is_deleted: bool,
}

impl User {
    /// A user of whom `info` is known.
    #[must_use]
    pub fn new(user: &UserId, info: &Attributes) -> Self {
        let info = info.to_map();
        let text = |keys: &[&str]| {
            let values = keys.iter().filter_map(|key| info.get(*key)?.as_str());
            values.into_iter().find(|text| !text.is_empty()).map(str::to_owned)
        };
        let name = text(&["displayName", "name"]);
        Self {
            id: user.clone(),
            user_id: user.clone(),
            user_internal_id: user.clone(),
            user_public_id: user.clone(),
            display_name: name.unwrap_or_else(|| user.as_str().to_owned()),
            avatar_custom_url: text(&["avatarCustomUrl", "avatar", "avatarUrl", "picture"]),
            metadata: json!({}),
            roles: [],
            permissions: [],
            tags: [],
            flag_count: 0,
            is_brand: false,
            is_global_ban: false,
            is_deleted: false,
        }
    }
}

/// Users, in the order in which they were asked for.
#[derive(Debug, Serialize)]
pub struct Users {
    /// They.
    pub users: Vec<User>,
    /// Pictures: there are none.
    pub files: [(); 0],
}

/// How many are in a room.
#[derive(Debug, Serialize)]
pub struct Count {
    /// So many.
    pub count: u64,
}

/// Who is in a room, newest first.
#[derive(Debug, Serialize)]
pub struct Viewers {
    /// They.
    pub viewers: Vec<Viewer>,
}

/// Somebody in a room.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Viewer {
    user_id: UserId,
    joined_at: String,
}

impl Viewer {
    /// That member.
    #[must_use]
    pub fn new(member: &Member) -> Self {
        Self { user_id: member.user.clone(), joined_at: in_millis(member.joined_at) }
    }
}

/// Whether the presence of a user is on.
#[derive(Debug, Serialize)]
pub struct Enabled {
    /// Whether it is.
    pub enabled: bool,
}

/// That something was done.
#[derive(Debug, Serialize)]
pub struct Done {
    status: &'static str,
}

impl Done {
    /// It was.
    pub const SUCCESS: Self = Self { status: "success" };
}

/// Whether there is presence, and how often to say that one is there. The library takes minutes.
#[must_use]
pub fn settings(enabled: bool, since_unix_ms: u64, beat_ms: u64) -> Value {
    let (minutes, since) = (beat_ms as f64 / 60_000.0, in_millis(since_unix_ms));
    json!({
        "user": { "enabled": enabled, "enabledAt": since },
        "network": {
            "heartbeatInterval": minutes,
            "presenceSyncInterval": minutes,
            "updatedAt": since,
        },
    })
}
