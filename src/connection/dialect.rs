//! What the texts on one WebSocket mean.
//!
//! A connection's task reads and writes messages; a [`Dialect`] says what a text asks for, and how an
//! answer is spelled. It is a type parameter of the task, so that our own protocol costs neither a
//! pointer nor a call through one.
//!
//! A vendor's socket implements it so: `act` reads the vendor's envelope, asks the desk for what is
//! meant, and queues the answer in that envelope, as bytes of whole WebSocket messages
//! ([`encode::text_message`](herenow_protocol::encode::text_message) takes anything that serde can
//! write); `encode` does the same with what the task itself has to say, and leaves out what the
//! vendor's clients do not know. What has to be remembered is kept in the dialect itself: each
//! connection has one of its own.
//!
//! What is *not* of the dialect: pings, pongs and Close frames, which are the WebSocket's own, and
//! what a channel tells its subscribers, which is encoded once for all of them, in our protocol. A
//! vendor's socket is no subscriber: it holds a follower, which `tell` reads.

use std::task::Context;

use herenow_protocol::{CloseCode, Refusal, ServerFrame};

use super::client::Client;
use super::codec::Violation;
use crate::delivery::Sending;
use crate::now::Now;

/// How the client at the other end of a WebSocket speaks.
pub trait Dialect: Send + Unpin + 'static {
    /// Whether [`Dialect::tell`] may have something. The task of one that never has does not ask.
    const TELLS: bool = false;

    /// Whether its clients may negotiate that messages are compressed: where there is something large
    /// to be told them, which many are told.
    const SQUEEZES: bool = false;

    /// Acts on a text message, and queues what is replied. `limited`: it came too soon, and is to be
    /// refused.
    ///
    /// # Errors
    /// Why the connection ends.
    fn act(
        &mut self,
        client: &mut Client,
        sending: &mut Sending<'_>,
        text: &str,
        limited: Option<Refusal>,
        now: Now,
    ) -> Result<(), Violation>;

    /// Appends `frame` to `out` as whole WebSocket messages, none if the client would not know it.
    fn encode(&mut self, frame: &ServerFrame, out: &mut Vec<u8>);

    /// Queues `frame` among a connection's replies.
    fn reply(&mut self, sending: &mut Sending<'_>, frame: &ServerFrame) {
        sending.queue(|out| self.encode(frame, out));
    }

    /// Queues the next thing that others did, among the replies; whether there was one. If not, the
    /// task is woken once there may be.
    ///
    /// # Errors
    /// Why the connection ends.
    fn tell(
        &mut self,
        _cx: &Context<'_>,
        _client: &Client,
        _sending: &mut Sending<'_>,
        _now: Now,
    ) -> Result<bool, Violation> {
        Ok(false)
    }

    /// The number of the Close frame by which the broker ends the connection. What the client is to
    /// be told before goes into `out`.
    fn farewell(&mut self, code: CloseCode, _reason: &str, _out: &mut Vec<u8>) -> u16 {
        code.number()
    }
}

/// Our own protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct Herenow;
