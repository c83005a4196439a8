//! What the index has of one user.

use herenow_protocol::{Attributes, ChannelName};

use super::few::Few;
use super::record::{Aways, Kept, Record};
use crate::now::Now;

/// Whoever merely is connected costs little more than its channels.
#[derive(Debug, Default)]
pub(super) struct User {
    /// The channels that it is in.
    pub(super) channels: Few<ChannelName>,
    /// The numbers of its live connections.
    pub(super) connections: Few<u64>,
    pub(super) record: Option<Box<Record>>,
}

/// Every connection of a user of its own has one of these.
const _: () = assert!(size_of::<User>() <= 40);

impl User {
    /// Whether something else than heartbeats keeps the user online. Whoever is a member somewhere
    /// has a source that keeps it so: a connection, a lease, or a connection in grace.
    pub(super) fn is_there(&self) -> bool {
        !self.connections.is_empty() || !self.channels.is_empty()
    }

    /// What keeps the user online here, but for heartbeats.
    pub(super) fn kept_here(&self) -> Kept {
        if !self.is_there() {
            return Kept::Not;
        }
        let all = (self.channels.len(), self.connections.len());
        let away = self
            .record
            .as_ref()
            .map(|record| record.aways())
            .is_some_and(|aways| (aways.channels as usize, aways.connections as usize) == all);
        if away { Kept::Away } else { Kept::Here }
    }

    /// What keeps the user online on any node, but for heartbeats that come here.
    pub(super) fn kept(&self) -> Kept {
        let elsewhere = self.record.as_ref().and_then(|record| record.elsewhere());
        with_elsewhere(self.kept_here(), elsewhere)
    }

    /// Whether the user is online here.
    pub(super) fn is_online(&self, now: Now) -> bool {
        self.is_there() || self.record.as_ref().is_some_and(|record| record.beats(now))
    }

    /// Whether the user is online here, and then whether it is away.
    pub(super) fn stands_here(&self, now: Now) -> Option<bool> {
        let away = |record: &Record| record.is_away(self.kept_here(), now);
        self.is_online(now).then(|| self.record.as_deref().is_some_and(away))
    }

    /// Whether the user is online on any node, and then whether it is away: what its watchers are
    /// told by themselves.
    pub(super) fn stands(&self, now: Now) -> Option<bool> {
        let kept = self.kept();
        let online = kept != Kept::Not || self.is_online(now);
        online.then(|| self.record.as_ref().is_some_and(|record| record.is_away(kept, now)))
    }

    /// How the user stands, to watchers and to other nodes.
    pub(super) fn both(&self, now: Now) -> (Option<bool>, Option<bool>) {
        (self.stands(now), self.stands_here(now))
    }

    /// One channel more or less where the user is away, or one connection.
    pub(super) fn count_away(
        &mut self,
        now: Now,
        of: impl FnOnce(&mut Aways) -> &mut u32,
        away: bool,
    ) {
        let record = self.keep(now);
        let count = of(record.aways_mut());
        *count = if away { *count + 1 } else { count.saturating_sub(1) };
        // Most come back, and then cost no more than before.
        record.tidy();
    }

    /// Who has no record has no name either: nothing is kept to say so.
    pub(super) fn inform(&mut self, info: &Attributes, now: Now) -> bool {
        (self.record.is_some() || !info.is_empty()) && self.keep(now).inform(info)
    }

    pub(super) fn keep(&mut self, now: Now) -> &mut Record {
        self.record.get_or_insert_with(|| Box::new(Record::new(now)))
    }

    /// Lets `act` change the user. One that is back was last seen now, whatever was known before.
    pub(super) fn touch(&mut self, act: impl FnOnce(&mut Self)) {
        let there = self.is_there();
        act(self);
        if !there
            && self.is_there()
            && let Some(record) = &mut self.record
        {
            record.is_back();
        }
    }
}

/// What keeps a user online, with what other nodes say of it.
pub(super) fn with_elsewhere(here: Kept, elsewhere: Option<bool>) -> Kept {
    match (here, elsewhere) {
        (here, None) => here,
        (Kept::Here, _) | (_, Some(false)) => Kept::Here,
        (Kept::Not | Kept::Away, Some(true)) => Kept::Away,
    }
}
