//! Who sent a request's headers.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use herenow_protocol::{ErrorCode, Refusal, UserId};

use super::limit::Account;
use super::peer::Peer;
use crate::auth::{Auth, Credential};
use crate::now::Now;

/// What of the address may say who sent a request.
#[derive(Debug, Default)]
pub struct InAddress {
    /// As whom to look in open mode.
    pub user: Option<String>,
    /// A user's token, on paths that take it there.
    pub token: Option<String>,
}

/// Who sent these headers. What stands in the address ends up in logs and histories, so the header
/// counts first, and a key nowhere else.
///
/// # Errors
/// `unauthenticated`, `token_expired`; `invalid_field` for a bad name in open mode.
pub fn identify(
    auth: &Auth,
    headers: &HeaderMap,
    address: InAddress,
    now: Now,
) -> Result<Credential, Refusal> {
    let InAddress { user, token } = address;
    match (bearer(headers), token) {
        (Some(bearer), _) => match auth.keys().find(bearer) {
            Some(key) => Ok(Credential::Key(key.clone())),
            None => auth.verify_token(bearer, now).map(Credential::User),
        },
        (None, Some(token)) => auth.verify_token(&token, now).map(Credential::User),
        (None, None) if auth.is_open() => {
            user.map(|name| UserId::parse(&name, "user")).transpose().map(Credential::Anyone)
        }
        (None, None) => Err(Refusal::new(
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
        Credential::Anyone(_) | Credential::Broker => peer.account(),
    }
}

/// What `Authorization: Bearer` carries.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
