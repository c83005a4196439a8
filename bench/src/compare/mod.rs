//! `compare`: the same work for every system, in one run, and herenow's figures beside their bounds.
//!
//! Systems take turns within each repeat, so that a noisy minute hits all of them; the tables show
//! medians. Every measurement has a server of its own. A system that can't be started, or breaks in
//! mid-work, is told on stderr, has a dash in the tables, and makes the run fail in the end.
//!
//! - `work`: which mode with which load, and which numbers count.
//! - `samples`: the numbers.
//! - `bounds`, `raw`: herenow's against what it set out to reach; all of them as CSV.
//! - `run`: the turns.

mod bounds;
mod raw;
mod run;
mod samples;
mod work;

pub(crate) use run::{CompareArgs, run};
