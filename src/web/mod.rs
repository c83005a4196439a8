//! What everything that speaks HTTP shares. The wings that answer requests stand on it, and none of
//! them knows another.
//!
//! - [`process`]: what the system says of this process.
//! - `packed`: what was compressed, to be sent once more.
//! - [`state`]: what every request works with.
//! - [`operation`]: one thing that can be asked, as the row of a table: the routes are made from it,
//!   and so is the document that describes them.
//! - [`host`]: whom a request is for.
//! - [`manner`]: how one kind of clients says who it is, and reads a refusal.
//! - [`held`]: large answers count as what slow readers keep.
//! - [`admit`]: what holds for every request that needs credentials: origin, rate, caller.
//! - [`credential`]: who sent a request's headers.
//! - [`peer`], [`limit`]: where a request comes from, and how many each caller may still make.
//! - [`flood`]: what an operator reads of what clients do.
//! - [`input`]: names, numbers and bodies out of a request, or what is wrong with them.
//! - [`problem`]: refusals as problem details.
//! - [`hang_up`]: not answering.
//! - [`headers`]: what every answer says of itself.
//! - [`accepted`], [`compressed`]: whether a client takes what is gzipped; large answers, gzipped.
//! - [`tagged`]: what does not change, and is not sent again to whoever has it.

pub mod accepted;
pub mod admit;
pub mod compressed;
pub mod credential;
pub mod flood;
pub mod hang_up;
pub mod headers;
pub mod held;
pub mod host;
pub mod input;
pub mod limit;
pub mod manner;
pub mod operation;
mod packed;
pub mod peer;
pub mod problem;
pub mod process;
pub mod state;
pub mod tagged;
