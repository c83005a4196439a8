//! When to fetch the keys of tokens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::fetch::fetch;
use crate::auth::{Auth, FetchedKeys};
use crate::clock::Clock;
use crate::limits::{JWKS_BACK_OFF, JWKS_PAUSE};
use crate::outgoing::{Client, Reach, client};
use crate::vital::Vital;

/// Keeps the keys of tokens fresh until the broker goes, if they are fetched at all.
///
/// # Errors
/// One line that names the flag: there is nothing to fetch them with.
pub fn mind(
    auth: &Arc<Auth>,
    clock: Clock,
    vital: &Vital,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), String> {
    let Some((url, keys)) = auth.fetching() else { return Ok(()) };
    let fetcher = Fetcher {
        // It asks too seldom to keep a connection.
        client: client(Reach::Everywhere, false).map_err(|why| format!("--jwks-url: {why}"))?,
        url: url.to_owned(),
        auth: Arc::clone(auth),
        clock,
        back_off: *JWKS_BACK_OFF.start(),
    };
    tokio::spawn(vital.mind("what fetches keys", async move {
        tokio::select! {
            _ = stopped.wait_for(|&stop| stop) => {}
            () = fetcher.go_on(&keys) => {}
        }
    }));
    Ok(())
}

/// Fetches again and again.
struct Fetcher {
    client: Client,
    url: String,
    auth: Arc<Auth>,
    clock: Clock,
    /// How long to wait after the next try that fails.
    back_off: Duration,
}

impl Fetcher {
    async fn go_on(mut self, keys: &FetchedKeys) {
        loop {
            let begun = self.clock.elapsed();
            let again = sleep(self.try_once().await);
            tokio::pin!(again);
            keys.tried();
            loop {
                tokio::select! {
                    () = &mut again => break,
                    () = keys.wanted() => {
                        if self.clock.elapsed() - begun >= JWKS_PAUSE {
                            break;
                        }
                        // There are no fresher ones.
                        keys.tried();
                    }
                }
            }
        }
    }

    /// Fetches the keys; the result is when to do so again.
    async fn try_once(&mut self) -> Duration {
        let taken = match fetch(&self.client, &self.url).await {
            Ok(fetched) => {
                let taken = self.auth.take_fetched(&fetched.text, self.clock.now());
                taken.map(|left_out| (left_out, fetched.age))
            }
            Err(why) => Err(why),
        };
        match taken {
            Ok((left_out, age)) => {
                for why in left_out {
                    tracing::warn!("--jwks-url: left out: {why}");
                }
                self.back_off = *JWKS_BACK_OFF.start();
                age
            }
            Err(error) => {
                tracing::error!(%error, "--jwks-url: the keys of tokens stay as they were");
                let wait = self.back_off;
                self.back_off = (wait * 2).min(*JWKS_BACK_OFF.end());
                wait
            }
        }
    }
}
