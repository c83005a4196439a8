//! What stands ahead of a connection: headers, a proxy's preface, tokens, patterns.

use std::net::{IpAddr, Ipv4Addr};

use herenow::auth::{ApiKeys, Patterns};
use herenow::deflate::Answer;
use herenow::proxy::preface::{FIXED_BYTES, client, rest_bytes};
use herenow::proxy::{Proxies, ProxyFlags};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{is_short, text};

/// Lines of `name: value`, as a proxy that is believed sends them.
pub fn headers(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(50) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii()))
        {
            headers.append(name, value);
        }
    }
    let proxy = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let flags = ProxyFlags { trusted_proxy: vec![proxy.into()], ..ProxyFlags::default() };
    let _ = Proxies::new(&flags).client(proxy, &headers);
    let offers = headers.get_all("sec-websocket-extensions").iter();
    let _ = Answer::to(offers.filter_map(|line| line.to_str().ok()));
}

/// What a balancer says ahead of all bytes.
///
/// # Panics
/// It is understood though it is not whole.
pub fn preface(bytes: &[u8]) {
    if client(bytes).is_some() {
        let fixed = bytes.first_chunk::<FIXED_BYTES>().expect("a header is no shorter");
        assert_eq!(rest_bytes(fixed), Some(bytes.len() - FIXED_BYTES));
        assert!(client(&bytes[..bytes.len() - 1]).is_none());
    }
}

/// Patterns of channels, and a file of keys.
pub fn tokens(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Err(rule) = Patterns::parse(text.split(',')) {
        is_short(&rule);
    }
    let _ = ApiKeys::parse(text);
}
