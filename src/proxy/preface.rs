//! PROXY protocol, version 2: what stands ahead of all bytes of a connection. Sixteen bytes (a signature,
//! version and command, the kind of the addresses, how many bytes follow), the addresses, and behind them
//! what a balancer tells beside, which we don't read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::MAX_PREFACE_BYTES;

/// Bytes of the part whose length is known beforehand.
pub const FIXED_BYTES: usize = 16;

/// What it begins with, so that no other protocol takes it for its own.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, and that the proxy speaks for itself: it looks whether anybody is here.
const LOCAL: u8 = 0x20;
/// Version 2, and that it speaks for somebody.
const PROXIED: u8 = 0x21;

/// TCP over IPv4.
const TCP4: u8 = 0x11;
/// TCP over IPv6.
const TCP6: u8 = 0x21;

/// How many bytes follow the fixed part; `None`: it is none, or more than we read.
#[must_use]
pub fn rest_bytes(fixed: &[u8; FIXED_BYTES]) -> Option<usize> {
    let rest = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let is_one = fixed.starts_with(SIGNATURE) && matches!(fixed[12], LOCAL | PROXIED);
    (is_one && rest <= MAX_PREFACE_BYTES).then_some(rest)
}

/// Whom the connection is from. `Some(None)`: from the proxy itself, or it doesn't say. `None`: it is no
/// such header, whole.
#[must_use]
pub fn client(bytes: &[u8]) -> Option<Option<IpAddr>> {
    let (fixed, addresses) = bytes.split_first_chunk::<FIXED_BYTES>()?;
    if rest_bytes(fixed)? != addresses.len() {
        return None;
    }
    // The source comes first, the destination and two ports follow.
    Some(match (fixed[12], fixed[13]) {
        (PROXIED, TCP4) => {
            let source = addresses.first_chunk::<12>()?.first_chunk::<4>()?;
            Some(Ipv4Addr::from(*source).into())
        }
        (PROXIED, TCP6) => {
            let source = addresses.first_chunk::<36>()?.first_chunk::<16>()?;
            Some(Ipv6Addr::from(*source).into())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with these bytes behind its signature.
    fn header(kind: [u8; 2], rest: &[u8]) -> Vec<u8> {
        [SIGNATURE, &kind[..], &(rest.len() as u16).to_be_bytes(), rest].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];

    #[test]
    fn the_source_is_read_whatever_stands_behind_it() {
        let source = Some(Some("192.0.2.1".parse().unwrap()));
        assert_eq!(client(&header([PROXIED, TCP4], &IPV4)), source);
        let more = [&IPV4[..], &[4, 0, 3, 1, 2, 3]].concat();
        assert_eq!(client(&header([PROXIED, TCP4], &more)), source);
        let of_6: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let rest = [&of_6.octets()[..], &[0; 20]].concat();
        assert_eq!(client(&header([PROXIED, TCP6], &rest)), Some(Some(of_6.into())));
        // It looks whether anybody is here, or came by a path that has no addresses.
        assert_eq!(client(&header([LOCAL, 0], &[])), Some(None));
        assert_eq!(client(&header([LOCAL, TCP4], &IPV4)), Some(None));
        assert_eq!(client(&header([PROXIED, 0], &[])), Some(None));
        assert_eq!(client(&header([PROXIED, 0x31], &[0; 216])), Some(None));
    }

    #[test]
    fn what_is_none_is_refused() {
        let good = header([PROXIED, TCP4], &IPV4);
        for cut in 0..good.len() {
            assert_eq!(client(&good[..cut]), None, "{cut}");
        }
        assert_eq!(client(&[&good[..], b"G"].concat()), None, "more than it says");
        for (place, byte) in [(0, b'G'), (11, b'\r'), (12, 0x11), (12, 0x22), (15, 13), (15, 11)] {
            let mut bad = good.clone();
            bad[place] = byte;
            assert_eq!(client(&bad), None, "{place}");
        }
        assert_eq!(client(&header([PROXIED, TCP4], &IPV4[..11])), None, "addresses are cut");
        assert_eq!(client(&header([PROXIED, TCP6], &[0; 35])), None);
        let large = header([LOCAL, 0], &vec![0; MAX_PREFACE_BYTES + 1]);
        assert_eq!(client(&large), None);
    }
}
