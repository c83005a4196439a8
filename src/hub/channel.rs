//! One channel as connections and flushers share it.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use herenow_protocol::reply::InForce;
use herenow_protocol::{ChannelName, Epoch, Level, UserId};
use parking_lot::{Mutex, MutexGuard};

use super::crowds::Crowds;
use super::timers::NEVER;
use crate::delivery::{SharedFrame, Standing, Subscription};
use crate::limits::PINNED_FRAMES;
use crate::presence::{self, Beat};

/// A channel: its name, and everything else behind its lock.
#[derive(Debug)]
pub struct Channel {
    name: ChannelName,
    room: Mutex<Room>,
}

impl Channel {
    pub(super) fn new(name: ChannelName, epoch: Epoch) -> Self {
        let room = Room {
            presence: presence::Channel::new(epoch),
            crowds: Crowds::default(),
            beat: Beat::default(),
            waiting: Vec::new(),
            pinned: VecDeque::new(),
            stirred: Vec::new(),
            armed_ms: NEVER,
            running: false,
            dead: false,
        };
        Self { name, room: Mutex::new(room) }
    }

    /// The channel's name.
    #[must_use]
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Takes the channel's lock. Whoever changes something goes through [`Hub::enter`] instead.
    ///
    /// [`Hub::enter`]: super::Hub::enter
    pub fn lock(&self) -> MutexGuard<'_, Room> {
        self.room.lock()
    }
}

/// What a channel's lock guards.
#[derive(Debug)]
pub struct Room {
    /// The members, and the frames that told of them.
    pub presence: presence::Channel,
    crowds: Crowds,
    /// When those who are told the count are told again.
    pub(super) beat: Beat,
    /// Subscribers that get what they are owed at the next tick. One may be in here twice, so
    /// whoever serves them looks at the cursor.
    waiting: Vec<Arc<Subscription>>,
    /// Large frames and snapshots that slow readers have not taken whole, oldest first.
    pinned: VecDeque<Weak<SharedFrame>>,
    /// Users who came online or went by what happened here: their watchers are told once the lock
    /// is free.
    pub(super) stirred: Vec<UserId>,
    /// When the timers will look at this channel.
    armed_ms: u64,
    /// A flusher runs.
    running: bool,
    /// Removed from the map: whoever still finds it must look again.
    dead: bool,
}

impl Room {
    /// Adds a subscriber; the result is its slot among those who asked for the same.
    pub fn add_subscriber(&mut self, sub: Arc<Subscription>) -> u32 {
        self.crowds.add(sub)
    }

    /// Frees the slot of a subscriber who asked for `asked`.
    pub fn remove_subscriber(&mut self, asked: Level, slot: u32) {
        self.crowds.remove(asked, slot);
    }

    /// Number of subscribers.
    #[must_use]
    pub fn observers(&self) -> usize {
        self.crowds.len()
    }

    /// How the channel stands, as far as it matters to what its subscribers are owed.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing { roster: self.presence.roster(), moved_seq: self.presence.moved_seq() }
    }

    /// Has the subscriber given what it is owed at the next tick.
    pub fn want(&mut self, sub: Arc<Subscription>) {
        self.waiting.push(sub);
    }

    pub(super) fn want_all(&mut self, subs: &mut Vec<Arc<Subscription>>) {
        self.waiting.append(subs);
    }

    pub(super) fn take_waiting(&mut self) -> Vec<Arc<Subscription>> {
        std::mem::take(&mut self.waiting)
    }

    /// Whether anybody who asked for `asked` subscribed.
    pub(super) fn has(&self, asked: Level) -> bool {
        self.crowds.has(asked)
    }

    /// The next of those who asked for `asked`, from slot `from` on, into `batch`; the slot to go
    /// on from.
    pub(super) fn next_batch(
        &self,
        asked: Level,
        from: usize,
        batch: &mut Vec<Arc<Subscription>>,
    ) -> usize {
        self.crowds.next_batch(asked, from, batch)
    }

    /// Somebody came or went: those who are told the count are owed it, if there are any.
    pub(super) fn owe_count(&mut self) {
        let standing = self.standing();
        let counted = |asked| standing.level(asked) == InForce::Count && self.has(asked);
        if [Level::Auto, Level::Count].into_iter().any(counted) {
            self.beat.owe();
        }
    }

    /// Remembers `frame` if slow readers keep it; the frames to revoke because they are too many.
    pub(super) fn pin(&mut self, frame: &Arc<SharedFrame>) -> Vec<Arc<SharedFrame>> {
        self.pinned.retain(|kept| kept.strong_count() > 0);
        if Arc::strong_count(frame) > 1 {
            self.pinned.push_back(Arc::downgrade(frame));
        }
        let excess = self.pinned.len().saturating_sub(PINNED_FRAMES);
        self.pinned.drain(..excess).filter_map(|kept| kept.upgrade()).collect()
    }

    /// Whether there is something to tell.
    pub(super) fn has_news(&self) -> bool {
        self.presence.has_news() || !self.waiting.is_empty() || self.beat.rings()
    }

    /// Whether a flusher has to be started now.
    pub(super) fn start_flusher(&mut self) -> bool {
        let start = !self.running && self.has_news();
        self.running |= start;
        start
    }

    pub(super) fn flusher_ended(&mut self) {
        self.running = false;
    }

    /// When the timers looked at this channel next, and when they have to from now on, if that is
    /// earlier.
    pub(super) fn arm(&mut self) -> Option<(u64, u64)> {
        if self.dead {
            return None;
        }
        let deadlines = [self.presence.deadline(), self.beat.deadline()];
        let due_ms = deadlines.into_iter().flatten().min().filter(|&ms| ms < self.armed_ms)?;
        Some((std::mem::replace(&mut self.armed_ms, due_ms), due_ms))
    }

    /// Whether the timer that fired is the one that is armed: another may just have been instead.
    pub(super) fn disarm(&mut self, due_ms: u64) -> bool {
        let armed = self.armed_ms == due_ms;
        if armed {
            self.armed_ms = NEVER;
        }
        armed
    }

    /// Neither member nor subscriber, and nobody at work: nothing may remain.
    pub(super) fn is_vain(&self) -> bool {
        !self.running && !self.dead && self.presence.is_empty() && self.crowds.is_empty()
    }

    /// Marks the channel dead; the result is when its timer would have fired.
    pub(super) fn bury(&mut self) -> u64 {
        self.dead = true;
        std::mem::replace(&mut self.armed_ms, NEVER)
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }
}
