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
