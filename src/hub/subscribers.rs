//! A channel's subscribers, by the level that they asked for: a pass takes only those to whom it
//! may have something to say, however many others there are.

use std::sync::Arc;

use herenow_protocol::Level;

use crate::delivery::Subscription;
use crate::limits::PASS_BATCH;
use crate::presence::Asked;

/// Those who asked for the same level. A slot is freed by its owner only and nothing moves, so that
/// a pass can let go of the lock between batches. Bounded by connections.
#[derive(Debug, Default)]
struct OfLevel {
    slots: Vec<Option<Arc<Subscription>>>,
    free: Vec<u32>,
}

/// All subscribers of a channel. Boxed, because most channels have those of one level at most.
#[derive(Debug, Default)]
pub struct Subscribers {
    of: [Option<Box<OfLevel>>; 3],
    /// How many asked for the attributes of the newest members.
    of_attributes: u32,
}

impl Subscribers {
    /// Adds a subscriber; the result is its slot among those who asked for the same.
    pub fn add(&mut self, sub: Arc<Subscription>) -> u32 {
        self.of_attributes += u32::from(sub.asked().recent.attributes);
        let some = self.of[index(sub.asked().level)].get_or_insert_default();
        if let Some(slot) = some.free.pop() {
            some.slots[slot as usize] = Some(sub);
            return slot;
        }
        some.slots.push(Some(sub));
        (some.slots.len() - 1) as u32
    }

    /// Frees the slot of a subscriber who asked for `asked`.
    pub fn remove(&mut self, asked: Asked, slot: u32) {
        self.of_attributes -= u32::from(asked.recent.attributes);
        let entry = &mut self.of[index(asked.level)];
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
        self.of.iter().all(Option::is_none)
    }

    /// How many subscribed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.of.iter().flatten().map(|some| some.slots.len() - some.free.len()).sum()
    }

    /// Whether somebody asked for level `asked`.
    #[must_use]
    pub fn has(&self, asked: Level) -> bool {
        self.of[index(asked)].is_some()
    }

    /// Whether somebody asked for the attributes of the newest members.
    #[must_use]
    pub fn have_attributes(&self) -> bool {
        self.of_attributes > 0
    }

    /// All of them, whatever they asked for, behind those in `all`.
    pub fn all(&self, all: &mut Vec<Arc<Subscription>>) {
        let slots = self.of.iter().flatten().flat_map(|some| &some.slots);
        all.extend(slots.flatten().cloned());
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
        let slots = self.of[index(asked)].as_ref().map_or(&[][..], |some| &some.slots);
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
