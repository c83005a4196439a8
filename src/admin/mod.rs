//! What the operator's page shows of the broker as a whole, and of who looks: its numbers, now and over
//! the last hour, and what an API key may do. All else that the page shows, it asks of the HTTP API.
//!
//! In the order in which the files need each other:
//!
//! - [`samples`]: the numbers, now and then.
//! - [`answers`]: what is answered.
//! - [`operations`]: what can be asked, as a table.

pub mod answers;
pub mod operations;
pub mod samples;

pub use operations::OPERATIONS;
pub use samples::{Samples, mind};
