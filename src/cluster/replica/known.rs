//! What a channel knows of one user: what the store was heard to have of it, and what is to be said.

use herenow_protocol::{AttributeMap, Attributes, Audience};
use serde_json::Value;

use crate::cluster::record::{Place, Record, Stamp, Stamped, StoreMs, Written};
use crate::now::Now;
use crate::presence::{Keeper, Touch};

/// Keys that vanish by themselves, each with its moment of this broker's clock.
pub(super) type Ends = Vec<(Box<str>, u64)>;

/// The store's clock, as it was heard last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// What it showed.
    pub(super) store: StoreMs,
    /// And when that was heard. By then it showed a little more, so moments come a little late here.
    pub(super) mono_ms: u64,
}

impl Clock {
    /// A moment of the store's clock as one of this broker's.
    pub(super) fn mono_ms(self, moment: StoreMs) -> u64 {
        (self.mono_ms + moment).saturating_sub(self.store)
    }
}

/// Attributes before they were patched: what was patched is the difference.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    pub(super) attributes: Attributes,
    pub(super) ends: Ends,
    /// Who had written them.
    pub(super) stamp: Option<Stamp>,
}

impl Before {
    pub(super) fn of(known: Option<&Stamped<Written>>, clock: Clock) -> Self {
        let Some(known) = known else { return Self::default() };
        let ends = known.value.ends.iter().map(|(key, end)| (key.clone(), clock.mono_ms(*end)));
        Self {
            attributes: known.value.attributes.clone(),
            ends: ends.collect(),
            stamp: Some(known.stamp),
        }
    }

    /// The attributes without the keys whose time has come, and when the others of those vanish.
    pub(super) fn alive(self, now: Now) -> (Attributes, Ends) {
        let due = |end: &(Box<str>, u64)| end.1 <= now.mono_ms;
        let (due, left): (Ends, Ends) = self.ends.into_iter().partition(due);
        let keys = due.iter().map(|(key, _)| &**key);
        (if due.is_empty() { self.attributes } else { self.attributes.without(keys) }, left)
    }
}

/// What is to be said of a user.
#[derive(Clone, Debug, Default)]
pub(super) struct Todo {
    /// What own commands did to it since it was said last.
    pub(super) touch: Touch,
    /// What the attributes were before that.
    pub(super) base: Before,
    /// It was said, and no answer came: the store may have done it.
    pub(super) tried: bool,
}

impl Todo {
    /// Takes in what was done before it and is to be said again.
    pub(super) fn behind(self, earlier: Self, is_empty: bool) -> Self {
        let (first, then) = (earlier.touch, self.touch);
        // Whoever came anew and brought nothing does not bring what it had set before.
        let forgets = then.fresh && is_empty && !then.wrote && !then.patched;
        let wrote = then.wrote || (first.wrote && !forgets);
        let patched = !wrote && (then.patched || (first.patched && !forgets));
        let mut ended = first.ended;
        ended.retain(|(keeper, _)| then.ended.iter().all(|(later, _)| later != keeper));
        ended.extend(then.ended);
        let touch = Touch {
            wrote,
            patched,
            informed: first.informed || then.informed,
            shown: first.shown || then.shown,
            placed: first.placed || then.placed,
            fresh: first.fresh || then.fresh,
            ended_grace: first.ended_grace || then.ended_grace,
            ended,
            why: then.why.or(first.why),
        };
        let base = if first.wrote || first.patched { earlier.base } else { self.base };
        Self { touch, base, tried: earlier.tried || self.tried }
    }
}

/// What was said of a user and is not answered yet.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) todo: Todo,
    pub(super) attributes: Option<Attributes>,
    pub(super) info: Option<Attributes>,
    pub(super) audience: Option<Audience>,
    /// Leases that were taken, each with its end.
    pub(super) leases: Vec<(Keeper, u64)>,
    /// See [`Known::round`].
    pub(super) round: u32,
}

