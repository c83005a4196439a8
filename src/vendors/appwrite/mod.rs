//! Appwrite: Presences, and Realtime for them.

pub mod routes;

pub use routes::routes;
