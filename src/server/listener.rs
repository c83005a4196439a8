//! Accepts connections, within bounds.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection_limits::{ConnectionLimits, Counted, OpenConnections};
use super::watched::Watched;
use crate::limits::{ACCEPT_BACK_OFF, BACKLOG, HEADER_BYTES, Limits, SEND_BUFFER_BYTES};
use crate::web::peer::Peer;
use crate::web::progress::Progress;

/// Listens on `address`.
///
/// # Errors
/// Whatever the system says.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted broker must not wait for the old one's connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Why `address` can't be listened on, in one line that names the flag.
#[must_use]
pub fn explain(address: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there already".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "listening there is not permitted".to_owned(),
        _ => error.to_string(),
    };
    format!("--listen {address}: {why}")
}

/// How long a client may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For a request's head to come whole.
    pub head: Duration,
    /// For at least a byte to be taken of an answer that demands it.
    pub write: Duration,
}

impl Times {
    /// Those that `limits` set.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { head: limits.max_handshake, write: limits.max_write_time }
    }
}

/// Accepts until told to stop. A connection over the bounds is closed at once: it costs nothing,
/// and its client hears of it sooner than from a full backlog.
pub async fn accept(
    listener: TcpListener,
    limits: ConnectionLimits,
    times: Times,
    routes: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let open = Arc::new(OpenConnections::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|&stop| stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => match open.count(peer.ip(), &limits) {
                Some(counted) => serve(stream, counted, times, routes.clone()),
                None => tracing::warn!(%peer, "refused: too many connections"),
            },
            // No descriptor or no memory: those who close make room.
            Err(error) => {
                tracing::warn!(%error, "can't accept");
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

/// Serves HTTP on a socket; a WebSocket handshake takes the socket away from here.
fn serve(stream: TcpStream, counted: Counted, times: Times, routes: Router) {
    // Both only make things better: a socket without them still works.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
    let progress = Progress::default();
    let socket = Watched::new(TokioIo::new(stream), progress.clone(), times.write);
    let routes = TowerToHyperService::new(routes);
    let service = ConnectionService { counted: Arc::new(counted), progress, routes };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(times.head)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(socket, service)
        .with_upgrades();
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP connection ended");
        }
    });
}

/// The routes, with each request carrying the connection's [`Counted`], which an upgrade takes
/// along, and its [`Progress`].
struct ConnectionService {
    counted: Arc<Counted>,
    progress: Progress,
    routes: TowerToHyperService<Router>,
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Peer(self.counted.address()));
        request.extensions_mut().insert(Arc::clone(&self.counted));
        request.extensions_mut().insert(self.progress.clone());
        self.routes.call(request)
    }
}
