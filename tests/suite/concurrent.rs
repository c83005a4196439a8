//! Many at once, over real sockets and on several threads: actors who do anything at any time,
//! observers who come, go, resume and lag. In the end everybody knows the same.
//!
//! The seed decides what each does; in which order the broker sees it is up to the threads.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use herenow::clock::Clock;
use herenow_protocol::reply::{MemberView, SnapshotReason};
use herenow_protocol::{ErrorCode, Event, FrameId, ServerFrame};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::broker::{Broker, until};
use crate::client::{Client, PATIENCE, Replica};
use crate::seed::seed;
use crate::wire::small_socket;

const ACTORS: usize = 50;
/// Fewer than actors: some have several tabs.
const USERS: usize = 35;
const ACTIONS: usize = 300;
const OBSERVERS: usize = 20;
const CHANNELS: [&str; 2] = ["east", "west"];

fn broker() -> Broker {
    Broker::with(|config| {
        config.limits.max_frames_burst = 1_000_000;
        config.limits.max_frames_per_second = 1_000_000;
    })
}

/// Someone who does anything, and checks that each answer is possible.
struct Actor {
    address: SocketAddr,
    user: String,
    random: Rng,
    client: Option<Client>,
    /// Where this connection has joined.
    joined: BTreeSet<&'static str>,
}

impl Actor {
    fn channel(&mut self) -> &'static str {
        CHANNELS[self.random.usize(..CHANNELS.len())]
    }

    fn attributes(&mut self) -> Value {
        let text = "x".repeat(self.random.usize(..1_500));
        let value = match self.random.u8(..4) {
            0 => Value::Null,
            _ => json!(self.random.u8(..3)),
        };
        json!({ "text": text, ["a", "b", "c"][self.random.usize(..3)]: value })
    }

    fn join(&mut self, channel: &str) -> Value {
        let attributes = if self.random.bool() { self.attributes() } else { Value::Null };
        let grace_ms = [0, 0, 150, 600][self.random.usize(..4)];
        json!({"type": "join", "channel": channel, "attributes": attributes, "graceMs": grace_ms})
    }

    fn write(&mut self, channel: &str) -> Value {
        let ttl_ms =
            if self.random.u8(..3) == 0 { json!(self.random.u64(1..400)) } else { Value::Null };
        json!({"type": "setAttributes", "channel": channel, "attributes": self.attributes(),
               "merge": self.random.bool(), "ttlMs": ttl_ms})
    }

    async fn client(&mut self) -> &mut Client {
        if self.client.is_none() {
            self.client = Some(Client::connect(self.address, &self.user).await);
        }
        self.client.as_mut().unwrap()
    }

    async fn act(&mut self) {
        let channel = self.channel();
        match self.random.u8(..20) {
            0..5 => {
                let join = self.join(channel);
                self.client().await.ok(join).await;
                self.joined.insert(channel);
            }
            5..7 => {
                self.client().await.ok(json!({"type": "leave", "channel": channel})).await;
                self.joined.remove(channel);
            }
            7..12 => {
                let write = self.write(channel);
                if self.joined.contains(channel) {
                    self.client().await.ok(write).await;
                } else {
                    let (code, _) = self.client().await.refused(write).await;
                    assert_eq!(code, ErrorCode::NotJoined);
                }
            }
            12 => {
                let channels = if self.random.bool() { json!([channel]) } else { Value::Null };
                let heartbeat = json!({"type": "heartbeat", "channels": channels});
                self.client().await.ok(heartbeat).await;
            }
            13..15 => self.ask(channel).await,
            15..17 => self.do_several(channel).await,
            _ => self.vanish().await,
        }
    }

    async fn ask(&mut self, channel: &str) {
        let whom = format!("user-{}", self.random.usize(..USERS));
        let user = self.user.clone();
        let inside = self.joined.contains(channel);
        let kind = self.random.u8(..4);
        let client = self.client().await;
        match kind {
            0 => {
                let members = client.all_members(channel).await;
                assert!(!inside || members.iter().any(|member| member.user.as_str() == user));
            }
            1 => assert!(client.count(channel).await >= u64::from(inside)),
            2 => {
                let query = json!({"type": "getAttributes", "channel": channel, "user": whom});
                match client.request(query).await {
                    ServerFrame::Result { .. } => {}
                    ServerFrame::Error { code: ErrorCode::NotFound, .. } => {
                        assert!(whom != user || !inside)
                    }
                    other => panic!("{other:?}"),
                }
            }
            _ => {
                let answer = json!(client.answer(json!({"type": "getChannels"})).await);
                let channels = answer["channels"].as_array().unwrap();
                assert!(!inside || channels.contains(&json!(channel)));
            }
        }
    }

    /// Several with one write, which often fold into one frame or nothing.
    async fn do_several(&mut self, channel: &'static str) {
        let leave = json!({"type": "leave", "channel": channel});
        let (join, write, again) = (self.join(channel), self.write(channel), self.join(channel));
        let stays = self.random.bool();
        let mut frames = vec![join, write];
        if self.random.bool() {
            frames.extend([leave.clone(), again]);
        }
        if !stays {
            frames.push(leave);
        }
        self.client().await.send_all(frames).await;
        // All were done, or errors would have come: replies keep the order of what they answer.
        self.client().await.expect_quiet_so_far().await;
        if stays {
            self.joined.insert(channel);
        } else {
            self.joined.remove(channel);
        }
    }

    async fn vanish(&mut self) {
        let Some(client) = self.client.take() else { return };
        self.joined.clear();
        match self.random.u8(..4) {
            0 => {
                client.close([1000, 1001, 1005][self.random.usize(..3)]).await;
            }
            1 => client.reset(),
            2 => client.kill(),
            // In the middle of a lot.
            _ => {
                let mut client = client;
                let joins =
                    [self.join(CHANNELS[0]), self.write(CHANNELS[0]), self.join(CHANNELS[1])];
                client.send_all(joins).await;
                client.kill();
            }
        }
    }

    /// From here on nothing happens by itself: no grace runs (joining ends them), no key expires
    /// (writing all ends that).
    async fn rest(&mut self) {
        for channel in CHANNELS {
            let last = json!({"by": self.random.u32(..)});
            let client = self.client().await;
            client.ok(json!({"type": "join", "channel": channel})).await;
            client
                .ok(json!({"type": "setAttributes", "channel": channel, "attributes": last}))
                .await;
            if self.random.bool() {
                self.client().await.ok(json!({"type": "leave", "channel": channel})).await;
            }
        }
    }
}

