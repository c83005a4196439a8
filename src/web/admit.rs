//! What holds for every request that needs credentials, whatever it asks: its origin, its rate, its
//! caller, the bound on its body, and that a bug costs one answer only.

use std::any::Any;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HOST,
    HeaderValue, ORIGIN, VARY,
};
use axum::http::{HeaderMap, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::{Extension, Router};
use herenow_protocol::{ErrorCode, Refusal};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::credential::account;
use super::held::hold;
use super::input::check_address;
use super::manner::Manner;
use super::peer::Peer;
use super::state::Web;
use crate::metrics::TurnedAway;

/// `routes` for those who are let in, with bodies within bounds. Handlers find the
/// [`Credential`](crate::auth::Credential) among the request's extensions.
pub fn admitted<M: Manner>(web: Web, manner: M, routes: Router<Web>) -> Router<Web> {
    let body_bytes = web.body_bytes;
    let varies = HeaderValue::from_static("Authorization, Origin");
    let bug = manner.clone();
    routes.layer((
        DefaultBodyLimit::max(body_bytes),
        SetResponseHeaderLayer::overriding(VARY, varies),
        from_fn_with_state((web, manner), admit::<M>),
        // Inside, so that such an answer is counted and readable as any other. A handler that panics
        // is a bug, and must not take the connection along.
        CatchPanicLayer::custom(move |_: Box<dyn Any + Send>| bug.refuse(failure())),
    ))
}

/// Answers a request, if its origin, its rate and its caller let it in.
async fn admit<M: Manner>(
    State((web, manner)): State<(Web, M)>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = web.desk.hub().clock().elapsed();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("", |path| path.as_str());
    let origin = request.headers().get(ORIGIN).cloned();
    let foreign = check_origin(&web, request.headers()).err();
    let readable = origin.filter(|_| foreign.is_none());
    if let Some(refusal) = &foreign {
        web.floods.note_page(web.desk.hub().metrics(), peer, request.headers(), refusal);
    }
    let refusal = match foreign {
        None => let_in(&web, &manner, peer, &mut request).await.err(),
        foreign => foreign,
    };
    let answered = match refusal {
        None => hold(web.desk.hub().backlog(), &method, next.run(request).await).await,
        Some(refusal) => Err(refusal),
    };
    let mut response = answered.unwrap_or_else(|refusal| manner.refuse(refusal));
    if let Some(origin) = readable {
        make_readable::<M>(&mut response, &method, origin);
    }
    let (status, took) = (response.status().as_u16(), web.desk.hub().clock().elapsed() - began);
    let metrics = web.desk.hub().metrics();
    metrics.answered(method.as_str(), route, status);
    if let Some(&code) = response.extensions().get() {
        metrics.http_refusals.inc(code);
        if matches!(code, ErrorCode::Unauthenticated | ErrorCode::TokenExpired) {
            web.floods.note(metrics, TurnedAway::Tokens, peer);
        }
    }
    // Neither headers nor query: tokens and names are in there.
    tracing::debug!(method = method.as_str(), route, status, ?took, "request");
    response
}

async fn let_in(
    web: &Web,
    manner: &impl Manner,
    peer: Peer,
    request: &mut Request,
) -> Result<(), Refusal> {
    // A preflight carries no credentials, and asks nothing of the broker.
    if request.method() == Method::OPTIONS {
        return Ok(());
    }
    let mut caller = manner.identify(web, request, web.desk.now());
    if let Err(refusal) = &caller
        && web.desk.auth().waited_for_key(refusal).await
    {
        caller = manner.identify(web, request, web.desk.now());
    }
    let account = match &caller {
        Ok(caller) => account(caller, peer),
        Err(_) => peer.account(),
    };
    if manner.waits(request) {
        let free = || web.limiter.charge_if_free(account.clone(), web.desk.now().mono_ms);
        while let Err(ms) = free() {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    } else {
        web.limiter.charge(account.clone(), web.desk.now().mono_ms)?;
    }
    request.extensions_mut().insert(caller?);
    request.extensions_mut().insert(account);
    check_address(request.uri())?;
    if manner.works_without_presence(request) { Ok(()) } else { web.desk.rules().check_enabled() }
}

/// Refuses pages of origins that are not allowed: the same rule as for WebSocket.
///
/// # Errors
/// `forbidden`: names the rule and the flag.
pub fn check_origin(web: &Web, headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |value: Option<&HeaderValue>| {
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let (origin, host) = (text(headers.get(ORIGIN)), text(headers.get(HOST)));
    web.desk.auth().origins().check(origin.as_deref(), host.as_deref())
}

fn failure() -> Refusal {
    Refusal::new(ErrorCode::Internal, "the broker failed at this")
}

/// Lets a page of that origin read the answer (CORS). Not tower-http's layer, which answers every
/// OPTIONS by itself, with 200: ours goes to the routes, whose 204 names the path's methods in
/// `Allow`, and which know no path that is not there; and a foreign page is refused, rather than
/// answered what its browser then keeps from it.
fn make_readable<M: Manner>(response: &mut Response, method: &Method, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    if M::COOKIES {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if method == Method::OPTIONS {
        let fixed = [
            (ACCESS_CONTROL_ALLOW_METHODS, M::METHODS),
            (ACCESS_CONTROL_ALLOW_HEADERS, M::HEADERS),
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
    use crate::web::manner::Herenow;

    #[tokio::test]
    async fn a_handler_that_panics_is_an_internal_error() {
        async fn panics() {
            panic!("on purpose");
        }
        let routes = Router::new().route("/", get(panics)).layer(CatchPanicLayer::custom(
            |_: Box<dyn Any + Send>| Herenow { tables: &[] }.refuse(failure()),
        ));
        let response = TowerToHyperService::new(routes).call(Request::new(Body::empty())).await;
        let response = response.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.extensions().get(), Some(&ErrorCode::Internal));
    }
}
