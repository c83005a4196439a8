//! The members that not everyone may see, found by who may: reading costs by what a viewer sees,
//! however many others are hidden.

use std::collections::{BTreeMap, HashMap};
use std::iter;
use std::sync::Arc;

use herenow_protocol::Role;

use super::member::Member;
use super::viewer::Viewer;

type ByNumber = BTreeMap<u64, Arc<Member>>;

/// Members that not everyone may see, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    all: ByNumber,
    /// Those that viewers of a role may see. A member alone sees itself without a role, so it is
    /// not here for that.
    by_role: HashMap<Role, ByNumber>,
}

impl Hidden {
    pub(super) fn insert(&mut self, member: &Arc<Member>) {
        for role in member.audience().into_iter().flatten() {
            let seen = self.by_role.entry(role.clone()).or_default();
            seen.insert(member.number, Arc::clone(member));
        }
        self.all.insert(member.number, Arc::clone(member));
    }

    pub(super) fn remove(&mut self, member: &Member) {
        self.all.remove(&member.number);
        for role in member.audience().into_iter().flatten() {
            let Some(seen) = self.by_role.get_mut(role) else { continue };
            seen.remove(&member.number);
            if seen.is_empty() {
                self.by_role.remove(role);
            }
        }
    }

    /// The member that has this number.
    pub(super) fn get(&self, number: u64) -> Option<&Arc<Member>> {
        self.all.get(&number)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those numbered below `below` that `viewer` may see, newest first. `own`: the viewer's own
    /// membership, if it has one.
    pub(super) fn below<'a>(
        &'a self,
        below: u64,
        viewer: Viewer<'_>,
        own: Option<&'a Arc<Member>>,
    ) -> impl Iterator<Item = &'a Arc<Member>> + use<'a> {
        let mut lists: Vec<_> = match viewer {
            Viewer::Public => Vec::new(),
            Viewer::All => vec![&self.all],
            Viewer::User { user, roles } => {
                let itself = Role::of_user(user);
                let roles = roles.iter().chain(iter::once(&itself));
                roles.filter_map(|role| self.by_role.get(role)).collect()
            }
        }
        .into_iter()
        .map(|list| list.range(..below).rev().map(|(_, member)| member).peekable())
        .collect();
        let mut own = own.filter(|own| own.is_restricted() && own.number < below);
        iter::from_fn(move || {
            let next = lists.iter_mut().filter_map(|list| list.peek().map(|one| one.number));
            let number = next.chain(own.map(|own| own.number)).max()?;
            let mut newest = own.take_if(|own| own.number == number).map(|own| own as &Arc<Member>);
            // Seen by several roles, it stands in several lists.
            for list in &mut lists {
                newest = list.next_if(|one| one.number == number).or(newest);
            }
            newest
        })
    }
}
