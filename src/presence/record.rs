//! What is kept of a user apart from any channel: its status.

use herenow_protocol::{Attributes, StatusPatch, UserId, UserStatus};

use super::Now;

/// What is kept of a user. Few have one: whoever set something, sends heartbeats, was asked about,
/// or is gone.
#[derive(Debug)]
pub struct Record {
    busy: bool,
    wait_time: Option<u32>,
    text: Option<Box<str>>,
    info: Attributes,
    /// What others are shown while the user appears offline: what they saw last, less the user.
    shown: Option<Box<UserStatus>>,
    /// The last heartbeat over HTTP.
    beat: Option<Heartbeat>,
    /// When the user was last known to be there, by the wall clock; not kept while it is.
    last_seen: Option<u64>,
    created_at: u64,
    updated_at: u64,
}

/// A heartbeat that keeps a user online for a while.
#[derive(Clone, Copy, Debug)]
struct Heartbeat {
    ends_ms: u64,
    at: u64,
}

impl Record {
    /// The record of a user of whom nothing was kept until now.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            busy: false,
            wait_time: None,
            text: None,
            info: Attributes::EMPTY,
            shown: None,
            beat: None,
            last_seen: None,
            created_at: now.unix_ms,
            updated_at: now.unix_ms,
        }
    }

    /// Whether a heartbeat keeps the user online.
    #[must_use]
    pub fn beats(&self, now: Now) -> bool {
        self.beat.is_some_and(|beat| beat.ends_ms > now.mono_ms)
    }

    /// When the heartbeat's time is over, if there was one.
    #[must_use]
    pub fn beats_until_ms(&self) -> Option<u64> {
        self.beat.map(|beat| beat.ends_ms)
    }

    /// A heartbeat that keeps the user online for `lasts_ms`.
    pub fn beat(&mut self, lasts_ms: u64, now: Now) {
        self.beat = Some(Heartbeat { ends_ms: now.mono_ms + lasts_ms, at: now.unix_ms });
    }

    /// Heartbeats keep the user online no longer. The result: when it sent the last.
    pub fn stop_beating(&mut self) -> Option<u64> {
        self.beat.take().map(|beat| beat.at)
    }

    /// The user is there no longer; it was last known to be there at `last_seen`.
    pub fn gone(&mut self, last_seen: u64) {
        self.last_seen = Some(last_seen);
    }

    /// Name, avatar and the like, as the user's token gave them.
    pub fn inform(&mut self, info: Attributes) {
        self.info = info;
    }

    /// Sets what is given; `there`: whether something else than heartbeats keeps the user online.
    pub fn patch(&mut self, user: &UserId, patch: StatusPatch, there: bool, now: Now) {
        // What others saw until now is what they go on seeing, less what tells that the user is
        // there.
        if patch.invisible == Some(true) && self.shown.is_none() {
            let seen = self.as_itself(user, there, now);
            let shown = UserStatus { online: false, busy: false, wait_time: None, ..seen };
            self.shown = Some(Box::new(shown));
        }
        if patch.invisible == Some(false) {
            self.shown = None;
        }
        let before = (self.busy, self.wait_time, self.text.clone());
        self.busy = patch.busy.unwrap_or(self.busy);
        self.wait_time = patch.wait_time.unwrap_or(self.wait_time);
        self.text = patch.text.unwrap_or_else(|| self.text.take());
        if before != (self.busy, self.wait_time, self.text.clone()) || patch.invisible.is_some() {
            self.updated_at = now.unix_ms;
        }
    }

    /// The status as the user sees it.
    #[must_use]
    pub fn as_itself(&self, user: &UserId, there: bool, now: Now) -> UserStatus {
        let beating = self.beat.filter(|beat| beat.ends_ms > now.mono_ms);
        let last_seen = match (there, beating) {
            (true, _) => Some(now.unix_ms),
            (false, Some(beat)) => Some(beat.at),
            // The time of the last heartbeat is over, and nobody has noticed yet.
            (false, None) => self.beat.map(|beat| beat.at).or(self.last_seen),
        };
        UserStatus {
            user: user.clone(),
            online: there || beating.is_some(),
            invisible: self.shown.is_some(),
            busy: self.busy,
            wait_time: self.wait_time,
            text: self.text.clone(),
            info: self.info.clone(),
            last_seen,
            created_at: Some(self.created_at),
            updated_at: Some(self.updated_at),
        }
    }

    /// The status as others see it.
    #[must_use]
    pub fn as_shown(&self, user: &UserId, there: bool, now: Now) -> UserStatus {
        match &self.shown {
            Some(shown) => UserStatus::clone(shown),
            None => self.as_itself(user, there, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(ms: u64) -> Now {
        Now { mono_ms: ms, unix_ms: 1_000_000 + ms }
    }

    fn ada() -> UserId {
        UserId::parse("ada", "user").unwrap()
    }

    fn patch(change: impl FnOnce(&mut StatusPatch)) -> StatusPatch {
        let mut patch = StatusPatch::default();
        change(&mut patch);
        patch
    }

    #[test]
    fn a_heartbeat_keeps_online_for_its_time_and_not_longer() {
        let mut record = Record::new(now(0));
        assert!(!record.as_itself(&ada(), false, now(0)).online);
        record.beat(100, now(10));
        let status = record.as_shown(&ada(), false, now(109));
        assert_eq!((status.online, status.last_seen), (true, Some(1_000_010)));
        assert!(!record.as_shown(&ada(), false, now(110)).online);
        assert_eq!(record.stop_beating(), Some(1_000_010));
        record.gone(1_000_010);
        assert_eq!(record.as_shown(&ada(), false, now(500)).last_seen, Some(1_000_010));
        assert_eq!(record.as_shown(&ada(), true, now(500)).last_seen, Some(1_000_500));
    }

    #[test]
    fn whoever_is_invisible_shows_nothing_more() {
        let mut record = Record::new(now(0));
        let busy = patch(|p| (p.busy, p.text) = (Some(true), Some(Some("lunch".into()))));
        record.patch(&ada(), busy, true, now(5));
        record.patch(&ada(), patch(|p| p.invisible = Some(true)), true, now(10));
        let shown = record.as_shown(&ada(), true, now(20));
        assert_eq!((shown.online, shown.busy, shown.invisible), (false, false, false));
        assert_eq!((shown.last_seen, shown.updated_at), (Some(1_000_010), Some(1_000_005)));
        assert_eq!(shown.text.as_deref(), Some("lunch"));
        let secretly = patch(|p| (p.text, p.busy) = (Some(None), Some(false)));
        record.patch(&ada(), secretly, true, now(30));
        record.beat(100, now(40));
        record.gone(1_000_050);
        assert_eq!(record.as_shown(&ada(), true, now(60)), shown, "nothing shows");
        // Saying it again freezes nothing anew.
        record.patch(&ada(), patch(|p| p.invisible = Some(true)), true, now(70));
        assert_eq!(record.as_shown(&ada(), true, now(70)), shown);
        let own = record.as_itself(&ada(), true, now(80));
        assert!(own.online && own.invisible && own.text.is_none());
        record.patch(&ada(), patch(|p| p.invisible = Some(false)), true, now(90));
        assert!(record.as_shown(&ada(), true, now(90)).online);
    }

    #[test]
    fn null_takes_away_and_absent_leaves() {
        let mut record = Record::new(now(0));
        record.patch(&ada(), patch(|p| p.wait_time = Some(Some(5))), true, now(1));
        record.patch(&ada(), patch(|p| p.busy = Some(true)), true, now(2));
        let status = record.as_itself(&ada(), true, now(3));
        assert_eq!((status.busy, status.wait_time), (true, Some(5)));
        assert_eq!((status.created_at, status.updated_at), (Some(1_000_000), Some(1_000_002)));
        record.patch(&ada(), patch(|p| p.wait_time = Some(None)), true, now(4));
        assert_eq!(record.as_itself(&ada(), true, now(5)).wait_time, None);
    }
}
