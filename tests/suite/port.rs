//! The port: whose page may ask, which requests are whole, who takes its answer, what a flood leaves
//! in the log, and what a shutdown still answers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use herenow::clock::Clock;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::broker::{Broker, Process, binary};
use crate::client::Client;
use crate::http::ask;
use crate::place::ROOT;
use crate::rights;
use crate::wire::{Wire, small_socket};

/// Sends a request as it stands, and reads the answer until its end.
async fn raw(address: SocketAddr, request: &str) -> String {
    let mut wire = Wire::dial(address).await;
    wire.write(request.as_bytes()).await;
    wire.rest().await
}

/// The status of the answer to a GET with these header lines.
async fn status(address: SocketAddr, path: &str, headers: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
    status_of(&raw(address, &request).await)
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer:?}")).parse().unwrap()
}

/// The head of the answer to a handshake with these header lines.
async fn handshake(address: SocketAddr, headers: &str) -> String {
    let mut wire = Wire::dial(address).await;
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let request = format!("GET /ws?user=ada HTTP/1.1\r\n{key}\r\n{headers}\r\n");
    wire.write(request.as_bytes()).await;
    wire.head().await
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";

/// A page of a foreign name that leads to this machine is of the broker's own origin to its browser,
/// and sends no `Origin` with a GET: its name gives it away.
#[tokio::test]
async fn without_tokens_a_foreign_name_is_refused() {
    let broker = Broker::start();
    let at = broker.address();
    let own = [
        "localhost",
        "LocalHost:8080",
        "localhost.",
        "app.localhost:3000",
        "127.0.0.1:8080",
        "127.9.8.7",
        "[::1]:8080",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ];
    for host in own {
        let headers = format!("host: {host}\r\n");
        assert_eq!(status(at, "/v1/channels/room", &headers).await, 200, "{host}");
        let same = format!("{headers}origin: http://{host}\r\n");
        assert_eq!(status(at, "/v1/channels/room", &same).await, 200, "{host}");
        let head = handshake(at, &format!("{headers}{UPGRADE}")).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }
    let foreign = [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.5:8080",
        "0.0.0.0",
        "128.0.0.1",
        "[::2]",
        "xlocalhost",
        "",
        "localhost@evil",
    ];
    for host in foreign {
        for origin in [String::new(), format!("origin: http://{host}\r\n")] {
            let headers = format!("host: {host}\r\n{origin}");
            let everywhere = [
                "/",
                "/app.js",
                "/v1/channels/room",
                "/v1/channels/room/events",
                "/metrics",
                "/no",
            ];
            for path in everywhere {
                assert_eq!(status(at, path, &headers).await, 421, "{host} {origin} {path}");
            }
            let head = handshake(at, &format!("{headers}{UPGRADE}")).await;
            assert!(head.starts_with("HTTP/1.1 421 "), "{host}: {head}");
        }
    }
    // Whom the request line names counts as well as the header.
    let absolute = "GET http://evil.example/v1/channels/room HTTP/1.1\r\nhost: localhost\r\n\
                    connection: close\r\n\r\n";
    assert_eq!(status_of(&raw(at, absolute).await), 421);
    let lease = "PUT /v1/channels/room/members/eve HTTP/1.1\r\nhost: evil.example\r\n\
                 connection: close\r\n\r\n";
    let answer = raw(at, lease).await;
    assert_eq!(status_of(&answer), 421);
    for told in [r#""code":"forbidden""#, r#""field":"host""#, "--public-url", "localhost"] {
        assert!(answer.contains(told), "no {told} in {answer}");
    }
    assert_eq!(broker.hub().channel_count(), 0);
}

#[tokio::test]
async fn a_broker_without_tokens_is_told_its_public_name() {
    let flags =
        ["--public-url=https://Presence.example/", "--allow-origin=https://app.example:8443"];
    let broker = Process::start(&flags);
    let at = broker.address();
    for (headers, expected) in [
        ("host: presence.example\r\n", 200),
        ("host: presence.example:443\r\n", 200),
        ("host: presence.example:444\r\n", 421),
        ("host: app.example:8443\r\n", 200),
        ("host: app.example\r\n", 421),
        ("host: presence.example\r\norigin: https://presence.example\r\n", 200),
        // A proxy may name the broker as it reaches it: the page's origin is the public one.
        ("host: 127.0.0.1\r\norigin: https://presence.example\r\n", 200),
        ("host: 127.0.0.1\r\norigin: https://app.example:8443\r\n", 200),
        ("host: presence.example\r\norigin: https://evil.example\r\n", 403),
    ] {
        assert_eq!(status(at, "/v1/channels/room", headers).await, expected, "{headers}");
    }
    for (bad, says) in [
        ("presence.example", "scheme"),
        ("https://presence.example/here", "path"),
        ("https://*.example", "host"),
        ("ws://presence.example", "http"),
        ("null", "http"),
    ] {
        let refused =
            binary().args(["--listen=127.0.0.1:0", "--public-url", bad]).output().unwrap();
        let why = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && why.lines().count() == 1, "{why}");
        assert!(why.contains("--public-url") && why.contains(says), "{why}");
    }
}

