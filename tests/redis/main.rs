#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do: by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests wait for what is real")]
#![allow(dead_code, reason = "what starts a Redis is shared")]
//! What knows Redis, against a real one.

mod connections;
mod free;
mod scripts;
mod server;
mod start;
#[allow(dead_code, reason = "the simulator needs more of it")]
#[path = "../cluster/store.rs"]
mod store;
mod users;
