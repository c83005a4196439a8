//! What an operator says of each webhook: `[[hook]]` tables in a file.

use std::net::IpAddr;
use std::path::Path;

use hyper::Uri;
use toml::{Table, Value};

use super::item::Kind;
use super::signature::HookSecret;
use crate::auth::{Patterns, named, read};
use crate::config::WebhookFlags;
use crate::limits::{
    MAX_WEBHOOK_NAME_BYTES, MAX_WEBHOOK_SECRETS, MAX_WEBHOOK_URL_BYTES, MAX_WEBHOOKS,
};
use crate::outgoing::is_public;

const FLAG: &str = "--webhooks-file";

/// Who is told what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookOrder {
    /// What the operator calls it.
    pub name: String,
    /// Where, and with which signatures.
    pub target: Target,
    /// Of which channels.
    pub channels: Patterns,
    /// Of what in them.
    pub kinds: Vec<Kind>,
}

/// Where batches go, and with which signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub url: Uri,
    /// One, or two while one takes the other's place: batches are signed with both.
    pub secrets: Vec<HookSecret>,
}

/// Reads the file that the flags name; none: there are no webhooks.
///
/// # Errors
/// One line that names the flag, the entry and the field, and never holds a value: it might be a secret.
pub fn read_orders(flags: &WebhookFlags) -> Result<Vec<HookOrder>, String> {
    let Some(path) = &flags.webhooks_file else { return Ok(Vec::new()) };
    read_file(path, flags.webhooks_allow_private)
}

fn read_file(path: &Path, allow_private: bool) -> Result<Vec<HookOrder>, String> {
    let (bytes, name) = read(FLAG, path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("{name}: is not UTF-8"))?;
    named(&name, parse(text, allow_private))
}

fn parse(text: &str, allow_private: bool) -> Result<Vec<HookOrder>, String> {
    let file: Table = text.parse().map_err(|error: toml::de::Error| {
        let end = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("line {line} is not TOML")
    })?;
    if let Some(unknown) = file.keys().find(|&name| name != "hook") {
        return Err(format!("has an unknown field {unknown:?}; webhooks are in [[hook]]"));
    }
    let Some(Value::Array(tables)) = file.get("hook") else { return Err("has no [[hook]]".into()) };
    if tables.len() > MAX_WEBHOOKS {
        return Err(format!("has more than {MAX_WEBHOOKS} [[hook]]"));
    }
    let mut hooks: Vec<HookOrder> = Vec::with_capacity(tables.len());
    for (place, table) in tables.iter().enumerate() {
        let hook =
            hook(table, allow_private).map_err(|why| format!("[[hook]] {}: {why}", place + 1))?;
        if hooks.iter().any(|other| other.name == hook.name) {
            return Err(format!("two webhooks have the name {:?}", hook.name));
        }
        hooks.push(hook);
    }
    Ok(hooks)
}

fn hook(table: &Value, allow_private: bool) -> Result<HookOrder, String> {
    let table = table.as_table().ok_or("must be a table")?;
    let known = ["name", "url", "secret", "channels", "events"];
    if let Some(unknown) = table.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("has an unknown field {unknown:?}"));
    }
    let field = |name| table.get(name).ok_or_else(|| format!("has no {name}"));
    let name = field("name")?.as_str().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > MAX_WEBHOOK_NAME_BYTES || !name.chars().all(plain) {
        return Err(format!(
            "name must be 1 to {MAX_WEBHOOK_NAME_BYTES} of the characters a-z, A-Z, 0-9 and ._-"
        ));
    }
    let url = field("url")?.as_str().ok_or("url must be a string")?;
    let url = url_of(url, allow_private)?;
    let secrets = secrets(field("secret")?)?;
    let channels = channels(table.get("channels"))?;
    let kinds = kinds(table.get("events"))?;
    Ok(HookOrder { name: name.to_owned(), target: Target { url, secrets }, channels, kinds })
}

