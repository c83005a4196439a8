#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do: by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests wait for what is real")]
//! Many nodes on one store.

mod bus;
mod channels;
mod nodes;
#[allow(dead_code, reason = "others need more of it")]
mod store;
mod users;
