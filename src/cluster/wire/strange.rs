//! What is in the store and is not ours.

use std::fmt;

/// Something that the store gave and that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strange(String);

impl Strange {
    /// Most bytes that are told of it.
    const MAX_BYTES: usize = 300;

    /// `what` it is, and what is wrong with it.
    pub(super) fn new(what: impl fmt::Display, wrong: impl fmt::Display) -> Self {
        let mut text = format!("{what}: {wrong}");
        if text.len() > Self::MAX_BYTES {
            text.truncate(text.floor_char_boundary(Self::MAX_BYTES));
            text.push('…');
        }
        Self(text)
    }
}

impl fmt::Display for Strange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Strange {}

/// What was read, and how much of it could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// What could be read.
    pub value: T,
    /// Records that could not be, and are left out.
    pub strange: usize,
    /// The first of them.
    pub first: Option<Strange>,
}

impl<T> Read<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value, strange: 0, first: None }
    }

    pub(super) fn leave_out(&mut self, strange: Strange) {
        self.strange += 1;
        self.first.get_or_insert(strange);
    }
}