/// The address, unless what is sent there could be read on the way, or would reach what only the broker
/// can reach. A name is looked up when it is connected to, and judged then.
fn url_of(text: &str, allow_private: bool) -> Result<Uri, String> {
    let rule = if allow_private {
        "url must be https://HOST/PATH or http://HOST/PATH, without user and fragment"
    } else {
        "url must be https://HOST/PATH, without user and fragment (http:// only with \
         --webhooks-allow-private)"
    };
    if text.len() > MAX_WEBHOOK_URL_BYTES {
        return Err(format!("url must be at most {MAX_WEBHOOK_URL_BYTES} bytes"));
    }
    let url: Uri = text.parse().map_err(|_| rule)?;
    let host = url.host().filter(|host| !host.is_empty()).ok_or(rule)?;
    let plain = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    let scheme = match url.scheme_str() {
        Some("https") => true,
        Some("http") => allow_private,
        _ => false,
    };
    if !(plain && scheme) || text.contains('#') {
        return Err(rule.to_owned());
    }
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    if !allow_private && address.is_ok_and(|ip: IpAddr| !is_public(ip)) {
        return Err("url must not be of a loopback or private address (only with \
                    --webhooks-allow-private)"
            .to_owned());
    }
    Ok(url)
}

/// One text, or a list of texts.
fn texts<'a>(value: &'a Value, rule: &str) -> Result<Vec<&'a str>, String> {
    let text = |value: &'a Value| value.as_str().ok_or_else(|| rule.to_owned());
    match value {
        Value::Array(all) => all.iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}

fn secrets(value: &Value) -> Result<Vec<HookSecret>, String> {
    let rule = format!("secret must be a string, or a list of 1 to {MAX_WEBHOOK_SECRETS}");
    let texts = texts(value, &rule)?;
    if !(1..=MAX_WEBHOOK_SECRETS).contains(&texts.len()) {
        return Err(rule);
    }
    let secret = |text| HookSecret::parse(text).map_err(|rule| format!("secret {rule}"));
    texts.into_iter().map(secret).collect()
}

fn channels(value: Option<&Value>) -> Result<Patterns, String> {
    let Some(value) = value else { return Patterns::parse(["*"]) };
    let texts = texts(value, "channels must be a pattern, or a list of patterns")?;
    if texts.is_empty() {
        return Err("channels must not be empty".to_owned());
    }
    Patterns::parse(texts).map_err(|rule| format!("channels {rule}"))
}

