//! Bytes on the line: permessage-deflate (RFC 7692), what a client offers, what it is sent, what it
//! sends; and gzip for HTTP.
//!
//! Without context takeover on either side: each message is compressed by itself. So a frame is
//! compressed once and shared by all who negotiated it, and a connection keeps no window: what is
//! kept is one compressor and one inflater for each thread that ever needed one (half a MiB at most).
//!
//! - [`offer`]: what is offered in a handshake, and what is answered.
//! - [`inflate`](mod@inflate): a message of a client, back to what it says.
//! - [`gzip`](mod@gzip): an HTTP answer, smaller.
//! - [`squeeze`](mod@squeeze): whole messages for clients, smaller; and what it pays for.

pub mod gzip;
pub mod inflate;
pub mod offer;
pub mod squeeze;

pub use gzip::gzip;
pub use inflate::{Damage, inflate};
pub use offer::Answer;
pub use squeeze::{pays, squeeze};
