//! The index of users: where each is, by which connections, and what is kept of it.

use dashmap::{DashMap, Entry};
use herenow_protocol::{Attributes, ChannelName, ErrorCode, Refusal, UserId, UserStatus};
use parking_lot::Mutex;

use super::elsewhere::{Heard, Own};
use super::entry::{User, with_elsewhere};
use super::gone::Gone;
use super::record::{Kept, Record};
use crate::now::Now;
use crate::shrink::shrink;

/// The index. Its entries are the last in the lock order: they are touched with a channel's lock
/// held, and read without any. Those who are gone are a leaf behind them, and change only with the
/// lock of the user's entry held; except that the oldest are forgotten.
#[derive(Debug)]
pub struct Users {
    /// Users that are online, and those of whom nobody has noticed yet that they are not.
    here: DashMap<UserId, User>,
    gone: Mutex<Gone>,
    /// Users of whom something is kept although they are gone.
    most_gone: usize,
    /// Live connections of one user.
    most_connections: usize,
}

/// What became of a user by one more connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// It came online by it.
    pub came: bool,
    /// The connection counts as one that the user is away from, until it says something. It does if
    /// the user is away: coming is no word, so a hidden page that connects anew changes nothing.
    pub away: bool,
    /// Its token tells another name than was known.
    pub informed: bool,
}

/// Who looks at a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The user itself.
    Itself,
    /// Others.
    Others,
    /// Others, while it is not known what the user set on other nodes.
    Unheard,
}

impl Users {
    /// Nobody. Something is kept of `most_gone` users that are gone, and each may have
    /// `most_connections`.
    #[must_use]
    pub fn new(most_gone: usize, most_connections: usize) -> Self {
        Self { here: DashMap::new(), gone: Mutex::default(), most_gone, most_connections }
    }

    /// Changes a user's entry, made if there is none. The result: whether it came online or went
    /// by it, is away by it, or back: here, or on all nodes together.
    fn change(&self, user: &UserId, now: Now, act: impl FnOnce(&mut User)) -> bool {
        match self.here.entry(user.clone()) {
            Entry::Occupied(mut entry) => {
                let before = entry.get().both(now);
                entry.get_mut().touch(act);
                let after = entry.get().both(now);
                if let (None, _) = after {
                    let gone = std::mem::take(entry.get_mut());
                    self.go(entry.key(), gone, now);
                    entry.remove();
                }
                before != after
            }
            Entry::Vacant(place) => {
                let mut gone = self.gone.lock();
                let known = gone.get_mut(user);
                let record = known.map(|known| std::mem::replace(known, Record::new(now)));
                drop(gone);
                let mut entry = User { record: record.map(Box::new), ..User::default() };
                entry.touch(act);
                let after = entry.stands(now).is_some();
                if after {
                    self.gone.lock().take(user);
                    place.insert(entry);
                } else {
                    self.go(place.key(), entry, now);
                }
                after
            }
        }
    }

    /// Puts the user behind those who are gone. Who is among them already stays where it is: it
    /// went when that was first noticed. The lock of the user's entry is held.
    fn go(&self, user: &UserId, mut entry: User, now: Now) {
        entry.keep(now).tidy();
        let mut gone = self.gone.lock();
        if let Some(record) = entry.record {
            gone.put(user.clone(), *record);
        }
        gone.keep(self.most_gone);
    }

    /// Changes what is kept of the user, if anything is. `act` is told what else than heartbeats
    /// keeps the user online here.
    fn with_record<T>(&self, user: &UserId, act: impl FnOnce(&mut Record, Kept) -> T) -> Option<T> {
        match self.here.entry(user.clone()) {
            Entry::Occupied(mut entry) => {
                let kept = entry.get().kept_here();
                entry.get_mut().record.as_mut().map(|record| act(record, kept))
            }
            Entry::Vacant(_place) => {
                self.gone.lock().get_mut(user).map(|record| act(record, Kept::Not))
            }
        }
    }

    /// The user became a member of the channel, one that is `away` or not. The result of this and
    /// of the next: whether it came online or went by it, is away by it, or back.
    pub fn appeared(&self, user: &UserId, channel: &ChannelName, away: bool, now: Now) -> bool {
        self.change(user, now, |entry| {
            entry.channels.add(channel.clone());
            if away {
                entry.count_away(now, |aways| &mut aways.channels, true);
            }
        })
    }

    /// The user is `away` in one of its channels from now on, or is back.
    pub fn turned(&self, user: &UserId, away: bool, now: Now) -> bool {
        self.change(user, now, |entry| entry.count_away(now, |aways| &mut aways.channels, away))
    }

