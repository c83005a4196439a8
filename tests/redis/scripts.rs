//! The scripts inside a real Redis do what the store's twin in Rust does, on which the simulator
//! runs: the same random says, burials and renewals on both, and all answers, all that is published
//! and all loads are equal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use herenow::chance::Chance;
use herenow::clock::Clock;
use herenow::cluster::name::{Group, Names};
use herenow::cluster::nodes::burial::Claimed;
use herenow::cluster::wire::told;
use herenow::cluster::{
    Base, Inbox, LeaseSay, Load, MarkSay, NodeInfo, Place, Renew, Said, Say, Stamp, Summary, Told,
    UserSay, Written,
};
use herenow::limits::STATUS_KEPT_MS;
use herenow::metrics::RedisMetrics;
use herenow::presence::pending::Cause;
use herenow::presence::{Keeper, NodeId};
use herenow::redis::line::{Failed, Line};
use herenow::redis::{Wire, store::Store};
use herenow_protocol::{Attributes, Audience, ChannelName, LeaveReason, LossReason, UserId};
use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::server::Redis;
use super::store::Store as Twin;
use super::users::address;

/// The name that the twin's data have.
const ERA: u64 = 7;

/// How long a claim lasts: longer than the test.
const CLAIM_MS: u64 = 3_600_000;

/// Both stores, and what each tells.
struct Both {
    redis: Redis,
    real: Store,
    twin: Twin,
    metrics: Arc<RedisMetrics>,
    published: Receiver<PushInfo>,
    /// Of each group, and of what is known of nodes, since the last loss.
    eras: BTreeMap<Option<Group>, u64>,
    rng: Rng,
}

impl Both {
    /// Above `roster` members of a channel they are counted.
    async fn start(seed: u64, roster: usize) -> Self {
        let redis = Redis::start();
        let names = Names::new("herenow").unwrap();
        let (chance, metrics) = (Arc::new(Chance::from_seed(seed)), Arc::<RedisMetrics>::default());
        let address = address(&redis);
        let line =
            Line::new(address.clone(), Clock::start(), Arc::clone(&chance), Arc::clone(&metrics));
        let line = Arc::new(line);
        let kept = Arc::clone(&line);
        tokio::spawn(async move { kept.keep().await });
        line.joined().wait_for(Option::is_some).await.unwrap();
        let (sender, published) = tokio::sync::mpsc::channel(10_000);
        let heard = move |push: PushInfo| sender.try_send(push).map_err(|_| ());
        let mut wire = Wire::connect(&address, Some(heard)).await.unwrap();
        let topics = channels().map(|channel| names.topic(&channel));
        let topics = topics.chain(channels().map(|channel| names.summary(&channel)));
        let topics: Vec<_> = topics.chain(nodes().map(|node| names.inbox(node))).collect();
        wire.subscribe(&topics, false).await.unwrap();
        // It hears as long as it lives.
        tokio::spawn(async move {
            let _wire = wire;
            std::future::pending::<()>().await;
        });
        let real =
            Store::new(names, line, false, Box::new(move |_| roster), chance, Arc::clone(&metrics));
        let (twin, rng) = (Twin::new(ERA).with_roster(roster), Rng::with_seed(seed));
        Self { redis, real, twin, metrics, published, eras: BTreeMap::new(), rng }
    }

    /// What is told names the era of its group, which is always the same.
    fn era(&mut self, group: Option<Group>, era: u64) -> u64 {
        let known = *self.eras.entry(group).or_insert(era);
        assert_eq!(era, known, "the era of {group:?}");
        ERA
    }

    fn same_era(&mut self, channel: &ChannelName, mut told: Told) -> Told {
        told.era = self.era(Some(Group::of(channel)), told.era);
        told
    }

    /// The next message, which must be a topic of ours.
    async fn next(&mut self) -> (String, String) {
        loop {
            let push = timeout(Duration::from_secs(10), self.published.recv()).await;
            let PushInfo { kind, data } = push.expect("a message is missing").unwrap();
            if let (PushKind::Message, [Value::BulkString(topic), Value::BulkString(text)]) =
                (kind, &data[..])
            {
                let word = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
                return (word(topic), word(text));
            }
        }
    }

