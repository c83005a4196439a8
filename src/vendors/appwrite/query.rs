//! Queries as Appwrite's libraries write them: `{"method":"equal","attribute":"status","values":["online"]}`.

use std::cmp::Ordering;

use herenow_protocol::UserId;
use serde::Deserialize;
use serde_json::Value;

use super::record::{Record, Source};
use super::times;
use crate::limits::{APPWRITE_LIST_MAX, APPWRITE_QUERY_BYTES, APPWRITE_QUERY_VALUES};

/// How deep queries may stand within others.
const MAX_DEPTH: usize = 3;

/// What of a record can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `$id`.
    Id,
    /// `$createdAt`.
    Created,
    /// `$updatedAt`.
    Updated,
    /// `userId`.
    User,
    /// `status`.
    Status,
    /// `expiresAt`.
    Expires,
    /// `source`.
    Source,
}

/// What a record has there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A moment, in milliseconds since 1970.
    Time(u64),
    /// A text.
    Text(String),
}

/// How something is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Is one of the values.
    Equal,
    /// Is none of them.
    NotEqual,
    /// Is before all of them.
    Less,
    /// Is before or at.
    LessEqual,
    /// Is behind.
    Greater,
    /// Is behind or at.
    GreaterEqual,
    /// Is from the first to the second.
    Between,
    /// Begins with one of them.
    StartsWith,
    /// Ends with one of them.
    EndsWith,
    /// Has one of them in it.
    Contains,
}

/// Which records are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Those of which that holds.
    Compare(Comparison, Field, Vec<Key>),
    /// Those that have nothing there: none. Or those that have something.
    Null(bool),
    /// Those that all of these mean.
    And(Vec<Self>),
    /// Those that one of these means.
    Or(Vec<Self>),
}

/// One query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Which records.
    Filter(Filter),
    /// How many at most.
    Limit(u64),
    /// How many to pass over.
    Offset(u64),
    /// In which order: whether descending.
    Order(Field, bool),
    /// Those behind the record with that id, or before it.
    Cursor(String, Side),
    /// What of each.
    Select(Vec<String>),
}

/// Which side of a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Behind it.
    After,
    /// Before it.
    Before,
}

#[derive(Deserialize)]
struct Written {
    method: String,
    attribute: Option<String>,
    #[serde(default)]
    values: Vec<Value>,
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > APPWRITE_QUERY_BYTES {
            return Err(format!("Invalid query: must be at most {APPWRITE_QUERY_BYTES} bytes."));
        }
        let written = serde_json::from_str(text);
        Self::of(written.map_err(|_| "Invalid query: must be JSON with a method.".to_owned())?, 0)
    }

    fn of(written: Written, depth: usize) -> Result<Self, String> {
        let Written { method, attribute, values } = written;
        if values.len() > APPWRITE_QUERY_VALUES {
            return Err(wrong(
                &method,
                format!("must have at most {APPWRITE_QUERY_VALUES} values"),
            ));
        }
        let field = || {
            let named = attribute.as_deref().and_then(Field::named);
            named.ok_or_else(|| {
                let names = "$id, $createdAt, $updatedAt, userId, status, expiresAt or source";
                wrong(&method, format!("must name an attribute out of {names}"))
            })
        };
        Ok(match method.as_str() {
            "limit" => Self::Limit(number(&method, &values, 1)?),
            "offset" => Self::Offset(number(&method, &values, 0)?),
            "orderAsc" => Self::Order(field()?, false),
            "orderDesc" => Self::Order(field()?, true),
            "cursorAfter" => Self::Cursor(one_text(&method, &values)?, Side::After),
            "cursorBefore" => Self::Cursor(one_text(&method, &values)?, Side::Before),
            "select" => Self::Select(selected(&method, &values)?),
            "isNull" => field().map(|_| Self::Filter(Filter::Null(true)))?,
            "isNotNull" => field().map(|_| Self::Filter(Filter::Null(false)))?,
            "and" | "or" => Self::Filter(several(&method, values, depth)?),
            _ => {
                let comparison = Comparison::named(&method)
                    .ok_or_else(|| wrong(&method, "is no method that is known here"))?;
                let field = field()?;
                let keys: Vec<_> = values
                    .iter()
                    .map(|value| field.key_of(value).ok_or_else(|| wrong(&method, field.rule())))
                    .collect::<Result<_, _>>()?;
                let least = if comparison == Comparison::Between { 2 } else { 1 };
                if keys.len() < least {
                    return Err(wrong(&method, "has too few values"));
                }
                Self::Filter(Filter::Compare(comparison, field, keys))
            }
        })
    }
}

fn wrong(method: &str, rule: impl std::fmt::Display) -> String {
    let method: String = method.chars().take(40).collect();
    format!("Invalid query: {method:?} {rule}.")
}

