//! Many subscribers of one channel, some publishers whose attributes change: which subscriber was told
//! of which change, and how long it took.
//!
//! Connections `0..publishers` are members and don't observe; the rest observe and aren't members.
//! An update carries a mark that is found in whatever a system makes of it.
//!
//! - `ledger`: what each subscriber was told.
//! - `channel`: the connections, and the updates.

mod channel;
mod ledger;

pub(crate) use channel::{Broadcast, CHANNEL, SIPS_PER_SECOND};
pub(crate) use ledger::Delivered;
