//! Hidden means hidden. Two brokers live through the same random histories, but in one of them there
//! are also members whom a viewer may not see: its frames, answers and streams are the same in both,
//! byte for byte. Times count in steps, and random ids by the order in which they first come.

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;
use herenow::auth::{Credential, Patterns};
use herenow::chance::Chance;
use herenow::clock::{Clock, Shift};
use herenow::hub::{At, Follower, Told, What};
use herenow::presence::follow::Mark;
use herenow_protocol::{ChannelName, Level, UserId};
use serde_json::{Map, Value, json};

use crate::broker::Broker;
use crate::client::Client;
use crate::http::ask;
use crate::seed::seed;

const HISTORIES: usize = 1_000;
/// So many run side by side, each with connections and channels of its own.
const LANES: usize = 100;
const STEPS: usize = 12;
/// Far more than a step takes.
const STEP_MS: u64 = 5_000;
const ACTORS: usize = 3;
/// Time for a tick to be told, and for the flusher to end.
const QUIET: Duration = Duration::from_millis(6);

/// What an actor does. Whether the viewer may see the actor then is what the worlds differ in.
#[derive(Clone, Debug)]
enum Act {
    Join {
        audience: usize,
        value: u64,
    },
    Set {
        value: u64,
    },
    /// It is away, or back.
    Turn {
        away: bool,
    },
    Leave,
    /// Observes, so that the channel has an observer who is not the viewer.
    Subscribe,
    Unsubscribe,
    /// Is in another channel, hidden.
    HideElsewhere,
}

