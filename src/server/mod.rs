//! The port: HTTP and WebSocket behind one listener, from start to shutdown.
//!
//! - [`broker`]: starts all of it, and ends it.
//! - [`listener`]: accepts, and backs off.
//! - [`watched`]: a socket that gives up on a client that takes nothing.
//! - `awaited`: a connection that gives up on a client that does not ask.
//! - `socket`: what is under HTTP, and what is left of it for a WebSocket.
//! - `renewal`: a certificate that was replaced is shown.
//! - [`connection_limits`]: how many connections may be open, and how many are.
//! - [`routes`]: what is served over HTTP: every wing's table, and the demo page.
//! - [`probe`]: asking a broker that runs whether it is well.
//! - [`upgrade`]: the WebSocket handshake, and the bare socket handed to its connection.

mod awaited;
pub mod broker;
pub mod connection_limits;
pub mod listener;
mod owed;
pub mod probe;
mod renewal;
pub mod routes;
mod socket;
pub mod upgrade;
pub mod watched;

pub use broker::{Broker, start, start_with};
