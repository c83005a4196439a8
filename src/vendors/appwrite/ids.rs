//! Whose record an id names.

use herenow_protocol::UserId;
use indexmap::IndexMap;

use super::record::Record;
use crate::limits::APPWRITE_IDS_SWEPT;
use crate::presence::{ChannelState, Viewer};

/// The ids of records. Records end by themselves too, of which nothing is heard here: each new id has
/// some others looked at, in turn, so that it is never much more than those that there are. A bound
/// in ids: four thirds of the records that there were at once.
#[derive(Debug, Default)]
pub struct Ids {
    users: IndexMap<String, UserId>,
    next: usize,
}

impl Ids {
    /// Whose record has the id.
    #[must_use]
    pub fn user_of(&self, id: &str, records: &ChannelState) -> Option<UserId> {
        let user = self.users.get(id)?;
        is_kept(records, id, user).then(|| user.clone())
    }

    /// Gives the id to the user. Whoever has it already must have been asked for.
    pub fn give(&mut self, id: String, user: UserId, records: &ChannelState) {
        for _ in 0..APPWRITE_IDS_SWEPT {
            self.next = if self.next < self.users.len() { self.next } else { 0 };
            let Some((id, user)) = self.users.get_index(self.next) else { break };
            if is_kept(records, id, user) {
                self.next += 1;
            } else {
                self.users.swap_remove_index(self.next);
            }
        }
        if self.users.len() < self.users.capacity() / 4 {
            self.users.shrink_to_fit();
        }
        self.users.insert(id, user);
    }

    /// The id is free again.
    pub fn free(&mut self, id: &str) {
        self.users.swap_remove(id);
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

fn is_kept(records: &ChannelState, id: &str, user: &UserId) -> bool {
    records.member(user, Viewer::All).is_some_and(|member| Record::is_of(member, id))
}