fn several(method: &str, values: Vec<Value>, depth: usize) -> Result<Filter, String> {
    if depth == MAX_DEPTH || values.is_empty() {
        let rule = format!("must have queries in it, at most {MAX_DEPTH} levels deep");
        return Err(wrong(method, rule));
    }
    let filters = values.into_iter().map(|value| {
        let written = serde_json::from_value(value);
        let written = written.map_err(|_| wrong(method, "must have queries in it"))?;
        match Query::of(written, depth + 1)? {
            Query::Filter(filter) => Ok(filter),
            _ => Err(wrong(method, "must have queries in it that say which records are meant")),
        }
    });
    let filters = filters.collect::<Result<_, _>>()?;
    Ok(if method == "and" { Filter::And(filters) } else { Filter::Or(filters) })
}

fn number(method: &str, values: &[Value], least: u64) -> Result<u64, String> {
    let number = match values {
        [value] => value.as_u64(),
        _ => None,
    };
    number.filter(|number| (least..=APPWRITE_LIST_MAX).contains(number)).ok_or_else(|| {
        wrong(method, format!("must be a whole number from {least} to {APPWRITE_LIST_MAX}"))
    })
}

fn one_text(method: &str, values: &[Value]) -> Result<String, String> {
    match values {
        [Value::String(text)] => Ok(text.clone()),
        _ => Err(wrong(method, "must have the id of a presence")),
    }
}

fn selected(method: &str, values: &[Value]) -> Result<Vec<String>, String> {
    let known = |name: &str| {
        Field::named(name).is_some() || matches!(name, "*" | "metadata" | "$permissions")
    };
    let names = values.iter().map(|value| value.as_str().filter(|name| known(name)));
    let names: Option<Vec<_>> = names.map(|name| name.map(str::to_owned)).collect();
    names.filter(|names| !names.is_empty()).ok_or_else(|| wrong(method, "must name attributes"))
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "$id" => Self::Id,
            "$createdAt" => Self::Created,
            "$updatedAt" => Self::Updated,
            "userId" => Self::User,
            "status" => Self::Status,
            "expiresAt" => Self::Expires,
            "source" => Self::Source,
            _ => return None,
        })
    }

    fn is_time(self) -> bool {
        matches!(self, Self::Created | Self::Updated | Self::Expires)
    }

    fn rule(self) -> &'static str {
        if self.is_time() { "must have moments as values" } else { "must have texts as values" }
    }

    fn key_of(self, value: &Value) -> Option<Key> {
        let text = value.as_str()?;
        if self.is_time() {
            return times::parse(text).map(Key::Time);
        }
        Some(Key::Text(text.to_owned()))
    }

    /// What the record of `user` has there.
    #[must_use]
    pub fn of(self, user: &UserId, record: &Record) -> Key {
        match self {
            Self::Id => Key::Text(record.id.clone()),
            Self::Created => Key::Time(record.created_ms),
            Self::Updated => Key::Time(record.updated_ms),
            Self::User => Key::Text(user.as_str().to_owned()),
            Self::Status => Key::Text(record.status.clone()),
            Self::Expires => Key::Time(record.expires_ms),
            Self::Source => Key::Text(
                match record.source {
                    Source::Rest => "rest",
                    Source::Realtime => "realtime",
                }
                .to_owned(),
            ),
        }
    }
}

impl Comparison {
    fn named(method: &str) -> Option<Self> {
        Some(match method {
            "equal" => Self::Equal,
            "notEqual" => Self::NotEqual,
            "lessThan" => Self::Less,
            "lessThanEqual" => Self::LessEqual,
            "greaterThan" => Self::Greater,
            "greaterThanEqual" => Self::GreaterEqual,
            "between" => Self::Between,
            "startsWith" => Self::StartsWith,
            "endsWith" => Self::EndsWith,
            "contains" => Self::Contains,
            _ => return None,
        })
    }

    fn holds(self, key: &Key, values: &[Key]) -> bool {
        let text = |key: &Key| match key {
            Key::Text(text) => text.clone(),
            Key::Time(ms) => times::Shown(*ms).to_string(),
        };
        let any = |is: fn(Ordering) -> bool| values.iter().any(|value| is(key.cmp(value)));
        match self {
            Self::Equal => any(Ordering::is_eq),
            Self::NotEqual => !any(Ordering::is_eq),
            Self::Less => any(Ordering::is_lt),
            Self::LessEqual => any(Ordering::is_le),
            Self::Greater => any(Ordering::is_gt),
            Self::GreaterEqual => any(Ordering::is_ge),
            Self::Between => {
                matches!(values, [from, to, ..] if (from..=to).contains(&key))
            }
            Self::StartsWith => values.iter().any(|value| text(key).starts_with(&text(value))),
            Self::EndsWith => values.iter().any(|value| text(key).ends_with(&text(value))),
            Self::Contains => values.iter().any(|value| text(key).contains(&text(value))),
        }
    }
}

