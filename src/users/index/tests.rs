//! Random histories of the index against a simple model of it: who is online, who is away, when each
//! was last seen, and who is forgotten first.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::now::NEVER;

const MOST_GONE: usize = 2;

/// What happens to one of few users. Whatever ends was last heard `heard` of 4 parts into its life.
#[derive(Clone, Debug)]
enum Op {
    Connect,
    Disconnect { which: usize, heard: u64 },
    Appear { channel: usize, away: bool },
    Turn { channel: usize },
    TurnConnection { which: usize },
    Vanish { channel: usize, heard: u64 },
    Beat { lasts_ms: u64, away: Option<bool> },
    StopBeating,
    Touch,
    Ask,
}

/// A user as plainly as it can be said. Times are those of the wall clock.
#[derive(Default)]
struct Known {
    /// Since when, of each, by its number, and whether the user is away from it.
    connections: BTreeMap<u64, (u64, bool)>,
    channels: BTreeMap<usize, (u64, bool)>,
    /// The last heartbeat, when its time is over, and whether the user is away.
    beat: Option<(u64, u64, bool)>,
    /// Whatever showed the user to be there and is no longer.
    seen: Vec<u64>,
    created_at: Option<u64>,
}

impl Known {
    fn is_there(&self) -> bool {
        !self.connections.is_empty() || !self.channels.is_empty()
    }

    fn is_online(&self, now: Now) -> bool {
        self.is_there() || self.beat.is_some_and(|(_, ends_at, _)| ends_at > now.unix_ms)
    }

    /// Whether all that keeps the user there, but for heartbeats, says that it is away.
    fn is_away_there(&self) -> bool {
        self.connections.values().chain(self.channels.values()).all(|(_, away)| *away)
    }

    fn is_away(&self, now: Now) -> bool {
        let beat = self.beat.filter(|(_, ends_at, _)| *ends_at > now.unix_ms);
        let all = self.is_away_there() && beat.is_none_or(|(.., away)| away);
        self.is_online(now) && all
    }

    fn last_seen(&self, now: Now) -> Option<u64> {
        let beat = self.beat.map(|(at, ..)| at);
        if self.is_there() {
            Some(now.unix_ms)
        } else {
            self.seen.iter().copied().chain(beat).max()
        }
    }
}

/// The index, its timers, and the model of it.
struct World {
    now: Now,
    users: Users,
    due: BTreeSet<(u64, UserId)>,
    /// Timers of users who were forgotten meanwhile.
    stale: BTreeSet<(u64, UserId)>,
    known: BTreeMap<UserId, Known>,
    gone: Vec<UserId>,
    next_connection: u64,
}

fn name(number: usize) -> UserId {
    UserId::parse(["ada", "bob", "carol", "dave"][number], "user").unwrap()
}

fn channel(number: usize) -> ChannelName {
    ChannelName::parse(["room", "lobby"][number], "channel").unwrap()
}

