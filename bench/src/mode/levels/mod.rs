//! `levels N`: a channel too large for its list. N members, each also a subscriber that left the
//! level to the broker (`auto`), while further members come and go; then rest.
//!
//! Each visitor stays a second, so there are always more than N members until the last one has left:
//! a count of N is then news, not a leftover. Checked at every subscriber: that it is told counts and
//! no more lists; that no count is one that was never true, and no seq goes back; and, measured, how
//! long after the last change its count is exact, and how many count frames it got. One at once and
//! one a second is what the protocol allows, so at most the whole seconds from the first change until
//! all are exact, plus 1 (`allowed_frames`).
//!
//! How it can mislead: frames are counted by arrival. A generator that lags reads a frame late, so
//! two may come close together; therefore they are numbered over the whole time and not measured
//! apart. `exact_after_s` holds the generator's reading of N frames, which is most of it where
//! `generator_cores` is near 1. Members send a heartbeat every 25 s, as clients do, and the server's
//! CPU time has those in it.
//!
//! - `observers`: what each member, as a subscriber, was told.
//! - `run`: the steps.

mod observers;
mod run;

pub(crate) use run::{EXACT_WITHIN, LevelsArgs, measure, run};