/// What happened to each user of each channel: joins, and ends of either kind.
type Tally = BTreeMap<(String, String), (u32, u32)>;

/// Someone who is told of both channels.
struct Observer {
    address: SocketAddr,
    number: usize,
    random: Rng,
    client: Client,
    replicas: [Replica; 2],
    resumed: usize,
    resyncs: usize,
    tally: Tally,
}

impl Observer {
    async fn new(address: SocketAddr, number: usize, random: Rng) -> Self {
        let client = Self::connect(address, number).await;
        let replicas = CHANNELS.map(|channel| Self::replica(number, channel));
        let tally = Tally::new();
        let mut observer =
            Self { address, number, random, client, replicas, resumed: 0, resyncs: 0, tally };
        for n in 0..CHANNELS.len() {
            observer.subscribe(n).await;
        }
        while !observer.replicas.iter().all(Replica::is_whole) {
            let frame = observer.client.next().await;
            observer.take(&frame);
        }
        observer
    }

    async fn connect(address: SocketAddr, number: usize) -> Client {
        let name = format!("observer-{number}");
        if Self::is_slow(number) {
            Client::over(small_socket(address).await, &name).await
        } else {
            Client::connect(address, &name).await
        }
    }

    /// From the beginning to the end, and never resubscribing: knows everything.
    fn is_steadfast(number: usize) -> bool {
        number < 3
    }

    fn is_slow(number: usize) -> bool {
        number == 5
    }

    fn replica(number: usize, channel: &str) -> Replica {
        if Self::is_slow(number) { Replica::lagging(channel) } else { Replica::new(channel) }
    }

    /// Subscribes the channel, anew or from where it stands.
    async fn subscribe(&mut self, n: usize) {
        let known = &self.replicas[n];
        let since = (known.is_whole() && self.random.u8(..4) > 0).then(|| known.since());
        if since.is_none() {
            self.replicas[n] = Self::replica(self.number, CHANNELS[n]);
        }
        let frame =
            json!({"type": "subscribe", "channel": CHANNELS[n], "since": since, "id": "sub"});
        self.client.send(frame).await;
        loop {
            match self.client.next().await {
                ServerFrame::Ok { id: FrameId::Text(id), resumed, .. } if &*id == "sub" => {
                    self.resumed += usize::from(resumed.unwrap());
                    return;
                }
                frame if about(&frame) != Some(CHANNELS[n]) => self.take(&frame),
                // Frames of this channel that were on their way come again, or are in the snapshot.
                _ => {}
            }
        }
    }

    async fn unsubscribe(&mut self, n: usize) {
        self.client.ok(json!({"type": "unsubscribe", "channel": CHANNELS[n]})).await;
        while let Some(frame) = self.client.already() {
            self.take(&frame);
        }
    }

