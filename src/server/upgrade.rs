//! The WebSocket handshake. tungstenite checks it, hyper answers it, and then the bare socket goes
//! to its connection: nothing of HTTP remains in memory.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use herenow_protocol::{ErrorCode, Refusal, SUBPROTOCOL, UserId};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::connection_limits::Counted;
use super::socket::bare;
use crate::actions::Desk;
use crate::auth::Identity;
use crate::chance::Chance;
use crate::connection::{self, Dialect, Echo, Herenow, SocketRules, Upgraded};
use crate::metrics::TurnedAway;
use crate::vendors::appwrite;
use crate::web::admit::check_origin;
use crate::web::credential::bearer;
use crate::web::problem::Problem;
use crate::web::state::Web;

/// The version of the WebSocket protocol that is spoken here.
const VERSION: &str = "13";

/// Answers `GET /ws`.
pub async fn websocket(
    State(web): State<Web>,
    Extension(counted): Extension<Arc<Counted>>,
    Extension(rules): Extension<Arc<SocketRules>>,
    request: Request,
) -> Response {
    take_over(&web, counted, rules, request, |web, headers, query| {
        (identify(web, headers, query), Herenow)
    })
    .await
}

/// Answers `GET /echo`, for development.
pub async fn echo(
    State(web): State<Web>,
    Extension(counted): Extension<Arc<Counted>>,
    Extension(rules): Extension<Arc<SocketRules>>,
    request: Request,
) -> Response {
    take_over(&web, counted, rules, request, |web, headers, query| {
        (identify(web, headers, query), Echo)
    })
    .await
}

/// Answers `GET /appwrite/v1/realtime`.
pub async fn realtime(
    State(web): State<Web>,
    Extension(counted): Extension<Arc<Counted>>,
    Extension(rules): Extension<Arc<SocketRules>>,
    Extension(presences): Extension<Arc<appwrite::Presences>>,
    request: Request,
) -> Response {
    take_over(&web, counted, rules, request, |web, headers, query| {
        let (auth, now) = (web.desk.auth(), web.desk.now());
        let presences = Arc::clone(&presences);
        appwrite::introduce(presences, auth, headers, query.unwrap_or_default(), now)
    })
    .await
}

/// Answers a handshake, and has the socket served. `introduce` says who it is of, and how it is spoken
/// to.
async fn take_over<D: Dialect>(
    web: &Web,
    counted: Arc<Counted>,
    rules: Arc<SocketRules>,
    mut request: Request,
    introduce: impl Fn(&Web, &HeaderMap, Option<&str>) -> (Result<Identity, Refusal>, D),
) -> Response {
    let turned_away = |kind| web.floods.note(web.desk.hub().metrics(), kind, counted.peer());
    if let Err(refusal) = check_origin(web, request.headers()) {
        let metrics = web.desk.hub().metrics();
        web.floods.note_page(metrics, counted.peer(), request.headers(), &refusal);
        return Problem::from(refusal).for_any_page();
    }
    let (upgrade, mut response) = match accepted(&mut request) {
        Ok(accepted) => accepted,
        Err(refusal) => {
            turned_away(TurnedAway::Handshakes);
            return *refusal;
        }
    };
    let (mut identity, mut dialect) = introduce(web, request.headers(), request.uri().query());
    if let Err(refusal) = &identity
        && web.desk.auth().waited_for_key(refusal).await
    {
        (identity, dialect) = introduce(web, request.headers(), request.uri().query());
    }
    if identity.is_err() && !web.desk.auth().is_open() {
        turned_away(TurnedAway::Tokens);
    }
    if let Err(refusal) = &identity
        && refusal.code == ErrorCode::Unavailable
    {
        // Whoever is refused for what it is stays away for good; this one is to come back.
        return Problem::from(refusal.clone()).into_response();
    }
    if let Ok(Identity { user, .. }) = &identity
        && let Err(refusal) = web.desk.hub().check_connections(user)
    {
        return Problem::from(refusal).into_response();
    }
    if offers_our_protocol(request.headers()) {
        let name = HeaderValue::from_static(SUBPROTOCOL);
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
    }
    let offered = lines(request.headers(), &SEC_WEBSOCKET_EXTENSIONS);
    let extension = rules.answer_extensions(offered).filter(|_| D::SQUEEZES);
    if let Some(answer) = extension {
        let line = HeaderValue::from_static(answer.line());
        response.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, line);
    }
    let asked = Asked { upgrade, dialect, squeezes: extension.is_some() };
    let desk = Arc::clone(&web.desk);
    tokio::spawn(connect(desk, rules, counted, asked, identity));
    response
}

