//! Who a client is, and what it may do.
//!
//! Knows no channel, no connection and no clock: a token and a moment go in, an [`Identity`] or a
//! refusal comes out.
//!
//! In the order in which the files need each other:
//!
//! - [`secret`]: what must never be printed.
//! - [`flags`]: what an operator sets.
//! - `key_source`: where the keys of tokens come from.
//! - [`fetched`]: keys that come late: who waits for them.
//! - [`verifying_key`]: keys, each for one algorithm.
//! - [`pattern`]: which channels or users a claim is about.
//! - [`access`]: what a token grants.
//! - [`claims`]: what a token says.
//! - [`signed_out`]: users whose earlier tokens are good no longer.
//! - [`token`]: a token's signature, times and parties.
//! - [`keys`]: the API keys of back ends.
//! - [`caller`]: somebody who asks, over whichever wire.
//! - [`origin`]: which web pages may use the broker.
//! - [`mint`]: tokens for development.
//! - [`configured`]: all that the flags come to.

pub mod access;
pub mod caller;
pub mod claims;
pub mod configured;
pub mod fetched;
pub mod flags;
mod key_source;
pub mod keys;
pub mod mint;
pub mod origin;
pub mod pattern;
pub mod secret;
pub mod signed_out;
pub mod token;
pub mod verifying_key;

pub use access::{Access, Grants, Identity, Right};
pub use caller::{Caller, Credential};
pub use configured::Auth;
pub use fetched::FetchedKeys;
pub use flags::{IdentityFlags, TokenFlags};
pub(crate) use key_source::{named, read};
pub use keys::{ApiKey, ApiKeys, KeyRight};
pub use origin::Origins;
pub use pattern::{Pattern, Patterns};
pub use secret::Secret;
pub use token::Verifier;

#[cfg(test)]
mod tests;
