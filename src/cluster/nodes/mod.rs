//! What one node knows of all nodes: who lives, who is dead, and what is to be done about it.
//!
//! In the order in which the files need each other:
//!
//! - `rhythm`: when the node renews its lease.
//! - `unbroken`: since when the store answers it without a hole, so that it may judge others.
//! - `dead`: who was judged dead.
//! - `data`: which data the store holds, and for which of them this node has said everything.
//! - [`burial`]: what the dead left in the store, and how it is cleared away.
//! - [`all`]: the one struct, which ties them together.
//! - [`table`]: what people are shown.

pub mod all;
pub mod burial;
mod data;
mod dead;
mod rhythm;
pub mod table;
mod unbroken;

pub use all::{Nodes, Order, Settings};
pub use burial::{Burial, Step};
