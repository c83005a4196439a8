//! What was seen of a broker, and what it means: which fault, and what to change.

use herenow_protocol::PROTOCOL_VERSION;

use super::address::{Address, SOCKET};
use super::heard::{Heard, Refused, Welcome};
use super::moment::long;
use super::safe::shown;
use super::seen::{Answer, First, Handshake, Idle, Reached, TlsFault, Unreached};
use crate::limits::{TERMINAL_CLOCK_MS, TERMINAL_NAME, TERMINAL_TEXT};

/// What one step comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Fine(String),
    /// Nothing is wrong, but something is worth knowing.
    Note(String),
    /// Something is to be changed.
    Fault(Fault),
}

/// Something is to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// For programs.
    pub name: &'static str,
    /// What is.
    pub says: String,
    /// What to change.
    pub change: String,
}

/// Version of these commands, and of the broker that they came with.
pub const OURS: &str = env!("CARGO_PKG_VERSION");

fn fault(name: &'static str, says: impl Into<String>, change: impl Into<String>) -> Finding {
    Finding::Fault(Fault { name, says: says.into(), change: change.into() })
}

fn fine(says: impl Into<String>) -> Finding {
    Finding::Fine(says.into())
}

/// Whether there is something at the address.
#[must_use]
pub fn of_address(address: &Address, reached: &Result<Reached, Unreached>) -> Finding {
    let host = shown(&address.host, TERMINAL_NAME);
    let at = format!("{host}:{}", address.port);
    match reached {
        Ok(Reached { peer, .. }) if peer.ip().to_string() != host => {
            fine(format!("{at} answers, and is {}", peer.ip()))
        }
        Ok(_) | Err(Unreached::Tls(_)) => fine(format!("{at} answers")),
        Err(why @ Unreached::Name(_)) => fault(
            "noSuchName",
            format!("{host}: {}", why.why()),
            "correct the name, or add it to the DNS",
        ),
        Err(why @ Unreached::Refused(_)) => fault(
            "nothingListens",
            format!("{at}: {}", why.why()),
            "start the broker, correct the port, or have the broker listen beyond loopback (--listen)",
        ),
        Err(Unreached::Silent) => fault(
            "noAnswer",
            format!("{at} gives no answer in time"),
            "let the firewall pass this port, or correct the address",
        ),
    }
}

/// Whether it speaks TLS as whom it was asked for; `None`: it was not asked to.
#[must_use]
pub fn of_tls(address: &Address, reached: &Result<Reached, Unreached>) -> Option<Finding> {
    let host = shown(&address.host, TERMINAL_NAME);
    let why = match reached {
        Ok(Reached { tls: Some(version), .. }) => {
            return Some(fine(format!("{version}, with a certificate for {host}")));
        }
        Err(Unreached::Tls(why)) => why,
        _ => return None,
    };
    let says = Unreached::Tls(why.clone()).why();
    Some(match why {
        TlsFault::Name(_) => fault(
            "tlsName",
            format!("{host}: {says}"),
            format!(
                "ask for the name that the certificate has, or get one that has {host} among its names (subjectAltName)"
            ),
        ),
        TlsFault::Time => {
            fault("tlsTime", says, "renew the certificate, or correct this machine's clock")
        }
        TlsFault::Stranger => fault(
            "tlsUnknown",
            says,
            "have the server send its whole chain (fullchain.pem), or have this machine trust your own authority (SSL_CERT_FILE)",
        ),
        TlsFault::None => fault("noTls", says, "write http:// or ws://, or correct the port"),
        TlsFault::Other(_) => fault("tlsFailed", says, "see the log of what answers there"),
    })
}

