//! The demo page: its files, and the simulated viewers that it asks for, so that people see what many
//! visitors look like.
//!
//! The viewers come over real connections to the broker's own port, and know nothing of the broker
//! but that port and its protocol, as any client does. The broker's bounds hold for them as for
//! others: each is counted among the connections of its address, and one that is refused waits and
//! tries again.
//!
//! - [`files`]: the page and the client library, compiled in.
//! - [`turn`]: what viewers are called and what they do next; pure.
//! - [`number_pool`]: how many there may be, and which number each has.
//! - `visitor`: one of them, from its coming to its going.
//! - [`visitors`]: all of them, by the channels for which people asked for them.
//! - [`route`]: asking for them over HTTP.

pub mod files;
pub mod number_pool;
pub mod route;
pub mod turn;
mod visitor;
pub mod visitors;

pub use visitors::Visitors;
