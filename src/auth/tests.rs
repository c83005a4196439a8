//! Tokens of every kind, good and bad, and the configuration they are verified with.

use std::path::PathBuf;
use std::time::Duration;

use herenow_protocol::{ChannelName, ErrorCode};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::token::Keys;
use super::verifying_key::VerifyingKey;
use super::*;
use crate::limits::MAX_TOKEN_BYTES;
use crate::now::Now;

const SECRET: &str = "a secret of at least thirty-two bytes";
const OTHER_SECRET: &str = "another secret of more than thirty-two bytes";

const RSA: &[u8] = include_bytes!("../../tests/keys/rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("../../tests/keys/rsa.pub.pem");
const EC: &[u8] = include_bytes!("../../tests/keys/ec.pem");
const EC_PUBLIC: &[u8] = include_bytes!("../../tests/keys/ec.pub.pem");
const ED: &[u8] = include_bytes!("../../tests/keys/ed.pem");
const ED_PUBLIC: &[u8] = include_bytes!("../../tests/keys/ed.pub.pem");

/// A second in 2033.
const NOW_S: u64 = 2_000_000_000;
const NOW: Now = Now { mono_ms: 12_345, unix_ms: NOW_S * 1000 };
const LEEWAY: Duration = Duration::from_secs(30);

fn signer(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 => EncodingKey::from_secret(SECRET.as_bytes()),
        Algorithm::ES256 => EncodingKey::from_ec_pem(EC).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(ED).unwrap(),
        _ => EncodingKey::from_rsa_pem(RSA).unwrap(),
    }
}

fn sign(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).unwrap()
}

/// A token of this algorithm's own key.
fn token_of(algorithm: Algorithm, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(Into::into), ..Header::new(algorithm) };
    sign(&header, &ada(), &signer(algorithm))
}

/// A token of [`SECRET`].
fn token(claims: &Value) -> String {
    sign(&Header::default(), claims, &signer(Algorithm::HS256))
}

/// The least that a token must say.
fn ada() -> Value {
    json!({ "sub": "ada", "exp": NOW_S + 3600 })
}

/// That, and more: null takes a claim out.
fn ada_with(more: Value) -> Value {
    let mut claims = ada();
    let Value::Object(more) = more else { panic!() };
    claims.as_object_mut().unwrap().extend(more);
    claims
}

fn of_secret() -> Verifier {
    lenient(LEEWAY)
}

fn lenient(leeway: Duration) -> Verifier {
    let key = VerifyingKey::from_secret(&Secret::new(SECRET.as_bytes())).unwrap();
    Verifier::new(Keys::One(key), None, None, leeway)
}

fn of_pem(pem: &[u8]) -> Verifier {
    Verifier::new(Keys::One(VerifyingKey::from_pem(pem).unwrap()), None, None, LEEWAY)
}

/// A refusal that names what is wrong in one line, and nothing secret.
#[track_caller]
fn refused_by(verifier: &Verifier, token: &str, code: ErrorCode, says: &str) {
    let refusal = verifier.verify(token, NOW).unwrap_err();
    assert_eq!((refusal.code, refusal.field), (code, Some("token")), "{}", refusal.message);
    let message = &refusal.message;
    assert!(message.starts_with("token") && message.contains(says), "{says:?}: {message}");
    for secret in token.split('.').filter(|part| part.len() > 8).chain([SECRET]) {
        assert!(!message.contains(secret), "{message}");
    }
}

#[track_caller]
fn refused(claims: &Value, says: &str) {
    refused_by(&of_secret(), &token(claims), ErrorCode::Unauthenticated, says);
}

#[track_caller]
fn accepted(claims: &Value) -> Access {
    let identity = of_secret().verify(&token(claims), NOW).unwrap();
    Access::clone(&identity.access.unwrap())
}

// Signatures and keys.

#[test]
fn each_kind_of_key_verifies_its_own_algorithm_alone() {
    use Algorithm::{ES256, EdDSA, HS256, HS384, PS256, RS256, RS384};
    let verifiers = [
        (HS256, of_secret()),
        (RS256, of_pem(RSA_PUBLIC)),
        (ES256, of_pem(EC_PUBLIC)),
        (EdDSA, of_pem(ED_PUBLIC)),
    ];
    for (algorithm, verifier) in &verifiers {
        for signed in [HS256, HS384, RS256, RS384, PS256, ES256, EdDSA] {
            let token = token_of(signed, None);
            if signed == *algorithm {
                assert_eq!(verifier.verify(&token, NOW).unwrap().user.as_str(), "ada");
            } else {
                let says = format!("must be signed with {algorithm:?}");
                refused_by(verifier, &token, ErrorCode::Unauthenticated, &says);
            }
        }
    }
}

