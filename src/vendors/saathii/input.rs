//! Ids and changes out of a request.

use std::collections::BTreeSet;

use herenow_protocol::status::MAX_WAIT_MINUTES;
use herenow_protocol::{Refusal, StatusPatch, UserId};
use serde_json::{Map, Value};

use super::failure::{Failure, Fault};
use crate::limits::SAATHII_USERS;
use crate::web::input::Query;

/// The first whole number that JavaScript can't tell from the next one.
const TOO_LARGE: u64 = 1 << 53;

/// A user's id: a whole number, which is the user's name here, without leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(u64);

impl Id {
    /// The id that `text` writes, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Not as Rust would: no sign.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number < TOO_LARGE);
        number.map(Self)
    }

    /// The id that a path names.
    ///
    /// # Errors
    /// 422: it is none.
    pub fn in_path(text: &str) -> Result<Self, Failure> {
        const RULE: &str = "Input should be a whole number from 0 to 9007199254740991";
        Self::parse(text)
            .ok_or_else(|| Failure::unprocessable(&[("int_parsing", &["path", "user_id"], RULE)]))
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// The user of that number.
    ///
    /// # Errors
    /// None: every number is a name.
    pub fn user(self) -> Result<UserId, Refusal> {
        UserId::parse(&self.0.to_string(), "user_id")
    }
}

/// The ids that `user_ids` lists, with commas between them, in order and each once.
///
/// # Errors
/// 400: one is no id, or there are too many; 422: there is no list.
pub fn ids(query: &Query) -> Result<Vec<Id>, Failure> {
    let mut lists = query.all("user_ids").peekable();
    if lists.peek().is_none() {
        let fault: Fault<'_> = ("missing", &["query", "user_ids"], "Field required");
        return Err(Failure::unprocessable(&[fault]));
    }
    let (mut asked, mut ids) = (0, BTreeSet::new());
    for list in lists {
        for text in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            asked += 1;
            if asked > SAATHII_USERS {
                return Err(Failure::bad_request("Too many user IDs requested"));
            }
            let id = Id::parse(text);
            ids.insert(id.ok_or_else(|| Failure::bad_request("Invalid user IDs format"))?);
        }
    }
    Ok(ids.into_iter().collect())
}

/// What to change of one's own status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Whether the user switches itself on or off.
    pub online: Option<bool>,
    /// The rest.
    pub patch: StatusPatch,
}

/// The change that a body asks for. Other keys than those of a change are what a client read with
/// them.
///
/// # Errors
/// 400: it changes nothing; 422: it is no JSON object, or a value is of the wrong kind.
pub fn change(body: &str) -> Result<Change, Failure> {
    const NOTHING: &str = "No status fields to update";
    if body.trim().is_empty() {
        return Err(Failure::bad_request(NOTHING));
    }
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        return Err(Failure::unprocessable(&[("json_invalid", &["body"], "JSON decode error")]));
    };
    let Some(body) = body.as_object() else {
        const RULE: &str = "Input should be an object";
        return Err(Failure::unprocessable(&[("model_attributes_type", &["body"], RULE)]));
    };
    let mut faults: Vec<Fault<'_>> = Vec::new();
    let online = switch(body, "is_online", &["body", "is_online"], &mut faults);
    let busy = switch(body, "is_busy", &["body", "is_busy"], &mut faults);
    let wait_time = match body.get("wait_time") {
        None => None,
        Some(Value::Null) => Some(None),
        Some(value) => {
            let minutes = value.as_u64().filter(|minutes| *minutes <= u64::from(MAX_WAIT_MINUTES));
            if minutes.is_none() {
                const RULE: &str = "Input should be null or a whole number from 0 to 10080";
                faults.push(("int_type", &["body", "wait_time"], RULE));
            }
            minutes.map(|minutes| Some(minutes as u32))
        }
    };
    if !faults.is_empty() {
        return Err(Failure::unprocessable(&faults));
    }
    let invisible = online.map(|online| !online);
    let patch = StatusPatch { busy, invisible, wait_time, text: None };
    if patch == StatusPatch::default() {
        return Err(Failure::bad_request(NOTHING));
    }
    Ok(Change { online, patch })
}

fn switch<'a>(
    body: &Map<String, Value>,
    key: &str,
    place: &'a [&'a str],
    faults: &mut Vec<Fault<'a>>,
) -> Option<bool> {
    let value = body.get(key)?;
    if value.as_bool().is_none() {
        faults.push(("bool_type", place, "Input should be a valid boolean"));
    }
    value.as_bool()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_whole_number() {
        for (text, id) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("9007199254740991", Some(TOO_LARGE - 1)),
            ("9007199254740992", None),
            ("99999999999999999999999", None),
            ("", None),
            ("+7", None),
            ("-7", None),
            ("7.0", None),
            (" 7", None),
            ("٧", None),
        ] {
            assert_eq!(Id::parse(text).map(Id::number), id, "{text:?}");
        }
        assert_eq!(Id(7).user().unwrap().as_str(), "7");
    }

    #[test]
    fn three_keys_count() {
        let read = |body| change(body).unwrap();
        let off = read(r#"{"is_online":false,"last_seen":5,"user_id":"x"}"#);
        assert_eq!((off.online, off.patch.invisible), (Some(false), Some(true)));
        let free = read(r#"{"wait_time":null}"#);
        assert_eq!((free.online, free.patch.wait_time), (None, Some(None)));
        assert_eq!(read(r#"{"wait_time":10080}"#).patch.wait_time, Some(Some(MAX_WAIT_MINUTES)));
    }
}
