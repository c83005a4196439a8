//! Accepts connections, within bounds.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use herenow_protocol::{ErrorCode, Refusal};
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConnection;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::awaited::{Awaited, Patience};
use super::connection_limits::{Carrier, ConnectionLimits, Counted, OpenConnections};
use super::owed::Owed;
use super::watched::Watched;
use crate::hub::Hub;
use crate::limits::{
    ACCEPT_BACK_OFF, ACCEPTS_AT_ONCE, BACKLOG, Limits, SEND_BUFFER_BYTES, TLS_ANSWER_BYTES,
};
use crate::metrics::TurnedAway;
use crate::proxy::Proxies;
use crate::proxy::preface::{self, FIXED_BYTES};
use crate::tls;
use crate::web::flood::Floods;
use crate::web::hang_up::is_hang_up;
use crate::web::problem::Problem;

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

/// Why the `address` of `flag` can't be listened on, in one line that names both.
#[must_use]
pub fn explain(flag: &str, address: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there already".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "listening there is not permitted".to_owned(),
        _ => error.to_string(),
    };
    format!("{flag} {address}: {why}")
}

/// How long a client may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For asking.
    pub ask: Patience,
    /// For at least a byte to be taken of an answer.
    pub write: Duration,
}

impl Times {
    /// Those that `limits` set.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let ask = Patience { head: limits.max_handshake, idle: limits.max_http_idle };
        Self { ask, write: limits.max_write_time }
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
    /// How many connections there may be.
    pub limits: ConnectionLimits,
    /// Which proxies are believed.
    pub proxies: Arc<Proxies>,
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
pub async fn accept(listener: TcpListener, serving: Serving) {
    let Serving { floods, hub, .. } = &serving;
    let mut stopped = serving.stopped.clone();
    let open = Arc::new(OpenConnections::default());
    for count in 1_usize.. {
        if count.is_multiple_of(ACCEPTS_AT_ONCE) {
            tokio::task::yield_now().await;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|&stop| stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (ip, limits) = (peer.ip(), &serving.limits);
                let from = if serving.proxies.trust(ip) {
                    open.carry(ip, limits).map(|carrier| Whom::Proxy(Arc::new(carrier)))
                } else {
                    open.count(ip, limits).map(|counted| Whom::Client(Arc::new(counted)))
                };
                match from {
                    Some(from) => serve(stream, from, serving.clone()),
                    None => floods.note(hub.metrics(), TurnedAway::Connections, ip),
                }
            }
            // No descriptor or no memory: those who close make room.
            Err(error) => {
                floods.note(hub.metrics(), TurnedAway::Accepts, error);
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

/// Whom a connection is from.
#[derive(Clone)]
enum Whom {
    Client(Arc<Counted>),
    /// A proxy that says whom it speaks for.
    Proxy(Arc<Carrier>),
}

/// Serves HTTP on a socket, behind a proxy's preface and a TLS handshake where there are such; a
/// WebSocket handshake takes the socket away from here.
fn serve(stream: TcpStream, from: Whom, serving: Serving) {
    // Both only make things better: a socket without them still works.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
    // All that comes before the first answer has this time, and no more.
    let timer = Box::pin(sleep(serving.times.ask.head));
    match from {
        Whom::Client(_) if serving.tls.is_none() => {
            let (owed, write) = (Owed::default(), serving.times.write);
            let socket = TokioIo::new(Watched::new(stream, owed.clone(), write));
            tokio::spawn(speak(socket, from, owed, timer, serving));
        }
        // Apart, since their tasks are larger.
        _ => drop(tokio::spawn(begin(stream, from, timer, serving))),
    }
}

/// What comes ahead of HTTP, and then HTTP.
async fn begin(stream: TcpStream, from: Whom, mut timer: Pin<Box<Sleep>>, serving: Serving) {
    let mut stopped = serving.stopped.clone();
    let owed = Owed::default();
    let begun = tokio::select! {
        begun = introduce(stream, from, &owed, &serving) => begun,
        () = timer.as_mut() => Err("no whole handshake came in time".to_owned()),
        _ = stopped.wait_for(|&stop| stop) => return,
    };
    match begun {
        Ok(Some((socket, from))) => match socket {
            Begun::Plain(socket) => speak(TokioIo::new(socket), from, owed, timer, serving).await,
            Begun::Tls(socket) => speak(TokioIo::new(*socket), from, owed, timer, serving).await,
        },
        Ok(None) => {}
        Err(example) => {
            serving.floods.note(serving.hub.metrics(), TurnedAway::Handshakes, example);
        }
    }
}

/// A connection over which HTTP may be spoken.
enum Begun {
    Plain(Watched<TcpStream>),
    Tls(Box<TlsStream<Watched<TcpStream>>>),
}

/// Learns whom the connection is from, and makes the TLS handshake. `None`: it ended without a word, or
/// is one too many.
async fn introduce(
    mut stream: TcpStream,
    mut from: Whom,
    owed: &Owed,
    serving: &Serving,
) -> Result<Option<(Begun, Whom)>, String> {
    if let Whom::Proxy(carrier) = &from
        && serving.proxies.say_first()
    {
        let proxy = carrier.address();
        let Some(said) =
            read_preface(&mut stream).await.map_err(|why| format!("{proxy}: {why}"))?
        else {
            return Ok(None);
        };
        let client = said.unwrap_or(proxy);
        let Some(counted) = carrier.passed_on(client, &serving.limits) else {
            serving.floods.note(serving.hub.metrics(), TurnedAway::Connections, client);
            return Ok(None);
        };
        from = Whom::Client(Arc::new(counted));
    }
    let socket = Watched::new(stream, owed.clone(), serving.times.write);
    let Some(terms) = serving.tls.clone() else { return Ok(Some((Begun::Plain(socket), from))) };
    let bounded = |tls: &mut ServerConnection| tls.set_buffer_limit(Some(TLS_ANSWER_BYTES));
    match TlsAcceptor::from(terms).accept_with(socket, bounded).await {
        Ok(socket) => Ok(Some((Begun::Tls(Box::new(socket)), from))),
        // Somebody looked whether there is anybody: no news.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(format!("{}: TLS: {error}", from.address())),
    }
}

/// Whom a proxy speaks for on this connection; nobody: it doesn't say. `None`: the connection ended.
async fn read_preface(stream: &mut TcpStream) -> Result<Option<Option<IpAddr>>, String> {
    let mut bytes = vec![0; FIXED_BYTES];
    if stream.read_exact(&mut bytes).await.is_err() {
        return Ok(None);
    }
    let fixed = bytes.first_chunk().and_then(preface::rest_bytes);
    let rest = fixed.ok_or("no header of the PROXY protocol, version 2, came first")?;
    bytes.resize(FIXED_BYTES + rest, 0);
    if stream.read_exact(&mut bytes[FIXED_BYTES..]).await.is_err() {
        return Ok(None);
    }
    let said = preface::client(&bytes).ok_or("its header of the PROXY protocol is cut")?;
    Ok(Some(said))
}

impl Whom {
    fn address(&self) -> IpAddr {
        match self {
            Self::Client(counted) => counted.peer().0.to_canonical(),
            Self::Proxy(carrier) => carrier.address(),
        }
    }
}

/// HTTP on one connection, to its end or until a handshake takes the socket away.
async fn speak(
    socket: impl Read + Write + Unpin + Send + 'static,
    from: Whom,
    owed: Owed,
    timer: Pin<Box<Sleep>>,
    serving: Serving,
) {
    let Serving { routes, times, head_bytes, mut stopped, under_way, .. } = serving;
    let Serving { limits, proxies, floods, hub, .. } = serving;
    let socket = Awaited::new(socket, owed.clone(), times.ask, timer);
    let routes = TowerToHyperService::new(routes);
    let passed_on = PassedOn { limits, proxies, floods, hub };
    let service = ConnectionService { from, passed_on, owed: owed.clone(), routes };
    // Its own time for a head would hold between two requests, too.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
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

/// What is needed to say whom a request is from that a proxy passed on.
struct PassedOn {
    limits: ConnectionLimits,
    proxies: Arc<Proxies>,
    floods: Arc<Floods>,
    hub: Arc<Hub>,
}

/// The routes, with each request carrying its [`Counted`], which an upgrade takes along.
struct ConnectionService {
    from: Whom,
    passed_on: PassedOn,
    owed: Owed,
    routes: TowerToHyperService<Router>,
}

impl ConnectionService {
    /// Whom a request is from, counted; or how it is refused, since that one has too many.
    fn count(&self, headers: &HeaderMap) -> Result<Arc<Counted>, Problem> {
        let carrier = match &self.from {
            Whom::Client(counted) => return Ok(Arc::clone(counted)),
            Whom::Proxy(carrier) => carrier,
        };
        let PassedOn { limits, proxies, floods, hub } = &self.passed_on;
        let client = proxies.client(carrier.address(), headers);
        carrier.passed_on(client, limits).map(Arc::new).ok_or_else(|| {
            floods.note(hub.metrics(), TurnedAway::Connections, client);
            Refusal::new(ErrorCode::Unavailable, "too many connections from this address").into()
        })
    }
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Response;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.owed.asked();
        let owed = self.owed.clone();
        let counted = match self.count(request.headers()) {
            Ok(counted) => counted,
            Err(refusal) => {
                return Box::pin(async move { Ok(owed.answered(refusal.into_response(), None)) });
            }
        };
        request.extensions_mut().insert(counted.peer());
        request.extensions_mut().insert(Arc::clone(&counted));
        let answer = self.routes.call(request);
        Box::pin(async move {
            let Ok(response) = answer.await;
            // An error here breaks the connection, with nothing sent.
            if is_hang_up(&response) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Ok(owed.answered(response, Some(counted)))
        })
    }
}
