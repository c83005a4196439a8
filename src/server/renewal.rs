//! Sees to it that a certificate that was replaced is shown.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::limits::CERTIFICATE_LOOK;
use crate::tls::Shown;

/// Looks at the files again and again, until the broker goes.
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

/// Reads the files now, changed or not.
pub(super) fn renew(shown: &Shown) {
    tell(shown.read_again());
}

fn tell(read: Result<(), String>) {
    match read {
        Ok(()) => tracing::info!("clients that connect from now on are shown the certificate anew"),
        Err(error) => tracing::error!(%error, "the certificate stays as it was"),
    }
}
