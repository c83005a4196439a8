//! What can be measured, one file each. `floor`, `followers` and `slow` make the load of `fanout`.

pub(crate) mod fanout;
pub(crate) mod floor;
pub(crate) mod followers;
pub(crate) mod heartbeat;
pub(crate) mod idle;
pub(crate) mod kept;
pub(crate) mod levels;
pub(crate) mod outlived;
pub(crate) mod pacing;
pub(crate) mod polls;
pub(crate) mod slow;
pub(crate) mod slow_lines;
pub(crate) mod storm;
