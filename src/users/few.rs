//! A set of things of which there is one as a rule.

use std::collections::BTreeSet;
use std::ops::Bound;

/// Above so many things a list becomes a set: searching it would cost more than a set does.
const LISTED: usize = 16;

/// A set. A single thing lies in here; two, a few, or many, in a box.
#[derive(Debug)]
pub(super) enum Few<T> {
    One(T),
    Others(Option<Box<Several<T>>>),
}

/// Two things or more. A list takes less memory than a set, and a pair less than a list.
#[derive(Debug)]
pub(super) enum Several<T> {
    Two([T; 2]),
    List(Vec<T>),
    Set(BTreeSet<T>),
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Others(None)
    }
}

impl<T: Ord + Clone> Few<T> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Others(None) => 0,
            Self::Others(Some(several)) => several.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Others(None))
    }

    /// The first `most` things after `after`, in order.
    pub(super) fn after(&self, after: Option<&T>, most: usize) -> Vec<T> {
        match self {
            Self::One(thing) => first_of(std::slice::from_ref(thing), after, most),
            Self::Others(None) => Vec::new(),
            Self::Others(Some(several)) => several.after(after, most),
        }
    }

    /// Adds a thing that is not in here.
    pub(super) fn add(&mut self, thing: T) {
        if let Self::Others(Some(several)) = self {
            return several.add(thing);
        }
        *self = match std::mem::take(self) {
            Self::One(first) => Self::Others(Some(Box::new(Several::Two([first, thing])))),
            Self::Others(_) => Self::One(thing),
        };
    }

    /// Removes a thing, if it is in here.
    pub(super) fn remove(&mut self, thing: &T) {
        match self {
            Self::One(only) if only == thing => *self = Self::default(),
            Self::Others(Some(several)) => {
                if let Some(last) = several.remove(thing) {
                    *self = Self::One(last);
                }
            }
            Self::One(_) | Self::Others(None) => {}
        }
    }
}

impl<T: Ord + Clone> Several<T> {
    fn len(&self) -> usize {
        match self {
            Self::Two(_) => 2,
            Self::List(things) => things.len(),
            Self::Set(things) => things.len(),
        }
    }

    fn after(&self, after: Option<&T>, most: usize) -> Vec<T> {
        match self {
            Self::Two(things) => first_of(things, after, most),
            Self::List(things) => first_of(things, after, most),
            Self::Set(things) => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                things.range((from, Bound::Unbounded)).take(most).cloned().collect()
            }
        }
    }

    fn add(&mut self, thing: T) {
        match self {
            Self::Two([first, second]) => {
                *self = Self::List(vec![first.clone(), second.clone(), thing]);
            }
            Self::List(things) if things.len() < LISTED => things.push(thing),
            Self::List(things) => {
                let things = std::mem::take(things);
                *self = Self::Set(things.into_iter().chain([thing]).collect());
            }
            Self::Set(things) => {
                things.insert(thing);
            }
        }
    }

    /// The result: the last one left, if there is only one. Whoever had thousands of connections
    /// once does not pay for them for ever.
    fn remove(&mut self, thing: &T) -> Option<T> {
        match self {
            Self::Two([first, last]) | Self::Two([last, first]) if first == thing => {
                return Some(last.clone());
            }
            Self::Two(_) => {}
            Self::List(things) => {
                if let Some(place) = things.iter().position(|other| other == thing) {
                    things.swap_remove(place);
                }
                if let [first, second] = things.as_slice() {
                    *self = Self::Two([first.clone(), second.clone()]);
                }
            }
            Self::Set(things) => {
                things.remove(thing);
                if things.len() <= LISTED / 2 {
                    *self = Self::List(std::mem::take(things).into_iter().collect());
                }
            }
        }
        None
    }
}

/// The first `most` of `things` after `after`, in order.
fn first_of<T: Ord + Clone>(things: &[T], after: Option<&T>, most: usize) -> Vec<T> {
    let later = things.iter().filter(|thing| after.is_none_or(|after| *thing > after));
    let mut later: Vec<T> = later.cloned().collect();
    later.sort();
    later.truncate(most);
    later
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_set_whichever_way_it_lies(
            steps in prop::collection::vec((0..48_u64, 0..4_u8), 1..200),
            most in 0..40_usize,
        ) {
            let (mut few, mut set) = (Few::default(), BTreeSet::new());
            for (thing, kind) in steps {
                if kind == 0 {
                    few.remove(&thing);
                    set.remove(&thing);
                } else if set.insert(thing) {
                    few.add(thing);
                }
                prop_assert_eq!((few.len(), few.is_empty()), (set.len(), set.is_empty()));
                let all: Vec<u64> = set.iter().copied().collect();
                prop_assert_eq!(few.after(None, 99), all);
                let later = set.range(thing + 1..).take(most).copied().collect::<Vec<_>>();
                prop_assert_eq!(few.after(Some(&thing), most), later);
            }
            for thing in set {
                few.remove(&thing);
            }
            prop_assert!(few.is_empty());
        }
    }

    /// One costs nothing beside its place in the index, a pair one small box.
    const _: () = assert!(size_of::<Few<std::sync::Arc<str>>>() == 16);
    const _: () = assert!(size_of::<Several<std::sync::Arc<str>>>() <= 40);
}
