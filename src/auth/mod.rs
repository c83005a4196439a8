//! Who a client is, and what it may do.

pub mod access;

pub use access::{Access, Identity, Right};

use herenow_protocol::{ErrorCode, Refusal};

use crate::presence::Now;

/// Stub.
#[derive(Debug, Default)]
pub struct Auth;

impl Auth {
    /// From the configuration.
    ///
    /// # Errors
    /// One line.
    pub fn from_config(_: &crate::Config) -> Result<Self, String> {
        Ok(Self)
    }

    /// Open.
    pub fn is_open(&self) -> bool {
        true
    }

    /// Verifies.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub fn verify_token(&self, _: &str, _: Now) -> Result<Identity, Refusal> {
        Err(Refusal::field(ErrorCode::Unauthenticated, "token", "is not known"))
    }
}

/// Stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRight {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Kick.
    Kick,
}

/// Stub.
#[derive(Clone, Debug)]
pub struct ApiKey;

impl ApiKey {
    /// Name.
    pub fn name(&self) -> &str {
        "stub"
    }

    /// Check.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn check(&self, _: KeyRight) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Stub.
#[derive(Debug, Default)]
pub struct Keys;

impl Keys {
    /// Find.
    pub fn find(&self, _: &str) -> Option<&ApiKey> {
        None
    }
}

/// Stub.
#[derive(Debug, Default)]
pub struct Origins;

impl Origins {
    /// Check.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn check(&self, _: Option<&str>, _: Option<&str>) -> Result<(), Refusal> {
        Ok(())
    }
}

impl Auth {
    /// Keys.
    pub fn keys(&self) -> &Keys {
        &Keys
    }

    /// Origins.
    pub fn origins(&self) -> &Origins {
        &Origins
    }
}
