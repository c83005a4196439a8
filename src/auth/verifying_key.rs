//! Keys that tokens are verified with, each with the one algorithm that it is for.

use std::fmt;

use jsonwebtoken::crypto::rust_crypto;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;

use super::secret::Secret;
use crate::limits::{MIN_TOKEN_SECRET_BYTES, RSA_BYTES};

/// Bytes of an Ed25519 key.
const ED_BYTES: usize = 32;

/// A key, and its one algorithm.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl VerifyingKey {
    /// A shared secret, for HS256.
    ///
    /// # Errors
    /// Shorter than [`MIN_TOKEN_SECRET_BYTES`], or a PEM file: whoever takes a public key for a secret
    /// lets everyone sign.
    pub fn from_secret(secret: &Secret) -> Result<Self, String> {
        let bytes = secret.expose();
        if bytes.starts_with(b"-----BEGIN") {
            return Err("holds a key in PEM, not a secret: see --jwt-public-key-file".into());
        }
        if bytes.len() < MIN_TOKEN_SECRET_BYTES {
            return Err(format!("must hold at least {MIN_TOKEN_SECRET_BYTES} bytes"));
        }
        Ok(Self { kid: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(bytes) })
    }

    /// A public key in PEM (`PUBLIC KEY`, or `RSA PUBLIC KEY`): RSA is for RS256, P-256 for ES256
    /// and Ed25519 for EdDSA.
    ///
    /// # Errors
    /// No such key, or a private one.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(pem);
        if text.contains("PRIVATE KEY-----") {
            return Err("holds a private key; the broker needs the public one alone".into());
        }
        let public = ["-----BEGIN PUBLIC KEY-----", "-----BEGIN RSA PUBLIC KEY-----"];
        if !public.iter().any(|begin| text.contains(begin)) {
            return Err("must hold a public key in PEM".into());
        }
        let (algorithm, key) = if let Ok(key) = DecodingKey::from_ed_pem(pem) {
            (Algorithm::EdDSA, key)
        } else if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            (Algorithm::ES256, key)
        } else if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            (Algorithm::RS256, key)
        } else {
            return Err("must hold a public key of RSA, P-256 or Ed25519 in PEM".into());
        };
        Self { kid: None, algorithm, key }.sound()
    }

    /// The keys of a JWK set (RFC 7517, section 5) that tokens can be signed with. Others are left
    /// out, as the RFC asks, and what is wrong with them is told.
    ///
    /// # Errors
    /// No set, none that can be used, or two with the same `kid`.
    pub fn from_jwks(text: &[u8]) -> Result<(Box<[Self]>, Vec<String>), String> {
        /// The keys one by one, so that one that makes no sense does not spoil the others.
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        // What serde_json says of it might quote a secret.
        let set: Set =
            serde_json::from_slice(text).map_err(|_| r#"must hold {"keys":[…]} in JSON"#)?;
        let (mut keys, mut left_out): (Vec<Self>, _) = (Vec::new(), Vec::new());
        for (place, key) in set.keys.into_iter().enumerate() {
            match Self::from_jwk(key) {
                Ok(key) if key.kid.is_some() && keys.iter().any(|other| other.kid == key.kid) => {
                    return Err(format!("key {} has the \"kid\" of another", place + 1));
                }
                Ok(key) => keys.push(key),
                Err(why) => left_out.push(format!("key {} {why}", place + 1)),
            }
        }
        if keys.is_empty() {
            let why = left_out.first().map_or_else(String::new, |why| format!(": {why}"));
            return Err(format!("has no key that could verify a token{why}"));
        }
        Ok((keys.into(), left_out))
    }

    fn from_jwk(jwk: Value) -> Result<Self, String> {
        let unknown = "must be of RSA, P-256, Ed25519 or a secret";
        let jwk: Jwk = serde_json::from_value(jwk).map_err(|_| unknown)?;
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            _ => return Err(unknown.into()),
        };
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return Err("is not for signatures (\"use\")".into());
        }
        if jwk.common.key_algorithm.is_some_and(|given| given != algorithm.into()) {
            return Err(format!("is for another algorithm than {algorithm:?} (\"alg\")"));
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| "is damaged")?;
        Self { kid: jwk.common.key_id, algorithm, key }.sound()
    }

    /// Refuses a key that could never verify anything, or that is too short to trust.
    fn sound(self) -> Result<Self, String> {
        let fits = match (self.algorithm, self.key.kind()) {
            (Algorithm::HS256, DecodingKeyKind::SecretOrDer(bytes)) => {
                bytes.len() >= MIN_TOKEN_SECRET_BYTES
            }
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(bytes)) => bytes.len() == ED_BYTES,
            (Algorithm::RS256, DecodingKeyKind::SecretOrDer(der)) => {
                let components = &rust_crypto::DEFAULT_PROVIDER.key_utils;
                let key = (components.rsa_pub_components_from_public_key)(der);
                key.is_ok_and(|(n, _)| RSA_BYTES.contains(&n.len()))
            }
            (_, DecodingKeyKind::RsaModulusExponent { n, .. }) => RSA_BYTES.contains(&n.len()),
            _ => true,
        };
        // Whether the key makes sense shows when it is used. The signature is none, of course.
        if fits && jsonwebtoken::crypto::verify("", b"", &self.key, self.algorithm).is_ok() {
            return Ok(self);
        }
        Err(match self.algorithm {
            Algorithm::HS256 => {
                format!("must be a secret of at least {MIN_TOKEN_SECRET_BYTES} bytes")
            }
            Algorithm::RS256 => "must be an RSA key of 2048 to 4096 bits".into(),
            Algorithm::ES256 => "must be on the curve P-256".into(),
            _ => "must be an Ed25519 key".into(),
        })
    }

    /// The name by which tokens pick it.
    #[must_use]
    pub fn kid(&self) -> Option<&String> {
        self.kid.as_ref()
    }

    /// The one algorithm that verifies with it.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key as the library wants it.
    #[must_use]
    pub fn decoding(&self) -> &DecodingKey {
        &self.key
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
