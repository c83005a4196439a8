//! What is said on Appwrite's WebSocket.

use std::borrow::Cow;

use herenow_protocol::{Attributes, UserId, encode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::query::{Filter, Query};
use super::record::Presence;
use crate::limits::{
    APPWRITE_CHANNELS, APPWRITE_NAME_BYTES, APPWRITE_QUERIES, APPWRITE_SUBSCRIPTIONS,
    APPWRITE_SUBSCRIPTIONS_BYTES,
};

/// A message that is none, or that breaks a rule.
pub const BAD_FORMAT: u16 = 1003;

/// Who asks may not be here: the line is closed.
pub const POLICY: u16 = 1008;

/// Messages come faster than allowed.
pub const TOO_MANY: u16 = 1013;

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub enum Asked {
    /// To be the user whose session this is.
    Authentication(String),
    /// To be told of these. One of an id that is there replaces it.
    Subscribe(Vec<Subscription>),
    /// To be told of those no longer.
    Unsubscribe(Vec<String>),
    /// To write the user's record.
    Presence(Map<String, Value>),
    /// Whether anybody is there.
    Ping,
}

/// What a client wants to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Its id, as the client chose it.
    pub id: String,
    /// The channels, those that are not of presence included: nothing is told there.
    pub channels: Vec<String>,
    /// The queries, as they were written.
    queries: Vec<String>,
    /// What they come to.
    pub filters: Vec<Filter>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Session {
    session: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    subscription_id: String,
    channels: Vec<String>,
    #[serde(default)]
    queries: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Id {
    subscription_id: String,
}

/// Reads a message.
///
/// # Errors
/// The rule that it breaks.
pub fn parse(text: &str) -> Result<Asked, Cow<'static, str>> {
    let format = |_| Cow::from("Message format is not valid.");
    let Envelope { r#type, data } = serde_json::from_str(text).map_err(format)?;
    let data = data.map_or("null", RawValue::get);
    Ok(match &*r#type {
        "ping" => Asked::Ping,
        "authentication" => {
            let Session { session } =
                serde_json::from_str(data).map_err(|_| "Payload is not valid: session.")?;
            Asked::Authentication(session)
        }
        "subscribe" => {
            let rows: Vec<Row> = serde_json::from_str(data)
                .map_err(|_| "Payload is not valid: subscriptionId, channels, queries.")?;
            Asked::Subscribe(rows.into_iter().map(Subscription::of).collect::<Result<_, _>>()?)
        }
        "unsubscribe" => {
            let ids: Vec<Id> =
                serde_json::from_str(data).map_err(|_| "Payload is not valid: subscriptionId.")?;
            Asked::Unsubscribe(ids.into_iter().map(|one| one.subscription_id).collect())
        }
        "presence" => Asked::Presence(
            serde_json::from_str(data).map_err(|_| "Payload is not valid: must be an object.")?,
        ),
        _ => return Err("Message type is not valid.".into()),
    })
}

impl Subscription {
    /// Bytes of it, as it was written.
    fn bytes(&self) -> usize {
        let texts = self.channels.iter().chain(&self.queries);
        self.id.len() + texts.map(String::len).sum::<usize>()
    }

    fn of(row: Row) -> Result<Self, String> {
        let Row { subscription_id: id, channels, queries } = row;
        let named = |name: &String| (1..=APPWRITE_NAME_BYTES).contains(&name.len());
        if !named(&id) {
            return Err(format!("subscriptionId must be 1 to {APPWRITE_NAME_BYTES} bytes."));
        }
        if channels.is_empty() || channels.len() > APPWRITE_CHANNELS || !channels.iter().all(named)
        {
            return Err(format!(
                "channels must be 1 to {APPWRITE_CHANNELS} names of at most {APPWRITE_NAME_BYTES} \
                 bytes."
            ));
        }
        if queries.len() > APPWRITE_QUERIES {
            return Err(format!("queries must be at most {APPWRITE_QUERIES}."));
        }
        let mut filters = Vec::new();
        for query in &queries {
            match Query::parse(query)? {
                Query::Filter(filter) => filters.push(filter),
                Query::Select(names) if names == ["*"] => {}
                _ => return Err("Invalid query: only filters and select(*) are for events.".into()),
            }
        }
        Ok(Self { id, channels, queries, filters })
    }
}

/// Puts `asked` in place of those with the same ids, and behind the others. All of them, or none.
///
/// # Errors
/// There would be too many.
pub fn subscribe(held: &mut Vec<Subscription>, asked: Vec<Subscription>) -> Result<(), String> {
    let kept = held.iter().filter(|one| !asked.iter().any(|new| new.id == one.id));
    let (mut count, mut bytes) = (0, 0);
    for one in kept.chain(&asked) {
        (count, bytes) = (count + 1, bytes + one.bytes());
    }
    if count > APPWRITE_SUBSCRIPTIONS || bytes > APPWRITE_SUBSCRIPTIONS_BYTES {
        return Err(format!(
            "There may be {APPWRITE_SUBSCRIPTIONS} subscriptions on one socket, of \
             {APPWRITE_SUBSCRIPTIONS_BYTES} bytes."
        ));
    }
    for new in asked {
        match held.iter_mut().find(|one| one.id == new.id) {
            Some(one) => *one = new,
            None => held.push(new),
        }
    }
    Ok(())
}

/// A user as the libraries know one.
#[derive(Debug, Serialize)]
pub struct Account {
    #[serde(rename = "$id")]
    id: UserId,
    name: Value,
}

impl Account {
    /// The user of whom its token tells `info`.
    #[must_use]
    pub fn new(id: UserId, info: Option<&Attributes>) -> Self {
        let name = info.and_then(|info| info.to_map().remove("name"));
        let name = name.filter(Value::is_string).unwrap_or_else(|| id.as_str().into());
        Self { id, name }
    }
}

/// What a client is told.
#[derive(Debug, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
pub enum Told<'a> {
    /// The first.
    Connected {
        /// Always none: a fresh socket has asked for nothing.
        channels: [&'a str; 0],
        /// None, too.
        subscriptions: [&'a str; 0],
        /// Who it is, if the handshake said so.
        user: Option<Account>,
    },
    /// An answer.
    Response(Response<'a>),
    /// A change.
    Event(Event<'a>),
    /// A refusal.
    Error {
        /// What kind: of the WebSocket, or as a status.
        code: u16,
        /// In words.
        message: &'a str,
    },
}

/// An answer, by what it answers.
#[derive(Debug, Serialize)]
#[serde(tag = "to", rename_all = "lowercase")]
pub enum Response<'a> {
    /// To `authentication`.
    Authentication {
        /// Always.
        success: bool,
        /// Who it is now.
        user: Account,
    },
    /// To `subscribe`.
    Subscribe {
        /// Always.
        success: bool,
        /// Each as it is now.
        subscriptions: Vec<Subscribed<'a>>,
    },
    /// To `unsubscribe`.
    Unsubscribe {
        /// Always.
        success: bool,
        /// Which ended.
        subscriptions: Vec<Removed<'a>>,
    },
    /// To `presence`.
    Presence {
        /// The record as it is now.
        presence: Presence,
    },
}

/// A subscription as it is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscribed<'a> {
    subscription_id: &'a str,
    channels: &'a [String],
    queries: &'a [String],
}

impl<'a> From<&'a Subscription> for Subscribed<'a> {
    fn from(one: &'a Subscription) -> Self {
        Self { subscription_id: &one.id, channels: &one.channels, queries: &one.queries }
    }
}

/// A subscription that ended, or that there was none of.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed<'a> {
    /// Its id.
    pub subscription_id: &'a str,
    /// Whether it ended by this.
    pub removed: bool,
}