impl Filter {
    /// Whether the record of `user` is meant.
    #[must_use]
    pub fn means(&self, user: &UserId, record: &Record) -> bool {
        match self {
            Self::Compare(comparison, field, values) => {
                comparison.holds(&field.of(user, record), values)
            }
            Self::Null(is_null) => !is_null,
            Self::And(filters) => filters.iter().all(|filter| filter.means(user, record)),
            Self::Or(filters) => filters.iter().any(|filter| filter.means(user, record)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::appwrite::record::tests::record;

    fn means(text: &str) -> bool {
        let Ok(Query::Filter(filter)) = Query::parse(text) else { panic!("{text}") };
        let (record, _) = record("p1", &[]);
        filter.means(&UserId::parse("ada", "user").unwrap(), &record)
    }

    #[test]
    fn a_filter_means_what_it_says() {
        for (text, meant) in [
            (r#"{"method":"equal","attribute":"userId","values":["bob","ada"]}"#, true),
            (r#"{"method":"equal","attribute":"userId","values":["bob"]}"#, false),
            (r#"{"method":"notEqual","attribute":"$id","values":["p1"]}"#, false),
            (r#"{"method":"notEqual","attribute":"$id","values":["p2"]}"#, true),
            (
                r#"{"method":"lessThan","attribute":"$createdAt","values":["2026-11-22T11:54:23.475Z"]}"#,
                false,
            ),
            (
                r#"{"method":"lessThanEqual","attribute":"$createdAt","values":["2026-11-22T11:54:23.475Z"]}"#,
                true,
            ),
            (
                r#"{"method":"greaterThan","attribute":"expiresAt","values":["2026-11-22T12:54:23+01:00"]}"#,
                true,
            ),
            (
                r#"{"method":"greaterThanEqual","attribute":"$updatedAt","values":["2027-01-01T00:00:00Z"]}"#,
                false,
            ),
            (r#"{"method":"between","attribute":"$id","values":["p0","p2"]}"#, true),
            (r#"{"method":"startsWith","attribute":"status","values":["on"]}"#, true),
            (r#"{"method":"isNull","attribute":"status"}"#, false),
            (r#"{"method":"isNotNull","attribute":"status"}"#, true),
            (r#"{"method":"equal","attribute":"source","values":["realtime"]}"#, false),
            (
                r#"{"method":"or","values":[{"method":"equal","attribute":"$id","values":["p2"]},{"method":"isNotNull","attribute":"status"}]}"#,
                true,
            ),
            (
                r#"{"method":"and","values":[{"method":"equal","attribute":"$id","values":["p1"]},{"method":"isNull","attribute":"status"}]}"#,
                false,
            ),
        ] {
            assert_eq!(means(text), meant, "{text}");
        }
    }

    #[test]
    fn others_are_read_and_broken_ones_refused() {
        let parse = |text: &str| Query::parse(text);
        assert_eq!(parse(r#"{"method":"limit","values":[25]}"#), Ok(Query::Limit(25)));
        let order = parse(r#"{"method":"orderDesc","attribute":"$updatedAt"}"#);
        assert_eq!(order, Ok(Query::Order(Field::Updated, true)));
        let cursor = parse(r#"{"method":"cursorBefore","values":["p1"]}"#);
        assert_eq!(cursor, Ok(Query::Cursor("p1".into(), Side::Before)));
        let deep = "{\"method\":\"and\",\"values\":[".repeat(5) + &"]}".repeat(5);
        let many = format!(
            r#"{{"method":"equal","attribute":"status","values":[{}"x"]}}"#,
            r#""x","#.repeat(100)
        );
        for broken in [
            "",
            "{",
            "7",
            "[]",
            "{}",
            r#"{"method":"nonsense"}"#,
            r#"{"method":"limit","values":[0]}"#,
            r#"{"method":"limit","values":["5"]}"#,
            r#"{"method":"limit","values":[5001]}"#,
            r#"{"method":"offset","values":[-1]}"#,
            r#"{"method":"offset"}"#,
            r#"{"method":"equal","attribute":"metadata","values":["x"]}"#,
            r#"{"method":"equal","attribute":"status","values":[]}"#,
            r#"{"method":"equal","attribute":"status","values":[7]}"#,
            r#"{"method":"equal","values":["x"]}"#,
            r#"{"method":"lessThan","attribute":"$createdAt","values":["soon"]}"#,
            r#"{"method":"between","attribute":"$id","values":["a"]}"#,
            r#"{"method":"orderAsc","attribute":"metadata"}"#,
            r#"{"method":"cursorAfter","values":[]}"#,
            r#"{"method":"select","values":[]}"#,
            r#"{"method":"select","values":["secret"]}"#,
            r#"{"method":"or","values":[]}"#,
            r#"{"method":"or","values":[{"method":"limit","values":[1]}]}"#,
            &deep,
            &many,
        ] {
            assert!(parse(broken).unwrap_err().starts_with("Invalid query"), "{broken}");
        }
        assert!(parse(&" ".repeat(APPWRITE_QUERY_BYTES + 1)).is_err());
    }
}
