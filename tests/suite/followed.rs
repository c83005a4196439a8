//! What a follower inside the process knows: a replica out of what it is told.

use std::collections::BTreeMap;

use herenow::now::Now;
use herenow::presence::Part;
use herenow::presence::{Changes, ChannelState, Follow, News, Next, Ring, Step, Viewer};
use herenow_protocol::reply::{InForce, MemberView};
use herenow_protocol::{ChannelName, Event, Level, ServerFrame, UserId};

/// What a follower knows of a channel.
pub(crate) struct Followed {
    name: ChannelName,
    follow: Follow,
    pub(crate) members: BTreeMap<UserId, MemberView>,
    pub(crate) level: InForce,
    pub(crate) count: u64,
    /// In the midst of a snapshot.
    in_parts: bool,
    /// Entries may be newer than the seq at which their snapshot began: events that come again are
    /// borne until the follower has had so much.
    newer_until: u64,
    pub(crate) snapshots: usize,
}

/// How far a follower has read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Something,
    /// It knows all that was told.
    All,
    /// A count is owed that may not be told yet.
    Later,
}

impl Followed {
    pub(crate) fn new(name: &ChannelName, level: Level) -> Self {
        Self {
            name: name.clone(),
            follow: Follow::new(level),
            members: BTreeMap::new(),
            level: InForce::Events,
            count: 0,
            in_parts: false,
            newer_until: 0,
            snapshots: 0,
        }
    }

    /// Goes away and comes back, as with `Last-Event-ID`: whether it goes on from where it was.
    pub(crate) fn come_back(&mut self, level: Level, core: &ChannelState, ring: &Ring) -> bool {
        self.in_parts = false;
        self.follow = match self.follow.mark() {
            Some(mark) => Follow::resuming(level, mark, core, ring),
            None => Follow::new(level),
        };
        self.follow.has_resumed()
    }

    /// Reads one thing.
    pub(crate) fn read(
        &mut self,
        core: &ChannelState,
        ring: &Ring,
        viewer: Viewer<'_>,
        now: Now,
    ) -> Read {
        match self.follow.next(core, ring, viewer, now.mono_ms) {
            Next::Nothing => return Read::All,
            Next::Later(_) => return Read::Later,
            Next::News(news) => self.hear(news, core, viewer),
        }
        Read::Something
    }

    /// Reads all that there is.
    pub(crate) fn read_all(
        &mut self,
        core: &ChannelState,
        ring: &Ring,
        viewer: Viewer<'_>,
        now: Now,
    ) -> Read {
        loop {
            match self.read(core, ring, viewer, now) {
                Read::Something => {}
                end => return end,
            }
        }
    }

    fn hear(&mut self, news: News, core: &ChannelState, viewer: Viewer<'_>) {
        match news {
            News::Snapshot(Part { seq, count, members, more, .. }) => {
                if !std::mem::replace(&mut self.in_parts, more) {
                    self.members.clear();
                    self.snapshots += 1;
                    self.newer_until = 0;
                }
                if more || self.newer_until > 0 {
                    self.newer_until = core.next_seq() + 1;
                }
                (self.level, self.count) = (InForce::Events, count);
                assert!(seq < core.next_seq());
                self.members.extend(members.iter().map(|m| (m.user.clone(), m.view())));
            }
            News::Step(step) => self.step(&step, viewer),
            News::Count(tally) => {
                assert_eq!(self.level, InForce::Count, "a count without its level");
                self.count = tally.count as u64;
            }
            News::Level(level) => {
                assert_ne!(self.level, level, "the level that it is at");
                self.level = level;
                self.members.clear();
            }
            News::Status(status) => panic!("no channel of a status tells {status:?}"),
            News::Found { .. } | News::Missed { .. } => {
                panic!("a replica follows more than changes")
            }
        }
    }

    fn step(&mut self, step: &Step, viewer: Viewer<'_>) {
        assert!(!self.in_parts, "a step in the midst of a snapshot");
        for frame in step.changes.frames(&self.name, viewer) {
            let ServerFrame::Presence { seq, count, events, .. } = frame else {
                panic!("a tick told {frame:?}")
            };
            self.count = count;
            let again = seq < self.newer_until;
            for event in events {
                self.apply(event, again);
            }
        }
    }

    /// `again`: what it tells may be known already.
    fn apply(&mut self, event: Event, again: bool) {
        match event {
            Event::Join { user, info, attributes, away, at } => {
                let member =
                    MemberView { user: user.clone(), info, attributes, away, joined_at: at };
                let known = self.members.insert(user, member);
                assert!(again || known.is_none(), "joined twice");
            }
            Event::Leave { user, .. } | Event::Timeout { user, .. } => {
                let known = self.members.remove(&user);
                assert!(again || known.is_some(), "{user} ended, who was not there");
            }
            Event::UpdateAttributes { user, attributes, info, away, joined_at, .. } => {
                let Some(member) = self.members.get_mut(&user) else {
                    assert!(again, "an update of nobody");
                    return;
                };
                member.attributes = attributes;
                member.info = info.unwrap_or_else(|| member.info.clone());
                member.away = away.unwrap_or(member.away);
                member.joined_at = joined_at.unwrap_or(member.joined_at);
            }
        }
    }
}

/// Puts what a tick told into a ring, as a channel with followers does, and hands it back.
pub(crate) fn keep(ring: &mut Ring, changes: Changes, now: Now) -> std::sync::Arc<Step> {
    let step = Step::new(ring.latest() + 1, changes, now.mono_ms);
    if !step.changes.is_empty() {
        ring.push(std::sync::Arc::clone(&step));
    }
    step
}
