//! What a tick of the channel of records is to one viewer: events, by what it could read before and
//! what it can read now.

use std::sync::Arc;

use parking_lot::Mutex;

use super::frames::Subscription;
use super::record::{Action, Presence, Record};
use super::who::Who;
use crate::presence::{Member, Step};

/// A record at one moment, made ready to be told.
#[derive(Debug)]
pub struct Shot {
    member: Arc<Member>,
    record: Record,
    shown: Presence,
}

/// One record's change.
#[derive(Debug)]
pub struct Change {
    before: Option<Shot>,
    now: Option<Shot>,
}

/// An event for one viewer.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    shot: &'a Shot,
    /// What happened, from the precise to the general.
    pub events: [String; 4],
    /// Where it is told.
    pub channels: [String; 4],
}

impl Shot {
    fn of(member: &Arc<Member>) -> Option<Self> {
        let record = Record::of(member)?;
        let shown = record.shown(&member.user);
        Some(Self { member: Arc::clone(member), record, shown })
    }
}

impl Change {
    /// Out of what a member was and is to observers.
    #[must_use]
    pub fn new(before: Option<&Arc<Member>>, now: Option<&Arc<Member>>) -> Self {
        Self { before: before.and_then(Shot::of), now: now.and_then(Shot::of) }
    }

    /// What it is to `who`: nothing, one event, or two where one record took another's place. A record
    /// that goes out of sight is shown as it was last seen.
    #[must_use]
    pub fn events(&self, who: &Who) -> Vec<Event<'_>> {
        let seen = |shot: &Option<Shot>| -> bool {
            shot.as_ref().is_some_and(|shot| who.sees(&shot.member, &shot.record))
        };
        let before = self.before.as_ref().filter(|_| seen(&self.before));
        let now = self.now.as_ref().filter(|_| seen(&self.now));
        match (before, now) {
            (None, None) => Vec::new(),
            (None, Some(now)) => vec![Event::of(now, Action::Upsert)],
            (Some(before), None) => vec![Event::of(before, Action::Delete)],
            (Some(before), Some(now)) if before.record.id != now.record.id => {
                vec![Event::of(before, Action::Delete), Event::of(now, Action::Upsert)]
            }
            // What else changed of the member is not of the record.
            (Some(before), Some(now)) if before.record == now.record => Vec::new(),
            (Some(_), Some(now)) => vec![Event::of(now, now.record.last)],
        }
    }
}

impl<'a> Event<'a> {
    fn of(shot: &'a Shot, action: Action) -> Self {
        let (id, action) = (&shot.record.id, action.as_str());
        Self {
            shot,
            events: [
                format!("presences.{id}.{action}"),
                format!("presences.*.{action}"),
                format!("presences.{id}"),
                "presences.*".to_owned(),
            ],
            channels: [
                "presences".to_owned(),
                format!("presences.{id}"),
                format!("presences.{action}"),
                format!("presences.{id}.{action}"),
            ],
        }
    }

    /// The record as it is told.
    #[must_use]
    pub fn payload(&self) -> &'a Presence {
        &self.shot.shown
    }

    /// The ids of the subscriptions that it is for.
    #[must_use]
    pub fn matching<'s>(&self, subscriptions: &'s [Subscription]) -> Vec<&'s str> {
        let Shot { member, record, .. } = self.shot;
        let matching = subscriptions.iter().filter(|one| {
            one.channels.iter().any(|channel| self.channels.contains(channel))
                && one.filters.iter().all(|filter| filter.means(&member.user, record))
        });
        matching.map(|one| &*one.id).collect()
    }
}

/// The latest tick, made ready once for all sockets. A bound: one tick.
#[derive(Debug, Default)]
pub struct Latest(Mutex<Option<(u64, Arc<[Change]>)>>);

