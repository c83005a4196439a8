//! NATS over WebSocket: a subject is a channel. It keeps no presence, so it takes part in fan-out
//! alone.

use crate::failure::{Result, fail};
use crate::frame;
use crate::peer::dialect::{Dialect, Note, attributes, event};
use crate::socket::Upgrade;

pub(crate) struct Nats;

impl Dialect for Nats {
    fn upgrade(&self, _: &str) -> Option<Upgrade> {
        Some(Upgrade { path: "/".to_owned(), protocol: None })
    }

    fn hello(&self, _: &str, _: &str, _: &mut Vec<u8>) {}

    fn join(&self, _: &str, _: &str, _: &mut Vec<u8>) {}

    fn observe(&self, _: &str, channel: &str, out: &mut Vec<u8>) {
        send(&format!("SUB {channel} 1\r\nPING\r\n"), out);
    }

    fn update(&self, user: &str, channel: &str, mark: &str, out: &mut Vec<u8>) {
        let event = event("updateAttributes", user, &attributes(mark));
        send(&format!("PUB {channel} {}\r\n{event}\r\n", event.len()), out);
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        send("PING\r\n", out);
    }

    fn read(&mut self, _: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<Note> {
        if payload.starts_with(b"INFO") {
            send("CONNECT {\"verbose\":false,\"pedantic\":false}\r\n", out);
            return Ok(Note::Welcomed);
        }
        if payload.starts_with(b"-ERR") {
            fail!("nats says {}", String::from_utf8_lossy(payload).trim());
        }
        if payload.starts_with(b"PING") {
            send("PONG\r\n", out);
        }
        Ok(if payload.starts_with(b"PONG") { Note::Entered } else { Note::Nothing })
    }
}

fn send(lines: &str, out: &mut Vec<u8>) {
    frame::message(frame::BINARY, lines.as_bytes(), out);
}
