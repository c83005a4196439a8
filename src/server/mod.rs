//! The port: HTTP and WebSocket behind one listener, from start to shutdown.
//!
//! - [`listener`]: accepts, and backs off.
//! - [`census`]: how many connections are open.
//! - [`routes`]: what is served over HTTP, the demo page among it.
//! - [`upgrade`]: the WebSocket handshake, and the bare socket handed to its connection.
//! - [`demo`]: the page and the client library, compiled in.

pub mod census;
pub mod demo;
pub mod listener;
pub mod routes;
pub mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::actions::{Desk, Rules};
use crate::auth::Auth;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::Config;
use crate::connection::SocketRules;
use crate::crowd::Crowds;
use crate::http::Api;
use crate::hub::Hub;

/// A broker that runs.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    hub: Arc<Hub>,
    drain_timeout: Duration,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// Starts a broker on the current runtime; it listens when this returns.
///
/// # Errors
/// One line that names the flag: a configuration that contradicts itself, or an address that can't
/// be listened on.
pub fn start(config: &Config) -> Result<Broker, String> {
    config.check()?;
    // First what is wrong whoever has the port: the files that flags name.
    let auth = Arc::new(Auth::from_config(config)?);
    let listener =
        listener::bind(config.listen).map_err(|error| listener::explain(config.listen, &error))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let hub = Hub::start(
        config,
        Clock::start(),
        Chance::from_entropy(),
        Arc::default(),
        Handle::current(),
    );
    let desk = Desk::new(Arc::clone(&hub), Arc::clone(&auth), Rules::new(config));
    let api = Api::new(config, Arc::clone(&hub), desk, auth);
    let rules = SocketRules::new(config);
    let (stop, stopped) = watch::channel(false);
    let (limits, handshake) = (census::Limits::new(config), config.limits.max_handshake);
    // Only where everyone may do everything anyway, and nobody but this machine is everyone.
    let crowds = (api.auth.is_open() && address.ip().is_loopback())
        .then(|| Crowds::new(address, limits.crowd(), config.limits.crowd_lease, stopped.clone()));
    let routes = routes::router(api, rules, crowds);
    let accepting = tokio::spawn(listener::accept(listener, limits, handshake, routes, stopped));
    Ok(Broker { address, hub, drain_timeout: config.drain_timeout, stop, accepting })
}

impl Broker {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All channels and connections, for looking at them.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Stops accepting, tells every client to come back later, and waits for them to go: at most
    /// for the drain timeout.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.accepting.await;
        self.hub.drain();
        let gone = async {
            while self.hub.connection_count() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(self.drain_timeout, gone).await.is_err() {
            tracing::warn!(left = self.hub.connection_count(), "the drain timeout is over");
        }
    }
}
