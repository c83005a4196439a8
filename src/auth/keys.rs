//! API keys: who back ends are, and what they may do.

use std::fmt;
use std::sync::Arc;

use herenow_protocol::{ErrorCode, Refusal};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use toml::{Table, Value};

use crate::limits::{API_KEY_BYTES, MAX_API_KEY_NAME_BYTES};

/// What a back end may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyRight {
    /// See everything: members, counts, statuses.
    Read,
    /// Make users present and absent, and set what they say about themselves.
    Write,
    /// Throw users out.
    Kick,
}

impl KeyRight {
    /// Every right.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Kick];

    /// The right as the file writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Kick => "kick",
        }
    }
}

impl fmt::Display for KeyRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is compared: of one size, so that no comparison tells how long a secret is.
type Fingerprint = [u8; 32];

fn fingerprint(secret: &str) -> Fingerprint {
    Sha256::digest(secret.as_bytes()).into()
}

/// A back end's key.
#[derive(Clone)]
pub struct ApiKey {
    name: Arc<str>,
    rights: Arc<[KeyRight]>,
    fingerprint: Fingerprint,
}

impl ApiKey {
    /// What the operator calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it may do.
    #[must_use]
    pub fn rights(&self) -> &[KeyRight] {
        &self.rights
    }

    /// Whether it has this right.
    ///
    /// # Errors
    /// `forbidden`, with the right.
    pub fn check(&self, right: KeyRight) -> Result<(), Refusal> {
        if self.rights.contains(&right) {
            return Ok(());
        }
        let message = format!("this needs the right \"{right}\", which the API key does not have");
        Err(Refusal::new(ErrorCode::Forbidden, message))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("name", &self.name)
            .field("rights", &self.rights)
            .finish_non_exhaustive()
    }
}

/// All API keys.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(Box<[ApiKey]>);

impl ApiKeys {
    /// Reads keys from TOML: `[[key]]` with `name`, `secret` (16 to 256 visible ASCII characters,
    /// as a header can carry them) and `rights`.
    ///
    /// # Errors
    /// What is wrong and where, never with a value: it might be a secret. (The messages of the TOML
    /// library quote the line.)
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Table = text.parse().map_err(|error: toml::de::Error| {
            let end = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count() + 1;
            format!("line {line} is not TOML")
        })?;
        if let Some(unknown) = file.keys().find(|&name| name != "key") {
            return Err(format!("has an unknown field {unknown:?}; keys are in [[key]]"));
        }
        let Some(Value::Array(tables)) = file.get("key") else {
            return Err("has no [[key]]".into());
        };
        let mut keys: Vec<ApiKey> = Vec::with_capacity(tables.len());
        for (place, table) in tables.iter().enumerate() {
            let key = parse_key(table).map_err(|why| format!("[[key]] {}: {why}", place + 1))?;
            if keys.iter().any(|other| other.name == key.name) {
                return Err(format!("two keys have the name {:?}", key.name()));
            }
            if let Some(other) = keys.iter().find(|other| other.fingerprint == key.fingerprint) {
                let (one, two) = (other.name(), key.name());
                return Err(format!("the keys {one:?} and {two:?} have the same secret"));
            }
            keys.push(key);
        }
        Ok(Self(keys.into()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key whose secret is `bearer`. Takes as long whether there is one or none, and whichever
    /// it is.
    #[must_use]
    pub fn find(&self, bearer: &str) -> Option<&ApiKey> {
        let given = fingerprint(bearer);
        let mut found = 0u64;
        for (number, key) in (1u64..).zip(&self.0) {
            found.conditional_assign(&number, key.fingerprint.ct_eq(&given));
        }
        self.0.get(usize::try_from(found).ok()?.checked_sub(1)?)
    }
}

fn parse_key(table: &Value) -> Result<ApiKey, String> {
    let table = table.as_table().ok_or("must be a table")?;
    let known = ["name", "secret", "rights"];
    if let Some(unknown) = table.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("has an unknown field {unknown:?}"));
    }
    let text = |name| match table.get(name) {
        None => Err(format!("has no {name}")),
        Some(value) => value.as_str().ok_or(format!("{name} must be a string")),
    };
    let name = text("name")?;
    if name.is_empty() || name.len() > MAX_API_KEY_NAME_BYTES || name.chars().any(char::is_control)
    {
        return Err(format!(
            "name must be 1 to {MAX_API_KEY_NAME_BYTES} bytes without control characters"
        ));
    }
    let secret = text("secret")?;
    if !API_KEY_BYTES.contains(&secret.len()) || !secret.bytes().all(|byte| byte.is_ascii_graphic())
    {
        let (min, max) = (API_KEY_BYTES.start(), API_KEY_BYTES.end());
        return Err(format!("secret must be {min} to {max} visible ASCII characters"));
    }
    let rights = parse_rights(table.get("rights").ok_or("has no rights")?)?;
    Ok(ApiKey { name: name.into(), rights, fingerprint: fingerprint(secret) })
}

