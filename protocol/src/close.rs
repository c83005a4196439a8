//! Why the broker ended a connection.

/// The code with which a client closes a connection to come back on another: a loss, so that the grace
/// of its joins begins. A browser can end a WebSocket by a Close only, and with any other code a page
/// that gives up a dead connection, or is reloaded, would leave.
pub const BACK_SOON: u16 = 4200;

/// The code of a Close frame that the broker sends.
///
/// 1002 to 1013 are those of RFC 6455 section 7.4.1 and its registry. 4000–4099: do not reconnect.
/// 4100–4199: reconnect, with back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The answer to the client's own Close.
    Normal = 1000,
    /// The WebSocket protocol was broken: an unmasked frame, a reserved bit, a stray continuation.
    Protocol = 1002,
    /// A binary message: herenow speaks text.
    Unsupported = 1003,
    /// A text message that is not UTF-8.
    InvalidUtf8 = 1007,
    /// A message over the inbound limit.
    TooBig = 1009,
    /// The broker failed.
    Internal = 1011,
    /// The broker is shutting down; `goaway` came before and says when to return.
    Restart = 1012,
    /// The user has as many connections as it may have.
    Later = 1013,
    /// No acceptable identity.
    Unauthenticated = 4001,
    /// A back end ended the user's connections.
    Kicked = 4003,
    /// Far more frames than allowed, or a message begun and not finished in time.
    Abuse = 4008,
    /// The socket took nothing for the write timeout, or held back what others need freed.
    SlowConsumer = 4100,
    /// No sign of life after a ping.
    NoPong = 4101,
    /// The token's time is over: come back with a fresh one.
    TokenExpired = 4102,
}

impl CloseCode {
    /// Every code, for documentation and tests.
    pub const ALL: [Self; 14] = [
        Self::Normal,
        Self::Protocol,
        Self::Unsupported,
        Self::InvalidUtf8,
        Self::TooBig,
        Self::Internal,
        Self::Restart,
        Self::Later,
        Self::Unauthenticated,
        Self::Kicked,
        Self::Abuse,
        Self::SlowConsumer,
        Self::NoPong,
        Self::TokenExpired,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        self as u16
    }
}
