//! What is counted of requests as they are answered.

use std::fmt;

use axum::http::Method;
use herenow_protocol::ErrorCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::problem::name_of;

/// What is counted as it happens. All else is read when somebody asks.
#[derive(Default)]
pub struct RequestMetrics {
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

impl fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMetrics").finish_non_exhaustive()
    }
}

impl RequestMetrics {
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

    /// Puts the counters among those that `registry` shows.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_requests",
            "Requests to the HTTP API that were answered",
            self.requests.clone(),
        );
        registry.register(
            "http_refusals",
            "Requests to the HTTP API that were refused, by the code of the problem",
            self.refusals.clone(),
        );
    }
}
