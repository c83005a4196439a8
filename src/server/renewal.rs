//! Reads again what may be replaced while the broker runs: whenever it is told to, and a certificate that
//! was replaced by itself.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::auth::Auth;
use crate::limits::CERTIFICATE_LOOK;
use crate::tls::Shown;
use crate::webhooks::Hooks;

/// What may be replaced while the broker runs.
#[derive(Debug)]
pub(super) struct Renewable {
    /// Who may use it: the keys of tokens and of back ends.
    pub(super) auth: Arc<Auth>,
    /// The certificate that clients are shown, if they are shown one.
    pub(super) shown: Option<Arc<Shown>>,
    /// Who is told by HTTP requests, if anybody is.
    pub(super) hooks: Option<Hooks>,
}

impl Renewable {
    /// Reads it all again, beside the threads that serve: a file may take its time, or be a pipe into
    /// which nobody writes.
    pub(super) async fn renew(self: &Arc<Self>) {
        let all = Arc::clone(self);
        // Nothing in it panics.
        let _ = spawn_blocking(move || all.read_again()).await;
    }

    fn read_again(&self) {
        match self.auth.read_again() {
            Ok(()) => tracing::info!("the keys were read again"),
            Err(wrong) => {
                for error in wrong {
                    tracing::error!(%error, "the keys stay as they were");
                }
            }
        }
        if let Some(shown) = &self.shown {
            tell(shown.read_again());
        }
        match self.hooks.as_ref().map(Hooks::read_again) {
            Some(Ok(())) => tracing::info!("the webhooks were read again"),
            Some(Err(error)) => tracing::error!(%error, "the webhooks stay as they were"),
            None => {}
        }
    }
}

/// Looks at the certificate's files again and again, until the broker goes.
pub(super) async fn mind(shown: Arc<Shown>, mut stopped: watch::Receiver<bool>) {
    let stop = stopped.wait_for(|&stop| stop);
    let looks = async {
        loop {
            sleep(CERTIFICATE_LOOK).await;
            let shown = Arc::clone(&shown);
            if let Ok(Some(read)) = spawn_blocking(move || shown.read_if_changed()).await {
                tell(read);
            }
        }
    };
    tokio::select! {
        _ = stop => {}
        () = looks => {}
    }
}

fn tell(read: Result<(), String>) {
    match read {
        Ok(()) => tracing::info!("clients that connect from now on are shown the certificate anew"),
        Err(error) => tracing::error!(%error, "the certificate stays as it was"),
    }
}
