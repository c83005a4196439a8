//! Requests of our own to others, over HTTP and HTTPS: as whom the system trusts, and to nobody else
//! than was asked, since another host could answer for the one that was meant. So no answer leads
//! elsewhere, and where addresses of our own network are none of the caller's business, what counts is
//! the address that a name leads to when it is connected to.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiFuture, GaiResolver, Name};
use hyper_util::rt::TokioExecutor;
use ipnet::IpNet;
use rustls::crypto::ring;
use tower_service::Service;

/// What asks.
pub type Client = legacy::Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// How we call ourselves.
pub const USER_AGENT: &str = concat!("herenow/", env!("CARGO_PKG_VERSION"));

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All.
    Everywhere,
    /// Those of the public network alone. An address that is written out is the caller's to check, by
    /// [`is_public`]: nothing is resolved then.
    Public,
}

/// Networks that are nobody's, or somebody's own (RFC 6890 and what came later).
const NOT_PUBLIC: [&str; 25] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/9",
    "ff00::/8",
];

static NETWORKS: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| NOT_PUBLIC.iter().filter_map(|net| net.parse().ok()).collect());

/// Whether the address is of the public network. One of IPv6 that stands for one of IPv4 is as that is.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    let ip = match ip {
        IpAddr::V6(v6) => stood_for(v6).map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    };
    !NETWORKS.iter().any(|net| net.contains(&ip))
}

/// The address of IPv4 in one of IPv6: mapped, translated (RFC 6052), or tunnelled (6to4).
fn stood_for(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(of(high, low))
        }
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

/// What asks. It keeps a connection that it may need again, if `keeps`.
///
/// # Errors
/// One line: the system's certificates can't be read.
pub fn client(reach: Reach, keeps: bool) -> Result<Client, String> {
    let mut http = HttpConnector::new_with_resolver(Resolver { reach, system: GaiResolver::new() });
    http.enforce_http(false);
    http.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(ring::default_provider())
        .map_err(|error| format!("the system's certificates: {error}"))?
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    let idle = usize::from(keeps);
    Ok(legacy::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(idle).build(connector))
}

/// The reason of a library's reasons: the outermost alone is "client error".
#[must_use]
pub fn said(error: &dyn Error) -> String {
    let mut reason = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}

/// Names to addresses, as the system does it, less those that may not be connected to.
#[derive(Clone, Debug)]
pub struct Resolver {
    reach: Reach,
    system: GaiResolver,
}

/// See [`Resolver`].
#[derive(Debug)]
pub struct Resolving {
    reach: Reach,
    system: GaiFuture,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Resolving;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.system.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Resolving {
        Resolving { reach: self.reach, system: self.system.call(name) }
    }
}

impl Future for Resolving {
    type Output = io::Result<std::vec::IntoIter<SocketAddr>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let found = ready!(Pin::new(&mut self.system).poll(cx))?;
        let may = |at: &SocketAddr| self.reach == Reach::Everywhere || is_public(at.ip());
        let may_be: Vec<_> = found.filter(may).collect();
        if may_be.is_empty() {
            return Poll::Ready(Err(io::Error::other("its name leads to no public address")));
        }
        Poll::Ready(Ok(may_be.into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_told_from_what_is() {
        assert_eq!(NETWORKS.len(), NOT_PUBLIC.len());
        for own in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "fe80::1",
            "fec0::1",
            "fd00::1",
            "ff02::1",
        ] {
            assert!(!is_public(own.parse().unwrap()), "{own}");
        }
        for public in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn a_name_counts_by_the_address_that_it_leads_to() {
        let resolve = async |reach| {
            let mut resolver = Resolver { reach, system: GaiResolver::new() };
            resolver.call("localhost".parse().unwrap()).await
        };
        assert!(resolve(Reach::Everywhere).await.unwrap().all(|at| at.ip().is_loopback()));
        assert!(resolve(Reach::Public).await.unwrap_err().to_string().contains("no public"));
    }
}
