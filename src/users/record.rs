//! What is kept of a user apart from any channel: its status.

use herenow_protocol::{Attributes, StatusPatch, UserId, UserStatus};

use super::elsewhere::{Heard, Own, Settings};
use crate::now::{NEVER, Now};

/// What is kept of a user: of whoever set something, sends heartbeats, was asked about, or is gone.
///
/// Those who are gone are many, and most of them set nothing: so that lies apart.
#[derive(Debug)]
pub struct Record {
    created_at: u64,
    updated_at: u64,
    /// When something that is no longer last showed the user to be there, by the wall clock; 0:
    /// nothing did.
    last_seen: u64,
    set: Option<Box<Set>>,
}

/// Every user that came and went leaves one of these.
const _: () = assert!(size_of::<Record>() <= 32);

/// What few users have: a status that they set, a name from their token, heartbeats over HTTP, a
/// window that is hidden.
#[derive(Debug)]
struct Set {
    settings: Settings,
    /// What was set while this node did not know what others had set: done again, over that.
    blindly: Option<Box<StatusPatch>>,
    info: Attributes,
    /// Whether other nodes have the user online, and then whether it is away on all of them. Known
    /// only while somebody wants to know.
    elsewhere: Option<bool>,
    /// The last heartbeat over HTTP.
    beat: Option<Heartbeat>,
    aways: Aways,
    /// When the timers will look at the heartbeat.
    armed_ms: u64,
}

/// A heartbeat that keeps a user online for a while.
#[derive(Clone, Copy, Debug)]
struct Heartbeat {
    ends_ms: u64,
    at: u64,
    away: bool,
}

/// How much of what keeps a user online says that the user is away. Counted only here, so that
/// whoever is never away pays nothing for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Aways {
    /// Channels where the user is a member that is away.
    pub(super) channels: u32,
    /// Connections of which all memberships are away, or, if there are none, themselves.
    pub(super) connections: u32,
}

/// What keeps a user online beside heartbeats over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing does.
    Not,
    /// A connection or a membership.
    Here,
    /// The same, and the user is away from all of them.
    Away,
}

impl Set {
    const NOTHING: Self = Self {
        settings: Settings { busy: false, wait_time: None, text: None, shown: None },
        blindly: None,
        info: Attributes::EMPTY,
        elsewhere: None,
        beat: None,
        aways: Aways { channels: 0, connections: 0 },
        armed_ms: NEVER,
    };
}

