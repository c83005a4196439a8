//! What every request works with.

use std::sync::Arc;
use std::time::Duration;

use super::limit::Limiter;
use crate::actions::Desk;
use crate::config::Config;

/// What every request works with. Cloned for each: it is a handful of handles.
#[derive(Clone, Debug)]
pub struct Web {
    /// Where everything is asked for.
    pub desk: Arc<Desk>,
    /// How often each caller may still ask.
    pub(crate) limiter: Arc<Limiter>,
    /// Largest body.
    pub(crate) body_bytes: usize,
    /// Time in which a body must have come whole.
    pub(crate) body_time: Duration,
}

impl Web {
    /// What `config` sets.
    #[must_use]
    pub fn new(config: &Config, desk: Arc<Desk>) -> Self {
        let limits = &config.limits;
        Self {
            desk,
            limiter: Arc::new(Limiter::new(limits)),
            body_bytes: limits.max_message_bytes as usize,
            body_time: limits.max_handshake,
        }
    }
}
