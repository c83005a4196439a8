//! The HTTP API: what back ends ask and do, and presence for who holds no socket.
//!
//! In the order in which a request meets them:
//!
//! - [`admit`]: what holds for every request: origin, rate, caller.
//! - [`limit`]: how many requests each caller may still make.
//! - [`caller`]: who asks, and what it may do and see.
//! - [`input`]: names, numbers and bodies out of a request, or what is wrong with them.
//! - [`channels`], [`members`], [`users`]: what is answered.
//! - [`shapes`]: answers as JSON.
//! - [`problem`]: refusals as problem details.
//! - [`health`]: for whoever watches over the broker.
//! - `operations`: all of it as a table, from which the routes are made.
//! - [`openapi`]: the document that describes it, made from the same table.

pub mod admit;
pub mod caller;
pub mod channels;
pub mod health;
pub mod input;
pub mod limit;
pub mod members;
pub mod openapi;
mod operations;
pub mod problem;
pub mod shapes;
pub mod users;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;

use crate::actions::Desk;
use crate::auth::Auth;
use crate::config::Config;
use crate::hub::Hub;
use health::Metrics;
use limit::Limiter;
use openapi::Terms;

/// What every request works with.
#[derive(Clone, Debug)]
pub struct Api {
    /// All channels and connections.
    pub hub: Arc<Hub>,
    /// Where everything is asked for.
    pub desk: Arc<Desk>,
    /// Who may do what.
    pub auth: Arc<Auth>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) metrics: Arc<Metrics>,
    bounds: Bounds,
    terms: Terms,
    /// Made when somebody asks for it first.
    document: Arc<OnceLock<Bytes>>,
}

/// The bounds of a request.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    body_bytes: usize,
    body_time: Duration,
    lease_ms: u64,
}

impl Api {
    /// What `config` sets.
    #[must_use]
    pub fn new(config: &Config, hub: Arc<Hub>, desk: Arc<Desk>, auth: Arc<Auth>) -> Self {
        let limits = &config.limits;
        let bounds = Bounds {
            body_bytes: limits.max_message_bytes as usize,
            body_time: limits.max_handshake,
            lease_ms: limits.max_lease.as_millis() as u64,
        };
        let terms = Terms {
            open: auth.is_open(),
            lease_ms: bounds.lease_ms,
            attribute_keys: limits.max_attribute_keys,
        };
        let limiter = Arc::new(Limiter::new(limits));
        Self {
            hub,
            desk,
            auth,
            limiter,
            metrics: Arc::default(),
            bounds,
            terms,
            document: Arc::default(),
        }
    }
}

/// The routes below `/v1`.
pub fn v1(api: Api) -> Router<Api> {
    let routes = operations::routes(true)
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method);
    admitted(api, routes)
}

/// `routes` for those who are let in, with bodies within bounds.
pub fn admitted(api: Api, routes: Router<Api>) -> Router<Api> {
    let body_bytes = api.bounds.body_bytes;
    routes
        .layer(axum::middleware::from_fn_with_state(api, admit::admit))
        .layer(DefaultBodyLimit::max(body_bytes))
}

/// The routes of those who watch over the broker, which ask for no credentials.
pub fn watch() -> Router<Api> {
    operations::routes(false)
}
