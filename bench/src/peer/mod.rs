//! The systems that can be measured, and what each one's clients say.
//!
//! - `dialect`: what every system's clients can say.
//! - `floor`, `herenow`, `mosquitto`, `nats`, `socketio`, `sockudo`, `ws`: one system each.
//! - `systems`: the list of them.

mod dialect;
mod floor;
mod herenow;
mod mosquitto;
mod nats;
mod socketio;
mod sockudo;
mod systems;
mod ws;

pub(crate) use dialect::{Dialect, Note};
pub(crate) use floor::{SUBSCRIBE, SUBSCRIBED, set_frame_bytes};
pub(crate) use herenow::{JWT_SECRET, token};
pub(crate) use systems::Peer;
