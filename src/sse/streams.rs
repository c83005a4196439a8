//! What all streams share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::Config;
use crate::limits::SSE_DRAIN;

/// The streams of one broker.
#[derive(Debug)]
pub struct Streams {
    /// After so long without an event a stream sends a comment.
    pub(super) keep_alive: Duration,
    /// Whether all streams end. Each open one holds a receiver.
    ending: watch::Sender<bool>,
}

impl Streams {
    /// None is open yet.
    #[must_use]
    pub fn new(config: &Config) -> Arc<Self> {
        let keep_alive = config.limits.sse_keep_alive;
        Arc::new(Self { keep_alive, ending: watch::Sender::new(false) })
    }

    /// One more stream: it is open for as long as the receiver is kept, and ends when that says so.
    pub(super) fn open(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ending.receiver_count()
    }

    /// Ends all streams, those to come included, and gives them a moment for their last bytes.
    pub async fn end(&self) {
        self.ending.send_replace(true);
        let _ = tokio::time::timeout(SSE_DRAIN, self.ending.closed()).await;
    }
}
