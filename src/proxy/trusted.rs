//! Who is believed, and what.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

use super::flags::{ProxyFlags, ProxySays};
use super::forwarded;

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    networks: Box<[IpNet]>,
    says: ProxySays,
}

impl Proxies {
    /// Those that the flags name.
    #[must_use]
    pub fn new(flags: &ProxyFlags) -> Self {
        Self { networks: flags.trusted_proxy.clone().into(), says: flags.proxy_says }
    }

    /// Whether that is the address of one of them.
    #[must_use]
    pub fn trust(&self, address: IpAddr) -> bool {
        // What listens on all addresses of both kinds sees those of IPv4 in another form.
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether what they say stands ahead of their connections, rather than in each request.
    #[must_use]
    pub fn say_first(&self) -> bool {
        self.says == ProxySays::ProxyProtocol
    }

    /// Whom a request is from that one of them passed on: the last address that is none of theirs.
    /// Where all are theirs, or something is no address, the farthest that one of them vouches for:
    /// `proxy` itself, if it says nothing.
    #[must_use]
    pub fn client(&self, proxy: IpAddr, headers: &HeaderMap) -> IpAddr {
        match self.says {
            ProxySays::XForwardedFor => self.last(proxy, forwarded::x_forwarded_for(headers)),
            ProxySays::Forwarded => self.last(proxy, forwarded::forwarded(headers)),
            ProxySays::ProxyProtocol => proxy,
        }
    }

    fn last(&self, proxy: IpAddr, mut chain: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut at = proxy;
        while self.trust(at)
            && let Some(Some(before)) = chain.next()
        {
            at = before.to_canonical();
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(says: ProxySays) -> Proxies {
        let trusted_proxy =
            ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec();
        Proxies::new(&ProxyFlags { trusted_proxy, proxy_says: says })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_that_is_not_trusted_is_the_client() {
        let proxies = proxies(ProxySays::XForwardedFor);
        for (chain, client) in [
            ("192.0.2.1", "192.0.2.1"),
            // Whatever a client wrote stands before what the proxy saw.
            ("10.9.9.9, 198.51.100.7, 192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, 10.0.0.7, fd00::9", "192.0.2.1"),
            ("10.0.0.8, 10.0.0.7", "10.0.0.8"),
            ("192.0.2.1, rubbish, 10.0.0.7", "10.0.0.7"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:10.0.0.9, 10.0.0.7", "10.0.0.9"),
            ("", "10.0.0.1"),
            ("rubbish", "10.0.0.1"),
        ] {
            let headers = HeaderMap::from_iter([(
                axum::http::HeaderName::from_static("x-forwarded-for"),
                chain.parse().unwrap(),
            )]);
            assert_eq!(proxies.client(ip("10.0.0.1"), &headers), ip(client), "{chain}");
            assert_eq!(proxies.client(ip("::ffff:10.0.0.1"), &headers).to_canonical(), ip(client));
            // Nobody else is believed.
            assert_eq!(proxies.client(ip("198.51.100.9"), &headers), ip("198.51.100.9"));
        }
    }

    /// A header that the proxy doesn't write is the client's.
    #[test]
    fn only_one_header_is_read() {
        let headers: HeaderMap = [
            (axum::http::HeaderName::from_static("x-forwarded-for"), "192.0.2.1"),
            (axum::http::header::FORWARDED, "for=192.0.2.2"),
        ]
        .into_iter()
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
        for (says, client) in [
            (ProxySays::XForwardedFor, "192.0.2.1"),
            (ProxySays::Forwarded, "192.0.2.2"),
            (ProxySays::ProxyProtocol, "10.0.0.1"),
        ] {
            assert_eq!(proxies(says).client(ip("10.0.0.1"), &headers), ip(client), "{says:?}");
        }
    }
}