    fn same_era_of(&mut self, channel: &ChannelName, mut summary: Summary) -> Summary {
        summary.era = self.era(Some(Group::of(channel)), summary.era);
        summary
    }

    /// That the summary was published, if it is one.
    async fn summed(&mut self, channel: &ChannelName, wanted: Option<Summary>) {
        let Some(wanted) = wanted else { return };
        let (topic, text) = self.next().await;
        assert_eq!(self.real.names().channel_of_summary(&topic).as_ref(), Some(channel));
        let read = told::summary(&text).unwrap();
        assert_eq!(read.first, None, "{text}");
        let summary = self.same_era_of(channel, read.value.summary.unwrap());
        assert_eq!(summary, wanted);
    }

    /// Whoever owes a summary asks, or follows one.
    async fn ask_summary(&mut self, channel: &ChannelName) {
        let known = self.load(channel).await.version * self.rng.u64(..2);
        let mut real = self.real.summary(channel, Some(known)).await.unwrap();
        if let Some(summary) = real.summary.take() {
            let summary = self.same_era_of(channel, summary);
            self.twin.begins_with(summary.version);
            real.summary = Some(summary);
        }
        let (twin, published) = self.twin.summary(channel, known, real.now);
        assert_eq!(real, twin);
        self.summed(channel, published).await;
    }

    async fn published(&mut self, channel: &ChannelName, wanted: Option<Told>, inbox: Vec<Inbox>) {
        if let Some(wanted) = wanted {
            let (topic, text) = self.next().await;
            assert_eq!(self.real.names().channel_of_topic(&topic).as_ref(), Some(channel));
            let told = told::told(&text).unwrap();
            assert_eq!(told.first, None, "{text}");
            assert_eq!(self.same_era(channel, told.value), wanted);
        }
        let mut letters = Vec::new();
        for _ in &inbox {
            let (topic, text) = self.next().await;
            let node = topic.strip_prefix(&self.real.names().inboxes()).unwrap();
            let read = told::inbox(NodeId::parse(node).unwrap(), &text).unwrap();
            assert_eq!(read.first, None, "{text}");
            let mut letter = read.value;
            letter.told = self.same_era(channel, letter.told);
            letters.push(letter);
        }
        letters.sort_by_key(|letter| letter.node);
        assert_eq!(letters, inbox);
    }

    /// That nothing more was published.
    async fn silence(&mut self) {
        let topic = self.real.names().inbox(node(0));
        self.redis.ask(&format!("PUBLISH {topic} over"));
        assert_eq!(self.next().await, (topic, "over".to_owned()));
    }

    async fn say(&mut self, channel: &ChannelName, say: &Say) {
        let answer = self.real.say(channel, say).await.unwrap();
        let answer = self.same_era(channel, answer);
        self.twin.begins_with(answer.version - u64::from(answer.changed));
        let done = self.twin.say(channel, say, answer.now);
        assert_eq!(answer, done.answer, "to {say:#?}");
        self.summed(channel, done.summary).await;
        self.published(channel, done.published, done.inbox).await;
        if (1..1_000).contains(&say.keep_ms) {
            // Now it is over, or will not be for long.
            tokio::time::sleep(Duration::from_millis(say.keep_ms + 10)).await;
        }
    }

    async fn bury(&mut self, channel: &ChannelName, dead: NodeId, by: NodeId) {
        let why = cause(&mut self.rng).unwrap_or(Cause::Lost(LossReason::Connection, 5));
        let now = self.load(channel).await.now;
        let mut users: Vec<_> = USERS.into_iter().map(user).collect();
        users.sort();
        let mut real = self.real.bury(channel, (dead, by), why, &users).await.unwrap();
        real.told = self.same_era(channel, real.told);
        let keep_ms = if channel.is_status() { STATUS_KEPT_MS } else { 0 };
        assert!(real.told.now >= now);
        self.twin.begins_with(real.told.version);
        let (twin, summary) = self.twin.bury(channel, (dead, by), why, keep_ms, real.told.now);
        assert_eq!(real, twin, "of {dead}");
        self.summed(channel, summary).await;
        let told = Told { owes_ms: None, ..twin.told };
        let told = told.changed.then_some(told);
        let letter =
            |told: &Told| Inbox { node: dead, channel: channel.clone(), told: told.clone() };
        let inbox = told.iter().map(letter).collect();
        self.published(channel, told, inbox).await;
    }

