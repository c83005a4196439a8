//! Whom a request is for: one host, and in open mode a name of the broker's own. Holds for whatever
//! is asked, with or without credentials.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{FORWARDED, HOST, VIA};
use axum::http::{HeaderMap, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use herenow_protocol::Refusal;

use super::peer::Peer;
use super::problem::Problem;
use super::state::Web;

/// Answers a request, if it is for one host, and that is this broker.
pub async fn check_host(
    State(web): State<Web>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(refusal) = one_host(&request) {
        return Problem::from(refusal).into_response();
    }
    if let Err(refusal) = own_host(&web, &request) {
        let metrics = web.desk.hub().metrics();
        web.floods.note_page(metrics, peer, request.headers(), &refusal);
        return Problem::with_status(StatusCode::MISDIRECTED_REQUEST, refusal).for_any_page();
    }
    if web.desk.auth().is_open() && came_by_a_proxy(request.headers()) {
        web.warn_of_proxy();
    }
    next.run(request).await
}

/// RFC 9112, section 3.2. Two that differ would be two things to whoever stands in between.
fn one_host(request: &Request) -> Result<(), Refusal> {
    let hosts = request.headers().get_all(HOST).iter().count();
    let needed = request.version() >= Version::HTTP_11;
    if hosts == 1 || (hosts == 0 && !needed) {
        return Ok(());
    }
    Err(Refusal::invalid("host", "must be given exactly once"))
}

/// The header, and what the request line names, where it names a host too.
fn own_host(web: &Web, request: &Request) -> Result<(), Refusal> {
    let header = request.headers().get(HOST);
    let header = header.map(|host| String::from_utf8_lossy(host.as_bytes()));
    let line = request.uri().authority().map(|authority| authority.as_str());
    header.as_deref().into_iter().chain(line).try_for_each(|host| web.desk.auth().check_host(host))
}

fn came_by_a_proxy(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| *name == FORWARDED || *name == VIA || name.as_str().starts_with("x-forwarded-"))
}
