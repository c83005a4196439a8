//! Readers behind slow lines: all of them get in, however many come at once and whoever else comes and
//! reads nothing, and whoever lags in a busy room knows the truth soon after it falls quiet.

use std::net::SocketAddr;
use std::time::Duration;

use herenow::clock::Clock;
use herenow_protocol::{ErrorCode, Event, ServerFrame};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::{interval, sleep, timeout};

use crate::broker::{Broker, Process, until};
use crate::client::Client;
use crate::replica::Replica;
use crate::wire::{Got, Wire, small_socket};

/// From one look at a line to the next.
const STEP: Duration = Duration::from_millis(20);

/// A line that carries so many bytes a second from the broker, and all that the client sends. What lies
/// in its receive buffer is what the kernel makes of the small one of `small_socket`.
pub(crate) async fn line(broker: SocketAddr, bytes_per_second: usize) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let (mut from_client, mut to_client) = near.into_split();
        let (from_broker, mut to_broker) = small_socket(broker).await.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_broker).await });
        let mut steps = interval(STEP);
        let mut buffer = vec![0; bytes_per_second * STEP.as_millis() as usize / 1_000];
        loop {
            steps.tick().await;
            let mut taken = 0;
            while taken < buffer.len() {
                match from_broker.try_read(&mut buffer[taken..]) {
                    Ok(0) => return,
                    Ok(some) => taken += some,
                    Err(_) => break,
                }
            }
            if to_client.write_all(&buffer[..taken]).await.is_err() {
                return;
            }
        }
    });
    address
}

/// So many members with attributes of about `bytes`.
async fn fill(broker: SocketAddr, room: &str, members: usize, bytes: usize) -> Vec<Client> {
    let mut filled = Vec::new();
    for n in 0..members {
        let mut member = Client::connect(broker, &format!("member-{n}")).await;
        let attributes = json!({"n": 0, "text": "x".repeat(bytes)});
        member.ok(json!({"type": "join", "channel": room, "attributes": attributes})).await;
        filled.push(member);
    }
    filled
}

/// A snapshot over a line of that speed, and how long it took.
async fn enter(broker: SocketAddr, user: String, speed: usize) -> (Client, Replica, Duration) {
    let mut client = Client::connect(line(broker, speed).await, &user).await;
    let began = Clock::start();
    client.ok(json!({"type": "subscribe", "channel": "room"})).await;
    let mut replica = Replica::lagging("room");
    while !replica.is_whole() {
        replica.apply(&client.next().await);
    }
    (client, replica, began.elapsed())
}

const MEGABIT: usize = 1_000_000 / 8;

/// Twenty-four lines into a large room, four a second, beside clients that come, read nothing and come
/// back: each is in about as soon as it would be alone, and nobody is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_in_over_a_slow_line() {
    const LINES: usize = 24;
    let broker = Process::start(&["--max-frames-burst=1000000"]);
    let room = fill(broker.address(), "room", 450, 2_000).await;
    let address = broker.address();
    let alone = enter(address, "alone".into(), 4 * MEGABIT).await.2;
    let attackers: Vec<_> = (0..20).map(|n| tokio::spawn(come_and_go(address, n))).collect();
    let mut readers = Vec::new();
    for n in 0..LINES {
        let user = format!("reader-{n}");
        readers.push(tokio::spawn(enter(address, user, 4 * MEGABIT)));
        sleep(Duration::from_millis(250)).await;
    }
    let mut slowest = Duration::ZERO;
    for reader in readers {
        let (_, replica, took) = reader.await.unwrap();
        assert_eq!(replica.users().len(), room.len());
        slowest = slowest.max(took);
    }
    attackers.iter().for_each(|attacker| attacker.abort());
    println!("alone {alone:?}, the slowest of {LINES} {slowest:?}");
    assert!(slowest < 2 * alone + Duration::from_secs(2), "alone {alone:?}, then {slowest:?}");
}

/// Subscribes, reads nothing, and comes back ten times a second.
async fn come_and_go(broker: SocketAddr, n: usize) {
    loop {
        let mut wire = Wire::connect_small(broker, &format!("attacker-{n}")).await;
        wire.say("sub room").await;
        sleep(Duration::from_millis(100)).await;
    }
}

