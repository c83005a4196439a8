//! Streams of events whose readers are slow, or stop; and the binary as others meet it: behind
//! nginx, in its logs, at its end.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use herenow::clock::Clock;
use herenow::limits::RING_BYTES;
use herenow_protocol::reply::SnapshotReason;
use herenow_protocol::{Event, ServerFrame};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::broker::{Broker, Process, until};
use crate::client::Client;
use crate::closes::resident_kib;
use crate::free::free_address;
use crate::source::{Known, Source};
use crate::wire::small_socket;

const ROOM: &str = "/v1/channels/room/events";

const PATIENT: [&str; 4] = [
    "--max-frames-burst=1000000",
    "--max-frames-per-second=1000000",
    "--max-write-time=60s",
    "--log=warn",
];

/// Sets attributes of so many bytes, marked by a number.
async fn write(client: &mut Client, n: usize, bytes: usize) {
    let attributes = json!({"n": n, "text": "x".repeat(bytes)});
    client.ok(json!({"type": "setAttributes", "channel": "room", "attributes": attributes})).await;
}

/// The numbers that a frame's events carry.
fn numbers(frame: &ServerFrame) -> Vec<u64> {
    let ServerFrame::Presence { events, .. } = frame else { return Vec::new() };
    let number = |event: &Event| json!(event)["attributes"]["n"].as_u64();
    events.iter().filter_map(number).collect()
}

