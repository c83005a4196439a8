//! What is offered in a handshake (RFC 7692, section 7.1), and what is answered.

const NAME: &str = "permessage-deflate";

/// How the handshake's answer accepts an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Neither side keeps a window from one message to the next.
    NoTakeover,
    /// The same to a client that asked for our window's size, and has to be told it: 15, all of it.
    NoTakeoverWindow15,
}

impl Answer {
    /// The answer to the first acceptable offer among those in the lines of
    /// `Sec-WebSocket-Extensions`; `None`: there is none, and frames stay plain.
    #[must_use]
    pub fn to<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        lines.into_iter().flat_map(|line| line.split(',')).find_map(accept)
    }

    /// The line of the handshake's answer.
    #[must_use]
    pub fn line(self) -> &'static str {
        match self {
            Self::NoTakeover => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            }
            Self::NoTakeoverWindow15 => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=15"
            }
        }
    }
}

/// What to answer to one offer. A comma inside quotes cuts it in two that are both refused, which is
/// right: no parameter that we know has such a value.
fn accept(offer: &str) -> Option<Answer> {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next() != Some(NAME) {
        return None;
    }
    let (mut known, mut answer) = (Vec::new(), Answer::NoTakeover);
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start()))),
            None => (part, None),
        };
        match (name, value) {
            _ if known.contains(&name) => return None,
            ("server_no_context_takeover" | "client_no_context_takeover", None)
            // We inflate whatever window it uses.
            | ("client_max_window_bits", None) => {}
            ("client_max_window_bits", Some(bits)) => {
                window(bits)?;
            }
            // Frames are shared by all, so none is made for a smaller window.
            ("server_max_window_bits", Some(bits)) if window(bits)? == 15 => {
                answer = Answer::NoTakeoverWindow15;
            }
            _ => return None,
        }
        known.push(name);
    }
    Some(answer)
}

/// A value may be quoted (RFC 6455, section 9.1). One that needs an escape is none of ours.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// 8 to 15, without leading zeros.
fn window(bits: &str) -> Option<u8> {
    let number = bits.parse().ok().filter(|number| (8..=15).contains(number))?;
    bits.starts_with(['8', '9', '1']).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_and_what_is_answered() {
        use Answer::{NoTakeover, NoTakeoverWindow15};
        let plain = None;
        for (offer, answer) in [
            ("permessage-deflate", Some(NoTakeover)),
            // What browsers offer.
            ("permessage-deflate; client_max_window_bits", Some(NoTakeover)),
            ("permessage-deflate;client_max_window_bits = 8", Some(NoTakeover)),
            ("permessage-deflate; client_max_window_bits=\"15\"", Some(NoTakeover)),
            ("permessage-deflate; client_no_context_takeover", Some(NoTakeover)),
            (
                " permessage-deflate ; server_no_context_takeover ; client_no_context_takeover ",
                Some(NoTakeover),
            ),
            ("permessage-deflate; server_max_window_bits=15", Some(NoTakeoverWindow15)),
            ("permessage-deflate; server_max_window_bits=\"15\"", Some(NoTakeoverWindow15)),
            // A smaller window, and the offer behind it.
            ("permessage-deflate; server_max_window_bits=14", plain),
            ("permessage-deflate; server_max_window_bits=8, permessage-deflate", Some(NoTakeover)),
            ("x-webkit-deflate-frame, permessage-deflate", Some(NoTakeover)),
            ("permessage-deflate; server_max_window_bits", plain),
            ("permessage-deflate; server_max_window_bits=015", plain),
            ("permessage-deflate; server_max_window_bits=16", plain),
            ("permessage-deflate; server_max_window_bits=+15", plain),
            ("permessage-deflate; server_max_window_bits=", plain),
            ("permessage-deflate; client_max_window_bits=7", plain),
            ("permessage-deflate; client_max_window_bits=08", plain),
            ("permessage-deflate; client_max_window_bits=x", plain),
            ("permessage-deflate; client_max_window_bits=\"1,5\"", plain),
            // What should have no value, what nobody knows, and what stands twice.
            ("permessage-deflate; server_no_context_takeover=1", plain),
            ("permessage-deflate; client_no_context_takeover=\"\"", plain),
            ("permessage-deflate; mode=fast", plain),
            ("permessage-deflate; ", plain),
            ("permessage-deflate; client_max_window_bits; client_max_window_bits=15", plain),
            ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", plain),
            ("Permessage-Deflate", plain),
            ("permessage-deflate2", plain),
            ("permessage-bzip2", plain),
            ("", plain),
            (",,", plain),
        ] {
            assert_eq!(Answer::to([offer]), answer, "{offer:?}");
        }
        let lines = ["permessage-bzip2", "permessage-deflate"];
        assert_eq!(Answer::to(lines), Some(NoTakeover), "in two lines");
        assert_eq!(Answer::to([]), plain);
    }

    /// What we answer is what a client that checks it accepts.
    #[test]
    fn an_answer_is_an_offer_that_we_would_accept() {
        for answer in [Answer::NoTakeover, Answer::NoTakeoverWindow15] {
            assert_eq!(Answer::to([answer.line()]), Some(answer));
        }
    }
}
