//! Keys that come from elsewhere, and may come late: whoever needs a key that is not known yet waits
//! here, and whoever fetches them is told.

use std::sync::atomic::{AtomicU64, Ordering};

use herenow_protocol::{ErrorCode, Refusal};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::limits::{JWKS_RETRY_MS, JWKS_WAIT};

/// Between those who need keys, and the one who fetches them.
#[derive(Debug)]
pub struct FetchedKeys {
    wanted: Notify,
    /// How often keys were fetched, or could not be.
    tries: watch::Sender<u64>,
    /// When the set that is in use came, in milliseconds of the broker's clock; [`u64::MAX`]: none did.
    came_ms: AtomicU64,
}

impl FetchedKeys {
    /// None came yet.
    pub(super) fn new() -> Self {
        let (tries, _) = watch::channel(0);
        Self { wanted: Notify::new(), tries, came_ms: AtomicU64::new(u64::MAX) }
    }

    /// Waits until somebody needs a key that is not known. For the one who fetches.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Somebody needs a key that is not known.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Tells whoever waits that there is nothing more to wait for: keys came, or could not be had, or
    /// were fetched so shortly before that no others are to be had.
    pub fn tried(&self) {
        self.tries.send_modify(|tries| *tries += 1);
    }

    pub(super) fn came(&self, now_ms: u64) {
        self.came_ms.store(now_ms, Ordering::Relaxed);
    }

    /// When the set that is in use came, in milliseconds of the broker's clock.
    #[must_use]
    pub fn came_ms(&self) -> Option<u64> {
        Some(self.came_ms.load(Ordering::Relaxed)).filter(|&ms| ms != u64::MAX)
    }

    /// Asks for fresh keys, and waits for the try to be over: at most [`JWKS_WAIT`].
    pub(super) async fn wait(&self) {
        let mut tries = self.tries.subscribe();
        self.want();
        let _ = timeout(JWKS_WAIT, tries.changed()).await;
    }
}

/// Refuses a token whose key is not there, and may be soon: it can be sent again. Where there is no key
/// at all, that is nothing that the token could do better.
pub(super) fn lacking(any_key: bool) -> Refusal {
    let (code, rule) = if any_key {
        (
            ErrorCode::Unauthenticated,
            "is signed by a key that is not known here; fresh ones are being fetched (--jwks-url)",
        )
    } else {
        (
            ErrorCode::Unavailable,
            "can't be verified yet: the keys could not be fetched so far (--jwks-url)",
        )
    };
    Refusal { retry_after_ms: Some(JWKS_RETRY_MS), ..Refusal::field(code, "token", rule) }
}

/// Whether that is why a token was refused. The other refusals that say when to come back, those of
/// tokens that are not good yet, tell a clock.
pub(super) fn is_lacking(refusal: &Refusal) -> bool {
    refusal.field == Some("token")
        && refusal.retry_after_ms == Some(JWKS_RETRY_MS)
        && refusal.now.is_none()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_goes_on_after_a_try() {
        let keys = Arc::new(FetchedKeys::new());
        let fetcher = Arc::clone(&keys);
        tokio::spawn(async move {
            fetcher.wanted().await;
            fetcher.tried();
        });
        timeout(JWKS_WAIT / 2, keys.wait()).await.unwrap();
    }

    #[test]
    fn only_what_a_key_could_mend_is_worth_a_second_try() {
        let not_yet = Refusal { now: Some(1), ..lacking(true) };
        let other = Refusal::field(ErrorCode::Unauthenticated, "token", "is damaged");
        for (refusal, worth) in
            [(lacking(true), true), (lacking(false), true), (not_yet, false), (other, false)]
        {
            assert_eq!(is_lacking(&refusal), worth, "{refusal:?}");
        }
    }
}
