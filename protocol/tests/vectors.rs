//! The golden frames of `protocol/vectors/`, which the JavaScript tests read too: what a client may
//! send and what becomes of it, what the broker sends, and what a replica makes of that.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use herenow_protocol::reply::MemberView;
use herenow_protocol::{Attributes, ErrorCode, Event, ServerFrame, UserId, parse};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let vectors: Vec<T> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert!(!vectors.is_empty());
    vectors
}

/// A message that is a frame.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Good {
    name: String,
    text: String,
    /// The same frame in full, as a client library would write it.
    frame: Value,
}

#[test]
fn good_client_messages_are_read() {
    for Good { name, text, frame } in read("client-good.json") {
        let read = parse(&text).unwrap_or_else(|rejected| panic!("{name}: {rejected:?}"));
        assert_eq!(serde_json::to_value(&read).unwrap(), frame, "{name}");
        assert_eq!(parse(&frame.to_string()).unwrap(), read, "{name}, from its full frame");
    }
}

/// A message that is refused, and the `error` frame that says so.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    name: String,
    text: String,
    code: ErrorCode,
    field: Option<String>,
    id: Option<Value>,
    /// A message that ends in `…` goes on with words of the JSON reader, which may change.
    message: String,
}

#[test]
fn bad_client_messages_are_refused() {
    for Bad { name, text, code, field, id, message } in read("client-bad.json") {
        let Err(rejected) = parse(&text) else { panic!("{name}: was read") };
        let error = json!(ServerFrame::error(rejected.id, rejected.refusal));
        assert_eq!(error["code"], json!(code), "{name}: {error}");
        assert_eq!(error.get("field"), field.map(Value::from).as_ref(), "{name}: {error}");
        assert_eq!(error.get("id"), id.as_ref(), "{name}: {error}");
        let told = error["message"].as_str().unwrap();
        match message.strip_suffix('…') {
            Some(beginning) => assert!(told.starts_with(beginning), "{name}: {told}"),
            None => assert_eq!(told, message, "{name}"),
        }
    }
}

/// A frame of the broker.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    name: String,
    frame: Value,
}

#[test]
fn server_frames_are_read_and_written_alike() {
    for Server { name, frame } in read("server.json") {
        let read = ServerFrame::deserialize(&frame).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(serde_json::to_value(&read).unwrap(), frame, "{name}");
    }
}

/// Of each kind there is an example; `protocol/schema` lists the kinds.
#[test]
fn the_vectors_cover_every_frame_event_and_reason() {
    let mut seen = BTreeSet::new();
    for file in ["client-good.json", "server.json"] {
        collect(&read::<Value>(file).into(), "", &mut |_, value| {
            seen.extend(value.as_str().map(str::to_owned));
        });
    }
    for file in ["client.schema.json", "server.schema.json"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(file);
        let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let mut constants = 0;
        collect(&schema, "", &mut |key, value| {
            if let ("const", Some(constant)) = (key, value.as_str()) {
                constants += 1;
                assert!(seen.contains(constant), "no vector shows {constant:?} of {file}");
            }
        });
        assert!(constants > 0, "{file} lists nothing");
    }
}

/// Calls `visit` with every value inside `value` and the key that it stands under.
fn collect(value: &Value, key: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(key, value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, visit)),
        Value::Object(map) => map.iter().for_each(|(key, item)| collect(item, key, visit)),
        _ => (),
    }
}

/// What one subscriber receives of one channel, and what it should then know.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sequence {
    name: String,
    frames: Vec<Value>,
    expect: State,
    /// Members whom not everyone may see, so that `count` leaves them out.
    #[serde(default)]
    restricted: BTreeSet<String>,
    /// The `info` of those members that have one, where the sequence is about it.
    info: Option<BTreeMap<String, Value>>,
    /// The members that are away, where the sequence is about it.
    away: Option<BTreeSet<String>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    seq: u64,
    count: u64,
    members: BTreeMap<String, Value>,
}

/// The replica of README.md, in its simplest form.
#[derive(Default)]
struct Replica {
    state: State,
    info: BTreeMap<String, Value>,
    away: BTreeSet<String>,
    parts: Option<(String, u64, Vec<MemberView>)>,
    synced: bool,
    counted: bool,
}

impl Replica {
    fn receive(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Snapshot { epoch, seq, count, members, more, partial, .. } => {
                let begun =
                    self.parts.take().filter(|(e, s, _)| (e, *s) == (&epoch.to_string(), seq));
                let mut collected = begun.map(|(_, _, members)| members).unwrap_or_default();
                collected.extend(members);
                if more {
                    self.parts = Some((epoch.to_string(), seq, collected));
                } else {
                    (self.state.seq, self.state.count) = (seq, count);
                    if !partial {
                        self.state.members.clear();
                        self.info.clear();
                        self.away.clear();
                    }
                    for MemberView { user, info, attributes, away, .. } in collected {
                        self.put(&user, &attributes, Some(&info), Some(away));
                    }
                    (self.synced, self.counted) = (true, false);
                }
            }
            ServerFrame::Presence { seq, count, events, .. } if self.synced => {
                if seq > self.state.seq + 1 {
                    self.synced = false;
                    return;
                }
                (self.state.seq, self.state.count) = (seq, count);
                events.into_iter().for_each(|event| self.apply(event));
            }
            ServerFrame::Count { count, .. } => {
                (self.synced, self.counted, self.parts) = (false, true, None);
                self.state.count = count;
                self.state.members.clear();
                self.info.clear();
                self.away.clear();
            }
            _ => (),
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Join { user, attributes, info, away, .. } => {
                self.put(&user, &attributes, Some(&info), Some(away));
            }
            Event::UpdateAttributes { user, attributes, info, away, .. } => {
                if self.state.members.contains_key(user.as_str()) {
                    self.put(&user, &attributes, info.as_ref(), away);
                }
            }
            Event::Leave { user, .. } | Event::Timeout { user, .. } => {
                self.state.members.remove(user.as_str());
                self.info.remove(user.as_str());
                self.away.remove(user.as_str());
            }
        }
    }

    /// Without `info` or `away` the member keeps what it has.
    fn put(
        &mut self,
        user: &UserId,
        attributes: &Attributes,
        info: Option<&Attributes>,
        away: Option<bool>,
    ) {
        self.state.members.insert(user.to_string(), json!(attributes));
        match info {
            Some(info) if info.is_empty() => drop(self.info.remove(user.as_str())),
            Some(info) => drop(self.info.insert(user.to_string(), json!(info))),
            None => (),
        }
        match away {
            Some(true) => drop(self.away.insert(user.to_string())),
            Some(false) => drop(self.away.remove(user.as_str())),
            None => (),
        }
    }
}

#[test]
fn replicas_know_what_they_should() {
    for Sequence { name, frames, expect, restricted, info, away } in read("replica.json") {
        let mut replica = Replica::default();
        for frame in frames {
            let frame = ServerFrame::deserialize(&frame).unwrap_or_else(|e| panic!("{name}: {e}"));
            replica.receive(frame);
        }
        assert_eq!(replica.state, expect, "{name}");
        if let Some(info) = info {
            assert_eq!(replica.info, info, "{name}");
        }
        if let Some(away) = away {
            assert_eq!(replica.away, away, "{name}");
        }
        if !replica.counted {
            let counted = expect.members.keys().filter(|user| !restricted.contains(*user));
            assert_eq!(expect.count, counted.count() as u64, "{name}: the vector itself");
        }
    }
}
