//! The HTTP API: what back ends ask and do, and presence for clients that hold no socket. It stands
//! on [`web`](crate::web), which has let the request in.
//!
//! - [`channels`], [`members`], [`leases`], [`users`]: what is answered.
//! - [`shapes`]: answers as JSON.
//! - [`health`]: for whoever watches over the broker.
//! - [`operations`]: all of it as a table, from which the routes are made.
//! - [`openapi`]: the document that describes the tables of all wings.

pub mod channels;
pub mod health;
pub mod leases;
pub mod members;
pub mod openapi;
pub mod operations;
pub mod shapes;
pub mod users;

pub use operations::OPERATIONS;
