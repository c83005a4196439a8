//! Where a request comes from.

use std::fmt;
use std::net::Ipv6Addr;

use super::limit::Account;

/// Where a request comes from; IPv4 addresses in their IPv6 form.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub Ipv6Addr);

impl Peer {
    /// What stands for everything that one client may call its own: an IPv4 address, and of an IPv6
    /// address the network of 64 bits, since a client that has one address there has them all.
    #[must_use]
    pub fn network(self) -> Ipv6Addr {
        match self.0.to_ipv4_mapped() {
            Some(_) => self.0,
            None => Ipv6Addr::from_bits(self.0.to_bits() >> 64 << 64),
        }
    }

    /// The account that its requests are charged to when nothing better is known of the caller.
    #[must_use]
    pub fn account(self) -> Account {
        Account::Address(self.network())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_canonical().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_shares_one_bucket() {
        let account = |address: &str| Peer(address.parse().unwrap()).account();
        assert_eq!(account("2001:db8:1:2::1"), account("2001:db8:1:2:ffff::9"));
        assert_ne!(account("2001:db8:1:2::1"), account("2001:db8:1:3::1"));
        assert_ne!(account("::ffff:192.0.2.1"), account("::ffff:192.0.2.2"));
    }
}
