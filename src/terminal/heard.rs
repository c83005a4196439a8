//! What a broker says, as far as these commands look at it. A newer broker may say more: frames, events,
//! reasons and fields that are not known here are passed over, as the protocol asks.

use herenow_protocol::{Attributes, Epoch, Sight};
use serde::Deserialize;

/// The cadence that keeps a member present.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Cadence {
    /// From one heartbeat to the next, in milliseconds; 0: not told.
    pub interval_ms: u64,
}

/// What a broker is called.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Server {
    /// `herenow`.
    pub name: String,
    /// As in `0.1.0`.
    pub version: String,
}

/// The first frame, of an older broker too.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Welcome {
    /// The protocol's version.
    pub protocol: u64,
    /// As whom we are there.
    pub user: String,
    /// Who serves.
    pub server: Server,
    /// How often to say that we are.
    pub heartbeat: Cadence,
    /// Whom we may see.
    pub sight: Option<Sight>,
    /// The broker's clock, in milliseconds since 1970.
    pub now: Option<u64>,
}

/// A refusal.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Of which frame.
    pub id: Option<i64>,
    /// For programs.
    pub code: String,
    /// For people; over HTTP it is called `detail`.
    #[serde(alias = "detail")]
    pub message: String,
    /// What is at fault.
    pub field: Option<String>,
    /// When to try again.
    pub retry_after_ms: Option<u64>,
    /// The broker's clock, where a token was refused for its times.
    pub now: Option<u64>,
}

/// Somebody who is present.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Who.
    pub user: String,
    /// What the token says of it.
    #[serde(default)]
    pub info: Attributes,
    /// What it set.
    #[serde(default)]
    pub attributes: Attributes,
    /// Whether it is away.
    #[serde(default)]
    pub away: bool,
    /// Since when.
    pub joined_at: Option<u64>,
}

/// A change of one member.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// `join`, `leave`, `timeout`, `updateAttributes`, or what a newer broker tells.
    pub event: String,
    /// Whose.
    pub user: String,
    /// All of them.
    pub attributes: Option<Attributes>,
    /// If it changed.
    pub info: Option<Attributes>,
    /// If it changed.
    pub away: Option<bool>,
    /// If it counts as one that joins anew.
    pub joined_at: Option<u64>,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Option<u64>,
}

/// A frame.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Heard {
    /// The first.
    Welcome(Welcome),
    /// Something with an `id` was done.
    Ok {
        /// What.
        id: i64,
        /// Of `join`: the cadence there.
        heartbeat: Option<Cadence>,
        /// Of `subscribe`: missed frames follow.
        resumed: Option<bool>,
        /// Of `auth`.
        sight: Option<Sight>,
    },
    /// Something was refused.
    Error(Refused),
    /// The answer to a query.
    Result {
        /// Which.
        id: Option<i64>,
    },
    /// A channel's members at `seq`, or some of them.
    Snapshot {
        /// Which history.
        epoch: Epoch,
        /// Which frame of it.
        seq: u64,
        /// How many.
        count: u64,
        /// Newest first.
        members: Vec<Listed>,
        /// Another part follows.
        #[serde(default)]
        more: bool,
        /// Of other nodes not everything is known.
        #[serde(default)]
        partial: bool,
    },
    /// What changed.
    Presence {
        /// Which frame.
        seq: u64,
        /// How many, after it.
        count: u64,
        /// The changes.
        events: Vec<Event>,
    },
    /// How many are there.
    Count {
        /// So many.
        count: u64,
        /// The newest, newest first.
        recent: Option<Vec<Listed>>,
    },
    /// Heartbeats are late.
    HeartbeatDue {},
    /// Something of ours ended.
    Removed {
        /// Where.
        channels: Vec<String>,
        /// `heartbeat`, `rights`.
        reason: String,
    },
    /// The broker is about to go.
    Goaway {
        /// When to come back.
        reconnect_in_ms: u64,
    },
    /// Anything else.
    #[serde(other)]
    Other,
}

/// Reads a message; what is no frame that is known here is [`Heard::Other`].
#[must_use]
pub fn read(text: &str) -> Heard {
    serde_json::from_str(text).unwrap_or(Heard::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every frame that a broker of this version says is read, and none is misread for another.
    #[test]
    fn the_golden_frames_are_heard() {
        let golden = include_str!("../../protocol/vectors/server.json");
        let golden: Vec<serde_json::Value> = serde_json::from_str(golden).unwrap();
        let passed_over = ["level", "status", "help", "synced"];
        for entry in &golden {
            let frame = &entry["frame"];
            let kind = frame["type"].as_str().unwrap();
            // Ours are numbers: what answers another client's is not for us.
            if frame["id"].is_string() {
                continue;
            }
            let heard = read(&frame.to_string());
            let is_other = heard == Heard::Other;
            assert_eq!(is_other, passed_over.contains(&kind), "{frame} is {heard:?}");
        }
        assert!(golden.len() > 20);
    }

    #[test]
    fn what_is_newer_is_passed_over() {
        assert_eq!(read(r#"{"type":"party","at":5}"#), Heard::Other);
        assert_eq!(read("no frame"), Heard::Other);
        let text = r#"{"type":"presence","channel":"room","seq":3,"count":1,"events":[
            {"event":"waved","user":"ada","reason":"joy"}],"mood":{}}"#;
        let Heard::Presence { seq: 3, events, .. } = read(text) else { panic!("unread") };
        assert_eq!((events[0].event.as_str(), events[0].reason.as_deref()), ("waved", Some("joy")));
    }
}