/// The attack that a verifier falls for which lets the token choose (RFC 8725, section 2.1).
#[test]
fn a_public_key_is_no_secret() {
    for (pem, algorithm) in [(RSA_PUBLIC, "RS256"), (EC_PUBLIC, "ES256"), (ED_PUBLIC, "EdDSA")] {
        let forged = sign(&Header::default(), &ada(), &EncodingKey::from_secret(pem));
        let says = format!("must be signed with {algorithm}");
        refused_by(&of_pem(pem), &forged, ErrorCode::Unauthenticated, &says);
        let error = VerifyingKey::from_secret(&Secret::new(pem)).unwrap_err();
        assert!(error.contains("--jwt-public-key-file"), "{error}");
    }
}

#[test]
fn what_is_not_signed_or_wrongly_signed_is_refused() {
    let good = token(&ada());
    let refused =
        |token: &str, says| refused_by(&of_secret(), token, ErrorCode::Unauthenticated, says);
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let other = EncodingKey::from_secret(OTHER_SECRET.as_bytes());
    refused(&sign(&Header::default(), &ada(), &other), "has a signature");
    let theirs = token(&json!({ "sub": "eve", "exp": NOW_S + 3600 }));
    let theirs = theirs.split('.').nth(1).unwrap();
    refused(&format!("{header}.{theirs}.{signature}"), "has a signature");
    refused(&format!("{header}.{claims}."), "has a signature");
    refused(&format!("{header}.{claims}.!!"), "base64url");
    refused(&format!("{good}="), "base64url");
    // {"alg":"none"}, {"alg":"None","typ":"JWT"}
    for none in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIiwidHlwIjoiSldUIn0"] {
        for signature in ["", signature] {
            refused(&format!("{none}.{claims}.{signature}"), "must be a JWT, signed");
        }
    }
    for no_token in
        ["", ".", "..", "...", "a.b.c", "ada", "null", &format!("{header}.{claims}"), "\0"]
    {
        refused(no_token, "must be a JWT");
    }
}

#[test]
fn a_token_is_one_object_of_bounded_size() {
    let signed = |claims: &Value| token(claims);
    for no_object in [json!([]), json!("ada"), json!(null), json!(5)] {
        let token = signed(&no_object);
        refused_by(&of_secret(), &token, ErrorCode::Unauthenticated, "one JSON object");
    }
    let filled = |bytes| signed(&ada_with(json!({ "filler": "x".repeat(bytes) })));
    // A byte more is one or two characters more.
    let fits =
        (5_800..).take_while(|&bytes| filled(bytes).len() <= MAX_TOKEN_BYTES).last().unwrap();
    assert!(of_secret().verify(&filled(fits), NOW).is_ok());
    let large = filled(fits + 1);
    refused_by(&of_secret(), &large, ErrorCode::Unauthenticated, "8192 bytes");
}

#[test]
fn critical_extensions_are_not_understood() {
    let header = Header { crit: Some(vec!["b64".into()]), ..Header::default() };
    let token = sign(&header, &ada(), &signer(Algorithm::HS256));
    refused_by(&of_secret(), &token, ErrorCode::Unauthenticated, "crit");
}

// Sets of keys.

fn jwk(algorithm: Algorithm, kid: Option<&str>) -> Value {
    let mut jwk = Jwk::from_encoding_key(&signer(algorithm), algorithm).unwrap();
    jwk.common.key_id = kid.map(Into::into);
    serde_json::to_value(jwk).unwrap()
}

fn of_set(keys: &[Value]) -> Result<(Verifier, Vec<String>), String> {
    let set = json!({ "keys": keys }).to_string();
    let (keys, left_out) = VerifyingKey::from_jwks(set.as_bytes())?;
    Ok((Verifier::new(Keys::Set(keys), None, None, LEEWAY), left_out))
}

