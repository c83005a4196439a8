use std::collections::{BTreeMap, BTreeSet};

use herenow_protocol::{AttributeMap, Attributes, Audience, LossReason, Role};
use proptest::prelude::*;

use super::super::gather::Gathering;
use super::*;
use crate::limits::POLL_MESSAGES;
use crate::presence::Profile;

fn user(name: &str) -> UserId {
    UserId::parse(name, "user").unwrap()
}

/// A member whose mood says how it is, seen by everyone or by those of one role.
fn member(name: &str, mood: u64, hidden: bool) -> Arc<Member> {
    let mut map = AttributeMap::new();
    map.insert("mood".into(), mood.into());
    let profile = hidden.then(|| {
        let visible_to = Audience::parse(["team:a"]).unwrap();
        Arc::new(Profile { info: Attributes::EMPTY, visible_to })
    });
    let (user, attributes) = (user(name), Attributes::from_map(&map));
    Arc::new(Member { user, attributes, away: false, joined_at: 0, number: 1, profile })
}

fn at(ms: u64) -> Now {
    Now { mono_ms: ms, unix_ms: ms }
}

/// What a listener makes of what it is told: who is there, with which mood if it was told.
type View = BTreeMap<UserId, Option<Attributes>>;

/// A channel and its whole history, of which the ring keeps some.
struct Modelled {
    ring: Ring,
    members: BTreeMap<String, Arc<Member>>,
    history: Vec<Arc<Kept>>,
}

impl Modelled {
    fn new() -> Self {
        Self { ring: Ring::new(0), members: BTreeMap::new(), history: Vec::new() }
    }

    /// The user is this now, and a tick tells it.
    fn set(&mut self, name: &str, now: Option<Arc<Member>>, ms: u64, stamp: &mut u64) {
        let before = self.members.get(name).cloned();
        self.miss(name, now.clone());
        let cause = match now {
            Some(_) => Cause::Own,
            None if ms.is_multiple_of(2) => Cause::Lost(LossReason::Lease, ms),
            None => Cause::Left(LeaveReason::Left),
        };
        let changed = Changed::new(user(name), before, now, cause, ms);
        self.ring.step(&[changed], 0, at(ms), || next(stamp));
        self.remember();
    }

    /// The user is this now, and no tick tells it: a snapshot follows.
    fn miss(&mut self, name: &str, now: Option<Arc<Member>>) {
        match now {
            Some(member) => drop(self.members.insert(name.into(), member)),
            None => drop(self.members.remove(name)),
        }
    }

    fn anew(&mut self, ms: u64, stamp: &mut u64) {
        let members = self.members.values().cloned().collect();
        self.ring.anew(members, 0, at(ms), || next(stamp));
        self.remember();
    }

    fn remember(&mut self) {
        let last = self.history.last().map_or(0, |kept| kept.stamp);
        let new = self.ring.events.iter().filter(|kept| kept.stamp > last);
        self.history.extend(new.cloned());
    }

    fn seen(&self, viewer: Viewer<'_>) -> BTreeSet<UserId> {
        let seen = self.members.values().filter(|member| viewer.sees(member));
        seen.map(|member| member.user.clone()).collect()
    }
}

fn next(stamp: &mut u64) -> u64 {
    *stamp += 1;
    *stamp
}

/// Somebody who polls, from a moment at which it knew who was there.
struct Poller {
    roles: Vec<Role>,
    name: UserId,
    since: u64,
    views: Vec<View>,
    /// Stamps of the events that it was told since it last lacked some, and where that began.
    told: Vec<u64>,
    from: u64,
    most: usize,
}

impl Poller {
    fn new(insider: bool, most: usize, channels: usize) -> Self {
        let roles = if insider { vec![Role::parse("team:a", "role").unwrap()] } else { Vec::new() };
        let views = vec![View::new(); channels];
        let name = user("poller");
        Self { roles, name, since: 0, views, told: Vec::new(), from: 0, most }
    }