/// Whether a broker is at this path, and the handshake comes through to it. `health` is what was said to
/// beneath the address where a broker says how it is, `top` what at the top of that host where its
/// WebSocket would be.
#[must_use]
pub fn of_handshake(
    address: &Address,
    origin: Option<&str>,
    handshake: &Handshake,
    health: &Answer,
    top: &Answer,
) -> Finding {
    let path = shown(&address.path(SOCKET), TERMINAL_NAME);
    let answer = match handshake {
        Handshake::Done => return fine(format!("{path} is a WebSocket of the broker's")),
        Handshake::Answered(answer) => answer,
        Handshake::Broken(why) if !address.secure && !health.is_health() => {
            return fault(
                "noHttp",
                format!("{path}: no answer over HTTP ({})", shown(why, TERMINAL_TEXT)),
                "write https:// or wss:// if TLS is spoken there, or correct the port",
            );
        }
        Handshake::Broken(why) => {
            return fault(
                "noUpgrade",
                format!(
                    "{path}: the handshake ends without an answer ({})",
                    shown(why, TERMINAL_TEXT)
                ),
                UPGRADE,
            );
        }
    };
    let status = answer.status;
    match answer.refused() {
        Some(refused) if refused.code != "not_found" => of_refusal(origin, status, &refused),
        _ if matches!(status, 502..=504) => fault(
            "proxyFailed",
            format!("{path}: {status}: the proxy does not reach the broker"),
            "start the broker, or correct where the proxy sends its requests",
        ),
        _ if health.is_health() => fault(
            "wrongPath",
            format!(
                "{path} is answered with {status}, though {} is a broker",
                shown(&address.to_string(), TERMINAL_NAME)
            ),
            format!("have the proxy send {path} to the broker, too"),
        ),
        _ if top.is_known() => fault(
            "wrongPath",
            format!("{path} is answered with {status}: the broker is not beneath this path"),
            format!("use {}", shown(&address.top().to_string(), TERMINAL_NAME)),
        ),
        _ => fault(
            "wrongPath",
            format!("{path} is answered with {status}, and by no herenow broker"),
            "correct host, port and path; behind a proxy, the path that it sends to the broker",
        ),
    }
}

/// What a proxy needs that drops the upgrade.
const UPGRADE: &str = "have the proxy pass WebSockets on; nginx: proxy_http_version 1.1; proxy_set_header \
                       Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"";

fn of_refusal(origin: Option<&str>, status: u16, refused: &Refused) -> Finding {
    let says = format!("{status}: {}", shown(&refused.message, TERMINAL_TEXT));
    match (refused.code.as_str(), refused.field.as_deref()) {
        ("forbidden", Some("host")) => fault(
            "hostRefused",
            says,
            "start the broker with --public-url and this address, or with tokens",
        ),
        ("forbidden", _) if origin.is_some() => {
            let origin = shown(origin.unwrap_or_default(), TERMINAL_NAME);
            fault("originRefused", says, format!("start the broker with --allow-origin {origin}"))
        }
        ("invalid_field", _) => fault("noUpgrade", says, UPGRADE),
        ("unavailable", _) => fault(
            "full",
            says,
            "come back later; or raise --max-connections, or --max-connections-per-user",
        ),
        _ => fault("refused", says, "see the broker's log"),
    }
}

/// As whom the broker takes us. `token`: one was shown, and whether it looks like one.
#[must_use]
pub fn of_identity(first: &First, token: Option<bool>, off_ms: Option<i64>) -> Finding {
    let refused = match first {
        First::Welcome(welcome) => {
            let user = shown(&welcome.user, TERMINAL_NAME);
            return match token {
                Some(_) => fine(format!("the broker takes us for {user}, by the token")),
                None => fine(format!("the broker takes us for {user}, without a token")),
            };
        }
        First::Refused(refused) => refused,
        First::Strange(why) => {
            return fault(
                "noHerenow",
                format!("no welcome: {}", shown(why, TERMINAL_TEXT)),
                "correct the address: what answers there is no herenow broker",
            );
        }
    };
    let says = shown(&refused.message, TERMINAL_TEXT);
    match (refused.code.as_str(), refused.field.as_deref(), token) {
        ("token_expired", ..) if off_ms.is_some_and(is_off) => clock_fault(off_ms.unwrap_or(0)),
        ("token_expired", ..) => {
            fault("tokenExpired", says, "fetch a fresh token, and put it into --token-file")
        }
        ("unauthenticated", Some("user"), _) => fault("badName", says, "give another --user"),
        ("unauthenticated", _, None) => fault(
            "noToken",
            says,
            "give a token by --token-file or HERENOW_TOKEN; herenow token makes one",
        ),
        ("unauthenticated", _, Some(false)) => {
            fault("noJwt", says, "give a user's token (a JWT): API keys are for HTTP alone")
        }
        ("unauthenticated", ..) if refused.now.is_some() => fault(
            "clockOff",
            says,
            "set the clocks of whoever signs tokens and of the broker by NTP, or raise --jwt-leeway",
        ),
        ("unauthenticated", ..) => fault(
            "wrongKey",
            says,
            "sign tokens with the key that the broker has (--jwt-secret-file, --jwt-public-key-file, --jwks-file, --jwks-url), for its --jwt-audience and --jwt-issuer",
        ),
        ("unavailable", ..) => fault("full", says, "come back later, or end some connections"),
        _ => fault("refused", says, "see the broker's log"),
    }
}

