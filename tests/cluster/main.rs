#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do: by panicking")]
//! Many nodes on one store.

mod bus;
mod nodes;
mod store;
mod users;
