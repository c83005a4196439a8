//! Bytes out: one connection's socket, and the cursor of each of its subscriptions.
//!
//! A connection has no queue. A pass writes a channel's new frame to every subscriber's socket
//! directly ([`Outlet::visit`]). When a socket is full, the rest of a cut frame is its `tail` and
//! the connection is choked: passes skip it, its cursors stay where they are, and its own task
//! catches up from the channels' logs once the socket takes bytes again ([`Sweep`]). What a slow
//! reader costs is bounded by its tail and its replies, however long it sleeps.
//!
//! - [`blob`]: bytes that many sockets are to get.
//! - [`outlet`]: the socket, and the lock that orders everything written to it.
//! - [`subscription`]: what a subscriber asked for, and what it has got of a channel.
//! - [`owed`]: what it is owed, and so which level is in force.

pub mod blob;
pub mod outlet;
pub mod owed;
pub mod subscription;

pub use blob::Blob;
pub use outlet::{Flow, Outlet, Sending, Sweep, Wake};
pub use owed::{Owed, Standing};
pub use subscription::{Cursor, Subscription, Want};
