//! An address for somebody else to listen on, or for nobody.

use std::net::{SocketAddr, TcpListener};

/// One of loopback on which nobody listens. Its port is below those that Linux gives away by itself
/// (32,768 and above), so nobody gets it by chance in the meantime.
pub(crate) fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..32_768)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
