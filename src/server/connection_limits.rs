//! How many connections are open, in all and from each address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use crate::config::Config;
use crate::limits::{DEMO_VIEWERS, RESERVED_FILES};

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
    by_address: DashMap<Ipv6Addr, usize>,
}

/// One open connection, counted until this is dropped. There is one for each socket, so IPv4
/// addresses are kept in their IPv6 form, which needs no tag.
#[derive(Debug)]
pub struct Counted {
    open: Arc<OpenConnections>,
    address: Ipv6Addr,
}

impl OpenConnections {
    /// Counts one more connection from `address`, if that is within `limits`.
    #[must_use]
    pub fn count(self: &Arc<Self>, address: IpAddr, limits: &ConnectionLimits) -> Option<Counted> {
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        self.all.fetch_add(1, Ordering::Relaxed);
        let here = {
            let mut here = self.by_address.entry(address).or_insert(0);
            *here += 1;
            *here
        };
        let counted = Counted { open: Arc::clone(self), address };
        let fits =
            self.all.load(Ordering::Relaxed) <= limits.connections && here <= limits.per_address;
        fits.then_some(counted)
    }
}

impl Counted {
    /// Where the connection comes from; IPv4 addresses in their IPv6 form.
    #[must_use]
    pub fn address(&self) -> Ipv6Addr {
        self.address
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(mut here) = self.open.by_address.get_mut(&self.address) {
            *here -= 1;
        }
        self.open.by_address.remove_if(&self.address, |_, here| *here == 0);
    }
}
