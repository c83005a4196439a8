//! Saathii: the status API.

pub mod routes;

pub use routes::routes;