fn kinds(value: Option<&Value>) -> Result<Vec<Kind>, String> {
    let Some(value) = value else { return Ok(Kind::ALL.to_vec()) };
    let all = Kind::ALL.map(Kind::as_str).join(", ");
    let rule = format!("events must be a list out of {all}");
    let kind = |text| Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
    let kinds: Option<Vec<_>> = texts(value, &rule)?.into_iter().map(kind).collect();
    kinds.filter(|kinds| !kinds.is_empty()).ok_or(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_dGVsbG5vYm9keXRlbGxub2JvZHl0ZWxsbm9ib2R5";

    fn good() -> String {
        format!("[[hook]]\nname = \"a\"\nurl = \"https://example.com/a\"\nsecret = \"{SECRET}\"\n")
    }

    #[test]
    fn a_webhook_is_as_the_file_says() {
        let text = format!(
            "{}channels = [\"room-*\", \"hall\"]\nevents = [\"join\", \"vacated\"]\n{}",
            good(),
            good().replace("\"a\"", "\"b\"").replace(SECRET, &format!("{SECRET}\", \"{SECRET}"))
        );
        // A second secret makes a list of it.
        let text = text.replace(
            &format!("\"{SECRET}\", \"{SECRET}\""),
            &format!("[\"{SECRET}\", \"{SECRET}\"]"),
        );
        let hooks = parse(&text, false).unwrap();
        let [a, b] = &hooks[..] else { panic!("{hooks:?}") };
        assert_eq!((&*a.name, a.target.secrets.len()), ("a", 1));
        assert!(a.channels.match_any("room-1") && !a.channels.match_any("lobby"));
        assert_eq!(a.kinds, [Kind::Join, Kind::Vacated]);
        assert_eq!((&*b.name, b.target.secrets.len()), ("b", 2));
        assert!(b.channels.match_any("lobby") && b.kinds == Kind::ALL);
        assert!(!format!("{hooks:?}").contains("dGVs"));
    }

    #[test]
    fn the_document_shows_a_file_that_is_good() {
        let document = include_str!("../../docs/webhooks.md");
        let shown = document.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let hooks = parse(shown, false).unwrap();
        assert_eq!(hooks.iter().map(|hook| &*hook.name).collect::<Vec<_>>(), ["mirror", "rooms"]);
    }

    #[test]
    fn addresses_that_only_the_broker_reaches_are_refused_unless_they_are_allowed() {
        for public in ["https://example.com/a?b=c", "https://1.1.1.1:8443/", "https://[2606::1]/"] {
            assert!(url_of(public, false).is_ok(), "{public}");
        }
        for own in [
            "http://example.com/",
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/latest",
        ] {
            assert!(url_of(own, false).is_err() && url_of(own, true).is_ok(), "{own}");
        }
        for bad in [
            "",
            "/a",
            "example.com",
            "ftp://example.com/",
            "https://ada:tellnobody@example.com/",
            "https://example.com/#a",
        ] {
            for allow_private in [false, true] {
                let why = url_of(bad, allow_private).unwrap_err();
                assert!(why.starts_with("url must be") && !why.contains("tell"), "{bad}: {why}");
            }
        }
    }

    /// Each mistake in one line that names entry and field, without any value.
    #[test]
    fn mistakes_are_told_without_secrets() {
        let with = |from: &str, to: &str| {
            assert!(good().contains(from), "{from}");
            good().replace(from, to)
        };
        let more = |line: &str| format!("{}{line}\n", good());
        let long = "x".repeat(MAX_WEBHOOK_URL_BYTES);
        for (text, says) in [
            (String::new(), "has no [[hook]]"),
            ("hook = 5".to_owned(), "has no [[hook]]"),
            ("hook = [5]".to_owned(), "[[hook]] 1: must be a table"),
            (format!("other = 1\n{}", good()), "unknown field \"other\""),
            (more("evnets = 1"), "[[hook]] 1: has an unknown field \"evnets\""),
            (with("name = \"a\"\n", ""), "[[hook]] 1: has no name"),
            (with("\"a\"", "\"a b\""), "name must be 1 to 64"),
            (with("\"a\"", "5"), "name must be 1 to 64"),
            (with("\"https://example.com/a\"", "5"), "url must be a string"),
            (with("https:", "http:"), "url must be https://"),
            (with("example.com", "192.168.0.1"), "loopback or private"),
            (with("example.com/a", &format!("example.com/{long}")), "url must be at most"),
            (with(SECRET, "tellnobody"), "secret must be whsec_"),
            (with(&format!("\"{SECRET}\""), "[]"), "secret must be a string, or a list of 1 to 2"),
            (with(&format!("\"{SECRET}\""), "7"), "secret must be a string, or a list"),
            (more("channels = []"), "channels must not be empty"),
            (more("channels = [5]"), "channels must be a pattern"),
            (more("channels = [\"\"]"), "channels must be patterns of 1"),
            (more("events = []"), "events must be a list out of join, leave"),
            (more("events = [\"joined\"]"), "events must be a list"),
            (with(SECRET, "tell\nnobody"), "line 5 is not TOML"),
            (format!("{}{}", good(), good()), "the name \"a\""),
            (good().repeat(MAX_WEBHOOKS + 1), "more than 32"),
        ] {
            let why = parse(&text, false).unwrap_err();
            assert!(why.contains(says), "{text}\n{why}");
            assert!(!why.contains("nobody") && !why.contains("dGVs"), "{why}");
            assert!(!why.contains('\n'), "{why}");
        }
    }
}
