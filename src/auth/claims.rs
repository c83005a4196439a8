//! What a token says (RFC 7519, section 4): the same rules for those that come in and those that
//! `herenow token` makes.

use std::num::NonZeroU64;

use herenow_protocol::attributes::{AttributeMap, MAX_DEPTH, too_deep};
use herenow_protocol::role::MAX_ROLES;
use herenow_protocol::{Attributes, ErrorCode, Refusal, Role, UserId};
use serde::Serialize;
use serde_json::{Map, Value};

use super::access::{Access, Grants, Right};
use super::pattern::{Pattern, Patterns};
use crate::limits::MAX_INFO_BYTES;

/// A token's claims, checked. Times are as in the token: seconds since 1970.
#[derive(Debug, Serialize)]
pub struct Claims {
    /// Who.
    pub sub: UserId,
    /// The second at which the token is no longer valid.
    #[serde(rename = "exp")]
    pub expires: NumericDate,
    /// When it becomes valid; none: at once.
    #[serde(rename = "nbf", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<NumericDate>,
    /// When it was made.
    #[serde(rename = "iat", skip_serializing_if = "Option::is_none")]
    pub issued: Option<NumericDate>,
    /// Whom it is for, as far as the broker checks it. Only written: a verifier looks for itself.
    #[serde(rename = "aud", skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Who made it. Only written, too.
    #[serde(rename = "iss", skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What is shown with the member.
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    pub info: Attributes,
    /// What the user is.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub roles: Box<[Role]>,
    /// Whose status it may watch; none: everyone's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<Patterns>,
    /// What it may do where; none: everything everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Grants>,
}

impl Claims {
    /// Reads the claims of a token whose signature is good; `user` is the one that names its user. A
    /// null is not taken for an absent claim: where absent means all, that could be too much.
    ///
    /// # Errors
    /// `unauthenticated`, with the claim and its rule.
    pub fn read(claims: &Map<String, Value>, user: &str) -> Result<Self, Refusal> {
        let date = |name| claims.get(name).map(|date| NumericDate::read(name, date)).transpose();
        Ok(Self {
            sub: user_in(claims, user)?,
            expires: date("exp")?.ok_or_else(|| lacks("exp"))?,
            not_before: date("nbf")?,
            issued: date("iat")?,
            audience: None,
            issuer: None,
            info: read(claims, "info", |info| {
                parse_info(info.as_object().ok_or("must be an object")?)
            })?
            .unwrap_or_default(),
            roles: read(claims, "roles", |roles| parse_roles(strings(roles)?))?.unwrap_or_default(),
            watch: read(claims, "watch", |watch| Patterns::parse(strings(watch)?))?,
            channels: read(claims, "channels", read_grants)?,
        })
    }

    /// Who it is, and what it grants.
    #[must_use]
    pub fn into_access(self) -> (UserId, Access) {
        let Self { sub, expires, issued, info, roles, watch, channels, .. } = self;
        let issued_unix_ms = issued.and_then(|date| NonZeroU64::new(date.unix_ms()));
        let expires_unix_ms = expires.unix_ms();
        (sub, Access { roles, info, watch, channels, expires_unix_ms, issued_unix_ms })
    }
}

/// A refusal of a token: `rule` continues "token".
pub(super) fn refused(rule: impl std::fmt::Display) -> Refusal {
    Refusal::field(ErrorCode::Unauthenticated, "token", rule)
}

fn lacks(claim: &str) -> Refusal {
    refused(format_args!("has no claim \"{claim}\""))
}

fn broken(claim: &str, rule: impl std::fmt::Display) -> Refusal {
    let message = format!("token's {claim} {rule}").into();
    Refusal { message, ..refused("") }
}

/// Reads an optional claim.
fn read<T>(
    claims: &Map<String, Value>,
    name: &str,
    parse: impl FnOnce(&Value) -> Result<T, String>,
) -> Result<Option<T>, Refusal> {
    claims.get(name).map(|value| parse(value).map_err(|rule| broken(name, rule))).transpose()
}

