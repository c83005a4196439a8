//! An event's `id`: where in a channel's history a stream is, as a text that clients hand back.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use herenow_protocol::Epoch;

use crate::auth::{Access, Credential};
use crate::presence::follow::Mark;

/// Where a stream is, and for whose eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// It has had everything up to this.
    pub mark: Mark,
    /// Of whom the stream is.
    pub sight: Sight,
}

/// Tells apart callers that see different members. Whoever comes back with other roles must not go
/// on from where it was: it was never told of members that it may see now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight(u32);

impl Sight {
    /// That of `credential`.
    #[must_use]
    pub fn of(credential: &Credential) -> Self {
        let mut hasher = DefaultHasher::new();
        match credential {
            Credential::Key(_) => 0.hash(&mut hasher),
            Credential::User(identity) => {
                let roles = identity.access.as_deref().map_or(&[][..], Access::roles);
                (1, identity.user.as_str()).hash(&mut hasher);
                roles.iter().for_each(|role| role.as_str().hash(&mut hasher));
            }
            Credential::Anyone(None) => 2.hash(&mut hasher),
            Credential::Anyone(Some(user)) => (3, user.as_str()).hash(&mut hasher),
        }
        Self(hasher.finish() as u32)
    }
}

impl Cursor {
    /// The mark that `text` writes, if it is a cursor of that sight. What no broker wrote, or
    /// another broker, leads nowhere: the stream begins anew, which is never wrong.
    #[must_use]
    pub fn resume(text: &str, sight: Sight) -> Option<Mark> {
        let mut parts = text.split('.');
        let mut part = || parts.next();
        let epoch = Epoch::from_text(part()?);
        let (seq, stamp) = (part()?.parse().ok()?, part()?.parse().ok()?);
        let whose = u32::from_str_radix(part()?, 16).ok()?;
        let fits = whose == sight.0 && part().is_none();
        fits.then_some(Mark { epoch, seq, stamp })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mark: Mark { epoch, seq, stamp }, sight } = self;
        write!(f, "{epoch}.{seq}.{stamp}.{:x}", sight.0)
    }
}

#[cfg(test)]
mod tests {
    use herenow_protocol::UserId;

    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_and_to_its_own_sight_alone() {
        let as_user = |name| {
            let user = UserId::parse(name, "user").unwrap();
            Sight::of(&Credential::Anyone(Some(user)))
        };
        let mark = Mark { epoch: Epoch::from_random(7), seq: 12, stamp: u64::MAX };
        let text = Cursor { mark, sight: as_user("ada") }.to_string();
        assert_eq!(Cursor::resume(&text, as_user("ada")), Some(mark));
        assert_eq!(Cursor::resume(&text, as_user("bob")), None);
        assert_eq!(Cursor::resume(&text, Sight::of(&Credential::Anyone(None))), None);
        for foreign in ["", "7", "1.2.3", "a.b.c.d", "::", &format!("{text}.1"), &text[1..]] {
            let mark = Cursor::resume(foreign, as_user("ada"));
            // An epoch that nobody has leads nowhere either.
            assert!(mark.is_none_or(|mark| mark.epoch == Epoch::from_text("")), "{foreign}");
        }
    }
}
