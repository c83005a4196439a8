//! What knows Redis, against a real one.

mod server;
mod start;
mod users;
