//! Who sent a request's headers.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use herenow_protocol::{ErrorCode, Refusal, UserId};

use super::limit::Account;
use super::peer::Peer;
use crate::auth::{Auth, Credential};
use crate::now::Now;

/// Who sent these headers. A token in the address would end up in logs and histories, so only the
/// header counts; `user` is what the query says, for open mode.
///
/// # Errors
/// `unauthenticated`, `token_expired`; `invalid_field` for a bad name in open mode.
pub fn identify(
    auth: &Auth,
    headers: &HeaderMap,
    user: Option<&str>,
    now: Now,
) -> Result<Credential, Refusal> {
    match bearer(headers) {
        Some(bearer) => match auth.keys().find(bearer) {
            Some(key) => Ok(Credential::Key(key.clone())),
            None => auth.verify_token(bearer, now).map(Credential::User),
        },
        None if auth.is_open() => {
            user.map(|name| UserId::parse(name, "user")).transpose().map(Credential::Anyone)
        }
        None => Err(Refusal::new(
            ErrorCode::Unauthenticated,
            "a token or an API key is required, as Authorization: Bearer",
        )),
    }
}

/// The account that a request of this caller is charged to.
#[must_use]
pub fn account(credential: &Credential, peer: Peer) -> Account {
    match credential {
        Credential::Key(key) => Account::Key(key.name().into()),
        Credential::User(identity) => Account::User(identity.user.clone()),
        Credential::Anyone(_) => peer.account(),
    }
}

/// What `Authorization: Bearer` carries.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
