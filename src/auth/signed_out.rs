//! Users whose earlier tokens are good no longer: a back end kicked them. Kept in memory, for as long
//! as a token should live at most; where there are several nodes, by all of them.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use herenow_protocol::UserId;
use parking_lot::RwLock;

use crate::limits::{MAX_SIGNED_OUT, SIGNED_OUT_MS};
use crate::now::Now;

/// Who was signed out, and when: the latest users, for a while.
#[derive(Debug, Default)]
pub struct SignedOut(RwLock<Latest>);

#[derive(Debug, Default)]
struct Latest {
    /// By the wall clock, since that is what tokens are signed by.
    at: HashMap<UserId, u64>,
    /// The same, the first to be forgotten first.
    order: BTreeSet<(u64, UserId)>,
}

impl SignedOut {
    /// Signs the user out: tokens from before the second of `at_unix_ms` are good no longer. Whether
    /// some were until now.
    pub fn add(&self, user: &UserId, at_unix_ms: u64, now: Now) -> bool {
        let mut latest = self.0.write();
        let before = latest.at.get(user).copied();
        // A clock that was set back takes no kick back.
        let is_new = before.is_none_or(|before| before < at_unix_ms);
        if is_new {
            latest.at.insert(user.clone(), at_unix_ms);
            if let Some(before) = before {
                latest.order.remove(&(before, user.clone()));
            }
            latest.order.insert((at_unix_ms, user.clone()));
        }
        latest.forget(now);
        is_new
    }

    /// The first `most` of them behind `after`, by when they were signed out.
    #[must_use]
    pub fn after(&self, after: Option<&(u64, UserId)>, most: usize) -> Vec<(u64, UserId)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.read().order.range((from, Bound::Unbounded)).take(most).cloned().collect()
    }

    /// Whether a token of the user that was signed at `issued_unix_ms` (none: it does not say) is
    /// good no longer. The second of the kick itself counts as after it: tokens count in seconds,
    /// and whoever signs in again at once must get in.
    #[must_use]
    pub fn covers(&self, user: &UserId, issued_unix_ms: Option<u64>, now: Now) -> bool {
        let latest = self.0.read();
        let Some(&at) = latest.at.get(user) else { return false };
        let over = now.unix_ms >= at.saturating_add(SIGNED_OUT_MS);
        !over && issued_unix_ms.is_none_or(|issued_ms| issued_ms / 1_000 < at / 1_000)
    }
}

impl Latest {
    /// Forgets whose time is over, and the oldest beyond the bound.
    fn forget(&mut self, now: Now) {
        while let Some((at, _)) = self.order.first()
            && (self.order.len() > MAX_SIGNED_OUT
                || now.unix_ms >= at.saturating_add(SIGNED_OUT_MS))
            && let Some((_, user)) = self.order.pop_first()
        {
            self.at.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_000_000_400;

    fn user(number: usize) -> UserId {
        UserId::parse(&format!("u{number}"), "user").unwrap()
    }

    fn at(unix_ms: u64) -> Now {
        Now { mono_ms: 7, unix_ms }
    }

    #[test]
    fn a_day_long_and_from_that_second_on() {
        let (out, ada) = (SignedOut::default(), user(1));
        assert!(!out.covers(&ada, None, at(NOON)));
        out.add(&ada, NOON, at(NOON));
        for (issued_ms, covered) in [
            (None, true),
            (Some(0), true),
            (Some(NOON - 401), true),
            (Some(NOON - 400), false),
            (Some(NOON), false),
            (Some(NOON + 5_000), false),
        ] {
            for later_ms in [0, 1, SIGNED_OUT_MS - 1] {
                assert_eq!(out.covers(&ada, issued_ms, at(NOON + later_ms)), covered);
            }
            assert!(!out.covers(&ada, issued_ms, at(NOON + SIGNED_OUT_MS)));
            assert!(!out.covers(&user(2), issued_ms, at(NOON)), "another");
        }
        // Kicked again; and by a clock that was set back meanwhile.
        assert!(out.add(&ada, NOON + 60_000, at(NOON + 60_000)));
        assert!(!out.add(&ada, NOON - 60_000, at(NOON - 60_000)));
        assert_eq!(out.after(None, 9), [(NOON + 60_000, ada.clone())]);
        assert_eq!(out.after(Some(&(NOON + 60_000, ada.clone())), 9), []);
        assert!(out.covers(&ada, Some(NOON), at(NOON + SIGNED_OUT_MS)));
        assert_eq!(out.0.read().order.len(), 1);
    }

    #[test]
    fn the_latest_are_kept() {
        let out = SignedOut::default();
        for number in 0..MAX_SIGNED_OUT {
            out.add(&user(number), NOON + number as u64, at(NOON + number as u64));
        }
        // The first comes again, and is one of the latest from then on.
        out.add(&user(0), NOON + MAX_SIGNED_OUT as u64, at(NOON + MAX_SIGNED_OUT as u64));
        out.add(
            &user(MAX_SIGNED_OUT),
            NOON + MAX_SIGNED_OUT as u64,
            at(NOON + MAX_SIGNED_OUT as u64),
        );
        let held = |out: &SignedOut| (out.0.read().at.len(), out.0.read().order.len());
        assert_eq!(held(&out), (MAX_SIGNED_OUT, MAX_SIGNED_OUT));
        for (number, covered) in [(0, true), (1, false), (2, true), (MAX_SIGNED_OUT, true)] {
            assert_eq!(out.covers(&user(number), None, at(NOON)), covered, "{number}");
        }
        // Those whose time is over make room when somebody else is signed out.
        out.add(
            &user(7),
            NOON + MAX_SIGNED_OUT as u64 + SIGNED_OUT_MS,
            at(NOON + MAX_SIGNED_OUT as u64 + SIGNED_OUT_MS),
        );
        assert_eq!(held(&out), (1, 1));
    }
}