impl Record {
    /// The record of a user of whom nothing was kept until now.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self { created_at: now.unix_ms, updated_at: now.unix_ms, last_seen: 0, set: None }
    }

    fn get(&self) -> &Set {
        self.set.as_deref().unwrap_or(&Set::NOTHING)
    }

    fn set(&mut self) -> &mut Set {
        self.set.get_or_insert_with(|| Box::new(Set::NOTHING))
    }

    /// Keeps no room for what is not set: the user is gone, or back.
    pub(super) fn tidy(&mut self) {
        let nothing = |set: &mut Box<Set>| {
            let Set { settings, blindly, info, elsewhere, beat, aways, armed_ms } = &**set;
            let said = *settings != Settings::default() || blindly.is_some() || !info.is_empty();
            let away = *aways != Aways::default();
            !(said || away || elsewhere.is_some() || beat.is_some() || *armed_ms != NEVER)
        };
        self.set.take_if(nothing);
    }

    /// Whether a heartbeat keeps the user online.
    #[must_use]
    pub fn beats(&self, now: Now) -> bool {
        self.get().beat.is_some_and(|beat| beat.ends_ms > now.mono_ms)
    }

    /// When the heartbeat's time is over, if there was one.
    #[must_use]
    pub fn beats_until_ms(&self) -> Option<u64> {
        self.get().beat.map(|beat| beat.ends_ms)
    }

    /// A heartbeat that keeps the user online for `lasts_ms`. Nobody has seen the user later.
    /// `away`: whether the user is away; `None`: as the last one said, if that still counts.
    pub fn beat(&mut self, lasts_ms: u64, away: Option<bool>, now: Now) {
        let as_it_was = || self.beats(now) && self.get().beat.is_some_and(|beat| beat.away);
        let away = away.unwrap_or_else(as_it_was);
        let ends_ms = now.mono_ms + lasts_ms;
        self.set().beat = Some(Heartbeat { ends_ms, at: now.unix_ms, away });
        self.last_seen = 0;
    }

    /// How much of what keeps the user online says that the user is away.
    pub(super) fn aways(&self) -> Aways {
        self.get().aways
    }

    /// Counts what says that the user is away.
    pub(super) fn aways_mut(&mut self) -> &mut Aways {
        &mut self.set().aways
    }

    /// Heartbeats keep the user online no longer. The result: when it sent the last.
    pub fn stop_beating(&mut self) -> Option<u64> {
        Some(self.set.as_mut()?.beat.take()?.at)
    }

    /// When the heartbeat has to be looked at, if that is earlier than the timers will: when they
    /// would have, and when they have to.
    pub(super) fn arm(&mut self) -> Option<(u64, u64)> {
        let set = self.set.as_mut()?;
        let due_ms = set.beat?.ends_ms;
        (due_ms < set.armed_ms).then(|| (std::mem::replace(&mut set.armed_ms, due_ms), due_ms))
    }

    /// The timer of the heartbeat fired: whether it was the one that is armed.
    pub(super) fn disarm(&mut self, due_ms: u64) -> bool {
        let Some(set) = self.set.as_mut().filter(|set| set.armed_ms == due_ms) else {
            return false;
        };
        set.armed_ms = NEVER;
        true
    }

    /// The user was known to be there at `at`, by what is no longer. Of several the latest counts,
    /// whichever ends last: a lost connection's grace is over long after it was heard.
    pub fn seen(&mut self, at: u64) {
        self.last_seen = self.last_seen.max(at);
    }

    /// The user is there again: when it was there before does not count any more, lest the wall
    /// clock was set back meanwhile.
    pub fn is_back(&mut self) {
        self.last_seen = 0;
    }

    /// Name, avatar and the like, as the user's token gave them. The result: whether that is new.
    pub fn inform(&mut self, info: &Attributes) -> bool {
        let is_new = self.get().info != *info;
        if is_new {
            self.set().info = info.clone();
        }
        is_new
    }

    /// Sets what is given; `kept`: what else than heartbeats keeps the user online. Whether that
    /// changes anything.
    pub fn patch(&mut self, user: &UserId, patch: StatusPatch, kept: Kept, now: Now) -> bool {
        // What others saw until now is what they go on seeing, less what tells that the user is
        // there.
        let hides = patch.invisible == Some(true) && self.get().settings.shown.is_none();
        let shown = hides.then(|| {
            let seen = self.as_itself(user, kept, now);
            let gone = UserStatus { online: false, away: false, ..seen };
            Box::new(UserStatus { busy: false, wait_time: None, ..gone })
        });
        let set = &mut self.set().settings;
        let before = set.clone();
        if patch.invisible == Some(false) {
            set.shown = None;
        }
        set.shown = shown.or(set.shown.take());
        set.busy = patch.busy.unwrap_or(set.busy);
        set.wait_time = patch.wait_time.unwrap_or(set.wait_time);
        set.text = patch.text.unwrap_or_else(|| set.text.take());
        let changed = before != *set;
        if changed {
            self.updated_at = now.unix_ms;
        }
        changed
    }

    /// As [`Record::patch`], where this node does not know what others have: what it turns out that
    /// they have is patched too.
    pub fn patch_blindly(&mut self, user: &UserId, patch: StatusPatch, kept: Kept, now: Now) {
        let before = self.set().blindly.take().map(|before| *before).unwrap_or_default();
        let both = StatusPatch {
            busy: patch.busy.or(before.busy),
            invisible: patch.invisible.or(before.invisible),
            wait_time: patch.wait_time.or(before.wait_time),
            text: patch.text.clone().or(before.text),
        };
        self.set().blindly = Some(Box::new(both));
        self.patch(user, patch, kept, now);
    }

    /// Whether other nodes have the user online, and then whether it is away on all of them.
    pub(super) fn elsewhere(&self) -> Option<bool> {
        self.get().elsewhere
    }

    /// What was set without knowing what others had set holds.
    pub(super) fn settle(&mut self) {
        if self.set.as_mut().and_then(|own| own.blindly.take()).is_some() {
            self.tidy();
        }
    }

    /// Other nodes have this of the user, whom something beside them and heartbeats keeps here, or
    /// not. The result: whether what it set is to be said again, since it was set without knowing
    /// this.
    pub(super) fn hear(
        &mut self,
        user: &UserId,
        heard: Heard,
        kept: impl FnOnce(Option<bool>) -> Kept,
        now: Now,
    ) -> bool {
        let Heard { online, set, info, created_at, seen } = heard;
        let untouched = self.updated_at == self.created_at;
        self.created_at = created_at.unwrap_or(self.created_at);
        if untouched {
            self.updated_at = self.created_at;
        }
        self.seen(seen);
        if self.get().elsewhere != online {
            self.set().elsewhere = online;
        }
        if let Some(info) = info {
            self.inform(&info);
        }
        let Some(set) = set else {
            self.tidy();
            return false;
        };
        let blindly = self.set.as_mut().and_then(|own| own.blindly.take());
        let unreadable = || {
            let shown = self.as_itself(user, Kept::Not, now);
            UserStatus { online: false, away: false, invisible: false, ..shown }
        };
        let (settings, updated_at) = Settings::decode(&set, unreadable);
        if self.get().settings != settings {
            self.set().settings = settings;
        }
        self.updated_at = if updated_at > 0 { updated_at } else { self.created_at };
        let again = blindly.is_some();
        if let Some(patch) = blindly {
            self.patch(user, *patch, kept(online), now);
        }
        self.tidy();
        again
    }

    /// What this node has to say of the user to others. `online`: whether it is so here, and then
    /// whether it is away.
    pub(super) fn own(&self, online: Option<bool>) -> Own {
        let Set { settings, info, beat, .. } = self.get();
        let nothing = *settings == Settings::default() && self.updated_at == self.created_at;
        Own {
            online,
            set: if nothing { Attributes::EMPTY } else { settings.encode(self.updated_at) },
            info: info.clone(),
            created_at: self.created_at,
            seen: self.last_seen.max(beat.map_or(0, |beat| beat.at)),
        }
    }

    /// The status as the user sees it.
    #[must_use]
    pub fn as_itself(&self, user: &UserId, kept: Kept, now: Now) -> UserStatus {
        let there = kept != Kept::Not;
        let Set { settings, info, beat, .. } = self.get();
        let Settings { busy, wait_time, text, shown } = settings;
        let beating = beat.is_some_and(|beat| beat.ends_ms > now.mono_ms);
        // The last heartbeat counts even if its time is over and nobody has noticed yet.
        let seen = Some(self.last_seen).filter(|&at| at > 0).max(beat.map(|beat| beat.at));
        let last_seen = if there { Some(now.unix_ms) } else { seen };
        UserStatus {
            user: user.clone(),
            online: there || beating,
            away: self.is_away(kept, now),
            invisible: shown.is_some(),
            busy: *busy,
            wait_time: *wait_time,
            text: text.clone(),
            info: info.clone(),
            last_seen,
            created_at: Some(self.created_at),
            updated_at: Some(self.updated_at),
        }
    }

    /// Whether all that keeps the user online says that the user is away.
    #[must_use]
    pub fn is_away(&self, kept: Kept, now: Now) -> bool {
        let beat = self.get().beat.filter(|beat| beat.ends_ms > now.mono_ms);
        match kept {
            Kept::Here => false,
            Kept::Away => beat.is_none_or(|beat| beat.away),
            Kept::Not => beat.is_some_and(|beat| beat.away),
        }
    }

    /// The status as others see it.
    #[must_use]
    pub fn as_shown(&self, user: &UserId, kept: Kept, now: Now) -> UserStatus {
        match &self.get().settings.shown {
            Some(shown) => UserStatus::clone(shown),
            None => self.as_itself(user, kept, now),
        }
    }

    /// The status as others see it while it is not known whether the user wants to be invisible: it
    /// was set on another node, perhaps. So nothing tells that it is there.
    #[must_use]
    pub fn as_unheard(&self, user: &UserId, now: Now) -> UserStatus {
        let known = self.as_shown(user, Kept::Not, now);
        let last_seen = Some(self.last_seen).filter(|&at| at > 0);
        let last_seen = if known.online { last_seen } else { known.last_seen };
        UserStatus { online: false, away: false, busy: false, wait_time: None, last_seen, ..known }
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
        assert!(!record.as_itself(&ada(), Kept::Not, now(0)).online);
        record.beat(100, None, now(10));
        let status = record.as_shown(&ada(), Kept::Not, now(109));
        assert_eq!((status.online, status.last_seen), (true, Some(1_000_010)));
        assert!(!record.as_shown(&ada(), Kept::Not, now(110)).online);
        assert_eq!(record.stop_beating(), Some(1_000_010));
        record.seen(1_000_010);
        assert_eq!(record.as_shown(&ada(), Kept::Not, now(500)).last_seen, Some(1_000_010));
        assert_eq!(record.as_shown(&ada(), Kept::Here, now(500)).last_seen, Some(1_000_500));
    }

    #[test]
    fn the_latest_that_showed_the_user_is_when_it_was_last_seen() {
        let mut record = Record::new(now(0));
        let last_seen = |record: &Record| record.as_shown(&ada(), Kept::Not, now(900)).last_seen;
        record.beat(100, None, now(10));
        record.seen(1_000_050);
        assert_eq!(last_seen(&record), Some(1_000_050), "closed after the heartbeat");
        record.seen(1_000_020);
        assert_eq!(last_seen(&record), Some(1_000_050), "what ends last was not heard last");
        record.beat(100, None, now(60));
        assert_eq!(last_seen(&record), Some(1_000_060));
        // The wall clock was set back while the user was away.
        record.seen(1_000_070);
        record.stop_beating();
        record.is_back();
        record.seen(900_000);
        assert_eq!(last_seen(&record), Some(900_000));
    }

    #[test]
    fn what_changes_nothing_is_no_update() {
        let mut record = Record::new(now(0));
        record.patch(&ada(), patch(|p| p.invisible = Some(false)), Kept::Here, now(5));
        record.patch(&ada(), patch(|p| p.busy = Some(false)), Kept::Here, now(6));
        assert_eq!(record.as_itself(&ada(), Kept::Here, now(7)).updated_at, Some(1_000_000));
        record.patch(&ada(), patch(|p| p.invisible = Some(true)), Kept::Here, now(8));
        record.patch(&ada(), patch(|p| p.invisible = Some(true)), Kept::Here, now(9));
        assert_eq!(record.as_itself(&ada(), Kept::Here, now(9)).updated_at, Some(1_000_008));
    }

    #[test]
    fn whoever_is_invisible_shows_nothing_more() {
        let mut record = Record::new(now(0));
        let busy = patch(|p| (p.busy, p.text) = (Some(true), Some(Some("lunch".into()))));
        record.patch(&ada(), busy, Kept::Here, now(5));
        record.patch(&ada(), patch(|p| p.invisible = Some(true)), Kept::Here, now(10));
        let shown = record.as_shown(&ada(), Kept::Here, now(20));
        assert_eq!((shown.online, shown.busy, shown.invisible), (false, false, false));
        assert_eq!((shown.last_seen, shown.updated_at), (Some(1_000_010), Some(1_000_005)));
        assert_eq!(shown.text.as_deref(), Some("lunch"));
        let secretly = patch(|p| (p.text, p.busy) = (Some(None), Some(false)));
        record.patch(&ada(), secretly, Kept::Here, now(30));
        record.beat(100, None, now(40));
        record.seen(1_000_050);
        assert_eq!(record.as_shown(&ada(), Kept::Here, now(60)), shown, "nothing shows");
        // Saying it again freezes nothing anew.
        record.patch(&ada(), patch(|p| p.invisible = Some(true)), Kept::Here, now(70));
        assert_eq!(record.as_shown(&ada(), Kept::Here, now(70)), shown);
        let own = record.as_itself(&ada(), Kept::Here, now(80));
        assert!(own.online && own.invisible && own.text.is_none());
        record.patch(&ada(), patch(|p| p.invisible = Some(false)), Kept::Here, now(90));
        assert!(record.as_shown(&ada(), Kept::Here, now(90)).online);
    }

    #[test]
    fn null_takes_away_and_absent_leaves() {
        let mut record = Record::new(now(0));
        record.patch(&ada(), patch(|p| p.wait_time = Some(Some(5))), Kept::Here, now(1));
        record.patch(&ada(), patch(|p| p.busy = Some(true)), Kept::Here, now(2));
        let status = record.as_itself(&ada(), Kept::Here, now(3));
        assert_eq!((status.busy, status.wait_time), (true, Some(5)));
        assert_eq!((status.created_at, status.updated_at), (Some(1_000_000), Some(1_000_002)));
        record.patch(&ada(), patch(|p| p.wait_time = Some(None)), Kept::Here, now(4));
        assert_eq!(record.as_itself(&ada(), Kept::Here, now(5)).wait_time, None);
    }
}
