//! The texts in which nodes and the store speak: JSON, in which the scripts read and write.
//!
//! A script's JSON (cjson) loses what has more than 14 digits, takes an empty list for an empty
//! object, and knows no order of keys. So what a script need not look into is a text inside the JSON
//! (attributes, info, an audience, why somebody went); larger numbers are texts; there are no lists
//! but that of a say's users; and what is empty is left out.
//!
//! In the store may be what strangers wrote. What cannot be read is [`Strange`]: said, never a panic.
//! One user's record that cannot be read is left out and counted, so that it stops nobody else.
//!
//! In the order in which the files need each other:
//!
//! - [`strange`]: what is not ours.
//! - `texts`: one word each: nodes, keepers, reasons, numbers.
//! - `fields`: what is written in a record, and what is said of it.
//! - [`said`]: a say, as the script reads it.
//! - [`told`]: records, and what is answered and published.
//! - [`life`]: leases of nodes.

mod fields;
pub mod life;
pub mod said;
pub mod strange;
mod texts;
pub mod told;

pub use strange::{Read, Strange};
