//! Tokens for development: what `herenow token` prints. In production a back end makes them, for
//! whom it has let in.

use std::time::Duration;

use clap::Args;
use herenow_protocol::UserId;
use jsonwebtoken::{EncodingKey, Header};

use super::access::{Grants, Right};
use super::claims::{Claims, NumericDate, parse_info, parse_rights, parse_roles};
use super::flags::TokenFlags;
use super::key_source::{KeySource, named, source};
use super::pattern::{Pattern, Patterns};
use super::verifying_key::VerifyingKey;
use crate::duration;
use crate::limits::MAX_TOKEN_BYTES;
use crate::now::Now;

/// What the token is to say.
#[derive(Args, Clone, Debug)]
pub struct TokenOrder {
    /// Who it is for
    #[arg(long, value_name = "USER")]
    pub user: String,

    /// A role of that user, as team:blue; may be given several times
    #[arg(long, value_name = "ROLE")]
    pub role: Vec<String>,

    /// Channels by pattern, and rights there out of join, subscribe, list and count; may be given
    /// several times [default: everything everywhere]
    #[arg(long, value_name = "PATTERN=RIGHT,...")]
    pub channel: Vec<String>,

    /// Users by pattern whose status it may watch; may be given several times [default: all]
    #[arg(long, value_name = "PATTERN")]
    pub watch: Vec<String>,

    /// What is shown with the user, as a JSON object
    #[arg(long, value_name = "JSON")]
    pub info: Option<String>,

    /// How long it is valid
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::positive)]
    pub ttl: Duration,

    /// What signs it.
    #[command(flatten)]
    pub tokens: TokenFlags,
}

impl TokenOrder {
    /// The token, signed with the secret of HS256 tokens.
    ///
    /// # Errors
    /// One line that names the flag: no secret, a key that can't sign, or what no broker would
    /// accept.
    pub fn mint(&self, now: Now) -> Result<String, String> {
        let (secret, name) = match source(&self.tokens)? {
            Some(KeySource::Secret(secret, name)) => (secret, name),
            Some(KeySource::PublicKey(_)) => {
                return Err("--jwt-public-key-file: a public key can't sign; whoever has the \
                            private one makes the tokens"
                    .into());
            }
            Some(KeySource::Jwks(_)) => {
                return Err("--jwks-file: can't sign; see --jwt-secret-file".into());
            }
            Some(KeySource::Fetched) => {
                return Err("--jwks-url: can't sign; see --jwt-secret-file".into());
            }
            None => {
                return Err("--jwt-secret-file: needed to sign a token, or HERENOW_JWT_SECRET \
                            in the environment"
                    .into());
            }
        };
        let key = named(&name, VerifyingKey::from_secret(&secret))?;
        let claims = self.claims(now)?;
        let mut claims = serde_json::to_value(claims).map_err(|error| error.to_string())?;
        if let Some(claims) = claims.as_object_mut()
            && let Some(user) = claims.remove("sub")
        {
            claims.insert(self.tokens.jwt_user_claim.clone(), user);
        }
        let signer = EncodingKey::from_secret(secret.expose());
        let token = jsonwebtoken::encode(&Header::new(key.algorithm()), &claims, &signer)
            .map_err(|error| format!("can't sign: {error}"))?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(format!(
                "--channel, --watch, --role, --info: the token has {} bytes, and no broker takes \
                 more than {MAX_TOKEN_BYTES}",
                token.len()
            ));
        }
        Ok(token)
    }

    fn claims(&self, now: Now) -> Result<Claims, String> {
        let sub = UserId::parse(&self.user, "--user").map_err(|refusal| refusal.message)?;
        let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        let watch = (!self.watch.is_empty()).then(|| Patterns::parse(texts(&self.watch)));
        let channels = (!self.channel.is_empty()).then(|| self.grants());
        Ok(Claims {
            sub,
            expires: NumericDate::at_or_after(now.unix_ms.saturating_add(ttl_ms)),
            not_before: None,
            issued: Some(NumericDate::at_or_before(now.unix_ms)),
            audience: self.tokens.jwt_audience.clone(),
            issuer: self.tokens.jwt_issuer.clone(),
            info: named("--info", self.info.as_deref().map_or(Ok(Default::default()), info))?,
            roles: named("--role", parse_roles(texts(&self.role)))?,
            watch: named("--watch", watch.transpose())?,
            channels: named("--channel", channels.transpose())?,
        })
    }

    fn grants(&self) -> Result<Grants, String> {
        let grants = self.channel.iter().map(|grant| parse_grant(grant));
        Grants::new(grants.collect::<Result<_, String>>()?)
    }
}

/// Reads `room-*=join,subscribe`. A pattern may hold a `=`, a right may not.
fn parse_grant(grant: &str) -> Result<(Pattern, Box<[Right]>), String> {
    let (pattern, rights) = grant.rsplit_once('=').ok_or("write it as room-*=join,subscribe")?;
    Ok((Pattern::parse(pattern)?, parse_rights(rights.split(','))?))
}

fn texts(texts: &[String]) -> impl Iterator<Item = &str> {
    texts.iter().map(String::as_str)
}

fn info(text: &str) -> Result<herenow_protocol::Attributes, String> {
    parse_info(&serde_json::from_str(text).map_err(|_| "must be a JSON object")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Secret;
    use crate::limits::MAX_PATTERN_BYTES;

    /// A token with so many patterns of full length, and one of `last` bytes.
    fn mint(patterns: usize, last: usize) -> Result<String, String> {
        let pattern = |bytes: usize| "x".repeat(bytes);
        let mut watch = vec![pattern(MAX_PATTERN_BYTES); patterns];
        watch.push(pattern(last));
        let jwt_secret = Some(Secret::new(b"a secret of at least thirty-two bytes"));
        let order = TokenOrder {
            user: "ada".into(),
            role: Vec::new(),
            channel: Vec::new(),
            watch,
            info: None,
            ttl: Duration::from_secs(60),
            tokens: TokenFlags { jwt_secret, ..TokenFlags::default() },
        };
        order.mint(Now { mono_ms: 0, unix_ms: 1_700_000_000_000 })
    }

    #[test]
    fn a_token_is_as_long_as_a_broker_takes_and_no_longer() {
        // Base64 makes four bytes of three.
        let patterns = MAX_TOKEN_BYTES * 3 / 4 / (MAX_PATTERN_BYTES + 3) - 1;
        let mut lengths = (1..=MAX_PATTERN_BYTES).map(|last| mint(patterns, last));
        let mut longest = 0;
        let why = lengths.by_ref().find_map(|token| {
            longest = token.as_ref().map_or(longest, String::len);
            token.err()
        });
        assert_eq!(longest, MAX_TOKEN_BYTES);
        let rule = format!("has {} bytes", MAX_TOKEN_BYTES + 1);
        assert!(why.unwrap().contains(&rule));
        assert!(lengths.all(|token| token.is_err()));
    }
}