/// Whether the broker is one that these commands can speak with.
#[must_use]
pub fn of_version(welcome: &Welcome) -> Finding {
    let Welcome { protocol, server, .. } = welcome;
    let is = format!(
        "{} {}, protocol {protocol}",
        shown(&server.name, TERMINAL_NAME),
        shown(&server.version, TERMINAL_NAME)
    );
    let is_older = match (version(&server.version), version(OURS)) {
        (Some(theirs), Some(ours)) => theirs < ours,
        (None, _) => true,
        (_, None) => false,
    };
    if *protocol < u64::from(PROTOCOL_VERSION) || is_older {
        return fault(
            "tooOld",
            format!("{is}: older than these commands, which are {OURS}"),
            format!("update the broker to {OURS} or later, or use the herenow that came with it"),
        );
    }
    if *protocol > u64::from(PROTOCOL_VERSION) {
        return fault(
            "tooNew",
            format!("{is}: these commands speak protocol {PROTOCOL_VERSION}"),
            "update this herenow",
        );
    }
    fine(is)
}

/// The first two numbers: what differs in the third alone fits together.
fn version(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split(['.', '-', '+']).map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Whether the clocks agree. `off_ms`: by how much the broker's is ahead of ours.
#[must_use]
pub fn of_clock(off_ms: i64) -> Finding {
    if is_off(off_ms) {
        return clock_fault(off_ms);
    }
    fine(format!("the broker's is within {} of ours", long(off_ms.unsigned_abs().max(1_000))))
}

fn is_off(off_ms: i64) -> bool {
    off_ms.unsigned_abs() > TERMINAL_CLOCK_MS
}

fn clock_fault(off_ms: i64) -> Finding {
    let way = if off_ms > 0 { "ahead of" } else { "behind" };
    fault(
        "clockOff",
        format!("the broker's is {} {way} ours", long(off_ms.unsigned_abs())),
        "set both clocks by NTP: tokens begin and expire by the broker's",
    )
}

/// Whether presence is there: what a count of a channel was answered with.
#[must_use]
pub fn of_presence(answer: Option<&Heard>) -> Finding {
    match answer {
        Some(Heard::Result { .. }) => fine("the broker counts members"),
        Some(Heard::Error(refused)) if refused.code == "presence_disabled" => fault(
            "presenceOff",
            shown(&refused.message, TERMINAL_TEXT),
            "start the broker without --disable-presence",
        ),
        Some(Heard::Error(refused)) if refused.code == "forbidden" => {
            fine("it is on (the token may not count this channel, which is another matter)")
        }
        Some(Heard::Error(refused)) => {
            fault("refused", shown(&refused.message, TERMINAL_TEXT), "see the broker's log")
        }
        _ => fault(
            "noAnswer",
            "a question over the WebSocket is not answered",
            "have the proxy pass on what comes over a WebSocket at once, without buffering it",
        ),
    }
}

/// Whether a connection lives on which nothing is said.
#[must_use]
pub fn of_idle(idle: Idle) -> Finding {
    match idle {
        Idle::Pinged(ms) => {
            fine(format!("nothing was said for {}, and then the broker's ping came", long(ms)))
        }
        Idle::Cut(ms) => fault(
            "idleTimeout",
            format!("something in between cut the connection after {} without a word", long(ms)),
            "raise the proxy's idle time-out above the broker's --ping-interval (nginx: proxy_read_timeout 75s), or lower --ping-interval",
        ),
        Idle::Nothing(ms) => Finding::Note(format!(
            "no ping within {}, and no cut either: --idle with more than the broker's --ping-interval finds out",
            long(ms)
        )),
    }
}

#[cfg(test)]
mod tests;
