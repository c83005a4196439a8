//! Leases, graces and `visibleTo`, by a model that was written from the words of the protocol's
//! reference and of the HTTP API's, not from the code. Random histories over sockets and HTTP, on a
//! clock that jumps: at each quiet point every viewer's replica, the events that made it, and what
//! it reads are the model's.

mod room;

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use herenow::chance::Chance;
use herenow::clock::{Clock, Shift};
use herenow::{Broker, Config};
use herenow_protocol::{ChannelName, Event, ServerFrame};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::broker::until;
use crate::client::{Client, PATIENCE};
use crate::http::{Answer, ask};
use crate::replica::short;
use crate::rights::{OPERATOR, token, with_identity};
use crate::seed::seed;
use room::{Kept, Room, Says, Shown, USERS};

const CHANNELS: usize = 12;
const ROUNDS: usize = 60;
/// Steps of time. What ends does so in the midst of one, so that the time that the test itself takes
/// does not count.
const STEP_MS: u64 = 100_000;
const HALF_MS: u64 = STEP_MS / 2;
/// Who looks: a name, and the roles of its token.
const VIEWERS: [(&str, &[&str]); 4] =
    [("guest", &[]), ("blue", &["team:blue"]), ("boss", &["staff", "team:red"]), ("ada", &[])];

/// Somebody who subscribed all channels, and does what the reference says of a replica.
struct Viewer {
    name: &'static str,
    roles: &'static [&'static str],
    token: String,
    client: Client,
    rooms: Vec<Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    members: BTreeMap<String, Shown>,
    count: u64,
    seq: u64,
    /// What was told since the last quiet point, less the updates that changed nothing.
    told: BTreeSet<String>,
    /// What was known then.
    before: BTreeMap<String, Shown>,
}

impl Viewer {
    async fn sync(&mut self) {
        self.client.answer("count none").await;
        while let Some(frame) = self.client.already() {
            self.apply(frame);
        }
    }

    fn apply(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Snapshot { channel, seq, count, members, .. } => {
                let known = &mut self.rooms[number_of(channel.as_str())];
                (known.seq, known.count) = (seq, count);
                let members = members.into_iter();
                let shown = members.map(|m| (m.user.to_string(), (json!(m.attributes), m.away)));
                known.members.extend(shown);
            }
            ServerFrame::Presence { channel, seq, count, events } => {
                let known = &mut self.rooms[number_of(channel.as_str())];
                assert!(
                    seq == known.seq || seq == known.seq + 1,
                    "{channel}: {seq} after {}",
                    known.seq
                );
                (known.seq, known.count) = (seq, count);
                events.iter().for_each(|event| known.tell(event));
            }
            other => panic!("{}: {other:?}", self.name),
        }
    }
}

impl Known {
    fn tell(&mut self, event: &Event) {
        let user = event.user().to_string();
        let changed = match event {
            Event::Join { attributes, away, .. } => {
                let shown = (json!(attributes), *away);
                self.members.insert(user, shown.clone()) != Some(shown)
            }
            Event::UpdateAttributes { attributes, away, .. } => {
                let was = self.members.get(&user).is_some_and(|(_, away)| *away);
                let shown = (json!(attributes), away.unwrap_or(was));
                self.members.insert(user, shown.clone()) != Some(shown)
            }
            Event::Leave { .. } | Event::Timeout { .. } => self.members.remove(&user).is_some(),
        };
        if changed {
            self.told.insert(short(event));
        }
    }

