//! What the flags of identity come to: the keys of tokens, the API keys, the origins of pages.

use std::sync::Arc;

use herenow_protocol::{Refusal, UserId};
use parking_lot::RwLock;

use super::access::Identity;
use super::caller::Caller;
use super::claims::refused;
use super::fetched::{FetchedKeys, is_lacking};
use super::flags::{API_KEYS_VARIABLE, IdentityFlags, TokenFlags};
use super::key_source::{KeySource, named, read, source};
use super::keys::ApiKeys;
use super::origin::Origins;
use super::token::{Keys, Verifier};
use super::verifying_key::VerifyingKey;
use crate::now::Now;

/// Who may use the broker, and for what.
#[derive(Debug)]
pub struct Auth {
    verifier: Option<Verifier>,
    keys: RwLock<Arc<ApiKeys>>,
    origins: Origins,
    /// What it was made of, to be read again.
    flags: IdentityFlags,
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
            keys: RwLock::new(Arc::new(api_keys(flags)?)),
            origins: Origins::new(&flags.allow_origin, &flags.public_url)?,
            flags: flags.clone(),
        })
    }

    /// Reads the files with keys again: those of tokens, and those of back ends. What can't be used
    /// changes nothing. Who is connected by a key that is gone stays until its token ends.
    ///
    /// # Errors
    /// One line for each file that can't be used, which names the flag. Keys that are fetched are asked
    /// for, and come later.
    pub fn read_again(&self) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        if let Some(fetched) = self.fetched() {
            fetched.want();
        } else if let Some(verifier) = &self.verifier {
            match keys(&self.flags.tokens) {
                Ok(Some(keys)) => verifier.replace_keys(keys),
                Ok(None) => {}
                Err(why) => wrong.push(why),
            }
        }
        match api_keys(&self.flags) {
            Ok(keys) => *self.keys.write() = Arc::new(keys),
            Err(why) => wrong.push(why),
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Between those who need keys and whoever fetches them, and from where; `None`: they are not
    /// fetched.
    #[must_use]
    pub fn fetching(&self) -> Option<(&str, Arc<FetchedKeys>)> {
        let url = self.flags.tokens.jwks_url.as_deref()?;
        Some((url, Arc::clone(self.fetched()?)))
    }

    fn fetched(&self) -> Option<&Arc<FetchedKeys>> {
        self.verifier.as_ref()?.fetched()
    }

    /// Takes keys that were fetched. What is wrong with some of them is told, and those are left out.
    ///
    /// # Errors
    /// What is wrong with all of them; the last good ones stay.
    pub fn take_fetched(&self, text: &[u8], now: Now) -> Result<Vec<String>, String> {
        let (keys, left_out) = VerifyingKey::from_jwks(text)?;
        if let Some(verifier) = &self.verifier
            && let Some(fetched) = verifier.fetched()
        {
            verifier.replace_keys(Keys::Set(keys));
            fetched.came(now.mono_ms);
        }
        Ok(left_out)
    }

    /// Whether keys are fetched, and none ever came: nobody can be let in.
    #[must_use]
    pub fn waits_for_keys(&self) -> bool {
        self.fetched().is_some_and(|fetched| fetched.came_ms().is_none())
    }

    /// Waits for fresh keys, if a token was refused for want of its key. Whether to verify it again.
    pub async fn waited_for_key(&self, refusal: &Refusal) -> bool {
        match self.fetched() {
            Some(fetched) if is_lacking(refusal) => {
                fetched.wait().await;
                true
            }
            _ => false,
        }
    }

    /// Whether no client needs a token: each is then the user that it says it is.
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
        let none = || refused("can't be verified: this broker has no key for tokens");
        self.verifier.as_ref().ok_or_else(none)?.verify(token, now)
    }

    /// Signs the user out: from here on its tokens from before the second of `at_unix_ms` are
    /// refused. Without tokens there is nothing to refuse. Whether some are refused that were not.
    pub fn sign_out(&self, user: &UserId, at_unix_ms: u64, now: Now) -> bool {
        let sign_out = |verifier: &Verifier| verifier.sign_out(user, at_unix_ms, now);
        self.verifier.as_ref().is_some_and(sign_out)
    }

    /// The first `most` behind `after` who were signed out, by when.
    #[must_use]
    pub fn signed_out_after(
        &self,
        after: Option<&(u64, UserId)>,
        most: usize,
    ) -> Vec<(u64, UserId)> {
        let some = |verifier: &Verifier| verifier.signed_out_after(after, most);
        self.verifier.as_ref().map(some).unwrap_or_default()
    }

    /// Refuses a user whose token was good when it came, and is not any longer, since the user was
    /// signed out.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub fn check_signed_in(&self, caller: Caller<'_>, now: Now) -> Result<(), Refusal> {
        match (&self.verifier, caller) {
            (Some(verifier), Caller::User { user, access: Some(access) }) => {
                verifier.check_signed_in(user, access, now)
            }
            _ => Ok(()),
        }
    }

    /// Refuses a request for another host than the broker's own, where no client needs a token: a
    /// page of any name that leads here would be of the broker's own origin.
    ///
    /// # Errors
    /// `forbidden`: names the rule and the flag.
    pub fn check_host(&self, host: &str) -> Result<(), Refusal> {
        if self.is_open() { self.origins.check_host(host) } else { Ok(()) }
    }

    /// The API keys of back ends.
    #[must_use]
    pub fn keys(&self) -> Arc<ApiKeys> {
        Arc::clone(&self.keys.read())
    }

    /// Which web pages may use the broker.
    #[must_use]
    pub fn origins(&self) -> &Origins {
        &self.origins
    }
}

fn verifier(flags: &TokenFlags) -> Result<Option<Verifier>, String> {
    let Some(keys) = keys(flags)? else {
        let named = flags.jwt_user_claim != "sub";
        let checks = [
            (flags.jwt_audience.is_some(), "--jwt-audience"),
            (flags.jwt_issuer.is_some(), "--jwt-issuer"),
            (named, "--jwt-user-claim"),
        ];
        return match checks.iter().find(|(check, _)| *check) {
            Some((_, flag)) => Err(format!(
                "{flag}: nothing to check without a key for tokens, as from --jwt-secret-file"
            )),
            None => Ok(None),
        };
    };
    let (audience, issuer) = (flags.jwt_audience.clone(), flags.jwt_issuer.clone());
    let fetched = flags.jwks_url.is_some().then(|| Arc::new(FetchedKeys::new()));
    let verifier = Verifier::new(keys, audience, issuer, flags.jwt_leeway);
    Ok(Some(verifier.with_user_in(&flags.jwt_user_claim).with_fetched(fetched)))
}

/// The keys of tokens, if there are any.
fn keys(flags: &TokenFlags) -> Result<Option<Keys>, String> {
    let Some(source) = source(flags)? else { return Ok(None) };
    Ok(Some(match source {
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
        // They come once the broker runs.
        KeySource::Fetched => Keys::Set(Box::default()),
    }))
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
