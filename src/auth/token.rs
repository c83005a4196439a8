//! Verifying tokens: JSON Web Tokens (RFC 7519) with a signature (RFC 7515).
//!
//! A key decides which algorithm verifies with it, and the token must name the same: a token that
//! could choose might choose `none`, or have a public key, which everyone knows, taken for the
//! secret of an HMAC (RFC 8725, section 2.1).

use std::sync::Arc;
use std::time::Duration;

use herenow_protocol::{ErrorCode, Refusal, UserId};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use parking_lot::RwLock;
use serde_json::{Map, Value};

use super::access::{Access, Identity};
use super::claims::{Claims, refused};
use super::fetched::{FetchedKeys, lacking};
use super::signed_out::SignedOut;
use super::verifying_key::VerifyingKey;
use crate::limits::MAX_TOKEN_BYTES;
use crate::now::Now;

/// Verifies tokens.
#[derive(Debug)]
pub struct Verifier {
    keys: RwLock<Arc<Keys>>,
    audience: Option<String>,
    issuer: Option<String>,
    /// The claim that names the user.
    user_claim: String,
    /// How far the clocks of those who sign may be ahead, in milliseconds.
    leeway_ms: u64,
    signed_out: SignedOut,
    /// Where the keys come from, if they are fetched.
    fetched: Option<Arc<FetchedKeys>>,
}

/// What there is to verify with.
#[derive(Debug)]
pub enum Keys {
    /// One key, whatever `kid` a token names.
    One(VerifyingKey),
    /// The keys of a set. A token's `kid` picks one; a token without `kid` is verified with the one
    /// key of its algorithm, if there is exactly one.
    Set(Box<[VerifyingKey]>),
}

impl Verifier {
    /// Verifies with `keys`. Where there is an `audience` or an `issuer`, a token must name it. It
    /// is good `leeway` before it begins.
    #[must_use]
    pub fn new(
        keys: Keys,
        audience: Option<String>,
        issuer: Option<String>,
        leeway: Duration,
    ) -> Self {
        let leeway_ms = leeway.as_millis() as u64;
        let (keys, signed_out) = (RwLock::new(Arc::new(keys)), SignedOut::default());
        Self {
            keys,
            audience,
            issuer,
            user_claim: "sub".to_owned(),
            leeway_ms,
            signed_out,
            fetched: None,
        }
    }

    /// The same, with keys that are fetched, and may be there later than a token that needs them.
    #[must_use]
    pub fn with_fetched(self, fetched: Option<Arc<FetchedKeys>>) -> Self {
        Self { fetched, ..self }
    }

    /// Where the keys come from, if they are fetched.
    #[must_use]
    pub fn fetched(&self) -> Option<&Arc<FetchedKeys>> {
        self.fetched.as_ref()
    }

    /// The same, with the user's name in that claim.
    #[must_use]
    pub fn with_user_in(self, user_claim: &str) -> Self {
        Self { user_claim: user_claim.to_owned(), ..self }
    }

    /// Verifies with `keys` from here on. Whom a token was good for stays until it ends.
    pub fn replace_keys(&self, keys: Keys) {
        *self.keys.write() = Arc::new(keys);
    }

    /// Signs the user out: from here on its tokens from before this second are refused.
    pub fn sign_out(&self, user: &UserId, at_unix_ms: u64, now: Now) -> bool {
        self.signed_out.add(user, at_unix_ms, now)
    }

    /// The first `most` behind `after` who were signed out, by when.
    #[must_use]
    pub fn signed_out_after(
        &self,
        after: Option<&(u64, UserId)>,
        most: usize,
    ) -> Vec<(u64, UserId)> {
        self.signed_out.after(after, most)
    }

    /// Refuses a user's token that was good and is not any longer, since the user was signed out.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub fn check_signed_in(&self, user: &UserId, access: &Access, now: Now) -> Result<(), Refusal> {
        if self.signed_out.covers(user, access.issued_unix_ms(), now) {
            return Err(refused(
                "was signed before its user was signed out (claim \"iat\"): fetch a fresh one",
            ));
        }
        Ok(())
    }

    /// Who a token is from, and what it grants.
    ///
    /// # Errors
    /// `token_expired` if all is well but its `exp`; else `unauthenticated`, with the rule that it
    /// breaks. Neither the token nor a key is ever part of a message.
    pub fn verify(&self, token: &str, now: Now) -> Result<Identity, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(refused(format_args!("must be at most {MAX_TOKEN_BYTES} bytes")));
        }
        // What the library can't read in a header is no JSON, or an algorithm that it does not
        // know: `none` among them.
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| refused("must be a JWT, signed with an algorithm that is known here"))?;
        if header.crit.is_some() {
            // RFC 7515, section 4.1.11: who does not understand an extension must refuse.
            return Err(refused("must not use extensions (header \"crit\")"));
        }
        let keys = Arc::clone(&self.keys.read());
        if let Some(fetched) = &self.fetched
            && keys.lacks(&header)
        {
            fetched.want();
            return Err(lacking(!keys.is_empty()));
        }
        let key = keys.pick(&header)?;
        let validation = self.validation(key.algorithm());
        let data = jsonwebtoken::decode::<Map<String, Value>>(token, key.decoding(), &validation)
            .map_err(|error| explain(error.kind()))?;
        check_parties(&data.claims, self.audience.is_some())?;
        let claims = Claims::read(&data.claims, &self.user_claim)?;
        check_begun(&claims, self.leeway_ms, now)?;
        let (user, access) = claims.into_access();
        self.check_signed_in(&user, &access, now)?;
        check_not_over(&access, now)?;
        Ok(Identity { user, access: Some(Arc::new(access)) })
    }

    /// What the library checks. Times are not among it: it would read the clock.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = self.audience.is_some();
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".into());
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        validation
    }
}

