//! Accepts connections, within bounds.

use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConnection;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection_limits::{ConnectionLimits, Counted, OpenConnections};
use super::owed::Owed;
use super::watched::Watched;
use crate::hub::Hub;
use crate::limits::{ACCEPT_BACK_OFF, BACKLOG, Limits, SEND_BUFFER_BYTES, TLS_ANSWER_BYTES};
use crate::metrics::TurnedAway;
use crate::tls;
use crate::web::flood::Floods;
use crate::web::hang_up::is_hang_up;
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

/// How long a client may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For a request's head to come whole.
    pub head: Duration,
    /// For at least a byte to be taken of an answer.
    pub write: Duration,
}

impl Times {
    /// Those that `limits` set.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { head: limits.max_handshake, write: limits.max_write_time }
    }
}

/// What stands behind every connection.
#[derive(Clone, Debug)]
pub struct Serving {
    /// What is answered.
    pub routes: Router,
    /// What the log says of those who are turned away, and where they are counted.
    pub floods: Arc<Floods>,
    /// See `floods`.
    pub hub: Arc<Hub>,
    /// How TLS handshakes are made; without, the port speaks plain HTTP.
    pub tls: Option<tls::Terms>,
    /// How long a client may take.
    pub times: Times,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Whether the broker goes.
    pub stopped: watch::Receiver<bool>,
    /// Kept until the last request is answered.
    pub under_way: mpsc::Sender<Infallible>,
}

/// Accepts until told to stop. A connection over the bounds is closed at once: it costs nothing,
/// and its client hears of it sooner than from a full backlog.
pub async fn accept(listener: TcpListener, limits: ConnectionLimits, serving: Serving) {
    let Serving { floods, hub, .. } = &serving;
    let mut stopped = serving.stopped.clone();
    let open = Arc::new(OpenConnections::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|&stop| stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => match open.count(peer.ip(), &limits) {
                Some(counted) => serve(stream, counted, serving.clone()),
                None => floods.note(hub.metrics(), TurnedAway::Connections, peer.ip()),
            },
            // No descriptor or no memory: those who close make room.
            Err(error) => {
                floods.note(hub.metrics(), TurnedAway::Accepts, error);
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

/// Serves HTTP on a socket, behind a TLS handshake if that is asked for; a WebSocket handshake takes
/// the socket away from here.
fn serve(stream: TcpStream, counted: Counted, serving: Serving) {
    // Both only make things better: a socket without them still works.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
    let owed = Owed::default();
    let socket = Watched::new(stream, owed.clone(), serving.times.write);
    let Some(terms) = serving.tls.clone() else {
        tokio::spawn(speak(TokioIo::new(socket), counted, owed, serving));
        return;
    };
    tokio::spawn(async move {
        if let Some(secured) = shake_hands(terms, socket, counted.peer(), &serving).await {
            speak(TokioIo::new(secured), counted, owed, serving).await;
        }
    });
}

/// The TLS handshake. `None`: there was none in time, or the broker goes.
async fn shake_hands(
    terms: tls::Terms,
    socket: Watched<TcpStream>,
    peer: Peer,
    serving: &Serving,
) -> Option<TlsStream<Watched<TcpStream>>> {
    let mut stopped = serving.stopped.clone();
    let bounded = |tls: &mut ServerConnection| tls.set_buffer_limit(Some(TLS_ANSWER_BYTES));
    let handshake = TlsAcceptor::from(terms).accept_with(socket, bounded);
    let made = tokio::select! {
        made = timeout(serving.times.head, handshake) => made,
        _ = stopped.wait_for(|&stop| stop) => return None,
    };
    let why: &dyn Display = match &made {
        Ok(Ok(_)) => return made.ok()?.ok(),
        // Somebody looked whether there is anybody: no news.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return None,
        Ok(Err(error)) => error,
        Err(_) => &"it did not come in time",
    };
    let example = format_args!("{peer}: TLS: {why}");
    serving.floods.note(serving.hub.metrics(), TurnedAway::Handshakes, example);
    None
}

/// HTTP on one connection, to its end or until a handshake takes the socket away.
async fn speak(
    socket: impl Read + Write + Unpin + Send + 'static,
    counted: Counted,
    owed: Owed,
    serving: Serving,
) {
    let Serving { routes, times, head_bytes, mut stopped, under_way, .. } = serving;
    let routes = TowerToHyperService::new(routes);
    let service = ConnectionService { counted: Arc::new(counted), owed: owed.clone(), routes };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(times.head)
        .max_buf_size(head_bytes)
        .serve_connection(socket, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let stop = async { drop(stopped.wait_for(|&stop| stop).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            leave(connection, &owed).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended");
    }
    drop(under_way);
}

/// Goes on with a connection for as long as its client is owed something.
async fn leave(
    mut connection: Pin<&mut impl Future<Output = hyper::Result<()>>>,
    owed: &Owed,
) -> hyper::Result<()> {
    loop {
        let Some(patience) = owed.patience() else { return connection.await };
        match timeout(patience, connection.as_mut()).await {
            Ok(ended) => return ended,
            // A request that had come was found just now.
            Err(_) if owed.patience().is_none() => {}
            Err(_) => return Ok(()),
        }
    }
}

/// The routes, with each request carrying the connection's [`Counted`], which an upgrade takes
/// along.
struct ConnectionService {
    counted: Arc<Counted>,
    owed: Owed,
    routes: TowerToHyperService<Router>,
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.counted.peer());
        request.extensions_mut().insert(Arc::clone(&self.counted));
        self.owed.asked();
        let (owed, answer) = (self.owed.clone(), self.routes.call(request));
        Box::pin(async move {
            let Ok(response) = answer.await;
            // An error here breaks the connection, with nothing sent.
            if is_hang_up(&response) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Ok(owed.answered(response))
        })
    }
}
