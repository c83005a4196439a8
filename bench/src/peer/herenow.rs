//! herenow's own protocol. Requests are the protocol crate's types; what comes back is parsed whole
//! and strictly, once for each distinct frame: subscribers of one channel get the same bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use herenow_protocol::{ChannelName, ClientFrame, Level, Request};
use jsonwebtoken::{EncodingKey, Header};
use serde::Deserialize;

use crate::failure::{Context, Result, fail};
use crate::frame;
use crate::peer::dialect::{Dialect, Note, attributes};
use crate::population::user_index;
use crate::replica::{Bits, Body, Change, Frame};
use crate::socket::Upgrade;

/// The variable with the secret of tokens, which the broker reads.
pub(crate) const JWT_SECRET: &str = "HERENOW_JWT_SECRET";

/// Bytes of parsed frames that are kept for the next connection that gets them.
const CACHE_BYTES: usize = 64 << 20;
/// The beginning of a frame tells most frames apart; those that share it are compared whole.
const HASHED_BYTES: usize = 192;

/// A frame's bytes and what they say.
type Parsed = (Vec<u8>, Rc<Frame>);

pub(crate) struct Herenow {
    channels: usize,
    /// What the broker's tokens are signed with, if it wants any: it has inherited the variable.
    secret: Option<EncodingKey>,
    hasher: RandomState,
    cache: HashMap<u64, Vec<Parsed>>,
    cached_bytes: usize,
}

impl Herenow {
    pub(crate) fn new(channels: usize) -> Self {
        let cache = HashMap::new();
        let secret = std::env::var(JWT_SECRET).ok();
        let secret = secret.map(|secret| EncodingKey::from_secret(secret.as_bytes()));
        Self { channels, secret, hasher: RandomState::new(), cache, cached_bytes: 0 }
    }

    /// The frame in `payload`, parsed now or for another connection.
    fn shared(&mut self, payload: &[u8]) -> Result<Option<Rc<Frame>>> {
        let start = &payload[..payload.len().min(HASHED_BYTES)];
        let key = self.hasher.hash_one((payload.len(), start));
        let known = self.cache.get(&key).and_then(|frames| {
            frames.iter().find(|(bytes, _)| bytes == payload).map(|(_, frame)| Rc::clone(frame))
        });
        if known.is_some() {
            return Ok(known);
        }
        let Some(frame) = self.parse(payload)?.map(Rc::new) else { return Ok(None) };
        if self.cached_bytes + payload.len() > CACHE_BYTES {
            self.cache.clear();
            self.cached_bytes = 0;
        }
        self.cached_bytes += payload.len();
        self.cache.entry(key).or_default().push((payload.to_vec(), Rc::clone(&frame)));
        Ok(Some(frame))
    }

    fn parse(&self, payload: &[u8]) -> Result<Option<Frame>> {
        let wire: Wire<'_> = serde_json::from_slice(payload)
            .context(|| format!("not a frame ({})", shown(payload)))?;
        let body = match &*wire.kind {
            "snapshot" => self.snapshot(&wire)?,
            "presence" => self.presence(&wire)?,
            "error" | "removed" | "goaway" => fail!("the broker says {}", shown(payload)),
            "ok" | "result" | "heartbeatDue" => return Ok(None),
            _ => fail!("a frame of unknown type: {}", shown(payload)),
        };
        let (Some(channel), Some(seq), Some(count)) = (wire.channel, wire.seq, wire.count) else {
            fail!("channel, seq or count is missing: {}", shown(payload));
        };
        Ok(Some(Frame { channel: channel.into_owned(), seq, count, body }))
    }

    fn snapshot(&self, wire: &Wire<'_>) -> Result<Body> {
        let mut members = Bits::default();
        for member in wire.members.iter().flatten() {
            if !members.add(self.member(wire, &member.user)?) {
                fail!("a snapshot lists {} twice", member.user);
            }
        }
        Ok(Body::Snapshot { members, more: wire.more })
    }

    fn presence(&self, wire: &Wire<'_>) -> Result<Body> {
        let mut events = Vec::new();
        for event in wire.events.iter().flatten() {
            let change = match &*event.event {
                "join" => Change::Joined,
                "leave" | "timeout" => Change::Gone,
                "updateAttributes" => Change::Updated,
                other => fail!("an event of unknown type {other}"),
            };
            events.push((self.member(wire, &event.user)?, change));
        }
        Ok(Body::Presence { events })
    }

