//! One WebSocket, from its first byte to its last: one task that reads, acts and catches up.
//!
//! - [`codec`]: bytes → messages, or the Close code that they deserve.
//! - [`allowance`]: how many frames a client may still send.
//! - [`place`]: the channels that the connection joined or subscribed.
//! - [`command`]: a request → what it does and what is replied.
//! - [`liveness`]: pings, silence, deadlines.
//! - [`task`]: all of it in the order in which things happen.
//!
//! An idle connection holds its task, its socket and a few words for each place: bytes are read
//! into a buffer of the thread, and replies are given back as soon as they are out.

pub mod allowance;
pub mod codec;
pub mod command;
pub mod liveness;
pub mod place;
pub mod task;

pub use task::{Rules, run};
