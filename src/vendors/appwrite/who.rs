//! Who asks, as Appwrite knows it: a guest, a user, or a back end.

use std::sync::LazyLock;

use herenow_protocol::{ChannelName, Refusal, Role, UserId};

use super::record::Record;
use crate::auth::{Caller, Credential, Identity, Right};
use crate::presence::{Member, Viewer};

static NOBODY: LazyLock<UserId> = LazyLock::new(UserId::nobody);
static GUESTS: LazyLock<Vec<Role>> =
    LazyLock::new(|| Role::parse("guests", "roles").into_iter().collect());

/// Who asks.
#[derive(Clone, Debug)]
pub enum Who {
    /// Nobody in particular.
    Guest,
    /// A user.
    User(Identity),
    /// A back end: by an API key, or in open mode by any.
    Backend(Credential),
}

impl Who {
    /// Who has that credential. What the broker itself may do here stands for a back end in open mode,
    /// where no key says which.
    #[must_use]
    pub fn of(credential: &Credential) -> Self {
        match credential {
            Credential::User(identity) => Self::User(identity.clone()),
            Credential::Anyone(_) => Self::Guest,
            Credential::Key(_) | Credential::Broker => Self::Backend(credential.clone()),
        }
    }

    /// Who asks, at the desk.
    #[must_use]
    pub fn caller(&self) -> Caller<'_> {
        match self {
            Self::Guest | Self::Backend(Credential::Broker) => Caller::Anyone(None),
            Self::User(Identity { user, access }) => {
                Caller::User { user, access: access.as_deref() }
            }
            Self::Backend(credential) => credential.caller(),
        }
    }

    /// Who looks. A guest sees more than it may: see [`Who::sees`].
    #[must_use]
    pub fn viewer(&self) -> Viewer<'_> {
        match self {
            Self::Guest => Viewer::User { user: &NOBODY, roles: &GUESTS },
            Self::User(_) => self.caller().viewer(),
            Self::Backend(_) => Viewer::All,
        }
    }

    /// Whether it may read the record that the member is.
    #[must_use]
    pub fn sees(&self, member: &Member, record: &Record) -> bool {
        let guest = matches!(self, Self::Guest);
        self.viewer().sees(member) && (!guest || record.permissions.let_guests_read())
    }

    /// Whether it is that user.
    #[must_use]
    pub fn is(&self, user: &UserId) -> bool {
        self.caller().is(user)
    }

    /// Whether it may change records of any user.
    #[must_use]
    pub fn is_backend(&self) -> bool {
        matches!(self, Self::Backend(_))
    }

    /// Refuses to read records, but one's own.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_read(&self, right: Right) -> Result<(), Refusal> {
        self.caller().may_read(right, &ChannelName::of_records())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::appwrite::record::tests::{member, record};

    #[test]
    fn a_guest_sees_what_is_for_any_and_for_guests() {
        let ada = Identity { user: UserId::parse("ada", "user").unwrap(), access: None };
        let (guest, ada, key) = (Who::Guest, Who::User(ada), Who::of(&Credential::Broker));
        for (permission, seen) in [
            (r#"read("any")"#, [true, true, true]),
            (r#"read("users")"#, [false, true, true]),
            (r#"read("guests")"#, [true, false, true]),
            (r#"read("user:ada")"#, [false, true, true]),
            (r#"read("team:x")"#, [false, false, true]),
            (r#"write("any")"#, [false, false, true]),
        ] {
            let kept = record("p1", &[permission]);
            let member = member("bob", &kept);
            let sees = [&guest, &ada, &key].map(|who| who.sees(&member, &kept.0));
            assert_eq!(sees, seen, "{permission}");
        }
        let own = record("p1", &[]);
        assert!(ada.sees(&member("ada", &own), &own.0), "one's own");
    }
}
