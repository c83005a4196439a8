//! What a look at a broker saw, step by step.

use std::net::SocketAddr;

use serde::Deserialize;

use super::heard::{Refused, Welcome};

/// Why nobody could be spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// The name leads nowhere.
    Name(String),
    /// Nothing listens there, or what lies between says no.
    Refused(String),
    /// No answer in time.
    Silent,
    /// Something listens, and there is no TLS with it.
    Tls(TlsFault),
}

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate is for others; whom, as far as it says.
    Name(Vec<String>),
    /// Its time is over, or has not begun.
    Time,
    /// Nobody signed it whom this machine trusts.
    Stranger,
    /// What answers is no TLS.
    None,
    /// Anything else, in the library's words.
    Other(String),
}

impl Unreached {
    /// In words, and with what to change.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Name(why) => format!("the name leads nowhere ({why})"),
            Self::Refused(why) => format!("nothing answers there ({why})"),
            Self::Silent => "no answer in time".to_owned(),
            Self::Tls(TlsFault::Name(names)) if names.is_empty() => {
                "its certificate is for another name".to_owned()
            }
            Self::Tls(TlsFault::Name(names)) => {
                format!("its certificate is for {}, and not for this name", names.join(", "))
            }
            Self::Tls(TlsFault::Time) => "its certificate is not valid at this time".to_owned(),
            Self::Tls(TlsFault::Stranger) => {
                "its certificate is signed by nobody whom this machine trusts".to_owned()
            }
            Self::Tls(TlsFault::None) => "no TLS is spoken there: is it http://?".to_owned(),
            Self::Tls(TlsFault::Other(why)) => format!("no TLS ({why})"),
        }
    }
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// With what.
    pub peer: SocketAddr,
    /// The version of TLS, if it is.
    pub tls: Option<String>,
}

/// An answer over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// As in 200.
    pub status: u16,
    /// Up to a bound.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON of that kind.
    #[must_use]
    pub fn json<T: for<'a> Deserialize<'a>>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What a herenow broker refused.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        self.json().filter(|refused: &Refused| !refused.code.is_empty())
    }

    /// Whether it is a herenow broker's, and of a path that it has.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.is_health() || self.refused().is_some_and(|refused| refused.code != "not_found")
    }

    /// Whether a herenow broker says that it is alive.
    #[must_use]
    pub fn is_health(&self) -> bool {
        #[derive(Deserialize)]
        struct Health {
            status: String,
        }
        self.status == 200 && self.json().is_some_and(|health: Health| health.status == "ok")
    }
}

/// What became of a WebSocket's handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// It is one.
    Done,
    /// An answer of another kind.
    Answered(Answer),
    /// No answer, or none that makes sense.
    Broken(String),
}

/// The first that a broker says over a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First {
    /// As it should be.
    Welcome(Welcome),
    /// We are nobody there.
    Refused(Refused),
    /// Anything else: in words.
    Strange(String),
}

/// What became of a connection on which nobody said anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// The broker's ping came through, after so many milliseconds.
    Pinged(u64),
    /// It was cut after so many.
    Cut(u64),
    /// Nothing at all for so many.
    Nothing(u64),
}
