//! The same requests as a person types them into `wscat`: a word, a channel, and `key=value` pairs.
//!
//! Words are separated by white space; a double-quoted part may hold some (`mood="quite happy"`).
//! A value that reads as JSON is that JSON (`level=3`, `ready=true`); any other is a string.

use std::borrow::Cow;

use serde_json::Value;

use crate::attributes::{AttributeMap, shallow};
use crate::error::{ErrorCode, Refusal, shorten};
use crate::json::{self, check_users};
use crate::name::{ChannelName, UserId};
use crate::request::{Level, Request};
use crate::status::StatusPatch;

/// Every shorthand: its form, and what it does.
const COMMANDS: [(&str, &str); 17] = [
    ("join room mood=happy", "be present in the channel, with attributes if you like"),
    ("leave room", "be present there no longer"),
    ("set room mood=sad", "replace your attributes there"),
    ("hb", "say that you are still here, everywhere (or: hb room)"),
    ("away", "say that you are away, everywhere (or: away room)"),
    ("back", "say that you are back (or: back room)"),
    ("sub room", "be told who is there, who comes and who goes"),
    ("sub room count", "be told how many are there (or: auto, or: events)"),
    ("unsub room", "be told no longer"),
    ("who room", "list the members, newest first"),
    ("count room", "count the members"),
    ("get room bob", "read bob's attributes there (or: get room, for your own)"),
    ("status busy=true", "tell who watches you (or: waitTime=5, text=lunch)"),
    ("watch bob carol", "be told whether they are online, busy, or last seen when"),
    ("unwatch bob", "be told that no longer"),
    ("where bob", "list the channels that bob is in (or: where, for your own)"),
    ("help", "this list"),
];

/// What `help` answers: a line for each word, aligned for reading.
#[must_use]
pub fn help() -> Vec<Cow<'static, str>> {
    COMMANDS.iter().map(|(form, does)| format!("{form:<22}{does}").into()).collect()
}

/// Reads a typed line.
///
/// # Errors
/// `bad_json` for a line that looks like JSON but is no object, `unknown_type`, `missing_field` or
/// `invalid_field`.
pub fn parse(line: &str) -> Result<Request, Refusal> {
    if looks_like_json(line) {
        return Err(Refusal::new(ErrorCode::BadJson, "the message is not a JSON object"));
    }
    let words = split(line)?;
    let mut words = words.iter().map(String::as_str);
    let command = words.next().unwrap_or_default();
    let request = match command {
        "join" => Request::Join {
            channel: channel(words.next())?,
            attributes: attributes(&mut words)?,
            merge: false,
            grace_ms: None,
            visible_to: None,
            away: None,
        },
        "set" => Request::SetAttributes {
            channel: channel(words.next())?,
            attributes: attributes(&mut words)?.unwrap_or_default(),
            merge: false,
            ttl_ms: None,
        },
        "leave" => Request::Leave { channel: channel(words.next())? },
        "hb" => Request::Heartbeat { channels: channels(&mut words)? },
        "away" => Request::Away { away: true, channels: channels(&mut words)? },
        "back" => Request::Away { away: false, channels: channels(&mut words)? },
        "sub" => Request::Subscribe {
            channel: channel(words.next())?,
            level: words.next().map(level).transpose()?.unwrap_or_default(),
            recent: None,
            recent_attributes: false,
            since: None,
        },
        "unsub" => Request::Unsubscribe { channel: channel(words.next())? },
        "who" => Request::GetMembers { channel: channel(words.next())?, limit: None, after: None },
        "count" => Request::GetCount { channel: channel(words.next())? },
        "get" => {
            Request::GetAttributes { channel: channel(words.next())?, user: user(words.next())? }
        }
        "status" => Request::SetStatus { patch: status(&mut words)? },
        "watch" => Request::Watch { users: users(&mut words)? },
        "unwatch" => Request::Unwatch { users: users(&mut words)? },
        "where" => Request::GetChannels { user: user(words.next())?, limit: None, after: None },
        "help" => Request::Help,
        _ => return Err(unknown(command)),
    };
    match words.next() {
        None => Ok(request),
        Some(extra) => Err(Refusal::new(
            ErrorCode::InvalidField,
            format!("{:?} is one word too many for {command}; type help", shorten(extra)),
        )),
    }
}

/// Whether a program rather than a person wrote this: no shorthand begins so.
fn looks_like_json(line: &str) -> bool {
    line.starts_with(['[', '"', '-']) || line.starts_with(|c: char| c.is_ascii_digit())
}

fn unknown(command: &str) -> Refusal {
    Refusal {
        field: Some("type"),
        ..Refusal::new(
            ErrorCode::UnknownType,
            format!("{:?} is neither a JSON object nor a known word; type help", shorten(command)),
        )
    }
}

/// Splits at white space outside double quotes. The quotes stay: a value needs them to be a string.
fn split(line: &str) -> Result<Vec<String>, Refusal> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for c in line.chars() {
        if c.is_whitespace() && !quoted {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        word.push(c);
    }
    if quoted {
        return Err(Refusal::new(ErrorCode::InvalidField, "a double quote is not closed"));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// A word without the quotes around it, if it has them.
fn plain(word: &str) -> String {
    serde_json::from_str(word).unwrap_or_else(|_| word.to_owned())
}

fn channel(word: Option<&str>) -> Result<ChannelName, Refusal> {
    ChannelName::parse(&plain(word.ok_or_else(|| Refusal::missing("channel"))?), "channel")
}

/// The channels that are named; `None` if no word is left.
fn channels<'a>(words: impl Iterator<Item = &'a str>) -> Result<Option<Vec<ChannelName>>, Refusal> {
    let channels: Vec<_> = words.map(|word| channel(Some(word))).collect::<Result<_, _>>()?;
    Ok((!channels.is_empty()).then_some(channels))
}

fn user(word: Option<&str>) -> Result<Option<UserId>, Refusal> {
    word.map(|word| UserId::parse(&plain(word), "user")).transpose()
}

fn users<'a>(words: impl Iterator<Item = &'a str>) -> Result<Vec<UserId>, Refusal> {
    let users: Result<Vec<_>, _> = words.map(|word| UserId::parse(&plain(word), "users")).collect();
    let users = users?;
    if users.is_empty() { Err(Refusal::missing("users")) } else { check_users(users) }
}