/// Thirty slow members in a room that is written faster than their lines carry: nobody is closed or
/// told to be lost, each has the room whole again and again, and when the writing stops each soon knows
/// the truth: after the time in which its line carries the room once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_members_of_a_busy_room_know_the_truth_once_it_is_quiet() {
    const WRITERS: usize = 150;
    const BYTES: usize = 2_000;
    const SPEED: usize = 100_000;
    let clock = Clock::start();
    let broker = Process::start(&["--max-frames-burst=1000000"]);
    let address = broker.address();
    let mut writers = fill(address, "room", WRITERS, BYTES).await;
    let mut watcher = Client::connect(address, "watcher").await;
    let mut watched = watcher.observe("room").await;
    let mut readers = Vec::new();
    for n in 0..30 {
        readers.push(tokio::spawn(async move {
            let (mut client, replica, _) = enter(address, format!("slow-{n}"), SPEED).await;
            client.send("join room").await;
            read_on(client, replica, clock).await
        }));
    }
    let writing = tokio::spawn(async move {
        for round in 1..=6 {
            let began = Clock::start();
            for (n, writer) in writers.iter_mut().enumerate() {
                let attributes = json!({"n": round, "text": "y".repeat(BYTES)});
                let set =
                    json!({"type": "setAttributes", "channel": "room", "attributes": attributes});
                writer.send(set).await;
                let due = Duration::from_secs(1) * n as u32 / WRITERS as u32;
                sleep(due.saturating_sub(began.elapsed())).await;
            }
        }
        writers
    });
    let told = tokio::spawn(async move {
        loop {
            let frame = watcher.next().await;
            if let ServerFrame::Presence { events, .. } = &frame {
                for event in events {
                    let lost = matches!(event, Event::Timeout { .. } | Event::Leave { .. });
                    assert!(!lost, "{event:?}");
                }
            }
            watched.apply(&frame);
            let written = |m: &&herenow_protocol::reply::MemberView| {
                m.attributes.to_map().get("n") == Some(&json!(6))
            };
            if watched.members().values().filter(written).count() == WRITERS {
                return watched;
            }
        }
    });
    let writers = writing.await.unwrap();
    let quiet = clock.elapsed();
    let truth = told.await.unwrap();
    let once = Duration::from_secs_f64((WRITERS * (BYTES + 120)) as f64 / SPEED as f64);
    let mut slowest = Duration::ZERO;
    for reader in readers {
        let (replica, at, snapshots) = reader.await.unwrap();
        assert_eq!(replica.members(), truth.members());
        assert!(snapshots >= 1, "it never lagged");
        slowest = slowest.max(at.saturating_sub(quiet));
    }
    println!("the room once {once:?}, the last knew the truth after {slowest:?}");
    let bound = once.mul_f64(1.2) + Duration::from_secs(3);
    assert!(slowest < bound, "{slowest:?}, and the room takes {once:?}");
    drop(writers);
}

/// Reads until the last round is known; when that was, and how many snapshots came.
async fn read_on(
    mut client: Client,
    mut replica: Replica,
    clock: Clock,
) -> (Replica, Duration, usize) {
    let mut snapshots = 0;
    let mut beats = interval(Duration::from_secs(20));
    loop {
        tokio::select! {
            _ = beats.tick() => client.send("hb").await,
            frame = client.next() => {
                let last = matches!(&frame, ServerFrame::Snapshot { more: false, .. });
                snapshots += usize::from(last);
                replica.apply(&frame);
            }
        }
        let known = |m: &herenow_protocol::reply::MemberView| {
            !m.user.as_str().starts_with("member")
                || m.attributes.to_map().get("n") == Some(&json!(6))
        };
        let all = replica.members().len() == 180;
        if replica.is_whole() && all && replica.members().values().all(known) {
            return (replica, clock.elapsed(), snapshots);
        }
    }
}

/// Whoever unsubscribes in the midst of a snapshot hears no more of it, and a later one begins anew.
#[tokio::test]
async fn an_unsubscribe_ends_a_snapshot_in_its_midst() {
    let broker = Broker::start();
    let mut room = fill(broker.address(), "room", 300, 4_000).await;
    let mut wire = Wire::connect_small(broker.address(), "slow").await;
    wire.say("sub room").await;
    wire.readable().await;
    sleep(Duration::from_millis(100)).await;
    for (n, again) in [false, true].into_iter().enumerate() {
        let unsubscribe = json!({"type": "unsubscribe", "id": n, "channel": "room"});
        wire.say(&unsubscribe.to_string()).await;
        let mut parts = 0;
        while wire.json().await["type"] != "ok" {
            parts += 1;
            assert!(parts < 60, "the whole snapshot came");
        }
        room[0].ok("set room x=1").await;
        assert!(timeout(Duration::from_millis(200), wire.next()).await.is_err(), "more came");
        wire.say("sub room").await;
        let mut replica = Replica::lagging("room");
        while again && !replica.is_whole() {
            let Got::Text(text) = wire.next().await else { panic!("no frame") };
            replica.apply(&serde_json::from_str(&text).unwrap());
        }
        if again {
            assert_eq!(replica.users().len(), room.len());
        } else {
            wire.readable().await;
        }
    }
    until("nothing is kept", || broker.hub().backlog().bytes() == 0).await;
}

/// Asking for a large snapshot again and again is refused when it has cost as much as a client may
/// cost; coming back to many channels is not, nor is anything else that the client asks meanwhile.
#[tokio::test]
async fn a_repeated_subscribe_is_charged_for_what_it_costs() {
    let broker = Broker::with(|config| config.limits.max_channels = 200);
    let _room = fill(broker.address(), "room", 250, 4_000).await;
    let mut client = broker.connect("greedy").await;
    // An ordinary client that comes back to as many channels as it may have.
    for n in 0..128 {
        client.ok(json!({"type": "subscribe", "channel": format!("other-{n}")})).await;
    }
    let mut asked = 0;
    let wait_ms = loop {
        let answer = client.request(json!({"type": "subscribe", "channel": "room"})).await;
        if let ServerFrame::Error { code, retry_after_ms, .. } = answer {
            assert_eq!(code, ErrorCode::RateLimited);
            break retry_after_ms.expect("when to come back");
        }
        let mut replica = Replica::new("room");
        while !replica.is_whole() {
            replica.apply(&client.next().await);
        }
        client.ok("unsub room").await;
        asked += 1;
        assert!(asked < 200, "{asked} snapshots of a megabyte");
        sleep(Duration::from_millis(25)).await;
    };
    assert!(asked > 40, "only {asked} snapshots of a megabyte");
    assert!((1..5_000).contains(&wait_ms), "{wait_ms}");
    // What costs nothing is not refused.
    client.ok(json!({"type": "subscribe", "channel": "room", "level": "count"})).await;
    client.ok("hb").await;
    sleep(Duration::from_millis(wait_ms)).await;
    client.ok(json!({"type": "subscribe", "channel": "room"})).await;
}
