//! The last frames of a channel as contiguous bytes, so that all that a subscriber lacks is one
//! write.

use std::collections::VecDeque;

use crate::limits::{LOG_AGE_MS, LOG_BYTES, LOG_FRAMES};

/// One frame in the log.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where the frame ends, in bytes since the log began.
    end: u64,
    at_ms: u64,
}

/// A ring of frames: at most [`LOG_FRAMES`], [`LOG_BYTES`], none older than [`LOG_AGE_MS`].
#[derive(Debug)]
pub struct Log {
    /// Bytes from `origin` on; those before `start` are evicted and await compaction.
    bytes: Vec<u8>,
    origin: u64,
    start: u64,
    entries: VecDeque<Entry>,
    /// The seq that the next frame gets.
    next_seq: u64,
}

impl Default for Log {
    fn default() -> Self {
        // Seq 0 is the state before the first frame, so the first frame is 1.
        Self { bytes: Vec::new(), origin: 0, start: 0, entries: VecDeque::new(), next_seq: 1 }
    }
}

impl Log {
    /// The seq that the next frame gets.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Appends the frame with seq [`Log::next_seq`]. One larger than the log evicts itself.
    pub fn append(&mut self, frame: &[u8], now_ms: u64) {
        // An eighth of air instead of doubling: most logs are small, and there are many.
        if self.bytes.capacity() - self.bytes.len() < frame.len() {
            self.bytes.reserve_exact(frame.len() + self.bytes.len() / 8);
        }
        self.bytes.extend_from_slice(frame);
        let end = self.origin + self.bytes.len() as u64;
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(1 + self.entries.len() / 8);
        }
        self.entries.push_back(Entry { end, at_ms: now_ms });
        self.next_seq += 1;
        while self.entries.len() > LOG_FRAMES || end - self.start > LOG_BYTES as u64 {
            self.evict_first();
        }
        self.trim(now_ms);
    }

    /// Drops frames that are too old, and the memory of those dropped.
    pub fn trim(&mut self, now_ms: u64) {
        while self.entries.front().is_some_and(|first| first.at_ms + LOG_AGE_MS <= now_ms) {
            self.evict_first();
        }
        let dead = (self.start - self.origin) as usize;
        if self.entries.is_empty() {
            (self.bytes, self.entries, self.origin) = (Vec::new(), VecDeque::new(), self.start);
        } else if dead > self.bytes.len() / 2 {
            self.bytes.drain(..dead);
            self.origin = self.start;
        }
    }

    fn evict_first(&mut self) {
        if let Some(first) = self.entries.pop_front() {
            self.start = first.end;
        }
    }

    /// Drops all frames: memory is needed elsewhere. Who lacks one takes a snapshot.
    pub fn clear(&mut self) {
        self.start = self.entries.back().map_or(self.start, |last| last.end);
        (self.bytes, self.entries, self.origin) = (Vec::new(), VecDeque::new(), self.start);
    }

    /// As [`Log::clear`], and nobody is at the head: whoever has had all frames lacks what none tells.
    pub fn skip(&mut self) {
        self.clear();
        self.next_seq += 1;
    }

    /// Bytes of memory that the log takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// When [`Log::trim`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.entries.front().map(|first| first.at_ms + LOG_AGE_MS)
    }

    /// The oldest seq that whoever had it can be caught up from.
    #[must_use]
    pub fn oldest_seq(&self) -> u64 {
        self.next_seq - 1 - self.entries.len() as u64
    }

    /// The frames from `seq` on: empty at the head, `None` if they are gone (or never were).
    #[must_use]
    pub fn since(&self, seq: u64) -> Option<&[u8]> {
        let lacking = usize::try_from(self.next_seq.checked_sub(seq)?).ok()?;
        let first = self.entries.len().checked_sub(lacking)?;
        let from = match first.checked_sub(1) {
            Some(before) => self.entries[before].end,
            None => self.start,
        };
        Some(&self.bytes[(from - self.origin) as usize..])
    }

    /// As [`Log::since`]: the first of these frames, as many as `bytes` hold and at least one if there
    /// is one, and the seq that comes after them.
    #[must_use]
    pub fn first_since(&self, seq: u64, bytes: usize) -> Option<(&[u8], u64)> {
        let frames = self.since(seq)?;
        let first = self.entries.len() - (self.next_seq - seq) as usize;
        let mut taken = (0, seq);
        let from = self.origin + (self.bytes.len() - frames.len()) as u64;
        for entry in self.entries.range(first..) {
            let end = (entry.end - from) as usize;
            if taken.0 > 0 && end > bytes {
                break;
            }
            taken = (end, taken.1 + 1);
        }
        Some((&frames[..taken.0], taken.1))
    }

    /// When the last frame came; `None`: the log is empty.
    #[must_use]
    pub fn told_ms(&self) -> Option<u64> {
        self.entries.back().map(|last| last.at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_contiguous_or_gone() {
        let mut log = Log::default();
        assert_eq!(log.since(1), Some(&b""[..]), "the head always resumes");
        assert_eq!(log.since(0), None);
        log.append(b"one", 0);
        log.append(b"two", 5);
        assert_eq!(log.since(1), Some(&b"onetwo"[..]));
        assert_eq!(log.since(2), Some(&b"two"[..]));
        assert_eq!(log.since(3), Some(&b""[..]));
        assert_eq!(log.since(4), None, "from the future");
        assert_eq!(log.oldest_seq(), 0);
        log.trim(LOG_AGE_MS);
        assert_eq!((log.since(1), log.since(2)), (None, Some(&b"two"[..])));
        assert_eq!(log.oldest_seq(), 1);
        log.trim(LOG_AGE_MS + 5);
        assert_eq!((log.since(2), log.since(3)), (None, Some(&b""[..])));
        assert_eq!(log.deadline(), None);
    }

    #[test]
    fn a_log_that_was_emptied_keeps_its_place() {
        let mut log = Log::default();
        log.append(b"one", 0);
        assert!(log.memory() >= 3);
        log.clear();
        assert_eq!((log.memory(), log.next_seq(), log.deadline()), (0, 2, None));
        assert_eq!((log.since(1), log.since(2)), (None, Some(&b""[..])));
        log.append(b"two", 0);
        assert_eq!((log.since(1), log.since(2)), (None, Some(&b"two"[..])));
        log.skip();
        assert_eq!((log.since(3), log.since(4), log.next_seq()), (None, Some(&b""[..]), 4));
        log.append(b"six", 0);
        assert_eq!((log.since(3), log.since(4)), (None, Some(&b"six"[..])));
    }

    #[test]
    fn a_frame_larger_than_the_log_evicts_itself() {
        let mut log = Log::default();
        log.append(b"small", 0);
        log.append(&vec![b'x'; LOG_BYTES + 1], 0);
        assert_eq!((log.since(1), log.since(2), log.since(3)), (None, None, Some(&b""[..])));
        log.append(b"next", 0);
        assert_eq!(log.since(3), Some(&b"next"[..]));
    }

    #[test]
    fn the_first_frames_are_whole_and_at_least_one() {
        let mut log = Log::default();
        assert_eq!(log.first_since(1, 100), Some((&b""[..], 1)));
        assert_eq!(log.told_ms(), None);
        for (at_ms, frame) in [b"one", b"two", b"six"].into_iter().enumerate() {
            log.append(frame, at_ms as u64);
        }
        assert_eq!(log.told_ms(), Some(2));
        assert_eq!(log.first_since(1, 1), Some((&b"one"[..], 2)));
        assert_eq!(log.first_since(1, 5), Some((&b"one"[..], 2)));
        assert_eq!(log.first_since(1, 6), Some((&b"onetwo"[..], 3)));
        assert_eq!(log.first_since(2, 100), Some((&b"twosix"[..], 4)));
        assert_eq!(log.first_since(4, 100), Some((&b""[..], 4)));
        log.trim(LOG_AGE_MS);
        assert_eq!((log.first_since(1, 9), log.first_since(2, 4)), (None, Some((&b"two"[..], 3))));
    }

    /// What an idle channel pays for being ready to be resumed.
    #[test]
    fn an_eighth_of_air_at_most() {
        for length in [1, 100] {
            let mut log = Log::default();
            for n in 1..=LOG_FRAMES {
                log.append(&vec![b'x'; length], 0);
                let one = length + size_of::<Entry>();
                let (held, air) = (n * one, n * one / 8);
                let memory = log.memory();
                assert!((held..=held + air + one).contains(&memory), "{n} × {length}: {memory}");
            }
        }
    }

    /// Also where many small frames follow a large one.
    #[test]
    fn what_was_evicted_takes_no_more_than_what_is_held() {
        let mut log = Log::default();
        for length in [LOG_BYTES / 2, LOG_BYTES / 3].into_iter().chain([10; 2 * LOG_FRAMES]) {
            log.append(&vec![b'x'; length], 0);
            let held = log.since(log.oldest_seq() + 1).unwrap().len();
            assert!(log.bytes.len() <= 2 * held, "{} for {held}", log.bytes.len());
        }
    }

    #[test]
    fn as_many_bytes_as_it_may_hold_are_kept() {
        let mut log = Log::default();
        log.append(&vec![b'x'; LOG_BYTES - 1], 0);
        log.append(b"x", 0);
        assert_eq!(log.since(1).map(<[u8]>::len), Some(LOG_BYTES));
        log.append(b"x", 0);
        assert_eq!((log.since(1), log.since(2)), (None, Some(&b"xx"[..])));
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let mut log = Log::default();
        for n in 0..10_000u64 {
            log.append(&vec![b'x'; (n % 700) as usize + 1], n);
            assert!(log.entries.len() <= LOG_FRAMES);
            assert!(log.bytes.len() <= 2 * LOG_BYTES + 700);
            let held = log.entries.len() as u64;
            let all = log.since(log.next_seq() - held).unwrap();
            assert!(all.len() <= LOG_BYTES);
        }
    }
}