#[test]
fn a_set_s_key_is_picked_by_kid() {
    use Algorithm::{ES256, EdDSA, HS256, RS256};
    let all = [HS256, RS256, ES256, EdDSA];
    let kids = ["h", "r", "e", "d"];
    let keys: Vec<_> = all.iter().zip(kids).map(|(&key, kid)| jwk(key, Some(kid))).collect();
    let (verifier, left_out) = of_set(&keys).unwrap();
    assert_eq!(left_out, [""; 0]);
    for (signed, own) in all.into_iter().zip(kids) {
        for kid in kids {
            let token = token_of(signed, Some(kid));
            if kid == own {
                assert!(verifier.verify(&token, NOW).is_ok(), "{kid}");
            } else {
                refused_by(&verifier, &token, ErrorCode::Unauthenticated, "must be signed with");
            }
        }
        let unknown = token_of(signed, Some("x"));
        refused_by(&verifier, &unknown, ErrorCode::Unauthenticated, "a key that is not known");
        // There is but one of its algorithm.
        assert!(verifier.verify(&token_of(signed, None), NOW).is_ok());
    }
}

#[test]
fn without_kid_only_the_one_key_of_the_algorithm_counts() {
    use Algorithm::{ES256, EdDSA, RS256};
    let mut second = jwk(ES256, Some("two"));
    second["x"] = jwk(EdDSA, None)["x"].clone();
    // Not on the curve: left out, and in nobody's way.
    let (verifier, left_out) = of_set(&[jwk(ES256, Some("one")), second]).unwrap();
    assert_eq!(left_out.len(), 1);
    assert!(left_out[0].starts_with("key 2") && left_out[0].contains("P-256"), "{left_out:?}");
    assert!(verifier.verify(&token_of(ES256, None), NOW).is_ok());
    let none = token_of(RS256, None);
    refused_by(&verifier, &none, ErrorCode::Unauthenticated, "must name its key");
    // Two that could have signed it.
    let (verifier, _) = of_set(&[jwk(ES256, Some("one")), jwk(ES256, Some("two"))]).unwrap();
    let either = token_of(ES256, None);
    refused_by(&verifier, &either, ErrorCode::Unauthenticated, "must name its key");
    assert!(verifier.verify(&token_of(ES256, Some("two")), NOW).is_ok());
}

#[test]
fn what_no_token_is_signed_with_is_left_out_of_a_set() {
    let good = jwk(Algorithm::EdDSA, Some("good"));
    let with = |key: Algorithm, name: &str, value: Value| {
        let mut jwk = jwk(key, Some("bad"));
        jwk[name] = value;
        jwk
    };
    for (bad, says) in [
        (with(Algorithm::RS256, "use", json!("enc")), "use"),
        (with(Algorithm::RS256, "alg", json!("RS512")), "RS256"),
        (with(Algorithm::RS256, "alg", json!("RSA-OAEP")), "RS256"),
        (with(Algorithm::RS256, "n", json!("c2hvcnQ")), "2048"),
        (with(Algorithm::ES256, "crv", json!("P-384")), "must be of"),
        (with(Algorithm::ES256, "alg", json!("HS256")), "ES256"),
        (with(Algorithm::EdDSA, "crv", json!("P-256")), "must be of"),
        (with(Algorithm::EdDSA, "x", json!("c2hvcnQ")), "Ed25519"),
        (with(Algorithm::EdDSA, "x", json!("!")), "damaged"),
        (with(Algorithm::HS256, "k", json!("c2hvcnQ")), "32 bytes"),
        (json!({ "kty": "oct?" }), "must be of"),
        (json!(5), "must be of"),
    ] {
        let (_, left_out) = of_set(&[good.clone(), bad.clone()]).unwrap();
        assert!(left_out.len() == 1 && left_out[0].contains(says), "{bad}: {left_out:?}");
        let error = of_set(&[bad]).unwrap_err();
        assert!(error.contains("no key that could verify") && error.contains(says), "{error}");
        assert!(!error.contains("c2hvcnQ"), "{error}");
    }
    assert!(of_set(&[]).unwrap_err().contains("no key"));
    assert!(of_set(&[good.clone(), good]).unwrap_err().contains("\"kid\" of another"));
    for no_set in ["", "[]", "{}", "{\"keys\":{}}", SECRET] {
        let error = VerifyingKey::from_jwks(no_set.as_bytes()).unwrap_err();
        assert!(error.contains("\"keys\"") && !error.contains(SECRET), "{error}");
    }
}

