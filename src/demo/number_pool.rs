//! How many visitors there may be, and which number each has.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

/// As many numbers as there may be visitors. One that goes keeps its number until its connection is
/// gone, so neither the bound nor the names depend on how fast that is.
#[derive(Debug)]
pub struct NumberPool {
    all: usize,
    free: Mutex<BTreeSet<usize>>,
}

/// The number of one visitor, until this is dropped.
#[derive(Debug)]
pub struct Number {
    numbers: Arc<NumberPool>,
    number: usize,
}

impl NumberPool {
    /// The numbers from 0, `all` of them.
    #[must_use]
    pub fn new(all: usize) -> Arc<Self> {
        Arc::new(Self { all, free: Mutex::new((0..all).collect()) })
    }

    /// How many there are.
    #[must_use]
    pub fn all(&self) -> usize {
        self.all
    }

    /// The smallest number that is free.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<Number> {
        let number = self.free.lock().pop_first()?;
        Some(Number { numbers: Arc::clone(self), number })
    }
}

impl Number {
    /// The number itself.
    #[must_use]
    pub fn get(&self) -> usize {
        self.number
    }

    /// How many numbers are taken now, this one among them.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.numbers.all - self.numbers.free.lock().len()
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.numbers.free.lock().insert(self.number);
    }
}