    async fn load(&mut self, channel: &ChannelName) -> Load {
        let mut load = self.real.load(channel).await.unwrap();
        load.era = self.era(Some(Group::of(channel)), load.era);
        let mut cursor = 0;
        loop {
            let page = self.real.page(channel, cursor).await.unwrap();
            load.records.extend(page.items);
            cursor = page.next;
            if cursor == 0 {
                break;
            }
        }
        load.records.sort_by(|(one, _), (other, _)| one.cmp(other));
        assert_eq!(load, self.twin.load(channel, load.now));
        load
    }

    async fn renew(&mut self) {
        let known = self.eras.get(&None).copied();
        let (era, twins) = match self.rng.u8(..8) {
            0 => (None, None),
            1 => (Some(9), Some(9)),
            _ => (known, known.map(|_| ERA)),
        };
        let mut renew = Renew {
            node: node(self.rng.u64(0..4)),
            timeout_ms: 200,
            era,
            info: NodeInfo {
                name: format!("web \"{}\" ä{{}}", self.rng.u8(..3)),
                version: "0.1.0".to_owned(),
                draining: self.rng.bool(),
                sends: self.rng.bool(),
                said: (0..self.rng.u8(..3)).map(|group| (group, self.rng.u64(..))).collect(),
            },
            counts: (self.rng.u64(..), 5),
            since: 0,
        };
        let mut real = self.real.renew(&renew).await.unwrap();
        if self.rng.bool() {
            // Once more, and only what changed since.
            renew.since = real.now + u64::from(self.rng.bool());
            let first = std::mem::replace(&mut real, self.real.renew(&renew).await.unwrap());
            let since = std::mem::take(&mut renew.since);
            let twin = self.twin.renew(&Renew { era: twins, ..renew.clone() }, first.now);
            assert_eq!((first.alive, first.nodes), (twin.alive, twin.nodes));
            renew.since = since;
        }
        real.era = self.era(None, real.era);
        let twin = self.twin.renew(&Renew { era: twins, ..renew.clone() }, real.now);
        assert_eq!(real, twin, "{renew:?}");
    }

    async fn claim(&mut self, channel: &ChannelName) {
        let (dead, by) = (node(self.rng.u64(0..4)), node(self.rng.u64(0..4)));
        // No answer tells what the clock shows; claims outlast the test.
        let before = self.load(channel).await.now;
        let real = self.real.claim(dead, by, CLAIM_MS).await.unwrap();
        let took_ms = self.load(channel).await.now - before;
        match (real, self.twin.claim((dead, by), CLAIM_MS, before)) {
            (Claimed::Others { left_ms }, Claimed::Others { .. }) => {
                assert!((1..=CLAIM_MS).contains(&left_ms), "{left_ms}");
            }
            (Claimed::Mine { runs_ms: real }, Claimed::Mine { runs_ms: twin }) => {
                assert!((twin.saturating_sub(took_ms)..=twin).contains(&real), "{real} of {twin}");
            }
            (real, twin) => assert_eq!(real, twin),
        }
        if self.rng.u8(..4) == 0 {
            self.real.forget(dead).await.unwrap();
            self.twin.forget(dead);
        }
    }

    async fn step(&mut self) {
        let channel = self.rng.choice(channels().collect::<Vec<_>>()).unwrap();
        match self.rng.u16(..1_000) {
            0..700 => {
                let say = say(&mut self.rng, &channel);
                self.say(&channel, &say).await;
            }
            700..800 => {
                let (dead, by) = (node(self.rng.u64(0..4)), node(self.rng.u64(0..4)));
                self.bury(&channel, dead, by).await;
            }
            800..900 => drop(self.load(&channel).await),
            900..960 => self.renew().await,
            960..975 => self.claim(&channel).await,
            975..980 => self.ask_summary(&channel).await,
            980..985 => {
                // What a stranger does to the index heals.
                let key = self.real.names().shown(&channel);
                let key = format!("\"{}\"", key.replace('"', "\\\""));
                self.redis.ask(&format!("DEL {key}"));
                if self.rng.bool() {
                    self.redis.ask(&format!("SET {key} stranger"));
                }
            }
            985..995 => tokio::time::sleep(Duration::from_millis(self.rng.u64(..150))).await,
            _ => {
                self.redis.ask("FLUSHALL");
                self.twin.lose_everything(ERA);
                let before = std::mem::take(&mut self.eras);
                for (group, era) in before {
                    if let Some(group) = group {
                        let now = self.real.era(group).await.unwrap();
                        assert_ne!(now, era, "the data of {group} are others");
                        self.eras.insert(Some(group), now);
                    }
                }
            }
        }
    }
}

