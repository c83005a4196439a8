//! What a system's clients say and what its messages mean: the same work for all.

use std::rc::Rc;

use crate::failure::Result;
use crate::replica::Frame;
use crate::socket::Upgrade;

/// What a message from the server means.
#[derive(Debug)]
pub(crate) enum Note {
    /// Nothing that matters here.
    Nothing,
    /// The connection may enter its channel.
    Welcomed,
    /// The connection observes the channel. The message may name members.
    Entered,
    /// The message may name members.
    Members,
    /// A frame that a strict replica applies.
    Frame(Rc<Frame>),
}

/// How a system's clients speak.
pub(crate) trait Dialect {
    /// What to ask for; none: no WebSocket.
    fn upgrade(&self, user: &str) -> Option<Upgrade>;

    /// What a client says first.
    fn hello(&self, user: &str, channel: &str, out: &mut Vec<u8>);

    /// Becomes a member of the channel.
    fn join(&self, user: &str, channel: &str, out: &mut Vec<u8>);

    /// Observes a channel: all members now, and every change.
    fn observe(&self, user: &str, channel: &str, out: &mut Vec<u8>);

    /// Does both.
    fn enter(&self, user: &str, channel: &str, out: &mut Vec<u8>) {
        self.join(user, channel, out);
        self.observe(user, channel, out);
    }

    /// Changes the member's attributes to ones that hold `mark`.
    fn update(&self, user: &str, channel: &str, mark: &str, out: &mut Vec<u8>);

    /// Says that the client is still here.
    fn heartbeat(&self, out: &mut Vec<u8>);

    /// Reads a message to connection `who`, and appends to `out` the answer that the protocol
    /// demands.
    ///
    /// # Errors
    /// If the server refused something or broke its protocol.
    fn read(&mut self, who: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<Note>;
}

/// The event that systems without a presence format of their own are given to carry: as long as
/// herenow's.
pub(super) fn event(kind: &str, user: &str, attributes: &str) -> String {
    format!(r#"{{"event":"{kind}","user":"{user}","attributes":{attributes},"at":1795348641000}}"#)
}

/// The attributes of an update.
pub(super) fn attributes(mark: &str) -> String {
    format!(r#"{{"mood":"happy","n":"{mark}"}}"#)
}
