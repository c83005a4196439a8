//! A shutdown under many clients, and the port for whoever operates the broker.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use herenow::clock::Clock;
use herenow_protocol::ServerFrame;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::broker::{Broker, Process, until};
use crate::client::Client;
use crate::http::ask;
use crate::lifecycle::refused;
use crate::place::TextFile;

/// Enough that a drain shows that it is spread.
const CLIENTS: usize = 2_000;

const DELAY: Duration = Duration::from_secs(2);

async fn ready(address: SocketAddr) -> u16 {
    ask(address, "GET", "/readyz", &[], "").await.status
}

/// Waits for the end of a client's connection, of which it must have heard in time: when, and in how
/// long it is to come back.
async fn sent_away(mut client: Client, clock: Clock) -> (Duration, u64) {
    assert_eq!(client.ended().await.code(), 1012);
    let at = clock.elapsed();
    loop {
        if let ServerFrame::Goaway { reconnect_in_ms, .. } = client.next().await {
            return (at, reconnect_in_ms);
        }
    }
}

/// Whether a newcomer had its welcome. Who comes too late is turned away by a port that is closed.
async fn newcomer(address: SocketAddr, number: usize) -> Option<Client> {
    let stream = TcpStream::connect(address).await.ok()?;
    let path = format!("/ws?user=new{number}");
    let (mut client, _) = Client::open(stream, &path, None).await.ok()?;
    assert!(matches!(client.next().await, ServerFrame::Welcome { .. }));
    Some(client)
}

#[tokio::test]
async fn newcomers_are_served_for_the_delay_and_then_everybody_is_sent_away() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let delay = format!("{}s", DELAY.as_secs());
    let mut process = Process::start(&["--drain-delay", &delay, "--drain-timeout", "10s"]);
    let address = process.address();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(process.connect(&format!("user{number}")).await);
    }
    assert_eq!(ready(address).await, 200);
    let clock = Clock::start();
    process.signal("TERM");
    let mut ends = JoinSet::new();
    for client in clients {
        ends.spawn(sent_away(client, clock));
    }
    let mut served = 0;
    loop {
        let Some(client) = newcomer(address, served).await else { break };
        served += 1;
        ends.spawn(sent_away(client, clock));
        // From the signal on, whoever asks anew is told that the broker is not ready.
        if clock.elapsed() > Duration::from_millis(500) && clock.elapsed() < DELAY / 2 {
            assert_eq!(ready(address).await, 503);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(clock.elapsed() >= DELAY, "a newcomer was refused after {:?}", clock.elapsed());
    assert!(served >= 5, "{served} newcomers");
    let ends = ends.join_all().await;
    assert_eq!(ends.len(), CLIENTS + served);
    let first = ends.iter().map(|end| end.0).min().unwrap();
    let last = ends.iter().map(|end| end.0).max().unwrap();
    assert!(first >= DELAY, "somebody was sent away after {first:?}");
    assert!(last - first >= Duration::from_secs(1), "all at once, from {first:?} to {last:?}");
    let mut back: Vec<_> = ends.iter().map(|end| end.1).collect();
    back.sort_unstable();
    back.dedup();
    assert!(back.len() > CLIENTS / 2, "{} moments to come back", back.len());
    let (status, _) = process.exited(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0));
    assert!(clock.elapsed() < DELAY + Duration::from_secs(11), "it took {:?}", clock.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut process = Process::start(&["--drain-delay", "1h"]);
    let mut ada = process.connect("ada").await;
    process.signal("TERM");
    let clock = Clock::start();
    while ready(process.address()).await == 200 {
        assert!(clock.elapsed() < Duration::from_secs(20), "it is ready all the same");
    }
    // It serves as ever.
    ada.ok("join room").await;
    process.signal("TERM");
    let (status, said) = process.exited(Duration::from_secs(20));
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("a second signal came"), "{said}");
}

#[tokio::test]
async fn a_file_that_is_never_read_to_its_end_holds_nothing_up() {
    let keys =
        "[[key]]\nname = \"back\"\nsecret = \"of-at-least-sixteen-bytes\"\nrights = [\"read\"]\n";
    let file = TextFile::new("keys", keys);
    let mut process = Process::start(&["--api-keys-file", file.path()]);
    // A pipe into which nobody writes.
    std::fs::remove_file(file.path()).unwrap();
    assert!(Command::new("mkfifo").arg(file.path()).status().unwrap().success());
    for _ in 0..3 {
        process.signal("HUP");
    }
    let mut ada = process.connect("ada").await;
    ada.ok("join room").await;
    process.signal("TERM");
    assert_eq!(ada.ended().await.code(), 1012);
    let (status, _) = process.exited(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0));
}

// The port for whoever operates the broker.

fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

#[tokio::test]
async fn with_a_port_of_their_own_operators_are_answered_there_alone() {
    let broker = Broker::with(|config| config.admin_listen = Some(loopback()));
    let (public, admin) = (broker.address(), broker.admin_address().unwrap());
    for (path, at_public, at_admin) in [
        ("/healthz", 200, 200),
        ("/readyz", 404, 200),
        ("/metrics", 404, 200),
        ("/openapi.json", 200, 404),
        ("/v1/channels", 200, 404),
        ("/v1/channels/room/count", 200, 404),
        ("/", 200, 404),
        ("/client/herenow.js", 200, 404),
    ] {
        assert_eq!(ask(public, "GET", path, &[], "").await.status, at_public, "{path}");
        assert_eq!(ask(admin, "GET", path, &[], "").await.status, at_admin, "{path}");
    }
    assert_eq!(ask(admin, "GET", "/ws?user=ada", &[], "").await.status, 404);
    assert_eq!(ask(admin, "POST", "/metrics", &[], "").await.status, 405);
    let document = ask(public, "GET", "/openapi.json", &[], "").await.body;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/healthz") && !paths.contains_key("/metrics"));
    // Without it all is at the one port.
    let broker = Broker::start();
    assert_eq!(broker.admin_address(), None);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(ask(broker.address(), "GET", path, &[], "").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn operators_are_answered_when_no_client_is_and_to_the_end() {
    let broker = Broker::with(|config| {
        config.admin_listen = Some(loopback());
        config.limits.max_connections = Some(1);
        config.drain_delay = Duration::from_millis(300);
    });
    let (public, admin) = (broker.address(), broker.admin_address().unwrap());
    let ada = broker.connect("ada").await;
    assert!(newcomer(public, 0).await.is_none(), "one connection is the limit");
    let metrics = ask(admin, "GET", "/metrics", &[], "").await;
    assert!(metrics.body.as_str().unwrap().contains("herenow_connections 1"));
    let hub = std::sync::Arc::clone(broker.hub());
    let stopping = tokio::spawn(broker.stop());
    until("it is leaving", || hub.is_leaving()).await;
    assert_eq!(ready(admin).await, 503);
    until("it drains", || hub.is_draining()).await;
    // The client has not closed its side yet, and so the broker waits for it.
    assert_eq!(ready(admin).await, 503);
    drop(ada);
    stopping.await.unwrap();
    assert!(TcpStream::connect(admin).await.is_err(), "it still listens");
}

#[test]
fn the_port_of_operators_is_told_and_may_be_taken() {
    let process = Process::start(&["--admin-listen", "127.0.0.1:0"]);
    let said = process.greeting();
    assert!(said.contains("admin   http://127.0.0.1:"), "{said}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = crate::broker::binary();
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", &address]);
    let said = refused(&mut command);
    assert!(said.contains("--admin-listen") && said.contains(&address), "{said}");
}
