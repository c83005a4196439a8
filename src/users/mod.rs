//! Users apart from any channel.
//!
//! - [`record`]: what is kept of a user: its status.
//! - [`index`]: where each user is, by how many connections, and what is kept of it.

pub mod index;
pub mod record;

pub use index::Users;
pub use record::Record;
