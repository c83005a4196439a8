//! What can be measured, one file each.

mod bounds;
pub(crate) mod compare;
pub(crate) mod fanout;
pub(crate) mod floor;
pub(crate) mod heartbeat;
pub(crate) mod idle;
pub(crate) mod levels;
pub(crate) mod pacing;
mod raw;
pub(crate) mod slow;
pub(crate) mod storm;
mod work;
