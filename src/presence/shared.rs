//! What a channel notes that other nodes have members of, too.

use herenow_protocol::UserId;
use indexmap::IndexMap;

use super::elsewhere::{Own, Touch};

/// What a channel notes that other nodes have members of, too.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// What own commands did since the last look, in the order of the first of each user's: so the
    /// store numbers them as they came. Bounded like [`Pending`](super::pending::Pending), by whoever
    /// looks.
    touched: IndexMap<UserId, Touch>,
    /// Where a user's status is told: what this node has of that user, who is no member.
    pub(super) status: Option<Box<Own>>,
}

impl Shared {
    /// The user's touch, to note more.
    pub(super) fn touch(&mut self, user: &UserId) -> &mut Touch {
        if !self.touched.contains_key(user) {
            self.touched.insert(user.clone(), Touch::default());
        }
        &mut self.touched[user]
    }

    pub(super) fn take_touched(&mut self) -> Vec<(UserId, Touch)> {
        std::mem::take(&mut self.touched).into_iter().collect()
    }

    pub(super) fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }
}