/// Twenty that read a byte a second: memory grows by little more than the ring and a frame for
/// each, and another stream has every change at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_a_byte_a_second_costs_little_and_slows_nobody() {
    const SLOW: usize = 20;
    const CHANGES: usize = 4_000;
    const BYTES: usize = 4_000;
    let broker = Process::start(&PATIENT);
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut socket = small_socket(broker.address()).await;
        let head = format!("GET {ROOM} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes()).await.unwrap();
        slow.push(tokio::spawn(async move {
            loop {
                assert!(socket.read_u8().await.is_ok(), "it was ended");
                sleep(Duration::from_secs(1)).await;
            }
        }));
    }
    let mut fast = Source::open(broker.address(), ROOM, &[]).await;
    fast.event().await;
    let before = resident_kib(broker.id());
    let mut slowest = Duration::ZERO;
    for n in 0..CHANGES {
        let clock = Clock::start();
        write(&mut ada, n, BYTES).await;
        let frame = fast.event().await.frame().unwrap();
        assert_eq!(numbers(&frame), [n as u64], "each change, one by one");
        slowest = slowest.max(clock.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let grown = 1024 * resident_kib(broker.id()).saturating_sub(before) as usize;
    // Of each: what HTTP buffers and one event more; and what the allocator keeps.
    let most = RING_BYTES + SLOW * 128 * 1024 + 8 * 1024 * 1024;
    assert!(grown < most, "{grown} bytes more, and {most} were to be the most");
    assert!(most < SLOW * CHANGES * BYTES / 10, "a queue would be far beyond it");
    assert!(slow.iter().all(|task| !task.is_finished()));
}

/// A reader that slept gets the state as it is, and goes on from there.
#[tokio::test]
async fn a_stream_that_fell_behind_is_resynced() {
    let broker = Broker::with(|config| {
        config.limits.max_frames_burst = 1_000_000;
        config.limits.max_write_time = Duration::from_secs(60);
    });
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let socket = small_socket(broker.address()).await;
    let mut slow = Source::over(socket, ROOM, &[]).await;
    let total = 2 * RING_BYTES / 4_000;
    for n in 0..total {
        write(&mut ada, n, 3_900).await;
        assert!(broker.hub().ring_bytes() <= RING_BYTES + 10_000);
    }
    ada.ok("set room last=1").await;
    let mut known = Known::default();
    let (mut resyncs, mut frames) = (0, 0);
    loop {
        let frame = slow.event().await.frame().unwrap();
        let resync = SnapshotReason::Resync;
        resyncs += usize::from(
            matches!(&frame, ServerFrame::Snapshot { reason, .. } if *reason == resync),
        );
        frames += 1;
        known.apply(frame);
        let room = herenow_protocol::ChannelName::parse("room", "channel").unwrap();
        if known.members(&room).values().any(|ada| ada.attributes.as_str().contains("last")) {
            break;
        }
    }
    assert!(resyncs == 1 && frames < total / 2, "{resyncs} resyncs in {frames} frames");
    let counted = broker.hub().metrics().resyncs.get();
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_closed_in_time() {
    let within = Duration::from_millis(600);
    let broker = Broker::with(|config| {
        config.limits.max_frames_burst = 1_000_000;
        config.limits.max_write_time = within;
        config.limits.sse_keep_alive = Duration::from_millis(100);
    });
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    // A quiet stream is no slow one.
    let mut idle = Source::open(broker.address(), "/v1/channels/hall/events", &[]).await;
    idle.event().await;
    let stuck = Source::over(small_socket(broker.address()).await, ROOM, &[]).await;
    assert_eq!(broker.stream_count(), 2);
    let clock = Clock::start();
    let mut n = 0;
    while broker.stream_count() == 2 {
        write(&mut ada, n, 4_000).await;
        sleep(Duration::from_millis(2)).await;
        n += 1;
        assert!(clock.elapsed() < Duration::from_secs(15), "it is never closed");
    }
    assert!(clock.elapsed() >= within, "{:?}", clock.elapsed());
    sleep(2 * within).await;
    assert!(idle.next().await.is_some_and(|got| got.comment));
    assert_eq!(broker.stream_count(), 1);
    drop((stuck, broker));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_waits_for_no_stream() {
    let mut broker = Process::start(&PATIENT);
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let stuck = Source::over(small_socket(broker.address()).await, ROOM, &[]).await;
    let mut fine = Source::open(broker.address(), ROOM, &[]).await;
    for n in 0..200 {
        write(&mut ada, n, 4_000).await;
    }
    ada.close(1000).await;
    broker.signal("TERM");
    while fine.next().await.is_some() {}
    assert!(fine.ended_well(), "the last chunk came");
    let (status, said) = broker.exited(Duration::from_secs(3));
    assert!(status.success(), "{said}");
    drop(stuck);
}

/// However much is logged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_the_address_is_in_no_log() {
    let secret = "thirty-two bytes are the least of all";
    let mut command = crate::broker::binary();
    command.env("HERENOW_JWT_SECRET", secret).args(["--listen=127.0.0.1:0", "--log=trace"]);
    let mut broker = Process::spawn(command);
    let token = crate::rights::token("--user ada");
    let path = format!("{ROOM}?token={token}");
    let mut stream = Source::open(broker.address(), &path, &[]).await;
    stream.event().await;
    let (_, signature) = token.rsplit_once('.').unwrap();
    let bad = path.replace(signature, "AAAA");
    let answer = crate::http::ask(broker.address(), "GET", &bad, &[], "").await;
    assert_eq!(answer.code(), "unauthenticated");
    broker.signal("TERM");
    let (_, said) = broker.exited(Duration::from_secs(5));
    assert!(said.contains("/v1/channels/{channel}/events"), "requests are logged: {said}");
    for part in token.split('.') {
        assert!(!said.contains(part), "{part} in {said}");
    }
}

/// nginx as Debian installs it, with a bare `proxy_pass`.
struct Nginx {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Nginx {
    async fn before(broker: SocketAddr) -> Self {
        let address = free_address();
        let folder = std::env::temp_dir().join(format!("herenow-nginx-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let at = folder.display();
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};"))
            .join(" ");
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; events {{}} \
             http {{ access_log off; {paths} server {{ listen {address}; \
             location / {{ proxy_pass http://{broker}; }} }} }}"
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let path = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap());
        let child = Command::new("nginx")
            .env("PATH", path)
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("this test needs nginx (apt-get install nginx-light): {error}")
            });
        let nginx = Self { child, address, folder };
        let clock = Clock::start();
        while TcpStream::connect(address).await.is_err() {
            let log = fs::read_to_string(nginx.folder.join("error.log")).unwrap_or_default();
            assert!(clock.elapsed() < Duration::from_secs(10), "nginx does not listen: {log}");
            sleep(Duration::from_millis(20)).await;
        }
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// It passes each event on as it comes, keeps quiet streams, and lets a client come back.
#[tokio::test]
async fn nginx_with_its_defaults_passes_each_event_on() {
    let broker = Broker::start();
    let nginx = Nginx::before(broker.address()).await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let mut stream = Source::open(nginx.address, ROOM, &[]).await;
    let mut first = stream.event().await;
    // Each is awaited before the next is caused: a proxy that gathers them would wait for ever.
    for n in 0..50 {
        write(&mut ada, n, 10).await;
        let event = stream.event().await;
        assert_eq!(numbers(&event.frame().unwrap()), [n as u64]);
        if n == 24 {
            first = event;
        }
    }
    drop(stream);
    let header = format!("Last-Event-ID: {}", first.id.unwrap());
    let mut again = Source::open(nginx.address, ROOM, &[&header]).await;
    for n in 25..50 {
        assert_eq!(numbers(&again.event().await.frame().unwrap()), [n]);
    }
    drop(again);
    until("nginx lets the broker know that the client is gone", || broker.stream_count() == 0)
        .await;
}
