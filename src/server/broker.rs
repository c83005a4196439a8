//! A broker from its start to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::connection_limits::ConnectionLimits;
use super::listener::{self, Serving, Times};
use super::renewal::{self, Renewable};
use super::routes::{self, Kept};
use crate::actions::{Desk, Rules};
use crate::admin::{self, Samples};
use crate::auth::Auth;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::Config;
use crate::connection::SocketRules;
use crate::demo::Visitors;
use crate::http::openapi::{Document, Terms};
use crate::hub::Hub;
use crate::jwks;
use crate::proxy::{Proxies, ProxyFlags};
use crate::redis;
use crate::sse::Streams;
use crate::tls::Shown;
use crate::web::state::Web;
use crate::webhooks::Hooks;

/// A broker that runs.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    /// The port for whoever operates it, which ends last.
    admin: Option<Admin>,
    hub: Arc<Hub>,
    streams: Arc<Streams>,
    drain_delay: Duration,
    drain_timeout: Duration,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    /// Ends when no request is under way, once it is told to stop.
    answered: mpsc::Receiver<Infallible>,
    /// What joins it to other nodes, if there are any.
    node: Option<redis::Node>,
    renewable: Arc<Renewable>,
}

/// The port for whoever operates a broker.
#[derive(Debug)]
struct Admin {
    address: SocketAddr,
    stop: watch::Sender<bool>,
}

/// Starts a broker on the current runtime; it listens when this returns.
///
/// # Errors
/// One line that names the flag: a configuration that contradicts itself, or an address that can't
/// be listened on.
pub fn start(config: &Config) -> Result<Broker, String> {
    start_with(config, Clock::start(), Chance::from_entropy())
}

/// As [`start`], on a clock and with chance that are handed in: for a test that cannot wait, or
/// that wants to see the same twice.
///
/// # Errors
/// As [`start`].
pub fn start_with(config: &Config, clock: Clock, chance: Chance) -> Result<Broker, String> {
    config.check()?;
    // First what is wrong whoever has the port: the files that flags name.
    let auth = Arc::new(Auth::new(&config.identity)?);
    let shown = Shown::of(&config.tls)?;
    let tls = shown.as_ref().map(Shown::terms).transpose()?;
    let redis = redis::Address::of(&config.cluster)?;
    if let Some(redis) = &redis {
        redis::check(redis, &config.cluster)?;
    }
    let (listener, address) = bind("--listen", config.listen)?;
    let for_operators = config.admin_listen.map(|at| bind("--admin-listen", at)).transpose()?;
    let seed = chance.number();
    let hub = Hub::start(config, clock, chance, Arc::default(), Handle::current());
    let (open, terms) = (auth.is_open(), Terms::new(config, auth.is_open()));
    let desk = Desk::new(Arc::clone(&hub), Arc::clone(&auth), Rules::new(config));
    let join = |redis| redis::Node::join(config, redis, address.port(), &desk);
    let node = redis.as_ref().map(join).transpose()?;
    let hooks = Hooks::start(config, &hub)?;
    let (stop, stopped) = watch::channel(false);
    jwks::mind(&auth, hub.clock(), hub.vital(), stopped.clone())?;
    let (web, rules) = (Web::new(config, desk, stopped.clone()), SocketRules::new(config));
    let limits = ConnectionLimits::new(config);
    let streams = Streams::new(config);
    // Only where everyone may do everything anyway, and nobody but this machine is everyone; and they speak
    // no TLS.
    let visitors = (open && address.ip().is_loopback() && tls.is_none()).then(|| {
        let (most, lease) = (limits.demo_viewers(), config.limits.demo_lease);
        Visitors::new(address, most, lease, seed, stopped.clone())
    });
    let document = Document::new(routes::TABLES, terms);
    let floods = Arc::clone(&web.floods);
    let (under_way, answered) = mpsc::channel(1);
    let (times, hub_too) = (Times::new(&config.limits), Arc::clone(&hub));
    let proxies = Arc::new(Proxies::new(&config.proxy));
    let samples = Arc::<Samples>::default();
    tokio::spawn(admin::mind(Arc::clone(&samples), web.clone()));
    let kept = Kept { streams: Arc::clone(&streams), samples, visitors };
    let for_admin = routes::admin(web.clone());
    let routes = routes::router(config, web, rules, document, kept);
    let serving = Serving {
        routes,
        floods,
        hub: hub_too,
        limits,
        proxies,
        tls,
        times,
        head_bytes: config.head_bytes(),
        stopped: stopped.clone(),
        under_way,
    };
    if let Some(shown) = &shown {
        tokio::spawn(renewal::mind(Arc::clone(shown), stopped));
    }
    let admin = Serving { routes: for_admin, ..serving.clone() };
    let admin = for_operators.map(|(listener, address)| serve_operators(listener, address, admin));
    let accepting = spawn_port(listener, serving);
    let (drain_delay, drain_timeout) = (config.drain_delay, config.drain_timeout);
    Ok(Broker {
        address,
        admin,
        hub,
        streams,
        drain_delay,
        drain_timeout,
        stop,
        accepting,
        answered,
        node,
        renewable: Arc::new(Renewable { auth, shown, hooks }),
    })
}

