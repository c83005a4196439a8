//! Who sent a request's headers.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use herenow_protocol::{ErrorCode, Refusal, UserId};

use super::caller::Caller;
use super::limit::Account;
use super::peer::Peer;
use crate::auth::Auth;
use crate::presence::Now;

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
) -> Result<Caller, Refusal> {
    match bearer(headers) {
        Some(bearer) => match auth.keys().find(bearer) {
            Some(key) => Ok(Caller::Key(key.clone())),
            None => auth.verify_token(bearer, now).map(Caller::User),
        },
        None if auth.is_open() => {
            user.map(|name| UserId::parse(name, "user")).transpose().map(Caller::Anyone)
        }
        None => Err(Refusal::new(
            ErrorCode::Unauthenticated,
            "a token or an API key is required, as Authorization: Bearer",
        )),
    }
}

/// The account that a request of this caller is charged to.
#[must_use]
pub fn account(caller: &Caller, peer: Peer) -> Account {
    match caller {
        Caller::Key(key) => Account::Key(key.name().into()),
        Caller::User(identity) => Account::User(identity.user.clone()),
        Caller::Anyone(_) => peer.account(),
    }
}

/// What `Authorization: Bearer` carries.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
