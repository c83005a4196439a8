//! What every request works with.

use std::sync::Arc;
use std::time::Duration;

use super::limit::Limiter;
use super::metrics::Metrics;
use crate::auth::Auth;
use crate::config::Config;
use crate::connection::Rules;
use crate::hub::Hub;

/// What every request works with. Cloned for each: it is a handful of handles.
#[derive(Clone, Debug)]
pub struct Web {
    /// All channels and connections.
    pub hub: Arc<Hub>,
    /// What holds for every connection.
    pub rules: Arc<Rules>,
    /// Who may do what.
    pub auth: Arc<Auth>,
    /// The allowances of callers.
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) metrics: Arc<Metrics>,
    /// Largest body.
    pub(crate) body_bytes: usize,
    /// Time in which a body must have come whole.
    pub(crate) body_time: Duration,
    /// Longest lease, in milliseconds.
    pub(crate) lease_ms: u64,
}

impl Web {
    /// What `config` sets.
    #[must_use]
    pub fn new(config: &Config, hub: Arc<Hub>, rules: Arc<Rules>, auth: Arc<Auth>) -> Self {
        let limits = &config.limits;
        Self {
            hub,
            rules,
            auth,
            limiter: Arc::new(Limiter::new(limits)),
            metrics: Arc::default(),
            body_bytes: limits.max_message_bytes as usize,
            body_time: limits.max_handshake,
            lease_ms: limits.max_lease.as_millis() as u64,
        }
    }
}
