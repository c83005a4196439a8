//! Who must not resume, because it may have missed what no log holds.

use std::collections::HashMap;

use herenow_protocol::Role;

use super::changes::Changes;
use super::viewer::Viewer;
use crate::limits::MAX_UNLOGGED_ROLES;

/// What no log holds: for each role that could see some change of a restricted member, the last
/// seq at which one happened. A viewer with such a role that comes back from that seq or an earlier
/// one may lack it.
#[derive(Debug, Default)]
pub struct Unlogged {
    roles: HashMap<Role, u64>,
    /// Roles that are no longer known apart: nobody resumes from here or before.
    all_seq: Option<u64>,
}

impl Unlogged {
    /// Notes what `changes` told to some viewers only. `oldest_seq` is the oldest that anybody can
    /// resume from.
    pub(super) fn note(&mut self, changes: &Changes, oldest_seq: u64) {
        // Frames repeat the last seq if there is no other.
        let seq = changes.next_seq() - 1;
        for member in changes.restricted() {
            let own = Role::of_user(&member.user);
            for role in member.audience().into_iter().flatten().chain([&own]) {
                self.roles.insert(role.clone(), seq);
            }
        }
        if self.roles.len() > MAX_UNLOGGED_ROLES {
            self.roles.retain(|_, seq| *seq >= oldest_seq);
        }
        if self.roles.len() > MAX_UNLOGGED_ROLES {
            *self = Self { roles: HashMap::new(), all_seq: Some(seq) };
        }
    }

    /// Whether `viewer`, who had everything up to `seq`, may lack something since.
    pub(super) fn concerns(&self, viewer: Viewer<'_>, seq: u64) -> bool {
        let since = |last: Option<&u64>| last.is_some_and(|&last| last >= seq);
        if since(self.all_seq.as_ref()) {
            return true;
        }
        match viewer {
            Viewer::Public => false,
            Viewer::All => self.roles.values().any(|last| since(Some(last))),
            Viewer::User { .. } if self.roles.is_empty() => false,
            Viewer::User { user, roles } => {
                since(self.roles.get(&Role::of_user(user)))
                    || roles.iter().any(|role| since(self.roles.get(role)))
            }
        }
    }
}
