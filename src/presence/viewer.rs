//! Who looks, and whom it may see.

use herenow_protocol::{Role, UserId};

use super::member::Member;

/// Who looks.
#[derive(Clone, Copy, Debug)]
pub enum Viewer<'a> {
    /// Nobody in particular: sees what everyone may see.
    Public,
    /// A user with these roles. Sees itself always.
    User {
        /// Who.
        user: &'a UserId,
        /// What its token gives it.
        roles: &'a [Role],
    },
    /// A back end: sees everyone.
    All,
}

impl Viewer<'_> {
    /// Whether the viewer may see the member. Who may not is answered as if there were none.
    #[must_use]
    pub fn sees(self, member: &Member) -> bool {
        let Some(audience) = member.audience() else { return true };
        match self {
            Self::Public => false,
            Self::User { user, roles } => {
                *user == member.user
                    || audience.iter().any(|role| role.is_user(user) || roles.contains(role))
            }
            Self::All => true,
        }
    }
}