/// What is known of one user.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Which data the store held and the channel's version when the user was heard of last.
    pub(super) heard: (u32, u64),
    /// What the store had of it then.
    pub(super) record: Option<Record>,
    /// What it had before it lost data, as far as that may only be missing.
    pub(super) old: Option<Box<Record>>,
    pub(super) todo: Option<Box<Todo>>,
    pub(super) sent: Option<Box<Sent>>,
    /// The leases that are timed here, each with the end that the store knows.
    pub(super) leases: Vec<(Keeper, u64)>,
    /// This node may have something that keeps the user present.
    pub(super) own: bool,
    /// The channel knows what keeps the user present on other nodes.
    pub(super) told: bool,
    /// When all is said again, a new round begins: the last in which this was answered.
    pub(super) round: u32,
    /// The last load that named the user.
    pub(super) named: u32,
}

impl Known {
    pub(super) fn attributes(&self) -> Option<&Stamped<Written>> {
        newer(self.field(|record| record.attributes.as_ref()))
    }

    pub(super) fn info(&self) -> Option<&Stamped<Attributes>> {
        newer(self.field(|record| record.info.as_ref()))
    }

    pub(super) fn audience(&self) -> Option<&Stamped<Audience>> {
        newer(self.field(|record| record.audience.as_ref()))
    }

    pub(super) fn place(&self) -> Option<&Stamped<Place>> {
        newer(self.field(|record| Some(&record.place)))
    }

    /// Its number in lists, as the store has it now: what it was before data were lost may be another's
    /// by now.
    pub(super) fn number(&self) -> Option<u64> {
        let (record, newest) = (self.record.as_ref()?, self.place()?);
        (record.place.stamp == newest.stamp).then_some(record.place.value.number)
    }

    fn field<'a, T>(
        &'a self,
        of: impl Fn(&'a Record) -> Option<&'a Stamped<T>>,
    ) -> [Option<&'a Stamped<T>>; 2] {
        [self.record.as_ref().and_then(&of), self.old.as_deref().and_then(&of)]
    }

    /// Whether the store has anything of the user, as far as is known.
    pub(super) fn is_there(&self) -> bool {
        self.record.is_some() || self.old.is_some()
    }

    /// Whether something keeps the user present by what the store has.
    pub(super) fn keeps(&self) -> bool {
        let keeps = |record: &Record| !record.marks.is_empty() || !record.leases.is_empty();
        self.record.as_ref().is_some_and(keeps)
    }

    /// Data were lost: what the store had of the user may only be missing in what is heard from now on.
    pub(super) fn outlive(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        if let Some(older) = self.old.take() {
            for (node, mark) in older.marks {
                record.marks.entry(node).or_insert(mark);
            }
            for (keeper, lease) in older.leases {
                record.leases.entry(keeper).or_insert(lease);
            }
        }
        self.old = Some(Box::new(record));
    }

    pub(super) fn todo(&mut self) -> &mut Todo {
        self.todo.get_or_insert_default()
    }

    /// Something more was done to the user.
    pub(super) fn touch(&mut self, touch: Touch, is_empty: bool, clock: Clock) {
        self.own = true;
        let base = Before::of(self.attributes(), clock);
        let more = Todo { touch, base, tried: false };
        self.todo = Some(Box::new(match self.todo.take() {
            Some(earlier) => more.behind(*earlier, is_empty),
            None => more,
        }));
    }
}

/// The one that was written later; of equal ones the first.
fn newer<T>(fields: [Option<&Stamped<T>>; 2]) -> Option<&Stamped<T>> {
    match fields {
        [Some(a), Some(b)] if b.stamp > a.stamp => Some(b),
        [a, b] => a.or(b),
    }
}

/// What was patched if `before` became `after`.
pub(super) fn difference(before: &Attributes, after: &Attributes) -> AttributeMap {
    let (before, mut patch) = (before.to_map(), after.to_map());
    for key in before.keys().filter(|key| !patch.contains_key(*key)).cloned().collect::<Vec<_>>() {
        patch.insert(key, Value::Null);
    }
    patch.retain(|key, value| before.get(key) != Some(value));
    patch
}

/// Whether somebody may see by the second audience who may not by the first.
pub(super) fn is_wider(before: &Audience, now: &Audience) -> bool {
    match (before.roles(), now.roles()) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(before), Some(now)) => now.iter().any(|role| !before.contains(role)),
    }
}

#[cfg(test)]
mod tests {
    use herenow_protocol::LeaveReason;
    use serde_json::json;

