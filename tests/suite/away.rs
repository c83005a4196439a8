//! Being away: said of each window, told of the user only while it holds for all of them.

use std::collections::BTreeMap;

use fastrand::Rng;
use herenow::now::Now;
use herenow::presence::{Bounds, ChannelState, Command, Lasts, Source, Viewer};
use herenow_protocol::{
    ChannelName, Epoch, Event, LeaveReason, LossReason, ServerFrame, UserStatus,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::broker::{Broker, until};
use crate::client::{A_TURN, Client};
use crate::http::ask;
use crate::rights::{OPERATOR, broker_with, connect, token};
use crate::seed::seed;
use crate::source::{Source as Stream, tell};
use crate::status::{id, status, told};
use crate::swept::frames;

const BOUNDS: Bounds =
    Bounds { members: 100, attribute_bytes: 1_000, attribute_keys: 8, roster: 1_000 };
const GRACE_MS: u64 = 500;

/// A page, as far as the broker hears of it.
#[derive(Clone, Copy, Debug)]
struct Window {
    number: u64,
    hidden: bool,
    /// Closed with the promise to come back: until then its last word counts.
    reloads: bool,
}

/// The user's two windows, and the channel that they are in.
struct Desk {
    core: ChannelState,
    name: ChannelName,
    now: Now,
    windows: [Option<Window>; 2],
    next: u64,
    /// Whether an observer takes the user for away; `None`: for absent.
    seen: Option<bool>,
}

impl Desk {
    fn new() -> Self {
        Self {
            core: ChannelState::new(Epoch::from_random(7)),
            name: ChannelName::parse("room", "channel").unwrap(),
            now: Now { mono_ms: 1_000, unix_ms: 5_000_000 },
            windows: [None; 2],
            next: 1,
            seen: None,
        }
    }

    fn apply(&mut self, command: Command) {
        self.core.apply(command, self.now, &BOUNDS, |_| {}).unwrap();
    }

    /// A window opens, or comes back from reloading. One that says nothing is in front.
    fn join(&mut self, number: u64, away: Option<bool>) {
        self.apply(Command::Join {
            user: id("ada"),
            source: Source::connection(number),
            attributes: None,
            merge: false,
            info: None,
            visible_to: None,
            away,
            lasts: Lasts::Connection { grace_ms: GRACE_MS },
        });
    }

    fn step(&mut self, which: usize, rng: &mut Rng) -> String {
        let (user, now) = (id("ada"), self.now);
        let other_reloads = self.windows[1 - which].is_some_and(|other| other.reloads);
        let Some(window) = &mut self.windows[which] else {
            // What joins takes the place of whatever is in grace.
            if other_reloads {
                return "waits".to_owned();
            }
            let (number, hidden) = (self.next, rng.bool());
            self.next += 1;
            self.windows[which] = Some(Window { number, hidden, reloads: false });
            self.join(number, if hidden || rng.bool() { Some(hidden) } else { None });
            return format!("{which} opens, hidden: {hidden}");
        };
        let source = Source::connection(window.number);
        if window.reloads {
            let number = self.next;
            self.next += 1;
            (window.number, window.reloads) = (number, false);
            let hidden = window.hidden;
            self.join(number, Some(hidden));
            return format!("{which} is back");
        }
        match rng.u8(..8) {
            0 => {
                self.windows[which] = None;
                self.apply(Command::Leave { user, source, reason: LeaveReason::Closed });
                format!("{which} closes")
            }
            1 if !other_reloads => {
                window.reloads = true;
                let (reason, last_seen) = (LossReason::Connection, now.unix_ms);
                self.apply(Command::Lose { user, source, reason, last_seen, graced: true });
                format!("{which} reloads")
            }
            2 if !other_reloads => {
                let number = window.number;
                self.join(number, None);
                format!("{which} joins again, and says nothing of it")
            }
            _ => {
                window.hidden = !window.hidden;
                let away = window.hidden;
                self.apply(Command::SetAway { user, source, away });
                format!("{which} is hidden: {away}")
            }
        }
    }

    /// What the windows come to: `None`, if there is none.
    fn expected(&self) -> Option<bool> {
        let windows = || self.windows.iter().flatten();
        windows().next().map(|_| windows().all(|window| window.hidden))
    }

    fn tick(&mut self) {
        let Some(bundle) = self.core.tick(&self.name, self.now, &BOUNDS).frames else { return };
        for frame in frames(&bundle.frames.concat()) {
            let ServerFrame::Presence { events, .. } = frame else { panic!("{frame:?}") };
            let [event] = &events[..] else { panic!("{events:?}") };
            let before = self.seen;
            self.seen = match event {
                Event::Join { away, .. } | Event::UpdateAttributes { away: Some(away), .. } => {
                    Some(*away)
                }
                Event::Leave { .. } => None,
                other => panic!("{other:?}"),
            };
            assert_ne!(self.seen, before, "{event:?} is no news");
        }
    }
}

#[test]
fn two_windows_are_away_exactly_while_both_are_hidden() {
    let mut rng = Rng::with_seed(seed("two_windows"));
    for _ in 0..3_000 {
        let (mut desk, mut done) = (Desk::new(), Vec::new());
        for _ in 0..40 {
            done.push(desk.step(rng.usize(..2), &mut rng));
            let member = desk.core.member(&id("ada"), Viewer::Public);
            assert_eq!(member.map(|member| member.away), desk.expected(), "{done:#?}");
            if rng.bool() {
                desk.tick();
                assert_eq!(desk.seen, desk.expected(), "{done:#?}");
            }
            desk.now.mono_ms += 1;
            desk.now.unix_ms += 1;
        }
    }
}

fn away(channels: &[&str], away: bool) -> Value {
    json!({"type": "away", "away": away, "channels": channels})
}

fn join(away: impl Into<Value>) -> Value {
    json!({"type": "join", "channel": "room", "away": away.into()})
}

async fn until_away(broker: &Broker, user: &str, away: bool) {
    let is = || status(broker.hub(), user).is_some_and(|status| status.away == away);
    until(&format!("{user} is away: {away}"), is).await;
}

#[tokio::test]
async fn a_user_in_front_of_one_of_its_windows_is_not_away() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let (mut one, mut other) = (broker.connect("ada").await, broker.connect("ada").await);
    one.ok("join room mood=happy").await;
    assert_eq!(observer.told().await, r#"join ada {"mood":"happy"}"#);
    other.ok("join room").await;
    one.ok("away").await;
    observer.told_nothing().await;
    other.ok("away").await;
    assert_eq!(observer.told().await, r#"update ada {"mood":"happy"} away"#);
    other.ok("away").await;
    observer.told_nothing().await;
    one.ok("back").await;
    assert_eq!(observer.told().await, r#"update ada {"mood":"happy"} back"#);
    // Whoever goes does not count any more.
    one.ok("leave room").await;
    assert_eq!(observer.told().await, r#"update ada {"mood":"happy"} away"#);
    observer.agrees().await;
    other.close(1000).await;
    assert_eq!(observer.told().await, "leave ada closed");
}

#[tokio::test]
async fn away_without_channels_is_for_later_joins_too_and_with_channels_for_those_alone() {
    let broker = Broker::start();
    let (mut room, mut hall) = (broker.observer("room").await, broker.observer("hall").await);
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    assert_eq!(room.told().await, "join ada {}");
    ada.ok("away").await;
    assert_eq!(room.told().await, "update ada {} away");
    ada.ok("join hall").await;
    assert_eq!(hall.told().await, "join ada {} away");
    // Some channels: those that were not joined are passed over.
    ada.ok("back hall nowhere").await;
    assert_eq!(hall.told().await, "update ada {} back");
    ada.ok(away(&[], false)).await;
    room.told_nothing().await;
    // A join that says nothing of it leaves it as it was; after leaving, the last word for all counts.
    ada.ok("join hall").await;
    hall.told_nothing().await;
    ada.ok("leave hall").await;
    assert_eq!(hall.told().await, "leave ada left");
    ada.ok("join hall").await;
    assert_eq!(hall.told().await, "join ada {} away");
    // What a join says counts for its channel.
    ada.ok(join(false)).await;
    assert_eq!(room.told().await, "update ada {} back");
    ada.ok("join room n=1").await;
    assert_eq!(room.told().await, r#"update ada {"n":1}"#);
    ada.ok(join(true)).await;
    assert_eq!(room.told().await, r#"update ada {"n":1} away"#);
    ada.ok("back").await;
    assert_eq!(room.told().await, r#"update ada {"n":1} back"#);
    assert_eq!(hall.told().await, "update ada {} back");
}

#[tokio::test]
async fn away_and_back_within_one_tick_is_nothing_and_with_attributes_one_update() {
    let broker = Broker::start();
    let name = ChannelName::parse("room", "channel").unwrap();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    let all = |commands: Vec<Command>| {
        let now = broker.hub().clock().now();
        broker.hub().enter_existing(&name, |door| {
            commands.into_iter().for_each(|command| door.apply(command, now).unwrap());
        });
    };
    let connection = broker.hub().connections_opened();
    let (user, source) = (id("ada"), Source::connection(connection));
    let turn = |away| Command::SetAway { user: user.clone(), source, away };
    let attributes = json!({"n": 1}).as_object().unwrap().clone();
    let set = Command::SetAttributes {
        user: user.clone(),
        source,
        attributes,
        merge: false,
        ttl_ms: None,
    };
    all(vec![turn(true), turn(false)]);
    observer.told_nothing().await;
    all(vec![turn(true), set]);
    assert_eq!(observer.told().await, r#"update ada {"n":1} away"#);
}

#[tokio::test]
async fn a_reload_does_not_flicker_whether_the_window_is_hidden_or_not() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut watcher = broker.connect("bob").await;
    let come = async |away: bool| {
        let mut ada = broker.connect("ada").await;
        ada.send(json!({"type": "away", "away": away})).await;
        ada.ok(json!({"type": "join", "channel": "room", "graceMs": 60_000})).await;
        ada
    };
    for (hidden, joins) in [(true, "join ada {} away"), (false, "join ada {}")] {
        let mut ada = come(hidden).await;
        assert_eq!(observer.told().await, joins);
        watcher.ok("watch ada").await;
        assert_eq!(told(&mut watcher).await.away, hidden);
        for _ in 0..3 {
            let left = broker.hub().connection_count() - 1;
            ada.close(4_200).await;
            until("the connection is gone", || broker.hub().connection_count() == left).await;
            ada = come(hidden).await;
        }
        watcher.expect_quiet().await;
        observer.told_nothing().await;
        ada.close(1_000).await;
        assert_eq!(observer.told().await, "leave ada closed");
        assert!(!told(&mut watcher).await.online);
        watcher.ok("unwatch ada").await;
    }
}

/// A connection that came while its user was away changes nothing as long as it says nothing; its
/// first word counts, whatever it is about.
#[tokio::test]
async fn a_connection_counts_from_its_first_word_on() {
    let broker = Broker::start();
    let mut laptop = broker.connect("ada").await;
    laptop.ok("away").await;
    until_away(&broker, "ada", true).await;
    let mut phone = broker.connect("ada").await;
    sleep(A_TURN).await;
    assert!(status(broker.hub(), "ada").unwrap().away);
    phone.ok("sub room").await;
    assert!(!status(broker.hub(), "ada").unwrap().away, "it is looking at a room");
}

#[tokio::test]
async fn a_status_is_away_while_all_that_keeps_the_user_online_is() {
    let broker = Broker::start();
    let mut watcher = broker.connect("bob").await;
    let mut ada = broker.connect("ada").await;
    assert_eq!(ada.count("room").await, 0);
    watcher.ok("watch ada").await;
    assert!(!told(&mut watcher).await.away);
    // A connection that joined nothing.
    ada.ok("away").await;
    let status = told(&mut watcher).await;
    assert!(status.online && status.away);
    // Joins that say nothing of it go by the connection; others by themselves.
    ada.ok("join room").await;
    watcher.expect_quiet().await;
    ada.ok(json!({"type": "join", "channel": "hall", "away": false})).await;
    assert!(!told(&mut watcher).await.away);
    ada.ok("away hall").await;
    assert!(told(&mut watcher).await.away);
    ada.ok("back hall").await;
    assert!(!told(&mut watcher).await.away);
    ada.ok("leave hall").await;
    assert!(told(&mut watcher).await.away);
    // A lease and heartbeats over HTTP count too.
    let address = broker.address();
    let lease = "/v1/channels/hall/members/ada";
    assert_eq!(ask(address, "PUT", lease, &[], "").await.status, 201);
    assert!(!told(&mut watcher).await.away);
    let leased = ask(address, "PUT", lease, &[], r#"{"away":true}"#).await;
    assert_eq!((leased.status, &leased.body["away"]), (200, &json!(true)));
    assert!(told(&mut watcher).await.away);
    let as_it_was = ask(address, "PUT", lease, &[], r#"{"attributes":{"n":1}}"#).await;
    assert_eq!(as_it_was.body["away"], true);
    assert_eq!(ask(address, "DELETE", lease, &[], "").await.status, 204);
    let beat = "/v1/users/ada/heartbeat";
    assert_eq!(ask(address, "POST", beat, &[], "").await.status, 200);
    assert!(!told(&mut watcher).await.away);
    assert_eq!(ask(address, "POST", beat, &[], r#"{"away":true}"#).await.status, 200);
    assert!(told(&mut watcher).await.away);
    assert_eq!(ask(address, "POST", beat, &[], "{}").await.status, 200);
    watcher.expect_quiet().await;
    assert_eq!(ask(address, "POST", beat, &[], r#"{"away":false}"#).await.status, 200);
    assert!(!told(&mut watcher).await.away);
    assert_eq!(ask(address, "DELETE", beat, &[], "").await.status, 204);
    assert!(told(&mut watcher).await.away, "what is left is away");
    let refused = ask(address, "POST", beat, &[], r#"{"away":"yes"}"#).await;
    assert_eq!((refused.status, refused.code()), (400, "invalid_field"));
    // Nobody is away who is not there.
    ada.close(1_000).await;
    let gone = told(&mut watcher).await;
    assert!(!gone.online && !gone.away);
}

#[tokio::test]
async fn invisible_hides_it() {
    let broker = Broker::start();
    let mut watcher = broker.connect("bob").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("away").await;
    watcher.ok("watch ada").await;
    assert!(told(&mut watcher).await.away);
    ada.ok("status invisible=true").await;
    let shown = told(&mut watcher).await;
    assert!(!shown.online && !shown.away);
    ada.ok("back").await;
    ada.ok("away").await;
    watcher.expect_quiet().await;
    let of_itself = |status: Option<UserStatus>| status.map(|status| (status.online, status.away));
    let now = broker.hub().clock().now();
    assert_eq!(of_itself(broker.hub().status(&id("ada"), true, now)), Some((true, true)));
    ada.ok("status invisible=false").await;
    let shown = told(&mut watcher).await;
    assert!(shown.online && shown.away);
}

#[tokio::test]
async fn lists_snapshots_and_streams_show_who_is_away() {
    let broker = Broker::start();
    let (mut ada, mut bob) = (broker.connect("ada").await, broker.connect("bob").await);
    ada.ok(join(true)).await;
    bob.ok("join room").await;
    let expected: BTreeMap<_, _> = [("ada".to_owned(), true), ("bob".to_owned(), false)].into();
    let members = bob.members("room").await.into_iter();
    assert_eq!(members.map(|m| (m.user.to_string(), m.away)).collect::<BTreeMap<_, _>>(), expected);
    let members = broker.observer("room").await.replica.members.into_values();
    assert_eq!(members.map(|m| (m.user.to_string(), m.away)).collect::<BTreeMap<_, _>>(), expected);
    let list = ask(broker.address(), "GET", "/v1/channels/room/members", &[], "").await.body;
    // The field is there when it is true.
    assert_eq!(list["members"][0].get("away"), None);
    assert_eq!(list["members"][1]["away"], true);
    let one = ask(broker.address(), "GET", "/v1/channels/room/members/ada", &[], "").await.body;
    assert_eq!(one["away"], true);
    let of_ada = ask(broker.address(), "GET", "/v1/users/ada/status", &[], "").await.body;
    let of_bob = ask(broker.address(), "GET", "/v1/users/bob/status", &[], "").await.body;
    assert_eq!((&of_ada["away"], of_bob.get("away")), (&json!(true), None));
    let mut stream = Stream::open(broker.address(), "/v1/channels/room/events", &[]).await;
    let first = stream.event().await.data.unwrap();
    assert!(first.contains(r#""user":"ada","attributes":{},"away":true"#), "{first}");
    for (say, away) in [("back", false), ("away", true)] {
        ada.ok(say).await;
        let update = stream.event().await.data.unwrap();
        assert!(update.contains(&format!(r#""attributes":{{}},"away":{away}"#)), "{update}");
    }
}

#[tokio::test]
async fn no_count_is_due_for_it_and_recent_does_not_tell() {
    let broker = Broker::with(|config| config.limits.roster_limit = 1);
    let (mut ada, mut bob) = (broker.connect("ada").await, broker.connect("bob").await);
    ada.ok(join(true)).await;
    bob.ok("join room").await;
    let mut counted = broker.connect("cy").await;
    counted.ok(json!({"type": "subscribe", "channel": "room", "level": "count"})).await;
    let mut auto = broker.connect("dan").await;
    auto.ok("sub room").await;
    let mut faces = broker.connect("eve").await;
    let with =
        json!({"type": "subscribe", "channel": "room", "recent": 2, "recentAttributes": true});
    faces.ok(with).await;
    for client in [&mut counted, &mut auto, &mut faces] {
        assert!(matches!(client.next().await, ServerFrame::Count { count: 2, .. }));
        let text = client.heard().last().unwrap();
        assert!(!text.contains("away"), "{text}");
    }
    for say in ["back", "away", "back"] {
        ada.ok(say).await;
    }
    counted.expect_quiet_for(std::time::Duration::from_millis(1_500)).await;
    auto.expect_quiet_so_far().await;
    faces.expect_quiet_so_far().await;
}

#[tokio::test]
async fn who_may_not_see_a_member_is_not_told_that_it_is_away() {
    let broker = broker_with(|_| {});
    let mut blue = connect(&broker, &token("--user blue --role team:blue")).await;
    let mut guest = connect(&broker, &token("--user guest")).await;
    let [mut seen, mut unseen] = [BTreeMap::new(), BTreeMap::new()];
    for client in [&mut blue, &mut guest] {
        client.observe("room").await;
    }
    let bearer = format!("authorization: Bearer {OPERATOR}");
    let lease = async |body: Value| {
        let path = "/v1/channels/room/members/ada";
        let headers = [bearer.as_str(), "content-type: application/json"];
        let leased = ask(broker.address(), "PUT", path, &headers, &body.to_string()).await;
        assert!(leased.status < 300, "{:?}", leased.body);
    };
    for away in [true, false, true] {
        lease(json!({"visibleTo": ["team:blue"], "away": away})).await;
        blue.events().await.into_iter().for_each(|event| tell(&mut seen, event));
        assert_eq!(seen[&id("ada")].away, away);
    }
    guest.expect_quiet().await;
    // It comes into everybody's sight, and back, in one frame each.
    for (body, away) in [
        (json!({"visibleTo": ["any"]}), Some(true)),
        (json!({"visibleTo": ["any"], "away": false}), Some(false)),
        (json!({"visibleTo": ["team:blue"], "away": true}), None),
    ] {
        lease(body).await;
        guest.events().await.into_iter().for_each(|event| tell(&mut unseen, event));
        assert_eq!(unseen.get(&id("ada")).map(|member| member.away), away);
    }
}

/// A silent connection is in no channel any more: for its user's status it counts by itself.
#[tokio::test]
async fn whoever_was_removed_for_silence_counts_by_the_last_word_for_all() {
    let broker = Broker::with(|config| {
        config.presence_timeout = std::time::Duration::from_millis(1_200);
    });
    let mut ada: Client = broker.connect("ada").await;
    ada.ok(join(true)).await;
    until_away(&broker, "ada", true).await;
    loop {
        if matches!(ada.next().await, ServerFrame::Removed { .. }) {
            break;
        }
    }
    until_away(&broker, "ada", false).await;
    ada.ok("away").await;
    until_away(&broker, "ada", true).await;
    // And a join begins with it.
    let mut observer = broker.observer("room").await;
    ada.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {} away");
}
