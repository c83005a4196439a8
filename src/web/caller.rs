//! Who asks, and what it may do and see. The same rights as over WebSocket, and those of API keys.

use herenow_protocol::{Attributes, ChannelName, ErrorCode, Refusal, UserId};

use crate::auth::{ApiKey, Identity, KeyRight, Right, viewer};
use crate::presence::Viewer;

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