    /// Polls once; whether it was told something.
    fn poll(&mut self, channels: &[Modelled], last: u64) -> bool {
        let viewer = Viewer::User { user: &self.name, roles: &self.roles };
        let mut gathering = Gathering::new(self.since, last, self.most, false);
        channels.iter().for_each(|channel| gathering.add(&channel.ring, viewer));
        let gathered = gathering.finish();
        assert!(gathered.events.len() <= self.most);
        for (place, kept) in &gathered.events {
            let changed = kept.changed.as_ref().unwrap();
            let known = self.views[*place].contains_key(changed.user());
            let is_join = kept.action(viewer) == Some(Action::Join);
            assert_eq!(known, !is_join, "nobody joins twice or leaves twice");
            match (kept.action(viewer), changed.now()) {
                (Some(Action::Leave | Action::Timeout), _) => {
                    self.views[*place].remove(changed.user());
                }
                (Some(_), Some(now)) => {
                    let attributes = Some(now.attributes.clone());
                    self.views[*place].insert(now.user.clone(), attributes);
                }
                told => panic!("{told:?}"),
            }
            self.told.push(kept.stamp);
        }
        for &place in &gathered.repairs {
            let repair = channels[place].ring.repair(self.since, last, viewer);
            let gone: BTreeSet<_> = repair.leave.iter().chain(&repair.timeout).collect();
            assert!(repair.join.iter().all(|user| !gone.contains(user)), "nobody is in both");
            for user in &repair.join {
                self.views[place].insert(user.clone(), None);
            }
            gone.into_iter().for_each(|user| drop(self.views[place].remove(user)));
            // Names alone are told.
            self.views[place].values_mut().for_each(|attributes| *attributes = None);
        }
        if !gathered.repairs.is_empty() {
            (self.told, self.from) = (Vec::new(), gathered.until);
        }
        assert!(gathered.until >= self.since, "it never goes back");
        self.since = gathered.until;
        !gathered.events.is_empty() || !gathered.repairs.is_empty()
    }

    /// Once it has polled for all there is, it knows exactly who is there, and was told each event
    /// once and in order.
    fn check(&self, channels: &[Modelled]) {
        let viewer = Viewer::User { user: &self.name, roles: &self.roles };
        let mut all: Vec<u64> = Vec::new();
        for (channel, view) in channels.iter().zip(&self.views) {
            assert_eq!(view.keys().cloned().collect::<BTreeSet<_>>(), channel.seen(viewer));
            for (user, attributes) in view {
                let now = &channel.members[user.as_str()].attributes;
                assert!(attributes.as_ref().is_none_or(|told| told == now), "{user}");
            }
            let visible = channel.history.iter().filter(|kept| kept.action(viewer).is_some());
            all.extend(visible.map(|kept| kept.stamp).filter(|&stamp| stamp > self.from));
        }
        all.sort_unstable();
        assert_eq!(self.told, all, "each event once and in order");
    }
}

#[derive(Clone, Debug)]
enum Act {
    Set { channel: usize, user: usize, mood: u64, hidden: bool },
    Leave { channel: usize, user: usize },
    Later(u64),
    Poll(usize),
    Clear(usize),
    Missed { channel: usize, user: usize, mood: Option<u64> },
}

fn act() -> impl Strategy<Value = Act> {
    let set = (0..2usize, 0..5usize, 0..3u64, prop::bool::weighted(0.3));
    prop_oneof![
        6 => set.prop_map(|(channel, user, mood, hidden)| Act::Set { channel, user, mood, hidden }),
        3 => (0..2usize, 0..5usize).prop_map(|(channel, user)| Act::Leave { channel, user }),
        1 => (1..90_000u64).prop_map(Act::Later),
        4 => (0..4usize).prop_map(Act::Poll),
        1 => (0..2usize).prop_map(Act::Clear),
        1 => (0..2usize, 0..5usize, prop::option::of(0..3u64))
            .prop_map(|(channel, user, mood)| Act::Missed { channel, user, mood }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Two channels; four who poll at whatever moments, with and without a role, three events at a
    /// time or many. A ring that is emptied at any moment, or a tick that was missed, costs events,
    /// and never the truth.
    #[test]
    fn whoever_polls_whenever_is_told_each_event_once_and_in_order(
        acts in prop::collection::vec(act(), 0..120),
    ) {
        let names = ["ada", "bob", "eve", "kim", "poller"];
        let mut channels = [Modelled::new(), Modelled::new()];
        let mut pollers = [(false, 3), (true, 3), (false, POLL_MESSAGES), (true, 2)]
            .map(|(insider, most)| Poller::new(insider, most, 2));
        let (mut stamp, mut ms) = (0, 0);
        for act in acts {
            match act {
                Act::Set { channel, user, mood, hidden } => {
                    let now = Some(member(names[user], mood, hidden));
                    channels[channel].set(names[user], now, ms, &mut stamp);
                }
                Act::Leave { channel, user } => {
                    channels[channel].set(names[user], None, ms, &mut stamp);
                }
                Act::Later(by_ms) => ms += by_ms,
                Act::Poll(poller) => drop(pollers[poller].poll(&channels, stamp)),
                Act::Clear(channel) => channels[channel].ring.clear(),
                Act::Missed { channel, user, mood } => {
                    let now = mood.map(|mood| member(names[user], mood, false));
                    channels[channel].miss(names[user], now);
                    channels[channel].anew(ms, &mut stamp);
                }
            }
        }
        for poller in &mut pollers {
            while poller.poll(&channels, stamp) {}
            poller.check(&channels);
        }
    }
}
