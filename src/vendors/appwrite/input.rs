//! What a write brings, or what is wrong with it.

use herenow_protocol::attributes::too_deep;
use herenow_protocol::{AttributeMap, Audience, UserId};
use serde_json::{Map, Value};

use super::fault::Fault;
use super::permissions::Permissions;
use super::times;
use crate::limits::{APPWRITE_ID_CHARS, APPWRITE_STATUS_CHARS, MAX_RECORD_MS};

/// What the libraries send for an id that the broker is to make.
pub const UNIQUE: &str = "unique()";

/// What a write brings. A null is as if it were not there.
#[derive(Debug, Default)]
pub struct Fields {
    /// Whose record, as back ends say.
    pub user: Option<UserId>,
    /// What the user is doing.
    pub status: Option<String>,
    /// Who may do what, and who may read by that.
    pub permissions: Option<(Permissions, Audience)>,
    /// When the record ends, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// Whatever else.
    pub metadata: Option<Map<String, Value>>,
}

impl Fields {
    /// Reads them at `now_ms` (since 1970). `most_bytes`: of metadata.
    ///
    /// # Errors
    /// `general_argument_invalid`.
    pub fn read(object: Map<String, Value>, now_ms: u64, most_bytes: usize) -> Result<Self, Fault> {
        let mut fields = Self::default();
        for (name, value) in object {
            match (name.as_str(), value) {
                (_, Value::Null) => {}
                ("userId", value) => fields.user = Some(user(&value)?),
                ("status", value) => fields.status = Some(status(value)?),
                ("permissions", value) => fields.permissions = Some(permissions(value)?),
                ("expiresAt", value) => fields.expires_ms = Some(expiry(&value, now_ms)?),
                ("metadata", value) => fields.metadata = Some(metadata(value, most_bytes)?),
                _ => {}
            }
        }
        Ok(fields)
    }
}

/// The object that a body is; one that is empty has nothing in it.
///
/// # Errors
/// `general_argument_invalid`.
pub fn object(text: &str) -> Result<Map<String, Value>, Fault> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|_| Fault::argument("The body must be a JSON object."))
}

/// Refuses what is no id of a record.
///
/// # Errors
/// `general_argument_invalid`.
pub fn check_id(id: &str) -> Result<(), Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let good = id.len() <= APPWRITE_ID_CHARS
        && id.bytes().next().is_some_and(plain)
        && id.bytes().all(|byte| plain(byte) || b"._-".contains(&byte));
    if good {
        return Ok(());
    }
    Err(Fault::argument(format!(
        "Invalid `presenceId` param: must have at most {APPWRITE_ID_CHARS} characters out of a-z, \
         A-Z, 0-9, period, hyphen and underscore, and not begin with a special one."
    )))
}

fn user(value: &Value) -> Result<UserId, Fault> {
    let name = value
        .as_str()
        .ok_or_else(|| Fault::argument("Invalid `userId` param: must be a string."))?;
    UserId::parse(name, "userId").map_err(Fault::from)
}

fn status(value: Value) -> Result<String, Fault> {
    match value {
        Value::String(text) if (1..=APPWRITE_STATUS_CHARS).contains(&text.chars().count()) => {
            Ok(text)
        }
        _ => Err(Fault::argument(format!(
            "Invalid `status` param: must be a string of 1 to {APPWRITE_STATUS_CHARS} characters."
        ))),
    }
}

fn permissions(value: Value) -> Result<(Permissions, Audience), Fault> {
    let given = serde_json::from_value(value).map_err(|_| {
        Fault::argument("Invalid `permissions` param: must be an array of strings.")
    })?;
    Permissions::parse(given).map_err(Fault::argument)
}

fn expiry(value: &Value, now_ms: u64) -> Result<u64, Fault> {
    let at = value.as_str().and_then(times::parse);
    at.filter(|at| (now_ms + 1..=now_ms + MAX_RECORD_MS).contains(at)).ok_or_else(|| {
        Fault::argument(
            "Invalid `expiresAt` param: must be a moment in ISO 8601 that is to come, within 30 days.",
        )
    })
}

fn metadata(value: Value, most_bytes: usize) -> Result<Map<String, Value>, Fault> {
    let Value::Object(map) = value else {
        return Err(Fault::argument("Invalid `metadata` param: must be an object."));
    };
    let bytes = serde_json::to_string(&map).map_or(usize::MAX, |text| text.len());
    if bytes > most_bytes {
        let rule = format!("must be at most {most_bytes} bytes of JSON, and is {bytes}");
        return Err(Fault::argument(format!("Invalid `metadata` param: {rule}.")));
    }
    let whole = AttributeMap::from_iter([("metadata".to_owned(), Value::Object(map))]);
    if too_deep(&whole) {
        return Err(Fault::argument("Invalid `metadata` param: nests too deep."));
    }
    match whole.into_iter().next() {
        Some((_, Value::Object(map))) => Ok(map),
        _ => Ok(Map::new()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_795_348_463_475;

    fn read(value: &Value) -> Result<Fields, Fault> {
        Fields::read(value.as_object().unwrap().clone(), NOW, 64)
    }

    #[test]
    fn what_is_not_there_and_null_are_alike() {
        let fields = read(&json!({ "status": null, "metadata": null, "purge": true })).unwrap();
        assert!(fields.status.is_none() && fields.metadata.is_none() && fields.user.is_none());
        let fields =
            read(&json!({ "status": "x", "expiresAt": "2026-11-22T12:00:00.000Z" })).unwrap();
        assert_eq!(fields.status.as_deref(), Some("x"));
        assert_eq!(fields.expires_ms, Some(1_795_348_800_000));
    }

    #[test]
    fn whatever_breaks_a_rule_is_refused_with_its_name() {
        let mut deep = json!({});
        for _ in 0..31 {
            deep = json!({ "a": deep });
        }
        for (name, value) in [
            ("status", json!("")),
            ("status", json!(7)),
            ("status", json!("x".repeat(257))),
            ("metadata", json!([])),
            ("metadata", json!("x")),
            ("metadata", json!({ "a": "x".repeat(64) })),
            ("permissions", json!("read(\"any\")")),
            ("permissions", json!([7])),
            ("permissions", json!(["nonsense"])),
            ("expiresAt", json!("soon")),
            ("expiresAt", json!(NOW)),
            ("expiresAt", json!("2026-11-22T11:54:23.475Z")),
            ("expiresAt", json!("2026-12-22T11:54:23.476Z")),
            ("userId", json!("")),
            ("userId", json!(7)),
        ] {
            let fault = read(&json!({ name: value })).unwrap_err();
            assert_eq!((fault.status.as_u16(), fault.kind), (400, "general_argument_invalid"));
            assert!(fault.message.contains(name), "{name}: {}", fault.message);
        }
        let far = Fields::read(json!({ "metadata": deep }).as_object().unwrap().clone(), NOW, 4096);
        assert!(far.unwrap_err().message.contains("metadata"));
    }

    #[test]
    fn ids() {
        for good in ["a", "A9._-x", &"x".repeat(36)] {
            assert!(check_id(good).is_ok(), "{good}");
        }
        for bad in ["", "_a", ".a", "-", "a b", "a/b", "\u{e4}", "unique()", &"x".repeat(37)] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }
}
