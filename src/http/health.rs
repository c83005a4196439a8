//! For whoever watches over the broker: is it alive, is it ready, what does it do.

use std::collections::HashSet;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use herenow_protocol::{ErrorCode, Refusal};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::shapes::{ClusterHealth, Health};
use crate::logging;
use crate::web::compressed::ForAll;
use crate::web::problem::Problem;
use crate::web::state::Web;

/// Alive: the process answers.
pub async fn healthz() -> Json<Health> {
    Json(Health { status: "ok", cluster: None })
}

/// Ready for new clients: not from the moment on when it is told to shut down. One of many nodes is ready while Redis is away, too:
/// it serves its own clients as ever, and says that it is alone.
pub async fn readyz(State(web): State<Web>) -> Response {
    if web.desk.hub().is_leaving() {
        let refusal = Refusal::new(ErrorCode::Unavailable, "the broker is shutting down");
        return Problem::from(Refusal { retry_after_ms: Some(5_000), ..refusal }).into_response();
    }
    if web.desk.auth().waits_for_keys() {
        let text = "the keys of tokens could not be fetched so far (--jwks-url)";
        let refusal = Refusal::new(ErrorCode::Unavailable, text);
        return Problem::from(Refusal { retry_after_ms: Some(1_000), ..refusal }).into_response();
    }
    let cluster = web.desk.hub().engine().map(|engine| ClusterHealth {
        redis: if engine.is_well() { "ok" } else { "away" },
        nodes: engine.others(),
    });
    Json(Health { status: "ok", cluster }).into_response()
}

/// Everything in numbers, as Prometheus reads it: in the OpenMetrics text format, or in the older one
/// for whoever asks for `text/plain` and not for OpenMetrics.
pub async fn metrics(State(web): State<Web>, headers: HeaderMap) -> Response {
    let hub = web.desk.hub();
    let process = web.last_look.at(web.desk.now().mono_ms).await;
    let mut registry = Registry::with_prefix("herenow");
    let mut gauge = |name: &str, help: &str, value: usize| {
        registry.register(name, help, ConstGauge::new(value as u64));
    };
    gauge("connections", "WebSockets that are connected", hub.connection_count());
    gauge("channels", "Channels with a member or a subscriber", hub.channel_count());
    gauge("users", "Users that are known", hub.user_count());
    let kept = hub.backlog().bytes();
    gauge("backlog_bytes", "Bytes that slow readers keep in memory, of --max-backlog", kept);
    let keys = web.desk.auth().fetching().map(|(_, keys)| keys.came_ms().unwrap_or(0));
    let age = keys.map_or(0, |ms| web.desk.now().mono_ms.saturating_sub(ms) as usize / 1_000);
    gauge("jwks_age_seconds", "Since the keys of tokens were fetched, if they are fetched", age);
    gauge("resident_bytes", "Memory of the process", process.resident_bytes);
    gauge("open_files", "Files that the process has open, sockets among them", process.open_files);
    gauge("max_open_files", "Files that the process may have open", process.max_open_files);
    gauge("tasks", "Tasks of the runtime that have not ended", process.tasks);
    gauge("uptime_seconds", "Since the start", hub.clock().elapsed().as_secs() as usize);
    registry.register(
        "lost_log_lines",
        "Lines of the log that were lost because it was not read",
        ConstCounter::new(logging::lost_lines() as u64),
    );
    registry.register(
        "panics",
        "Times that something panicked, which is a bug each time",
        ConstCounter::new(logging::panics()),
    );
    registry.register(
        "connections_opened",
        "WebSockets that were ever connected",
        ConstCounter::new(hub.connections_opened()),
    );
    hub.metrics().register(&mut registry);
    if let Some(engine) = hub.engine() {
        engine.register(&mut registry);
    }
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        return Problem::from(Refusal::new(ErrorCode::Internal, "the metrics can't be written"))
            .into_response();
    }
    let (kind, text) = if wants_plain_text(&headers) {
        ("text/plain; version=0.0.4; charset=utf-8", plain_text(&text))
    } else {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", text)
    };
    ([(CONTENT_TYPE, kind), (VARY, "accept")], Extension(ForAll), text).into_response()
}

fn wants_plain_text(headers: &HeaderMap) -> bool {
    let accepted: Vec<_> =
        headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).collect();
    let names = |kind| accepted.iter().any(|accept| accept.contains(kind));
    names("text/plain") && !names("application/openmetrics-text")
}

/// OpenMetrics in Prometheus' older words: there a counter has the name of its samples, so `_total`
/// belongs to it, and the end has no line.
fn plain_text(open_metrics: &str) -> String {
    let mut counters = HashSet::new();
    for line in open_metrics.lines() {
        if let Some(name) = line.strip_prefix("# TYPE ").and_then(|l| l.strip_suffix(" counter")) {
            counters.insert(name);
        }
    }
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(kind), Some(name), Some(rest)) if counters.contains(name) => {
                text.extend(["# ", kind, " ", name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}
