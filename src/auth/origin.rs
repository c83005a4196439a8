//! Which web pages may use the broker. A browser tells a page's origin (RFC 6454) and no page can
//! forge it; other programs need none.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use herenow_protocol::{ErrorCode, Refusal};
use http::uri::Authority;

use super::pattern::Pattern;
use crate::limits::SHOWN_CHARS;

/// The origin of pages that have none: sandboxed frames, and files in most browsers.
const NULL: &str = "null";

/// The pages that may use the broker: those from its own address, and those of listed origins.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    listed: Box<[Listed]>,
    /// Where people reach the broker.
    public: Box<[Listed]>,
}

impl Origins {
    /// The origins that `--allow-origin` lists: `https://example.com`, `https://*.example.com`,
    /// `http://localhost:*`, `file://`, or `null`; and those that `--public-url` names.
    ///
    /// # Errors
    /// One line with the flag and what is wrong: no scheme, a path, a `*` that lets in too much.
    pub fn new(allow: &[String], public: &[String]) -> Result<Self, String> {
        let parse = |text: &String| {
            Listed::parse(text).map_err(|why| format!("--allow-origin {text:?}: {why}"))
        };
        let of_url = |text: &String| {
            Origin::of_url(text)
                .map(Listed::exactly)
                .map_err(|why| format!("--public-url {text:?}: {why}"))
        };
        Ok(Self {
            listed: allow.iter().map(parse).collect::<Result<_, _>>()?,
            public: public.iter().map(of_url).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a request with these headers, `Origin` and `Host`, may pass. One that names no origin
    /// is from no page.
    ///
    /// # Errors
    /// `forbidden`: names the rule and the flag.
    pub fn check(&self, origin: Option<&str>, host: Option<&str>) -> Result<(), Refusal> {
        let Some(text) = origin else { return Ok(()) };
        let origin = Origin::parse(text);
        if let Ok(origin) = &origin
            && (host.is_some_and(|host| origin.is_of(host))
                || self.named().any(|listed| listed.matches(origin)))
        {
            return Ok(());
        }
        let shown: String = text.chars().take(SHOWN_CHARS).collect();
        // Only of what is an origin to the last character: the line may end up in a shell.
        let remedy = match origin {
            Ok(_) if shown.len() == text.len() => format!("; --allow-origin {shown} lets it in"),
            _ => String::new(),
        };
        let rule = format_args!(
            "{shown:?} must be the broker's own or one that --allow-origin lists{remedy}"
        );
        Err(Refusal::field(ErrorCode::Forbidden, "origin", rule))
    }

    /// Whether a request for that host (a `Host` header) is for this broker under a name of its own:
    /// one that no page elsewhere can have.
    ///
    /// # Errors
    /// `forbidden`: names the rule and the flags.
    pub fn check_host(&self, host: &str) -> Result<(), Refusal> {
        if is_loopback(host) || self.named().any(|origin| origin.is_of(host)) {
            return Ok(());
        }
        let rule = "must be localhost, a loopback address, or of what --public-url or \
                    --allow-origin names: this broker asks for no tokens, and so answers to no \
                    other name";
        Err(Refusal::field(ErrorCode::Forbidden, "host", rule))
    }

    /// Where people reach the broker, as the first `--public-url` says: `https://example.com:8443`.
    #[must_use]
    pub fn public_url(&self) -> Option<String> {
        let Origin { scheme, authority } = &self.public.first()?.origin;
        Some(format!("{scheme}://{authority}"))
    }

    fn named(&self) -> impl Iterator<Item = &Listed> {
        self.listed.iter().chain(&self.public)
    }
}

/// Whether a host, with or without a port, is this machine whoever asks: no name's owner can say so
/// of another, since `localhost` and what ends so never leaves it (RFC 6761, section 6.3).
fn is_loopback(host: &str) -> bool {
    let Some(authority) = normalize("", host) else { return false };
    if let Some((address, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    }
    let name = authority.split(':').next().unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// An origin that a flag names, or several that differ in the leftmost label or in the port.
#[derive(Clone, Debug)]
struct Listed {
    /// All of it; where there is a `label`, what stands behind it.
    origin: Origin,
    /// What the leftmost label may be.
    label: Option<Pattern>,
    any_port: bool,
}

impl Listed {
    fn exactly(origin: Origin) -> Self {
        Self { origin, label: None, any_port: false }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        const BROAD: &str = "must have a \"*\" only in the first part of a longer name, as in \
                             https://*.example.com, or as the port: more would let in every page \
                             there is";
        let (rest, any_port) = match text.strip_suffix(":*") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let Some((scheme, authority)) = rest.split_once("://").filter(|_| rest.contains('*'))
        else {
            let origin = if rest.contains('*') { Err(BROAD) } else { Origin::parse(rest) }?;
            if any_port && origin.authority.is_empty() {
                return Err(BROAD);
            }
            return Ok(Self { origin, label: None, any_port });
        };
        let (label, domain) = authority.split_once('.').ok_or(BROAD)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_*".contains(c);
        if !label.chars().all(fits) || domain.contains('*') {
            return Err(BROAD);
        }
        let origin = Origin::parse(&format!("{scheme}://{domain}"))?;
        // Whoever has a name of one label behind the pattern has all of them, but for this machine.
        let name = without_port(&origin.authority);
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_domain = name.contains('.') && last.contains(|c: char| c.is_ascii_alphabetic());
        if !is_domain && name != "localhost" {
            return Err(BROAD);
        }
        let label = Pattern::parse(&label.to_ascii_lowercase()).map_err(|_| BROAD)?;
        Ok(Self { origin, label: Some(label), any_port })
    }

    fn matches(&self, other: &Origin) -> bool {
        if self.origin.scheme != other.scheme {
            return false;
        }
        let authority =
            if self.any_port { without_port(&other.authority) } else { &other.authority };
        let Some(pattern) = &self.label else { return self.origin.authority == *authority };
        authority.split_once('.').is_some_and(|(label, domain)| {
            !label.is_empty() && domain == self.origin.authority && pattern.matches(label)
        })
    }

    /// As [`Origin::is_of`], of one of those that match.
    fn is_of(&self, host: &str) -> bool {
        let scheme = self.origin.scheme.clone();
        normalize(&scheme, host).is_some_and(|authority| {
            let origin = Origin { scheme, authority };
            origin.is_web() && self.matches(&origin)
        })
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
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
        let origin = Self { scheme: scheme.to_ascii_lowercase(), authority: String::new() };
        // Files and apps in a box have pages of no host: `file://`.
        if authority.is_empty() && !origin.is_web() {
            return Ok(origin);
        }
        let authority = normalize(&origin.scheme, authority);
        let authority = authority.ok_or("must have a host, as a browser writes it")?;
        Ok(Self { authority, ..origin })
    }

    fn is_web(&self) -> bool {
        ["http", "https"].contains(&self.scheme.as_str())
    }

    /// The origin of a URL that names nothing but one, with or without a slash behind it.
    fn of_url(url: &str) -> Result<Self, &'static str> {
        let origin = Self::parse(url.strip_suffix('/').unwrap_or(url))?;
        if !origin.is_web() {
            return Err("must begin with http:// or https://");
        }
        Ok(origin)
    }

    /// Whether this is the origin of pages from `host`, a `Host` header. What is in front of the
    /// broker may have taken TLS off, so http and https are the same to it.
    fn is_of(&self, host: &str) -> bool {
        self.is_web() && normalize(&self.scheme, host).as_ref() == Some(&self.authority)
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
        Some(address) => address.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok(),
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
        Origins::new(&allow.iter().map(|&origin| origin.into()).collect::<Vec<_>>(), &[]).unwrap()
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
    fn own_hosts_are_those_of_this_machine_and_those_that_flags_name() {
        let text = |text: &str| vec![text.to_owned()];
        let origins =
            Origins::new(&text("http://listed:8080"), &text("https://Public.example/")).unwrap();
        for own in [
            "localhost",
            "a.b.localhost:1",
            "LOCALHOST.",
            "127.0.0.1",
            "127.255.0.1:65535",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "listed:8080",
            "public.example",
            "PUBLIC.example:443",
        ] {
            assert_eq!(origins.check_host(own), Ok(()), "{own}");
        }
        for foreign in [
            "",
            ":8080",
            "localhost.evil",
            "alocalhost",
            "listed",
            "listed:8081",
            "public.example:80",
            "a.public.example",
            "126.0.0.1",
            "127.0.0.1.evil",
            "127.1",
            "0177.0.0.1",
            "[::]",
            "[::1",
            "::1",
            "me@localhost",
            "localhost/",
            "localhost:x",
            "localhost..",
            "null",
        ] {
            let refusal = origins.check_host(foreign).unwrap_err();
            assert_eq!((refusal.code, refusal.field), (ErrorCode::Forbidden, Some("host")));
            assert!(refusal.message.contains("--public-url"), "{foreign}: {}", refusal.message);
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
        for origin in [
            "http://app.example",
            "https://app.example:444",
            "https://x.app.example",
            "Null",
            "file://",
        ] {
            assert!(origins.check(Some(origin), Some("here")).is_err(), "{origin}");
        }
    }

    #[test]
    fn pages_without_a_host_pass_where_they_are_listed() {
        let origins = origins(&["file://", "app://", "capacitor://localhost"]);
        for origin in ["file://", "FILE://", "app://", "capacitor://localhost"] {
            assert_eq!(origins.check(Some(origin), Some("here")), Ok(()), "{origin}");
        }
        for origin in ["null", "file://x", "file:///", "http://", "https://", "other://", "app"] {
            assert!(origins.check(Some(origin), Some("")).is_err(), "{origin}");
        }
        assert!(origins.check_host("").is_err());
    }

    #[test]
    fn a_pattern_lets_in_what_differs_in_the_first_label_or_in_the_port() {
        let origins = origins(&[
            "https://*.example.com",
            "https://pr-*-App.preview.example:8443",
            "http://localhost:*",
            "http://[::1]:*",
            "http://*.localhost:*",
        ]);
        for origin in [
            "https://a.example.com",
            "https://A-1.EXAMPLE.com:443",
            "https://pr-17-app.preview.example:8443",
            "http://localhost",
            "http://localhost:5173",
            "http://[::1]",
            "http://[::1]:9",
            "http://shop.localhost:3000",
        ] {
            assert_eq!(origins.check(Some(origin), Some("here")), Ok(()), "{origin}");
        }
        for origin in [
            "https://example.com",
            "https://.example.com",
            "https://a.b.example.com",
            "https://a.example.com:8443",
            "http://a.example.com",
            "https://a.example.com.evil",
            "https://a.evil-example.com",
            "https://evil.com?.example.com",
            "https://*.example.com",
            "https://pr-17-app.preview.example",
            "https://pr-17-web.preview.example:8443",
            "https://localhost:5173",
            "http://localhost.evil:5173",
            "http://evil.localhost.evil",
            "http://[::2]:9",
        ] {
            assert!(origins.check(Some(origin), Some("here")).is_err(), "{origin}");
        }
        assert_eq!(origins.check_host("a.example.com"), Ok(()));
        assert!(origins.check_host("a.b.example.com").is_err());
    }

    #[test]
    fn a_refusal_names_the_origin_and_what_lets_it_in() {
        let why =
            |origin: &str| origins(&[]).check(Some(origin), Some("here")).unwrap_err().message;
        for origin in ["http://localhost:5173", "file://", "null"] {
            let said = why(origin);
            assert!(said.contains(&format!("--allow-origin {origin} lets it in")), "{said}");
        }
        for origin in ["https://x; rm", "https://a\nb", &format!("https://{}", "a".repeat(300))] {
            let said = why(origin);
            assert!(!said.contains("lets it in") && !said.contains('\n'), "{said}");
            assert!(said.len() < 300, "{said}");
        }
    }

    #[test]
    fn bad_values_are_one_line_that_names_the_flag() {
        for (bad, says) in [
            ("*", "every page"),
            ("*:*", "every page"),
            ("https://*", "every page"),
            ("https://*:*", "every page"),
            ("https://*.com", "every page"),
            ("https://*.com:8443", "every page"),
            ("https://a.*.example.com", "every page"),
            ("https://**.*.com", "every page"),
            ("*://example.com", "scheme"),
            ("https://*example", "every page"),
            ("http://*.168.1.5", "every page"),
            ("http://*.[::1]", "every page"),
            ("https://a@*.example.com", "every page"),
            ("https://*.example.com/", "path"),
            ("https://example.com:*/", "every page"),
            ("https://example.com:80*", "every page"),
            ("file://:*", "every page"),
            ("null:*", "every page"),
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
            ("https://example.com:+80", "host"),
            ("https://ex!ample.com", "host"),
            ("https://caf\u{e9}.example", "host"),
            ("https://[::1", "host"),
            ("", "scheme"),
            ("a\nb", "scheme"),
        ] {
            let why = Origins::new(&[bad.into()], &[]).unwrap_err();
            assert!(why.starts_with("--allow-origin") && why.contains(says), "{bad}: {why}");
            assert!(!why.contains('\n'), "{why}");
        }
    }
}
