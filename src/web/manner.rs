//! How one kind of clients asks over HTTP: how they say who they are, how they read a refusal, and
//! what their pages may send. Whatever else holds for a request is the same for all of them
//! ([`admit`](super::admit)).

use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use herenow_protocol::Refusal;

use super::credential::{InAddress, identify};
use super::input::Query;
use super::operation::{Tables, takes_token};
use super::problem::Problem;
use super::state::Web;
use crate::auth::Credential;
use crate::now::Now;

/// How one kind of clients asks.
pub trait Manner: Clone + Send + Sync + 'static {
    /// What pages may do, for CORS.
    const METHODS: &str = "GET, HEAD, PUT, POST, DELETE";

    /// What pages may send, for CORS.
    const HEADERS: &str;

    /// Whether pages send cookies along.
    const COOKIES: bool = false;

    /// Who sent a request.
    ///
    /// # Errors
    /// `unauthenticated`, `token_expired`; `forbidden`: it may not be sent so; `invalid_field` for a
    /// bad name in open mode.
    fn identify(&self, web: &Web, request: &Request, now: Now) -> Result<Credential, Refusal>;

    /// How a refusal is told. The refusal's code is to be among the extensions of the response,
    /// whoever counts refusals looks for it there.
    fn refuse(&self, refusal: Refusal) -> Response;

    /// Whether a request that comes too soon waits until it may be answered, rather than being
    /// refused: for clients that never ask again after a refusal.
    fn waits(&self, _request: &Request) -> bool {
        false
    }

    /// Whether a request is answered although presence is switched off.
    fn works_without_presence(&self, _request: &Request) -> bool {
        false
    }
}

/// The path of a request as the routes have it, with the names of what varies.
#[must_use]
pub fn template(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str)
}

/// Ours.
#[derive(Clone, Copy, Debug)]
pub struct Herenow {
    /// They say which paths take a token in the address.
    pub tables: Tables,
}

impl Manner for Herenow {
    /// What we read, and what tracing libraries (OpenTelemetry, Sentry) and `XMLHttpRequest` wrappers
    /// put on every request of a page. A browser that may not send one of them sends nothing at all.
    const HEADERS: &str = "authorization, content-type, last-event-id, traceparent, tracestate, \
        baggage, sentry-trace, x-requested-with";

    fn identify(&self, web: &Web, request: &Request, now: Now) -> Result<Credential, Refusal> {
        let query = Query::of(request.uri());
        let takes_token = takes_token(self.tables, template(request));
        let in_address = InAddress {
            user: query.text("user"),
            token: query.text("token").filter(|_| takes_token),
        };
        identify(web.desk.auth(), request.headers(), in_address, now)
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        Problem::from(refusal).into_response()
    }
}
