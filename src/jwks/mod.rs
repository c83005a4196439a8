//! Keys of tokens that whoever signs them publishes (`--jwks-url`): fetched at the start, again before
//! they are too old, and when a token names one that is not among them. What can't be fetched or read
//! leaves the last good ones in use.
//!
//! In the order in which the files need each other:
//!
//! - `fetch`: one try.
//! - [`mind`](mod@mind): when to try.

mod fetch;
pub mod mind;

pub use mind::mind;
