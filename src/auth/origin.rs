//! Which web pages may use the broker. A browser tells a page's origin (RFC 6454) and no page can
//! forge it; other programs need none.

use std::fmt;

use herenow_protocol::{ErrorCode, Refusal};
use http::uri::Authority;

/// The origin of pages that have none: sandboxed frames, files.
const NULL: &str = "null";

/// The pages that may use the broker: those from its own address, and those of listed origins.
#[derive(Clone, Debug, Default)]
pub struct Origins(Box<[Origin]>);

impl Origins {
    /// The origins that `--allow-origin` lists: `https://example.com`, or `null`.
    ///
    /// # Errors
    /// One line with the flag and what is wrong: no scheme, a path, `*`.
    pub fn new(allow: &[String]) -> Result<Self, String> {
        let parse = |text: &String| {
            Origin::parse(text).map_err(|why| format!("--allow-origin {text:?}: {why}"))
        };
        allow.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a request with these headers, `Origin` and `Host`, may pass. One that names no origin
    /// is from no page.
    ///
    /// # Errors
    /// `forbidden`: names the rule and the flag.
    pub fn check(&self, origin: Option<&str>, host: Option<&str>) -> Result<(), Refusal> {
        let Some(text) = origin else { return Ok(()) };
        if let Ok(origin) = Origin::parse(text)
            && (host.is_some_and(|host| origin.is_of(host)) || self.0.contains(&origin))
        {
            return Ok(());
        }
        let rule = "must be the broker's own or one that --allow-origin lists";
        Err(Refusal::field(ErrorCode::Forbidden, "origin", rule))
    }
}

/// `scheme://host[:port]` in lower case, without the port that goes without saying; or `null`.
#[derive(Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    authority: String,
}

impl Origin {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text == NULL {
            return Ok(Self { scheme: NULL.into(), authority: String::new() });
        }
        if text.contains('*') {
            return Err("must be one origin in full: \"*\" would let in every page there is");
        }
        let Some((scheme, authority)) = text.split_once("://") else {
            return Err("must begin with a scheme, as in https://example.com");
        };
        let letters = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(letters) {
            return Err("must begin with a scheme, as in https://example.com");
        }
        if authority.contains(['/', '?', '#']) {
            return Err("must end after host and port: an origin has no path, not even a /");
        }
        let scheme = scheme.to_ascii_lowercase();
        let authority =
            normalize(&scheme, authority).ok_or("must have a host, as a browser writes it")?;
        Ok(Self { scheme, authority })
    }

    /// Whether this is the origin of pages from `host`, a `Host` header. What is in front of the
    /// broker may have taken TLS off, so http and https are the same to it.
    fn is_of(&self, host: &str) -> bool {
        ["http", "https"].contains(&self.scheme.as_str())
            && normalize(&self.scheme, host).as_ref() == Some(&self.authority)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// `host[:port]` in lower case and without the scheme's own port; none if it is no such thing.
/// Browsers write names beyond ASCII in Punycode (RFC 6454, section 6.2 lets them do either).
fn normalize(scheme: &str, authority: &str) -> Option<String> {
    let parsed: Authority = authority.parse().ok()?;
    let host = parsed.host();
    // An authority may have more than that: a user in front, anything at all behind a bracket.
    let port = match authority.strip_prefix(host)?.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(parsed.port_u16()?)
        }
        None if authority == host => None,
        _ => return None,
    };
    let name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let good = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(name),
    };
    let own = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let host = host.to_ascii_lowercase();
    good.then(|| match port {
        Some(port) if Some(port) != own => format!("{host}:{port}"),
        _ => host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(allow: &[&str]) -> Origins {
        Origins::new(&allow.iter().map(|&origin| origin.into()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn no_origin_is_no_browser() {
        assert_eq!(origins(&[]).check(None, Some("here")), Ok(()));
        assert_eq!(origins(&[]).check(None, None), Ok(()));
    }

    #[test]
    fn the_broker_s_own_pages_pass() {
        for (origin, host) in [
            ("http://here:8080", "here:8080"),
            ("https://Here.example", "hERE.example"),
            ("http://here:80", "here"),
            ("http://here", "here:80"),
            ("https://here", "here:443"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ] {
            let pass = origins(&[]).check(Some(origin), Some(host));
            assert_eq!(pass, Ok(()), "{origin} {host}");
        }
    }

    #[test]
    fn other_pages_do_not() {
        for (origin, host) in [
            ("http://there", Some("here")),
            ("http://here", None),
            ("http://here", Some("")),
            ("http://here:8081", Some("here:8080")),
            ("https://here", Some("here:80")),
            ("http://here.evil", Some("here")),
            ("http://evil.here", Some("here")),
            ("ftp://here", Some("here")),
            ("null", Some("null")),
            ("null", Some("")),
            ("", Some("")),
            ("here", Some("here")),
            ("http://here/", Some("here")),
            ("http://user@here", Some("user@here")),
            ("http://[::1]x", Some("[::1]x")),
            ("http://here:x", Some("here:x")),
            ("http://h\u{e9}re", Some("h\u{e9}re")),
        ] {
            let refusal = origins(&["https://listed"]).check(Some(origin), host).unwrap_err();
            assert_eq!((refusal.code, refusal.field), (ErrorCode::Forbidden, Some("origin")));
            assert!(refusal.message.contains("--allow-origin"), "{}", refusal.message);
        }
    }

    #[test]
    fn listed_pages_pass() {
        let origins = origins(&["https://App.example:443", "http://localhost:5173", "null"]);
        for origin in
            ["https://app.example", "https://APP.example:443", "http://localhost:5173", "null"]
        {
            assert_eq!(origins.check(Some(origin), Some("here")), Ok(()), "{origin}");
        }
        for origin in
            ["http://app.example", "https://app.example:444", "https://x.app.example", "Null"]
        {
            assert!(origins.check(Some(origin), Some("here")).is_err(), "{origin}");
        }
    }

    #[test]
    fn bad_values_are_one_line_that_names_the_flag() {
        for (bad, says) in [
            ("*", "every page"),
            ("https://*.example.com", "every page"),
            ("example.com", "scheme"),
            ("://example.com", "scheme"),
            ("1a://example.com", "scheme"),
            ("https://example.com/", "path"),
            ("https://example.com/app", "path"),
            ("https://", "host"),
            ("https://a b", "host"),
            ("https://me@example.com", "host"),
            ("https://example.com:99999", "host"),
            ("https://example.com:", "host"),
            ("https://caf\u{e9}.example", "host"),
            ("https://[::1", "host"),
            ("", "scheme"),
            ("a\nb", "scheme"),
        ] {
            let why = Origins::new(&[bad.into()]).unwrap_err();
            assert!(why.starts_with("--allow-origin") && why.contains(says), "{bad}: {why}");
            assert!(!why.contains('\n'), "{why}");
        }
    }
}
