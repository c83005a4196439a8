//! Proxies between clients and the port: which of them are believed, and whom they say that they speak
//! for.
//!
//! Pure: headers and bytes go in, an address comes out.
//!
//! In the order in which the files need each other:
//!
//! - [`flags`]: what an operator sets.
//! - [`forwarded`]: addresses in the headers of a request.
//! - [`preface`]: an address ahead of all bytes of a connection (PROXY protocol, version 2).
//! - [`trusted`]: who is believed, and what.

pub mod flags;
pub mod forwarded;
pub mod preface;
pub mod trusted;

pub use flags::ProxyFlags;
pub use trusted::Proxies;
