//! Who asks, and what it may do and see. The same rights as over WebSocket, and those of API keys.

use std::net::Ipv6Addr;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use herenow_protocol::{Attributes, ChannelName, ErrorCode, Refusal, UserId};

use super::limit::Account;
use crate::auth::{ApiKey, Auth, Identity, KeyRight, Right, viewer};
use crate::now::Now;
use crate::presence::Viewer;

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

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A back end.
    Key(ApiKey),
    /// A user, by its token.
    User(Identity),
    /// Somebody in open mode, who may do everything, and looks as the user that it names, if any.
    Anyone(Option<UserId>),
}

impl Caller {
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
    ) -> Result<Self, Refusal> {
        match bearer(headers) {
            Some(bearer) => match auth.keys().find(bearer) {
                Some(key) => Ok(Self::Key(key.clone())),
                None => auth.verify_token(bearer, now).map(Self::User),
            },
            None if auth.is_open() => {
                user.map(|name| UserId::parse(name, "user")).transpose().map(Self::Anyone)
            }
            None => Err(Refusal::new(
                ErrorCode::Unauthenticated,
                "a token or an API key is required, as Authorization: Bearer",
            )),
        }
    }

    /// Whose allowance a request of this caller is charged to.
    #[must_use]
    pub fn account(&self, peer: Peer) -> Account {
        match self {
            Self::Key(key) => Account::Key(key.name().into()),
            Self::User(identity) => Account::User(identity.user.clone()),
            Self::Anyone(_) => peer.account(),
        }
    }

    /// The caller, looking.
    #[must_use]
    pub fn viewer(&self) -> Viewer<'_> {
        match self {
            Self::Key(_) => Viewer::All,
            Self::User(Identity { user, access }) => viewer(user, access.as_deref()),
            Self::Anyone(Some(user)) => viewer(user, None),
            Self::Anyone(None) => Viewer::Public,
        }
    }

    /// Whether the caller is that user.
    #[must_use]
    pub fn is(&self, user: &UserId) -> bool {
        match self {
            Self::Key(_) => false,
            Self::User(identity) => identity.user == *user,
            Self::Anyone(caller) => caller.as_ref() == Some(user),
        }
    }

    /// What the caller's token tells of its user; `None`: it has none.
    #[must_use]
    pub fn info(&self) -> Option<Attributes> {
        match self {
            Self::User(Identity { access: Some(access), .. }) => Some(access.info().clone()),
            _ => None,
        }
    }

    /// Refuses to read what the caller has no right to.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_read(&self, right: Right, channel: &ChannelName) -> Result<(), Refusal> {
        match self {
            Self::Key(key) => key.check(KeyRight::Read),
            Self::User(Identity { access: Some(access), .. }) => access.check(right, channel),
            Self::User(_) | Self::Anyone(_) => Ok(()),
        }
    }

    /// Refuses to read the status of a user whom the caller has no right to watch.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_watch(&self, user: &UserId, field: &'static str) -> Result<(), Refusal> {
        match self {
            Self::Key(key) => key.check(KeyRight::Read),
            Self::User(Identity { user: own, access: Some(access) }) => {
                access.check_watch(own, user, field)
            }
            Self::User(_) | Self::Anyone(_) => Ok(()),
        }
    }

    /// Refuses to make `user` present in the channel.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_join(&self, channel: &ChannelName, user: &UserId) -> Result<(), Refusal> {
        self.may_write(user)?;
        match self {
            Self::User(Identity { access: Some(access), .. }) => access.check(Right::Join, channel),
            _ => Ok(()),
        }
    }

    /// Refuses to speak for another user.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_write(&self, user: &UserId) -> Result<(), Refusal> {
        match self {
            Self::Key(key) => key.check(KeyRight::Write),
            Self::User(identity) if identity.user != *user => {
                let rule = "must be the token's own: only an API key may speak for others";
                Err(Refusal::field(ErrorCode::Forbidden, "user", rule))
            }
            Self::User(_) | Self::Anyone(_) => Ok(()),
        }
    }

    /// Refuses users what is for back ends.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_operate(&self, right: KeyRight) -> Result<(), Refusal> {
        match self {
            Self::Key(key) => key.check(right),
            Self::User(_) => Err(Refusal::new(
                ErrorCode::Forbidden,
                "this is for back ends: it needs an API key, not a user's token",
            )),
            Self::Anyone(_) => Ok(()),
        }
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
