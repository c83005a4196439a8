//! What a request of PubNub's asks for, or what is wrong with it.

use std::time::Duration;

use herenow_protocol::attributes::{MAX_DEPTH, too_deep};
use herenow_protocol::{AttributeMap, ChannelName, Refusal};
use serde_json::Value;

use crate::limits::{HERE_NOW, POLL_CHANNELS, POLL_HEARTBEAT_DEFAULT_S, POLL_HEARTBEAT_S};
use crate::web::input::Query;

/// What follows a channel's name where its presence is meant.
pub const PRESENCE_SUFFIX: &str = "-pnpres";

/// Channels that a request names, each once.
#[derive(Debug, Default)]
pub struct Names {
    /// Those that are meant themselves.
    pub channels: Vec<ChannelName>,
    /// Those whose presence is meant.
    pub watched: Vec<ChannelName>,
}

impl Names {
    /// The channels that a segment of a path names, with commas.
    ///
    /// # Errors
    /// `invalid_field`: a bad name, none, too many, or groups of channels, which there are not.
    pub fn parse(text: &str, query: &Query) -> Result<Self, Refusal> {
        if query.text("channel-group").is_some_and(|groups| !groups.is_empty()) {
            return Err(Refusal::invalid("channel-group", "must be absent: there are no groups"));
        }
        let mut names = Self::default();
        for name in text.split(',').filter(|name| !name.is_empty()) {
            let (list, name) = match name.strip_suffix(PRESENCE_SUFFIX) {
                Some(watched) => (&mut names.watched, watched),
                None => (&mut names.channels, name),
            };
            let name = ChannelName::parse(name, "channel")?;
            if !list.contains(&name) {
                list.push(name);
            }
            if list.len() > POLL_CHANNELS {
                let rule = format_args!("must be at most {POLL_CHANNELS} names");
                return Err(Refusal::invalid("channel", rule));
            }
        }
        if names.channels.is_empty() && names.watched.is_empty() {
            return Err(Refusal::invalid("channel", "must name a channel"));
        }
        Ok(names)
    }

    /// The channels that a segment of a path names, all of them meant themselves.
    ///
    /// # Errors
    /// As [`Names::parse`].
    pub fn plain(text: &str, query: &Query) -> Result<Vec<ChannelName>, Refusal> {
        let Self { channels, watched } = Self::parse(text, query)?;
        if let Some(name) = watched.first() {
            let rule = format_args!("must not end with {PRESENCE_SUFFIX} here, as {name:?} does");
            return Err(Refusal::invalid("channel", rule));
        }
        Ok(channels)
    }
}

/// Up to where a poll has had everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// The stamp.
    pub stamp: u64,
    /// Whose stamp it is; `None`: not said.
    pub node: Option<u64>,
}

/// Where a poll goes on; `None`: it begins.
///
/// # Errors
/// `invalid_field`: `tt`, `tr`.
pub fn since(query: &Query) -> Result<Option<Since>, Refusal> {
    let stamp = query.number("tt", 0, u64::MAX)?.filter(|&stamp| stamp > 0);
    let node = query.number("tr", 0, u64::MAX)?;
    Ok(stamp.map(|stamp| Since { stamp, node }))
}

/// How long a client that was heard stays a member.
///
/// # Errors
/// `invalid_field`: `heartbeat`.
pub fn heartbeat(query: &Query, most_ms: u64) -> Result<Duration, Refusal> {
    let asked = query.number("heartbeat", 0, u64::MAX)?.unwrap_or(POLL_HEARTBEAT_DEFAULT_S);
    let seconds = asked.clamp(*POLL_HEARTBEAT_S.start(), *POLL_HEARTBEAT_S.end());
    Ok(Duration::from_secs(seconds).min(Duration::from_millis(most_ms)))
}

/// The attributes that `state` holds.
///
/// # Errors
/// `missing_field`, `invalid_field`: `state`.
pub fn state(query: &Query) -> Result<AttributeMap, Refusal> {
    let text = query.text("state").ok_or_else(|| Refusal::missing("state"))?;
    object(serde_json::from_str(&text).unwrap_or_default())
}

/// The attributes that `state` holds for each of several channels, by their names.
///
/// # Errors
/// `invalid_field`: `state`.
pub fn states(query: &Query) -> Result<Vec<(String, AttributeMap)>, Refusal> {
    if query.text("state").is_none_or(|text| text.is_empty()) {
        return Ok(Vec::new());
    }
    let of_channels = state(query)?;
    of_channels.into_iter().map(|(name, value)| Ok((name, object(value)?))).collect()
}

