//! social.plus: room presence, and the presence of users. A room is a channel, and a heartbeat there
//! a lease of a minute.
//!
//! - [`failure`]: what goes wrong, as social.plus says it.
//! - [`session`]: what a session's token says.
//! - [`input`]: logins, rooms, ids and settings out of a request.
//! - [`manner`]: who asks.
//! - [`shapes`]: what is answered, as JSON.
//! - [`rooms`]: who is in a room.
//! - [`people`]: logins, names, and the presence of users.
//! - [`routes`](mod@routes): what is answered where.

pub mod failure;
pub mod input;
pub mod manner;
pub mod people;
pub mod rooms;
pub mod routes;
pub mod session;
pub mod shapes;

pub use routes::routes;
