//! Who asks, and how a refusal is told: of LiveLike's own requests, and of PubNub's.

use axum::extract::Request;
use axum::http::header::{HeaderName, ORIGIN};
use axum::response::{IntoResponse, Response};
use herenow_protocol::{ErrorCode, Refusal, UserId};

use super::shapes::{Refused, detail};
use crate::auth::{Credential, Identity};
use crate::now::Now;
use crate::vendors::credential::user_of;
use crate::web::credential::bearer;
use crate::web::input::Query;
use crate::web::manner::{Manner, template};
use crate::web::state::Web;

/// Tells how a page's request came to be; no page can forge it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// PubNub's clock.
pub const TIME: &str = "/time/0";

/// Below it polls are held.
pub const SUBSCRIBE: &str = "/v2/subscribe";

/// Where LiveLike's library asks whose its token is.
pub const PROFILE: &str = "/profile/";

/// LiveLike's requests, with which its library begins.
#[derive(Clone, Copy, Debug)]
pub struct LiveLike;

impl Manner for LiveLike {
    const METHODS: &str = "GET, POST";
    const HEADERS: &str = "authorization, content-type";

    fn identify(&self, web: &Web, request: &Request, now: Now) -> Result<Credential, Refusal> {
        let asks_who = request.method() != axum::http::Method::POST
            && template(request).trim_end_matches('/').ends_with(PROFILE.trim_end_matches('/'));
        if !asks_who {
            return Ok(Credential::Anyone(None));
        }
        let token = bearer(request.headers()).unwrap_or_default();
        user_of(web.desk.auth(), token, now)
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        detail(refusal)
    }

    fn waits(&self, _request: &Request) -> bool {
        true
    }

    fn works_without_presence(&self, _request: &Request) -> bool {
        true
    }
}

/// PubNub's requests. The user is `uuid`, and `auth` its token.
#[derive(Clone, Copy, Debug)]
pub struct PubNub;

impl Manner for PubNub {
    const METHODS: &str = "GET";
    const HEADERS: &str = "content-type";

    fn identify(&self, web: &Web, request: &Request, now: Now) -> Result<Credential, Refusal> {
        check_forged(request)?;
        if template(request) == TIME {
            return Ok(Credential::Anyone(None));
        }
        let query = Query::of(request.uri());
        let text = |name| query.text(name).filter(|text| !text.is_empty());
        let uuid = text("uuid").ok_or_else(|| Refusal::missing("uuid"))?;
        let uuid = UserId::parse(&uuid, "uuid")?;
        let auth = web.desk.auth();
        let Some(token) = text("auth") else {
            if auth.is_open() {
                return Ok(Credential::User(Identity { user: uuid, access: None }));
            }
            let rule = "a token is required, as auth";
            return Err(Refusal::new(ErrorCode::Unauthenticated, rule));
        };
        let credential = user_of(auth, &token, now)?;
        if !credential.caller().is(&uuid) {
            let rule = "must be the user whose token auth is";
            return Err(Refusal::field(ErrorCode::Forbidden, "uuid", rule));
        }
        Ok(credential)
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        Refused(refusal).into_response()
    }

    /// Whoever is refused a poll never polls again.
    fn waits(&self, request: &Request) -> bool {
        template(request).starts_with(SUBSCRIBE)
    }
}

/// Requests that only look change what they name: an image on a strange page would do to forge one,
/// and it would come without an origin.
fn check_forged(request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let site = headers.get(SEC_FETCH_SITE).map(|value| value.as_bytes());
    let elsewhere = matches!(site, Some(b"cross-site" | b"same-site"));
    if elsewhere && !headers.contains_key(ORIGIN) {
        let rule = "a page of another site may ask for this only with its Origin";
        return Err(Refusal::new(ErrorCode::Forbidden, rule));
    }
    Ok(())
}
