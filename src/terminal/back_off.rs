//! Whether to come back after a connection ended, and when: as `protocol/README.md`, *Close codes*, asks.

use std::time::Duration;

use herenow_protocol::CloseCode;

use super::heard::Refused;
use super::safe::shown;
use crate::limits::{TERMINAL_BACK_OFF_MS, TERMINAL_TEXT};

/// How a connection ended, or why there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By a Close, or a refusal, and what the broker said before.
    Closed {
        /// The Close frame's code; over HTTP there is none.
        code: Option<u16>,
        /// What was refused.
        refused: Option<Box<Refused>>,
        /// When to come back, by `goaway`.
        back_in_ms: Option<u64>,
    },
    /// The network, or something in between.
    Lost(String),
    /// It can't be otherwise the next time.
    Never(String),
}

impl Ended {
    /// By a refusal.
    #[must_use]
    pub fn refused(refused: Refused) -> Self {
        Self::Closed { code: None, refused: Some(refused.into()), back_in_ms: None }
    }

    /// Why, in words.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Lost(why) | Self::Never(why) => shown(why, TERMINAL_TEXT),
            // What was said before was that it would.
            Self::Closed { code: Some(code), .. } if *code == CloseCode::TokenExpired.number() => {
                said(*code).to_owned()
            }
            Self::Closed { refused: Some(refused), .. } => advised(refused),
            Self::Closed { code: Some(code), .. } => said(*code).to_owned(),
            Self::Closed { .. } => "the broker closed the connection".to_owned(),
        }
    }

    /// Whether another token may help: the one that was shown is over.
    #[must_use]
    pub fn is_expiry(&self) -> bool {
        let Self::Closed { code, refused, .. } = self else { return false };
        *code == Some(CloseCode::TokenExpired.number())
            || refused.as_ref().is_some_and(|refused| refused.code == "token_expired")
    }

    fn can_be_otherwise(&self) -> bool {
        match self {
            Self::Never(_) => false,
            Self::Lost(_) => true,
            // A token that is not valid yet, or whose key is not known yet, will be.
            Self::Closed { refused: Some(refused), .. } if refused.retry_after_ms.is_some() => true,
            Self::Closed { code: Some(code), .. } => {
                matches!(code, 1001 | 1005 | 1006 | 1011..=1014 | 4100..=4199)
            }
            Self::Closed { refused, .. } => {
                let code = refused.as_ref().map(|refused| refused.code.as_str());
                matches!(code, None | Some("unavailable" | "internal" | "rate_limited"))
            }
        }
    }

    fn not_before(&self) -> Duration {
        let Self::Closed { refused, back_in_ms, .. } = self else { return Duration::ZERO };
        let asked = refused.as_ref().and_then(|refused| refused.retry_after_ms);
        Duration::from_millis(asked.max(*back_in_ms).unwrap_or(0))
    }
}

/// A refusal in the broker's words, and what to change where these commands have a flag for it.
#[must_use]
pub fn advised(refused: &Refused) -> String {
    let advice = match (refused.code.as_str(), refused.field.as_deref()) {
        ("unauthenticated", Some("user")) => "; see --user",
        ("unauthenticated", _) => "; see --token-file, and herenow doctor",
        ("token_expired", _) => "; --token-file needs a fresh one",
        ("forbidden", Some("channel" | "users")) => "; --token-file needs a token that grants it",
        _ => "",
    };
    let code = shown(&refused.code, 40);
    format!("{} ({code}){advice}", shown(&refused.message, TERMINAL_TEXT))
}

fn said(code: u16) -> &'static str {
    match code {
        1000..=1006 => "the broker, or a proxy before it, closed the connection",
        1011 => "the broker failed",
        1012 => "the broker shuts down",
        1013 => "the user has too many connections",
        4001 => "the broker does not accept the token; see --token-file",
        4003 => "kicked: a back end ended the user's connections",
        4008 => "the broker takes this for abuse",
        4100 => "read too slowly",
        4101 => "no sign of life came through to the broker",
        4102 => "the token has expired; --token-file needs a fresh one",
        _ => "the broker closed the connection for a reason that is not known here",
    }
}

