//! Users apart from any channel.
//!
//! In the order in which the files need each other:
//!
//! - `few`: a list of things of which there is one as a rule.
//! - [`record`]: what is kept of a user: its status.
//! - [`index`]: where each user is, by how many connections, and what is kept of it.

mod few;
pub mod index;
pub mod record;

pub use index::Users;
pub use record::Record;