/// What a handshake (RFC 6455, section 4.2.1) is answered with, or why it is none.
fn accepted(request: &mut Request) -> Result<(OnUpgrade, Response), Box<Response>> {
    let refused = |why: &str| Box::new(not_a_handshake(why));
    for (name, word) in [(CONNECTION, "upgrade"), (UPGRADE, "websocket")] {
        let headers = request.headers_mut();
        // The library reads one line, and of UPGRADE one word. Both are lists, over several lines if
        // the client likes, and what else is in there is not for us.
        if listed(headers, &name).any(|item| item.eq_ignore_ascii_case(word)) {
            headers.insert(name, HeaderValue::from_static(word));
        }
    }
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(refused("the request asks for no upgrade"));
    };
    if request.headers().get_all(SEC_WEBSOCKET_VERSION).iter().any(|version| version != VERSION) {
        return Err(Box::new(another_version()));
    }
    match create_response_with_body(request, Body::empty) {
        Ok(response) => Ok((upgrade, response)),
        Err(error) => Err(refused(&error.to_string())),
    }
}

fn not_a_handshake(why: &str) -> Response {
    let text = format!("this is the WebSocket endpoint: {why}");
    let refusal = Refusal::new(ErrorCode::InvalidField, text);
    Problem::from(Refusal { field: Some("upgrade"), ..refusal }).into_response()
}

/// RFC 6455, section 4.4.
fn another_version() -> Response {
    let rule = format_args!("must be {VERSION}");
    let refusal = Refusal::invalid("sec-websocket-version", rule);
    let mut response = Problem::with_status(StatusCode::UPGRADE_REQUIRED, refusal).into_response();
    let headers = response.headers_mut();
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

fn offers_our_protocol(headers: &HeaderMap) -> bool {
    offered(headers).any(|name| name == SUBPROTOCOL)
}

/// The subprotocols that the client offers.
fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    listed(headers, &SEC_WEBSOCKET_PROTOCOL)
}

/// The items of a list that may stand in several lines.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    lines(headers, name).flat_map(|value| value.split(',')).map(str::trim)
}

fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// What a handshake asked for.
struct Asked<D> {
    upgrade: OnUpgrade,
    dialect: D,
    /// It was answered that messages may be compressed.
    squeezes: bool,
}

/// Waits for the upgrade, and runs the connection in a task of its own: the one that waited for
/// HTTP is larger than a connection needs.
async fn connect(
    desk: Arc<Desk>,
    rules: Arc<SocketRules>,
    counted: Arc<Counted>,
    asked: Asked<impl Dialect>,
    identity: Result<Identity, Refusal>,
) {
    let Asked { upgrade, dialect, squeezes } = asked;
    let Ok(upgraded) = upgrade.await else { return };
    let Some((transport, early)) = bare(upgraded) else {
        tracing::error!("an upgraded connection is no socket of ours");
        return;
    };
    let upgraded = Upgraded { transport, early, dialect, squeezes };
    connection::start(desk, rules, upgraded, identity, counted);
}

/// Who asks: by its token, or in open mode by its word.
fn identify(web: &Web, headers: &HeaderMap, query: Option<&str>) -> Result<Identity, Refusal> {
    let query = query.unwrap_or_default();
    if web.desk.auth().is_open() {
        return Ok(Identity { user: user_of(web.desk.hub().chance(), query)?, access: None });
    }
    let token = bearer(headers)
        .map(str::to_owned)
        .or_else(|| {
            offered(headers).find_map(|name| name.strip_prefix("bearer.")).map(str::to_owned)
        })
        .or_else(|| form_value(query, "token"))
        .ok_or_else(|| {
            let rule = "is required: as ?token=, as Authorization: Bearer, or as the second \
                        subprotocol, bearer.TOKEN";
            Refusal::field(ErrorCode::Unauthenticated, "token", rule)
        })?;
    web.desk.auth().verify_token(&token, web.desk.now())
}

/// Whoever `?user=` says, or a guest. Open mode: the name is taken at its word.
fn user_of(chance: &Chance, query: &str) -> Result<UserId, Refusal> {
    let given = form_value(query, "user").filter(|name| !name.is_empty());
    match given {
        Some(name) => UserId::parse(&name, "user"),
        None => UserId::parse(&format!("guest-{:08x}", chance.number() as u32), "user"),
    }
}

/// The value of a key in a query string, decoded.
fn form_value(query: &str, key: &str) -> Option<String> {
    let (_, value) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == key)?;
    Some(value.into_owned())
}
