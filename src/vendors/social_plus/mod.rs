//! social.plus: room presence, and the presence of users.

pub mod routes;

pub use routes::routes;
