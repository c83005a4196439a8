//! Who a client is, and what it may do.
//!
//! Knows no channel, no connection and no clock: a token and a moment go in, an [`Identity`] or a
//! refusal comes out.
//!
//! - [`flags`]: what an operator sets.
//! - [`secret`]: what must never be printed.
//! - [`verifying_key`]: keys, each for one algorithm.
//! - [`token`]: a token's signature and times.
//! - [`claims`]: what it says.
//! - [`access`], [`pattern`]: what it grants.
//! - [`mint`]: tokens for development.
//! - [`keys`]: the API keys of back ends.
//! - [`origin`]: which web pages may use the broker.

pub mod access;
pub mod claims;
pub mod flags;
pub mod keys;
pub mod mint;
pub mod origin;
pub mod pattern;
pub mod secret;
pub mod token;
pub mod verifying_key;

pub use access::{Access, Grants, Identity, Right, viewer};
pub use flags::{IdentityFlags, TokenFlags};
pub use keys::{ApiKey, ApiKeys, KeyRight};
pub use origin::Origins;
pub use pattern::{Pattern, Patterns};
pub use secret::Secret;
pub use token::Verifier;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use herenow_protocol::Refusal;

use crate::limits::MAX_KEY_FILE_BYTES;
use crate::presence::Now;
use flags::{API_KEYS_VARIABLE, SECRET_VARIABLE};
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

/// Where the keys of tokens come from.
enum KeySource<'a> {
    Secret(Secret, String),
    PublicKey(&'a Path),
    Jwks(&'a Path),
}

/// The one source that is set, if any.
fn source(flags: &TokenFlags) -> Result<Option<KeySource<'_>>, String> {
    let file = flags.jwt_secret_file.as_deref();
    let sources = [
        (file.is_some(), "--jwt-secret-file"),
        (flags.jwt_secret.is_some(), SECRET_VARIABLE),
        (flags.jwt_public_key_file.is_some(), "--jwt-public-key-file"),
        (flags.jwks_file.is_some(), "--jwks-file"),
    ];
    let mut set = sources.iter().filter(|(set, _)| *set).map(|(_, name)| name);
    if let (Some(one), Some(other)) = (set.next(), set.next()) {
        return Err(format!("{one} and {other}: only one of them can say which tokens are good"));
    }
    Ok(if let Some(path) = file {
        let (bytes, name) = read("--jwt-secret-file", path)?;
        Some(KeySource::Secret(Secret::of_file(&bytes), name))
    } else if let Some(secret) = &flags.jwt_secret {
        Some(KeySource::Secret(secret.clone(), SECRET_VARIABLE.into()))
    } else if let Some(path) = &flags.jwt_public_key_file {
        Some(KeySource::PublicKey(path))
    } else {
        flags.jwks_file.as_deref().map(KeySource::Jwks)
    })
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

/// Says whose mistake it is.
fn named<T>(name: &str, result: Result<T, String>) -> Result<T, String> {
    result.map_err(|why| format!("{name}: {why}"))
}

/// A file that `flag` names: its bytes, and flag and path for what else is wrong with it.
fn read(flag: &str, path: &Path) -> Result<(Vec<u8>, String), String> {
    let name = format!("{flag} {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
    // Not more, or a device without end would never be read.
    file.take(MAX_KEY_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("{name}: {error}"))?;
    if bytes.len() as u64 > MAX_KEY_FILE_BYTES {
        return Err(format!("{name}: is larger than {MAX_KEY_FILE_BYTES} bytes: not a key"));
    }
    Ok((bytes, name))
}

#[cfg(test)]
mod tests;
