//! A list of things of which there is one as a rule.

/// Few things, in no particular order. A single one lies in here; none, or several, in a box.
#[derive(Debug)]
pub(super) enum Few<T> {
    One(T),
    #[expect(clippy::box_collection, reason = "a third less for everyone who has only one")]
    Others(Option<Box<Vec<T>>>),
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Others(None)
    }
}

impl<T: PartialEq> Few<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(thing) => std::slice::from_ref(thing),
            Self::Others(None) => &[],
            Self::Others(Some(things)) => things,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Adds a thing that is not in here.
    pub(super) fn add(&mut self, thing: T) {
        *self = match std::mem::take(self) {
            Self::Others(None) => Self::One(thing),
            Self::One(first) => Self::Others(Some(Box::new(vec![first, thing]))),
            Self::Others(Some(mut things)) => {
                things.push(thing);
                Self::Others(Some(things))
            }
        };
    }

    /// Removes a thing, if it is in here.
    pub(super) fn remove(&mut self, thing: &T) {
        match self {
            Self::One(only) if only == thing => *self = Self::default(),
            Self::Others(Some(things)) => {
                if let Some(place) = things.iter().position(|other| other == thing) {
                    things.swap_remove(place);
                }
                // A user that had thousands of connections once does not pay for them for ever.
                if things.len() < things.capacity() / 4 {
                    things.shrink_to(2 * things.len());
                }
                if things.len() == 1
                    && let Some(last) = things.pop()
                {
                    *self = Self::One(last);
                }
            }
            Self::One(_) | Self::Others(None) => {}
        }
    }
}
