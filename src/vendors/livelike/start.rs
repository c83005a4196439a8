//! How LiveLike's library begins: what the application is, and who its user.

use axum::extract::{Path, Request, State};
use axum::http::header::{HOST, HeaderName};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use herenow_protocol::{ErrorCode, Refusal};
use serde::Serialize;
use serde_json::Value;

use super::shapes::detail;
use crate::auth::{Caller, Credential};
use crate::limits::POLL_HEARTBEAT_S;
use crate::web::credential::bearer;
use crate::web::input::text_of;
use crate::web::state::Web;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Both have to be there; what they say is of no interest.
const SUBSCRIBE_KEY: &str = "sub-c-herenow";
const PUBLISH_KEY: &str = "pub-c-herenow";

#[derive(Debug, Serialize)]
struct Application {
    id: String,
    client_id: String,
    profile_url: String,
    profile_detail_url_template: String,
    pubnub_subscribe_key: &'static str,
    pubnub_publish_key: &'static str,
    pubnub_origin: String,
    pubnub_heartbeat_interval: u64,
    pubnub_presence_timeout: u64,
}

#[derive(Debug, Serialize)]
struct Profile {
    id: String,
    nickname: String,
    access_token: String,
    url: String,
}

/// Where the broker is to its clients.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    /// `https://example.com:8443`.
    url: String,
    /// `example.com:8443`.
    authority: String,
}

/// What the application is: the same whatever it is called.
pub async fn application(
    State(web): State<Web>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Address { url, authority } = address(web.desk.auth().origins().public_url(), &headers);
    let (interval, timeout) =
        cadence(web.desk.rules().heartbeat.interval_ms, web.desk.rules().timeout_ms());
    let profile_url = profile_url(&url);
    Json(Application {
        client_id: id.clone(),
        id,
        profile_detail_url_template: format!("{profile_url}{{profile_id}}/"),
        profile_url,
        pubnub_subscribe_key: SUBSCRIBE_KEY,
        pubnub_publish_key: PUBLISH_KEY,
        pubnub_origin: authority,
        pubnub_heartbeat_interval: interval,
        pubnub_presence_timeout: timeout,
    })
    .into_response()
}

/// Who the user is whose token came.
pub async fn profile(
    State(web): State<Web>,
    Extension(credential): Extension<Credential>,
    headers: HeaderMap,
) -> Response {
    let caller = credential.caller();
    let Some(user) = caller.user() else {
        return detail(Refusal::new(ErrorCode::Unauthenticated, "a token is required"));
    };
    let token = bearer(&headers).unwrap_or_default().to_owned();
    let nickname = nickname(caller).unwrap_or_else(|| user.to_string());
    Json(of_user(&web, &headers, user.to_string(), nickname, token)).into_response()
}

/// A guest, where anybody may be anybody.
pub async fn guest(State(web): State<Web>, request: Request) -> Response {
    let headers = request.headers().clone();
    if !web.desk.auth().is_open() {
        let rule = "a token is required: give it as accessToken";
        return detail(Refusal::new(ErrorCode::Unauthenticated, rule));
    }
    let body = match text_of(request, &web).await {
        Ok(body) => body,
        Err(problem) => return detail(problem.into_parts().1),
    };
    let asked = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&body) };
    let Ok(asked) = asked else {
        return detail(Refusal::new(ErrorCode::BadJson, "the body must be JSON"));
    };
    let id = format!("guest-{:016x}", web.desk.hub().chance().number());
    let nickname = asked["nickname"].as_str().map_or_else(|| id.clone(), str::to_owned);
    let profile = of_user(&web, &headers, id.clone(), nickname, id);
    (StatusCode::CREATED, Json(profile)).into_response()
}

fn of_user(
    web: &Web,
    headers: &HeaderMap,
    id: String,
    nickname: String,
    access_token: String,
) -> Profile {
    let Address { url, .. } = address(web.desk.auth().origins().public_url(), headers);
    Profile { url: format!("{}{id}/", profile_url(&url)), id, nickname, access_token }
}

