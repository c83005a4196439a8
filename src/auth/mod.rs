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

pub mod access;
pub mod caller;
pub mod claims;
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
pub use flags::{IdentityFlags, TokenFlags};
pub use keys::{ApiKey, ApiKeys, KeyRight};
pub use origin::Origins;
pub use pattern::{Pattern, Patterns};
pub use secret::Secret;
pub use token::Verifier;

use herenow_protocol::Refusal;

use crate::now::Now;
use flags::API_KEYS_VARIABLE;
use key_source::{KeySource, named, read, source};
use token::Keys;
use verifying_key::VerifyingKey;

/// Who may use the broker, and for what.
#[derive(Debug)]
pub struct Auth {
    verifier: Option<Verifier>,
    keys: ApiKeys,
    origins: Origins,
}

impl Auth {
    /// What the operator set, with the files read.
    ///
    /// # Errors
    /// One line that names the flag: a file that can't be read or holds something else, two sources
    /// of one thing, a check of tokens without tokens.
    pub fn new(flags: &IdentityFlags) -> Result<Self, String> {
        Ok(Self {
            verifier: verifier(&flags.tokens)?,
            keys: api_keys(flags)?,
            origins: Origins::new(&flags.allow_origin)?,
        })
    }

    /// Whether everyone is whoever it says: no tokens.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.verifier.is_none()
    }

    /// Who a token is from, and what it grants.
    ///
    /// # Errors
    /// `token_expired` if all is well but its time; else `unauthenticated`, with the rule that it
    /// breaks. No message holds the token or a secret.
    pub fn verify_token(&self, token: &str, now: Now) -> Result<Identity, Refusal> {
        let none = || claims::refused("can't be verified: this broker has no key for tokens");
        self.verifier.as_ref().ok_or_else(none)?.verify(token, now)
    }

    /// The API keys of back ends.
    #[must_use]
    pub fn keys(&self) -> &ApiKeys {
        &self.keys
    }

    /// Which web pages may use the broker.
    #[must_use]
    pub fn origins(&self) -> &Origins {
        &self.origins
    }
}

fn verifier(flags: &TokenFlags) -> Result<Option<Verifier>, String> {
    let Some(source) = source(flags)? else {
        let checks = [(&flags.jwt_audience, "--jwt-audience"), (&flags.jwt_issuer, "--jwt-issuer")];
        return match checks.iter().find(|(check, _)| check.is_some()) {
            Some((_, flag)) => Err(format!(
                "{flag}: nothing to check without a key for tokens, as from --jwt-secret-file"
            )),
            None => Ok(None),
        };
    };
    let keys = match source {
        KeySource::Secret(secret, name) => {
            Keys::One(named(&name, VerifyingKey::from_secret(&secret))?)
        }
        KeySource::PublicKey(path) => {
            let (pem, name) = read("--jwt-public-key-file", path)?;
            Keys::One(named(&name, VerifyingKey::from_pem(&pem))?)
        }
        KeySource::Jwks(path) => {
            let (text, name) = read("--jwks-file", path)?;
            let (keys, left_out) = named(&name, VerifyingKey::from_jwks(&text))?;
            for why in left_out {
                tracing::warn!("{name}: left out: {why}");
            }
            Keys::Set(keys)
        }
    };
    Ok(Some(Verifier::new(keys, flags.jwt_audience.clone(), flags.jwt_issuer.clone())))
}

fn api_keys(flags: &IdentityFlags) -> Result<ApiKeys, String> {
    const FLAG: &str = "--api-keys-file";
    let (bytes, name) = match (&flags.api_keys_file, &flags.api_keys) {
        (None, None) => return Ok(ApiKeys::default()),
        (Some(_), Some(_)) => {
            return Err(format!("{FLAG} and {API_KEYS_VARIABLE}: only one can hold the keys"));
        }
        (Some(path), None) => read(FLAG, path)?,
        (None, Some(text)) => (text.expose().into(), API_KEYS_VARIABLE.into()),
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("{name}: is not UTF-8"))?;
    named(&name, ApiKeys::parse(text))
}

#[cfg(test)]
mod tests;
