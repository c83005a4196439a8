//! Answers.

use herenow_protocol::UserStatus;
use serde::Serialize;
use serde_json::Value;

use super::input::Id;
use crate::now::Now;
use crate::vendors::times::in_seconds;

/// A user's own status.
#[derive(Debug, Serialize)]
pub struct OwnStatus {
    user_id: u64,
    is_online: bool,
    is_busy: bool,
    wait_time: Option<u32>,
    last_seen: String,
    created_at: String,
    updated_at: String,
}

/// A user as others see it.
#[derive(Debug, Serialize)]
pub struct UserPresence {
    user_id: u64,
    username: String,
    is_online: bool,
    is_busy: bool,
    wait_time: Option<u32>,
    last_seen: String,
}

/// That a heartbeat came.
#[derive(Debug, Serialize)]
pub struct Beaten {
    message: &'static str,
}

impl Beaten {
    /// It came.
    pub const RECEIVED: Self = Self { message: "Heartbeat received" };
}

impl OwnStatus {
    /// The status of the user of that id, who asks at `now`. Of whom nothing is known yet, it is
    /// known from now on.
    #[must_use]
    pub fn new(id: Id, status: &UserStatus, now: Now) -> Self {
        Self {
            user_id: id.number(),
            is_online: shows_online(status),
            is_busy: status.busy,
            wait_time: status.wait_time,
            last_seen: in_seconds(last_seen(status, now)),
            created_at: in_seconds(status.created_at.unwrap_or(now.unix_ms)),
            updated_at: in_seconds(status.updated_at.unwrap_or(now.unix_ms)),
        }
    }
}

impl UserPresence {
    /// The user of that id, whose status is shown to somebody at `now`.
    #[must_use]
    pub fn new(id: Id, status: &UserStatus, now: Now) -> Self {
        Self {
            user_id: id.number(),
            username: username(status),
            is_online: shows_online(status),
            is_busy: status.busy,
            wait_time: status.wait_time,
            last_seen: in_seconds(last_seen(status, now)),
        }
    }
}

/// Whoever is switched off is so to itself as well.
fn shows_online(status: &UserStatus) -> bool {
    status.online && !status.invisible
}

/// Whoever set something was there, if not otherwise.
fn last_seen(status: &UserStatus, now: Now) -> u64 {
    status.last_seen.or(status.updated_at).unwrap_or(now.unix_ms)
}

fn username(status: &UserStatus) -> String {
    let info = status.info.to_map();
    let names = ["name", "displayName"].into_iter().filter_map(|key| info.get(key));
    let name = names.filter_map(Value::as_str).find(|name| !name.is_empty());
    name.unwrap_or(status.user.as_str()).to_owned()
}
