//! What an operator sets about proxies.

use std::net::IpAddr;

use clap::{Args, ValueEnum};
use ipnet::IpNet;

/// How trusted proxies say whom they speak for. One way alone: a header that a proxy doesn't write it
/// passes on as a client wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProxySays {
    /// The header `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// The header `Forwarded` (RFC 7239).
    Forwarded,
    /// PROXY protocol, version 2.
    ProxyProtocol,
}

/// Which proxies are believed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Proxies")]
pub struct ProxyFlags {
    /// Address or network (`10.0.0.0/8`, `fd00::/8`) of proxies that are believed when they say where
    /// a client is: limits by address then hold for the client; may be given several times (in the
    /// environment: separated by commas). What others say of that is ignored
    #[arg(long, env = "HERENOW_TRUSTED_PROXY", hide_env = true, value_name = "CIDR",
          value_delimiter = ',', value_parser = network)]
    pub trusted_proxy: Vec<IpNet>,

    /// How they say it: `x-forwarded-for`, `forwarded` (RFC 7239), or `proxy-protocol` (version 2, with
    /// which each of their connections must then begin)
    #[arg(
        long,
        env = "HERENOW_PROXY_SAYS",
        hide_env = true,
        value_name = "HOW",
        default_value = "x-forwarded-for",
        hide_possible_values = true
    )]
    pub proxy_says: ProxySays,
}

impl ProxyFlags {
    /// Checks what no flag alone can be checked for.
    ///
    /// # Errors
    /// One line that names the flags.
    pub fn check(&self) -> Result<(), String> {
        if self.trusted_proxy.is_empty() && self.proxy_says != ProxySays::default() {
            return Err("--proxy-says: no proxy is believed without --trusted-proxy".to_owned());
        }
        Ok(())
    }
}

/// A network, or an address, which is a network of one.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse().or_else(|_| address()).map_err(|_| {
        "must be an address or a network, as 10.1.2.3, 10.0.0.0/8 or fd00::/8".to_owned()
    })?;
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses_are_read() {
        for good in ["10.0.0.0/8", "127.0.0.1", "::1", "fd00::/8", " 192.0.2.1/32"] {
            assert!(network(good).is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0", "localhost", "*", "10.0.0.0/", "::1/129"] {
            let why = network(bad).unwrap_err();
            assert!(why.contains("10.0.0.0/8"), "{why}");
        }
    }

    #[test]
    fn a_way_to_say_it_needs_somebody_who_is_believed() {
        let says = ProxyFlags { proxy_says: ProxySays::Forwarded, ..ProxyFlags::default() };
        assert!(says.check().unwrap_err().contains("--trusted-proxy"));
        let trusted_proxy = vec![network("::1").unwrap()];
        assert_eq!(ProxyFlags { trusted_proxy, ..says }.check(), Ok(()));
        assert_eq!(ProxyFlags::default().check(), Ok(()));
    }
}