fn user_in(claims: &Map<String, Value>, name: &str) -> Result<UserId, Refusal> {
    let user = claims.get(name).ok_or_else(|| lacks(name))?;
    let user = user.as_str().ok_or_else(|| broken(name, "must be a string"))?;
    UserId::parse(user, "sub").map_err(|refusal| {
        let rule = refusal.message.strip_prefix("sub ").unwrap_or(&refusal.message);
        broken(name, rule)
    })
}

fn strings(value: &Value) -> Result<Vec<&str>, String> {
    let items = value.as_array().map(|items| items.iter().map(Value::as_str).collect());
    items.flatten().ok_or_else(|| "must be an array of strings".into())
}

fn read_grants(value: &Value) -> Result<Grants, String> {
    let rule = "must be an object of patterns, each with an array of rights";
    let grants = value.as_object().ok_or(rule)?.iter().map(|(pattern, rights)| {
        let rights = strings(rights).map_err(|_| rule)?;
        Ok((Pattern::parse(pattern)?, parse_rights(rights)?))
    });
    Grants::new(grants.collect::<Result<_, String>>()?)
}

/// Checks the names of rights.
///
/// # Errors
/// An unknown one: the rule.
pub(super) fn parse_rights<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Box<[Right]>, String> {
    let rule = "must give rights out of \"join\", \"subscribe\", \"list\" and \"count\"";
    names.into_iter().map(|name| Right::named(name).ok_or_else(|| rule.into())).collect()
}

/// Checks roles.
///
/// # Errors
/// Too many, or a bad one: the rule.
pub(super) fn parse_roles<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Box<[Role]>, String> {
    let roles: Box<[_]> = names.into_iter().collect();
    if roles.len() > MAX_ROLES {
        return Err(format!("must be at most {MAX_ROLES} roles"));
    }
    let parse = |name| Role::parse(name, "roles").map_err(|refusal| rule_of(&refusal, "roles "));
    roles.into_iter().map(parse).collect()
}

/// The rule in a message that begins with the field's name.
fn rule_of(refusal: &Refusal, name: &str) -> String {
    refusal.message.strip_prefix(name).unwrap_or(&refusal.message).to_owned()
}

/// Checks what is shown with a member.
///
/// # Errors
/// Too deep or too large: the rule.
pub fn parse_info(info: &AttributeMap) -> Result<Attributes, String> {
    if too_deep(info) {
        return Err(format!("must not nest deeper than {MAX_DEPTH} levels"));
    }
    let info = Attributes::from_map(info);
    if info.bytes() > MAX_INFO_BYTES {
        return Err(format!(
            "must be at most {MAX_INFO_BYTES} bytes of JSON, and is {}",
            info.bytes()
        ));
    }
    Ok(info)
}

/// Seconds since 1970, also in parts (RFC 7519, section 2), kept in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumericDate(u64);

impl NumericDate {
    /// The first whole second that is not before `unix_ms`.
    #[must_use]
    pub fn at_or_after(unix_ms: u64) -> Self {
        Self(unix_ms.div_ceil(1000).saturating_mul(1000))
    }

    /// The last whole second that is not behind `unix_ms`.
    #[must_use]
    pub fn at_or_before(unix_ms: u64) -> Self {
        Self(unix_ms / 1000 * 1000)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        self.0
    }

    /// What is before 1970 or beyond all time counts as just that: long past, never.
    fn read(claim: &str, date: &Value) -> Result<Self, Refusal> {
        let seconds = || date.as_f64().filter(|_| date.is_number());
        let parts = |seconds: f64| (seconds * 1000.0) as u64;
        let ms = date.as_u64().map(|whole| whole.saturating_mul(1000)).or(seconds().map(parts));
        ms.map(Self).ok_or_else(|| broken(claim, "must be a number of seconds since 1970"))
    }
}

impl Serialize for NumericDate {
    fn serialize<S: serde::Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        ser.serialize_u64(self.0 / 1000)
    }
}
