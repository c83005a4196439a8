//! One WebSocket, from its first byte to its last: one task that reads, acts and catches up.
//!
//! In the order in which the files need each other:
//!
//! - [`codec`]: bytes → messages, or the Close code that they deserve.
//! - [`patience`], [`liveness`]: how long silence is borne; pings.
//! - [`rules`]: what holds for every WebSocket.
//! - [`place`]: the channels that the connection joined or subscribed.
//! - `parked`: a query whose answer is not known yet.
//! - [`client`]: what its requests act on and with.
//! - [`dialect`]: what the texts mean: our own protocol, or a vendor's.
//! - [`arrival`]: whose it is, from the beginning or from a word of its client on.
//! - `away`: whether its user is away from it.
//! - [`echo`]: for development: what is said comes back.
//! - `member`, `observer`, `query`: its requests, each translated to the desk.
//! - [`ending`]: how it ends, and what becomes of its memberships.
//! - `renew`: the token's end, and a fresh one.
//! - [`command`]: a request → what it does and what is replied.
//! - [`silence`]: members that are not heard.
//! - [`catch_up`]: what it is owed once a full socket takes bytes again.
//! - [`task`]: all of it in the order in which things happen.
//!
//! An idle connection holds its task, its socket and a few words for each place: bytes are read
//! into a buffer of the thread, and replies are given back as soon as they are out.

pub mod arrival;
mod away;
pub mod catch_up;
pub mod client;
pub mod codec;
pub mod command;
pub mod dialect;
pub mod echo;
pub mod ending;
pub mod liveness;
mod member;
mod observer;
mod parked;
pub mod patience;
pub mod place;
mod query;
mod renew;
pub mod rules;
pub mod silence;
pub mod task;

pub use client::Client;
pub use codec::Violation;
pub use dialect::{Dialect, Herenow};
pub use echo::Echo;
pub use rules::SocketRules;
pub use task::{Upgraded, start};
