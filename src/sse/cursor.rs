//! An event's `id`: where in a channel's history a stream is, as a text that clients hand back.

use std::fmt;

use herenow_protocol::{Epoch, Sight};

use crate::chance::Key;
use crate::presence::follow::Mark;

/// A stamp counts the ticks of other channels too, and those that tell of members whom the reader
/// may not see: it is sealed whole.
const STAMP_BITS: u32 = 64;

/// Where a stream is, and for whose eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// It has had everything up to this.
    pub mark: Mark,
    /// Of whom the stream is. Whoever comes back with other roles must not go on from where it was:
    /// it was never told of members that it may see now.
    pub sight: Sight,
}

impl Cursor {
    /// The mark that `text` writes, if it is a cursor of that sight. What no broker wrote, or
    /// another broker, leads nowhere: the stream begins anew, which is never wrong.
    #[must_use]
    pub fn resume(text: &str, sight: Sight) -> Option<Mark> {
        let mut parts = text.split('.');
        let mut part = || parts.next();
        let epoch = Epoch::from_text(part()?);
        let (seq, sealed) = (part()?.parse().ok()?, u64::from_str_radix(part()?, 16).ok()?);
        let stamp = Key::Process.unseal(sealed, STAMP_BITS, seq);
        let fits = Sight::from_text(part()?) == Some(sight) && part().is_none();
        fits.then_some(Mark { epoch, seq, stamp })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mark: Mark { epoch, seq, stamp }, sight } = self;
        write!(f, "{epoch}.{seq}.{:x}.{sight}", Key::Process.seal(*stamp, STAMP_BITS, *seq))
    }
}

#[cfg(test)]
mod tests {
    use herenow_protocol::UserId;

    use super::*;
    use crate::auth::Credential;

    #[test]
    fn a_cursor_comes_back_as_it_went_and_to_its_own_sight_alone() {
        let as_user = |name| {
            let user = UserId::parse(name, "user").unwrap();
            Credential::Anyone(Some(user)).caller().sight()
        };
        let mark = Mark { epoch: Epoch::from_random(7), seq: 12, stamp: u64::MAX };
        let text = Cursor { mark, sight: as_user("ada") }.to_string();
        assert_eq!(Cursor::resume(&text, as_user("ada")), Some(mark));
        assert_eq!(Cursor::resume(&text, as_user("bob")), None);
        assert_eq!(Cursor::resume(&text, Credential::Anyone(None).caller().sight()), None);
        for foreign in ["", "7", "1.2.3", "a.b.c.d", "::", &format!("{text}.1"), &text[1..]] {
            let mark = Cursor::resume(foreign, as_user("ada"));
            // An epoch that nobody has leads nowhere either.
            assert!(mark.is_none_or(|mark| mark.epoch == Epoch::from_text("")), "{foreign}");
        }
    }
}