/// Typed as the attributes of a join are, and read as the JSON that this makes.
fn status<'a>(words: impl Iterator<Item = &'a str>) -> Result<StatusPatch, Refusal> {
    let map = pairs(words, |word| {
        let rule = format!("a status is typed as key=value, not {word:?}");
        Refusal::new(ErrorCode::InvalidField, rule)
    })?;
    json::status(&Value::Object(map).to_string())
}

/// The attributes of a join or a set; `None` if no word is left.
fn attributes<'a>(words: impl Iterator<Item = &'a str>) -> Result<Option<AttributeMap>, Refusal> {
    let map = pairs(words, |word| {
        Refusal::invalid("attributes", format_args!("are typed as key=value, not {word:?}"))
    })?;
    shallow(map).map(|map| (!map.is_empty()).then_some(map))
}

fn level(word: &str) -> Result<Level, Refusal> {
    Level::named(word).ok_or_else(Level::refusal)
}

/// The `key=value` pairs that are left; `refusal` tells of a word that is none.
fn pairs<'a>(
    words: impl Iterator<Item = &'a str>,
    refusal: impl Fn(&str) -> Refusal,
) -> Result<AttributeMap, Refusal> {
    let mut map = AttributeMap::new();
    for word in words {
        let (key, value) = word
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| refusal(&shorten(word)))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        map.insert(plain(key), value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes_of(line: &str) -> Value {
        match parse(line).unwrap() {
            Request::Join { attributes, .. } => json!(attributes),
            other => panic!("not a join: {other:?}"),
        }
    }

    #[test]
    fn values_are_json_where_they_read_as_json() {
        assert_eq!(
            attributes_of(r#"join room mood="quite happy" n=3 ok=true who=bob url=a=b empty="#),
            json!({"mood": "quite happy", "n": 3, "ok": true, "who": "bob", "url": "a=b", "empty": ""})
        );
        assert_eq!(attributes_of("join room"), Value::Null);
        assert_eq!(attributes_of(r#"join room "a b"=1"#), json!({"a b": 1}));
        assert_eq!(attributes_of(r#"join "my room" a="\"""#), json!({"a": "\""}));
    }

    #[test]
    fn every_form_that_help_shows_is_read() {
        for (form, _) in COMMANDS {
            parse(form).unwrap_or_else(|refusal| panic!("{form}: {refusal:?}"));
        }
    }

    #[test]
    fn help_fits_a_terminal() {
        for line in help() {
            assert!(line.chars().count() <= 80, "{line}");
            // In the JSON that a person reads, a quote would stand as two characters.
            assert!(!line.contains(['"', '\\']), "{line}");
        }
        for (form, _) in COMMANDS {
            assert!(form.len() <= 20, "{form} would touch what it does");
        }
    }

    #[test]
    fn a_status_is_typed_as_pairs() {
        let patch = |line| match parse(line).unwrap() {
            Request::SetStatus { patch } => patch,
            other => panic!("not a status: {other:?}"),
        };
        assert_eq!(
            patch("status busy=true waitTime=5"),
            StatusPatch { busy: Some(true), wait_time: Some(Some(5)), ..<_>::default() }
        );
        assert_eq!(
            patch(r#"status text="at lunch" waitTime=null invisible=false"#),
            StatusPatch {
                invisible: Some(false),
                wait_time: Some(None),
                text: Some(Some("at lunch".into())),
                ..<_>::default()
            }
        );
        assert_eq!(patch("status text=null"), StatusPatch { text: Some(None), ..<_>::default() });
        let refusal = parse("status busy").unwrap_err();
        assert_eq!((refusal.code, refusal.field), (ErrorCode::InvalidField, None));
        assert_eq!(refusal.message, r#"a status is typed as key=value, not "busy""#);
    }

    #[test]
    fn whom_to_watch_is_typed_as_words() {
        let users = |line| match parse(line).unwrap() {
            Request::Watch { users } | Request::Unwatch { users } => json!(users),
            other => panic!("neither watch nor unwatch: {other:?}"),
        };
        assert_eq!(users("watch bob carol"), json!(["bob", "carol"]));
        assert_eq!(users(r#"unwatch "bob b""#), json!(["bob b"]));
        assert!(matches!(parse("unwatch bob"), Ok(Request::Unwatch { .. })));
    }

    #[test]
    fn mistakes_are_named() {
        let code = |line| parse(line).unwrap_err().code;
        assert_eq!(code(""), ErrorCode::UnknownType);
        assert_eq!(code("hello"), ErrorCode::UnknownType);
        assert_eq!(code("[1]"), ErrorCode::BadJson);
        assert_eq!(code("join"), ErrorCode::MissingField);
        assert_eq!(code("watch"), ErrorCode::MissingField);
        assert_eq!(code("status"), ErrorCode::MissingField);
        assert_eq!(code("leave room now"), ErrorCode::InvalidField);
        assert_eq!(code("join room happy"), ErrorCode::InvalidField);
        assert_eq!(code("join room mood=\"happy"), ErrorCode::InvalidField);
    }
}
