//! What HTTP was spoken over, taken apart once a WebSocket begins.

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::awaited::Awaited;
use super::watched::Watched;
use crate::delivery::Transport;

type Plain = Awaited<TokioIo<Watched<TcpStream>>>;
type Secured = Awaited<TokioIo<TlsStream<Watched<TcpStream>>>>;

/// The bare socket, and what came behind the handshake. `None`: it is none that we accepted.
#[must_use]
pub(super) fn bare(upgraded: Upgraded) -> Option<(Transport, Vec<u8>)> {
    let upgraded = match upgraded.downcast::<Plain>() {
        Ok(parts) => {
            let socket = parts.io.into_inner().into_inner().into_inner();
            return Some((Transport::plain(socket), parts.read_buf.into()));
        }
        Err(upgraded) => upgraded,
    };
    let parts = upgraded.downcast::<Secured>().ok()?;
    let (socket, session) = parts.io.into_inner().into_inner().into_inner();
    Some((Transport::tls(socket.into_inner(), session), parts.read_buf.into()))
}
