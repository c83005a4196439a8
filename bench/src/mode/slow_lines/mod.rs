//! `slow-lines`: many readers behind slow lines, at full size, and what is promised of them: each
//! figure beside its bound. The run fails if one does not hold.
//!
//! - `enter`: 24 lines of 4 Mbit/s come into a room of 900 members × 2 KB, four a second; and 24 more,
//!   beside clients that come, read nothing and come back ten times a second.
//! - `busy`: 30 members behind lines of 100 KB/s in a room of 300 × 2 KB, each written once a second.
//! - `many`: 2,000 readers of 10 KB/s over 50 busy rooms, and a pair beside them that reads well.
//! - `hidden`: 1,000 members whom not everyone may see subscribe to a room of 3.9 MB, against 1,000 whom
//!   everyone sees.
//!
//! How it can mislead: a line here is a socket with a small receive buffer that is read at the line's
//! speed, so what lies in the broker's send buffer (some 100 KB) and in ours is on its way and can't be
//! taken back: it stands before the truth, and a real line has more or less of it. Broker and generator
//! share the processors: where these are busy the lines are slower than they should be, and the pair
//! of `many` waits for one like everybody; it has a thread of its own, so that reading two thousand
//! sockets does not stand before it. Memory is `VmHWM`, so what the allocator keeps for later is in it.
//!
//! - `figures`: what was found, and the bounds.
//! - `view`: what a reader knows of its room.
//! - `guests`: connections that join, subscribe and read.
//! - `lines`: reading at a line's speed.
//! - `pair`, `attack`: who else is about, each with a thread of its own.
//! - `run`: flags, and the four in turn.

mod attack;
mod busy;
mod enter;
mod figures;
mod guests;
mod hidden;
mod lines;
mod many;
mod pair;
mod run;
mod view;

pub(crate) use run::{SlowLinesArgs, run};