fn bind(flag: &str, at: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let listener = listener::bind(at).map_err(|error| listener::explain(flag, at, &error))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok((listener, address))
}

/// Serves whoever operates the broker, for as long as it runs: without TLS, and without believing any
/// proxy. A shutdown waits for none of them.
fn serve_operators(listener: TcpListener, address: SocketAddr, serving: Serving) -> Admin {
    let (stop, stopped) = watch::channel(false);
    let serving = Serving {
        limits: ConnectionLimits::of_operators(),
        proxies: Arc::new(Proxies::new(&ProxyFlags::default())),
        tls: None,
        stopped,
        under_way: mpsc::channel(1).0,
        ..serving
    };
    spawn_port(listener, serving);
    Admin { address, stop }
}

fn spawn_port(listener: TcpListener, serving: Serving) -> JoinHandle<()> {
    let vital = serving.hub.vital().clone();
    tokio::spawn(vital.mind("a port", listener::accept(listener, serving)))
}

impl Broker {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for whoever operates it, if that is another place.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// Whether clients speak TLS to it.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.renewable.shown.is_some()
    }

    /// Reads again what may be replaced while it runs: the keys of tokens and of back ends, the
    /// certificate and its key, the webhooks. Whoever is connected stays so, and what can't be used
    /// changes nothing but the log.
    pub async fn reload(&self) {
        self.renewable.renew().await;
    }

    /// Waits until something on which everybody depends has panicked, which is a bug, and says what. Such a
    /// broker can't be relied on any longer, and is to be [stopped](Self::stop).
    pub async fn failed(&self) -> &'static str {
        self.hub.vital().failed().await
    }

    /// How many streams of events are open.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.streams.count()
    }

    /// All channels and connections, for looking at them.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Is not ready for newcomers from here on, and serves them all the same for the drain delay. Then it
    /// stops accepting, tells every client to come back later, some at a time, answers the requests that
    /// are under way, and waits for all of them to go: at most for the drain timeout. Streams of events
    /// end at once, since a client can't end them.
    pub async fn stop(mut self) {
        self.hub.prepare_to_leave();
        if !self.drain_delay.is_zero() {
            tokio::time::sleep(self.drain_delay).await;
        }
        let begun = self.hub.clock().elapsed();
        let _ = self.stop.send(true);
        self.node.iter().for_each(redis::Node::begin_draining);
        let _ = self.accepting.await;
        let gone = async {
            while self.hub.connection_count() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            self.answered.recv().await;
        };
        let sent_away = async {
            self.hub.drain(self.drain_timeout / 2).await;
            let left = self.drain_timeout.saturating_sub(self.hub.clock().elapsed() - begun);
            tokio::time::timeout(left, gone).await
        };
        let (gone, ()) = tokio::join!(sent_away, self.streams.end());
        if gone.is_err() {
            tracing::warn!(left = self.hub.connection_count(), "the drain timeout is over");
        }
        if let Some(hooks) = &self.renewable.hooks {
            hooks.end().await;
        }
        if let Some(node) = &self.node {
            node.leave().await;
        }
        if let Some(admin) = &self.admin {
            let _ = admin.stop.send(true);
        }
    }
}