    /// What must have been told between two quiet points, in which the channel had one change.
    fn assert_told(&mut self, room: &Room, context: &str) {
        for (user, shown) in &self.members {
            let (attributes, away) = shown;
            let expected = match self.before.get(user) {
                None => format!("join {user} {attributes}{}", if *away { " away" } else { "" }),
                Some(before) if before == shown => continue,
                Some((_, before)) => {
                    let turned = if *away { " away" } else { " back" };
                    let turned = if before == away { "" } else { turned };
                    format!("update {user} {attributes}{turned}")
                }
            };
            assert!(self.told.remove(&expected), "{context}: {expected} is not in {:?}", self.told);
        }
        for user in self.before.keys().filter(|user| !self.members.contains_key(*user)) {
            // Whoever is out of sight and still there has left for this viewer.
            let expected: Vec<_> = match room.gone.get(user.as_str()) {
                Some(why) => why
                    .iter()
                    .map(|why| match *why {
                        "left" => format!("leave {user} left"),
                        why => format!("timeout {user} {why}"),
                    })
                    .collect(),
                None => vec![format!("leave {user} left")],
            };
            let one = expected.iter().find(|expected| self.told.contains(*expected));
            let one = one
                .unwrap_or_else(|| panic!("{context}: none of {expected:?} is in {:?}", self.told));
            self.told.remove(one);
        }
        assert!(self.told.is_empty(), "{context}: told beyond what happened: {:?}", self.told);
        self.before = self.members.clone();
    }
}

fn name_of(number: usize) -> String {
    format!("room-{number}")
}

fn number_of(name: &str) -> usize {
    name["room-".len()..].parse().unwrap()
}

struct World {
    broker: Broker,
    shift: Shift,
    now: u64,
    rooms: Vec<Room>,
    /// Two connections of each user.
    connections: Vec<[Option<Client>; 2]>,
    /// What each said last of being away, for all its channels.
    words: [[bool; 2]; USERS.len()],
    viewers: Vec<Viewer>,
}

impl World {
    async fn new(number: u64) -> Self {
        let mut config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
        with_identity(&mut config);
        let day = std::time::Duration::from_secs(86_400);
        (config.presence_timeout, config.ping_interval) = (day, day);
        config.limits.max_grace = day;
        config.limits.max_lease = day;
        config.limits.max_requests_burst = 1_000_000;
        let (clock, shift) = Clock::shiftable();
        let broker = herenow::start_with(&config, clock, Chance::from_seed(number)).unwrap();
        let connections = USERS.iter().map(|_| [None, None]).collect();
        let rooms = vec![Room::default(); CHANNELS];
        let (words, viewers) = (<_>::default(), Vec::new());
        let mut world = Self { broker, shift, now: 0, rooms, connections, words, viewers };
        for (name, roles) in VIEWERS {
            let roles_given: String = roles.iter().map(|role| format!(" --role {role}")).collect();
            let token = token(&format!("--user {name} --ttl 2000h{roles_given}"));
            let mut client = world.connect(&token).await;
            for number in 0..CHANNELS {
                client.ok(format!("sub {}", name_of(number))).await;
            }
            let rooms = vec![Known::default(); CHANNELS];
            world.viewers.push(Viewer { name, roles, token, client, rooms });
        }
        world
    }

    async fn connect(&self, token: &str) -> Client {
        let stream = TcpStream::connect(self.broker.address()).await.unwrap();
        let mut client = Client::open(stream, &format!("/ws?token={token}"), None).await.unwrap().0;
        assert!(matches!(client.next().await, ServerFrame::Welcome { .. }));
        client
    }

    async fn http(&self, method: &str, path: &str, bearer: &str, body: &str) -> Answer {
        let header = format!("authorization: Bearer {bearer}");
        let headers = [header.as_str(), "content-type: application/json"];
        ask(
            self.broker.address(),
            method,
            path,
            &headers[..if body.is_empty() { 1 } else { 2 }],
            body,
        )
        .await
    }