const USERS: [&str; 5] = ["ada", "bob \"q\" \\", "c{y}d/é\u{2028}", "1", "$"];

fn user(name: &str) -> UserId {
    UserId::parse(name, "user").unwrap_or_else(|_| UserId::parse("e", "user").unwrap())
}

fn node(number: u64) -> NodeId {
    NodeId::new(number * 0x1234_5678_9abc)
}

fn nodes() -> impl Iterator<Item = NodeId> {
    (0..4).map(node)
}

fn channels() -> impl Iterator<Item = ChannelName> {
    let rooms = ["room", "a {room}: \"1\"/é", "$presences"];
    let rooms = rooms.into_iter().map(|name| ChannelName::parse(name, "channel").unwrap());
    rooms.chain(["ada", "1"].map(|name| ChannelName::of_shown_status(&user(name))))
}

fn cause(rng: &mut Rng) -> Option<Cause> {
    Some(match rng.u8(..6) {
        0 => Cause::Left(rng.choice(LeaveReason::ALL).unwrap()),
        1 | 2 => Cause::Lost(rng.choice(LossReason::ALL).unwrap(), rng.u64(..1_000)),
        3 => Cause::Own,
        4 => Cause::Expired,
        _ => return None,
    })
}

fn said<T>(rng: &mut Rng, value: T) -> Said<T> {
    let base = match rng.u8(..3) {
        0 => Base::Over,
        1 => Base::IfNone,
        _ => Base::At(Stamp { counter: rng.u64(1..5), node: node(rng.u64(0..4)) }),
    };
    Said { base, value }
}

fn attributes(rng: &mut Rng) -> Attributes {
    let values = [
        serde_json::json!({}),
        serde_json::json!({ "a/b": "\\\"é\u{2028}\u{1f600}", "": [], "o": {} }),
        serde_json::json!({ "n": [u64::MAX, i64::MIN, 1.5e300, 0.1, -0.0], "1": 9_007_199_254_740_993_u64 }),
        serde_json::json!({ "deep": [[[[[[[[[[null]]]]]]]]]] }),
    ];
    Attributes::from_map(rng.choice(values).unwrap().as_object().unwrap())
}

fn time(rng: &mut Rng) -> u64 {
    rng.choice([0, 5, 500, 1_500, 40_000, 86_400_000]).unwrap()
}

fn say(rng: &mut Rng, channel: &ChannelName) -> Say {
    let mut users: Vec<_> = match channel.status_of() {
        Some(user) => vec![user],
        None => USERS.into_iter().map(user).filter(|_| rng.u8(..3) == 0).collect(),
    };
    if users.is_empty() {
        users.push(user("ada"));
    }
    let keep_ms = match rng.u8(..8) {
        _ if !channel.is_status() => 0,
        0 => 5,
        _ => STATUS_KEPT_MS,
    };
    let node = node(rng.u64(0..4));
    Say { node, users: users.into_iter().map(|user| user_say(rng, user)).collect(), keep_ms }
}

