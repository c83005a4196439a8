//! What can be measured, one file each.

pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod storm;
