//! sockudo: Pusher's protocol, version 7, with presence channels. Observing makes a member, and
//! a member observes; updates are client events, which everybody but the sender gets.

use std::collections::HashMap;
use std::fmt::Write;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::failure::{Result, fail};
use crate::frame;
use crate::peer::dialect::{Dialect, Note, attributes, event};
use crate::population::user_index;
use crate::socket::Upgrade;

/// The app of `peers/sockudo/sockudo.toml`.
const KEY: &str = "bench";
const SECRET: &str = "bench";

/// The socket ids by connection: they are part of what is signed.
#[derive(Default)]
pub(crate) struct Sockudo {
    ids: HashMap<usize, String>,
}

impl Sockudo {
    fn subscribe(&self, user: &str, channel: &str, out: &mut Vec<u8>) {
        let who = user_index(user.as_bytes()).unwrap_or_default();
        let id = self.ids.get(&who).map_or("", String::as_str);
        let data = format!(r#"{{"user_id":"{user}","user_info":{{}}}}"#);
        let auth = sign(&format!("{id}:presence-{channel}:{data}"));
        let data = data.replace('"', "\\\"");
        let text = format!(
            r#"{{"event":"pusher:subscribe","data":{{"channel":"presence-{channel}","auth":"{KEY}:{auth}","channel_data":"{data}"}}}}"#
        );
        frame::text(&text, out);
    }
}

impl Dialect for Sockudo {
    fn upgrade(&self, _: &str) -> Option<Upgrade> {
        let path = format!("/app/{KEY}?protocol=7&client=herenow-bench&version=8.0");
        Some(Upgrade { path, protocol: None })
    }

    fn hello(&self, _: &str, _: &str, _: &mut Vec<u8>) {}

    fn join(&self, user: &str, channel: &str, out: &mut Vec<u8>) {
        self.subscribe(user, channel, out);
    }

    fn observe(&self, user: &str, channel: &str, out: &mut Vec<u8>) {
        self.subscribe(user, channel, out);
    }

    fn enter(&self, user: &str, channel: &str, out: &mut Vec<u8>) {
        self.subscribe(user, channel, out);
    }

    fn update(&self, user: &str, channel: &str, mark: &str, out: &mut Vec<u8>) {
        let data = event("updateAttributes", user, &attributes(mark));
        let text = format!(
            r#"{{"event":"client-presence","channel":"presence-{channel}","data":{data}}}"#
        );
        frame::text(&text, out);
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        frame::text(r#"{"event":"pusher:ping","data":{}}"#, out);
    }

    fn read(&mut self, who: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<Note> {
        let has = |text: &str| memchr::memmem::find(payload, text.as_bytes()).is_some();
        Ok(if has("connection_established") {
            self.ids.insert(who, socket_id(payload));
            Note::Welcomed
        } else if has("subscription_succeeded") {
            Note::Entered
        } else if has("\"pusher:error\"") || has("subscription_error") {
            fail!("sockudo says {}", String::from_utf8_lossy(payload));
        } else if has("\"pusher:ping\"") {
            frame::text(r#"{"event":"pusher:pong","data":{}}"#, out);
            Note::Nothing
        } else {
            Note::Members
        })
    }
}

/// The id in `"data":"{\"socket_id\":\"1.2\",…}"`.
fn socket_id(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let rest = text.split_once("socket_id").map_or("", |(_, rest)| rest);
    let id = rest.trim_start_matches(['\\', '"', ':', ' ']);
    id.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
}

fn sign(text: &str) -> String {
    // An HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()) else {
        return String::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_id_is_found() {
        let text =
            r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"47.98\"}"}"#;
        assert_eq!(socket_id(text.as_bytes()), "47.98");
    }
}