    /// Which member of its channel a user is.
    fn member(&self, wire: &Wire<'_>, user: &str) -> Result<usize> {
        let channel = wire.channel.as_deref().unwrap_or_default();
        let own = channel.rsplit_once('-').and_then(|(_, number)| number.parse::<usize>().ok());
        match user_index(user.as_bytes()) {
            Some(index) if own == Some(index % self.channels) => Ok(index / self.channels),
            _ => fail!("{user:?} has no business in channel {channel:?}"),
        }
    }
}

impl Dialect for Herenow {
    fn upgrade(&self, user: &str) -> Option<Upgrade> {
        let path = match &self.secret {
            Some(secret) => format!("/ws?token={}", token(user, &[], secret)?),
            None => format!("/ws?user={user}"),
        };
        Some(Upgrade { path, protocol: None })
    }

    fn hello(&self, _: &str, _: &str, _: &mut Vec<u8>) {}

    fn join(&self, _: &str, channel: &str, out: &mut Vec<u8>) {
        send(channel, out, |channel| Request::Join {
            channel,
            attributes: None,
            merge: false,
            grace_ms: None,
            visible_to: None,
            away: None,
        });
    }

    fn observe(&self, _: &str, channel: &str, out: &mut Vec<u8>) {
        send(channel, out, |channel| Request::Subscribe {
            channel,
            level: Level::Events,
            recent: None,
            recent_attributes: false,
            since: None,
        });
    }

    fn update(&self, _: &str, channel: &str, mark: &str, out: &mut Vec<u8>) {
        let attributes = attributes(mark);
        // The hot path of a run, so without a walk through the types.
        let text = format!(
            r#"{{"type":"setAttributes","channel":"{channel}","attributes":{attributes}}}"#
        );
        frame::text(&text, out);
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        frame::text(r#"{"type":"heartbeat"}"#, out);
    }

    fn read(&mut self, _: usize, payload: &[u8], _: &mut Vec<u8>) -> Result<Note> {
        if payload.starts_with(br#"{"type":"welcome""#) {
            return Ok(Note::Welcomed);
        }
        Ok(self.shared(payload)?.map_or(Note::Nothing, Note::Frame))
    }
}

/// A token of a user that has these roles. It lasts longer than any run, and grants everything.
pub(crate) fn token(user: &str, roles: &[String], secret: &EncodingKey) -> Option<String> {
    const FAR_AHEAD: u64 = 4_000_000_000;
    let claims = serde_json::json!({"sub": user, "exp": FAR_AHEAD, "roles": roles});
    jsonwebtoken::encode(&Header::default(), &claims, secret).ok()
}

fn send(channel: &str, out: &mut Vec<u8>, request: impl FnOnce(ChannelName) -> Request) {
    // Channel names of a run are made here, well within the rules; and requests always serialize.
    if let Ok(channel) = ChannelName::parse(channel, "channel")
        && let Ok(text) = serde_json::to_string(&ClientFrame::from(request(channel)))
    {
        frame::text(&text, out);
    }
}

/// The beginning of a frame, for an error's line.
fn shown(payload: &[u8]) -> String {
    String::from_utf8_lossy(&payload[..payload.len().min(200)]).into_owned()
}

/// Any frame from the broker, as far as a replica needs it.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    seq: Option<u64>,
    count: Option<usize>,
    #[serde(borrow)]
    members: Option<Vec<WireMember<'a>>>,
    #[serde(default)]
    more: bool,
    #[serde(borrow)]
    events: Option<Vec<WireEvent<'a>>>,
}

#[derive(Deserialize)]
struct WireMember<'a> {
    #[serde(borrow)]
    user: Cow<'a, str>,
}

#[derive(Deserialize)]
struct WireEvent<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    user: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Note> {
        Herenow::new(2).read(0, text.as_bytes(), &mut Vec::new())
    }

    #[test]
    fn frames_are_numbered_by_member() {
        let text = r#"{"type":"snapshot","channel":"x-1","epoch":"e","seq":3,"count":2,"members":[
            {"user":"u~00000001","attributes":{},"joinedAt":1},{"user":"u~00000005","attributes":{}}]}"#;
        let Note::Frame(frame) = read(text).unwrap() else { panic!() };
        let Body::Snapshot { members, more: false } = &frame.body else { panic!() };
        assert!(members.holds(0) && members.holds(2) && members.count() == 2);
    }

    #[test]
    fn what_is_no_good_is_told() {
        for (text, why) in [
            (
                r#"{"type":"presence","channel":"x-1","seq":3,"count":2,"events":[{"event":"join","user":"u~00000002"}]}"#,
                "no business",
            ),
            (r#"{"type":"error","code":"internal","message":"m"}"#, "internal"),
            (r#"{"type":"presence","channel":"x-1","count":2,"events":[]}"#, "missing"),
            ("hello", "not a frame"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
