//! What an observer must be able to build from what it is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use herenow_protocol::reply::{InForce, MemberView, RecentView, SnapshotReason};
use herenow_protocol::request::MAX_RECENT;
use herenow_protocol::{Epoch, Event, ServerFrame, Since, UserId};

use crate::client::{Client, QUIET};

/// What an observer knows of a channel. Panics on whatever a broker must not tell.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    channel: String,
    epoch: Option<Epoch>,
    seq: u64,
    pub(crate) members: BTreeMap<UserId, MemberView>,
    /// The parts of a snapshot whose last has not come: seq, count, members.
    parts: Option<(u64, u64, Vec<MemberView>)>,
    /// At level `count`: the last frame.
    counted: Option<Counted>,
    /// A `level` frame came, and what the level begins with has not.
    begins: Option<InForce>,
    /// It reads slowly: see [`Replica::lagging`].
    lags: bool,
    /// So many of the newest members come with a count, if there are as many.
    newest: usize,
}

/// What a `count` frame tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) seq: u64,
    pub(crate) count: u64,
    /// The newest members, if they are told.
    pub(crate) recent: Option<Vec<String>>,
}

impl Replica {
    /// Knows nothing until the first snapshot.
    pub(crate) fn new(channel: &str) -> Self {
        let channel = channel.to_owned();
        let (members, parts) = (BTreeMap::new(), None);
        let (counted, begins) = (None, None);
        let (epoch, seq, lags, newest) = (None, 0, false, MAX_RECENT);
        Self { channel, epoch, seq, members, parts, counted, begins, lags, newest }
    }

    /// As [`Replica::new`], of somebody whose socket may be full in the midst of a snapshot. Then later
    /// parts show members as they are by then, and what is told behind them tells some of it again: so
    /// while it catches up, the count need not fit, somebody may join who is known, and go or change
    /// who is not. All else holds as ever, and once all is read, so does this.
    pub(crate) fn lagging(channel: &str) -> Self {
        Self { lags: true, ..Self::new(channel) }
    }

    /// The same, of somebody who asked for so many of the newest members.
    pub(crate) fn of_recent(self, newest: usize) -> Self {
        Self { newest, ..self }
    }