#[tokio::test]
async fn with_tokens_any_name_will_do() {
    let broker = rights::broker_with(|_| {});
    let header = format!("authorization: Bearer {}\r\n", rights::READER);
    for host in ["evil.example", "localhost", ""] {
        let headers = format!("host: {host}\r\n{header}");
        assert_eq!(status(broker.address(), "/v1/channels/room", &headers).await, 200, "{host}");
    }
}

#[tokio::test]
async fn a_proxy_before_a_broker_without_tokens_is_warned_of_once() {
    let secret = "a secret of at least thirty-two bytes";
    for (secret, warnings) in [(None, 1), (Some(secret), 0)] {
        let mut command = binary();
        command.args(["--listen=127.0.0.1:0", "--log=warn"]);
        command.envs(secret.map(|secret| ("HERENOW_JWT_SECRET", secret)));
        let mut broker = Process::spawn(command);
        for header in ["x-forwarded-for: 1.2.3.4", "forwarded: for=1.2.3.4", "via: 1.1 front", ""] {
            let line = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
            let headers = format!("host: localhost\r\n{line}");
            assert_eq!(status(broker.address(), "/healthz", &headers).await, 200);
        }
        broker.signal("TERM");
        let (_, log) = broker.exited(Duration::from_secs(10));
        assert_eq!(log.matches("through a proxy").count(), warnings, "{log}");
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    for broker in [Broker::start(), rights::broker_with(|_| {})] {
        let at = broker.address();
        for path in ["/", "/healthz", "/v1/channels/room", "/ws"] {
            for headers in ["", "host: localhost\r\nhost: localhost\r\n"] {
                assert_eq!(status(at, path, headers).await, 400, "{path} {headers}");
            }
        }
        let answer = raw(at, "GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n").await;
        assert!(answer.contains(r#""field":"host""#), "{answer}");
        let old = "GET /healthz HTTP/1.0\r\n\r\n";
        assert_eq!(status_of(&raw(at, old).await), 200, "HTTP/1.0 knows no Host");
        let twice = "GET /healthz HTTP/1.0\r\nhost: localhost\r\nhost: localhost\r\n\r\n";
        assert_eq!(status_of(&raw(at, twice).await), 400);
    }
}

#[tokio::test]
async fn a_handshake_is_read_as_the_rfc_has_it() {
    let broker = Broker::start();
    let begin = async |lines: &str| {
        handshake(broker.address(), &format!("Host: localhost\r\n{lines}")).await
    };
    let lists = [
        "Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n",
        "Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Version: 13\r\n",
        "Connection: x,\tupgrade\r\nUpgrade: h2c, websocket\r\nSec-WebSocket-Version: 13\r\n",
    ];
    for lines in lists {
        let head = begin(lines).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{lines}{head}");
    }
    for version in ["8", "0", "12", "14", "013", "x", ""] {
        let lines = format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: {version}\r\n"
        );
        let head = begin(&lines).await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 426 "), "{version}: {head}");
        assert!(head.contains("\r\nsec-websocket-version: 13\r\n"), "{head}");
        assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    }
    for lines in [
        "Connection: keep-alive\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        "Connection: Upgrade\r\nUpgrade: websockets\r\nSec-WebSocket-Version: 13\r\n",
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
    ] {
        let head = begin(lines).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{lines}{head}");
    }
}

/// As many as there may be: as long as they are held, nobody else gets in.
#[tokio::test]
async fn whoever_takes_no_answer_makes_room() {
    const READERS: u32 = 500;
    let within = Duration::from_secs(1);
    let broker = Broker::with(|config| {
        config.limits.max_write_time = within;
        config.limits.max_handshake = Duration::from_secs(60);
        config.limits.max_connections = Some(READERS);
        config.limits.max_requests_burst = 1_000_000;
    });
    let at = broker.address();
    let mut held = Vec::new();
    // Files, JSON, and a stream's answer behind them: whatever the answer is.
    let paths = ["/app.js", "/openapi.json", "/metrics"];
    for n in 0..READERS {
        let mut socket = small_socket(at).await;
        let path = paths[n as usize % paths.len()];
        let one = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        socket.write_all(one.repeat(60).as_bytes()).await.unwrap();
        held.push(socket);
    }
    let clock = Clock::start();
    let cut_off = async || {
        let mut wire = Wire::dial(at).await;
        let ask = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        wire.try_write(ask).await.is_err() || wire.rest().await.is_empty()
    };
    assert!(cut_off().await, "they are all there");
    while cut_off().await {
        assert!(clock.elapsed() < within + Duration::from_secs(10), "they are held for ever");
        sleep(Duration::from_millis(20)).await;
    }
    // All of them, not only the first.
    let mut others = Vec::new();
    while others.len() < READERS as usize / 2 {
        assert!(clock.elapsed() < within + Duration::from_secs(10), "some are held for ever");
        let stream = TcpStream::connect(at).await.unwrap();
        match Client::open(stream, &format!("/ws?user=u{}", others.len()), None).await {
            Ok((client, _)) => others.push(client),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
    drop(held);
}

/// Whoever reads, however slowly it asks, is not cut off for it.
#[tokio::test]
async fn whoever_takes_its_answers_may_take_its_time() {
    let within = Duration::from_millis(300);
    let broker = Broker::with(|config| config.limits.max_write_time = within);
    let mut wire = Wire::dial(broker.address()).await;
    for _ in 0..3 {
        wire.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(wire.head().await.starts_with("HTTP/1.1 200 "));
        assert!(wire.body(15).await.contains("ok"));
        sleep(2 * within).await;
    }
}

#[tokio::test]
async fn a_request_under_way_is_answered_at_shutdown() {
    let mut broker = Process::start(&["--drain-timeout=20s"]);
    let at = broker.address();
    // Who has said nothing yet, and who is between two requests, hold nothing up.
    let silent = TcpStream::connect(at).await.unwrap();
    let mut idle = Wire::dial(at).await;
    idle.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    idle.head().await;
    let mut put = Wire::dial(at).await;
    let body = r#"{"attributes":{"mood":"calm"}}"#;
    let head = format!(
        "PUT /v1/channels/room/members/ada HTTP/1.1\r\nhost: localhost\r\n\
         content-length: {}\r\n\r\n{}",
        body.len(),
        &body[..5]
    );
    put.write(head.as_bytes()).await;
    sleep(Duration::from_millis(300)).await;
    broker.signal("TERM");
    sleep(Duration::from_millis(300)).await;
    put.write(&body.as_bytes()[5..]).await;
    let answer = put.rest().await;
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains("calm"), "{answer:?}");
    let (status, log) = broker.exited(Duration::from_secs(10));
    assert!(status.success(), "{log}");
    drop((silent, idle));
}

#[tokio::test]
async fn a_request_that_does_not_end_holds_no_shutdown_up() {
    let mut broker = Process::start(&["--drain-timeout=300ms", "--max-handshake=60s"]);
    let mut put = Wire::dial(broker.address()).await;
    put.write(
        b"PUT /v1/channels/room/members/ada HTTP/1.1\r\nhost: localhost\r\n\
          content-length: 10\r\n\r\n{",
    )
    .await;
    sleep(Duration::from_millis(200)).await;
    broker.signal("TERM");
    broker.exited(Duration::from_secs(10));
}

/// The numbers that the log tells of floods with these words; and how many lines do.
fn told(log: &str, words: &str) -> (usize, u64) {
    let lines = log.lines().filter(|line| line.contains(words));
    let number = |line: &str| {
        let at = line.split("number=").nth(1)?;
        at.split(' ').next()?.parse::<u64>().ok()
    };
    let numbers: Vec<_> = lines.map(|line| number(line).unwrap_or(1)).collect();
    (numbers.len(), numbers.iter().sum())
}

#[tokio::test]
async fn a_flood_of_connects_is_a_line_a_second() {
    let mut broker = Process::start(&["--max-connections-per-address=2", "--log=warn"]);
    let at = broker.address();
    let clock = Clock::start();
    let _kept = [broker.connect("ada").await, broker.connect("bob").await];
    let mut refused = 0;
    while refused < 400 {
        let mut wire = Wire::dial(at).await;
        if wire.rest().await.is_empty() {
            refused += 1;
        }
        if refused % 100 == 0 {
            sleep(Duration::from_millis(300)).await;
        }
    }
    sleep(Duration::from_millis(1_200)).await;
    let seconds = clock.elapsed().as_secs() as usize + 2;
    broker.signal("TERM");
    let (_, log) = broker.exited(Duration::from_secs(10));
    let (lines, number) = told(&log, "too many connections");
    assert!((1..=seconds).contains(&lines), "{lines} lines in {seconds} s: {log}");
    assert_eq!(number, refused, "{log}");
}

#[tokio::test]
async fn a_flood_of_bad_tokens_is_a_line_a_second_and_a_metric() {
    let mut command = binary();
    command.env("HERENOW_JWT_SECRET", "a secret of at least thirty-two bytes");
    command.args(["--listen=127.0.0.1:0", "--log=warn"]);
    let mut broker = Process::spawn(command);
    let at = broker.address();
    let clock = Clock::start();
    for _ in 0..60 {
        let bad = ["authorization: Bearer guess"];
        assert_eq!(ask(at, "GET", "/v1/channels/room", &bad, "").await.status, 401);
        let stream = TcpStream::connect(at).await.unwrap();
        let (mut client, _) = Client::open(stream, "/ws?token=guess", None).await.unwrap();
        assert_eq!(client.ended().await.code(), 4001);
        let page = ["origin: https://evil.example"];
        assert_eq!(ask(at, "GET", "/v1/channels/room", &page, "").await.status, 403);
        assert_eq!(ask(at, "GET", "/ws", &page, "").await.status, 403);
    }
    sleep(Duration::from_millis(1_200)).await;
    let seconds = clock.elapsed().as_secs() as usize + 2;
    let metrics = ask(at, "GET", "/metrics", &[], "").await.body.as_str().unwrap().to_owned();
    broker.signal("TERM");
    let (_, log) = broker.exited(Duration::from_secs(10));
    for (words, metric) in [("no acceptable token", "tokens"), ("foreign page", "pages")] {
        let (lines, number) = told(&log, words);
        assert!((1..=seconds).contains(&lines), "{lines} lines in {seconds} s: {log}");
        assert_eq!(number, 120, "{log}");
        let line = format!(r#"herenow_turned_away_total{{kind="{metric}"}} 120"#);
        assert!(metrics.lines().any(|shown| shown == line), "no {line} in {metrics}");
    }
    assert!(!log.contains("guess"), "{log}");
}

/// Whoever runs the broker sees which page was refused and which flag lets it in; the page's developer,
/// whose browser tells nothing of a refused WebSocket, can ask by a plain request.
#[tokio::test]
async fn a_refused_page_is_told_and_logged_with_the_flag_that_lets_it_in() {
    let mut broker = Process::start(&["--log=warn", "--allow-origin=https://*.app.example"]);
    let at = broker.address();
    let head = handshake(at, &format!("host: {at}\r\norigin: file://\r\n{UPGRADE}")).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let probe = ask(at, "GET", "/ws", &["origin: file://"], "").await;
    assert_eq!((probe.status, probe.code()), (403, "forbidden"));
    assert_eq!(probe.header("access-control-allow-origin"), Some("*"));
    let says = probe.body["detail"].as_str().unwrap();
    assert!(says.contains("--allow-origin file:// lets it in"), "{says}");
    let listed = ask(at, "GET", "/ws", &["origin: https://a.app.example"], "").await;
    assert_eq!(listed.status, 400, "no handshake, and no foreign page");
    sleep(Duration::from_millis(1_200)).await;
    broker.signal("TERM");
    let (_, log) = broker.exited(Duration::from_secs(10));
    let (lines, number) = told(&log, "foreign page");
    assert!((1..=2).contains(&lines) && number == 2, "{log}");
    for words in [format!("at host \"{at}\""), "--allow-origin file:// lets it in".into()] {
        assert!(log.contains(&words), "no {words} in {log}");
    }
    // What a client chose stays one field of one line.
    let mut broker = Process::start(&["--log=warn"]);
    let bad = "origin: x\" number=9 y";
    assert_eq!(ask(broker.address(), "GET", "/ws", &[bad], "").await.status, 403);
    broker.signal("TERM");
    let (_, log) = broker.exited(Duration::from_secs(10));
    assert!(log.contains(r#"x\" number=9 y"#), "{log}");
}

/// Nobody writes a field into the log by its name.
#[tokio::test]
async fn names_are_quoted_in_the_log() {
    let mut broker = Process::start(&["--log=debug"]);
    let name = r#"ada" end=Drain user="bob \ z"#;
    let client = broker.connect(name).await;
    client.close(1000).await;
    ask(broker.address(), "BREW", "/v1/channels/room", &[], "").await;
    broker.signal("TERM");
    let (_, log) = broker.exited(Duration::from_secs(10));
    let quoted = format!("user={name:?}");
    assert!(log.contains(&quoted), "no {quoted} in {log}");
    assert!(log.contains(r#"method="BREW""#), "{log}");
}

/// Where lines of the log are written that an operator does not ask for by `debug`: nothing among
/// them is written for each client but by `web/flood`.
const TOLD: [&str; 17] = [
    "src/auth/configured.rs",
    "src/jwks/mind.rs",
    "src/logging.rs",
    "src/main.rs",
    "src/redis/ear.rs",
    "src/redis/joint.rs",
    "src/redis/line.rs",
    "src/redis/living.rs",
    "src/redis/saying.rs",
    "src/redis/start.rs",
    "src/redis/store.rs",
    "src/server/broker.rs",
    "src/server/renewal.rs",
    "src/server/upgrade.rs",
    "src/web/flood.rs",
    "src/web/state.rs",
    "src/webhooks/hook.rs",
];

/// What may stand in the log as it is: a `%` quotes nothing.
const PLAIN: [&str; 4] = ["error", "example", "me", "node"];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn what_is_logged_of_clients_is_bounded_and_quoted() {
    let root = Path::new(ROOT);
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    let mut calls = 0;
    for path in files {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for call in text.split("tracing::").skip(1) {
            let Some((level, rest)) = call.split_once("!(") else { continue };
            calls += 1;
            let quiet = ["debug", "trace"].contains(&level);
            assert!(quiet || TOLD.contains(&name), "{name} logs at {level}");
            let arguments = rest.split(");").next().unwrap();
            for plain in arguments.split('%').skip(1) {
                let end = plain.find(|c: char| !c.is_alphanumeric() && c != '_');
                let field = &plain[..end.unwrap_or(plain.len())];
                assert!(PLAIN.contains(&field), "{name} logs {field:?} unquoted");
            }
        }
    }
    assert!(calls > 5, "{calls}");
}
