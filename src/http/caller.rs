//! Who asks, by the headers of a request, and whose allowance it is charged to.

use std::net::Ipv6Addr;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use herenow_protocol::{ErrorCode, Refusal, UserId};

use super::limit::Account;
use crate::auth::{Auth, Credential};
use crate::now::Now;

/// Where a request comes from; IPv4 addresses in their IPv6 form.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub Ipv6Addr);

impl Peer {
    /// Whose allowance it is charged to: of an IPv6 address its network of 64 bits, since whoever
    /// has one address there has them all.
    #[must_use]
    pub fn account(self) -> Account {
        let bits = self.0.to_bits();
        Account::Address(match self.0.to_ipv4_mapped() {
            Some(_) => self.0,
            None => Ipv6Addr::from_bits(bits >> 64 << 64),
        })
    }
}

/// Who sent these headers. A token in the address would end up in logs and histories, so only
/// the header counts; `user` is what the query says, for open mode.
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

/// Whose allowance a request of this caller is charged to.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_shares_one_allowance() {
        let account = |address: &str| Peer(address.parse().unwrap()).account();
        assert_eq!(account("2001:db8:1:2::1"), account("2001:db8:1:2:ffff::9"));
        assert_ne!(account("2001:db8:1:2::1"), account("2001:db8:1:3::1"));
        assert_ne!(account("::ffff:192.0.2.1"), account("::ffff:192.0.2.2"));
    }
}
