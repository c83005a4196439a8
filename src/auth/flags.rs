//! What an operator sets about identity. Secrets are in files or in the environment, never on a
//! command line, which everyone on the machine can read.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::secret::Secret;
use crate::duration;

/// The environment's name for the HS256 secret, as messages tell it.
pub const SECRET_VARIABLE: &str = "HERENOW_JWT_SECRET";

/// The environment's name for the text of API keys.
pub const API_KEYS_VARIABLE: &str = "HERENOW_API_KEYS";

/// Which tokens are good. Without any of the keys, everyone is whoever it says.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Identity")]
pub struct TokenFlags {
    /// File with the secret of HS256 tokens, at least 32 bytes; or the secret itself in the
    /// environment, as HERENOW_JWT_SECRET
    #[arg(long, env = "HERENOW_JWT_SECRET_FILE", hide_env = true, value_name = "FILE")]
    pub jwt_secret_file: Option<PathBuf>,

    /// The secret itself, which has no flag.
    #[arg(skip)]
    pub jwt_secret: Option<Secret>,

    /// File with the public key of RS256, ES256 or EdDSA tokens, in PEM
    #[arg(long, env = "HERENOW_JWT_PUBLIC_KEY_FILE", hide_env = true, value_name = "FILE")]
    pub jwt_public_key_file: Option<PathBuf>,

    /// File with a set of keys, as JWKS; a token's "kid" picks one
    #[arg(long, env = "HERENOW_JWKS_FILE", hide_env = true, value_name = "FILE")]
    pub jwks_file: Option<PathBuf>,

    /// Where that set is fetched, over HTTPS (or from this machine): at the start, again as its answer
    /// says how long it holds, and when a token names a "kid" that is not in it
    #[arg(long, env = "HERENOW_JWKS_URL", hide_env = true, value_name = "URL")]
    pub jwks_url: Option<String>,

    /// Accept only tokens that are for this audience ("aud")
    #[arg(long, env = "HERENOW_JWT_AUDIENCE", hide_env = true, value_name = "TEXT")]
    pub jwt_audience: Option<String>,

    /// Accept only tokens of this issuer ("iss")
    #[arg(long, env = "HERENOW_JWT_ISSUER", hide_env = true, value_name = "TEXT")]
    pub jwt_issuer: Option<String>,

    /// The claim that names a token's user, where it is not "sub"
    #[arg(long, env = "HERENOW_JWT_USER_CLAIM", hide_env = true, value_name = "CLAIM",
          default_value = "sub", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub jwt_user_claim: String,

    /// How far the clock of whoever signs tokens may be ahead of this machine's: a token is good so
    /// long before its "nbf" and "iat". Its end ("exp") is the same moment for all, and has none
    #[arg(long, env = "HERENOW_JWT_LEEWAY", hide_env = true, value_name = "TIME", default_value = "30s",
          value_parser = duration::any)]
    pub jwt_leeway: Duration,
}

impl Default for TokenFlags {
    fn default() -> Self {
        Self {
            jwt_secret_file: None,
            jwt_secret: None,
            jwt_public_key_file: None,
            jwks_file: None,
            jwks_url: None,
            jwt_audience: None,
            jwt_issuer: None,
            jwt_user_claim: "sub".to_owned(),
            jwt_leeway: Duration::from_secs(30),
        }
    }
}

impl TokenFlags {
    /// Takes what has no flag from the environment, in which `find` looks a variable up. Only the
    /// binary does: a broker in a program is as its program says.
    pub fn take_secrets(&mut self, find: impl Fn(&str) -> Option<Secret>) {
        self.jwt_secret = find(SECRET_VARIABLE);
    }

    /// Whether tokens are asked for at all.
    #[must_use]
    pub fn any_key(&self) -> bool {
        self.jwt_secret_file.is_some()
            || self.jwt_secret.is_some()
            || self.jwt_public_key_file.is_some()
            || self.jwks_file.is_some()
            || self.jwks_url.is_some()
    }
}

/// Who may use the broker.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Identity")]
pub struct IdentityFlags {
    /// Which tokens are good.
    #[command(flatten)]
    pub tokens: TokenFlags,

    /// File with the keys of back ends, in TOML: `[[key]]` with name, secret and rights out of
    /// "read", "write" and "kick"; or the same text in the environment, as HERENOW_API_KEYS
    #[arg(long, env = "HERENOW_API_KEYS_FILE", hide_env = true, value_name = "FILE")]
    pub api_keys_file: Option<PathBuf>,

    /// The text itself, which has no flag.
    #[arg(skip)]
    pub api_keys: Option<Secret>,

    /// Origin of web pages that may use the broker, beside its own, as `https://example.com`,
    /// `https://*.example.com` (any first part), `http://localhost:*` (any port), `file://` or `null`
    /// (pages without a host); may be given several times (in the environment: separated by commas)
    #[arg(
        long,
        env = "HERENOW_ALLOW_ORIGIN",
        hide_env = true,
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub allow_origin: Vec<String>,

    /// Where people reach the broker, as `https://presence.example.com`: without tokens it answers
    /// under no other name than this and those of the machine itself; may be given several times (in
    /// the environment: separated by commas)
    #[arg(
        long,
        env = "HERENOW_PUBLIC_URL",
        hide_env = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    pub public_url: Vec<String>,
}

impl IdentityFlags {
    /// Takes what has no flag from the environment, as [`TokenFlags::take_secrets`] does.
    pub fn take_secrets(&mut self, find: impl Fn(&str) -> Option<Secret>) {
        self.tokens.take_secrets(&find);
        self.api_keys = find(API_KEYS_VARIABLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_is_taken_from_its_own_variable() {
        let mut flags = IdentityFlags::default();
        flags.take_secrets(|variable| Some(Secret::new(variable.as_bytes())));
        let taken = [&flags.tokens.jwt_secret, &flags.api_keys];
        let taken = taken.map(|secret| secret.as_ref().unwrap().expose());
        assert_eq!(taken, [&b"HERENOW_JWT_SECRET"[..], b"HERENOW_API_KEYS"]);
        flags.take_secrets(|_| None);
        assert_eq!((flags.tokens.jwt_secret, flags.api_keys), (None, None));
    }
}
