//! A hashed timing wheel: things to be done at a time, found without sorting.
//!
//! After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 6. Adding is a
//! push; what lies further ahead than the wheel is long goes round and is looked at once a turn.
//! Nothing is ever moved or removed: whoever no longer cares ignores the firing.

use crate::limits::{TIMER_SLOT_MS, TIMER_SLOTS};

/// Things by the time at which they are due.
#[derive(Debug)]
pub struct Wheel<T> {
    slots: Vec<Vec<(u64, T)>>,
    /// The slot number (time over [`TIMER_SLOT_MS`]) that is to be looked at next.
    next: u64,
}

impl<T> Wheel<T> {
    /// An empty wheel that starts at `now_ms`.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        let slots = std::iter::repeat_with(Vec::new).take(TIMER_SLOTS).collect();
        Self { slots, next: now_ms / TIMER_SLOT_MS }
    }

    /// Has `thing` fire at `due_ms`: never earlier, and by [`TIMER_SLOT_MS`] later at most, if the
    /// wheel is turned that often.
    pub fn add(&mut self, due_ms: u64, thing: T) {
        // What is overdue goes where the next turn looks.
        let number = (due_ms / TIMER_SLOT_MS).max(self.next);
        self.slots[(number % TIMER_SLOTS as u64) as usize].push((due_ms, thing));
    }

    /// Turns the wheel to `now_ms` and takes out what is due, at most `most` at a time: a full
    /// result means that there may be more.
    pub fn turn(&mut self, now_ms: u64, most: usize) -> Vec<(u64, T)> {
        let mut fired = Vec::new();
        let last = now_ms / TIMER_SLOT_MS;
        // After a long sleep one whole turn sees everything.
        self.next = self.next.max((last + 1).saturating_sub(TIMER_SLOTS as u64));
        while self.next <= last {
            let slot = &mut self.slots[(self.next % TIMER_SLOTS as u64) as usize];
            let room = most - fired.len();
            fired.extend(slot.extract_if(.., |(due_ms, _)| *due_ms <= now_ms).take(room));
            if slot.capacity() > 2 * slot.len() + 16 {
                slot.shrink_to_fit();
            }
            // The present slot may still get, or hold, what is due later within it.
            if fired.len() == most || self.next == last {
                break;
            }
            self.next += 1;
        }
        fired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due_at(wheel: &mut Wheel<u32>, now_ms: u64) -> Vec<u32> {
        wheel.turn(now_ms, usize::MAX).into_iter().map(|(_, thing)| thing).collect()
    }

    #[test]
    fn never_early_late_by_a_slot_at_most_and_once() {
        let length = TIMER_SLOT_MS * TIMER_SLOTS as u64;
        let start = 12_345;
        for due in [0, start, start + 1, start + 249, start + 5_000, start + 3 * length + 77] {
            let mut wheel = Wheel::new(start);
            wheel.add(due, 1);
            let mut now = start;
            loop {
                let fired = due_at(&mut wheel, now);
                if !fired.is_empty() {
                    assert!(now >= due, "fired at {now}, due {due}");
                    assert!(now < due.max(start) + TIMER_SLOT_MS, "fired at {now}, due {due}");
                    break;
                }
                now += TIMER_SLOT_MS / 2;
                assert!(now < due.max(start) + 2 * TIMER_SLOT_MS, "due {due} did not fire");
            }
            assert!(due_at(&mut wheel, now + 2 * length).is_empty());
        }
    }

    #[test]
    fn a_long_sleep_loses_nothing_and_work_is_capped() {
        let mut wheel = Wheel::new(0);
        for n in 0..1_000u32 {
            wheel.add(u64::from(n) * 500, n);
        }
        let mut fired = Vec::new();
        loop {
            let some = wheel.turn(1_000_000, 64);
            assert!(some.len() <= 64);
            if some.is_empty() {
                break;
            }
            fired.extend(some.into_iter().map(|(_, thing)| thing));
        }
        fired.sort_unstable();
        assert_eq!(fired, (0..1_000).collect::<Vec<_>>());
    }
}
