//! Who asks for something, and what it may do and see: one type for a WebSocket's user, a request's
//! user, a back end, and anybody in open mode.

use herenow_protocol::{Attributes, ChannelName, ErrorCode, Refusal, Role, Sight, UserId};

use super::access::{Access, Identity, Right};
use super::keys::{ApiKey, KeyRight};
use crate::chance::keyed_hash;
use crate::presence::Viewer;

/// Who asks, as whoever keeps it: a request, a stream of events.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A back end, by its API key.
    Key(ApiKey),
    /// A user, by its token.
    User(Identity),
    /// Somebody in open mode, who may do everything, and looks as the user that it names, if any.
    Anyone(Option<UserId>),
    /// The broker itself, which looks once for many clients and shows each what that one may see.
    Broker,
}

impl Credential {
    /// Who asks, for the time of one action.
    #[must_use]
    pub fn caller(&self) -> Caller<'_> {
        match self {
            Self::Key(key) => Caller::Key(key),
            Self::User(Identity { user, access }) => {
                Caller::User { user, access: access.as_deref() }
            }
            Self::Anyone(user) => Caller::Anyone(user.as_ref()),
            Self::Broker => Caller::Broker,
        }
    }
}

/// Who asks, for the time of one action.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    /// A back end.
    Key(&'a ApiKey),
    /// A user. Without `access` it may do everything, as in open mode.
    User {
        /// The user.
        user: &'a UserId,
        /// What its token grants.
        access: Option<&'a Access>,
    },
    /// Somebody in open mode, who may do everything, and looks as the user that it names, if any.
    Anyone(Option<&'a UserId>),
    /// The broker itself, which looks once for many clients. It reads, and does nothing else.
    Broker,
}

impl<'a> Caller<'a> {
    /// The caller, looking.
    #[must_use]
    pub fn viewer(self) -> Viewer<'a> {
        match self {
            Self::Key(_) | Self::Broker => Viewer::All,
            Self::User { user, access } => {
                Viewer::User { user, roles: access.map_or(&[], Access::roles) }
            }
            Self::Anyone(Some(user)) => Viewer::User { user, roles: &[] },
            Self::Anyone(None) => Viewer::Public,
        }
    }

    /// What the caller may see, as a text that says nothing of why: two with the same see the same
    /// members. Roles count as a set.
    #[must_use]
    pub fn sight(self) -> Sight {
        Sight::from_hash(match self.viewer() {
            Viewer::Public => keyed_hash("public"),
            Viewer::All => keyed_hash("all"),
            Viewer::User { user, roles } => {
                let mut roles: Vec<_> = roles.iter().map(Role::as_str).collect();
                roles.sort_unstable();
                roles.dedup();
                keyed_hash(("user", user.as_str(), roles))
            }
        })
    }

    /// Whether a replica that was built under `since` holds no more and no less than the caller may
    /// see. A client that does not know its sight names none: it may have had other roles, unless
    /// nobody has any.
    #[must_use]
    pub fn saw_as_now(self, since: Option<Sight>) -> bool {
        let nobody_has_roles = matches!(self, Self::Anyone(_) | Self::User { access: None, .. });
        since.map_or(nobody_has_roles, |sight| sight == self.sight())
    }

    /// The user that asks, if it is one.
    #[must_use]
    pub fn user(self) -> Option<&'a UserId> {
        match self {
            Self::Key(_) | Self::Broker => None,
            Self::User { user, .. } => Some(user),
            Self::Anyone(user) => user,
        }
    }

    /// Whether nobody vouches for who asks: it has neither token nor API key, as in open mode.
    #[must_use]
    pub fn is_guest(self) -> bool {
        matches!(self, Self::Anyone(_) | Self::User { access: None, .. })
    }

    /// Whether the caller is that user.
    #[must_use]
    pub fn is(self, user: &UserId) -> bool {
        self.user() == Some(user)
    }

    /// Whether the caller sees all of that user's status: the user itself, and back ends that act
    /// for it.
    #[must_use]
    pub fn sees_all_of(self, user: &UserId) -> bool {
        matches!(self, Self::Key(_) | Self::Broker) || self.is(user)
    }

    /// What the caller's token tells of its user; `None`: it has none.
    #[must_use]
    pub fn info(self) -> Option<&'a Attributes> {
        match self {
            Self::User { access: Some(access), .. } => Some(access.info()),
            _ => None,
        }
    }

    /// When the caller's token was signed, in milliseconds since 1970; `None`: it has none, or does
    /// not say.
    #[must_use]
    pub fn issued_unix_ms(self) -> Option<u64> {
        match self {
            Self::User { access: Some(access), .. } => access.issued_unix_ms(),
            _ => None,
        }
    }

    /// When the caller's token is no longer valid, in milliseconds since 1970; `None`: it has none.
    #[must_use]
    pub fn expires_unix_ms(self) -> Option<u64> {
        match self {
            Self::User { access: Some(access), .. } => Some(access.expires_unix_ms()),
            _ => None,
        }
    }

    /// Refuses to read what the caller has no right to.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_read(self, right: Right, channel: &ChannelName) -> Result<(), Refusal> {
        match self {
            Self::Key(key) => key.check(KeyRight::Read),
            Self::User { access: Some(access), .. } => access.check(right, channel),
            Self::User { .. } | Self::Anyone(_) | Self::Broker => Ok(()),
        }
    }

    /// Refuses to read the status of a user whom the caller has no right to watch.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_watch(self, user: &UserId, field: &'static str) -> Result<(), Refusal> {
        match self {
            Self::Key(key) => key.check(KeyRight::Read),
            Self::User { user: own, access: Some(access) } => access.check_watch(own, user, field),
            Self::User { .. } | Self::Anyone(_) | Self::Broker => Ok(()),
        }
    }

    /// Refuses to make `user` present in the channel.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_join(self, channel: &ChannelName, user: &UserId) -> Result<(), Refusal> {
        self.may_write(user)?;
        match self {
            Self::User { access: Some(access), .. } => access.check(Right::Join, channel),
            _ => Ok(()),
        }
    }

    /// Refuses to speak for another user.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_write(self, user: &UserId) -> Result<(), Refusal> {
        match self {
            Self::Key(key) => key.check(KeyRight::Write),
            Self::User { user: own, .. } if own != user => {
                let rule = "must be the token's own: only an API key may speak for others";
                Err(Refusal::field(ErrorCode::Forbidden, "user", rule))
            }
            Self::User { .. } | Self::Anyone(_) => Ok(()),
            Self::Broker => Err(only_reads()),
        }
    }

    /// Refuses users what is for back ends.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_operate(self, right: KeyRight) -> Result<(), Refusal> {
        match self {
            Self::Key(key) => key.check(right),
            Self::User { .. } => Err(Refusal::new(
                ErrorCode::Forbidden,
                "this is for back ends: it needs an API key, not a user's token",
            )),
            Self::Anyone(_) => Ok(()),
            Self::Broker => Err(only_reads()),
        }
    }
}

fn only_reads() -> Refusal {
    Refusal::new(ErrorCode::Forbidden, "the broker itself reads, and does nothing else")
}
