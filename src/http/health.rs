//! For whoever watches over the broker: is it alive, is it ready, what does it do.

use std::fmt;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use herenow_protocol::{ErrorCode, Refusal};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Api;
use super::problem::{Problem, name_of};
use super::shapes::Health;

/// Alive: the process answers.
pub async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Ready for new clients: not while it shuts down.
pub async fn readyz(State(api): State<Api>) -> Response {
    if api.hub.is_draining() {
        let refusal = Refusal::new(ErrorCode::Unavailable, "the broker is shutting down");
        return Problem::from(Refusal { retry_after_ms: Some(5_000), ..refusal }).into_response();
    }
    healthz().await.into_response()
}

/// What is counted as it happens. All else is read when somebody asks.
#[derive(Default)]
pub struct Metrics {
    requests: Family<Labels, Counter>,
    refusals: Family<Code, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: String,
    /// The template, not the path: there are few, and no names in it.
    route: String,
    status: u16,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Counts a request that was answered, with the code if it was refused.
    pub(super) fn request(
        &self,
        method: &Method,
        route: &str,
        status: u16,
        code: Option<&ErrorCode>,
    ) {
        // Whatever a client calls a method: only those that exist are told apart.
        let known = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"];
        let method = known.iter().find(|name| **name == method.as_str()).unwrap_or(&"other");
        let labels = Labels { method: (*method).to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        if let Some(code) = code {
            self.refusals.get_or_create(&Code { code: name_of(*code) }).inc();
        }
    }
}

/// Everything in numbers, as Prometheus reads it (the OpenMetrics text format).
pub async fn metrics(State(api): State<Api>) -> Response {
    let mut registry = Registry::with_prefix("herenow");
    let mut gauge = |name: &str, help: &str, value: usize| {
        registry.register(name, help, ConstGauge::new(value as u64));
    };
    gauge("connections", "WebSockets that are connected", api.hub.connection_count());
    gauge("channels", "Channels with a member or a subscriber", api.hub.channel_count());
    gauge("users", "Users that are known", api.hub.user_count());
    gauge("uptime_seconds", "Since the start", api.hub.clock().elapsed().as_secs() as usize);
    registry.register(
        "connections_opened",
        "WebSockets that were ever connected",
        ConstCounter::new(api.hub.connections_opened()),
    );
    registry.register(
        "http_requests",
        "Requests to the HTTP API that were answered",
        api.metrics.requests.clone(),
    );
    registry.register(
        "http_refusals",
        "Requests to the HTTP API that were refused, by the code of the problem",
        api.metrics.refusals.clone(),
    );
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        return Problem::from(Refusal::new(ErrorCode::Internal, "the metrics can't be written"))
            .into_response();
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], text).into_response()
}
