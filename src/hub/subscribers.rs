//! A channel's subscribers, by the level that they asked for: a pass takes only those to whom it
//! may have something to say, however many others there are.

use std::sync::Arc;

use herenow_protocol::Level;

use crate::delivery::Subscription;
use crate::limits::PASS_BATCH;

/// Those who asked for the same level. A slot is freed by its owner only and nothing moves, so that
/// a pass can let go of the lock between batches. Bounded by connections.
#[derive(Debug, Default)]
struct OfLevel {
    slots: Vec<Option<Arc<Subscription>>>,
    free: Vec<u32>,
}

/// All subscribers of a channel. Boxed, because most channels have those of one level at most.
#[derive(Debug, Default)]
pub struct Subscribers([Option<Box<OfLevel>>; 3]);

impl Subscribers {
    /// Adds a subscriber; the result is its slot among those who asked for the same.
    pub fn add(&mut self, sub: Arc<Subscription>) -> u32 {
        let some = self.0[index(sub.asked())].get_or_insert_default();
        if let Some(slot) = some.free.pop() {
            some.slots[slot as usize] = Some(sub);
            return slot;
        }
        some.slots.push(Some(sub));
        (some.slots.len() - 1) as u32
    }

    /// Frees the slot of a subscriber who asked for `asked`.
    pub fn remove(&mut self, asked: Level, slot: u32) {
        let entry = &mut self.0[index(asked)];
        if let Some(some) = entry {
            some.slots[slot as usize] = None;
            some.free.push(slot);
            if some.free.len() == some.slots.len() {
                *entry = None;
            }
        }
    }

    /// Whether nobody subscribed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// How many subscribed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().flatten().map(|some| some.slots.len() - some.free.len()).sum()
    }

    /// Whether somebody asked for `asked`.
    #[must_use]
    pub fn has(&self, asked: Level) -> bool {
        self.0[index(asked)].is_some()
    }

    /// The next of those who asked for `asked`, from slot `from` on, into `batch`; the slot to go
    /// on from. A batch that is not full was the last.
    pub fn next_batch(
        &self,
        asked: Level,
        from: usize,
        batch: &mut Vec<Arc<Subscription>>,
    ) -> usize {
        let mut slot = from;
        let slots = self.0[index(asked)].as_ref().map_or(&[][..], |some| &some.slots);
        while let Some(entry) = slots.get(slot) {
            slot += 1;
            batch.extend(entry.iter().cloned());
            if batch.len() == PASS_BATCH {
                break;
            }
        }
        slot
    }
}

fn index(asked: Level) -> usize {
    match asked {
        Level::Auto => 0,
        Level::Events => 1,
        Level::Count => 2,
    }
}