fn user_say(rng: &mut Rng, user: UserId) -> UserSay {
    let mark = match rng.u8(..4) {
        0 => None,
        1 => Some(MarkSay::Lost {
            for_ms: time(rng),
            away: rng.bool(),
            reason: rng.choice(LossReason::ALL).unwrap(),
            last_seen: rng.u64(..2),
        }),
        _ => Some(MarkSay::Live { connections: rng.u32(1..3), away: rng.bool() }),
    };
    let keepers = [Keeper::Herenow, Keeper::Vendor(0), Keeper::Vendor(255)];
    let keepers: Vec<_> = keepers.into_iter().filter(|_| rng.u8(..5) == 0).collect();
    let lease = |rng: &mut Rng| match rng.u8(..4) {
        0 => LeaseSay::RanOut,
        1 => LeaseSay::End,
        _ => LeaseSay::Take { for_ms: time(rng), away: rng.bool(), again: rng.bool() },
    };
    let ends = |rng: &mut Rng| {
        let keys = ["", "1", "a/b", "deep"].into_iter().filter(|_| rng.u8(..4) == 0);
        keys.map(Box::from).collect::<Vec<Box<str>>>()
    };
    let audiences = [&["any"][..], &[], &["team:é", "user:ada"]];
    let audience = Audience::parse(rng.choice(audiences).unwrap().iter().copied()).unwrap();
    let attributes_said = rng.bool().then(|| {
        let ends = ends(rng).into_iter().map(|key| (key, time(rng))).collect();
        let value = Written { attributes: attributes(rng), ends };
        said(rng, value)
    });
    let info_said = (rng.u8(..4) == 0).then(|| {
        let info = attributes(rng);
        said(rng, info)
    });
    // Some so that others have them.
    let number = match rng.u8(..8) {
        0 => rng.u64(1..1 << 52),
        1 => rng.u64(1..4),
        _ => 0,
    };
    let place = Place { joined_at: rng.u64(..2_000_000_000_000), number };
    UserSay {
        user,
        mark,
        leases: keepers.into_iter().map(|keeper| (keeper, lease(rng))).collect(),
        attributes: attributes_said,
        info: info_said,
        audience: (rng.u8(..3) == 0).then(|| said(rng, audience)),
        place: if rng.u8(..4) == 0 {
            said(rng, place)
        } else {
            Said { base: Base::IfNone, value: place }
        },
        fresh: rng.u8(..3) == 0,
        ends_grace: rng.u8(..8) == 0,
        why: cause(rng),
    }
}

#[tokio::test]
async fn redis_does_what_the_simulated_store_does() {
    for (seed, roster) in (0..).zip([1_000, 2, 0]) {
        let mut both = Both::start(seed, roster).await;
        for step in 0..1_500 {
            both.step().await;
            if step % 100 == 99 {
                both.silence().await;
            }
        }
        for channel in channels() {
            both.load(&channel).await;
        }
        assert_eq!(both.metrics.strange.get(), 0);
    }
}

/// A channel that grows to a giant and shrinks again.
#[tokio::test]
async fn of_a_giant_the_count_and_the_newest_are_told_once_a_second_at_most() {
    let mut both = Both::start(7, 300).await;
    let room = ChannelName::parse("room", "channel").unwrap();
    let users: Vec<_> = (0..500).map(|n| user(&format!("user-{n}"))).collect();
    let mut told = Vec::new();
    for (round, leaves) in [(0, 0), (1, 2), (2, 8), (3, 9)] {
        for some in users.chunks(100) {
            let mut say = Say { node: node(round % 2), users: Vec::new(), keep_ms: 0 };
            for user in some {
                let mut said = user_say(&mut both.rng, user.clone());
                (said.mark, said.leases) = (None, Vec::new());
                if both.rng.u8(..9) >= leaves {
                    said.mark = Some(MarkSay::Live { connections: 1, away: false });
                }
                let text = "x".repeat(both.rng.usize(..600));
                let attributes = serde_json::json!({ "text": text });
                let attributes = Attributes::from_map(attributes.as_object().unwrap());
                let value = Written { attributes, ends: Vec::new() };
                said.attributes = Some(Said { base: Base::Over, value });
                said.audience = (both.rng.u8(..20) == 0).then(|| {
                    let audience = Audience::parse(["red"]).unwrap();
                    Said { base: Base::Over, value: audience }
                });
                say.users.push(said);
            }
            both.say(&room, &say).await;
            let mut gone = say.clone();
            gone.node = node((round + 1) % 2);
            gone.users.iter_mut().for_each(|user| user.mark = None);
            both.say(&room, &gone).await;
            told.push(both.load(&room).await.counted);
        }
        tokio::time::sleep(Duration::from_millis(1_010)).await;
        both.ask_summary(&room).await;
        both.ask_summary(&room).await;
    }
    assert!(told.contains(&true) && !told[0] && !told[19], "{told:?}");
    both.silence().await;
}