/// What the viewer does.
#[derive(Clone, Debug)]
enum Look {
    Subscribe(&'static str),
    /// At level `count`, with so many of the newest and perhaps what they carry.
    Badge(u8, bool),
    /// With the `since` that it has, and a `sight` or without.
    Resume {
        sight: bool,
    },
    Unsubscribe,
    List,
    Ask(&'static str),
    Http(&'static str),
    Follow {
        resume: bool,
    },
    Unfollow,
    Nothing,
}

/// Who may see an actor that joins with them; from the third on the viewer may not.
const AUDIENCES: [&[&str]; 5] =
    [&["any"], &["user:VIEWER"], &["user:other", "user:VIEWER"], &[], &["user:other"]];
const VISIBLE: usize = 3;

fn act(rng: &mut Rng) -> Act {
    match rng.usize(..14) {
        0..5 => Act::Join { audience: rng.usize(..AUDIENCES.len()), value: rng.u64(..3) },
        5..7 => Act::Set { value: rng.u64(..3) },
        7..9 => Act::Leave,
        9 => Act::Subscribe,
        10 => Act::Unsubscribe,
        11 => Act::HideElsewhere,
        _ => Act::Turn { away: rng.bool() },
    }
}

fn look(rng: &mut Rng) -> Look {
    const ASKED: [&str; 4] = ["getCount", "getAttributes", "getChannels", "getMembers"];
    const PATHS: [&str; 6] = [
        "/v1/channels?prefix=ROOM",
        "/v1/channels/ROOM",
        "/v1/channels/ROOM/count",
        "/v1/channels/ROOM/members?limit=2",
        "/v1/channels/ROOM/members/ACTOR",
        "/v1/users/ACTOR/channels",
    ];
    match rng.usize(..16) {
        0..2 => Look::Subscribe(["auto", "events", "count"][rng.usize(..3)]),
        2..5 => Look::Resume { sight: rng.u8(..4) > 0 },
        5..7 => Look::Unsubscribe,
        7..9 => Look::List,
        9..11 => Look::Ask(ASKED[rng.usize(..ASKED.len())]),
        11 => Look::Http(PATHS[rng.usize(..PATHS.len())]),
        12 => Look::Follow { resume: rng.bool() },
        13 => Look::Unfollow,
        14 => Look::Badge(rng.u8(..3), rng.bool()),
        _ => Look::Nothing,
    }
}

/// One lane in one world.
struct Lane {
    hides: bool,
    viewer: Client,
    actors: Vec<Client>,
    name: [String; ACTORS],
    me: String,
    /// Whether each actor is in the room, in this world.
    joined: [bool; ACTORS],
    /// What each said last of being away. A join says it again: the worlds differ in who joins anew.
    away: [bool; ACTORS],
    room: String,
    follower: Option<(Follower, Option<Mark>)>,
    left: Option<Mark>,
    /// Told of all rooms whose name matches.
    around: Option<Follower>,
    /// What the viewer was told in this history.
    told: Vec<Value>,
    heard: usize,
    asked: i64,
}

impl Lane {
    async fn new(broker: &Broker, number: usize, hides: bool) -> Self {
        let me = format!("viewer-{number}");
        let name: [_; ACTORS] = std::array::from_fn(|n| format!("actor-{number}-{n}"));
        let mut actors = Vec::new();
        for name in &name {
            actors.push(broker.connect(name).await);
        }
        Self {
            hides,
            viewer: broker.connect(&me).await,
            actors,
            name,
            me,
            joined: [false; ACTORS],
            away: [false; ACTORS],
            room: String::new(),
            follower: None,
            left: None,
            around: None,
            told: Vec::new(),
            heard: 1,
            asked: 0,
        }
    }

    /// What this actor sends in this world. Where nobody else is to notice, it asks something: when
    /// its connection was last heard is the same in both.
    fn says(&mut self, who: usize, act: &Act) -> Value {
        let said = self.said(who, act);
        said.unwrap_or_else(|| json!({"type": "heartbeat"}))
    }

    fn said(&mut self, who: usize, act: &Act) -> Option<Value> {
        let room = &self.room;
        let frame = |kind: &str| json!({"type": kind, "channel": room});
        match *act {
            Act::Join { audience, value } => {
                let seen = audience < VISIBLE;
                if !(seen || self.hides) {
                    let was = std::mem::take(&mut self.joined[who]);
                    return was.then(|| frame("leave"));
                }
                self.joined[who] = true;
                let roles = AUDIENCES[audience].iter().map(|role| role.replace("VIEWER", &self.me));
                let mut join = frame("join");
                join["attributes"] = json!({"v": value});
                join["away"] = json!(self.away[who]);
                join["visibleTo"] = roles.collect();
                Some(join)
            }
            Act::Set { value } => self.joined[who].then(|| {
                let mut set = frame("setAttributes");
                set["attributes"] = json!({"v": value});
                set
            }),
            Act::Turn { away } => {
                self.away[who] = away;
                Some(json!({"type": "away", "away": away, "channels": [room]}))
            }
            Act::Leave => std::mem::take(&mut self.joined[who]).then(|| frame("leave")),
            Act::Subscribe => Some(frame("subscribe")),
            Act::Unsubscribe => Some(frame("unsubscribe")),
            Act::HideElsewhere => self.hides.then(|| {
                let channel = format!("{room}-other");
                json!({"type": "join", "channel": channel, "visibleTo": []})
            }),
        }
    }

    /// Where the viewer's replica stands.
    fn since(&self, sight: bool) -> Option<Value> {
        let frames = self.told.iter().filter(|frame| frame["channel"] == *self.room);
        let (mut epoch, mut seq) = (None, None);
        for frame in frames {
            match frame["type"].as_str() {
                Some("snapshot") => (epoch, seq) = (Some(&frame["epoch"]), Some(&frame["seq"])),
                Some("presence") => seq = Some(&frame["seq"]),
                _ => {}
            }
        }
        let mut since = json!({"epoch": epoch?, "seq": seq?});
        if sight {
            let welcome = serde_json::to_value(self.viewer.welcome()).unwrap();
            since["sight"] = welcome["sight"].clone();
        }
        Some(since)
    }

    async fn look(&mut self, broker: &Broker, look: &Look) {
        let room = self.room.clone();
        let mut frame = json!({"type": "subscribe", "channel": room});
        match look {
            Look::Nothing => return,
            Look::Subscribe(level) => frame["level"] = json!(level),
            Look::Badge(recent, attributes) => {
                frame["level"] = json!("count");
                (frame["recent"], frame["recentAttributes"]) = (json!(recent), json!(attributes));
            }
            Look::Resume { sight } => match self.since(*sight) {
                Some(since) => frame["since"] = since,
                None => return,
            },
            Look::Unsubscribe => frame["type"] = json!("unsubscribe"),
            Look::List => return self.list().await,
            Look::Ask(kind) => {
                frame["type"] = json!(kind);
                frame["user"] = json!(self.name[0]);
            }
            Look::Http(path) => return self.http(broker, path).await,
            Look::Follow { resume } => return self.follow(broker, *resume),
            Look::Unfollow => return self.unfollow(),
        }
        self.ask(frame).await;
    }

    async fn ask(&mut self, mut frame: Value) -> Value {
        self.asked += 1;
        frame["id"] = json!(self.asked);
        self.viewer.send(frame).await;
        serde_json::to_value(self.viewer.reply(self.asked).await).unwrap()
    }

    /// All pages of one.
    async fn list(&mut self) {
        let mut after = Value::Null;
        loop {
            let page = json!({"type": "getMembers", "channel": self.room, "limit": 1,
                              "after": after});
            after = self.ask(page).await["next"].clone();
            if after.is_null() {
                return;
            }
        }
    }

    async fn http(&mut self, broker: &Broker, path: &str) {
        let path = path.replace("ROOM", &self.room).replace("ACTOR", &self.name[1]);
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{sign}user={}", self.me);
        let answer = ask(broker.address(), "GET", &path, &[], "").await;
        self.told.push(json!({"http": path, "status": answer.status, "body": answer.body}));
    }

    fn follow(&mut self, broker: &Broker, resume: bool) {
        self.unfollow();
        let channel = ChannelName::parse(&self.room, "channel").unwrap();
        let since = self.left.filter(|_| resume);
        let follower =
            broker.hub().follow(At::Named(&channel), self.credential(), Level::Auto, since);
        self.follower = Some((follower, None));
    }

    fn look_around(&mut self, broker: &Broker) {
        let patterns = Patterns::parse([self.room.as_str()]).unwrap();
        let around = broker.hub().follow_all(patterns, self.credential(), Level::Events);
        self.around = Some(around.unwrap());
    }

    fn unfollow(&mut self) {
        if let Some((_, mark)) = self.follower.take() {
            self.left = mark.or(self.left);
        }
    }

    fn credential(&self) -> Credential {
        Credential::Anyone(Some(UserId::parse(&self.me, "user").unwrap()))
    }

    /// Takes what came: what the socket brought, then what the follower was told.
    async fn take(&mut self, clock: Clock) {
        self.ask(json!({"type": "getCount", "channel": self.room})).await;
        while self.viewer.already().is_some() {}
        let heard = self.viewer.heard()[self.heard..].iter();
        self.told.extend(heard.map(|text| serde_json::from_str::<Value>(text).unwrap()));
        self.heard = self.viewer.heard().len();
        let credential = self.credential();
        let viewer = credential.caller().viewer();
        while let Some(Told { channel, what }) = self.around.as_mut().unwrap().try_next(clock.now())
        {
            let frames = match what {
                What::Ended(last) => vec![last.emptied(&channel, Level::Events)],
                What::News { epoch, news, .. } => {
                    news.frames(&channel, epoch, viewer, Level::Events)
                }
            };
            self.told.extend(frames.iter().map(|frame| json!({"around": frame})));
        }
        let Some((follower, at)) = &mut self.follower else { return };
        while let Some(told) = follower.try_next(clock.now()) {
            let What::News { epoch, news, mark } = told.what else { panic!("it ended") };
            *at = mark.or(*at);
            for frame in news.frames(&told.channel, epoch, viewer, Level::Auto) {
                self.told.push(json!({"followed": frame}));
            }
        }
    }

    /// What the viewer was told, with times in steps since `began` and ids by their order.
    fn story(&mut self, began: u64) -> Vec<Value> {
        let mut ids = HashMap::new();
        let mut told = std::mem::take(&mut self.told);
        told.iter_mut().for_each(|one| plain(one, began, &mut ids));
        told
    }
}

fn plain(value: &mut Value, began: u64, ids: &mut HashMap<String, usize>) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| plain(one, began, ids)),
        Value::Object(fields) => plain_fields(fields, began, ids),
        _ => {}
    }
}

