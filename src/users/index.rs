//! The index of users: where each is, by which connections, and what is kept of it.

use std::collections::{BTreeSet, BinaryHeap};

use dashmap::DashMap;
use herenow_protocol::{Attributes, ChannelName, UserId, UserStatus};
use parking_lot::Mutex;

use super::few::Few;
use super::record::Record;
use crate::now::{NEVER, Now};

/// The index. Its entries are the last in the lock order: they are touched with a channel's lock
/// held, and read without any. The list of those who are gone is a leaf behind them.
#[derive(Debug)]
pub struct Users {
    all: DashMap<UserId, User>,
    gone: Mutex<Gone>,
    /// Users of whom something is kept although they are gone.
    most_gone: usize,
}

/// Whoever merely is connected costs little more than its channels.
#[derive(Debug, Default)]
struct User {
    /// The channels that it is in.
    channels: Few<ChannelName>,
    /// The numbers of its live connections.
    connections: Few<u64>,
    kept: Option<Box<Kept>>,
}

/// Every connection of a user of its own has one of these.
const _: () = assert!(size_of::<User>() <= 40);

#[derive(Debug)]
struct Kept {
    record: Record,
    /// When the timers will look at the user's heartbeat.
    armed_ms: u64,
    /// Its place among those who are gone.
    gone: Option<u64>,
}

/// Users that are gone, the first to go first.
#[derive(Debug, Default)]
struct Gone {
    order: BTreeSet<(u64, UserId)>,
    next: u64,
}

impl User {
    /// Whether something else than heartbeats keeps the user online. Whoever is a member somewhere
    /// has a source that keeps it so: a connection, a lease, or a connection in grace.
    fn is_there(&self) -> bool {
        !self.connections.is_empty() || !self.channels.is_empty()
    }

    fn is_online(&self, now: Now) -> bool {
        self.is_there() || self.kept.as_ref().is_some_and(|kept| kept.record.beats(now))
    }

    fn keep(&mut self, now: Now) -> &mut Kept {
        self.kept.get_or_insert_with(|| {
            Box::new(Kept { record: Record::new(now), armed_ms: NEVER, gone: None })
        })
    }
}

impl Users {
    /// Nobody. Something is kept of `most_gone` users that are gone.
    #[must_use]
    pub fn new(most_gone: usize) -> Self {
        Self { all: DashMap::new(), gone: Mutex::default(), most_gone }
    }

    /// Changes a user's entry, made if there is none. The result: whether it came online or went
    /// by it.
    fn change(&self, user: &UserId, now: Now, act: impl FnOnce(&mut User)) -> bool {
        let mut entry = self.all.entry(user.clone()).or_default();
        let (before, there) = (entry.is_online(now), entry.is_there());
        act(&mut entry);
        let after = entry.is_online(now);
        if !there
            && entry.is_there()
            && let Some(kept) = &mut entry.kept
        {
            kept.record.is_back();
        }
        if after {
            self.come_back(user, &mut entry);
        } else {
            self.go(user, entry.keep(now));
            drop(entry);
            self.forget_the_oldest();
        }
        before != after
    }

    /// Puts the user behind those who are gone. Who is among them already stays where it is: it
    /// went when that was first noticed.
    fn go(&self, user: &UserId, kept: &mut Kept) {
        if kept.gone.is_none() {
            let mut gone = self.gone.lock();
            gone.next += 1;
            kept.gone = Some(gone.next);
            let place = (gone.next, user.clone());
            gone.order.insert(place);
        }
    }

    fn come_back(&self, user: &UserId, entry: &mut User) {
        if let Some(number) = entry.kept.as_mut().and_then(|kept| kept.gone.take()) {
            self.gone.lock().order.remove(&(number, user.clone()));
        }
    }

    fn forget_the_oldest(&self) {
        loop {
            let mut gone = self.gone.lock();
            if gone.order.len() <= self.most_gone {
                return;
            }
            let Some((number, user)) = gone.order.pop_first() else { return };
            drop(gone);
            // It may just have come back: then its number is another, or none.
            self.all.remove_if(&user, |_, entry| {
                entry.kept.as_ref().is_some_and(|kept| kept.gone == Some(number))
            });
        }
    }

    /// The user became a member of the channel. The result of this and of the next: whether it
    /// came online or went by it.
    pub fn appeared(&self, user: &UserId, channel: &ChannelName, now: Now) -> bool {
        self.change(user, now, |entry| entry.channels.add(channel.clone()))
    }

    /// The user is no longer a member of the channel; what kept it there was last heard at
    /// `last_seen`, by the wall clock.
    pub fn vanished(&self, user: &UserId, channel: &ChannelName, last_seen: u64, now: Now) -> bool {
        self.change(user, now, |entry| {
            entry.channels.remove(channel);
            // A connection knows better, and whoever has one leaves channels without a record.
            if entry.connections.is_empty() {
                entry.keep(now).record.seen(last_seen);
            }
        })
    }

    /// The user has one more connection, with that number. `info` is what its token tells, if it
    /// came with one.
    pub fn connected(
        &self,
        user: &UserId,
        number: u64,
        info: Option<&Attributes>,
        now: Now,
    ) -> bool {
        self.change(user, now, |entry| {
            entry.connections.add(number);
            if let Some(info) = info.filter(|info| entry.kept.is_some() || !info.is_empty()) {
                entry.keep(now).record.inform(info.clone());
            }
        })
    }

