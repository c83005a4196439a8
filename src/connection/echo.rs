//! For development: each text comes back as it was sent, through the codec, the limits and the writer
//! that all connections have. Foreign suites of WebSocket tests (Autobahn's) want a server that does so.

use herenow_protocol::{CloseCode, Refusal, ServerFrame, encode};

use super::client::Client;
use super::codec::Violation;
use super::dialect::Dialect;
use crate::delivery::Sending;
use crate::now::Now;

/// A client that hears itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Dialect for Echo {
    const SQUEEZES: bool = true;

    fn act(
        &mut self,
        client: &mut Client,
        sending: &mut Sending<'_>,
        text: &str,
        limited: Option<Refusal>,
        now: Now,
    ) -> Result<(), Violation> {
        if limited.is_some() {
            return Err(Violation { code: CloseCode::Abuse, reason: "too many messages" });
        }
        client.heard(now);
        let before = sending.queued();
        sending.queue(|out| encode::verbatim_text_message(text, out));
        sending.squeeze_queued(before, client.desk().hub().metrics());
        Ok(())
    }

    /// Nothing is said but what was heard.
    fn encode(&mut self, _frame: &ServerFrame, _out: &mut Vec<u8>) {}
}
