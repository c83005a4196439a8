//! How much of a bound that holds for all together one thing takes: a ring of the bytes of all rings,
//! say. What it takes is free again when the thing is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one thing takes of a total, in bytes.
#[derive(Debug)]
pub(crate) struct Share {
    total: Arc<AtomicUsize>,
    own: usize,
}

impl Share {
    /// Nothing yet, of `total`.
    pub(crate) fn new(total: Arc<AtomicUsize>) -> Self {
        Self { total, own: 0 }
    }

    /// It takes so much from now on. The result: what all take together.
    pub(crate) fn set(&mut self, bytes: usize) -> usize {
        let before = std::mem::replace(&mut self.own, bytes);
        if bytes >= before {
            self.total.fetch_add(bytes - before, Ordering::Relaxed) + (bytes - before)
        } else {
            self.total.fetch_sub(before - bytes, Ordering::Relaxed) - (before - bytes)
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_take_what_each_takes() {
        let total = Arc::default();
        let (mut one, mut other) = (Share::new(Arc::clone(&total)), Share::new(total));
        assert_eq!((one.set(5), other.set(3), one.set(2), other.set(3)), (5, 8, 5, 5));
        drop(one);
        assert_eq!(other.set(4), 4);
    }
}
