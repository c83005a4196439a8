//! What every request works with.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::flood::Floods;
use super::limit::Limiter;
use super::packed::Packed;
use super::process::LastLook;
use crate::actions::Desk;
use crate::config::{Compression, Config};

/// What every request works with. Cloned for each, and for each layer that it passes: one handle.
#[derive(Clone, Debug)]
pub struct Web(Arc<Tools>);

/// What [`Web`] is a handle to.
#[derive(Debug)]
pub struct Tools {
    /// Where everything is asked for.
    pub desk: Arc<Desk>,
    /// How often each caller may still ask.
    pub(crate) limiter: Limiter,
    /// Largest body.
    pub(crate) body_bytes: usize,
    /// Time in which a body must have come whole.
    pub(crate) body_time: Duration,
    /// Whether large answers are compressed for who takes that.
    pub(crate) compresses: bool,
    /// Those that do not change, as they were compressed.
    pub(super) packed: Packed,
    /// What the log says of those who are turned away.
    pub(crate) floods: Arc<Floods>,
    /// The process, as it was looked at last.
    pub(crate) last_look: LastLook,
    /// Whether the broker goes.
    stopped: watch::Receiver<bool>,
    /// The log says that there is a proxy.
    warned_of_proxy: AtomicBool,
}

impl Deref for Web {
    type Target = Tools;

    fn deref(&self) -> &Tools {
        &self.0
    }
}

impl Web {
    /// What `config` sets; `stopped` becomes true when the broker goes.
    #[must_use]
    pub fn new(config: &Config, desk: Arc<Desk>, stopped: watch::Receiver<bool>) -> Self {
        let limits = &config.limits;
        Self(Arc::new(Tools {
            desk,
            limiter: Limiter::new(limits),
            body_bytes: limits.max_message_bytes as usize,
            body_time: limits.max_handshake,
            compresses: config.compression == Compression::On,
            packed: Packed::default(),
            floods: Floods::new(),
            last_look: LastLook::default(),
            stopped,
            warned_of_proxy: AtomicBool::new(false),
        }))
    }

    /// Becomes true when the broker goes: for whoever holds a request until there is something to
    /// say.
    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stopped.clone()
    }

    /// Tells the operator, once, that an open broker is reached through a proxy.
    pub(crate) fn warn_of_proxy(&self) {
        if !self.warned_of_proxy.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a request came through a proxy, and this broker asks for no tokens: whoever \
                 reaches the proxy may be anyone here; see --jwt-secret-file"
            );
        }
    }
}
