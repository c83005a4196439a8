//! How Appwrite's libraries ask: who they say they are, and how they read a refusal.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use axum::response::{IntoResponse, Response};
use herenow_protocol::{ErrorCode, Refusal};
use serde_json::Value;

use super::fault::Fault;
use crate::auth::{Auth, Credential};
use crate::now::Now;
use crate::vendors::credential::user_of;
use crate::web::credential::bearer;
use crate::web::manner::{Manner, template};
use crate::web::state::Web;

/// What a cookie, and what stands in for cookies, is called: this and the project.
const SESSION: &str = "a_session_";

/// Appwrite's.
#[derive(Clone, Copy, Debug)]
pub struct Appwrite;

impl Manner for Appwrite {
    const METHODS: &str = "GET, HEAD, PUT, PATCH, POST, DELETE";

    const HEADERS: &str = "authorization, content-type, x-appwrite-project, x-appwrite-session, \
        x-appwrite-jwt, x-appwrite-key, x-appwrite-locale, x-appwrite-response-format, \
        x-appwrite-timestamp, x-appwrite-id, x-appwrite-dev-key, x-fallback-cookies, x-sdk-language, \
        x-sdk-name, x-sdk-platform, x-sdk-version, x-sdk-graphql, x-requested-with";

    const COOKIES: bool = true;

    fn identify(&self, web: &Web, request: &Request, now: Now) -> Result<Credential, Refusal> {
        let (auth, headers) = (web.desk.auth(), request.headers());
        if let Some(key) = text(headers, "x-appwrite-key") {
            return back_end(auth, key);
        }
        match credential(headers) {
            Some(credential) => user_of(auth, &credential, now),
            None if auth.is_open() || is_ping(request) => Ok(Credential::Anyone(None)),
            None => Err(missing()),
        }
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        if refusal.field == Some(MISSING) {
            return Fault::scope(refusal.message).into_response();
        }
        Fault::from(refusal).into_response()
    }

    fn works_without_presence(&self, request: &Request) -> bool {
        is_ping(request)
    }
}

fn is_ping(request: &Request) -> bool {
    template(request).ends_with("/ping")
}

/// The field of a refusal of who names no credential at all.
const MISSING: &str = "session";

fn missing() -> Refusal {
    let rule = "is missing: sign in first, by a session, a JWT or an API key";
    Refusal::field(ErrorCode::Unauthenticated, MISSING, rule)
}

/// The back end that has the key. In open mode any key will do.
fn back_end(auth: &Auth, key: &str) -> Result<Credential, Refusal> {
    match auth.keys().find(key) {
        Some(key) => Ok(Credential::Key(key.clone())),
        None if auth.is_open() => Ok(Credential::Broker),
        None => Err(Refusal::new(ErrorCode::Unauthenticated, "the API key is not known")),
    }
}

/// The credential of a user, the first that is found; `None`: a guest.
#[must_use]
pub fn credential(headers: &HeaderMap) -> Option<String> {
    let header = |name| text(headers, name).map(str::to_owned);
    header("x-appwrite-session")
        .or_else(|| header("x-appwrite-jwt"))
        .or_else(|| bearer(headers).map(str::to_owned))
        .or_else(|| fallback(text(headers, "x-fallback-cookies")?))
        .or_else(|| cookie(headers))
}

/// A header that says something.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

/// Of the JSON that a page sends whose browser keeps no cookies.
fn fallback(json: &str) -> Option<String> {
    let cookies: Value = serde_json::from_str(json).ok()?;
    let cookies = cookies.as_object()?.iter();
    let mut sessions = cookies.filter(|(name, _)| name.starts_with(SESSION));
    sessions
        .find_map(|(_, value)| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
}

/// Of a cookie, percent-decoded, since libraries encode what they set.
fn cookie(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|one| one.trim().split_once('='));
    let (_, value) = pairs.find(|(name, value)| {
        name.starts_with(SESSION) && !name.ends_with("_legacy") && !value.is_empty()
    })?;
    let value = value.trim_matches('"').replace('+', "%2B");
    let (value, _) = form_urlencoded::parse(value.as_bytes()).next()?;
    Some(value.into_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Option<String> {
        let headers = headers
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        credential(&headers.collect())
    }

    #[test]
    fn the_first_credential_counts() {
        let all = [
            ("x-appwrite-session", "one"),
            ("x-appwrite-jwt", "two"),
            ("authorization", "Bearer three"),
            ("x-fallback-cookies", r#"{"other":"x","a_session_shop":"four"}"#),
            ("cookie", "theme=dark; a_session_shop=five%3D; b=c"),
        ];
        for (at, expected) in ["one", "two", "three", "four", "five="].into_iter().enumerate() {
            assert_eq!(of(&all[at..]).as_deref(), Some(expected));
        }
        assert_eq!(of(&[("cookie", "theme=dark"), ("x-fallback-cookies", "[]")]), None);
        assert_eq!(
            of(&[("x-appwrite-session", ""), ("cookie", "a_session_x=eyJ.a-b_c")]).as_deref(),
            Some("eyJ.a-b_c")
        );
    }
}
