//! `pacing`: what a giant channel does to the small ones beside it.
//!
//! Many small channels, each with one member whose attributes change and a few subscribers, are
//! measured alone; then again while one giant channel takes hundreds of changes a second for
//! thousands of subscribers.
//!
//! Whose part is whose: the giant's sockets are another process's (`giant`), so that reading them
//! never stands before the reading of a small one; it runs at a lower priority (`--nice`), as if it
//! had a machine of its own and only what the broker leaves of this one. Latency runs from the moment
//! when a small change was written to the moment when this process has read it; how late a change
//! was written is the generator's own affair and stands apart (`written_late_p99_ms`: the poll's step
//! of up to 1 ms, and waiting for a processor).
//!
//! How it can mislead: this process waits for a processor like any other. How long, in the mean, each
//! time that it became ready, is `queued_ms`; that much of each latency, and for the slowest
//! deliveries more, is the generator's. A giant that is read at a low priority falls behind where the
//! broker takes all there is: its own latency is then mostly its reader's. On a machine of two
//! processors `beside` therefore is an upper limit for the broker's part.
//!
//! - `small`: the small channels.
//! - `run`: the two phases.

mod run;
mod small;

pub(crate) use run::{PacingArgs, measure, run};
