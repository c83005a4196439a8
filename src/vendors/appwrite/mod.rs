//! Appwrite: Presences, and Realtime for them.
//!
//! In the order in which the files need each other:
//!
//! - [`times`]: moments, as Appwrite spells them.
//! - [`fault`]: refusals in its shape.
//! - [`permissions`]: who may read a record.
//! - [`record`]: a record, and the member that it is.
//! - [`ids`]: whose record an id names.
//! - [`who`]: who asks.
//! - [`query`]: which records.
//! - [`list`]: one page of them.
//! - [`input`]: what a write brings.
//! - [`frames`]: what is said on a socket.
//! - [`changes`]: what a tick is to one viewer.
//! - [`sessions`]: which sockets came by which credential.
//! - [`presences`]: reading and writing, by request and on a socket alike.
//! - [`manner`]: how its libraries ask.
//! - [`routes`](mod@routes): over HTTP.
//! - [`socket`]: over WebSocket: a dialect of a connection's task.
//! - [`handshake`]: who comes with a socket.

pub mod changes;
pub mod fault;
pub mod frames;
pub mod handshake;
pub mod ids;
pub mod input;
pub mod list;
pub mod manner;
pub mod permissions;
pub mod presences;
pub mod query;
pub mod record;
pub mod routes;
pub mod sessions;
pub mod socket;
pub mod times;
pub mod who;

pub use handshake::introduce;
pub use presences::Presences;
pub use routes::routes;
