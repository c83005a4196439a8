//! Addresses in the headers of a request: each proxy on the way appends whom it was asked by, so what
//! stands last was written by the nearest, and what stands first by anybody.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use axum::http::header::{FORWARDED, HeaderName};

use crate::limits::MAX_FORWARDED;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Those of `X-Forwarded-For`, the nearest first; `None`: something that is no address. At most
/// [`MAX_FORWARDED`] of them.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
    let items = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    items.map(address).take(MAX_FORWARDED)
}

/// The same of `Forwarded`.
pub(super) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(FORWARDED).into_iter().rev();
    let items =
        lines.flat_map(|line| split(line.to_str().unwrap_or_default(), ',').into_iter().rev());
    items.map(of_element).take(MAX_FORWARDED)
}

/// Whom one element of `Forwarded` is for.
fn of_element(element: &str) -> Option<IpAddr> {
    let pairs = split(element, ';').into_iter().filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (_, node) = named.next()?;
    let node = node.trim();
    let node = node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node);
    address(node)
}

/// The parts of a text between separators that stand in no quotation marks.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let is_end = |c: char| {
        let end = c == separator && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && quoted && !escaped;
        end
    };
    text.split(is_end).collect()
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    fn texts(found: impl Iterator<Item = Option<IpAddr>>) -> Vec<String> {
        found.map(|ip| ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string())).collect()
    }

    #[test]
    fn the_nearest_comes_first_over_all_lines() {
        let lines = ["192.0.2.1, 192.0.2.2", "[2001:db8::3]:443,unknown", "192.0.2.5:80"];
        let found = texts(x_forwarded_for(&headers(&X_FORWARDED_FOR, &lines)));
        assert_eq!(found, ["192.0.2.5", "-", "2001:db8::3", "192.0.2.2", "192.0.2.1"]);
        let lines = [
            "for=192.0.2.1;proto=https, FOR=\"[2001:db8::2]:4711\"",
            "for=\"a,b;for=192.0.2.9\\\",\";by=x",
            "for=_hidden, proto=http",
            "for = 192.0.2.6 ; by=192.0.2.7",
        ];
        let found = texts(forwarded(&headers(&FORWARDED, &lines)));
        assert_eq!(found, ["192.0.2.6", "-", "-", "-", "2001:db8::2", "192.0.2.1"]);
    }

    #[test]
    fn a_list_without_end_is_not_read_to_its_end() {
        let long = "192.0.2.1,".repeat(1_000);
        assert_eq!(x_forwarded_for(&headers(&X_FORWARDED_FOR, &[&long])).count(), MAX_FORWARDED);
        let long = "for=192.0.2.1,".repeat(1_000);
        assert_eq!(forwarded(&headers(&FORWARDED, &[&long])).count(), MAX_FORWARDED);
    }
}