    fn take(&mut self, frame: &ServerFrame) {
        for replica in &mut self.replicas {
            replica.apply(frame);
        }
        match frame {
            ServerFrame::Snapshot { reason: SnapshotReason::Resync, .. } => self.resyncs += 1,
            ServerFrame::Presence { channel, events, .. } => {
                for event in events {
                    let key = (channel.to_string(), event.user().to_string());
                    let (joins, ends) = self.tally.entry(key).or_default();
                    match event {
                        Event::Join { .. } => *joins += 1,
                        Event::Leave { .. } | Event::Timeout { .. } => *ends += 1,
                        Event::UpdateAttributes { .. } => {}
                    }
                }
            }
            _ => {}
        }
    }

    async fn observe(&mut self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            tokio::select! {
                frame = self.client.next() => self.take(&frame),
                _ = stopped.changed() => return,
            }
            if Self::is_slow(self.number) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            } else if !Self::is_steadfast(self.number) {
                self.wander().await;
            }
        }
    }

    /// Does something now and then.
    async fn wander(&mut self) {
        let n = self.random.usize(..2);
        match self.random.u8(..100) {
            0..4 => self.subscribe(n).await,
            4..8 => {
                self.unsubscribe(n).await;
                self.subscribe(n).await;
            }
            8..10 => {
                let new = Self::connect(self.address, self.number).await;
                let old = std::mem::replace(&mut self.client, new);
                match self.random.u8(..3) {
                    0 => old.kill(),
                    1 => old.reset(),
                    _ => {
                        old.close(1001).await;
                    }
                }
                for n in 0..2 {
                    self.subscribe(n).await;
                }
            }
            _ => {}
        }
    }

    /// Reads on until it knows what the broker answers: nothing changes any more, so it must.
    async fn settle(&mut self) {
        let clock = Clock::start();
        for (n, channel) in CHANNELS.iter().enumerate() {
            loop {
                let truth = self.client.all_members(channel).await;
                while let Some(frame) = self.client.already() {
                    self.take(&frame);
                }
                if self.replicas[n].is_whole() && knows(&self.replicas[n], &truth) {
                    break;
                }
                if clock.elapsed() > PATIENCE {
                    self.replicas[n].assert_equals(&truth);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// The channel that a frame tells of.
fn about(frame: &ServerFrame) -> Option<&str> {
    match frame {
        ServerFrame::Snapshot { channel, .. } | ServerFrame::Presence { channel, .. } => {
            Some(channel.as_str())
        }
        _ => None,
    }
}

fn knows(replica: &Replica, truth: &[MemberView]) -> bool {
    replica.members().len() == truth.len()
        && truth.iter().all(|member| replica.members().get(&member.user) == Some(member))
}

/// Starts the observers: some are there from the beginning (which this waits for), some come when
/// much has been done already.
async fn start_observers(
    address: SocketAddr,
    random: &mut Rng,
    done: &Arc<AtomicUsize>,
    stopped: &watch::Receiver<bool>,
) -> JoinSet<Observer> {
    let mut observers = JoinSet::new();
    let (ready, mut is_ready) = mpsc::channel(OBSERVERS);
    for number in 0..OBSERVERS {
        let (random, stopped) = (random.fork(), stopped.clone());
        let (ready, done) = (ready.clone(), Arc::clone(done));
        let later = (number + 1).saturating_sub(OBSERVERS / 2);
        let begin = ACTORS * ACTIONS * later / OBSERVERS;
        observers.spawn(async move {
            until("its time has come", || done.load(Ordering::Relaxed) >= begin).await;
            let mut observer = Observer::new(address, number, random).await;
            // Nobody listens to those who come late.
            let _ = ready.send(()).await;
            observer.observe(stopped).await;
            observer
        });
    }
    for _ in 0..OBSERVERS / 2 {
        is_ready.recv().await.unwrap();
    }
    observers
}

/// Everybody does a lot, and then rests.
async fn act(address: SocketAddr, random: &mut Rng, done: &Arc<AtomicUsize>) -> Vec<Actor> {
    let mut actors = JoinSet::new();
    for number in 0..ACTORS {
        let user = format!("user-{}", number % USERS);
        let (random, done) = (random.fork(), Arc::clone(done));
        let joined = BTreeSet::new();
        let mut actor = Actor { address, user, random, client: None, joined };
        actors.spawn(async move {
            for _ in 0..ACTIONS {
                actor.act().await;
                done.fetch_add(1, Ordering::Relaxed);
            }
            actor.rest().await;
            actor
        });
    }
    actors.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_the_end_everybody_knows_the_same() {
    let mut random = Rng::with_seed(seed("in_the_end_everybody_knows_the_same"));
    let broker = broker();
    let done = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = watch::channel(false);
    let observers = start_observers(broker.address(), &mut random, &done, &stopped).await;
    let mut actors = act(broker.address(), &mut random, &done).await;
    stop.send(true).unwrap();
    let mut observers = observers.join_all().await;

    // Nothing happens any more, and everyone knows what there is.
    let mut checker = broker.connect("checker").await;
    for observer in &mut observers {
        observer.settle().await;
    }
    for (n, channel) in CHANNELS.iter().enumerate() {
        let truth = checker.all_members(channel).await;
        assert!(!truth.is_empty());
        for observer in &observers {
            observer.replicas[n].assert_equals(&truth);
        }
    }
    // Everybody goes, each in his way.
    for actor in &mut actors {
        actor.vanish().await;
    }
    for channel in CHANNELS {
        let gone = async {
            while checker.count(channel).await > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("there are ghosts");
    }
    for observer in &mut observers {
        observer.settle().await;
        assert!(observer.replicas.iter().all(|replica| replica.members().is_empty()));
    }
    judge(&observers);
    drop((observers, checker));
    until("no channel is left", || broker.hub().channel_count() == 0).await;
    until("nobody is left", || broker.hub().connection_count() == 0).await;
}

/// Each join had its one end, and what was to be tried was tried.
fn judge(observers: &[Observer]) {
    let steadfast = || observers.iter().filter(|observer| Observer::is_steadfast(observer.number));
    for observer in steadfast() {
        assert_eq!((observer.resumed, observer.resyncs), (0, 0), "somebody disturbed it");
        for ((channel, user), (joins, ends)) in &observer.tally {
            assert_eq!(joins, ends, "{user} in {channel}");
        }
        assert_eq!(observer.tally.len(), USERS * CHANNELS.len());
    }
    let tallies: Vec<_> = steadfast().map(|observer| &observer.tally).collect();
    assert!(tallies.windows(2).all(|pair| pair[0] == pair[1]), "they were told different things");
    let slow = observers.iter().find(|observer| Observer::is_slow(observer.number)).unwrap();
    assert!(slow.resyncs > 0, "the slow one was fast enough");
    let resumed: usize = observers.iter().map(|observer| observer.resumed).sum();
    assert!(resumed > 0);
}

/// All come at once, and not one of them is one member short: a snapshot belongs to its place in
/// the order of frames.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_joins_leaves_everyone_with_everyone() {
    const CLIENTS: usize = 300;
    for _ in 0..3 {
        let broker = broker();
        let address = broker.address();
        let mut storm = JoinSet::new();
        for n in 0..CLIENTS {
            storm.spawn(async move {
                let mut client = Client::connect(address, &format!("user-{n}")).await;
                let join = json!({"type": "join", "channel": "room", "attributes": {"n": n}});
                let subscribe = json!({"type": "subscribe", "channel": "room"});
                // Whichever comes first.
                let both = if n % 2 == 0 { [join, subscribe] } else { [subscribe, join] };
                client.send_all(both).await;
                let mut replica = Replica::new("room");
                while !replica.is_whole() || replica.members().len() < CLIENTS {
                    replica.apply(&client.next().await);
                }
                (client, replica)
            });
        }
        let mut all = storm.join_all().await;
        let truth = all[0].0.all_members("room").await;
        assert_eq!(truth.len(), CLIENTS);
        for (client, replica) in &mut all {
            replica.assert_equals(&truth);
            client.expect_quiet_so_far().await;
        }
        join_all(all.iter_mut().map(|(client, _)| client.expect_quiet())).await;
        drop(all);
        until("everyone is gone", || broker.hub().channel_count() == 0).await;
    }
}

/// A channel that comes into being and vanishes over and over is one channel: whoever joined is
/// found there, whatever its neighbours did at that moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_joins_a_channel_that_is_gone() {
    const TIMES: i64 = 40;
    let broker = broker();
    let address = broker.address();
    let mut guests = JoinSet::new();
    for n in 0..6 {
        guests.spawn(async move {
            let user = format!("user-{n}");
            let mut client = Client::connect(address, &user).await;
            for _ in 0..200 {
                let frames = (0..TIMES).flat_map(|id| {
                    [
                        json!({"type": "join", "channel": "room"}),
                        json!({"type": "getAttributes", "channel": "room", "id": id}),
                        json!({"type": "leave", "channel": "room"}),
                    ]
                });
                client.send_all(frames).await;
                for id in 0..TIMES {
                    let found = client.reply(id).await;
                    assert!(matches!(found, ServerFrame::Result { .. }), "{user}: {found:?}");
                }
            }
        });
    }
    guests.join_all().await;
    until("no channel is left", || broker.hub().channel_count() == 0).await;
}
