//! Two hundred streams of several viewers, cut and resumed at random while members come, go and
//! hide: at every quiet point each knows what a socket of the same viewer knows, and what is true.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use herenow::hub::{At, Hub};
use herenow::presence::{Command, Lasts, Source as KeptBy, Viewer};
use herenow_protocol::reply::MemberView;
use herenow_protocol::{Audience, ChannelName, LeaveReason, Role, ServerFrame, UserId};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::broker::{Broker, until};
use crate::client::Client;
use crate::rights::{READER, broker_with, token};
use crate::seed::seed;
use crate::source::{Known, Source, truth};

const STREAMS: usize = 200;
const ROUNDS: usize = 8;
const CHANGES: usize = 400;
const USERS: usize = 12;
const ROOMS: usize = 3;

fn room(n: usize) -> ChannelName {
    ChannelName::parse(&format!("room-{n}"), "channel").unwrap()
}

fn user(n: usize) -> UserId {
    UserId::parse(&format!("user-{n}"), "user").unwrap()
}

/// Somebody who looks: the flags of its token; a back end has none.
#[derive(Clone)]
struct Looker {
    user: UserId,
    roles: Vec<Role>,
    flags: Option<String>,
}

impl Looker {
    fn user(name: &str, roles: &[&str]) -> Self {
        let mut flags = format!("--user {name}");
        roles.iter().for_each(|role| flags += &format!(" --role {role}"));
        let roles = roles.iter().map(|role| Role::parse(role, "role").unwrap()).collect();
        Self { user: UserId::parse(name, "user").unwrap(), roles, flags: Some(flags) }
    }

    fn back_end() -> Self {
        Self { user: user(0), roles: Vec::new(), flags: None }
    }

    fn viewer(&self) -> Viewer<'_> {
        match self.flags {
            Some(_) => Viewer::User { user: &self.user, roles: &self.roles },
            None => Viewer::All,
        }
    }

    fn bearer(&self) -> String {
        self.flags.as_ref().map_or_else(|| READER.to_owned(), |flags| token(flags))
    }
}

/// What one reader knows, for the test to look at.
type Shared = Arc<Mutex<Known>>;

/// What all streams share.
struct Course {
    address: SocketAddr,
    /// Streams are cut.
    rough: AtomicBool,
    cuts: AtomicUsize,
    resumed: AtomicUsize,
}

/// Reads a stream for ever, cuts it now and then, and comes back.
async fn read(course: Arc<Course>, path: String, bearer: String, seed: u64, known: Shared) {
    let mut random = Rng::with_seed(seed);
    let mut last_id = String::new();
    loop {
        let mut headers = vec![format!("authorization: Bearer {bearer}")];
        let mut path = path.clone();
        if random.bool() {
            headers.push(format!("last-event-id: {last_id}"));
        } else if !path.contains('?') {
            path = format!("{path}?lastEventId={last_id}");
        }
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let mut source = Source::open(course.address, &path, &headers).await;
        let mut first = !last_id.is_empty();
        loop {
            let patience = Duration::from_millis(random.u64(1..300));
            match timeout(patience, source.next()).await {
                Ok(Some(got)) => {
                    let Some(frame) = got.frame() else { continue };
                    let again = matches!(frame, ServerFrame::Presence { .. });
                    if std::mem::take(&mut first) && again {
                        course.resumed.fetch_add(1, Ordering::Relaxed);
                    }
                    known.lock().apply(frame);
                    if let Some(id) = got.id {
                        last_id = id;
                    }
                }
                Ok(None) => panic!("the broker ended it"),
                Err(_) => {}
            }
            if random.u8(..25) == 0 && course.rough.load(Ordering::Relaxed) {
                break;
            }
        }
        course.cuts.fetch_add(1, Ordering::Relaxed);
        drop(source);
        known.lock().lost();
        sleep(Duration::from_millis(random.u64(..30))).await;
    }
}

/// A socket of a user that subscribes to all rooms.
async fn listen(address: SocketAddr, bearer: String, known: Shared) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, _) = Client::open(stream, &format!("/ws?token={bearer}"), None).await.unwrap();
    for n in 0..ROOMS {
        client.send(format!("sub room-{n}")).await;
    }
    loop {
        let frame = client.next().await;
        if matches!(frame, ServerFrame::Snapshot { .. } | ServerFrame::Presence { .. }) {
            known.lock().apply(frame);
        }
    }
}

