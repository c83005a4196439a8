//! Where a broker is.

use std::fmt;

use http::Uri;

/// The path of a broker's WebSocket, beneath where the broker is.
pub const SOCKET: &str = "/ws";

/// Where a broker is, out of an address that people type: that of the broker as a whole, or that of its
/// WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// By TLS.
    pub secure: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// Which port.
    pub port: u16,
    /// Host and port as a URL has them.
    pub authority: String,
    /// The path beneath which all of the broker is; empty, or with a slash in front.
    pub base: String,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// The rule.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rule = || {
            "must be http://HOST:PORT, https://, ws:// or wss://, without user, query and fragment"
                .to_owned()
        };
        let uri: Uri = text.parse().map_err(|_| rule())?;
        let secure = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(rule()),
        };
        let authority = uri.authority().ok_or_else(rule)?.as_str();
        if authority.contains('@') || uri.query().is_some() || text.contains('#') {
            return Err(rule());
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(rule)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/');
        let base = path.strip_suffix(SOCKET).unwrap_or(path).trim_end_matches('/').to_owned();
        Ok(Self { secure, host, port, authority: authority.to_owned(), base })
    }

    /// The same host, with the broker at its top.
    #[must_use]
    pub fn top(&self) -> Self {
        Self { base: String::new(), ..self.clone() }
    }

    /// A path of the broker's, which begins with a slash, as a request has it.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Whether nobody but this machine hears what is said to it.
    #[must_use]
    pub fn is_private(&self) -> bool {
        let is_loopback = |ip: std::net::IpAddr| ip.is_loopback();
        self.secure || self.host == "localhost" || self.host.parse().is_ok_and(is_loopback)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.secure { "s" } else { "" };
        write!(f, "http{s}://{}{}", self.authority, self.base)
    }
}

/// A name as part of a path: everything in it but letters, digits and `*-._` by its number.
#[must_use]
pub fn segment(name: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    encoded.replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_found_by_any_of_its_addresses() {
        for (text, shown) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("ws://127.0.0.1:8080/ws", "http://127.0.0.1:8080"),
            ("wss://presence.example/live/ws/", "https://presence.example/live"),
            ("https://presence.example/live/", "https://presence.example/live"),
            ("http://[::1]:9", "http://[::1]:9"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown, "{text}");
        }
        let address = Address::parse("wss://[::1]/a/ws").unwrap();
        assert_eq!((address.host.as_str(), address.port, address.secure), ("::1", 443, true));
        assert_eq!(address.path("/ws"), "/a/ws");
        assert!(address.is_private());
        assert!(!Address::parse("http://presence.example").unwrap().is_private());
        for bad in ["", "127.0.0.1:8080", "ftp://a", "http://", "http://a@b", "http://a?b", "/ws"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(segment("a/b c+d?é"), "a%2Fb%20c%2Bd%3F%C3%A9");
    }
}