    /// Applies a frame of this channel; others are none of its business.
    pub(crate) fn apply(&mut self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Snapshot {
                channel,
                epoch,
                seq,
                count,
                members,
                more,
                reason,
                partial,
            } if channel.as_str() == self.channel => {
                assert!(!partial, "a broker that runs alone knows all");
                self.level_begins(InForce::Events);
                // Whoever was at count and is told a list hears why, or has asked anew.
                assert!(self.counted.is_none() || *reason != SnapshotReason::Resync);
                self.snapshot(*epoch, *seq, *count, members, *more);
            }
            ServerFrame::Presence { channel, seq, count, events }
                if channel.as_str() == self.channel =>
            {
                self.level_begins(InForce::Events);
                self.presence(*seq, *count, events);
            }
            ServerFrame::Count { channel, seq, count, recent, partial: false }
                if channel.as_str() == self.channel =>
            {
                self.level_begins(InForce::Count);
                self.count(*seq, *count, recent.as_deref());
            }
            ServerFrame::Level { channel, level, .. } if channel.as_str() == self.channel => {
                assert_ne!(*level, self.level(), "a level that is in force already");
                assert!(self.parts.is_none(), "a level between the parts of a snapshot");
                self.begins = Some(*level);
            }
            _ => {}
        }
    }

    /// The level in force, as far as this observer was told.
    pub(crate) fn level(&self) -> InForce {
        let counted = self.counted.as_ref().map_or(InForce::Events, |_| InForce::Count);
        self.begins.unwrap_or(counted)
    }

    /// What the last `count` frame told, at level `count`.
    pub(crate) fn counted(&self) -> Option<&Counted> {
        self.counted.as_ref()
    }

    fn level_begins(&mut self, with: InForce) {
        if let Some(level) = self.begins.take() {
            assert_eq!(level, with, "not what the level begins with");
        }
    }

    fn count(&mut self, seq: u64, count: u64, recent: Option<&[RecentView]>) {
        let last = self.counted.as_ref().map_or(self.seq, |counted| counted.seq);
        assert!(seq >= last, "a count at {seq} after one at {last}");
        let names = |recent: &[RecentView]| recent.iter().map(|r| r.user.to_string()).collect();
        let recent: Option<Vec<String>> = recent.map(names);
        if let Some(recent) = &recent {
            assert_eq!(recent.len() as u64, count.min(self.newest as u64), "recent is not full");
        }
        self.counted = Some(Counted { seq, count, recent });
        (self.parts, self.epoch) = (None, None);
        self.members.clear();
    }

    fn snapshot(&mut self, epoch: Epoch, seq: u64, count: u64, members: &[MemberView], more: bool) {
        if self.epoch == Some(epoch) {
            assert!(seq >= self.seq, "a snapshot at {seq} after frame {}", self.seq);
        }
        if self.parts.is_some() {
            assert_eq!(self.epoch, Some(epoch), "parts of two histories");
        }
        let counted = self.counted.take().map_or(0, |counted| counted.seq);
        assert!(seq >= counted, "a snapshot at {seq} after a count at {counted}");
        // One that was in vain begins anew.
        self.parts.take_if(|parts| self.lags && parts.0 < seq);
        let parts = self.parts.get_or_insert_with(|| (seq, count, Vec::new()));
        assert_eq!(parts.0, seq, "parts of two snapshots");
        assert!(parts.1 == count || self.lags, "the count changed within a snapshot");
        parts.1 = count;
        parts.2.extend_from_slice(members);
        self.epoch = Some(epoch);
        if more {
            return;
        }
        let (seq, count, members) = self.parts.take().unwrap();
        self.seq = seq;
        self.members.clear();
        for member in members {
            let before = self.members.insert(member.user.clone(), member);
            assert!(before.is_none() || self.lags, "a snapshot tells of {before:?} twice");
        }
        let fits = self.members.len() as u64 == count;
        assert!(fits || self.lags, "the count of a snapshot is wrong");
    }

    fn presence(&mut self, seq: u64, count: u64, events: &[Event]) {
        assert!(self.is_whole(), "frame {seq} came before the snapshot was whole");
        assert_eq!(seq, self.seq + 1, "a gap in {}", self.channel);
        assert!(!events.is_empty(), "frame {seq} tells nothing");
        self.seq = seq;
        let mut users: Vec<_> = events.iter().map(Event::user).collect();
        users.sort();
        users.dedup();
        assert_eq!(users.len(), events.len(), "a user appears twice in frame {seq}: {events:?}");
        for event in events {
            self.tell(event);
        }
        let fits = self.members.len() as u64 == count;
        assert!(fits || self.lags, "the count of frame {seq} is wrong");
    }

    fn tell(&mut self, event: &Event) {
        match event.clone() {
            Event::Join { user, info, attributes, away, at } => {
                let member =
                    MemberView { user: user.clone(), info, attributes, away, joined_at: at };
                let before = self.members.insert(user, member);
                assert!(before.is_none() || self.lags, "joined while present: {before:?}");
            }
            Event::Leave { user, .. } | Event::Timeout { user, .. } => {
                let was_there = self.members.remove(&user).is_some();
                assert!(was_there || self.lags, "{user} ended and was not there");
            }
            Event::UpdateAttributes { user, attributes, info, away, joined_at, .. } => {
                let Some(member) = self.members.get_mut(&user) else {
                    assert!(self.lags, "an update of {user}, who is absent");
                    return;
                };
                let else_changes = info.is_some() || away.is_some() || joined_at.is_some();
                let changes = member.attributes != attributes || else_changes;
                assert!(away.is_none_or(|away| away != member.away) || self.lags, "{event:?}");
                assert!(changes || self.lags, "an update of {user} changes nothing");
                member.attributes = attributes;
                member.info = info.unwrap_or_else(|| member.info.clone());
                member.away = away.unwrap_or(member.away);
                member.joined_at = joined_at.unwrap_or(member.joined_at);
            }
        }
    }

    /// Whether there was a snapshot, and none is under way.
    pub(crate) fn is_whole(&self) -> bool {
        self.epoch.is_some() && self.parts.is_none()
    }

    /// The last frame that was applied: what `subscribe` resumes from.
    pub(crate) fn since(&self) -> Since {
        Since { epoch: self.epoch.expect("a snapshot"), seq: self.seq, sight: None }
    }

    /// The members by name.
    pub(crate) fn members(&self) -> &BTreeMap<UserId, MemberView> {
        &self.members
    }

    /// The names of the members, sorted.
    pub(crate) fn users(&self) -> Vec<&str> {
        self.members.keys().map(UserId::as_str).collect()
    }

    /// Whether it equals the broker's own list.
    pub(crate) fn assert_equals(&self, truth: &[MemberView]) {
        let truth: BTreeMap<_, _> = truth.iter().map(|m| (m.user.clone(), m.clone())).collect();
        assert_eq!(self.members, truth, "the replica of {} is not the truth", self.channel);
    }
}

