//! Users apart from any channel.
//!
//! In the order in which the files need each other:
//!
//! - `few`: a set of things of which there is one as a rule.
//! - [`elsewhere`]: what nodes tell each other of a user.
//! - [`record`]: what is kept of a user: its status.
//! - `entry`: what the index has of one user.
//! - `gone`: users who are gone, in the order in which they went.
//! - [`index`]: where each user is, by how many connections, and what is kept of it.

pub mod elsewhere;
mod entry;
mod few;
mod gone;
pub mod index;
pub mod record;

pub use elsewhere::{Heard, Own};
pub use index::{Connected, Users, View};
pub use record::Record;