    /// The user is no longer a member of the channel, where it was `away` or not; what kept it there
    /// was last heard at `last_seen`, by the wall clock.
    pub fn vanished(
        &self,
        user: &UserId,
        channel: &ChannelName,
        away: bool,
        last_seen: u64,
        now: Now,
    ) -> bool {
        self.change(user, now, |entry| {
            entry.channels.remove(channel);
            if away {
                entry.count_away(now, |aways| &mut aways.channels, false);
            }
            // A connection knows better, and whoever has one leaves channels without a record.
            if entry.connections.is_empty() {
                entry.keep(now).seen(last_seen);
            }
        })
    }

    /// The user has one more connection, with that number. `info` is what its token tells, if it
    /// came with one.
    ///
    /// # Errors
    /// `unavailable`.
    pub fn connected(
        &self,
        user: &UserId,
        number: u64,
        info: Option<&Attributes>,
        now: Now,
    ) -> Result<Connected, Refusal> {
        let (mut room, mut away, mut informed) = (Ok(()), false, false);
        let came = self.change(user, now, |entry| {
            room = check_connections(entry.connections.len(), self.most_connections);
            if room.is_err() {
                return;
            }
            away = entry.stands(now).unwrap_or_default();
            entry.connections.add(number);
            if away {
                entry.count_away(now, |aways| &mut aways.connections, true);
            }
            if let Some(info) = info {
                informed = entry.inform(info, now);
            }
        });
        room.map(|()| Connected { came, away, informed })
    }

    /// The user's token tells its name, avatar and the like. Whether that is new.
    pub fn inform(&self, user: &UserId, info: &Attributes, now: Now) -> bool {
        let mut is_new = false;
        self.change(user, now, |entry| is_new = entry.inform(info, now));
        is_new
    }

    /// Refuses a user one more connection if it has too many.
    ///
    /// # Errors
    /// `unavailable`.
    pub fn check_connections(&self, user: &UserId) -> Result<(), Refusal> {
        let live = self.here.get(user).map_or(0, |entry| entry.connections.len());
        check_connections(live, self.most_connections)
    }

    /// The user is `away` from one of its connections from now on, or is back.
    pub fn connection_turned(&self, user: &UserId, away: bool, now: Now) -> bool {
        self.change(user, now, |entry| entry.count_away(now, |aways| &mut aways.connections, away))
    }

    /// The user's connection with that number is gone, from which it was `away` or not; it was last
    /// heard at `last_seen`, by the wall clock.
    pub fn disconnected(
        &self,
        user: &UserId,
        number: u64,
        away: bool,
        last_seen: u64,
        now: Now,
    ) -> bool {
        self.change(user, now, |entry| {
            entry.connections.remove(&number);
            if away {
                entry.count_away(now, |aways| &mut aways.connections, false);
            }
            // What keeps the user from here on, if anything, may have been heard earlier: a tab
            // in the background answers pings for hours and says nothing.
            entry.keep(now).seen(last_seen);
        })
    }

    /// Changes what is kept of the user. `act` is told what else than heartbeats keeps the user
    /// online.
    pub fn record(&self, user: &UserId, now: Now, act: impl FnOnce(&mut Record, Kept)) -> bool {
        self.change(user, now, |entry| {
            let kept = entry.kept();
            act(entry.keep(now), kept);
        })
    }

    /// Heartbeats keep the user online no longer.
    pub fn stop_beating(&self, user: &UserId, now: Now) -> bool {
        self.end_beat(user, now, |_| true)
    }

    /// The user's heartbeat may be over. The second result: when to look again, if it is not.
    pub fn expire_beat(&self, user: &UserId, due_ms: u64, now: Now) -> (bool, Option<u64>) {
        let next = self.with_record(user, |record, _| {
            record.disarm(due_ms).then(|| {
                let beats = record.beats_until_ms().is_some_and(|ends_ms| ends_ms > now.mono_ms);
                if beats { record.arm() } else { None }
            })
        });
        match next.flatten() {
            Some(Some((_, next_ms))) => (false, Some(next_ms)),
            Some(None) => (self.end_beat(user, now, |record| !record.beats(now)), None),
            None => (false, None),
        }
    }

    /// Whether the user went by it, or may be away by it.
    fn end_beat(&self, user: &UserId, now: Now, ends: impl FnOnce(&Record) -> bool) -> bool {
        let end = |record: &mut Record, kept: Kept| {
            let at = ends(record).then(|| record.stop_beating()).flatten();
            // What keeps it from here on, if anything, may have been heard earlier.
            at.into_iter().for_each(|at| record.seen(at));
            (at.is_some() && kept == Kept::Not, at.is_some() && kept == Kept::Away)
        };
        let (went, away) = self.with_record(user, end).unwrap_or_default();
        if went {
            // Now it is among those who are gone, if it was not before, and nobody came meanwhile.
            self.change(user, now, |_| ());
        }
        went || away
    }