#[test]
fn bad_keys_are_refused_at_start() {
    let short = Secret::new(&SECRET.as_bytes()[..31]);
    assert!(VerifyingKey::from_secret(&short).unwrap_err().contains("32 bytes"));
    assert!(VerifyingKey::from_secret(&Secret::new(&SECRET.as_bytes()[..32])).is_ok());
    let cut = &RSA_PUBLIC[..RSA_PUBLIC.len() / 2];
    for (pem, says) in [
        (RSA, "private key"),
        (EC, "private key"),
        (ED, "private key"),
        (include_bytes!("../../tests/keys/ec384.pub.pem"), "P-256"),
        (include_bytes!("../../tests/keys/rsa1024.pub.pem"), "2048"),
        (cut, "public key"),
        (SECRET.as_bytes(), "public key in PEM"),
        (b"", "public key in PEM"),
    ] {
        let error = VerifyingKey::from_pem(pem).unwrap_err();
        assert!(error.contains(says) && !error.contains('\n'), "{says}: {error}");
    }
}

// Claims.

#[test]
fn a_token_needs_a_user_with_a_good_name() {
    refused(&json!({ "exp": NOW_S + 3600 }), "has no claim \"sub\"");
    for (sub, says) in [
        (json!(""), "1 to 200 bytes"),
        (json!("x".repeat(201)), "1 to 200 bytes"),
        (json!("a\nb"), "control"),
        (json!("a\u{85}b"), "control"),
        (json!("$ada"), "$"),
        (json!(null), "a string"),
    ] {
        refused(&ada_with(json!({ "sub": sub })), says);
        refused(&ada_with(json!({ "sub": sub })), "token's sub must");
    }
    // Some of these the library stumbles over before we look.
    for no_name in [json!(5), json!(["ada"]), json!({ "name": "ada" })] {
        refused(&ada_with(json!({ "sub": no_name })), "sub");
    }
    accepted(&ada_with(json!({ "sub": "x".repeat(200) })));
}

/// To the second, and without leeway.
#[test]
fn a_token_ends_at_exp() {
    let expired = |exp: Value| {
        let token = token(&ada_with(json!({ "exp": exp })));
        refused_by(&of_secret(), &token, ErrorCode::TokenExpired, "exp");
    };
    expired(json!(NOW_S));
    expired(json!(NOW_S - 1));
    expired(json!(0));
    expired(json!(-5));
    expired(json!(NOW_S as f64 - 0.5));
    let ends = |exp: Value| accepted(&ada_with(json!({ "exp": exp }))).expires_unix_ms();
    assert_eq!(ends(json!(NOW_S + 1)), NOW.unix_ms + 1000);
    assert_eq!(ends(json!(NOW_S as f64 + 0.5)), NOW.unix_ms + 500);
    assert_eq!(ends(json!(u64::MAX)), u64::MAX);
    assert_eq!(ends(json!(1e300)), u64::MAX);
    let last = Now { unix_ms: NOW.unix_ms - 1, ..NOW };
    assert!(of_secret().verify(&token(&json!({ "sub": "ada", "exp": NOW_S })), last).is_ok());
    refused(&json!({ "sub": "ada" }), "has no claim \"exp\"");
    for no_date in [json!(null), json!("2000003600"), json!([]), json!(true)] {
        refused(&ada_with(json!({ "exp": no_date })), "token's exp must be a number");
    }
}

/// A program that hears `token_expired` fetches another token of the same kind: it must help.
#[test]
fn expired_is_said_only_if_nothing_else_is_wrong() {
    let exp = NOW_S - 1;
    refused(&json!({ "exp": exp }), "sub");
    refused(&json!({ "sub": "ada", "exp": exp, "roles": 5 }), "roles");
    refused(&json!({ "sub": "ada", "exp": exp, "nbf": NOW_S + 100 }), "nbf");
    let other = EncodingKey::from_secret(OTHER_SECRET.as_bytes());
    let forged = sign(&Header::default(), &json!({ "sub": "ada", "exp": exp }), &other);
    refused_by(&of_secret(), &forged, ErrorCode::Unauthenticated, "signature");
}