    /// One random change in that channel.
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of change")]
    async fn act(&mut self, number: usize, rng: &mut Rng) -> String {
        let (user, connection) = (rng.usize(..USERS.len()), rng.usize(..2));
        let (name, channel) = (USERS[user], name_of(number));
        let is_source = |kept: &Kept| matches!(kept, Kept::Connection(n, _) if *n == connection);
        let says = Says::random(rng);
        match rng.u8(..12) {
            0..=3 => {
                if self.connections[user][connection].is_none() {
                    let token = token(&format!("--user {name} --ttl 2000h"));
                    self.connections[user][connection] = Some(self.connect(&token).await);
                }
                let grace_ms = [0, HALF_MS, STEP_MS + HALF_MS][rng.usize(..3)];
                let mut join = json!({"type": "join", "channel": channel, "graceMs": grace_ms});
                says.put_into(&mut join);
                self.connections[user][connection].as_mut().unwrap().ok(join.clone()).await;
                let keeps = Kept::Connection(connection, grace_ms);
                self.rooms[number].come(name, keeps, &says, self.words[user][connection]);
                format!("{name}/{connection}: {join}")
            }
            4..=6 => {
                let ttl_ms = [HALF_MS, STEP_MS + HALF_MS, 2 * STEP_MS + HALF_MS][rng.usize(..3)];
                let mut body = json!({"ttlMs": ttl_ms});
                says.put_into(&mut body);
                let path = format!("/v1/channels/{channel}/members/{name}");
                let answer = self.http("PUT", &path, OPERATOR, &body.to_string()).await;
                let lease = Kept::Lease(self.now + ttl_ms);
                let new = self.rooms[number].come(name, lease, &says, false);
                assert_eq!(answer.status, if new { 201 } else { 200 }, "{name}: {body}");
                format!("lease of {name} in {channel}: {body}")
            }
            7 => {
                let path = format!("/v1/channels/{channel}/members/{name}");
                assert_eq!(self.http("DELETE", &path, OPERATOR, "").await.status, 204);
                self.rooms[number].end(name, "left", |kept| matches!(kept, Kept::Lease(_)));
                format!("no lease of {name} in {channel}")
            }
            8..=9 => {
                let Some(client) = &mut self.connections[user][connection] else {
                    return String::new();
                };
                let away = rng.bool();
                client.ok(json!({"type": "away", "away": away, "channels": [channel]})).await;
                self.rooms[number].turn(name, connection, away);
                format!("{name}/{connection}: away {away} in {channel}")
            }
            10 => {
                let Some(client) = &mut self.connections[user][connection] else {
                    return String::new();
                };
                client.ok(format!("leave {channel}")).await;
                self.rooms[number].end(name, "left", is_source);
                format!("{name}/{connection}: leave {channel}")
            }
            _ => {
                let Some(client) = &mut self.connections[user][connection] else {
                    return String::new();
                };
                let attributes = json!({"b": rng.u8(..3)});
                let set =
                    json!({"type": "setAttributes", "channel": channel, "attributes": attributes});
                match self.rooms[number].members.get_mut(name) {
                    Some(member) if member.kept.iter().any(|(kept, _)| is_source(kept)) => {
                        client.ok(set).await;
                        member.attributes = attributes;
                    }
                    _ => assert_eq!(json!(client.refused(set).await.0), "not_joined"),
                }
                format!("{name}/{connection}: set {channel}")
            }
        }
    }

    /// A connection says that it is away, or back, everywhere and from now on.
    async fn turn(&mut self, rng: &mut Rng) -> String {
        let (user, connection, away) = (rng.usize(..USERS.len()), rng.usize(..2), rng.bool());
        let Some(client) = &mut self.connections[user][connection] else { return String::new() };
        client.ok(if away { "away" } else { "back" }).await;
        self.words[user][connection] = away;
        self.rooms.iter_mut().for_each(|room| room.turn(USERS[user], connection, away));
        format!("{}/{connection}: away {away}", USERS[user])
    }

    /// A connection breaks.
    async fn lose(&mut self, rng: &mut Rng) -> String {
        let (user, connection) = (rng.usize(..USERS.len()), rng.usize(..2));
        let Some(client) = self.connections[user][connection].take() else { return String::new() };
        self.words[user][connection] = false;
        let hub = self.broker.hub();
        let left = hub.connection_count() - 1;
        client.kill();
        until("the connection is gone", || hub.connection_count() == left).await;
        self.rooms.iter_mut().for_each(|room| room.lose(USERS[user], connection, self.now));
        format!("{}/{connection} is lost", USERS[user])
    }

