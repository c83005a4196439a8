//! Roles, and who may see a member.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::name::{MAX_NAME_BYTES, UserId};

/// Most roles that one `visibleTo` may name, and that one token may carry.
pub const MAX_ROLES: usize = 32;

/// Before the `:` of a role that is one user.
const USER: &str = "user:";

/// Everyone, and everyone who is authenticated: nobody else ever gets in, so both mean all.
const EVERYONE: [&str; 2] = ["any", "users"];

/// What a viewer is, as far as it matters to whom it may see: `team:blue`, `moderator`. 1 to
/// [`MAX_ROLE_BYTES`] bytes of UTF-8 without control characters. Clones share one allocation.
///
/// Every user has the role `user:` and its id without being given it. `any` and `users` stand for
/// everyone, and are nobody's role.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Role(Arc<str>);

/// Longest role: room for `user:` before the longest name.
pub const MAX_ROLE_BYTES: usize = USER.len() + MAX_NAME_BYTES;

impl Role {
    /// Checks a role as a token gives it; `field` is what a refusal names.
    ///
    /// # Errors
    /// `invalid_field` with the rule that it breaks: its length, its characters, or that nobody is
    /// given `any`, `users` or `user:…`.
    pub fn parse(text: &str, field: &'static str) -> Result<Self, Refusal> {
        let role = Self::named(text, field)?;
        if EVERYONE.contains(&text) || text.starts_with(USER) {
            let rule = "must not give \"any\", \"users\" or \"user:…\": these go without saying";
            return Err(Refusal::invalid(field, rule));
        }
        Ok(role)
    }

    /// The role that only `user` has.
    #[must_use]
    pub fn of_user(user: &UserId) -> Self {
        Self(format!("{USER}{user}").into())
    }

    fn named(text: &str, field: &'static str) -> Result<Self, Refusal> {
        if text.is_empty() || text.len() > MAX_ROLE_BYTES || text.chars().any(char::is_control) {
            let rule = format_args!(
                "must be roles of 1 to {MAX_ROLE_BYTES} bytes of UTF-8 without control characters"
            );
            return Err(Refusal::invalid(field, rule));
        }
        Ok(Self(text.into()))
    }

    /// The role as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the role that only `user` has.
    #[must_use]
    pub fn is_user(&self, user: &UserId) -> bool {
        self.0.strip_prefix(USER) == Some(user.as_str())
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who may see a member: everyone, or these roles alone (none: nobody but the member itself).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience(Option<Arc<[Role]>>);

impl Audience {
    /// Everyone.
    pub const EVERYONE: Self = Self(None);

    /// The audience that `visibleTo` names. Order and repetition do not matter.
    ///
    /// # Errors
    /// `invalid_field`: more than [`MAX_ROLES`], or one that breaks the rule of roles.
    pub fn parse<'a>(roles: impl IntoIterator<Item = &'a str>) -> Result<Self, Refusal> {
        const FIELD: &str = "visibleTo";
        let mut parsed = Vec::new();
        for role in roles {
            if parsed.len() == MAX_ROLES {
                return Err(Refusal::invalid(
                    FIELD,
                    format_args!("must be at most {MAX_ROLES} roles"),
                ));
            }
            parsed.push(Role::named(role, FIELD)?);
        }
        if parsed.iter().any(|role| EVERYONE.contains(&role.as_str())) {
            return Ok(Self::EVERYONE);
        }
        parsed.sort();
        parsed.dedup();
        Ok(Self(Some(parsed.into())))
    }

    /// The roles that may see the member; `None`: everyone may.
    #[must_use]
    pub fn roles(&self) -> Option<&[Role]> {
        self.0.as_deref()
    }

    /// Whether everyone may see the member.
    #[must_use]
    pub fn is_everyone(&self) -> bool {
        self.0.is_none()
    }
}

impl Serialize for Audience {
    fn serialize<S: serde::Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            None => ser.collect_seq([EVERYONE[0]]),
            Some(roles) => ser.collect_seq(roles.iter()),
        }
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let roles = Vec::<String>::deserialize(de)?;
        Self::parse(roles.iter().map(String::as_str))
            .map_err(|refusal| serde::de::Error::custom(refusal.message))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Audience {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Audience".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // maxLength counts characters and our rule counts bytes: the schema is the looser of the two.
        schemars::json_schema!({
            "type": "array", "maxItems": MAX_ROLES,
            "items": {
                "type": "string", "minLength": 1, "maxLength": MAX_ROLE_BYTES,
                "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_is_everyone_whoever_else_is_named() {
        for roles in [&["any"][..], &["users"], &["team:blue", "any"]] {
            assert!(Audience::parse(roles.iter().copied()).unwrap().is_everyone());
        }
        assert_eq!(Audience::parse([]).unwrap().roles(), Some(&[][..]), "nobody");
        let one = Audience::parse(["b", "a", "b"]).unwrap();
        assert_eq!(one, Audience::parse(["a", "b"]).unwrap());
        assert_eq!(serde_json::to_string(&one).unwrap(), r#"["a","b"]"#);
    }

    #[test]
    fn bad_roles_name_the_field() {
        for bad in ["", "a\nb", &"x".repeat(MAX_ROLE_BYTES + 1)] {
            assert_eq!(Audience::parse([bad]).unwrap_err().field, Some("visibleTo"));
            assert_eq!(Role::parse(bad, "roles").unwrap_err().field, Some("roles"));
        }
        for given in ["any", "users", "user:bob"] {
            assert!(Role::parse(given, "roles").is_err(), "{given}");
            assert!(Audience::parse([given]).is_ok(), "{given}");
        }
        let many = vec!["x"; MAX_ROLES + 1];
        assert!(Audience::parse(many).is_err());
    }
}
