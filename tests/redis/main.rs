//! What knows Redis, against a real one.

mod connections;
mod scripts;
mod server;
mod start;
#[allow(dead_code, reason = "the simulator needs more of it")]
#[path = "../cluster/store.rs"]
mod store;
mod users;
