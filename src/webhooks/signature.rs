//! What Standard Webhooks says of secrets and signatures: HMAC-SHA256 over the id, the time and the
//! body, so that nobody else can have written it, and nobody can send it again much later.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use hyper::HeaderMap;
use hyper::header::HeaderName;
use sha2::Sha256;

use crate::auth::Secret;
use crate::limits::{WEBHOOK_SECRET_BYTES, WEBHOOK_TOLERANCE};

/// The same for each time that a batch is sent, and for no other batch.
pub const ID: HeaderName = HeaderName::from_static("webhook-id");

/// When it was sent, in seconds since 1970.
pub const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");

/// The signatures of all that, one for each secret, with spaces between them.
pub const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// What a signature begins with.
const VERSION: &str = "v1,";

/// What a webhook and its receiver know, and nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct HookSecret(Secret);

impl HookSecret {
    /// A secret as people copy it: `whsec_` and base64.
    ///
    /// # Errors
    /// The rule that it breaks, to continue a sentence that begins with a name; never the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (min, max) = (WEBHOOK_SECRET_BYTES.start(), WEBHOOK_SECRET_BYTES.end());
        let rule = || format!("must be {PREFIX} and {min} to {max} bytes in base64");
        let coded = text.strip_prefix(PREFIX).ok_or_else(rule)?;
        let bytes = STANDARD.decode(coded).map_err(|_| rule())?;
        if !WEBHOOK_SECRET_BYTES.contains(&bytes.len()) {
            return Err(rule());
        }
        Ok(Self(Secret::new(&bytes)))
    }

    /// The signature of a body that is sent under this id at this time.
    #[must_use]
    pub fn sign(&self, id: &str, unix_s: u64, body: &[u8]) -> String {
        format!("{VERSION}{}", STANDARD.encode(self.mac(id, unix_s, body).finalize().into_bytes()))
    }

    fn mac(&self, id: &str, unix_s: u64, body: &[u8]) -> Hmac<Sha256> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose()) else {
            unreachable!("HMAC takes a key of any length")
        };
        mac.update(format!("{id}.{unix_s}.").as_bytes());
        mac.update(body);
        mac
    }

    /// Whether one of `signatures` is that of the body. Takes as long, whatever is wrong.
    fn has_signed(&self, signatures: &str, id: &str, unix_s: u64, body: &[u8]) -> bool {
        let given = signatures.split(' ').filter_map(|one| one.strip_prefix(VERSION));
        let mac = self.mac(id, unix_s, body);
        let mut given = given.filter_map(|one| STANDARD.decode(one).ok());
        given.any(|bytes| mac.clone().verify_slice(&bytes).is_ok())
    }

    /// Verifies a request that came at `now_unix_s`.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now_unix_s: u64) -> Result<(), String> {
        let text = |name: &HeaderName| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.ok_or_else(|| format!("there is no {name}"))
        };
        let (id, signatures) = (text(&ID)?, text(&SIGNATURE)?);
        let unix_s: u64 = text(&TIMESTAMP)?
            .parse()
            .map_err(|_| format!("{TIMESTAMP} must be seconds since 1970"))?;
        if unix_s.abs_diff(now_unix_s) > WEBHOOK_TOLERANCE.as_secs() {
            return Err(format!("{TIMESTAMP} is too far from this machine's clock"));
        }
        if self.has_signed(signatures, id, unix_s, body) {
            return Ok(());
        }
        Err(format!("{SIGNATURE} is none by this secret"))
    }
}

impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn headers(fields: &[(&HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| ((*name).clone(), value.parse().unwrap())).collect()
    }

    /// The example of the specification's own libraries.
    #[test]
    fn signs_as_the_specification_shows() {
        let secret = HookSecret::parse(SECRET).unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn only_what_was_signed_is_taken_and_not_for_long() {
        let (secret, body) = (HookSecret::parse(SECRET).unwrap(), &b"{}"[..]);
        let signed = secret.sign("msg_1", 1_000, body);
        let both = format!("v1,AAAA v2,x {signed}");
        let good = headers(&[(&ID, "msg_1"), (&TIMESTAMP, "1000"), (&SIGNATURE, &both)]);
        for now in [700, 1_000, 1_300] {
            assert_eq!(secret.verify(&good, body, now), Ok(()), "{now}");
        }
        for now in [699, 1_301] {
            assert!(secret.verify(&good, body, now).unwrap_err().contains("clock"), "{now}");
        }
        assert!(secret.verify(&good, b"{ }", 1_000).unwrap_err().contains("this secret"));
        let other = HookSecret::parse(&format!("whsec_{}", STANDARD.encode([7; 24]))).unwrap();
        assert!(other.verify(&good, body, 1_000).is_err());
        for (name, value) in [(&ID, "msg_2"), (&TIMESTAMP, "1001"), (&SIGNATURE, "v1,")] {
            let mut wrong = good.clone();
            wrong.insert(name, value.parse().unwrap());
            assert!(secret.verify(&wrong, body, 1_000).is_err(), "{name}");
            wrong.remove(name);
            let why = secret.verify(&wrong, body, 1_000).unwrap_err();
            assert_eq!(why, format!("there is no {name}"));
        }
    }

    #[test]
    fn a_secret_is_as_long_as_it_must_be_and_is_never_shown() {
        for bytes in [24, 64] {
            let text = format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
            assert_eq!(format!("{:?}", HookSecret::parse(&text).unwrap()), "[secret]");
        }
        let short = format!("whsec_{}", STANDARD.encode([1; 23]));
        let long = format!("whsec_{}", STANDARD.encode([1; 65]));
        for bad in ["", "tellnobody", "whsec_", "whsec_tell nobody", &short, &long, &SECRET[6..]] {
            let why = HookSecret::parse(bad).unwrap_err();
            assert!(why.starts_with("must be whsec_") && !why.contains("tell"), "{bad}: {why}");
        }
    }
}