fn profile_url(url: &str) -> String {
    format!("{url}/livelike/api/v1/profile/")
}

/// What the user's token calls it.
fn nickname(caller: Caller<'_>) -> Option<String> {
    let info = caller.info()?.to_map();
    let name = info.get("name").or_else(|| info.get("displayName"))?;
    name.as_str().map(str::to_owned)
}

/// The heartbeat's interval and the presence timeout, in seconds, within what PubNub's library takes.
fn cadence(interval_ms: u64, timeout_ms: u64) -> (u64, u64) {
    let timeout =
        timeout_ms.div_ceil(1_000).clamp(*POLL_HEARTBEAT_S.start(), *POLL_HEARTBEAT_S.end());
    ((interval_ms / 1_000).clamp(1, timeout - 1), timeout)
}

/// Where the broker is: as the operator says, or as the proxy in front of it says, or as it was
/// asked.
fn address(public_url: Option<String>, headers: &HeaderMap) -> Address {
    let first = |name: &HeaderName| {
        let text = headers.get(name)?.to_str().ok()?;
        text.split(',').next().map(|text| text.trim().to_ascii_lowercase())
    };
    let is_host =
        |host: &String| host.parse::<Authority>().is_ok_and(|it| !it.as_str().contains('@'));
    let url = public_url.unwrap_or_else(|| {
        let host = first(&FORWARDED_HOST).filter(is_host).or_else(|| first(&HOST));
        let host = host.filter(is_host).unwrap_or_else(|| "localhost".into());
        let scheme = first(&FORWARDED_PROTO).filter(|scheme| scheme == "https");
        format!("{}://{host}", scheme.as_deref().unwrap_or("http"))
    });
    let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host);
    let has_port = host.parse::<Authority>().is_ok_and(|authority| authority.port().is_some());
    // PubNub's library speaks TLS, whatever LiveLike's does.
    let authority = if has_port { host.to_owned() } else { format!("{host}:443") };
    Address { url, authority }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(HeaderName, &'static str)], public: Option<&str>) -> (String, String) {
        let headers = headers.iter().map(|(name, text)| (name.clone(), text.parse().unwrap()));
        let Address { url, authority } =
            address(public.map(str::to_owned), &headers.collect::<HeaderMap>());
        (url, authority)
    }

    fn is(url: &str, authority: &str) -> (String, String) {
        (url.into(), authority.into())
    }

    #[test]
    fn the_address_is_that_of_whoever_stands_in_front() {
        let host = (HOST, "127.0.0.1:8080");
        assert_eq!(asked(&[host.clone()], None), is("http://127.0.0.1:8080", "127.0.0.1:8080"));
        let proto = (FORWARDED_PROTO, "https");
        let kept = (HOST, "live.example.com");
        let public = is("https://live.example.com", "live.example.com:443");
        assert_eq!(asked(&[kept, proto.clone()], None), public);
        let named = (FORWARDED_HOST, "live.example.com, 10.0.0.1");
        assert_eq!(asked(&[host.clone(), named, proto.clone()], None), public);
        let forged = (FORWARDED_HOST, "a b@evil");
        let own = is("https://127.0.0.1:8080", "127.0.0.1:8080");
        assert_eq!(asked(&[host.clone(), forged, proto], None), own);
        let with_port = is("https://p.example.com:8443", "p.example.com:8443");
        assert_eq!(asked(&[host], Some("https://p.example.com:8443")), with_port);
        assert_eq!(asked(&[], None), is("http://localhost", "localhost:443"));
    }

    #[test]
    fn a_cadence_is_one_that_pubnubs_library_takes() {
        assert_eq!(cadence(30_000, 60_000), (30, 60));
        assert_eq!(cadence(2_000, 4_000), (2, 20));
        assert_eq!(cadence(100, 100_000_000), (1, 3_600));
        assert_eq!(cadence(90_000_000, 100_000_000), (3_599, 3_600));
    }
}
