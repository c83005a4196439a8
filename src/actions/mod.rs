//! The desk: each thing that a client may ask, once, whoever asks and over whichever wire:
//! `(caller, arguments) → result`, with rights, limits and refusals. A WebSocket, an HTTP request
//! and a vendor's gateway only translate.
//!
//! - [`rules`]: what holds for everybody.
//! - [`desk`]: what every action works with.
//! - [`guests`]: what a caller may do in a channel.
//! - [`members`]: being in a channel by a connection: join, leave, set.
//! - [`leases`]: being in a channel for a while.
//! - [`records`]: presence records, which vendors' client libraries write.
//! - [`known`]: an answer, and whether it may not be all.
//! - [`queries`]: list, count, one member, where, channels.
//! - [`inspecting`]: channels by size, sources, a user's connections.
//! - [`observing`]: subscribe, follow, watch.
//! - [`users`]: status, heartbeat, kick.

pub mod desk;
pub mod guests;
pub mod inspecting;
pub mod known;
pub mod leases;
pub mod members;
pub mod observing;
pub mod queries;
pub mod records;
pub mod rules;
pub mod users;

pub use desk::Desk;
pub use known::Known;
pub use leases::Leased;
pub use members::{Joined, Joining, Writing};
pub use records::{Lives, Recording};
pub use rules::Rules;
