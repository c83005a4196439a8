//! `peers/socketio`: a small rooms server on socket.io, spoken to over its WebSocket transport
//! (Engine.IO 4, Socket.IO 5), never by polling.

use crate::failure::{Result, fail};
use crate::frame;
use crate::peer::dialect::{Dialect, Note, attributes};
use crate::socket::Upgrade;

pub(crate) struct SocketIo;

impl Dialect for SocketIo {
    fn upgrade(&self, _: &str) -> Option<Upgrade> {
        let path = "/socket.io/?EIO=4&transport=websocket".to_owned();
        Some(Upgrade { path, protocol: None })
    }

    fn hello(&self, user: &str, _: &str, out: &mut Vec<u8>) {
        frame::text(&format!(r#"40{{"user":"{user}"}}"#), out);
    }

    fn join(&self, _: &str, channel: &str, out: &mut Vec<u8>) {
        frame::text(&format!(r#"42["join","{channel}"]"#), out);
    }

    fn observe(&self, _: &str, channel: &str, out: &mut Vec<u8>) {
        frame::text(&format!(r#"42["subscribe","{channel}"]"#), out);
    }

    fn update(&self, _: &str, channel: &str, mark: &str, out: &mut Vec<u8>) {
        let attributes = attributes(mark);
        frame::text(&format!(r#"42["set","{channel}",{attributes}]"#), out);
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        frame::text(r#"42["heartbeat"]"#, out);
    }

    fn read(&mut self, _: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<Note> {
        Ok(match payload {
            b"2" => {
                frame::text("3", out);
                Note::Nothing
            }
            [b'4', b'0', ..] => Note::Welcomed,
            [b'4', b'4', ..] => fail!("socket.io refused: {}", String::from_utf8_lossy(payload)),
            [b'0', ..] => Note::Nothing,
            payload if payload.starts_with(br#"42["state""#) => Note::Entered,
            _ => Note::Members,
        })
    }
}
