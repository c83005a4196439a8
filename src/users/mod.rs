//! Users apart from any channel.
//!
//! In the order in which the files need each other:
//!
//! - `few`: a set of things of which there is one as a rule.
//! - [`record`]: what is kept of a user: its status.
//! - `gone`: users who are gone, in the order in which they went.
//! - [`index`]: where each user is, by how many connections, and what is kept of it.

mod few;
mod gone;
pub mod index;
pub mod record;

pub use index::Users;
pub use record::Record;