impl World {
    fn new() -> Self {
        let now = Now { mono_ms: 0, unix_ms: 1_000 };
        let (due, stale) = (BTreeSet::new(), BTreeSet::new());
        let (known, gone) = (BTreeMap::new(), Vec::new());
        Self {
            now,
            users: Users::new(MOST_GONE, 1_000),
            due,
            stale,
            known,
            gone,
            next_connection: 1,
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
    }

    /// When something that began at `since` was heard last.
    fn heard(&self, since: u64, parts: u64) -> u64 {
        since + (self.now.unix_ms - since) * parts / 4
    }

    fn run(&mut self, user: &UserId, op: &Op) {
        let now = self.now;
        let stands = |world: &Self| {
            let known = world.known.get(user)?;
            known.is_online(now).then(|| known.is_away(now))
        };
        let before = stands(self);
        let Some(news) = self.act(user, op) else { return };
        assert!(news || before == stands(self), "{user} came, went or turned, and nobody says so");
        self.file(user);
    }

    /// Does it to both. The result: what the index says of coming and going, if it was done.
    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    fn act(&mut self, user: &UserId, op: &Op) -> Option<bool> {
        let (now, at) = (self.now, self.now.unix_ms);
        let mut known = self.known.remove(user).unwrap_or_default();
        let news = match *op {
            Op::Connect => {
                let number = self.next_connection;
                self.next_connection += 1;
                // Coming is no word.
                let was_away = known.is_away(now);
                known.connections.insert(number, (at, was_away));
                let Connected { came: news, away, .. } =
                    self.users.connected(user, number, None, now).unwrap();
                assert_eq!(away, was_away);
                Some(news)
            }
            Op::Disconnect { which, heard } => {
                let one = which % known.connections.len().max(1);
                let number = known.connections.keys().nth(one).copied();
                number.map(|number| {
                    let (since, away) = known.connections.remove(&number).unwrap();
                    let last_seen = self.heard(since, heard);
                    known.seen.push(last_seen);
                    known.created_at.get_or_insert(at);
                    self.users.disconnected(user, number, away, last_seen, now)
                })
            }
            Op::Appear { channel: number, away } => {
                let new = !known.channels.contains_key(&number);
                new.then(|| {
                    known.channels.insert(number, (at, away));
                    if away {
                        known.created_at.get_or_insert(at);
                    }
                    self.users.appeared(user, &channel(number), away, now)
                })
            }
            Op::Turn { channel: number } => known.channels.get_mut(&number).map(|(_, away)| {
                *away = !*away;
                known.created_at.get_or_insert(at);
                self.users.turned(user, *away, now)
            }),
            Op::TurnConnection { which } => {
                let one = which % known.connections.len().max(1);
                known.connections.values_mut().nth(one).map(|(_, away)| {
                    *away = !*away;
                    known.created_at.get_or_insert(at);
                    self.users.connection_turned(user, *away, now)
                })
            }
            Op::Vanish { channel: number, heard } => {
                known.channels.remove(&number).map(|(since, away)| {
                    let last_seen = self.heard(since, heard);
                    // As long as there is a connection, that knows better.
                    if known.connections.is_empty() {
                        known.seen.push(last_seen);
                        known.created_at.get_or_insert(at);
                    }
                    self.users.vanished(user, &channel(number), away, last_seen, now)
                })
            }
            Op::Beat { lasts_ms, away } => {
                let before = known.beat.filter(|(_, ends_at, _)| *ends_at > at);
                let is_away = away.or(before.map(|(.., away)| away)).unwrap_or(false);
                let before = known.beat.replace((at, at + lasts_ms, is_away));
                known.seen.extend(before.map(|(at, ..)| at));
                known.created_at.get_or_insert(at);
                Some(self.beat(user, lasts_ms, away))
            }
            Op::StopBeating => {
                let beat = known.beat.take();
                known.seen.extend(beat.map(|(at, ..)| at));
                let news = self.users.stop_beating(user, now);
                assert_eq!(news, beat.is_some() && known.is_away_there());
                beat.map(|_| news)
            }
            Op::Touch => {
                known.created_at.get_or_insert(at);
                Some(self.users.record(user, now, |_, kept| {
                    assert_eq!(kept != Kept::Not, known.is_there());
                }))
            }
            Op::Ask => {
                if known.is_there() {
                    known.created_at.get_or_insert(at);
                }
                let status = self.users.status(user, View::Itself, now);
                assert_eq!(status.is_some(), known.created_at.is_some());
                None
            }
        };
        if known.is_there() || known.created_at.is_some() {
            self.known.insert(user.clone(), known);
        }
        news
    }

    fn beat(&mut self, user: &UserId, lasts_ms: u64, away: Option<bool>) -> bool {
        let now = self.now;
        let news = self.users.record(user, now, |record, _| record.beat(lasts_ms, away, now));
        if let Some((before_ms, due_ms)) = self.users.arm(user) {
            self.due.remove(&(before_ms, user.clone()));
            self.stale.remove(&(due_ms, user.clone()));
            self.due.insert((due_ms, user.clone()));
        }
        news
    }

    /// The timers look at what is due, as late as they please.
    fn fire(&mut self) {
        while let Some((due_ms, user)) = self.due.first().cloned() {
            if due_ms > self.now.mono_ms {
                return;
            }
            self.due.pop_first();
            let (went, next_ms) = self.users.expire_beat(&user, due_ms, self.now);
            if self.stale.remove(&(due_ms, user.clone())) {
                assert_eq!((went, next_ms), (false, None), "{user} had another timer");
                continue;
            }
            self.due.extend(next_ms.map(|next_ms| (next_ms, user.clone())));
            let Some(known) = self.known.get_mut(&user) else { continue };
            let over = known.beat.take_if(|(_, ends_at, _)| *ends_at <= self.now.unix_ms);
            known.seen.extend(over.map(|(at, ..)| at));
            assert_eq!(went, over.is_some() && known.is_away_there(), "{user}");
            self.file(&user);
        }
    }

    /// Puts the user among those who are gone, or takes it out.
    fn file(&mut self, user: &UserId) {
        let Some(known) = self.known.get(user) else { return };
        if known.is_online(self.now) {
            self.gone.retain(|gone| gone != user);
        } else if !self.gone.contains(user) {
            self.gone.push(user.clone());
        }
        if self.gone.len() > MOST_GONE {
            let forgotten = self.gone.remove(0);
            self.known.remove(&forgotten);
            self.stale.extend(self.due.iter().filter(|(_, user)| *user == forgotten).cloned());
        }
    }

    fn check(&self) {
        let counted = (self.users.known(), self.users.gone());
        assert_eq!(counted, (self.known.len(), self.gone.len()));
        for user in (0..4).map(name) {
            let connections: BTreeSet<_> =
                self.users.connections_after(&user, None, usize::MAX).into_iter().collect();
            let Some(known) = self.known.get(&user) else {
                assert!(connections.is_empty(), "{user}");
                assert!(self.users.status(&user, View::Itself, self.now).is_none(), "{user}");
                continue;
            };
            assert_eq!(self.users.is_online(&user, self.now), known.is_online(self.now), "{user}");
            let channels: BTreeSet<_> = self.users.channels_of(&user).into_iter().collect();
            assert_eq!(channels, known.channels.keys().map(|&number| channel(number)).collect());
            assert!(connections.iter().eq(known.connections.keys()), "{user}: {connections:?}");
            if let Some((_, ends_at, _)) = known.beat {
                let ends_ms = ends_at - (self.now.unix_ms - self.now.mono_ms);
                let timer = |(due_ms, who): &(u64, UserId)| *who == user && *due_ms <= ends_ms;
                assert!(self.due.iter().any(timer), "nobody looks at the heartbeat of {user}");
            }
            // To ask about whoever has no record would make one.
            let kept = self.users.with_record(&user, |_, _| ()).is_some();
            assert_eq!(kept, known.created_at.is_some(), "{user} costs a record, or has lost it");
            if kept {
                let status = self.users.status(&user, View::Itself, self.now).unwrap();
                assert_eq!(status.online, known.is_online(self.now), "{user}");
                assert_eq!(status.away, known.is_away(self.now), "{user}");
                assert_eq!(status.last_seen, known.last_seen(self.now), "{user}");
                assert_eq!(status.created_at, known.created_at, "{user}");
            }
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    let heard = 0..=4_u64;
    prop_oneof![
        4 => Just(Op::Connect),
        4 => (0..9_usize, heard.clone())
            .prop_map(|(which, heard)| Op::Disconnect { which, heard }),
        3 => (0..2_usize, any::<bool>()).prop_map(|(channel, away)| Op::Appear { channel, away }),
        3 => (0..2_usize).prop_map(|channel| Op::Turn { channel }),
        3 => (0..9_usize).prop_map(|which| Op::TurnConnection { which }),
        3 => (0..2_usize, heard).prop_map(|(channel, heard)| Op::Vanish { channel, heard }),
        3 => (prop_oneof![1..60_u64, 1..1_000_u64], any::<Option<bool>>())
            .prop_map(|(lasts_ms, away)| Op::Beat { lasts_ms, away }),
        2 => Just(Op::StopBeating),
        1 => Just(Op::Touch),
        1 => Just(Op::Ask),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_index_is_what_the_model_is(
        steps in prop::collection::vec((0..4_usize, op(), 0..20_u64, any::<bool>()), 1..60),
    ) {
        let mut world = World::new();
        for (number, op, ms, fires) in &steps {
            world.pass(*ms);
            if *fires {
                world.fire();
                world.check();
            }
            world.run(&name(*number), op);
            world.check();
        }
    }
}

/// Random histories hardly come here: forgotten while a timer runs, and back before it fires.
#[test]
fn the_timer_of_whoever_was_forgotten_does_nothing() {
    let at = |ms| Now { mono_ms: ms, unix_ms: 1_000 + ms };
    let users = Users::new(1, 1_000);
    let (ada, bob) = (name(0), name(1));
    let beat = |ms| {
        users.record(&ada, at(ms), |record, _| record.beat(100, None, at(ms)));
        users.arm(&ada)
    };
    assert_eq!(beat(0), Some((NEVER, 100)));
    users.stop_beating(&ada, at(0));
    users.record(&bob, at(0), |_, _| {});
    assert!(users.status(&ada, View::Itself, at(0)).is_none(), "bob went later");
    assert_eq!(beat(50), Some((NEVER, 150)));
    assert_eq!(users.expire_beat(&ada, 100, at(100)), (false, None), "it has another timer");
    assert_eq!(users.expire_beat(&ada, 150, at(150)), (true, None));
}
