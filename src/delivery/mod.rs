//! Bytes out: one connection's socket, and the cursor of each of its subscriptions.
//!
//! A connection has no queue. A pass writes a channel's new frame to every subscriber's socket
//! directly ([`Subscription::visit`]). When a socket is full, the rest of a cut frame is its `tail`
//! and the connection is choked: passes skip it, its cursors stay where they are, and its own task
//! catches up from the channels' logs once the socket takes bytes again ([`Sweep`]). What slow
//! readers keep alive is bounded in the whole broker ([`Backlog`]), however many they are and however
//! long they sleep.
//!
//! In the order in which the files need each other:
//!
//! - `kernel`: what the kernel says of a socket.
//! - `tls`: the records of a TLS connection.
//! - [`transport`]: the socket, and the only place that knows what it is made of.
//! - [`backlog`]: how many bytes slow readers keep alive, in the whole broker.
//! - [`shared_frame`]: bytes that many sockets are to get.
//! - [`cursor`]: where a subscription stands.
//! - [`behind`]: what there is of a connection only while it lags.
//! - [`mailbox`]: why a connection's task is to look, and letters for its client.
//! - [`writer`]: what is still to be written.
//! - [`sending`]: writing it, under the lock that orders everything written.
//! - [`outlet`]: a connection as others may touch it.
//! - [`subscription`]: a connection that observes a channel, and how it is told.
//! - [`owed`]: what it is owed, and so which level is in force.

pub mod backlog;
pub mod behind;
pub mod cursor;
mod kernel;
pub mod mailbox;
pub mod outlet;
pub mod owed;
pub mod sending;
pub mod shared_frame;
pub mod subscription;
mod tls;
pub mod transport;
pub mod writer;

pub use backlog::{Backlog, Held};
pub use cursor::{Cursor, Want};
pub use mailbox::{Letter, Undelivered, Wake};
pub use outlet::Outlet;
pub use owed::Owed;
pub use sending::{Sending, Sweep};
pub use shared_frame::SharedFrame;
pub use subscription::Subscription;
pub use transport::Transport;
pub use writer::Flow;
