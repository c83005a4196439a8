//! All connections of the generator, on one thread: one epoll, one read buffer, no task, no wake-up
//! and no allocation per message. Knows WebSocket framing and no protocol above it.
//!
//! - `driver`: what a load hears of its connections.
//! - `connections`: the sockets, from their beginning to their end.
//! - `intake`: bytes → frames → messages for the driver.
//! - `turns`: the swarm itself, which waits for the sockets.

mod connections;
mod driver;
mod intake;
mod turns;

pub(crate) use driver::Driver;
pub(crate) use turns::{Swarm, TURN};
