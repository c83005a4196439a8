//! How many members a channel has on all nodes, where that is all that is known of them.

use std::sync::Arc;

use super::member::Member;

/// How many members all may see, and the newest of them first: of all nodes, this one included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: usize,
    /// At most [`MAX_RECENT`](herenow_protocol::request::MAX_RECENT).
    pub newest: Vec<Arc<Member>>,
}

/// What a channel has of it.
#[derive(Debug)]
pub(super) struct Summed {
    pub(super) is: Sum,
    /// Since the last tick somebody came or went, and what one of the newest carries changed.
    pub(super) moved: bool,
    pub(super) shown: bool,
}
