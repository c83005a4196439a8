//! How many connections are open, in all and from each address, or network of IPv6.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use crate::config::Config;
use crate::limits::{DEMO_VIEWERS, MAX_OPERATORS, RESERVED_FILES};
use crate::web::peer::Peer;

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    connections: usize,
    per_address: usize,
}

impl ConnectionLimits {
    /// The bounds that `config` sets. Raises the limit on open files as far as allowed, since that
    /// is the limit on connections.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
        let possible = files.saturating_sub(RESERVED_FILES).max(1);
        let connections = config.limits.max_connections.map_or(possible, u64::from) as usize;
        let per_address = config.limits.max_connections_per_address;
        Self { connections, per_address: per_address.map_or(connections, |limit| limit as usize) }
    }

    /// The bounds of the port for whoever operates the broker, so that it is reached when no client is.
    #[must_use]
    pub fn of_operators() -> Self {
        Self { connections: MAX_OPERATORS, per_address: MAX_OPERATORS }
    }

    /// How many simulated viewers the demo page may ask for. They are counted as anybody is, so half of the room
    /// is left to people: of that at their address, and of open files, of which each takes two.
    #[must_use]
    pub fn demo_viewers(&self) -> usize {
        DEMO_VIEWERS.min(self.connections / 4).min(self.per_address / 2)
    }
}

/// Connections that are open now.
#[derive(Debug, Default)]
pub struct OpenConnections {
    all: AtomicUsize,
    by_network: DashMap<Ipv6Addr, usize>,
}

/// One open connection, or a request that a proxy passed on for somebody, which occupies a connection
/// of the proxy's: counted until this is dropped. There is one for each socket, so IPv4 addresses are
/// kept in their IPv6 form, which needs no tag.
#[derive(Debug)]
pub struct Counted {
    open: Arc<OpenConnections>,
    peer: Peer,
    /// What it came by, which is counted among all; `None`: it is, by itself.
    by: Option<Arc<Carrier>>,
}

/// A connection of a proxy that speaks for others: counted among all, and not by its address.
#[derive(Debug)]
pub struct Carrier {
    open: Arc<OpenConnections>,
    address: IpAddr,
}

impl OpenConnections {
    /// Counts one more connection from `address`, if that is within `limits`.
    #[must_use]
    pub fn count(self: &Arc<Self>, address: IpAddr, limits: &ConnectionLimits) -> Option<Counted> {
        let fits = self.all.fetch_add(1, Ordering::Relaxed) < limits.connections;
        let (counted, fits_too) = self.count_address(address, None, limits);
        (fits && fits_too).then_some(counted)
    }

    /// The same of a proxy that speaks for others.
    #[must_use]
    pub fn carry(self: &Arc<Self>, address: IpAddr, limits: &ConnectionLimits) -> Option<Carrier> {
        let fits = self.all.fetch_add(1, Ordering::Relaxed) < limits.connections;
        let carrier = Carrier { open: Arc::clone(self), address };
        fits.then_some(carrier)
    }

    /// Counts it by its address alone, and says whether that is within `limits`.
    fn count_address(
        self: &Arc<Self>,
        address: IpAddr,
        by: Option<Arc<Carrier>>,
        limits: &ConnectionLimits,
    ) -> (Counted, bool) {
        let peer = Peer(match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        });
        let here = {
            let mut here = self.by_network.entry(peer.network()).or_insert(0);
            *here += 1;
            *here
        };
        (Counted { open: Arc::clone(self), peer, by }, here <= limits.per_address)
    }
}

impl Carrier {
    /// The proxy's address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Counts one more from `address`, which came by this connection, if that is within `limits`.
    #[must_use]
    pub fn passed_on(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &ConnectionLimits,
    ) -> Option<Counted> {
        let (counted, fits) = self.open.count_address(address, Some(Arc::clone(self)), limits);
        fits.then_some(counted)
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.open.all.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counted {
    /// Where it comes from.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.by.is_none() {
            self.open.all.fetch_sub(1, Ordering::Relaxed);
        }
        let network = self.peer.network();
        if let Some(mut here) = self.open.by_network.get_mut(&network) {
            *here -= 1;
        }
        self.open.by_network.remove_if(&network, |_, here| *here == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who has one address of such a network has them all.
    #[test]
    fn an_ipv6_network_has_the_connections_of_one_address() {
        let open = Arc::new(OpenConnections::default());
        let limits = ConnectionLimits { connections: 100, per_address: 2 };
        let count = |address: &str| open.count(address.parse().unwrap(), &limits);
        let first = count("2001:db8:1:2::1");
        let _second = count("2001:db8:1:2:ffff::9").unwrap();
        assert!(first.is_some() && count("2001:db8:1:2::7").is_none());
        assert!(count("2001:db8:1:3::1").is_some(), "another network");
        drop(first);
        let _again = count("2001:db8:1:2:8000::").unwrap();
        let [_a, _b] = ["192.0.2.1", "192.0.2.1"].map(|address| count(address).unwrap());
        assert!(count("192.0.2.1").is_none() && count("192.0.2.2").is_some(), "as ever");
        assert_eq!(open.by_network.len(), 2, "who is gone is forgotten");
    }

    /// However many speak by one proxy, each is limited by its own address.
    #[test]
    fn a_proxy_is_limited_by_whom_it_speaks_for() {
        let open = Arc::new(OpenConnections::default());
        let limits = ConnectionLimits { connections: 3, per_address: 2 };
        let proxy = "10.0.0.1".parse().unwrap();
        let pool: Vec<_> = (0..3).map(|_| Arc::new(open.carry(proxy, &limits).unwrap())).collect();
        assert!(open.carry(proxy, &limits).is_none(), "more than there may be in all");
        let passed = |client: &str| pool[0].passed_on(client.parse().unwrap(), &limits);
        let first = passed("192.0.2.1").unwrap();
        let second = passed("192.0.2.1").unwrap();
        assert!(passed("192.0.2.1").is_none() && passed("192.0.2.2").is_some());
        drop(first);
        assert!(passed("192.0.2.1").is_some());
        // What came by a connection counts as long as it does.
        drop((second, pool));
        assert_eq!(open.all.load(Ordering::Relaxed), 0);
    }
}