fn plain_fields(fields: &mut Map<String, Value>, began: u64, ids: &mut HashMap<String, usize>) {
    for (name, value) in fields {
        let sealed = name == "next" && value.as_u64().is_some_and(|cursor| cursor >= 1 << 52);
        match name.as_str() {
            "at" | "joinedAt" | "lastSeen" | "now" => {
                *value = json!(value.as_u64().map(|ms| (ms - began) / STEP_MS));
            }
            name if name == "epoch" || sealed => {
                let count = ids.len();
                *value = json!(ids.entry(value.to_string()).or_insert(count));
            }
            _ => plain(value, began, ids),
        }
    }
}

/// The two worlds, on one clock.
struct Worlds {
    clock: Clock,
    shift: Shift,
    brokers: [Broker; 2],
}

impl Worlds {
    fn start() -> Self {
        let (clock, shift) = Clock::shiftable();
        let broker = |seed| {
            Broker::on(clock, Chance::from_seed(seed), |config| {
                // Nobody is silent for too long, or asks too often, whatever the clock does.
                config.presence_timeout = Duration::from_secs(86_400);
                config.ping_interval = Duration::from_secs(86_400);
                config.limits.max_frames_per_second = 10_000;
                config.limits.max_frames_burst = 100_000;
                config.limits.max_requests_per_second = 100_000;
                config.limits.max_requests_burst = 1_000_000;
                config.limits.roster_limit = 1;
            })
        };
        Self { clock, shift, brokers: [broker(1), broker(2)] }
    }

