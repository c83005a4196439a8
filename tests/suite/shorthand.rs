//! A session as a person types it into `wscat`, and every answer to the letter.

use serde_json::{Value, json};

use crate::broker::Broker;
use crate::wire::Wire;

/// What differs from run to run, made the same.
fn masked(mut frame: Value) -> Value {
    fn mask(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match name.as_str() {
                        "epoch" => {
                            assert_eq!(value.as_str().unwrap().len(), 8);
                            *value = json!("EPOCH");
                        }
                        "sight" => {
                            assert_eq!(value.as_str().unwrap().len(), 16);
                            *value = json!("SIGHT");
                        }
                        "at" | "joinedAt" | "now" => {
                            assert!(value.as_u64().unwrap() > 1_700_000_000_000);
                            *value = json!("TIME");
                        }
                        "connection" => {
                            assert!(value.as_str().unwrap().starts_with('c'));
                            *value = json!("CONNECTION");
                        }
                        _ => mask(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(mask),
            _ => {}
        }
    }
    mask(&mut frame);
    frame
}

/// Types a line, and reads what must come.
async fn types(person: &mut Wire, line: &str, answers: &[Value]) {
    person.say(line).await;
    for expected in answers {
        assert_eq!(&masked(person.json().await), expected, "to {line:?}");
    }
}

/// A round trip, behind which nothing that came earlier can be left.
async fn nothing_else(person: &mut Wire) {
    let answer = json!({"type": "result", "channel": "elsewhere", "count": 0});
    types(person, "count elsewhere", &[answer]).await;
}

fn told(seq: u64, count: u64, event: &Value) -> Value {
    json!({"type": "presence", "channel": "room", "seq": seq, "count": count, "events": [event]})
}

fn refusal(code: &str, field: Option<&str>, message: &str) -> Value {
    let mut frame = json!({"type": "error", "code": code, "message": message});
    if let Some(field) = field {
        frame["field"] = json!(field);
    }
    frame
}

#[tokio::test]
async fn a_session_by_hand() {
    let broker = Broker::start();
    let mut ada = Wire::open(broker.address(), "ada").await;
    let welcome = json!({
        "type": "welcome", "protocol": 1, "connection": "CONNECTION", "user": "ada",
        "server": {"name": "herenow", "version": env!("CARGO_PKG_VERSION")},
        "heartbeat": {"intervalMs": 30_000, "timeoutMs": 60_000},
        "limits": {
            "messageBytes": 16_384, "attributeBytes": 4_096, "attributeKeys": 64, "nameBytes": 200,
            "channels": 128, "watches": 256, "members": 100_000, "framesPerSecond": 50, "framesBurst": 300,
            "graceMs": 60_000, "ttlMs": 3_600_000, "list": 1_000,
            "roster": 1_000,
        },
        "sight": "SIGHT",
        "now": "TIME",
    });
    assert_eq!(masked(ada.json().await), welcome);

    let snapshot = |seq: u64, members: Value| {
        json!({"type": "snapshot", "channel": "room", "epoch": "EPOCH", "seq": seq,
               "count": members.as_array().unwrap().len(), "members": members,
               "reason": "subscribed"})
    };
    types(&mut ada, "sub room", &[snapshot(0, json!([]))]).await;
    let joined = json!({"event": "join", "user": "ada", "attributes": {"mood": "happy"},
                        "at": "TIME"});
    types(&mut ada, "join room mood=happy", &[told(1, 1, &joined)]).await;
    let update = |attributes: Value| json!({"event": "updateAttributes", "user": "ada", "attributes": attributes, "at": "TIME"});
    let mood = json!({"mood": "quite happy", "level": 3, "ready": true, "at home": "no"});
    types(
        &mut ada,
        r#"set room mood="quite happy" level=3 ready=true "at home"=no"#,
        &[told(2, 1, &update(mood.clone()))],
    )
    .await;
    // The same again changes nothing.
    ada.say(r#"set room mood="quite happy" level=3 ready=true "at home"=no"#).await;
    nothing_else(&mut ada).await;
    types(&mut ada, "set room", &[told(3, 1, &update(json!({})))]).await;
    types(&mut ada, "set room mood=sad", &[told(4, 1, &update(json!({"mood": "sad"})))]).await;
    for (line, seq, away) in [("away", 5, true), ("back room", 6, false)] {
        let mut turned = update(json!({"mood": "sad"}));
        turned["away"] = json!(away);
        types(&mut ada, line, &[told(seq, 1, &turned)]).await;
    }
    // Where one was not, and what one was already.
    for line in ["away hall", "back room"] {
        ada.say(line).await;
        nothing_else(&mut ada).await;
    }

    let mut bob = Wire::connect(broker.address(), "bob").await;
    bob.say("join room").await;
    let joined = json!({"event": "join", "user": "bob", "attributes": {}, "at": "TIME"});
    assert_eq!(masked(ada.json().await), told(7, 2, &joined));
    questions(&mut ada).await;

    for line in ["hb", "hb room", "hb room nowhere", "leave nowhere", "unsub nowhere"] {
        ada.say(line).await;
        nothing_else(&mut ada).await;
    }
    let again = snapshot(
        7,
        json!([
            {"user": "bob", "attributes": {}, "joinedAt": "TIME"},
            {"user": "ada", "attributes": {"mood": "sad"}, "joinedAt": "TIME"},
        ]),
    );
    types(&mut ada, "sub room", &[again]).await;
    let left = json!({"event": "leave", "user": "ada", "reason": "left", "at": "TIME"});
    types(&mut ada, "leave room", &[told(8, 1, &left)]).await;
    ada.say("unsub room").await;
    bob.say("leave room").await;
    nothing_else(&mut bob).await;
    nothing_else(&mut ada).await;
}

/// With ada (mood sad) and bob in room.
async fn questions(ada: &mut Wire) {
    let members = json!([
        {"user": "bob", "attributes": {}, "joinedAt": "TIME"},
        {"user": "ada", "attributes": {"mood": "sad"}, "joinedAt": "TIME"},
    ]);
    let who = json!({"type": "result", "channel": "room", "count": 2, "epoch": "EPOCH", "seq": 7, "members": members});
    types(ada, "who room", &[who]).await;
    let nobody = json!({"type": "result", "channel": "attic", "count": 0, "members": []});
    types(ada, "who attic", &[nobody]).await;
    types(ada, "count room", &[json!({"type": "result", "channel": "room", "count": 2})]).await;
    let of = |user: &str, attributes: Value| json!({"type": "result", "channel": "room", "user": user, "attributes": attributes});
    types(ada, "get room", &[of("ada", json!({"mood": "sad"}))]).await;
    types(ada, "get room bob", &[of("bob", json!({}))]).await;
    let absent = refusal("not_found", Some("user"), "user is not a member of the channel");
    types(ada, "get room zoe", &[absent]).await;
    let places =
        |user: &str, channels: Value| json!({"type": "result", "user": user, "channels": channels});
    types(ada, "where", &[places("ada", json!(["room"]))]).await;
    types(ada, "where bob", &[places("bob", json!(["room"]))]).await;
    types(ada, "where zoe", &[places("zoe", json!([]))]).await;
}

#[tokio::test]
async fn help_lists_what_can_be_typed() {
    let broker = Broker::start();
    let mut ada = Wire::connect(broker.address(), "ada").await;
    ada.say("help").await;
    let help = ada.json().await;
    assert_eq!(help["type"], "help");
    let lines = help["commands"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let words: Vec<_> = lines
        .map(|line| {
            let (form, does) = line.split_at(22);
            assert!(form.ends_with("  ") && does.starts_with(char::is_alphabetic), "{line:?}");
            form.split(' ').next().unwrap()
        })
        .collect();
    let known = [
        "join", "leave", "set", "hb", "away", "back", "sub", "sub", "unsub", "who", "count", "get",
        "status", "watch", "unwatch", "where", "help",
    ];
    assert_eq!(words, known);
}

#[tokio::test]
async fn slips_of_the_fingers_are_explained() {
    let broker = Broker::start();
    let mut ada = Wire::connect(broker.address(), "ada").await;
    let pair = |word: &str| format!("attributes are typed as key=value, not \"{word}\"");
    for (line, answer) in [
        (
            "hello",
            refusal(
                "unknown_type",
                Some("type"),
                "\"hello\" is neither a JSON object nor a known word; type help",
            ),
        ),
        (
            "JOIN room",
            refusal(
                "unknown_type",
                Some("type"),
                "\"JOIN\" is neither a JSON object nor a known word; type help",
            ),
        ),
        ("join", refusal("missing_field", Some("channel"), "channel is required")),
        ("get", refusal("missing_field", Some("channel"), "channel is required")),
        ("join room happy", refusal("invalid_field", Some("attributes"), &pair("happy"))),
        ("set room =1", refusal("invalid_field", Some("attributes"), &pair("=1"))),
        (
            "leave room now",
            refusal("invalid_field", None, "\"now\" is one word too many for leave; type help"),
        ),
        ("join \"my room", refusal("invalid_field", None, "a double quote is not closed")),
        (
            "sub $user:bob",
            refusal(
                "invalid_field",
                Some("channel"),
                "channel must not begin with \"$\": such names are reserved",
            ),
        ),
        ("[\"join\"]", refusal("bad_json", None, "the message is not a JSON object")),
        (
            "set room a=1",
            refusal(
                "not_joined",
                Some("channel"),
                "channel must be joined before its attributes are set",
            ),
        ),
    ] {
        types(&mut ada, line, &[answer]).await;
    }
    nothing_else(&mut ada).await;
    assert_eq!(broker.hub().channel_count(), 0);
}

/// Both in one session, white space around either.
#[tokio::test]
async fn shorthand_and_json_mix() {
    let broker = Broker::start();
    let mut ada = Wire::connect(broker.address(), "ada").await;
    ada.say("  join \t \"my room\"   mood=happy \r\n").await;
    types(
        &mut ada,
        " {\"type\":\"getAttributes\",\"channel\":\"my room\",\"id\":\"a\"}\n",
        &[json!({"type": "result", "id": "a", "channel": "my room", "user": "ada",
                 "attributes": {"mood": "happy"}})],
    )
    .await;
    types(
        &mut ada,
        r#"{"type":"leave","channel":"my room","id":-1}"#,
        &[json!({"type": "ok", "id": -1, "channel": "my room"})],
    )
    .await;
    types(&mut ada, "where", &[json!({"type": "result", "user": "ada", "channels": []})]).await;
}