#[test]
fn a_token_begins_at_nbf_with_leeway() {
    for claim in ["nbf", "iat"] {
        for (date, good) in [(NOW_S - 1, true), (NOW_S + 30, true), (NOW_S + 31, false)] {
            let claims = ada_with(json!({ claim: date }));
            match good {
                true => drop(accepted(&claims)),
                false => refused(&claims, claim),
            }
        }
        refused(&ada_with(json!({ claim: "soon" })), &format!("token's {claim} must be a number"));
    }
}

/// Whoever makes tokens with a clock that is wrong is told by how much, and a program too.
#[test]
fn a_refusal_for_times_tells_by_how_much_the_clocks_differ() {
    let strict = lenient(Duration::ZERO);
    let ahead = token(&ada_with(json!({ "nbf": NOW_S + 102 })));
    for (verifier, let_pass_s, says) in [(of_secret(), 30, "30s"), (strict, 0, "0s")] {
        let refusal = verifier.verify(&ahead, NOW).unwrap_err();
        let words = [r#"claim "nbf" is 1m 42s ahead of this broker's clock"#, says, "--jwt-leeway"];
        for words in words {
            assert!(refusal.message.contains(words), "{}", refusal.message);
        }
        assert_eq!(refusal.now, Some(NOW.unix_ms));
        assert_eq!(refusal.retry_after_ms, Some((102 - let_pass_s) * 1_000));
    }
    let over = token(&ada_with(json!({ "exp": NOW_S - 42 })));
    let refusal = of_secret().verify(&over, NOW).unwrap_err();
    assert!(refusal.message.contains("42s ago by this broker's clock"), "{}", refusal.message);
    assert_eq!((refusal.now, refusal.retry_after_ms), (Some(NOW.unix_ms), None));
    assert_eq!(of_secret().verify("x.y.z", NOW).unwrap_err().now, None, "no matter of times");
}

#[test]
fn audience_and_issuer_count_where_they_are_set() {
    accepted(&ada_with(json!({ "iss": "anyone" })));
    let key = || Keys::One(VerifyingKey::from_secret(&Secret::new(SECRET.as_bytes())).unwrap());
    let audience = Verifier::new(key(), Some("here".into()), None, LEEWAY);
    let issuer = Verifier::new(key(), None, Some("here".into()), LEEWAY);
    for (verifier, claim) in [(&audience, "aud"), (&issuer, "iss")] {
        // An audience may be several, and an issuer is one (RFC 7519, section 4.1).
        for (value, good) in [(json!("here"), true), (json!(["there", "here"]), claim == "aud")] {
            let claims = ada_with(json!({ claim: value }));
            assert_eq!(verifier.verify(&token(&claims), NOW).is_ok(), good, "{claims}");
        }
        for bad in
            [json!("there"), json!("Here"), json!(["there"]), json!([]), json!(5), json!(null)]
        {
            let token = token(&ada_with(json!({ claim: bad })));
            refused_by(verifier, &token, ErrorCode::Unauthenticated, &format!("\"{claim}\""));
        }
        refused_by(verifier, &token(&ada()), ErrorCode::Unauthenticated, &format!("\"{claim}\""));
    }
}

/// Whoever has no name can't be among those that a token is for (RFC 7519, section 4.1.3).
#[test]
fn a_token_for_somebody_is_not_for_a_broker_without_a_name() {
    for audience in [json!("elsewhere"), json!(["elsewhere"]), json!([]), json!(""), json!(null)] {
        refused(&ada_with(json!({ "aud": audience })), "\"aud\"");
    }
    for issuer in [json!(["me"]), json!([]), json!(5), json!(null), json!({})] {
        refused(&ada_with(json!({ "iss": issuer })), "one string: claim \"iss\"");
    }
}

#[test]
fn who_was_signed_out_needs_a_token_from_then_on() {
    let (verifier, bob) = (of_secret(), user("bob"));
    let signed = |seconds: u64| token(&ada_with(json!({ "iat": seconds })));
    let expired = token(&ada_with(json!({ "exp": NOW_S - 1 })));
    refused_by(&verifier, &expired, ErrorCode::TokenExpired, "no longer valid");
    verifier.sign_out(&bob, NOW.unix_ms, NOW);
    assert!(verifier.verify(&token(&ada()), NOW).is_ok(), "another");
    verifier.sign_out(&user("ada"), NOW.unix_ms, NOW);
    for old in [token(&ada()), signed(NOW_S - 1), signed(0)] {
        refused_by(&verifier, &old, ErrorCode::Unauthenticated, "signed out");
    }
    refused_by(&verifier, &expired, ErrorCode::Unauthenticated, "signed out");
    for fresh in [NOW_S, NOW_S + 1] {
        assert!(verifier.verify(&signed(fresh), NOW).is_ok());
    }
    // Parts of a second count as their second.
    let token = token(&ada_with(json!({ "iat": NOW_S as f64 - 0.001 })));
    refused_by(&verifier, &token, ErrorCode::Unauthenticated, "signed out");
}

#[test]
fn what_a_token_does_not_say_is_granted_or_empty() {
    let access = accepted(&ada());
    assert!(access.roles().is_empty() && access.info().is_empty());
    let (room, bob) = (ChannelName::parse("room", "channel").unwrap(), user("bob"));
    assert!(Right::ALL.iter().all(|&right| access.check(right, &room).is_ok()));
    assert!(access.check_watch(&user("ada"), &bob, "users").is_ok());
}

fn user(name: &str) -> herenow_protocol::UserId {
    herenow_protocol::UserId::parse(name, "user").unwrap()
}

#[test]
fn a_token_s_claims_become_what_it_grants() {
    let access = accepted(&ada_with(json!({
        "roles": ["team:blue", "moderator"],
        "info": { "name": "Ada", "avatar": null, "a": [1, { "b": true }] },
        "watch": ["team-*"],
        "channels": { "room-*": ["join", "count"], "*": [] },
        "unknown": { "claims": "are ignored" },
    })));
    let roles: Vec<_> = access.roles().iter().map(ToString::to_string).collect();
    assert_eq!(roles, ["team:blue", "moderator"]);
    assert_eq!(access.info().as_str(), r#"{"a":[1,{"b":true}],"name":"Ada"}"#);
    let room = ChannelName::parse("room-1", "channel").unwrap();
    let rights = Right::ALL.map(|right| access.check(right, &room).is_ok());
    assert_eq!(rights, [true, false, false, true]);
    assert!(access.check_watch(&user("ada"), &user("team-1"), "users").is_ok());
    assert!(access.check_watch(&user("ada"), &user("bob"), "users").is_err());
}

#[test]
fn dates_are_whole_seconds_on_the_side_that_is_asked_for() {
    use super::claims::NumericDate;
    for (ms, before, after) in [(1_999, 1_000, 2_000), (2_000, 2_000, 2_000), (2_001, 2_000, 3_000)]
    {
        assert_eq!(NumericDate::at_or_before(ms).unix_ms(), before);
        assert_eq!(NumericDate::at_or_after(ms).unix_ms(), after);
    }
}

#[test]
fn a_caller_is_known_by_its_token_as_long_as_that_lasts() {
    let access = accepted(&ada_with(json!({ "info": { "name": "Ada" } })));
    let ada = user("ada");
    let caller = Caller::User { user: &ada, access: Some(&access) };
    assert_eq!(caller.info().map(|info| info.as_str()), Some(r#"{"name":"Ada"}"#));
    assert_eq!(caller.expires_unix_ms(), Some(access.expires_unix_ms()));
    assert!(access.expires_unix_ms() > NOW.unix_ms);
    for caller in [Caller::User { user: &ada, access: None }, Caller::Anyone(Some(&ada))] {
        assert!(caller.info().is_none() && caller.expires_unix_ms().is_none());
    }
}

#[test]
fn grants_that_make_no_sense_are_refused() {
    let many: Vec<_> = (0..65).map(|n| format!("room-{n}")).collect();
    let grants =
        |count| -> Value { many[..count].iter().map(|n| (n.clone(), json!([]))).collect() };
    let deep = (0..33).fold(json!(1), |inner, _| json!([inner]));
    for (claim, value, says) in [
        ("channels", json!(["room"]), "an object of patterns"),
        ("channels", json!("room"), "an object of patterns"),
        ("channels", json!(null), "an object of patterns"),
        ("channels", json!({ "room": "join" }), "array of rights"),
        ("channels", json!({ "room": [5] }), "array of rights"),
        ("channels", json!({ "room": ["join", "fly"] }), "\"subscribe\", \"list\""),
        ("channels", json!({ "room": ["Join"] }), "\"join\""),
        ("channels", json!({ "": ["join"] }), "1 to 200 bytes"),
        ("channels", json!({ "x".repeat(201): ["join"] }), "1 to 200 bytes"),
        ("channels", grants(65), "at most 64"),
        ("watch", json!("*"), "array of strings"),
        ("watch", json!([5]), "array of strings"),
        ("watch", json!(null), "array of strings"),
        ("watch", json!({}), "array of strings"),
        ("watch", json!([""]), "1 to 200 bytes"),
        ("watch", json!(many), "at most 64"),
        ("roles", json!("moderator"), "array of strings"),
        ("roles", json!([null]), "array of strings"),
        ("roles", json!(null), "array of strings"),
        ("roles", json!(["any"]), "go without saying"),
        ("roles", json!(["users"]), "go without saying"),
        ("roles", json!(["user:bob"]), "go without saying"),
        ("roles", json!([""]), "control characters"),
        ("roles", json!(["a\tb"]), "control characters"),
        ("roles", json!(many[..33]), "at most 32"),
        ("info", json!("Ada"), "an object"),
        ("info", json!(["Ada"]), "an object"),
        ("info", json!(null), "an object"),
        ("info", json!({ "name": "x".repeat(1014) }), "at most 1024 bytes"),
        ("info", json!({ "deep": deep }), "deeper than 32"),
    ] {
        let claims = ada_with(json!({ claim: value }));
        refused(&claims, says);
        refused(&claims, &format!("token's {claim} must"));
    }
    accepted(&ada_with(json!({ "channels": grants(64), "roles": many[..32] })));
    accepted(&ada_with(json!({ "watch": many[..64], "info": { "name": "x".repeat(1013) } })));
}

// The configuration.

fn flags(change: impl FnOnce(&mut IdentityFlags)) -> Result<Auth, String> {
    let mut identity = IdentityFlags::default();
    change(&mut identity);
    Auth::new(&identity)
}

fn key_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

#[test]
fn without_tokens_it_is_open_and_verifies_none() {
    let auth = flags(|_| {}).unwrap();
    assert!(auth.is_open() && auth.keys().find("tellnobody-tellnobody").is_none());
    let refusal = auth.verify_token(&token(&ada()), NOW).unwrap_err();
    assert_eq!((refusal.code, refusal.field), (ErrorCode::Unauthenticated, Some("token")));
}

#[test]
fn flags_become_what_they_say() {
    let secret = |flags: &mut IdentityFlags| {
        flags.tokens.jwt_secret = Some(Secret::new(SECRET.as_bytes()));
    };
    let auth = flags(|flags| {
        secret(flags);
        let keys = "[[key]]\nname='a'\nsecret='tellnobody-tellnobody'\nrights=['read']";
        flags.api_keys = Some(Secret::new(keys.as_bytes()));
        flags.allow_origin = vec!["https://app.example".into()];
    })
    .unwrap();
    assert!(!auth.is_open());
    assert_eq!(auth.verify_token(&token(&ada()), NOW).unwrap().user.as_str(), "ada");
    assert_eq!(auth.keys().find("tellnobody-tellnobody").map(ApiKey::name), Some("a"));
    assert_eq!(auth.origins().check(Some("https://app.example"), None), Ok(()));
    let shown = format!("{auth:?}");
    assert!(!shown.contains("tellnobody") && !shown.contains("thirty-two"), "{shown}");
    let checked = flags(|flags| {
        secret(flags);
        flags.tokens.jwt_audience = Some("here".into());
        flags.tokens.jwt_issuer = Some("me".into());
    })
    .unwrap();
    assert!(checked.verify_token(&token(&ada()), NOW).is_err());
    let claims = ada_with(json!({ "aud": "here", "iss": "me" }));
    assert!(checked.verify_token(&token(&claims), NOW).is_ok());
    let auth =
        flags(|flags| flags.tokens.jwt_public_key_file = Some(key_file("ed.pub.pem"))).unwrap();
    assert!(auth.verify_token(&token_of(Algorithm::EdDSA, None), NOW).is_ok());
}