    /// The user's connection with that number is gone; it was last heard at `last_seen`, by the wall
    /// clock.
    pub fn disconnected(&self, user: &UserId, number: u64, last_seen: u64, now: Now) -> bool {
        self.change(user, now, |entry| {
            entry.connections.remove(&number);
            // What keeps the user from here on, if anything, may have been heard earlier: a tab
            // in the background answers pings for hours and says nothing.
            entry.keep(now).record.seen(last_seen);
        })
    }

    /// Changes what is kept of the user. `act` is told whether something else than heartbeats keeps
    /// the user online.
    pub fn record(&self, user: &UserId, now: Now, act: impl FnOnce(&mut Record, bool)) -> bool {
        self.change(user, now, |entry| {
            let there = entry.is_there();
            act(&mut entry.keep(now).record, there);
        })
    }

    /// Heartbeats keep the user online no longer.
    pub fn stop_beating(&self, user: &UserId) -> bool {
        self.end_beat(user, |_| true)
    }

    /// The user's heartbeat may be over. The second result: when to look again, if it is not.
    pub fn expire_beat(&self, user: &UserId, due_ms: u64, now: Now) -> (bool, Option<u64>) {
        let mut next_ms = None;
        let mut armed = false;
        if let Some(mut entry) = self.all.get_mut(user)
            && let Some(kept) = entry.kept.as_mut().filter(|kept| kept.armed_ms == due_ms)
        {
            armed = true;
            next_ms = kept.record.beats_until_ms().filter(|&ends_ms| ends_ms > now.mono_ms);
            kept.armed_ms = next_ms.unwrap_or(NEVER);
        }
        let over = armed && next_ms.is_none();
        (over && self.end_beat(user, |record| !record.beats(now)), next_ms)
    }

    /// Whether the user went by it.
    fn end_beat(&self, user: &UserId, ends: impl FnOnce(&Record) -> bool) -> bool {
        let Some(mut entry) = self.all.get_mut(user) else { return false };
        let there = entry.is_there();
        let Some(kept) = entry.kept.as_mut().filter(|kept| ends(&kept.record)) else {
            return false;
        };
        let Some(at) = kept.record.stop_beating() else { return false };
        // What keeps it from here on, if anything, may have been heard earlier.
        kept.record.seen(at);
        if there {
            return false;
        }
        self.go(user, kept);
        drop(entry);
        self.forget_the_oldest();
        true
    }

    /// When the user's heartbeat has to be looked at, if that is earlier than the timers will.
    pub fn arm(&self, user: &UserId) -> Option<(u64, u64)> {
        let mut entry = self.all.get_mut(user)?;
        let kept = entry.kept.as_mut()?;
        let due_ms = kept.record.beats_until_ms().filter(|&ms| ms < kept.armed_ms)?;
        Some((std::mem::replace(&mut kept.armed_ms, due_ms), due_ms))
    }

    /// Whether the user is online.
    #[must_use]
    pub fn is_online(&self, user: &UserId, now: Now) -> bool {
        self.all.get(user).is_some_and(|entry| entry.is_online(now))
    }

    /// The user's status, as the user sees it or as others do; `None`: nobody knows the user. From
    /// the first time that somebody asks something is kept of it.
    #[must_use]
    pub fn status(&self, user: &UserId, as_itself: bool, now: Now) -> Option<UserStatus> {
        let mut entry = self.all.get_mut(user)?;
        let there = entry.is_there();
        let record = &entry.keep(now).record;
        Some(if as_itself {
            record.as_itself(user, there, now)
        } else {
            record.as_shown(user, there, now)
        })
    }

    /// Number of users of whom anything is known.
    #[must_use]
    pub fn known(&self) -> usize {
        self.all.len()
    }

    /// Number of those among them that are gone.
    #[must_use]
    pub fn gone(&self) -> usize {
        self.gone.lock().order.len()
    }

    /// Number of channels that the user is in.
    #[must_use]
    pub fn channel_count(&self, user: &UserId) -> usize {
        self.all.get(user).map_or(0, |entry| entry.channels.as_slice().len())
    }

    /// The channels that the user is in, in no particular order.
    #[must_use]
    pub fn channels_of(&self, user: &UserId) -> Vec<ChannelName> {
        self.all.get(user).map(|entry| entry.channels.as_slice().to_vec()).unwrap_or_default()
    }

    /// The first `limit` of the channels that the user is in, by name, behind `after`.
    #[must_use]
    pub fn channels_after(
        &self,
        user: &UserId,
        after: Option<&ChannelName>,
        limit: usize,
    ) -> Vec<ChannelName> {
        let Some(entry) = self.all.get(user) else { return Vec::new() };
        let mut first = BinaryHeap::with_capacity(limit + 1);
        for name in entry.channels.as_slice() {
            let sooner = first.len() < limit || first.peek().is_some_and(|last| name < *last);
            if sooner && after.is_none_or(|after| name > after) {
                first.push(name);
                if first.len() > limit {
                    first.pop();
                }
            }
        }
        first.into_sorted_vec().into_iter().cloned().collect()
    }

    /// The numbers of the user's live connections, in no particular order.
    #[must_use]
    pub fn connections_of(&self, user: &UserId) -> Vec<u64> {
        self.all.get(user).map(|entry| entry.connections.as_slice().to_vec()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