/// How long to wait, try by try.
#[derive(Debug, Default)]
pub struct BackOff {
    tries: u32,
}

impl BackOff {
    /// There was a welcome: begin anew.
    pub fn welcomed(&mut self) {
        self.tries = 0;
    }

    /// How long to wait before the next try; `None`: there is none. `chance` gives a number below its
    /// argument.
    pub fn next(&mut self, ended: &Ended, chance: impl FnOnce(u64) -> u64) -> Option<Duration> {
        if !ended.can_be_otherwise() {
            return None;
        }
        let most = 1_000u64.checked_shl(self.tries).unwrap_or(u64::MAX);
        self.tries = (self.tries + 1).min(16);
        let not_before = ended.not_before();
        // When to come back after a shutdown is spread by the broker already.
        if matches!(ended, Ended::Closed { back_in_ms: Some(_), .. }) {
            return Some(not_before);
        }
        let wait = chance(most.min(TERMINAL_BACK_OFF_MS));
        Some(not_before + Duration::from_millis(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: u16) -> Ended {
        Ended::Closed { code: Some(code), refused: None, back_in_ms: None }
    }

    fn refused(code: &str, retry_after_ms: Option<u64>) -> Ended {
        let refused = Refused { code: code.to_owned(), retry_after_ms, ..Refused::default() };
        Ended::Closed { code: None, refused: Some(refused.into()), back_in_ms: None }
    }

    fn comes_back(ended: &Ended) -> bool {
        BackOff::default().next(ended, |_| 0).is_some()
    }

    #[test]
    fn it_comes_back_where_the_protocol_says_so() {
        for code in CloseCode::ALL {
            let yes = [1011, 1012, 1013, 4100, 4101, 4102].contains(&code.number());
            assert_eq!(comes_back(&closed(code.number())), yes, "{code:?}");
        }
        assert!(comes_back(&Ended::Lost("cut".to_owned())));
        assert!(!comes_back(&Ended::Never("no such name".to_owned())));
        assert!(comes_back(&closed(4177)) && !comes_back(&closed(4042)), "codes of a newer broker");
        assert!(!comes_back(&refused("unauthenticated", None)));
        assert!(comes_back(&refused("unauthenticated", Some(3_000))), "not valid yet");
        assert!(comes_back(&refused("unavailable", None)));
        assert!(!comes_back(&refused("forbidden", None)));
    }

    #[test]
    fn it_waits_longer_each_time_and_begins_anew_after_a_welcome() {
        let mut back_off = BackOff::default();
        let lost = Ended::Lost("cut".to_owned());
        let mut most = || {
            let mut most = 0;
            back_off.next(&lost, |below| {
                most = below;
                below - 1
            });
            most
        };
        let waits: Vec<_> = (0..40).map(|_| most()).collect();
        assert_eq!(waits[..6], [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
        assert_eq!(waits[39], 10_000);
        back_off.welcomed();
        assert_eq!(back_off.next(&lost, |below| below), Some(Duration::from_secs(1)));
    }

    #[test]
    fn what_the_broker_asks_for_is_waited() {
        let away = Ended::Closed { code: Some(1012), refused: None, back_in_ms: Some(1_234) };
        let wait = BackOff::default().next(&away, |_| 700);
        assert_eq!(wait, Some(Duration::from_millis(1_234)));
        let wait = BackOff::default().next(&refused("unavailable", Some(5_000)), |_| 7);
        assert_eq!(wait, Some(Duration::from_millis(5_007)));
    }

    #[test]
    fn why_is_one_line_without_orders_to_the_terminal() {
        let refused = Refused {
            code: "forbidden".to_owned(),
            message: "no\u{1b}[2J\n".repeat(100),
            field: Some("channel".to_owned()),
            ..Refused::default()
        };
        let why =
            Ended::Closed { code: Some(4001), refused: Some(refused.into()), back_in_ms: None }
                .why();
        assert!(!why.contains(char::is_control) && why.contains("--token-file"), "{why}");
        assert!(why.len() < 400, "{why}");
        assert!(closed(4102).is_expiry() && !closed(4001).is_expiry());
    }
}
