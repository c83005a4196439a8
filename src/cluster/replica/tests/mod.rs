//! One channel's part, step by step: what comes from elsewhere comes as a test wants it. Whether all
//! nodes come to show the same is what the simulator asks.
//!
//! - `one`: the channel.
//! - The others: tests of the file that is named so.

mod following;
mod hearing;
mod one;
mod saying;
mod settling;
mod summing;
