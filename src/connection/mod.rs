//! One WebSocket, from its first byte to its last: one task that reads, acts and catches up.
//!
//! - [`task`]: all of it in the order in which things happen.
//! - [`codec`]: bytes → messages, or the Close code that they deserve.
//! - [`dialect`]: what the texts mean: our own protocol, or another's.
//! - [`command`]: a request → what it does and what is replied.
//! - `query`: the requests that ask.
//! - `watch`: one's own status, and watching others'.
//! - `renew`: the token's end, and a fresh one.
//! - [`place`]: the channels that the connection joined or subscribed.
//! - [`catch_up`]: what it is owed once a full socket takes bytes again.
//! - [`liveness`], [`silence`]: pings; members that are not heard.
//! - [`ending`]: how it ends, and what becomes of its memberships.
//! - [`rules`]: what holds for every connection.
//!
//! An idle connection holds its task, its socket and a few words for each place: bytes are read
//! into a buffer of the thread, and replies are given back as soon as they are out.

pub mod catch_up;
pub mod codec;
pub mod command;
pub mod dialect;
pub mod ending;
pub mod liveness;
pub mod place;
mod query;
mod renew;
pub mod rules;
pub mod silence;
pub mod task;
mod watch;

pub use dialect::{Dialect, Herenow};
pub use rules::Rules;
pub use task::{Upgraded, start};
