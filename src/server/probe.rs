//! Asking a broker that runs whether it is well, for health checks where there is no shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Config;
use crate::limits::PROBE_TIME;

/// What to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Whether it is alive.
    Alive,
    /// Whether newcomers should come.
    Ready,
}

/// Asks the broker on this machine that `config` is for.
///
/// # Errors
/// One line: it can't be reached, does not answer within [`PROBE_TIME`], or says no.
pub async fn probe(config: &Config, asking: Asking) -> Result<(), String> {
    let path = match asking {
        Asking::Alive => "/healthz",
        Asking::Ready => "/readyz",
    };
    let address = here(config.admin_listen.unwrap_or(config.listen));
    let wrong = |why: &dyn std::fmt::Display| format!("http://{address}{path}: {why}");
    let answer = timeout(PROBE_TIME, first_line(address, path)).await;
    let line = answer.map_err(|_| wrong(&"no answer in time"))?.map_err(|error| wrong(&error))?;
    if line.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(wrong(&line)) }
}

/// Where to reach on this machine what listens at `address`.
fn here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The first line of an answer, without what nobody can print.
async fn first_line(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    stream.take(128).read_to_end(&mut head).await?;
    let text = String::from_utf8_lossy(&head);
    Ok(text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_reached_here() {
        for (listens, reached) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            assert_eq!(here(listens.parse().unwrap()).to_string(), reached);
        }
    }
}
