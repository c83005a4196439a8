//! Every bound, in one place: those that an operator may set, and those that belong to the
//! machinery. Only the protocol's own (how long a name may be, say) stand with the protocol, since
//! clients must know them, and the shortest and longest time that a flag takes with the reader of
//! times, on which this room stands.
//!
//! In the order in which the files need each other:
//!
//! - `flags`: what an operator may set.
//! - `access`: tokens, keys, and the files that say who may what.
//! - `channel`: what a channel keeps, and what is told of it.
//! - `connection`: what one reads, and what waits for it.
//! - `answers`: lists and event streams.
//! - `turns`: how often things are looked at, and how much is done in one go.
//! - `port`: accepting, proxies, TLS, and the end.
//! - `nodes`: what one of many says, hears and clears away.
//! - `webhooks`, `vendors`, `demo`, `terminal`: whoever stands around.

mod access;
mod answers;
mod channel;
mod connection;
mod demo;
mod flags;
mod nodes;
mod port;
mod terminal;
mod turns;
mod vendors;
mod webhooks;

pub use access::*;
pub use answers::*;
pub use channel::*;
pub use connection::*;
pub use demo::*;
pub use flags::*;
pub use nodes::*;
pub use port::*;
pub use terminal::*;
pub use turns::*;
pub use vendors::*;
pub use webhooks::*;
