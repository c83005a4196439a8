//! Who a client is, and what it may do.
//!
//! Knows no channel, no connection and no clock: a token and a moment go in, an [`Identity`] or a
//! refusal comes out.
//!
//! - [`flags`]: what an operator sets.
//! - [`secret`]: what must never be printed.
//! - `key_source`: where the keys of tokens come from.
//! - [`verifying_key`]: keys, each for one algorithm.
//! - [`token`]: a token's signature and times.
//! - [`claims`]: what it says.
//! - [`access`], [`pattern`]: what it grants.
//! - [`mint`]: tokens for development.
//! - [`keys`]: the API keys of back ends.
//! - [`origin`]: which web pages may use the broker.
//! - [`configured`]: all that the flags come to.
//! - [`caller`]: somebody who asks, over whichever wire.

pub mod access;
pub mod caller;
pub mod claims;
pub mod configured;
pub mod flags;
mod key_source;
pub mod keys;
pub mod mint;
pub mod origin;
pub mod pattern;
pub mod secret;
pub mod token;
pub mod verifying_key;

pub use access::{Access, Grants, Identity, Right, viewer};
pub use caller::{Caller, Credential};
pub use configured::Auth;
pub use flags::{IdentityFlags, TokenFlags};
pub use keys::{ApiKey, ApiKeys, KeyRight};
pub use origin::Origins;
pub use pattern::{Pattern, Patterns};
pub use secret::Secret;
pub use token::Verifier;

#[cfg(test)]
mod tests;