#[tokio::test]
async fn the_index_names_the_channels_that_have_a_member() {
    let mut both = Both::start(99, 1_000).await;
    for _ in 0..300 {
        let channel = both.rng.choice(channels().collect::<Vec<_>>()).unwrap();
        let say = say(&mut both.rng, &channel);
        both.say(&channel, &say).await;
        for channel in channels().filter(|channel| !channel.as_str().starts_with('$')) {
            let listed = both.real.channels(Group::of(&channel), "", None, 10).await.unwrap();
            let is_there = both.twin.channels().any(|there| *there == channel);
            assert_eq!(listed.contains(&channel), is_there, "{channel}");
        }
    }
}

/// What was refused, which names the key.
fn refused<T: std::fmt::Debug>(answer: Result<T, Failed>, key: &str) {
    match answer {
        Err(Failed::Refused(why)) => assert!(why.contains(key), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_strangers_wrote_under_our_keys_is_named_and_stops_nobody_else() {
    let mut both = Both::start(5, 1_000).await;
    let room = ChannelName::parse("room", "channel").unwrap();
    let names = both.real.names().clone();
    let users = [user("ada"), user("bob")];
    let mut live = say(&mut both.rng, &room);
    live.users = users.clone().map(|user| user_say(&mut both.rng, user)).into();
    for said in &mut live.users {
        said.mark = Some(MarkSay::Live { connections: 1, away: false });
    }
    // A record that is none, of whatever shape, is no member; said anew it is one.
    for shape in [
        "?",
        "5",
        "null",
        "[]",
        "{}",
        "[[[[",
        "{\"m\":5,\"l\":7,\"a\":3}",
        "\"\"",
        "{\"m\":{\"000000000001\":{\"u\":\"x\"}},\"l\":{\"h\":4}}",
        "{\"v\":{},\"p\":{\"t\":{}},\"m\":{\"x\":[]},\"l\":{\"h\":{}},\"a\":{\"c\":\"x\",\"n\":[]}}",
        "{\"x\":{},\"s\":7,\"i\":[],\"p\":8}",
        "{\"p\":{\"c\":-1e300,\"n\":\"\",\"t\":\"nan\"},\"a\":{\"c\":1e300,\"n\":\"x\"}}",
    ] {
        for name in ["ada", "bob"] {
            let key = names.records(&room);
            both.redis.ask(&format!("HSET {key} {name} '{shape}'"));
        }
        let dead = (node(1), node(2));
        let buried = both.real.bury(&room, dead, Cause::Own, &users).await;
        assert!(buried.is_ok(), "{shape}: {buried:?}");
        let page = both.real.page(&room, 0).await.unwrap();
        assert!(page.items.is_empty(), "{shape}: {page:?}");
        let told =
            both.real.say(&room, &live).await.unwrap_or_else(|why| panic!("{shape}: {why:?}"));
        assert_eq!(told.users.len(), 2, "{shape}: {told:?}");
        assert!(told.users.iter().all(|user| user.record.is_some()), "{shape}");
        assert_eq!(both.real.page(&room, 0).await.unwrap().items.len(), 2, "{shape}");
    }
    for (key, what) in [
        (names.head(&room), "SET"),
        (names.records(&room), "SET"),
        (names.channels(Group::of(&room)), "SET"),
        (names.era(Group::of(&room)), "LPUSH"),
    ] {
        both.redis.ask("FLUSHALL");
        both.redis.ask(&format!("{what} {key} stranger"));
        refused(both.real.say(&room, &live).await, &key);
        refused(both.real.bury(&room, (node(1), node(2)), Cause::Own, &users).await, &key);
    }
    // An era that is none is a loss of data: a new one begins.
    both.redis.ask("FLUSHALL");
    both.redis.ask(&format!("SET {} stranger", names.era(Group::of(&room))));
    both.real.say(&room, &live).await.unwrap();
    // Numbers that are none.
    both.redis.ask(&format!("HSET {} version x last y", names.head(&room)));
    let told = both.real.say(&room, &live).await.unwrap();
    assert!(told.version > 1_000_000_000_000_000, "{told:?}");

    for key in [names.leases(), names.infos(), names.counts(), names.life()] {
        both.redis.ask("FLUSHALL");
        both.redis.ask(&format!("SET {key} stranger"));
        let renew = Renew {
            node: node(1),
            timeout_ms: 6_000,
            era: None,
            info: NodeInfo::default(),
            counts: (1, 1),
            since: 0,
        };
        refused(both.real.renew(&renew).await, &key);
    }
}