fn object(value: Value) -> Result<AttributeMap, Refusal> {
    let Value::Object(map) = value else {
        return Err(Refusal::invalid("state", "must be a JSON object"));
    };
    if too_deep(&map) {
        let rule = format_args!("must not nest deeper than {MAX_DEPTH} levels");
        return Err(Refusal::invalid("state", rule));
    }
    Ok(map)
}

/// Members at most that a list is asked for.
///
/// # Errors
/// `invalid_field`: `limit`.
pub fn limit(query: &Query) -> Result<usize, Refusal> {
    let limit = query.number("limit", 0, HERE_NOW as u64)?;
    Ok(limit.map_or(HERE_NOW, |limit| limit as usize))
}

/// Whether a parameter says yes.
#[must_use]
pub fn flag(query: &Query, name: &str) -> bool {
    query.text(name).is_some_and(|text| text == "1" || text == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&format!("/?{text}").parse().unwrap())
    }

    fn names(text: &str) -> Result<(Vec<String>, Vec<String>), Option<&'static str>> {
        let texts = |list: Vec<ChannelName>| list.iter().map(ToString::to_string).collect();
        Names::parse(text, &query(""))
            .map(|names| (texts(names.channels), texts(names.watched)))
            .map_err(|refusal| refusal.field)
    }

    #[test]
    fn names_come_with_commas_twice_and_with_their_presence() {
        let listed = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names("a,a-pnpres,b,a"), Ok((listed(&["a", "b"]), listed(&["a"]))));
        assert_eq!(names("live/1-pnpres"), Ok((listed(&[]), listed(&["live/1"]))));
        for bad in ["", ",", "-pnpres", "$a", &"x,".repeat(3).replace('x', &"y".repeat(201))] {
            assert_eq!(names(bad), Err(Some("channel")), "{bad:?}");
        }
        let many = (0..=POLL_CHANNELS).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(names(&many), Err(Some("channel")));
        assert!(Names::parse(",", &query("channel-group=g")).is_err());
        assert!(Names::plain("a-pnpres", &query("")).is_err());
    }

    #[test]
    fn a_timetoken_is_a_whole_number_and_zero_is_none() {
        let given = |text| since(&query(text));
        assert_eq!(given(""), Ok(None));
        assert_eq!(given("tt=0&tr=7"), Ok(None));
        let stamp = 17_000_000_000_000_001;
        assert_eq!(given("tt=17000000000000001"), Ok(Some(Since { stamp, node: None })));
        assert_eq!(given("tt=17000000000000001&tr=3"), Ok(Some(Since { stamp, node: Some(3) })));
        for bad in ["tt=x", "tt=", "tt=-1", "tt=1.5", "tt=99999999999999999999", "tt=1&tr=x"] {
            assert!(given(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_heartbeat_is_held_within_bounds() {
        let given = |text| heartbeat(&query(text), 3_600_000).map(|time| time.as_secs());
        assert_eq!(given(""), Ok(300));
        assert_eq!(given("heartbeat=60"), Ok(60));
        assert_eq!(given("heartbeat=1"), Ok(20));
        assert_eq!(given("heartbeat=99999"), Ok(3_600));
        assert_eq!(heartbeat(&query("heartbeat=99"), 50_000).unwrap().as_secs(), 50);
        assert!(given("heartbeat=soon").is_err());
    }

    #[test]
    fn state_is_an_object() {
        assert_eq!(state(&query("state=%7B%22a%22%3A1%7D")).unwrap().len(), 1);
        for bad in ["", "state=", "state=7", "state=%5B%5D", "state=%7B", "state=null"] {
            assert_eq!(state(&query(bad)).unwrap_err().field, Some("state"), "{bad}");
        }
        assert!(states(&query("state=%7B%22a%22%3A1%7D")).is_err(), "of each channel one");
        assert_eq!(states(&query("state=%7B%22a%22%3A%7B%7D%7D")).unwrap().len(), 1);
        assert!(states(&query("")).unwrap().is_empty());
        let deep = format!("state=%7B%22a%22:{}{}%7D", "[".repeat(40), "]".repeat(40));
        assert!(state(&query(&deep.replace('[', "%5B").replace(']', "%5D"))).is_err());
    }
}