    use super::*;
    use crate::cluster::record::example;
    use crate::presence::NodeId;
    use crate::presence::pending::Cause;

    fn attributes(of: &Value) -> Attributes {
        Attributes::from_map(of.as_object().unwrap())
    }

    fn todo(touch: Touch, counter: u64) -> Todo {
        let stamp = Some(Stamp { counter, node: NodeId::new(1) });
        Todo { touch, base: Before { stamp, ..Before::default() }, tried: false }
    }

    fn wrote() -> Touch {
        Touch { wrote: true, ..Touch::default() }
    }

    fn patched() -> Touch {
        Touch { patched: true, ..Touch::default() }
    }

    /// What is written of two touches, one behind the other, and whose base counts.
    fn written(first: Touch, then: Touch, is_empty: bool) -> (bool, bool, u64) {
        let both = todo(then, 2).behind(todo(first, 1), is_empty);
        (both.touch.wrote, both.touch.patched, both.base.stamp.unwrap().counter)
    }

    #[test]
    fn what_was_written_whole_is_said_whole_and_by_what_was_known_before_it() {
        let none = Touch::default;
        for (first, then, said) in [
            (wrote(), patched(), (true, false, 1)),
            (patched(), wrote(), (true, false, 1)),
            (none(), wrote(), (true, false, 2)),
            (wrote(), none(), (true, false, 1)),
            (patched(), patched(), (false, true, 1)),
            (patched(), none(), (false, true, 1)),
            (none(), patched(), (false, true, 2)),
            (none(), none(), (false, false, 2)),
        ] {
            assert_eq!(written(first.clone(), then.clone(), true), said, "{first:?} {then:?}");
        }
    }

    #[test]
    fn who_comes_anew_with_nothing_does_not_bring_what_it_had_set_before() {
        let fresh = || Touch { fresh: true, ..Touch::default() };
        assert_eq!(written(wrote(), fresh(), true), (false, false, 1));
        assert_eq!(written(patched(), fresh(), true), (false, false, 1));
        assert_eq!(written(wrote(), fresh(), false), (true, false, 1));
        assert_eq!(written(patched(), fresh(), false), (false, true, 1));
        let brings = |touch| Touch { fresh: true, ..touch };
        assert_eq!(written(patched(), brings(wrote()), true), (true, false, 1));
        assert_eq!(written(patched(), brings(patched()), true), (false, true, 1));
        assert_eq!(written(wrote(), brings(patched()), true), (true, false, 1));
    }

    #[test]
    fn whatever_either_did_is_said_and_the_later_of_what_can_be_but_one() {
        let none = Touch::default;
        let all: [fn(&mut Touch) -> &mut bool; 5] = [
            |touch| &mut touch.informed,
            |touch| &mut touch.shown,
            |touch| &mut touch.placed,
            |touch| &mut touch.fresh,
            |touch| &mut touch.ended_grace,
        ];
        for of in all {
            let mut did = none();
            *of(&mut did) = true;
            for (first, then) in [(did.clone(), none()), (none(), did.clone())] {
                assert_eq!(todo(then, 2).behind(todo(first, 1), false).touch, did);
            }
        }
        let left = |reason| Touch { why: Some(Cause::Left(reason)), ..none() };
        let (closed, kicked) = (left(LeaveReason::Closed), left(LeaveReason::Kicked));
        assert_eq!(todo(none(), 2).behind(todo(closed.clone(), 1), true).touch, closed);
        assert_eq!(todo(kicked.clone(), 2).behind(todo(closed, 1), true).touch, kicked);
        let ended = |ended: &[_]| Touch { ended: ended.to_vec(), ..none() };
        let first = ended(&[(Keeper::Herenow, true), (Keeper::Vendor(1), true)]);
        let then = ended(&[(Keeper::Herenow, false)]);
        let both = ended(&[(Keeper::Vendor(1), true), (Keeper::Herenow, false)]);
        assert_eq!(todo(then, 2).behind(todo(first, 1), true).touch, both);
        for tried in [[true, false], [false, true], [false, false]] {
            let [first, then] = tried.map(|tried| Todo { tried, ..todo(none(), 1) });
            assert_eq!(then.behind(first, true).tried, tried.contains(&true));
        }
    }

