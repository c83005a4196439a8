//! What holds for every request below `/v1`, and for those that ask for a crowd, whatever they ask.

use std::panic::AssertUnwindSafe;

use axum::Extension;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, HOST, HeaderValue,
    ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use herenow_protocol::{ErrorCode, Refusal};

use super::Api;
use super::caller::{Peer, account, identify};
use super::input::{Query, check_address};
use super::problem::Problem;

/// Answers a request, if its origin, its rate and its caller let it in.
pub async fn admit(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    query: Query,
    mut request: Request,
    next: Next,
) -> Response {
    let began = api.hub.clock().elapsed();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("", |path| path.as_str());
    let origin = request.headers().get(ORIGIN).cloned();
    let foreign = check_origin(&api, request.headers()).err();
    let readable = origin.filter(|_| foreign.is_none());
    let refusal = foreign.or_else(|| let_in(&api, peer, &query, &mut request).err());
    let mut response = match refusal {
        None => answer(request, next).await,
        Some(refusal) => Problem::from(refusal).into_response(),
    };
    finish(&mut response, &method, readable);
    let (status, took) = (response.status().as_u16(), api.hub.clock().elapsed() - began);
    api.metrics.request(&method, route, status, response.extensions().get());
    // Neither headers nor query: tokens and names are in there.
    tracing::debug!(%method, route, status, ?took, "request");
    response
}

fn let_in(api: &Api, peer: Peer, query: &Query, request: &mut Request) -> Result<(), Refusal> {
    // A preflight carries no credentials, and asks nothing of the broker.
    if request.method() == Method::OPTIONS {
        return Ok(());
    }
    let now = api.hub.clock().now();
    let user = query.text("user");
    let caller = identify(&api.auth, request.headers(), user.as_deref(), now);
    let account = match &caller {
        Ok(caller) => account(caller, peer),
        Err(_) => peer.account(),
    };
    api.limiter.charge(account, now.mono_ms)?;
    request.extensions_mut().insert(caller?);
    check_address(request.uri())?;
    api.desk.rules().check_enabled()
}

/// Refuses pages of origins that are not allowed: the same rule as for WebSocket.
pub(crate) fn check_origin(api: &Api, headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |value: Option<&HeaderValue>| {
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let (origin, host) = (text(headers.get(ORIGIN)), text(headers.get(HOST)));
    api.auth.origins().check(origin.as_deref(), host.as_deref())
}

/// A handler that panics is a bug, and must not take the connection along.
async fn answer(request: Request, next: Next) -> Response {
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        let refusal = Refusal::new(ErrorCode::Internal, "the broker failed at this");
        Problem::from(refusal).into_response()
    })
}

/// What holds for everything that comes over HTTP: it is what it says, and nobody keeps it unless
/// it says so.
pub(crate) fn guard(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// The headers of every answer below `/v1`. `origin` is a page's that may read it.
fn finish(response: &mut Response, method: &Method, origin: Option<HeaderValue>) {
    guard(response);
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Authorization, Origin"));
    let Some(origin) = origin else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    if method == Method::OPTIONS {
        let fixed = [
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, PUT, POST, DELETE"),
            (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
            (ACCESS_CONTROL_MAX_AGE, "600"),
        ];
        headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    #[tokio::test]
    async fn a_handler_that_panics_is_an_internal_error() {
        async fn panics() {
            panic!("on purpose");
        }
        let routes = Router::new().route("/", get(panics)).layer(axum::middleware::from_fn(answer));
        let response = TowerToHyperService::new(routes).call(Request::new(Body::empty())).await;
        let response = response.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.extensions().get(), Some(&ErrorCode::Internal));
    }
}
