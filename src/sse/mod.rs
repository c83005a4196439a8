//! Server-sent events: what observers are told of channels, as an answer over HTTP that goes on. It
//! stands on [`web`](crate::web), which has let the request in, and on a
//! [`Follower`](crate::hub::Follower), which knows what is to be told.
//!
//! - [`cursor`]: an event's `id`, and where a stream that comes back goes on.
//! - [`streams`]: what all streams share: how often they show that they live, and how they end.
//! - [`stream`]: one stream: from what a follower is told to events.
//! - [`answer`]: what is answered to the requests.
//! - [`operations`]: the requests as a table.

pub mod answer;
pub mod cursor;
pub mod operations;
pub mod stream;
pub mod streams;

pub use operations::OPERATIONS;
pub use streams::Streams;