impl Keys {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Set(keys) if keys.is_empty())
    }

    /// Whether a set has no key that the header could mean.
    fn lacks(&self, header: &Header) -> bool {
        let Self::Set(keys) = self else { return false };
        let meant = |key: &VerifyingKey| match &header.kid {
            Some(kid) => key.kid() == Some(kid),
            None => key.algorithm() == header.alg,
        };
        !keys.iter().any(meant)
    }

    fn pick(&self, header: &Header) -> Result<&VerifyingKey, Refusal> {
        let key = match (self, &header.kid) {
            (Self::One(key), _) => key,
            (Self::Set(keys), Some(kid)) => keys
                .iter()
                .find(|key| key.kid() == Some(kid))
                .ok_or_else(|| refused("is signed by a key that is not known here"))?,
            (Self::Set(keys), None) => {
                let mut fitting = keys.iter().filter(|key| key.algorithm() == header.alg);
                match (fitting.next(), fitting.next()) {
                    (Some(key), None) => key,
                    _ => return Err(refused("must name its key (header \"kid\")")),
                }
            }
        };
        if key.algorithm() != header.alg {
            let algorithm = key.algorithm();
            return Err(refused(format_args!("must be signed with {algorithm:?}, as its key is")));
        }
        Ok(key)
    }
}

/// What the library found wrong.
fn explain(error: &ErrorKind) -> Refusal {
    match error {
        ErrorKind::InvalidSignature => refused("has a signature that is not of the key known here"),
        ErrorKind::InvalidAudience => refused("is for somebody else: claim \"aud\""),
        ErrorKind::InvalidIssuer => refused("is from somebody else: claim \"iss\""),
        ErrorKind::MissingRequiredClaim(claim) => {
            refused(format_args!("has no claim \"{claim}\" that is a string"))
        }
        ErrorKind::Base64(_) => refused("must be a JWT: three parts in base64url (RFC 7515)"),
        _ => refused("must hold one JSON object, with its claims of their types (sub: a string)"),
    }
}

/// What the library leaves: an issuer is one (RFC 7519, section 4.1.1), and a token that names an
/// audience is for nobody else (section 4.1.3), so not for a broker that was given no name.
fn check_parties(claims: &Map<String, Value>, is_named: bool) -> Result<(), Refusal> {
    if claims.get("iss").is_some_and(|issuer| !issuer.is_string()) {
        return Err(refused("must name its issuer by one string: claim \"iss\""));
    }
    if claims.contains_key("aud") && !is_named {
        return Err(refused(
            "is for somebody else: claim \"aud\", and this broker has no --jwt-audience",
        ));
    }
    Ok(())
}

fn check_begun(claims: &Claims, leeway_ms: u64, now: Now) -> Result<(), Refusal> {
    for (date, claim) in [(claims.not_before, "nbf"), (claims.issued, "iat")] {
        let ahead_ms = date.map_or(0, |date| date.unix_ms().saturating_sub(now.unix_ms));
        if ahead_ms > leeway_ms {
            let refusal = refused(format_args!(
                "is not valid yet: its claim \"{claim}\" is {} ahead of this broker's clock, \
                 where {} is let pass (--jwt-leeway)",
                roughly(ahead_ms),
                roughly(leeway_ms),
            ));
            let retry_after_ms = Some(ahead_ms - leeway_ms);
            return Err(Refusal { retry_after_ms, now: Some(now.unix_ms), ..refusal });
        }
    }
    Ok(())
}

/// Comes last, so that `token_expired` means that nothing else is wrong.
fn check_not_over(access: &Access, now: Now) -> Result<(), Refusal> {
    if access.expires_unix_ms() <= now.unix_ms {
        let refusal = Refusal::field(
            ErrorCode::TokenExpired,
            "token",
            format_args!(
                "is no longer valid: its time (claim \"exp\") ended {} ago by this broker's clock",
                roughly(now.unix_ms - access.expires_unix_ms()),
            ),
        );
        return Err(Refusal { now: Some(now.unix_ms), ..refusal });
    }
    Ok(())
}

/// A time for people, to the second.
fn roughly(ms: u64) -> impl std::fmt::Display {
    humantime::format_duration(Duration::from_secs(ms.div_ceil(1_000)))
}
