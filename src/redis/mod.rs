//! Redis: what carries one presence over many nodes. A wing, and the only room that knows Redis.
//!
//! In the order in which the files need each other:
//!
//! - [`address`]: where Redis is, as flags say.
//! - [`wire`]: one connection to it.
//! - [`line`](mod@line): the connection by which a node asks, kept.
//! - [`scripts`]: what Redis does at once and whole.
//! - [`store`]: what is asked of it, typed.
//! - [`queue`]: channels that wait.
//! - [`ear`]: the connection by which it hears what is published.
//! - [`orders`]: what a node has all others do about a user, and what they answer.
//! - [`signed_out`]: who was signed out, for nodes that come later.
//! - `noted`: which hints this node has there, and whose turn it is to write some.
//! - `joint`: what all loops between Redis and the hub share; and those loops:
//! - `hints`: where users and nodes may be found.
//! - `saying`: what changed here.
//! - `obeying`: what other nodes order.
//! - `following`: what others have of the channels that somebody looks at.
//! - `summing`: of giants how many there are.
//! - `living`: leases, the dead, data that were lost.
//! - `comparing`: what an old copy of the data has of this node.
//! - [`engine`]: what the hub wants of all this; its start and end.
//! - [`start`]: whether all that is needed is there, said in one line before the broker listens.
//! - [`list`](mod@list): what people are shown of all nodes.

pub mod address;
mod comparing;
pub mod ear;
pub mod engine;
mod following;
mod hints;
mod joint;
pub mod line;
pub mod list;
mod living;
mod noted;
mod obeying;
pub mod orders;
pub mod queue;
mod saying;
pub mod scripts;
pub mod signed_out;
pub mod start;
pub mod store;
mod summing;
pub mod wire;

pub use address::Address;
pub use engine::Node;
pub use list::list;
pub use orders::Orders;
pub use start::check;
pub use wire::Wire;
