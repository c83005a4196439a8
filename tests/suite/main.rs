//! All integration tests in one binary: one link, one place to look.
//!
//! - `model`: random histories of the presence core against a simple model of it.
//! - `house`: which module may know which, and what the core must not touch.

mod house;
mod model;
