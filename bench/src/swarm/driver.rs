//! What a load hears of its connections.

use crate::failure::{Result, fail};
use crate::socket::Upgrade;

/// What the connections do: a load reacts to these.
pub(crate) trait Driver {
    /// What connection `who` asks for; none: no WebSocket at all, frames from the first byte.
    fn upgrade(&self, who: usize) -> Option<Upgrade>;

    /// Bytes that connection `who`'s kernel takes in before they are read, of which it makes twice as
    /// many; none: as many as it likes, which hides from the server for long that nobody reads.
    fn receive_buffer(&self, _who: usize) -> Option<usize> {
        None
    }

    /// The connection stands. What is appended to `out` is sent.
    fn opened(&mut self, who: usize, out: &mut Vec<u8>) -> Result<()>;

    /// A message came.
    fn message(&mut self, who: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<()>;

    /// The server ended the connection.
    fn ended(&mut self, who: usize, why: &str) -> Result<()> {
        fail!("the server ended connection {who}: {why}")
    }
}