    /// When the user's heartbeat has to be looked at, if that is earlier than the timers will.
    pub fn arm(&self, user: &UserId) -> Option<(u64, u64)> {
        self.with_record(user, |record, _| record.arm()).flatten()
    }

    /// Whether the user is online here.
    #[must_use]
    pub fn is_online(&self, user: &UserId, now: Now) -> bool {
        self.here.get(user).is_some_and(|entry| entry.is_online(now))
    }

    /// The user's status, as far as it is known; `None`: nobody knows the user. From the first time
    /// that somebody asks something is kept of it.
    #[must_use]
    pub fn status(&self, user: &UserId, view: View, now: Now) -> Option<UserStatus> {
        let status = |record: &mut Record, kept| {
            let kept = with_elsewhere(kept, record.elsewhere());
            match view {
                View::Itself => record.as_itself(user, kept, now),
                View::Others => record.as_shown(user, kept, now),
                View::Unheard => record.as_unheard(user, now),
            }
        };
        if let Some(mut entry) = self.here.get_mut(user) {
            entry.keep(now);
        }
        self.with_record(user, status)
    }

    /// What this node has to say of the user to others; `None`: it does not know the user. From the
    /// first time on something is kept of it.
    #[must_use]
    pub fn own(&self, user: &UserId, now: Now) -> Option<Own> {
        if let Some(mut entry) = self.here.get_mut(user) {
            let online = entry.stands_here(now);
            return Some(entry.keep(now).own(online));
        }
        self.with_record(user, |record, _| record.own(None))
    }

    /// Other nodes have this of the user. Where nobody knows it nothing becomes known by hearing
    /// nothing. The result: whether what it set is to be said again, since it was set without
    /// knowing this.
    pub fn hear(&self, user: &UserId, heard: Heard, now: Now) -> bool {
        let nothing = heard == Heard::default();
        if nothing && self.with_record(user, |_, _| ()).is_none() {
            return false;
        }
        let mut again = false;
        self.change(user, now, |entry| {
            let here = entry.kept_here();
            let record = entry.keep(now);
            again = record.hear(user, heard, |elsewhere| with_elsewhere(here, elsewhere), now);
        });
        again
    }

    /// What was set without knowing what others had set holds: they know it by now.
    pub fn settle(&self, user: &UserId) {
        self.with_record(user, |record, _| record.settle());
    }

    /// Number of users of whom anything is known.
    #[must_use]
    pub fn known(&self) -> usize {
        self.here.len() + self.gone()
    }

    /// Number of those among them that are gone.
    #[must_use]
    pub fn gone(&self) -> usize {
        self.gone.lock().len()
    }

    /// Number of channels that the user is in.
    #[must_use]
    pub fn channel_count(&self, user: &UserId) -> usize {
        self.here.get(user).map_or(0, |entry| entry.channels.len())
    }

    /// The channels that the user is in, by name.
    #[must_use]
    pub fn channels_of(&self, user: &UserId) -> Vec<ChannelName> {
        self.channels_after(user, None, usize::MAX)
    }

    /// The first `most` channels by name that the user is in and that come after `after`.
    #[must_use]
    pub fn channels_after(
        &self,
        user: &UserId,
        after: Option<&ChannelName>,
        most: usize,
    ) -> Vec<ChannelName> {
        let entry = self.here.get(user);
        entry.map(|entry| entry.channels.after(after, most)).unwrap_or_default()
    }

    /// The lowest `most` numbers of the user's live connections above `after`.
    #[must_use]
    pub fn connections_after(&self, user: &UserId, after: Option<u64>, most: usize) -> Vec<u64> {
        let entry = self.here.get(user);
        entry.map(|entry| entry.connections.after(after.as_ref(), most)).unwrap_or_default()
    }

    /// Gives back the room of users that are gone.
    pub fn shrink(&self) {
        shrink(&self.here);
    }
}

fn check_connections(live: usize, most: usize) -> Result<(), Refusal> {
    if live < most {
        return Ok(());
    }
    let rule = format_args!("has {live} connections, and a user may have {most} at once");
    Err(Refusal::field(ErrorCode::Unavailable, "user", rule))
}

#[cfg(test)]
mod apart;
#[cfg(test)]
mod tests;
