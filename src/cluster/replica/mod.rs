//! One channel's part in the cluster: what it has to say of its own users, and what it hears of those
//! of other nodes. Used under the channel's lock, beside its [`ChannelState`]: what is heard becomes
//! [`Command`]s, which are to be applied before the lock is let go.
//!
//! - `known`: what is known of one user.
//! - [`channel`]: the one struct.
//! - `settling`: what this node has of a user, held against what the store has of it.
//! - `hearing`: what is told.
//! - `saying`: what is said, and what becomes of it.
//! - `following`: the channel loaded whole, and let go again.
//! - [`summing`]: of a giant its summary alone.
//!
//! [`ChannelState`]: crate::presence::ChannelState
//! [`Command`]: crate::presence::Command

pub mod channel;
mod following;
mod hearing;
mod known;
mod saying;
mod settling;
pub mod summing;
#[cfg(test)]
mod tests;

pub use channel::{Heard, Loaded, Part, Replica};
pub use summing::{Counted, SummaryAsked};
