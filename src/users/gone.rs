//! Users who are gone, in the order in which they went: what is kept of each, in as little memory
//! as it takes.
//!
//! One table of numbers finds a user, and the users themselves lie side by side, each with the
//! places of the one that went before it and of the one that went after: so the order needs no
//! second map.

use herenow_protocol::UserId;
use indexmap::IndexMap;

use super::record::Record;

/// Nobody's place.
const NOBODY: u32 = u32::MAX;

/// Users who are gone.
#[derive(Debug)]
pub(super) struct Gone {
    all: IndexMap<UserId, Place>,
    oldest: u32,
    newest: u32,
}

/// A user who is gone. Its neighbours in the order are said by their places in the map.
#[derive(Debug)]
struct Place {
    record: Record,
    before: u32,
    after: u32,
}

/// With its name and a hash this is what each user that came and went costs.
const _: () = assert!(size_of::<Place>() <= 40);

impl Default for Gone {
    fn default() -> Self {
        Self { all: IndexMap::new(), oldest: NOBODY, newest: NOBODY }
    }
}

impl Gone {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get_mut(&mut self, user: &UserId) -> Option<&mut Record> {
        self.all.get_mut(user).map(|place| &mut place.record)
    }

    /// Puts a user behind all others. One who is here keeps its place: it went when that was first
    /// noticed.
    pub(super) fn put(&mut self, user: UserId, record: Record) {
        if let Some(known) = self.get_mut(&user) {
            *known = record;
            return;
        }
        let here = self.all.len() as u32;
        let before = std::mem::replace(&mut self.newest, here);
        self.all.insert(user, Place { record, before, after: NOBODY });
        self.set_after(before, here);
    }

    /// Takes a user out, if it is here.
    pub(super) fn take(&mut self, user: &UserId) -> Option<Record> {
        let index = self.all.get_index_of(user)?;
        self.take_at(index as u32)
    }

    /// Forgets those who went first, until `most` are left.
    pub(super) fn keep(&mut self, most: usize) {
        while self.all.len() > most && self.take_at(self.oldest).is_some() {}
    }

    fn take_at(&mut self, index: u32) -> Option<Record> {
        let (_, &Place { before, after, .. }) = self.all.get_index(index as usize)?;
        self.set_after(before, after);
        self.set_before(after, before);
        let (_, gone) = self.all.swap_remove_index(index as usize)?;
        // The last one in memory lies in the hole now, and its neighbours have to know.
        if let Some((_, &Place { before, after, .. })) = self.all.get_index(index as usize) {
            self.set_after(before, index);
            self.set_before(after, index);
        }
        if self.all.len() < self.all.capacity() / 4 {
            self.all.shrink_to(2 * self.all.len());
        }
        Some(gone.record)
    }

    /// `index` goes after the user at `of`, or first of all.
    fn set_after(&mut self, of: u32, index: u32) {
        match self.all.get_index_mut(of as usize) {
            Some((_, place)) => place.after = index,
            None => self.oldest = index,
        }
    }

    /// `index` goes before the user at `of`, or last of all.
    fn set_before(&mut self, of: u32, index: u32) {
        match self.all.get_index_mut(of as usize) {
            Some((_, place)) => place.before = index,
            None => self.newest = index,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::now::Now;

    /// The users from the oldest to the newest, by the links, which are looked at both ways.
    fn order(gone: &Gone) -> Vec<UserId> {
        let walk = |mut at: u32, next: fn(&Place) -> u32| {
            let mut walked = Vec::new();
            while let Some((user, place)) = gone.all.get_index(at as usize) {
                walked.push(user.clone());
                at = next(place);
            }
            walked
        };
        let forwards = walk(gone.oldest, |place| place.after);
        let mut backwards = walk(gone.newest, |place| place.before);
        backwards.reverse();
        assert_eq!(forwards, backwards);
        forwards
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn they_stand_in_the_order_in_which_they_went(
            steps in prop::collection::vec((0..12_u32, 0..3_u8), 1..120),
        ) {
            let (mut gone, mut plain) = (Gone::default(), Vec::<UserId>::new());
            for (number, kind) in steps {
                let user = UserId::parse(&format!("u{number}"), "user").unwrap();
                let at = plain.iter().position(|other| *other == user);
                match kind {
                    0 => {
                        prop_assert_eq!(gone.take(&user).is_some(), at.is_some());
                        at.map(|at| plain.remove(at));
                    }
                    1 if plain.len() > 6 => {
                        gone.keep(6);
                        plain.drain(..plain.len() - 6);
                    }
                    _ => {
                        gone.put(user.clone(), Record::new(Now { mono_ms: 0, unix_ms: 1 }));
                        if at.is_none() {
                            plain.push(user);
                        }
                    }
                }
                prop_assert_eq!(gone.len(), plain.len());
                prop_assert_eq!(order(&gone), plain.clone());
            }
        }
    }
}
