//! What a token grants.

use std::sync::Arc;

use herenow_protocol::{Attributes, ChannelName, Refusal, Role, UserId};

/// What may be done in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Be present.
    Join,
    /// Observe.
    Subscribe,
    /// List.
    List,
    /// Count.
    Count,
}

/// What a token grants.
#[derive(Debug)]
pub struct Access;

impl Access {
    /// Checks a right.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn check(&self, _: Right, _: &ChannelName) -> Result<(), Refusal> {
        Ok(())
    }

    /// Checks watching.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn check_watch(&self, _: &UserId, _: &UserId) -> Result<(), Refusal> {
        Ok(())
    }

    /// Roles.
    pub fn roles(&self) -> &[Role] {
        &[]
    }

    /// Info.
    pub fn info(&self) -> &Attributes {
        &Attributes::EMPTY
    }

    /// Expiry.
    pub fn expires_unix_ms(&self) -> u64 {
        u64::MAX
    }
}

/// Who.
#[derive(Clone, Debug)]
pub struct Identity {
    /// User.
    pub user: UserId,
    /// Access.
    pub access: Option<Arc<Access>>,
}
