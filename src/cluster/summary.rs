//! How many are in a giant channel, and the newest of them: all that a node needs to know that has
//! nobody who is told each change.
//!
//! The store keeps the members of a large channel by their numbers in lists, from [`LARGE`] users on (or
//! the roster limit, if that is smaller) down to half as many, apart from each other those whom all may
//! see and those whom not: so its count and its newest members cost it little, and small channels cost
//! it nothing. Whether members are counted
//! is decided there, at each change, by the roster limit that a say names, with the hysteresis of
//! [`Roster::next`](crate::presence::Roster::next): so nodes do not differ.
//!
//! Of a channel that is counted, or was when its last summary was published, a summary is owed after
//! each change. It is published at once if the last one is [`SUMMARY_MS`] old by the store's clock; else
//! whoever changed the channel is told after how long to ask for it ([`Told::owes_ms`]), and whoever
//! asks first has it published: so the last state is always told. Should that node die, those who follow
//! the summary ask once in a while. When members are not counted any longer, a summary says so, and is
//! the last.
//!
//! [`Told::owes_ms`]: super::Told::owes_ms

use std::sync::Arc;

use herenow_protocol::request::MAX_RECENT;
use herenow_protocol::{Attributes, UserId};

use super::record::{Mark, Record, StoreMs};
use crate::limits::RECENT_BYTES;
use crate::presence::{Member, Profile, Sum};

/// The store keeps an index of the members if a channel has more users than this, or than the
/// roster limit. Building it reads all of them: a millisecond.
pub const LARGE: usize = 256;

/// Members that a summary names.
pub const NEWEST: usize = 200;

/// From one summary to the next at least so long, in milliseconds.
pub const SUMMARY_MS: u64 = 1_000;

/// Names take so many bytes at most, and attributes as many again.
pub const NEWEST_BYTES: usize = 64 * 1024;

/// What a name takes besides itself, and what attributes do, about.
pub const OVERHEADS: (usize, usize) = (96, 16);

const _: () = assert!(NEWEST == MAX_RECENT && NEWEST_BYTES == RECENT_BYTES);

/// How many there are, and the newest of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Names the data that the store holds.
    pub era: u64,
    /// The channel's version.
    pub version: u64,
    /// What the store's clock showed.
    pub now: StoreMs,
    /// Whether members are counted. If not, nothing else is said.
    pub counted: bool,
    /// How many members all may see.
    pub count: u64,
    /// The newest of them first, each without what keeps it there.
    pub newest: Vec<(UserId, Record)>,
}

/// What is answered to whoever asks for a summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// It; `None`: it is as the asker knows it.
    pub summary: Option<Summary>,
    /// What the store's clock showed.
    pub now: StoreMs,
    /// As in [`Told`](super::Told).
    pub owes_ms: Option<u64>,
}

impl Summary {
    /// As the channel shows it.
    #[must_use]
    pub fn sum(&self) -> Sum {
        Sum { count: self.count as usize, newest: self.members().collect() }
    }

    fn members(&self) -> impl Iterator<Item = Arc<Member>> + '_ {
        self.newest.iter().map(|(user, record)| Arc::new(member(user, record, self.now)))
    }
}

/// The member that a record is, where nothing else is known of it, when the store's clock showed that.
#[must_use]
pub fn member(user: &UserId, record: &Record, now: StoreMs) -> Member {
    let info = record.info.as_ref().map(|info| info.value.clone()).unwrap_or_default();
    let visible_to = record.audience.as_ref().map(|it| it.value.clone()).unwrap_or_default();
    let profile = Profile { info, visible_to };
    let is_away =
        |mark: &Mark| matches!(*mark, Mark::Live { away, .. } | Mark::Lost { away, .. } if away);
    let away = record.is_member()
        && record.marks.values().all(is_away)
        && record.leases.values().all(|lease| lease.away);
    Member {
        user: user.clone(),
        attributes: attributes(record, now),
        away,
        joined_at: record.place.value.joined_at,
        number: record.place.value.number,
        profile: (profile != Profile::default()).then(|| Arc::new(profile)),
    }
}

/// Without the keys that have run out.
fn attributes(record: &Record, now: StoreMs) -> Attributes {
    let Some(written) = record.attributes.as_ref().map(|written| &written.value) else {
        return Attributes::EMPTY;
    };
    let over = || written.ends.iter().filter(|(_, ends)| *ends <= now);
    if over().next().is_none() {
        return written.attributes.clone();
    }
    written.attributes.without(over().map(|(key, _)| &**key))
}

#[cfg(test)]
mod tests {
    use super::super::record::{Stamped, Written, example};
    use super::*;

    /// As on one node: away is who is away from wherever it is.
    #[test]
    fn away_is_who_is_away_at_each_node_and_by_each_lease() {
        let user = UserId::parse("ada", "user").unwrap();
        for (marks, leases, away) in [
            (&[true][..], &[][..], true),
            (&[false], &[], false),
            (&[true, true], &[true], true),
            (&[true, false], &[true], false),
            (&[true, true], &[false], false),
            (&[], &[true], true),
            (&[], &[], false),
        ] {
            let shown = member(&user, &example(marks, leases), 0);
            assert_eq!(shown.away, away, "{marks:?} {leases:?}");
        }
    }

    #[test]
    fn a_sum_shows_the_newest_without_what_has_run_out() {
        let user = UserId::parse("ada", "user").unwrap();
        let mut record = example(&[false], &[]);
        let attributes = |of: serde_json::Value| Attributes::from_map(of.as_object().unwrap());
        record.attributes = Some(Stamped {
            stamp: record.place.stamp,
            value: Written {
                attributes: attributes(serde_json::json!({"a": 1, "b": 2})),
                ends: vec![("a".into(), 1_000)],
            },
        });
        let mut summary = Summary {
            era: 1,
            version: 1,
            now: 999,
            counted: true,
            count: 12_000,
            newest: vec![(user.clone(), record.clone())],
        };
        let newest = summary.sum().newest;
        assert_eq!((summary.sum().count, newest.len()), (12_000, 1));
        assert_eq!((&newest[0].user, newest[0].joined_at, newest[0].number), (&user, 5, 1 << 20));
        assert_eq!(newest[0].attributes, attributes(serde_json::json!({"a": 1, "b": 2})));
        assert_eq!(newest[0].profile, None);
        summary.now = 1_000;
        assert_eq!(summary.sum().newest[0].attributes, attributes(serde_json::json!({"b": 2})));
        let info = attributes(serde_json::json!({"name": "Ada"}));
        record.info = Some(Stamped { stamp: record.place.stamp, value: info.clone() });
        let shown = member(&user, &record, 0);
        assert_eq!(shown.profile.map(|profile| profile.info.clone()), Some(info));
    }
}
