//! LiveLike: user presence, over long polls as PubNub's.

pub mod routes;

pub use routes::routes;