/// Changes something at random.
fn change(hub: &Arc<Hub>, random: &mut Rng) {
    let (n, channel) = (random.usize(..USERS), room(random.usize(..ROOMS)));
    let (user, source) = (user(n), KeptBy::connection(1_000_000 + n as u64));
    let audiences: [&[&str]; 5] =
        [&["any"], &["team:blue"], &["team:red", "user:user-1"], &[], &["team:blue", "team:red"]];
    let attributes = json!({"n": random.u8(..6)}).as_object().unwrap().clone();
    let command = match random.u8(..8) {
        0..3 => Command::Join {
            user,
            source,
            attributes: Some(attributes),
            merge: false,
            info: None,
            visible_to: random.bool().then(|| {
                Audience::parse(random.choice(audiences).unwrap().iter().copied()).unwrap()
            }),
            away: random.bool().then(|| random.bool()),
            lasts: Lasts::Connection { grace_ms: 0 },
        },
        3..6 => Command::Leave { user, source, reason: LeaveReason::Left },
        _ => Command::SetAttributes { user, source, attributes, merge: true, ttl_ms: None },
    };
    let now = hub.clock().now();
    let _ = hub.enter(At::Named(&channel), |door| door.apply(command, now));
}

/// A reader under way: who it is, which rooms it reads, and what it knows.
struct Reader {
    name: String,
    looker: Looker,
    rooms: std::ops::Range<usize>,
    known: Shared,
}

impl Reader {
    fn knows(&self, truths: &Truths) -> bool {
        let known = self.known.lock();
        self.rooms
            .clone()
            .all(|n| known.members(&room(n)) == truths[&(self.looker.bearer_key(), n)])
    }
}

/// By viewer and room.
type Truths = BTreeMap<(String, usize), BTreeMap<UserId, MemberView>>;

impl Looker {
    fn bearer_key(&self) -> String {
        self.flags.clone().unwrap_or_default()
    }
}

fn start_readers(broker: &Broker, course: &Arc<Course>, random: &mut Rng) -> Vec<Reader> {
    let lookers = [
        Looker::user("nobody", &[]),
        Looker::user("user-1", &[]),
        Looker::user("blue", &["team:blue"]),
        Looker::user("both", &["team:blue", "team:red"]),
        Looker::back_end(),
    ];
    let mut readers = Vec::new();
    for looker in &lookers[..4] {
        let known = Shared::default();
        tokio::spawn(listen(broker.address(), looker.bearer(), Arc::clone(&known)));
        let name = format!("the socket of {}", looker.user);
        readers.push(Reader { name, looker: looker.clone(), rooms: 0..ROOMS, known });
    }
    for n in 0..STREAMS {
        let looker = lookers[n % lookers.len()].clone();
        let pattern = looker.flags.is_none() && n % 2 == 0;
        let (path, rooms) = if pattern {
            ("/v1/events?channels=room-*".to_owned(), 0..ROOMS)
        } else {
            let n = random.usize(..ROOMS);
            (format!("/v1/channels/room-{n}/events"), n..n + 1)
        };
        let known = Shared::default();
        let (course, seed) = (Arc::clone(course), random.u64(..));
        tokio::spawn(read(course, path.clone(), looker.bearer(), seed, Arc::clone(&known)));
        let name = format!("stream {n} of {path} as {}", looker.bearer_key());
        readers.push(Reader { name, looker, rooms, known });
    }
    readers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_cut_know_what_sockets_know() {
    let mut random = Rng::with_seed(seed("streams_that_are_cut_know_what_sockets_know"));
    let broker = broker_with(|config| {
        config.limits.max_requests_burst = 1_000_000;
        config.limits.max_requests_per_second = 1_000_000;
    });
    let course = Arc::new(Course {
        address: broker.address(),
        rough: AtomicBool::new(true),
        cuts: AtomicUsize::new(0),
        resumed: AtomicUsize::new(0),
    });
    let readers = start_readers(&broker, &course, &mut random);
    let hub = broker.hub();
    for round in 0..ROUNDS {
        course.rough.store(true, Ordering::Relaxed);
        for _ in 0..CHANGES {
            change(hub, &mut random);
            if random.u8(..4) == 0 {
                sleep(Duration::from_millis(random.u64(..12))).await;
            }
        }
        course.rough.store(false, Ordering::Relaxed);
        let mut truths = Truths::new();
        for reader in &readers {
            for n in 0..ROOMS {
                let key = (reader.looker.bearer_key(), n);
                truths.entry(key).or_insert_with(|| truth(hub, &room(n), reader.looker.viewer()));
            }
        }
        for reader in &readers {
            let what = format!("{} knows what is true in round {round}", reader.name);
            until(&what, || reader.knows(&truths)).await;
        }
        // It stays so: nothing false was still on its way.
        sleep(Duration::from_millis(50)).await;
        assert!(readers.iter().all(|reader| reader.knows(&truths)));
    }
    let (cuts, resumed) =
        (course.cuts.load(Ordering::Relaxed), course.resumed.load(Ordering::Relaxed));
    assert!(cuts > 2 * STREAMS && resumed > STREAMS / 2, "{cuts} cuts, {resumed} went on");
    assert!(broker.stream_count() >= STREAMS);
}