    /// Everybody hears what there is to hear.
    async fn quiet(&self, lanes: &mut [[Lane; 2]]) {
        tokio::time::sleep(QUIET).await;
        for lane in lanes.iter_mut().flatten() {
            lane.take(self.clock).await;
        }
    }

    /// One history in each lane: what they do, and where the two worlds told something else.
    async fn live(&self, lanes: &mut [[Lane; 2]], rngs: &mut [Rng], first: usize) {
        let began = self.clock.now().unix_ms;
        let mut script: Vec<Vec<String>> = vec![Vec::new(); lanes.len()];
        for (n, pair) in lanes.iter_mut().enumerate() {
            for (lane, broker) in pair.iter_mut().zip(&self.brokers) {
                lane.room = format!("room-{}", first + n);
                lane.look_around(broker);
            }
        }
        tokio::time::sleep(QUIET).await;
        for _ in 0..STEPS {
            for (pair, (rng, script)) in lanes.iter_mut().zip(rngs.iter_mut().zip(&mut script)) {
                let (who, act) = (rng.usize(..ACTORS), act(rng));
                script.push(format!("{who}: {act:?}"));
                for lane in pair {
                    let frame = lane.says(who, &act);
                    lane.actors[who].ok(frame).await;
                }
            }
            self.quiet(lanes).await;
            for (pair, (rng, script)) in lanes.iter_mut().zip(rngs.iter_mut().zip(&mut script)) {
                let look = look(rng);
                script.push(format!("{look:?}"));
                for (lane, broker) in pair.iter_mut().zip(&self.brokers) {
                    lane.look(broker, &look).await;
                }
            }
            self.quiet(lanes).await;
            self.shift.pass(STEP_MS);
        }
        for (pair, script) in lanes.iter_mut().zip(script) {
            let [with, without] = pair.each_mut().map(|lane| lane.story(began));
            for (n, (one, other)) in with.iter().zip(&without).enumerate() {
                assert_eq!(one, other, "with and without the hidden, {n} of {script:#?}");
            }
            assert_eq!(with.len(), without.len(), "{script:#?}");
            for lane in pair {
                lane.end().await;
            }
        }
    }
}

impl Lane {
    /// Everybody goes.
    async fn end(&mut self) {
        self.unfollow();
        (self.left, self.around) = (None, None);
        self.viewer.ok(json!({"type": "unsubscribe", "channel": self.room})).await;
        while self.viewer.already().is_some() {}
        self.heard = self.viewer.heard().len();
        for (n, actor) in self.actors.iter_mut().enumerate() {
            actor.ok(json!({"type": "unsubscribe", "channel": self.room})).await;
            actor.ok(json!({"type": "leave", "channel": self.room})).await;
            actor.ok(json!({"type": "leave", "channel": format!("{}-other", self.room)})).await;
            while actor.already().is_some() {}
            self.joined[n] = false;
        }
    }
}

#[tokio::test]
async fn two_worlds_that_differ_in_the_hidden_look_the_same() {
    let seed = seed("two_worlds_that_differ_in_the_hidden_look_the_same");
    let worlds = Worlds::start();
    let mut lanes = Vec::new();
    for n in 0..LANES {
        let [with, without] = &worlds.brokers;
        lanes.push([Lane::new(with, n, true).await, Lane::new(without, n, false).await]);
    }
    let mut rngs: Vec<_> = (0..LANES).map(|n| Rng::with_seed(seed ^ (n as u64) << 32)).collect();
    for round in 0..HISTORIES / LANES {
        worlds.live(&mut lanes, &mut rngs, round * LANES).await;
    }
}