/// A client that observes one channel. Every frame it takes goes through its replica.
pub(crate) struct Observer {
    channel: String,
    pub(crate) client: Client,
    pub(crate) replica: Replica,
}

impl Observer {
    /// A user called `observer` who observes `channel` from now on.
    pub(crate) async fn of(address: SocketAddr, channel: &str) -> Self {
        let mut client = Client::connect(address, "observer").await;
        let replica = client.observe(channel).await;
        Self { channel: channel.to_owned(), client, replica }
    }

    /// The events of the next frame, which must be a `presence` frame of the channel.
    pub(crate) async fn events(&mut self) -> Vec<Event> {
        let frame = self.client.next().await;
        self.replica.apply(&frame);
        match frame {
            ServerFrame::Presence { channel, events, .. } if channel.as_str() == self.channel => {
                events
            }
            other => panic!("no presence frame of {}: {other:?}", self.channel),
        }
    }

    /// The only event of the next frame.
    pub(crate) async fn event(&mut self) -> Event {
        let mut events = self.events().await;
        assert_eq!(events.len(), 1, "not one event: {events:?}");
        events.remove(0)
    }

    /// The only event of the next frame in short: `join ada {"mood":"happy"}`, `leave ada closed`,
    /// `timeout ada connection`, `update ada {}`, `expired ada {}`.
    pub(crate) async fn told(&mut self) -> String {
        short(&self.event().await)
    }

    /// Nothing was told that was not taken, nothing is for a while, and what this observer itself
    /// does next is told next.
    pub(crate) async fn told_nothing(&mut self) {
        self.told_nothing_for(QUIET).await;
    }

    /// As [`Observer::told_nothing`], for as long as the test asks.
    pub(crate) async fn told_nothing_for(&mut self, time: Duration) {
        self.client.expect_quiet_for(time).await;
        let channel = self.channel.clone();
        self.client.send(format!("join {channel}")).await;
        assert_eq!(self.told().await, "join observer {}");
        self.client.send(format!("leave {channel}")).await;
        assert_eq!(self.told().await, "leave observer left");
    }

    /// The replica is what the broker itself says.
    pub(crate) async fn agrees(&mut self) {
        let truth = self.client.members(&self.channel).await;
        self.replica.assert_equals(&truth);
    }
}

/// An event in short, without its times.
pub(crate) fn short(event: &Event) -> String {
    let json = serde_json::to_value(event).unwrap();
    let reason = json["reason"].as_str().unwrap_or_default();
    match event {
        Event::Join { user, attributes, away, .. } => {
            let away = if *away { " away" } else { "" };
            format!("join {user} {}{away}", attributes.as_str())
        }
        Event::Leave { user, .. } => format!("leave {user} {reason}"),
        Event::Timeout { user, .. } => format!("timeout {user} {reason}"),
        Event::UpdateAttributes { user, attributes, away, .. } => {
            let what = if reason.is_empty() { "update" } else { reason };
            let away = away.map_or("", |away| if away { " away" } else { " back" });
            format!("{what} {user} {}{away}", attributes.as_str())
        }
    }
}
