//! What is answered where.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get};
use axum::{Extension, Json, Router};
use serde::Serialize;

use super::fault::Fault;
use super::input::{Fields, object};
use super::list::Listing;
use super::manner::{Appwrite, credential};
use super::presences::{By, Presences};
use super::record::Presence;
use super::who::Who;
use crate::auth::Credential;
use crate::web::admit::admitted;
use crate::web::input::{Query, text_of};
use crate::web::state::Web;

/// Where it all is.
pub const PREFIX: &str = "/appwrite/v1";

/// Where WebSockets come. They are let in by their handshake alone.
const REALTIME: &str = "/appwrite/v1/realtime";

/// Longest time for which a library may ask for a list to be remembered, in seconds. None is.
const MAX_TTL: u64 = 86_400;

/// The routes. `sockets` takes over what comes as a WebSocket.
pub fn routes(web: &Web, sockets: MethodRouter<Web>) -> Router<Web> {
    let routes = Router::new()
        .route("/presences", get(list))
        .route("/presences/{id}", get(one).put(upsert).patch(update).delete(remove))
        .route("/account/sessions/{id}", delete(sign_out))
        .route("/ping", get(ping))
        .fallback(no_route)
        .method_not_allowed_fallback(no_route);
    Router::new()
        .nest(PREFIX, admitted(web.clone(), Appwrite, routes))
        .route(REALTIME, sockets)
        .layer(Extension(Arc::<Presences>::default()))
}

/// Preflights come here too, those of unknown paths included: so that a page reads what is answered
/// there.
async fn no_route(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Fault::no_route().into_response()
}

async fn ping() -> &'static str {
    "Pong!"
}

async fn upsert(
    State(web): State<Web>,
    Extension(presences): Extension<Arc<Presences>>,
    Extension(credential): Extension<Credential>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Presence>, Fault> {
    let fields = fields(&web, request).await?;
    web.desk.attend_records().await;
    let (who, now) = (Who::of(&credential), web.desk.now());
    let (presence, _) = presences.upsert(&web.desk, &who, &id, fields, By::Request, now)?;
    Ok(Json(presence))
}

async fn update(
    State(web): State<Web>,
    Extension(presences): Extension<Arc<Presences>>,
    Extension(credential): Extension<Credential>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Presence>, Fault> {
    let fields = fields(&web, request).await?;
    web.desk.attend_records().await;
    let who = Who::of(&credential);
    presences.update(&web.desk, &who, &id, fields, web.desk.now()).map(Json)
}

async fn fields(web: &Web, request: Request) -> Result<Fields, Fault> {
    let text = text_of(request, web).await.map_err(|problem| problem.into_parts().1)?;
    Fields::read(object(&text)?, web.desk.now().unix_ms, web.desk.hub().attribute_bytes())
}

async fn one(
    State(web): State<Web>,
    Extension(presences): Extension<Arc<Presences>>,
    Extension(credential): Extension<Credential>,
    Path(id): Path<String>,
) -> Result<Json<Presence>, Fault> {
    web.desk.attend_records().await;
    presences.get(&web.desk, &Who::of(&credential), &id).map(Json)
}

async fn remove(
    State(web): State<Web>,
    Extension(presences): Extension<Arc<Presences>>,
    Extension(credential): Extension<Credential>,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    web.desk.attend_records().await;
    presences.delete(&web.desk, &Who::of(&credential), &id, web.desk.now())?;
    // Without a content type: the libraries would read JSON out of nothing.
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
struct Page {
    total: usize,
    presences: Vec<Presence>,
}

async fn list(
    State(web): State<Web>,
    Extension(presences): Extension<Arc<Presences>>,
    Extension(credential): Extension<Credential>,
    uri: Uri,
) -> Result<Json<Page>, Fault> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let queries: Vec<_> =
        pairs.filter(|(name, _)| name.starts_with("queries[")).map(|(_, text)| text).collect();
    let listing = Listing::parse(queries.iter().map(|text| &**text))?;
    let query = Query::of(&uri);
    query.number("ttl", 0, MAX_TTL)?;
    let counts = !matches!(query.text("total").as_deref(), Some("false" | "0"));
    web.desk.attend_records().await;
    let (total, page) = presences.list(&web.desk, &Who::of(&credential), listing).await?;
    Ok(Json(Page { total: if counts { total } else { 0 }, presences: page }))
}

/// Ends the sockets that came by this credential, and with them what was written there.
async fn sign_out(
    Extension(presences): Extension<Arc<Presences>>,
    Extension(known): Extension<Credential>,
    headers: HeaderMap,
) -> Result<StatusCode, Fault> {
    match Who::of(&known) {
        Who::User(_) => {
            credential(&headers).iter().for_each(|one| presences.sessions().end(one));
            Ok(StatusCode::NO_CONTENT)
        }
        Who::Guest | Who::Backend(_) => {
            Err(Fault::scope("User (role: guests) missing scopes ([\"account\"])"))
        }
    }
}
