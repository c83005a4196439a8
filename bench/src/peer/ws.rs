//! `peers/ws`: the small presence server that people write themselves on the `ws` package.

use crate::failure::Result;
use crate::frame;
use crate::peer::dialect::{Dialect, Note, attributes};
use crate::socket::Upgrade;

pub(crate) struct Ws;

impl Dialect for Ws {
    fn upgrade(&self, user: &str) -> Option<Upgrade> {
        Some(Upgrade { path: format!("/?user={user}"), protocol: None })
    }

    fn hello(&self, _: &str, _: &str, _: &mut Vec<u8>) {}

    fn join(&self, _: &str, channel: &str, out: &mut Vec<u8>) {
        frame::text(&format!(r#"{{"type":"join","channel":"{channel}"}}"#), out);
    }

    fn observe(&self, _: &str, channel: &str, out: &mut Vec<u8>) {
        frame::text(&format!(r#"{{"type":"subscribe","channel":"{channel}"}}"#), out);
    }

    fn update(&self, _: &str, channel: &str, mark: &str, out: &mut Vec<u8>) {
        let attributes = attributes(mark);
        let text = format!(r#"{{"type":"set","channel":"{channel}","attributes":{attributes}}}"#);
        frame::text(&text, out);
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        frame::text(r#"{"type":"heartbeat"}"#, out);
    }

    fn read(&mut self, _: usize, payload: &[u8], _: &mut Vec<u8>) -> Result<Note> {
        Ok(if payload.starts_with(br#"{"type":"welcome""#) {
            Note::Welcomed
        } else if payload.starts_with(br#"{"type":"state""#) {
            Note::Entered
        } else {
            Note::Members
        })
    }
}
