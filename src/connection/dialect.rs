//! What the texts on one WebSocket mean.
//!
//! A connection's task reads and writes messages; a [`Dialect`] says which request a text is, and
//! how an answer is spelled. It is a type parameter of the task, so that our own protocol costs
//! neither a pointer nor a call through one.
//!
//! A vendor's socket would implement it so: `parse` reads the vendor's envelope and makes the
//! [`ClientFrame`] that does what is asked, with a `FrameId` to which the answer comes back;
//! `encode` puts an answer, an error or a letter into the vendor's envelope, as bytes of whole
//! WebSocket messages ([`encode::text_message`] takes anything that serde can write). What has to be
//! remembered between the two, such as the reference that an answer must repeat, is kept in the
//! dialect itself: each connection has one of its own. A frame that the vendor's clients do not know
//! is encoded as nothing.
//!
//! What is *not* of the dialect: pings, pongs and Close frames, which are the WebSocket's own, and
//! what a channel tells its subscribers, which is encoded once for all of them, in our protocol.

use herenow_protocol::parse::Rejected;
use herenow_protocol::{ClientFrame, ServerFrame, encode};

use crate::delivery::Sending;

/// How the client at the other end of a WebSocket speaks.
pub trait Dialect: Send + Unpin + 'static {
    /// The request that a text message is.
    ///
    /// # Errors
    /// It is none: the refusal that the client is told, and the id to which it is the answer.
    fn parse(&mut self, text: &str) -> Result<ClientFrame, Rejected>;

    /// Appends `frame` to `out` as whole WebSocket messages, none if the client would not know it.
    fn encode(&mut self, frame: &ServerFrame, out: &mut Vec<u8>);

    /// Queues `frame` among a connection's replies.
    fn reply(&mut self, sending: &mut Sending<'_>, frame: &ServerFrame) {
        sending.queue(|out| self.encode(frame, out));
    }
}

/// Our own protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct Herenow;

impl Dialect for Herenow {
    fn parse(&mut self, text: &str) -> Result<ClientFrame, Rejected> {
        herenow_protocol::parse(text)
    }

    fn encode(&mut self, frame: &ServerFrame, out: &mut Vec<u8>) {
        match frame {
            // Asked for by a person who types.
            ServerFrame::Help { .. } => encode::readable_text_message(frame, out),
            _ => encode::text_message(frame, out),
        }
    }
}
