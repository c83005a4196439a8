//! What is served over HTTP: the tables of all wings, and what stands beside them.

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Extension, Router};

use super::upgrade;
use crate::admin::{self, Samples};
use crate::config::Config;
use crate::connection::SocketRules;
use crate::demo::{self, Visitors, files};
use crate::http::OPERATIONS;
use crate::http::openapi::Document;
use crate::sse::{self, Streams};
use crate::vendors;
use crate::web::admit::admitted;
use crate::web::compressed::compress;
use crate::web::headers::guarded;
use crate::web::host::check_host;
use crate::web::manner::Herenow;
use crate::web::operation::{self, Port, Tables};
use crate::web::problem;
use crate::web::state::Web;

/// What can be asked, wing by wing.
pub const TABLES: Tables = &[OPERATIONS, sse::OPERATIONS, admin::OPERATIONS];

/// The routes of the port for whoever operates the broker.
pub fn admin(web: Web) -> Router {
    let routes = operation::beside_v1(TABLES, Port::Admin)
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method);
    let routes = routes.layer(from_fn_with_state(web.clone(), check_host));
    guarded(routes.layer(from_fn_with_state(web.clone(), compress))).with_state(web)
}

/// What wings keep beside the hub, which those who ask them need.
#[derive(Debug)]
pub struct Kept {
    /// The streams of events that are open.
    pub streams: Arc<Streams>,
    /// The broker's numbers of the last hour.
    pub samples: Arc<Samples>,
    /// Simulated viewers. Without them there is no path that asks for any.
    pub visitors: Option<Arc<Visitors>>,
}

/// The routes of the port that clients come to.
pub fn router(
    config: &Config,
    web: Web,
    rules: Arc<SocketRules>,
    document: Document,
    kept: Kept,
) -> Router {
    let Kept { streams, samples, visitors } = kept;
    let v1 = operation::below_v1(TABLES)
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer((Extension(streams), Extension(samples)));
    // Nobody could use it without a key, so then there is no such page.
    let page = if web.desk.auth().keys().is_empty() {
        Router::new()
    } else {
        let page = Router::new().route("/admin", get(files::admin));
        page.route("/admin/{file}", get(files::admin_file))
    };
    let viewers = visitors.map_or_else(Router::new, |visitors| {
        let routes = get(demo::route::read).put(demo::route::set).layer(Extension(visitors));
        admitted(web.clone(), Herenow { tables: &[] }, Router::new().route("/demo/crowd", routes))
    });
    let rules = Extension(rules);
    let realtime = get(upgrade::realtime).layer(rules.clone());
    let echo =
        config.echo.then(|| Router::new().route("/echo", get(upgrade::echo).layer(rules.clone())));
    let beside_v1 = operation::beside_v1(TABLES, Port::of_clients(config));
    let routes = Router::new()
        .nest("/v1", admitted(web.clone(), Herenow { tables: TABLES }, v1))
        .route("/", get(files::index))
        .route("/{file}", get(files::file))
        .route("/client/{file}", get(files::client))
        .merge(beside_v1.layer(Extension(Arc::new(document))))
        .merge(viewers)
        .merge(page)
        .merge(echo.unwrap_or_default())
        .merge(vendors::routes(&web, &config.vendors, realtime))
        .route("/ws", get(upgrade::websocket).layer(rules))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method);
    let addressed = routes.layer(from_fn_with_state(web.clone(), check_host));
    guarded(addressed.layer(from_fn_with_state(web.clone(), compress))).with_state(web)
}
