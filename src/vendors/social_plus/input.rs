//! Logins, rooms, ids and settings out of a request.

use herenow_protocol::{ChannelName, ErrorCode, Refusal, UserId};
use serde_json::Value;

use crate::limits::SOCIAL_PLUS_USERS;
use crate::web::input::{Query, percent_decoded};

/// Below it are the rooms.
pub const ROOMS: &str = "/api/v1/presence/rooms/";

/// What a login says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who it is to be.
    pub user: UserId,
    /// The name to show.
    pub display_name: Option<String>,
    /// The token that proves it.
    pub auth_token: Option<String>,
}

impl Login {
    /// Out of a body.
    ///
    /// # Errors
    /// `bad_json`, `missing_field`, `invalid_field`.
    pub fn parse(body: &str) -> Result<Self, Refusal> {
        let body = json(body)?;
        let text = |name: &'static str| match body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Refusal::invalid(name, "must be a string")),
        };
        let user = text("userId")?.ok_or_else(|| Refusal::missing("userId"))?;
        Ok(Self {
            user: UserId::parse(&user, "userId")?,
            display_name: text("displayName")?,
            auth_token: text("authToken")?.filter(|token| !token.is_empty()),
        })
    }
}

/// Whether the user presence is to be on, out of a body.
///
/// # Errors
/// `bad_json`, `missing_field`, `invalid_field`.
pub fn enabled(body: &str) -> Result<bool, Refusal> {
    let body = json(body)?;
    let value = body.get("enabled").ok_or_else(|| Refusal::missing("enabled"))?;
    value.as_bool().ok_or_else(|| Refusal::invalid("enabled", "must be true or false"))
}

fn json(body: &str) -> Result<Value, Refusal> {
    let body: Result<Value, _> = serde_json::from_str(body);
    let body = body.ok().filter(Value::is_object);
    body.ok_or_else(|| Refusal::new(ErrorCode::BadJson, "the body must be a JSON object"))
}

/// What is asked of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfRoom {
    /// Being there.
    Heartbeat,
    /// How many are there.
    Count,
    /// Who is there.
    Viewers,
}

/// What a path asks of which room; `None`: nothing that there is. The library does not encode the
/// room's name, so that one with a slash is several parts of the path: what is asked stands at the
/// end, and all before it is the room.
///
/// # Errors
/// `invalid_field` (roomId).
pub fn room(path: &str) -> Result<Option<(ChannelName, OfRoom)>, Refusal> {
    // The longer ending first: it ends with the other's words.
    let endings = [
        ("/heartbeat", OfRoom::Heartbeat),
        ("/users/count", OfRoom::Count),
        ("/users", OfRoom::Viewers),
    ];
    let below = path.strip_prefix(ROOMS).unwrap_or_default();
    let found = endings
        .into_iter()
        .find_map(|(ending, asked)| below.strip_suffix(ending).map(|room| (room, asked)));
    let Some((room, asked)) = found else { return Ok(None) };
    let room = percent_decoded(room).unwrap_or_default();
    Ok(Some((ChannelName::parse(&room, "roomId")?, asked)))
}

/// The users whose names are asked for. The library encodes each id twice.
///
/// # Errors
/// `missing_field`, `invalid_field` (userIds).
pub fn user_ids(query: &Query) -> Result<Vec<UserId>, Refusal> {
    const FIELD: &str = "userIds";
    let mut users = Vec::new();
    for once in query.all("userIds[]").chain(query.all(FIELD)) {
        if users.len() == SOCIAL_PLUS_USERS {
            let rule = format_args!("must be at most {SOCIAL_PLUS_USERS} users");
            return Err(Refusal::invalid(FIELD, rule));
        }
        // Whoever encodes an id once may have a % in it.
        let id = percent_decoded(&once).unwrap_or_else(|| once.into_owned());
        users.push(UserId::parse(&id, FIELD)?);
    }
    if users.is_empty() { Err(Refusal::missing(FIELD)) } else { Ok(users) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_all_before_what_is_asked() {
        use OfRoom::{Count, Heartbeat, Viewers};
        for (path, wanted) in [
            ("live/heartbeat", Some(("live", Heartbeat))),
            ("live/1/heartbeat", Some(("live/1", Heartbeat))),
            ("live/users", Some(("live", Viewers))),
            ("live/users/count", Some(("live", Count))),
            ("a/users/users", Some(("a/users", Viewers))),
            ("a/users/users/count", Some(("a/users", Count))),
            ("heartbeat/heartbeat", Some(("heartbeat", Heartbeat))),
            ("a//b/users", Some(("a//b", Viewers))),
            ("caf%C3%A9%20+%2Fx/users", Some(("café +/x", Viewers))),
            ("users", None),
            ("live/user", None),
            ("live", None),
        ] {
            let wanted =
                wanted.map(|(room, asked)| (ChannelName::parse(room, "roomId").unwrap(), asked));
            assert_eq!(room(&format!("{ROOMS}{path}")).unwrap(), wanted, "{path}");
        }
        for path in ["/heartbeat", "$x/users", "%00/users", "./users"] {
            let refusal = room(&format!("{ROOMS}{path}")).unwrap_err();
            assert_eq!(refusal.field, Some("roomId"), "{path}");
        }
    }

    fn ids(query: &str) -> Result<Vec<String>, Refusal> {
        let uri = format!("/?{query}").parse().unwrap();
        let ids = user_ids(&Query::of(&uri))?;
        Ok(ids.iter().map(|id| id.as_str().to_owned()).collect())
    }

    #[test]
    fn ids_are_decoded_twice() {
        let query = "userIds%5B%5D=ada&userIds[]=a%252Bb%2520c%252525&userIds[]=%25C3%25BC";
        assert_eq!(ids(query).unwrap(), ["ada", "a+b c%25", "ü"]);
        assert_eq!(ids("userIds=100%25").unwrap(), ["100%"]);
        let many = |count| ids(&"userIds[]=ada&".repeat(count));
        assert_eq!(many(SOCIAL_PLUS_USERS).unwrap().len(), SOCIAL_PLUS_USERS);
        assert!(many(SOCIAL_PLUS_USERS + 1).unwrap_err().message.contains("100"));
        for bad in ["", "x=1", "userIds[]=", "userIds[]=ada&userIds[]=%2524x"] {
            assert_eq!(ids(bad).unwrap_err().field, Some("userIds"), "{bad}");
        }
    }
}