/// A change, for all subscriptions that it is for.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    /// What happened, from the precise to the general.
    pub events: &'a [String],
    /// Where it is told.
    pub channels: &'a [String],
    /// When it was told.
    pub timestamp: String,
    /// The record.
    pub payload: &'a Presence,
    /// Which of the client's subscriptions it is for.
    pub subscriptions: Vec<&'a str>,
}

/// Appends it as a WebSocket message.
pub fn write(told: &Told<'_>, out: &mut Vec<u8>) {
    encode::text_message(told, out);
}

/// Appends the answer to a ping.
pub fn write_pong(out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Pong {
        r#type: &'static str,
    }
    encode::text_message(&Pong { r#type: "pong" }, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_libraries_say_is_read() {
        assert_eq!(parse(r#"{"type":"ping"}"#), Ok(Asked::Ping));
        let session = parse(r#"{"type":"authentication","data":{"session":"s"}}"#);
        assert_eq!(session, Ok(Asked::Authentication("s".into())));
        let row = r#"{"subscriptionId":"a","channels":["presences"],"queries":[]}"#;
        let Ok(Asked::Subscribe(rows)) =
            parse(&format!(r#"{{"type":"subscribe","data":[{row}]}}"#))
        else {
            panic!()
        };
        assert_eq!((&*rows[0].id, &rows[0].channels[..]), ("a", &["presences".to_owned()][..]));
        let gone = parse(r#"{"type":"unsubscribe","data":[{"subscriptionId":"a"}]}"#);
        assert_eq!(gone, Ok(Asked::Unsubscribe(vec!["a".into()])));
    }

    #[test]
    fn whatever_else_is_refused() {
        let query = r#"["{\"method\":\"limit\",\"values\":[5]}"]"#;
        for bad in [
            "",
            "nonsense",
            "7",
            "[]",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"drop"}"#,
            r#"{"type":"authentication"}"#,
            r#"{"type":"authentication","data":{"session":7}}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","data":{}}"#,
            r#"{"type":"subscribe","data":[{"subscriptionId":"","channels":["presences"]}]}"#,
            r#"{"type":"subscribe","data":[{"subscriptionId":"a","channels":[]}]}"#,
            r#"{"type":"subscribe","data":[{"subscriptionId":"a","channels":[""]}]}"#,
            &format!(
                r#"{{"type":"subscribe","data":[{{"subscriptionId":"a","channels":["presences"],"queries":{query}}}]}}"#
            ),
            r#"{"type":"unsubscribe","data":["a"]}"#,
            r#"{"type":"presence","data":[]}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn subscriptions_have_a_bound_and_are_replaced() {
        let one = |id: usize, channel: &str| Subscription {
            id: format!("s{id}"),
            channels: vec![channel.into()],
            queries: Vec::new(),
            filters: Vec::new(),
        };
        let mut held = Vec::new();
        let many = (0..APPWRITE_SUBSCRIPTIONS).map(|id| one(id, "presences")).collect();
        subscribe(&mut held, many).unwrap();
        assert!(subscribe(&mut held, vec![one(1, "other"), one(99, "other")]).is_err());
        assert_eq!(held[1].channels, ["presences"], "all or none");
        subscribe(&mut held, vec![one(1, "other")]).unwrap();
        assert_eq!((held.len(), &*held[1].channels[0]), (APPWRITE_SUBSCRIPTIONS, "other"));
        let large = Subscription {
            queries: vec!["x".repeat(APPWRITE_SUBSCRIPTIONS_BYTES)],
            ..one(1, "presences")
        };
        assert!(subscribe(&mut held, vec![large]).is_err());
    }

    #[test]
    fn what_is_told_has_the_shape_that_they_read() {
        let text = |told: &Told<'_>| serde_json::to_string(told).unwrap();
        let user = Account::new(UserId::parse("ada", "user").unwrap(), None);
        assert_eq!(
            text(&Told::Connected { channels: [], subscriptions: [], user: Some(user) }),
            r#"{"type":"connected","data":{"channels":[],"subscriptions":[],"user":{"$id":"ada","name":"ada"}}}"#
        );
        assert_eq!(
            text(&Told::Error { code: 1003, message: "no" }),
            r#"{"type":"error","data":{"code":1003,"message":"no"}}"#
        );
        let subscriptions = vec![Removed { subscription_id: "a", removed: true }];
        assert_eq!(
            text(&Told::Response(Response::Unsubscribe { success: true, subscriptions })),
            r#"{"type":"response","data":{"to":"unsubscribe","success":true,"subscriptions":[{"subscriptionId":"a","removed":true}]}}"#
        );
    }
}
