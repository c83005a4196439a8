//! mosquitto: MQTT 3.1.1 over WebSocket. A member is a retained message at `presence/CHANNEL/USER`;
//! the will, an empty retained message, takes it away; observers subscribe to `presence/CHANNEL/+`.
//! All at QoS 0: the cheapest that MQTT has.

use crate::failure::{Result, fail};
use crate::frame;
use crate::peer::dialect::{Dialect, Note, attributes, event};
use crate::socket::Upgrade;

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH_RETAINED: u8 = 0x31;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGREQ: u8 = 0xc0;
/// Clean session, a will, and the will is retained.
const CONNECT_FLAGS: u8 = 0b0010_0110;
const KEEP_ALIVE_SECONDS: u16 = 600;

pub(crate) struct Mosquitto;

impl Dialect for Mosquitto {
    fn upgrade(&self, _: &str) -> Option<Upgrade> {
        Some(Upgrade { path: "/mqtt".to_owned(), protocol: Some("mqtt") })
    }

    fn hello(&self, user: &str, channel: &str, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        field(b"MQTT", &mut body);
        body.extend_from_slice(&[4, CONNECT_FLAGS]);
        body.extend_from_slice(&KEEP_ALIVE_SECONDS.to_be_bytes());
        field(user.as_bytes(), &mut body);
        field(topic(channel, user).as_bytes(), &mut body);
        field(b"", &mut body);
        packet(CONNECT, &body, out);
    }

    fn join(&self, user: &str, channel: &str, out: &mut Vec<u8>) {
        publish(user, channel, &event("join", user, "{}"), out);
    }

    fn observe(&self, _: &str, channel: &str, out: &mut Vec<u8>) {
        let mut body = vec![0, 1];
        field(topic(channel, "+").as_bytes(), &mut body);
        body.push(0);
        packet(SUBSCRIBE, &body, out);
    }

    fn update(&self, user: &str, channel: &str, mark: &str, out: &mut Vec<u8>) {
        publish(user, channel, &event("updateAttributes", user, &attributes(mark)), out);
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        packet(PINGREQ, &[], out);
    }

    fn read(&mut self, _: usize, payload: &[u8], _: &mut Vec<u8>) -> Result<Note> {
        Ok(match payload {
            [CONNACK, _, _, 0, ..] => Note::Welcomed,
            [CONNACK, ..] => fail!("mosquitto refused a client: {payload:?}"),
            [SUBACK, ..] => Note::Entered,
            _ => Note::Members,
        })
    }
}

fn topic(channel: &str, user: &str) -> String {
    format!("presence/{channel}/{user}")
}

fn publish(user: &str, channel: &str, payload: &str, out: &mut Vec<u8>) {
    let mut body = Vec::new();
    field(topic(channel, user).as_bytes(), &mut body);
    body.extend_from_slice(payload.as_bytes());
    packet(PUBLISH_RETAINED, &body, out);
}

/// A string of MQTT: two bytes of length before it.
fn field(bytes: &[u8], body: &mut Vec<u8>) {
    body.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    body.extend_from_slice(bytes);
}

/// A packet of MQTT: its kind, the length in groups of seven bits, the body.
fn packet(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    let mut packet = vec![kind];
    let mut length = body.len();
    loop {
        let more = if length > 127 { 0x80 } else { 0 };
        packet.push((length & 127) as u8 | more);
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    frame::message(frame::BINARY, &packet, out);
}