impl Latest {
    /// What the tick changed.
    #[must_use]
    pub fn of(&self, step: &Step) -> Arc<[Change]> {
        if let Some((stamp, changes)) = &*self.0.lock()
            && *stamp == step.stamp
        {
            return Arc::clone(changes);
        }
        let changed = step.changes.changed().iter();
        let changes: Arc<[_]> =
            changed.map(|changed| Change::new(changed.before(), changed.now())).collect();
        let mut latest = self.0.lock();
        // Whoever lags makes its own, and takes it from nobody.
        if latest.as_ref().is_none_or(|(stamp, _)| *stamp < step.stamp) {
            *latest = Some((step.stamp, Arc::clone(&changes)));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use herenow_protocol::{Audience, UserId};
    use proptest::prelude::*;

    use super::*;
    use crate::auth::{Credential, Identity};
    use crate::vendors::appwrite::frames::{Asked, parse};
    use crate::vendors::appwrite::record::tests::{member, record};

    type Kept = (Record, Audience);

    fn kept(id: &str, permissions: &[&str], updated_ms: u64, last: Action) -> Kept {
        let (one, audience) = record(id, permissions);
        (Record { updated_ms, last, ..one }, audience)
    }

    fn change(before: Option<&Kept>, now: Option<&Kept>) -> Change {
        let of = |kept: Option<&Kept>| kept.map(|kept| Arc::new(member("ada", kept)));
        Change::new(of(before).as_ref(), of(now).as_ref())
    }

    fn user(name: &str) -> Who {
        let user = UserId::parse(name, "user").unwrap();
        Who::User(Identity { user, access: None })
    }

    fn told(change: &Change, who: &Who) -> Vec<(String, u64)> {
        let events = change.events(who).into_iter();
        events.map(|event| (event.events[0].clone(), event.shot.record.updated_ms)).collect()
    }

    const ALL: &[&str] = &[r#"read("users")"#];
    const BOB: &[&str] = &[r#"read("user:bob")"#];

    #[test]
    fn what_comes_into_sight_is_an_upsert_and_what_goes_a_delete_as_it_was_last_seen() {
        let (shown, changed) =
            (kept("p", ALL, 1, Action::Upsert), kept("p", ALL, 2, Action::Update));
        let hidden = kept("p", BOB, 3, Action::Update);
        let is = |change: Change, who: &str, expected: &[(&str, u64)]| {
            let expected: Vec<_> = expected.iter().map(|&(e, at)| (e.to_owned(), at)).collect();
            assert_eq!(told(&change, &user(who)), expected);
        };
        is(change(None, Some(&shown)), "eve", &[("presences.p.upsert", 1)]);
        is(change(Some(&shown), Some(&changed)), "eve", &[("presences.p.update", 2)]);
        is(change(Some(&changed), Some(&hidden)), "eve", &[("presences.p.delete", 2)]);
        is(change(Some(&changed), Some(&hidden)), "bob", &[("presences.p.update", 3)]);
        is(change(Some(&changed), Some(&hidden)), "ada", &[("presences.p.update", 3)]);
        is(change(Some(&hidden), Some(&shown)), "eve", &[("presences.p.upsert", 1)]);
        is(change(Some(&hidden), None), "eve", &[]);
        is(change(Some(&hidden), None), "bob", &[("presences.p.delete", 3)]);
        is(change(Some(&shown), Some(&shown)), "eve", &[]);
        let other = kept("q", ALL, 4, Action::Upsert);
        let both = [("presences.p.delete", 1), ("presences.q.upsert", 4)];
        is(change(Some(&shown), Some(&other)), "eve", &both);
    }

    #[test]
    fn an_event_is_for_the_subscriptions_that_name_it_and_mean_it() {
        let rows = [
            ("all", "presences", ""),
            ("one", "presences.p", ""),
            ("action", "presences.update", ""),
            ("both", "presences.p.update", ""),
            ("other", "presences.q", ""),
            ("elsewhere", "account", ""),
            ("upserts", "presences.upsert", ""),
            ("ada", "presences", r#"{"method":"equal","attribute":"userId","values":["ada"]}"#),
            ("bob", "presences", r#"{"method":"equal","attribute":"userId","values":["bob"]}"#),
        ];
        let rows = rows.map(|(id, channel, query)| {
            let queries: Vec<_> = (!query.is_empty()).then_some(query).into_iter().collect();
            serde_json::json!({ "subscriptionId": id, "channels": [channel], "queries": queries })
        });
        let text = serde_json::json!({ "type": "subscribe", "data": rows }).to_string();
        let Ok(Asked::Subscribe(subscriptions)) = parse(&text) else { panic!() };
        let change = change(
            Some(&kept("p", ALL, 1, Action::Upsert)),
            Some(&kept("p", ALL, 2, Action::Update)),
        );
        let events = change.events(&user("eve"));
        let ids = events[0].matching(&subscriptions);
        assert_eq!(ids, ["all", "one", "action", "both", "ada"]);
    }

    fn any_kept() -> impl Strategy<Value = Option<Kept>> {
        const READERS: [&str; 7] = [
            r#"read("any")"#,
            r#"read("users")"#,
            r#"read("guests")"#,
            r#"read("user:bob")"#,
            r#"read("team:blue")"#,
            r#"write("any")"#,
            r#"update("users")"#,
        ];
        let permissions = proptest::sample::subsequence(READERS.to_vec(), 0..=3);
        let one = (proptest::sample::select(vec!["p", "q"]), permissions, 0..9_u64, any::<bool>());
        proptest::option::of(one.prop_map(|(id, permissions, at, whole)| {
            kept(id, &permissions, at, if whole { Action::Upsert } else { Action::Update })
        }))
    }

    proptest! {
        /// Whatever the permissions: nobody is told a record that it may not read, and whoever keeps
        /// what it is told has exactly what it may read.
        #[test]
        fn nobody_is_told_what_it_may_not_read(states in prop::collection::vec(any_kept(), 1..8)) {
            let whos = [user("ada"), user("bob"), user("eve"), Who::Guest, Who::of(&Credential::Broker)];
            for who in &whos {
                let sees = |kept: &Kept| who.sees(&member("ada", kept), &kept.0);
                let mut known: Option<Record> = None;
                let mut before: Option<&Kept> = None;
                for state in &states {
                    let change = change(before, state.as_ref());
                    for event in change.events(who) {
                        let record = &event.shot.record;
                        let allowed = [before, state.as_ref()].into_iter().flatten();
                        prop_assert!(allowed.filter(|kept| sees(kept)).any(|kept| kept.0 == *record));
                        if event.events[1] == "presences.*.delete" {
                            let last = known.take();
                            prop_assert_eq!(last.as_ref(), Some(record));
                        } else {
                            known = Some(record.clone());
                        }
                    }
                    before = state.as_ref();
                    let seen = before.filter(|kept| sees(kept)).map(|kept| &kept.0);
                    prop_assert_eq!(known.as_ref(), seen);
                }
            }
        }
    }
}
