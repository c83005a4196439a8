//! Redis: what carries one presence over many nodes. A wing, and the only room that knows Redis.
//!
//! In the order in which the files need each other:
//!
//! - [`address`]: where Redis is, as flags say.
//! - [`wire`]: one connection to it.
//! - [`orders`]: what a node has all others do about a user, and what they answer.
//! - [`signed_out`]: who was signed out, for nodes that come later.
//! - [`start`]: whether all that is needed is there, said in one line before the broker listens.

pub mod address;
pub mod orders;
pub mod signed_out;
pub mod start;
pub mod wire;

pub use address::Address;
pub use orders::Orders;
pub use start::check;
pub use wire::Wire;