fn parse_rights(rights: &Value) -> Result<Arc<[KeyRight]>, String> {
    let rule = "rights must be an array out of \"read\", \"write\" and \"kick\"";
    let named = |name: &str| KeyRight::ALL.into_iter().find(|right| right.as_str() == name);
    let right = |right: &Value| right.as_str().and_then(named).ok_or_else(|| rule.to_owned());
    rights.as_array().ok_or(rule)?.iter().map(right).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
        [[key]]
        name = "billing"
        secret = "correct-horse-battery-staple"
        rights = ["read"]

        [[key]]
        name = "moderation"
        secret = "0123456789abcdef"
        rights = ["read", "kick"]
    "#;

    #[test]
    fn a_key_is_found_by_its_whole_secret() {
        let keys = ApiKeys::parse(TWO).unwrap();
        let name = |secret| keys.find(secret).map(ApiKey::name);
        assert_eq!(name("correct-horse-battery-staple"), Some("billing"));
        assert_eq!(name("0123456789abcdef"), Some("moderation"));
        for other in ["", "0123456789abcde", "0123456789abcdef ", "0123456789ABCDEF", "billing"] {
            assert_eq!(name(other), None, "{other:?}");
        }
        assert!(ApiKeys::default().find("").is_none());
    }

    #[test]
    fn a_key_has_the_rights_that_it_is_given() {
        let keys = ApiKeys::parse(TWO).unwrap();
        let key = keys.find("0123456789abcdef").unwrap();
        assert!(key.check(KeyRight::Read).is_ok() && key.check(KeyRight::Kick).is_ok());
        let refusal = key.check(KeyRight::Write).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Forbidden);
        assert!(refusal.message.contains("\"write\""), "{}", refusal.message);
    }

    #[test]
    fn debug_shows_no_secret() {
        let keys = ApiKeys::parse(TWO).unwrap();
        let shown = format!("{keys:?}");
        assert!(shown.contains("billing") && !shown.contains("fingerprint"), "{shown}");
        assert!(!shown.contains("horse"), "{shown}");
    }

    /// Each mistake in one line that says what it is, without any value.
    #[test]
    fn mistakes_are_told_without_secrets() {
        let key = |fields: &str| format!("[[key]]\n{fields}\n");
        let good = "name = \"a\"\nsecret = \"tellnobody-tellnobody\"\nrights = [\"read\"]";
        assert!(ApiKeys::parse(&key(good)).is_ok());
        let longest = good.replace("\"a\"", &format!("\"{}\"", "a".repeat(MAX_API_KEY_NAME_BYTES)));
        assert!(ApiKeys::parse(&key(&longest)).is_ok());
        let long = format!("\"{}\"", "tellnobody".repeat(26));
        let with = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            key(&good.replace(from, to))
        };
        let secret = "\"tellnobody-tellnobody\"";
        for (text, says) in [
            (String::new(), "no [[key]]"),
            ("key = 5".into(), "no [[key]]"),
            ("key = [5]".into(), "[[key]] 1: must be a table"),
            (format!("{}keys = 1", key("")), "unknown field \"keys\""),
            (format!("other = 1\n{}", key(good)), "unknown field \"other\""),
            (with("rights =", "rigths ="), "unknown field \"rigths\""),
            (with("name = \"a\"\n", ""), "no name"),
            (with("\"a\"", "\"\""), "name must"),
            (with("\"a\"", "\"a\\nb\""), "name must"),
            (with("\"a\"", "5"), "name must"),
            (with(&format!("secret = {secret}\n"), ""), "no secret"),
            (with(secret, "\"tellnobody\""), "16 to 256"),
            (with(secret, &long), "16 to 256"),
            (with(secret, "\"tellnobody tellnobody\""), "visible ASCII"),
            (with(secret, "8765432187654321"), "secret must be a string"),
            (with("\nrights = [\"read\"]", ""), "no rights"),
            (with("\"read\"", "\"root\""), "rights must"),
            (with("[\"read\"]", "\"read\""), "rights must"),
            (with(secret, "\"tellnobody-tellnobody"), "line 3 is not TOML"),
            (with(secret, "tellnobody-tellnobody"), "line 3 is not TOML"),
            (format!("{}{}", key(good), key(good)), "the name \"a\""),
            (format!("{}{}", key(good), with("\"a\"", "\"b\"")), "same secret"),
        ] {
            let why = ApiKeys::parse(&text).unwrap_err();
            assert!(why.contains(says), "{text}\n{why}");
            assert!(!why.contains("tellnobody") && !why.contains("87654321"), "{why}");
            assert!(!why.contains('\n'), "{why}");
        }
    }
}