    #[test]
    fn keys_vanish_at_their_moment_by_this_brokers_clock() {
        let clock = Clock { store: 50_000, mono_ms: 700 };
        assert_eq!([clock.mono_ms(50_200), clock.mono_ms(49_999)], [900, 699]);
        assert_eq!(clock.mono_ms(1), 0, "long ago");
        let written = Written {
            attributes: attributes(&json!({"a": 1, "b": 2, "c": 3})),
            ends: vec![("a".into(), 50_200), ("b".into(), 50_201)],
        };
        let stamp = Stamp { counter: 4, node: NodeId::new(1) };
        let before = Before::of(Some(&Stamped { stamp, value: written }), clock);
        assert_eq!(before.stamp, Some(stamp));
        let alive = |mono_ms| before.clone().alive(Now { mono_ms, unix_ms: 0 });
        let (all, ends) = alive(899);
        assert_eq!(all, attributes(&json!({"a": 1, "b": 2, "c": 3})));
        assert_eq!(ends, [("a".into(), 900), ("b".into(), 901)]);
        let (some, ends) = alive(900);
        assert_eq!((some, ends), (attributes(&json!({"b": 2, "c": 3})), vec![("b".into(), 901)]));
    }

    #[test]
    fn a_difference_is_what_changed_and_what_is_gone() {
        let [before, after] =
            [&json!({"a": 1, "b": 2, "c": 3}), &json!({"a": 1, "b": 5, "d": 4})].map(attributes);
        let wanted = json!({"b": 5, "c": null, "d": 4});
        assert_eq!(Value::Object(difference(&before, &after).into_iter().collect()), wanted);
    }

    #[test]
    fn an_audience_is_wider_if_somebody_sees_who_did_not() {
        let only = |roles: &[&str]| Audience::parse(roles.iter().copied()).unwrap();
        let (all, staff, both) = (Audience::EVERYONE, only(&["staff"]), only(&["staff", "admin"]));
        for (before, now, wider) in [
            (&all, &all, false),
            (&all, &staff, false),
            (&staff, &all, true),
            (&staff, &staff, false),
            (&staff, &both, true),
            (&both, &staff, false),
            (&staff, &only(&["admin"]), true),
        ] {
            assert_eq!(is_wider(before, now), wider, "{before:?} {now:?}");
        }
    }

    #[test]
    fn of_what_was_there_before_a_loss_the_newer_counts_and_all_that_kept_it() {
        let mut known = Known { record: Some(example(&[false, false], &[])), ..Known::default() };
        assert!(known.keeps() && known.is_there());
        known.outlive();
        assert!(!known.keeps() && known.is_there(), "it may only be missing");
        known.record = Some(example(&[true], &[true]));
        known.outlive();
        let old = known.old.as_deref().unwrap();
        assert_eq!((old.marks.len(), old.leases.len()), (2, 1));
        assert_eq!(old.marks[&NodeId::new(1)], example(&[true], &[]).marks[&NodeId::new(1)]);
        known.outlive();
        assert_eq!(known.old.as_ref().map(|old| old.marks.len()), Some(2), "nothing came since");
        assert!(!Known::default().is_there() && !Known::default().keeps());
        let by = |record| Known { record: Some(record), ..Known::default() };
        assert!(by(example(&[], &[true])).keeps() && by(example(&[true], &[])).keeps());
        assert!(!by(example(&[], &[])).keeps());
    }

    #[test]
    fn the_field_that_was_written_later_counts() {
        let written =
            |counter, value| Stamped { stamp: Stamp { counter, node: NodeId::new(1) }, value };
        let (old, new, same) = (written(1, 'a'), written(2, 'b'), written(2, 'c'));
        let value = |one, other| newer([one, other]).map(|field| field.value);
        assert_eq!(value(Some(&old), Some(&new)), Some('b'));
        assert_eq!(value(Some(&new), Some(&old)), Some('b'));
        assert_eq!(value(Some(&new), Some(&same)), Some('b'));
        assert_eq!(value(None, Some(&old)), Some('a'));
        assert_eq!(value(Some(&old), None), Some('a'));
        assert_eq!(value(None, None), None);
    }
}
