//! What happened, a line each: for people, or as JSON for programs. No line holds anything that steers a
//! terminal.

use clap::builder::styling::{AnsiColor, Style};
use herenow_protocol::Attributes;
use serde_json::{Map, Value, json};

use super::heard::{Event, Listed};
use super::moment::{clock, long};
use super::replica::Member;
use super::safe::{json as safe, padded, shown};
use crate::limits::{TERMINAL_NAME, TERMINAL_TEXT};

/// Something for programs: an object with `event`, and what `fields` holds.
#[must_use]
pub fn object(event: &str, channel: &str, fields: Value) -> String {
    let mut object = Map::new();
    object.insert("event".to_owned(), event.into());
    object.insert("channel".to_owned(), channel.into());
    if let Value::Object(fields) = fields {
        object.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
    }
    safe(&Value::Object(object).to_string())
}

fn value(attributes: &Attributes) -> Value {
    attributes.to_map().into()
}

/// The fields that tell of a change.
#[must_use]
pub fn fields(event: &Event, count: u64) -> Value {
    json!({
        "user": event.user, "reason": event.reason, "at": event.at, "away": event.away,
        "attributes": event.attributes.as_ref().map(value),
        "info": event.info.as_ref().filter(|info| !info.is_empty()).map(value),
        "count": count,
    })
}

/// The fields that tell of a member.
#[must_use]
pub fn member(user: &str, member: &Member) -> Value {
    let mut fields = json!({"user": user, "attributes": value(&member.attributes)});
    if !member.info.is_empty() {
        fields["info"] = value(&member.info);
    }
    if member.away {
        fields["away"] = true.into();
    }
    if let Some(joined_at) = member.joined_at {
        fields["joinedAt"] = joined_at.into();
    }
    fields
}

/// What shows of a member beside the name.
#[must_use]
pub fn beside(attributes: &Attributes, info: &Attributes, away: bool) -> String {
    let away = if away { "away " } else { "" };
    let shown = |attributes: &Attributes| {
        if attributes.is_empty() { String::new() } else { format!("{} ", attributes.as_str()) }
    };
    format!("{away}{}{}", shown(attributes), shown(info)).trim_end().to_owned()
}

/// A member in a list: the name in so many columns, for how long it has been there, and what shows of it.
#[must_use]
pub fn listed(member: &Listed, width: usize, now_ms: u64) -> String {
    let beside = beside(&member.attributes, &member.info, member.away);
    let age = member.joined_at.map(|at| long(now_ms.saturating_sub(at))).unwrap_or_default();
    let (name, age) = (padded(&member.user, width), padded(&age, 4));
    format!("{name}  {age}  {}", shown(&beside, TERMINAL_TEXT)).trim_end().to_owned()
}

/// A change, with the sign that it begins with: `+` came, `-` left, `!` was lost, `~` is otherwise.
#[must_use]
pub fn happened(event: &Event, unix_ms: u64) -> String {
    let (sign, what) = match event.event.as_str() {
        "join" => ('+', ""),
        "leave" => ('-', "left"),
        "timeout" => ('!', "lost"),
        _ => ('~', ""),
    };
    let none = Attributes::EMPTY;
    let attributes = event.attributes.as_ref().unwrap_or(&none);
    let mut beside =
        beside(attributes, event.info.as_ref().unwrap_or(&none), event.away == Some(true));
    if event.event == "updateAttributes" {
        if event.away == Some(false) {
            beside = format!("back {beside}");
        }
        if attributes.is_empty() {
            beside.push_str("{}");
        }
    }
    let why = match (what, event.reason.as_deref()) {
        (what, Some(reason)) if what != reason => format!("{what} ({reason})"),
        (what, _) => what.to_owned(),
    };
    let rest = [why.trim(), beside.trim()].join(" ");
    let name = shown(&event.user, TERMINAL_NAME);
    let at = clock(event.at.unwrap_or(unix_ms));
    format!("{at} {sign} {name} {}", shown(rest.trim(), TERMINAL_TEXT)).trim_end().to_owned()
}

/// The colour of a line by the sign behind its time.
#[must_use]
pub fn style(line: &str) -> Style {
    let color = match line.as_bytes().get(9) {
        Some(b'+') => AnsiColor::Green,
        Some(b'-') => AnsiColor::Yellow,
        Some(b'!') => AnsiColor::Red,
        Some(b'~') => AnsiColor::Cyan,
        _ => return Style::new().dimmed(),
    };
    color.on_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::heard::{Heard, read};

    fn event(json: &str) -> Event {
        let frame = format!(r#"{{"type":"presence","seq":1,"count":1,"events":[{json}]}}"#);
        let Heard::Presence { mut events, .. } = read(&frame) else { panic!("{frame}") };
        events.remove(0)
    }

    #[test]
    fn each_change_is_a_line() {
        for (json, line) in [
            (
                r#"{"event":"join","user":"ada","info":{"name":"Ada"},"attributes":{"a":1},"at":5000}"#,
                r#"00:00:05 + ada {"a":1} {"name":"Ada"}"#,
            ),
            (
                r#"{"event":"join","user":"ada","attributes":{},"away":true,"at":5000}"#,
                "00:00:05 + ada away",
            ),
            (r#"{"event":"leave","user":"ada","reason":"left","at":5000}"#, "00:00:05 - ada left"),
            (
                r#"{"event":"leave","user":"ada","reason":"kicked","at":5000}"#,
                "00:00:05 - ada left (kicked)",
            ),
            (r#"{"event":"leave","user":"ada"}"#, "00:00:07 - ada left"),
            (
                r#"{"event":"timeout","user":"ada","reason":"connection","lastSeen":1,"at":5000}"#,
                "00:00:05 ! ada lost (connection)",
            ),
            (
                r#"{"event":"updateAttributes","user":"ada","attributes":{},"at":5000,"reason":"expired"}"#,
                "00:00:05 ~ ada (expired) {}",
            ),
            (
                r#"{"event":"updateAttributes","user":"ada","attributes":{"a":1},"away":false,"at":5000}"#,
                r#"00:00:05 ~ ada back {"a":1}"#,
            ),
        ] {
            assert_eq!(happened(&event(json), 7_000), line);
        }
    }

    #[test]
    fn nothing_of_others_steers() {
        let bad = "\u{1b}]0;owned\u{7}\u{9b}2J";
        let event = Event { user: bad.to_owned(), ..event(r#"{"event":"join","user":"x"}"#) };
        let line = happened(&event, 0);
        let object = object("join", bad, fields(&event, 1));
        assert!(!line.contains(char::is_control), "{line}");
        assert!(!object.contains(char::is_control), "{object}");
        let value: Value = serde_json::from_str(&object).unwrap();
        assert_eq!((&value["user"], &value["channel"]), (&bad.into(), &bad.into()));
        assert!(value.get("reason").is_none());
        let wide = Event { user: "w".repeat(10_000), ..event };
        assert!(happened(&wide, 0).len() < 400);
    }
}
