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
use crate::limits::{ACCEPT_BACK_OFF, BACKLOG, HEADER_BYTES, SEND_BUFFER_BYTES};
use crate::web::peer::Peer;

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

/// Accepts until told to stop. A connection over the bounds is closed at once: it costs nothing,
/// and its client hears of it sooner than from a full backlog.
pub async fn accept(
    listener: TcpListener,
    limits: ConnectionLimits,
    handshake: Duration,
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
                Some(counted) => serve(stream, counted, handshake, routes.clone()),
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
fn serve(stream: TcpStream, counted: Counted, handshake: Duration, routes: Router) {
    // Both only make things better: a socket without them still works.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
    let service =
        CountedService { counted: Arc::new(counted), routes: TowerToHyperService::new(routes) };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(handshake)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP connection ended");
        }
    });
}

/// The routes, with each request carrying the connection's [`Counted`], which an upgrade takes
/// along.
struct CountedService {
    counted: Arc<Counted>,
    routes: TowerToHyperService<Router>,
}

impl Service<Request<Incoming>> for CountedService {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Peer(self.counted.address()));
        request.extensions_mut().insert(Arc::clone(&self.counted));
        self.routes.call(request)
    }
}
