//! Redis: what carries one presence over many nodes. A wing, and the only room that knows Redis.
//!
//! In the order in which the files need each other:
//!
//! - [`address`]: where Redis is, as flags say.
//! - [`wire`]: one connection to it.
//! - [`start`]: whether all that is needed is there, said in one line before the broker listens.

pub mod address;
pub mod start;
pub mod wire;

pub use address::Address;
pub use start::check;
pub use wire::Wire;