    /// Time passes, and the broker has looked at what ends by it: also where nobody sees that.
    async fn pass(&mut self) -> String {
        self.now += STEP_MS;
        self.shift.pass(STEP_MS);
        self.rooms.iter_mut().for_each(|room| room.pass(self.now));
        let hub = self.broker.hub();
        for number in 0..CHANNELS {
            let name = ChannelName::parse(&name_of(number), "channel").unwrap();
            let is_over = || {
                let due_ms = hub.find(&name).and_then(|room| room.look().presence().deadline());
                due_ms.is_none_or(|due_ms| due_ms > hub.clock().now().mono_ms)
            };
            until("what is over ends", is_over).await;
        }
        "time passes".to_owned()
    }

    /// Every viewer knows what the model says, was told just that, and reads it too.
    async fn compare(&mut self, context: &str, rng: &mut Rng) {
        for viewer in &mut self.viewers {
            let clock = Clock::start();
            loop {
                viewer.sync().await;
                let mut both = self.rooms.iter().zip(&viewer.rooms);
                let odd = both.find(|(room, known)| {
                    (room.seen_by(viewer.name, viewer.roles), room.count())
                        != (known.members.clone(), known.count)
                });
                let Some((room, known)) = odd else { break };
                let name = viewer.name;
                assert!(
                    clock.elapsed() < PATIENCE,
                    "{context}\n{name} knows {known:?}\nbut there is {room:?}"
                );
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            for (room, known) in self.rooms.iter().zip(&mut viewer.rooms) {
                known.assert_told(room, &format!("{context}\n{}", viewer.name));
            }
        }
        self.rooms.iter_mut().for_each(|room| room.gone.clear());
        let (number, viewer) = (rng.usize(..CHANNELS), &self.viewers[rng.usize(..VIEWERS.len())]);
        let expected = self.rooms[number].seen_by(viewer.name, viewer.roles);
        let (channel, user) = (name_of(number), USERS[rng.usize(..USERS.len())]);
        let list = self
            .http("GET", &format!("/v1/channels/{channel}/members"), &viewer.token, "")
            .await
            .body;
        let of = |m: &Value| {
            let shown = (m["attributes"].clone(), m["away"] == true);
            (m["user"].as_str().unwrap().to_owned(), shown)
        };
        let listed: BTreeMap<_, _> = list["members"].as_array().unwrap().iter().map(of).collect();
        assert_eq!(
            (listed, list["count"].as_u64()),
            (expected.clone(), Some(self.rooms[number].count())),
            "{context}"
        );
        let path = format!("/v1/channels/{channel}/members/{user}");
        let one = self.http("GET", &path, &viewer.token, "").await;
        assert_eq!(one.status, if expected.contains_key(user) { 200 } else { 404 }, "{context}");
        let of_user =
            self.http("GET", &format!("/v1/users/{user}/channels"), &viewer.token, "").await.body;
        let listed: BTreeSet<_> = of_user["channels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| number_of(c.as_str().unwrap()))
            .collect();
        let expected = self
            .rooms
            .iter()
            .enumerate()
            .filter(|(_, room)| room.seen_by(viewer.name, viewer.roles).contains_key(user));
        assert_eq!(
            listed,
            expected.map(|(number, _)| number).collect(),
            "{context}: where {user} is"
        );
    }
}

#[tokio::test]
async fn leases_graces_and_sight_are_as_the_reference_says() {
    let number = seed("lent");
    let mut rng = Rng::with_seed(number);
    let mut world = World::new(number).await;
    let mut done: Vec<String> = Vec::new();
    for _ in 0..ROUNDS {
        // One change of each channel at most: so it is known what must be told.
        let did = match rng.u8(..7) {
            0 => world.lose(&mut rng).await,
            1 => world.pass().await,
            2 => world.turn(&mut rng).await,
            _ => {
                let mut did = Vec::new();
                for number in 0..CHANNELS {
                    did.push(world.act(number, &mut rng).await);
                }
                did.join("\n")
            }
        };
        done.push(did);
        world.compare(&done.join("\n"), &mut rng).await;
    }
}
