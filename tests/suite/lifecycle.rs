//! The binary from its flags to its shutdown, and what the port answers.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::time::Duration;

use clap::Args;
use herenow::Config;
use herenow::clock::Clock;
use herenow_protocol::{ErrorCode, ServerFrame};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::broker::{Broker, Process, binary, took, until};
use crate::client::{Client, End, PATIENCE};
use crate::http::ask;
use crate::replica::Observer;
use crate::wire::{TEXT_BEGINS, Wire, close_frame, frame, http};

/// A free port, most likely still free a moment later.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

/// Runs the binary with what it must refuse: exactly one line on standard error, and its text.
pub(crate) fn refused(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = run(command);
    let said = String::from_utf8(stderr).unwrap();
    assert!(!status.success() && status.code().is_some(), "{status}: {said}");
    assert!(stdout.is_empty(), "on standard output: {}", String::from_utf8_lossy(&stdout));
    assert!(said.ends_with('\n') && said.lines().count() == 1, "not one line: {said:?}");
    said
}

// The command line.

#[test]
fn the_first_line_says_where_it_listens() {
    let mut command = binary();
    command.args(["--listen", "127.0.0.1:0"]);
    let mut process = Process::spawn(command);
    assert_ne!(process.address().port(), 0);
    process.signal("TERM");
    let (status, _) = process.exited(Duration::from_secs(5));
    assert!(status.success());
}

#[test]
fn it_serves_where_nobody_reads_what_it_prints() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let address = free_address();
    let mut command = binary();
    command.args(["--listen", &address.to_string()]).stdout(writer);
    let mut child = command.spawn().unwrap();
    let pause = Duration::from_millis(10);
    let mut pauses = PATIENCE.as_millis() / pause.as_millis();
    while std::net::TcpStream::connect(address).is_err() {
        pauses = pauses.checked_sub(1).expect("it does not listen");
        std::thread::sleep(pause);
    }
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn help_and_version() {
    let Output { status, stdout, stderr } = run(binary().arg("--help"));
    let help = String::from_utf8(stdout).unwrap();
    assert!(status.success() && stderr.is_empty());
    for flag in [
        "--listen",
        "--insecure-open",
        "--presence-timeout",
        "--heartbeat-interval",
        "--ping-interval",
        "--pong-timeout",
        "--drain-timeout",
        "--log",
        "--log-format",
        "--max-grace",
        "--max-members",
        "--max-connections",
        "--jwt-secret-file",
        "--jwt-public-key-file",
        "--jwks-file",
        "--jwt-audience",
        "--jwt-issuer",
        "--api-keys-file",
        "--allow-origin",
        "HERENOW_",
        "wscat",
    ] {
        assert!(help.contains(flag), "--help does not tell of {flag}");
    }
    let Output { status, stdout, stderr } = run(binary().arg("--version"));
    assert!(status.success() && stderr.is_empty());
    assert_eq!(
        String::from_utf8(stdout).unwrap(),
        format!("herenow {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_bad_value_is_one_line_that_names_its_flag() {
    for [flag, value] in [
        ["--listen", "nowhere"],
        ["--listen", "127.0.0.1:99999"],
        ["--presence-timeout", "soon"],
        ["--presence-timeout", "0s"],
        ["--presence-timeout", "10"],
        ["--presence-timeout", "99999999999999999999y"],
        ["--heartbeat-interval", "2m"],
        ["--ping-interval", "-1s"],
        ["--drain-timeout", ""],
        ["--log", "herenow=loud"],
        ["--log-format", "yaml"],
        ["--max-members", "0"],
        ["--max-message-bytes", "many"],
        ["--max-connections", "0"],
        ["--listening", "127.0.0.1:0"],
        ["--insecure-open=perhaps", "--log=info"],
    ] {
        // As one word, since a value may begin with a dash.
        let said = refused(binary().arg(format!("{flag}={value}")));
        let name = flag.split('=').next().unwrap();
        assert!(said.contains(name), "{flag} {value}: {said}");
    }
    refused(binary().arg("sing"));
}

#[test]
fn a_flag_without_its_value_is_one_line_that_names_it() {
    assert!(refused(binary().arg("--listen")).contains("--listen"));
}

#[test]
fn a_busy_port_is_one_line_that_names_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(binary().args(["--listen", &address]));
    assert!(said.contains("--listen") && said.contains(&address), "{said}");
    // Nor does a second broker listen beside a first.
    let first = Process::start(&[]);
    let said = refused(binary().args(["--listen", &first.address().to_string()]));
    assert!(said.contains("--listen"), "{said}");
}

#[test]
fn beyond_loopback_only_with_insecure_open() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        let said = refused(binary().args(["--listen", address]));
        assert!(said.contains("--listen") && said.contains("--insecure-open"), "{said}");
    }
    let mut command = binary();
    command.args(["--listen", "0.0.0.0:0", "--insecure-open"]);
    assert!(Process::spawn(command).address().ip().is_unspecified());
}

#[test]
fn every_flag_has_a_twin_in_the_environment_and_the_flag_wins() {
    let (one, two) = (free_address(), free_address());
    let mut command = binary();
    command.env("HERENOW_LISTEN", one.to_string());
    assert_eq!(Process::spawn(command).address(), one);
    let mut command = binary();
    command.env("HERENOW_LISTEN", one.to_string()).args(["--listen", &two.to_string()]);
    assert_eq!(Process::spawn(command).address(), two);
    for yes in ["true", "1", "yes"] {
        let mut command = binary();
        command.env("HERENOW_LISTEN", "0.0.0.0:0").env("HERENOW_INSECURE_OPEN", yes);
        Process::spawn(command);
    }
    for no in ["false", "0", "no", ""] {
        let said =
            refused(binary().env("HERENOW_LISTEN", "0.0.0.0:0").env("HERENOW_INSECURE_OPEN", no));
        assert!(said.contains("--insecure-open"), "{said}");
    }
    let said = refused(binary().env("HERENOW_PRESENCE_TIMEOUT", "soon"));
    assert!(said.contains("--presence-timeout"), "{said}");
}

/// Only the binary reads the environment; a broker in a program is as its program says.
#[test]
fn the_defaults_know_nothing_of_the_environment() {
    // This test runs itself once more, with another environment: its own can't be changed safely.
    const AGAIN: &str = "PRINT_THE_DEFAULTS";
    let defaults = format!("{:?}", Config::default());
    if std::env::var_os(AGAIN).is_some() {
        println!("{defaults}");
        return;
    }
    let flags = Config::augment_args(clap::Command::new("herenow"));
    let variables: Vec<_> = flags.get_arguments().filter_map(|flag| flag.get_env()).collect();
    assert!(variables.len() > 30, "{variables:?}");
    let mut itself = Command::new(std::env::current_exe().unwrap());
    itself.args(["--exact", "lifecycle::the_defaults_know_nothing_of_the_environment"]);
    itself.arg("--nocapture").env(AGAIN, "1").envs(variables.iter().map(|name| (name, "7s")));
    itself.env("HERENOW_JWT_SECRET", "hunter2").env("HERENOW_API_KEYS", "hunter2");
    let Output { status, stdout, stderr } = run(&mut itself);
    let said = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{said}{}", String::from_utf8_lossy(&stderr));
    assert!(said.contains(&defaults), "{said} is not {defaults}");
    for (name, value, flag) in [
        ("HERENOW_LISTEN", "7s", "--listen"),
        ("HERENOW_MAX_MEMBERS", "7s", "--max-members"),
        ("HERENOW_JWT_SECRET", "hunter2", "HERENOW_JWT_SECRET"),
        ("HERENOW_API_KEYS", "hunter2", "HERENOW_API_KEYS"),
    ] {
        for command in [&[][..], &["serve"]] {
            let said = refused(binary().args(command).env(name, value));
            assert!(said.contains(flag), "{command:?} {name}: {said}");
        }
    }
}

#[tokio::test]
async fn serve_takes_the_same_flags() {
    let mut command = binary();
    command.args(["serve", "--listen", "127.0.0.1:0", "--presence-timeout", "7s"]);
    let process = Process::spawn(command);
    let ada = process.connect("ada").await;
    let ServerFrame::Welcome { heartbeat, .. } = ada.welcome() else { panic!() };
    assert_eq!((heartbeat.timeout_ms, heartbeat.interval_ms), (7_000, 3_500));
}

/// A flag in front of `serve` is not quietly forgotten.
#[test]
fn a_flag_before_serve_is_one_line_that_names_it() {
    let said = refused(binary().args(["--listen", "127.0.0.1:0", "serve"]));
    assert!(said.contains("--listen") && said.contains("serve"), "{said}");
    let said = refused(binary().args(["--insecure-open", "serve", "--listen", "127.0.0.1:0"]));
    assert!(said.contains("--insecure-open"), "{said}");
}

#[tokio::test]
async fn logs_are_text_or_json_and_never_on_standard_output() {
    let mut process = Process::start(&["--log-format", "json", "--log", "debug"]);
    process.connect("ada").await.close(1000).await;
    process.signal("TERM");
    let (status, logs) = process.exited(Duration::from_secs(5));
    assert!(status.success());
    assert!(logs.lines().count() > 1, "{logs}");
    for line in logs.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for field in ["timestamp", "level", "target", "fields"] {
            assert!(!entry[field].is_null(), "no {field} in {line}");
        }
    }
    let mut process = Process::start(&["--log", "off"]);
    process.connect("ada").await.close(1000).await;
    process.signal("TERM");
    assert_eq!(process.exited(Duration::from_secs(5)).1, "");
    let mut process = Process::start(&[]);
    process.signal("TERM");
    let (_, logs) = process.exited(Duration::from_secs(5));
    assert!(logs.contains("INFO") && !logs.contains('\u{1b}'), "{logs}");
}

// Shutdown.

/// What a client hears of a shutdown: `goaway`, Close 1012, and nothing else.
async fn is_sent_away(client: &mut Client) {
    assert_eq!(client.ended().await.code(), 1012);
    let ServerFrame::Goaway { reconnect_in_ms, reason } = client.next().await else {
        panic!("no goaway")
    };
    assert!(reconnect_in_ms < 5_000 && !reason.is_empty());
}

#[tokio::test]
async fn a_signal_sends_everyone_away_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let mut process = Process::start(&[]);
        let mut clients = Vec::new();
        for n in 0..20 {
            let mut client = process.connect(&format!("user{n}")).await;
            client.ok("join room").await;
            clients.push(client);
        }
        for client in &mut clients {
            assert_eq!(client.observe("room").await.members().len(), 20);
        }
        let clock = Clock::start();
        process.signal(signal);
        // Nobody is told that anybody left: it is the broker that goes.
        for client in &mut clients {
            is_sent_away(client).await;
        }
        let (status, _) = process.exited(Duration::from_secs(5));
        assert_eq!(status.code(), Some(0));
        assert!(clock.elapsed() < Duration::from_secs(5), "{signal} took {:?}", clock.elapsed());
        assert!(TcpStream::connect(process.address()).await.is_err(), "it still listens");
    }
}

#[tokio::test]
async fn nobody_holds_a_shutdown_up() {
    let mut process = Process::start(&["--max-frames-burst", "100000"]);
    // Reads nothing, until neither its buffer nor the broker's takes more.
    let stuck = stuck_reader(&process).await;
    // Is in the middle of a message, of a handshake, of nothing.
    let mut part = Wire::connect(process.address(), "part").await;
    part.write(&frame(TEXT_BEGINS, b"join")).await;
    let mut half = Wire::dial(process.address()).await;
    half.write(b"GET /ws HTTP/1.1\r\nHost:").await;
    let idle = Wire::dial(process.address()).await;
    let clock = Clock::start();
    process.signal("TERM");
    let (status, _) = process.exited(Duration::from_secs(5));
    assert_eq!(status.code(), Some(0));
    assert!(clock.elapsed() < Duration::from_secs(5), "took {:?}", clock.elapsed());
    assert_eq!(part.ended().await.code(), 1012);
    drop((stuck, half, idle));
}

/// A subscriber who stopped reading long ago.
async fn stuck_reader(process: &Process) -> TcpStream {
    let mut stuck = process.connect("stuck").await;
    stuck.ok("sub room").await;
    let stream = stuck.into_stream();
    let mut ada = process.connect("ada").await;
    ada.ok("join room").await;
    // More than any socket buffers: 3,000 frames of 3 KB.
    for n in 0..3_000 {
        ada.send(format!("set room n={n} filler={}", "x".repeat(3_000))).await;
    }
    ada.expect_quiet().await;
    stream
}

#[tokio::test]
async fn who_speaks_all_the_time_hears_the_farewell_too() {
    let mut process = Process::start(&["--max-frames-per-second", "1000000"]);
    let mut ada = process.connect("ada").await;
    ada.ok("join room").await;
    let mut chatter = Wire::connect(process.address(), "chatter").await;
    chatter.say("sub room").await;
    for n in 0..200 {
        ada.send(format!("set room n={n}")).await;
        chatter.say("hb").await;
        if n == 100 {
            process.signal("TERM");
            break;
        }
    }
    assert_eq!(chatter.ended().await.code(), 1012);
    assert_eq!(ada.ended().await.code(), 1012);
    assert_eq!(process.exited(Duration::from_secs(5)).0.code(), Some(0));
}

/// A broker in a program stops as the binary does.
#[tokio::test]
async fn stop_returns_when_all_have_gone() {
    let broker = Broker::start();
    let hub = std::sync::Arc::clone(broker.hub());
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let (_, ()) = tokio::join!(broker.stop(), is_sent_away(&mut ada));
    assert_eq!(hub.connection_count(), 0);
}

// The port.

#[tokio::test]
async fn http_answers_what_it_is_asked() {
    let broker = Broker::start();
    let address = broker.address();
    let (status, page) = http(address, "GET / HTTP/1.1").await;
    assert_eq!(status, 200);
    assert!(page.contains("text/html") && page.contains("<html") && page.contains("herenow"));
    let (status, health) = http(address, "GET /healthz HTTP/1.1").await;
    assert!(status == 200 && health.contains("application/json"));
    assert!(health.ends_with(r#"{"status":"ok"}"#), "{health}");
    for path in
        ["/nothing", "/ws/", "/web-demo/index.html", "/../Cargo.toml", "/%2e%2e%2fCargo.toml"]
    {
        assert_eq!(http(address, &format!("GET {path} HTTP/1.1")).await.0, 404, "{path}");
    }
    for line in ["POST / HTTP/1.1", "DELETE /healthz HTTP/1.1", "POST /ws HTTP/1.1"] {
        assert_eq!(http(address, line).await.0, 405, "{line}");
    }
    let (status, said) = http(address, "GET /ws HTTP/1.1").await;
    assert!(status == 400 || status == 426, "{said}");
    assert!(said.contains("WebSocket"), "a person has to see what this is: {said}");
    assert_eq!(http(address, "nonsense").await.0, 400);
}

/// Modules are fetched with CORS, so without its header no other page could import them.
#[tokio::test]
async fn the_client_library_is_served_to_pages_of_any_origin() {
    let broker = Broker::start();
    let foreign = ["origin: https://app.example"];
    let module = ask(broker.address(), "GET", "/client/index.js", &foreign, "").await;
    assert_eq!(module.status, 200);
    assert!(module.body.as_str().unwrap().contains("export"));
    for (name, value) in [
        ("content-type", "text/javascript; charset=utf-8"),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("cache-control", "no-cache"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(module.header(name), Some(value), "{name}");
    }
    let page = ask(broker.address(), "GET", "/app.js", &foreign, "").await;
    assert_eq!(page.header("access-control-allow-origin"), None, "the page is our own");
    for path in ["/client", "/client/", "/client/none.js", "/client/../app.js", "/client/%ff"] {
        assert_eq!(ask(broker.address(), "GET", path, &[], "").await.status, 404, "{path}");
    }
}

/// A page without a bundler wants one request, few bytes, and to ask only once.
#[tokio::test]
async fn the_library_is_one_file_too_that_is_small_and_kept() {
    let broker = Broker::start();
    let get =
        async |path: &str, headers: &[&str]| ask(broker.address(), "GET", path, headers, "").await;
    let newest = get("/client/herenow.js", &["origin: https://app.example"]).await;
    assert_eq!(newest.status, 200);
    assert!(newest.body.as_str().unwrap().contains("export{"));
    let place = newest.header("content-location").unwrap().to_owned();
    let kept = get(&format!("/client/{place}"), &[]).await;
    assert_eq!((kept.status, &kept.body), (200, &newest.body));
    let (fresh, year) = ("no-cache", "public, max-age=31536000, immutable");
    for (answer, cached) in [(&newest, fresh), (&kept, year)] {
        for (name, value) in [
            ("content-type", "text/javascript; charset=utf-8"),
            ("cache-control", cached),
            ("vary", "accept-encoding"),
            ("content-location", &*place),
            ("access-control-allow-origin", "*"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        assert_eq!(answer.header("content-encoding"), None);
    }
    // A page that is older or newer than its broker works, and caches nothing under the wrong name.
    let other = get("/client/herenow-0000000000000000.js", &[]).await;
    assert_eq!((other.status, &other.body), (200, &newest.body));
    assert_eq!(other.header("cache-control"), Some(fresh));

    let head = ["accept-encoding: gzip, deflate, br"];
    let packed = ask(broker.address(), "HEAD", "/client/herenow.js", &head, "").await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let bytes: usize = packed.header("content-length").unwrap().parse().unwrap();
    assert!(bytes < 9_472, "with 480 bytes of headers below 10 KB: {bytes}");
    let tag = packed.header("etag").unwrap();
    assert_ne!(Some(tag), newest.header("etag"), "other bytes have another tag");
    let known = format!("if-none-match: {tag}");
    assert_eq!(get("/client/herenow.js", &[head[0], &known]).await.status, 304);
    assert_eq!(get("/client/herenow.js", &[&known]).await.status, 200, "those bytes it has not");
}

/// A reload asks for every module again, and is sent none that has not changed.
#[tokio::test]
async fn a_file_that_has_not_changed_is_not_sent_again() {
    let broker = Broker::start();
    let get =
        async |path: &str, headers: &[&str]| ask(broker.address(), "GET", path, headers, "").await;
    let mut tags = Vec::new();
    for path in
        ["/", "/app.js", "/style.css", "/client/index.js", "/client/link.js", "/client/herenow.js"]
    {
        let whole = get(path, &[]).await;
        assert_eq!(whole.status, 200, "{path}");
        let tag = whole.header("etag").unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 30, "{path}: {tag}");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            for method in ["GET", "HEAD"] {
                let header = format!("if-none-match: {known}");
                let same = ask(broker.address(), method, path, &[&header], "").await;
                assert_eq!((same.status, &same.body), (304, &Value::from("")), "{path} {known}");
                // No length is better than one that is not the file's (RFC 9110, 8.6).
                assert_eq!(same.header("content-length"), None, "{path}");
                for name in [
                    "etag",
                    "cache-control",
                    "content-security-policy",
                    "cross-origin-resource-policy",
                    "access-control-allow-origin",
                    "x-content-type-options",
                ] {
                    assert_eq!(same.header(name), whole.header(name), "{path}: {name}");
                }
            }
        }
        for other in ["\"x\"", "W/\"\"", "x", "**"] {
            let header = format!("if-none-match: {other}");
            let changed = get(path, &[&header]).await;
            assert_eq!((changed.status, &changed.body), (200, &whole.body), "{path} {other}");
        }
        tags.push(tag);
    }
    assert_eq!(get("/index.html", &[]).await.header("etag"), Some(&*tags[0]), "it is the same");
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 6, "what differs has another tag");
    let none = get("/client/none.js", &["if-none-match: *"]).await;
    assert_eq!((none.status, none.header("etag")), (404, None), "nothing is there to be known");
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    let broker = Broker::start();
    let lines = [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade\r\nUpgrade: chat\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ];
    for lines in lines {
        let mut raw = Wire::dial(broker.address()).await;
        raw.write(format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 4"), "{lines}: {head}");
    }
    assert_eq!(broker.hub().connection_count(), 0);
}

#[tokio::test]
async fn the_subprotocol_is_answered_if_it_was_offered() {
    let broker = Broker::start();
    for (offered, answered) in [
        (None, None),
        (Some("herenow.v1"), Some("herenow.v1")),
        (Some("chat, herenow.v1, bearer.abc"), Some("herenow.v1")),
        (Some("chat,herenow.v1"), Some("herenow.v1")),
        (Some("chat"), None),
        (Some("herenow.v10"), None),
    ] {
        let mut raw = Wire::dial(broker.address()).await;
        let lines = offered.map(|names| format!("Sec-WebSocket-Protocol: {names}\r\n"));
        let head = raw.upgrade("/ws?user=ada", &lines.unwrap_or_default()).await.to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        let told = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol:"));
        assert_eq!(told.map(str::trim), answered, "offered {offered:?}");
        assert!(raw.text().await.contains(r#""user":"ada""#));
    }
}

/// The user of whoever connects with this query.
async fn user_of(broker: &Broker, query: &str) -> String {
    let stream = TcpStream::connect(broker.address()).await.unwrap();
    let mut client = Client::open(stream, &format!("/ws{query}"), None).await.unwrap().0;
    match client.next().await {
        ServerFrame::Welcome { user, .. } => user.as_str().to_owned(),
        other => panic!("{query}: {other:?}"),
    }
}

#[tokio::test]
async fn the_user_is_who_the_query_says() {
    let broker = Broker::start();
    let long = "é".repeat(100);
    for (query, user) in [
        ("?user=ada", "ada"),
        ("?x=1&user=ada&user=bob&y", "ada"),
        ("?user=J%C3%BCrg+M%C3%BCller%2F1%3D%261", "Jürg Müller/1=&1"),
        ("?us%65r=ada", "ada"),
        ("?user=%F0%9F%A6%8A%20fox", "🦊 fox"),
        ("?user=ada%2Bbob%40example.com", "ada+bob@example.com"),
        (&format!("?user={}", "%C3%A9".repeat(100)), &long),
    ] {
        assert_eq!(user_of(&broker, query).await, user, "{query}");
    }
    let mut guests = Vec::new();
    for query in ["", "?", "?user=", "?user", "?name=ada"] {
        let guest = user_of(&broker, query).await;
        assert!(guest.starts_with("guest-") && guest.len() > 12, "{query}: {guest}");
        guests.push(guest);
    }
    guests.sort();
    guests.dedup();
    assert_eq!(guests.len(), 5, "guests are not each other");
}

#[tokio::test]
async fn a_name_against_the_rules_is_an_error_and_a_close() {
    let broker = Broker::start();
    for query in [
        "?user=%00",
        "?user=a%0Ab",
        "?user=%C2%85",
        "?user=$ada",
        "?user=%24ada",
        &format!("?user={}", "x".repeat(201)),
        &format!("?user={}", "%C3%A9".repeat(101)),
    ] {
        let stream = TcpStream::connect(broker.address()).await.unwrap();
        let mut client = Client::open(stream, &format!("/ws{query}"), None).await.unwrap().0;
        let ServerFrame::Error { code, message, field, .. } = client.next().await else {
            panic!("{query}: no error")
        };
        assert_eq!((code, field.as_deref()), (ErrorCode::Unauthenticated, Some("user")), "{query}");
        assert!(message.contains("user"), "{message}");
        assert_eq!(client.ended().await.code(), 4001);
    }
    until("they are gone", || broker.hub().connection_count() == 0).await;
}

/// Unicode goes in and comes out as it is.
#[tokio::test]
async fn names_of_any_script_meet() {
    let broker = Broker::start();
    let mut observer = Observer::of(broker.address(), "café☕").await;
    for user in ["Дарья", "李雷", "👩‍👩‍👧", "a\u{301}", "\"quoted\\\"", "</script>"]
    {
        let mut client = broker.connect(user).await;
        client.ok("join café☕").await;
        assert_eq!(observer.told().await, format!("join {user} {{}}"));
        client.close(1000).await;
        assert_eq!(observer.told().await, format!("leave {user} closed"));
    }
}

#[tokio::test]
async fn connections_over_the_bound_are_closed_at_once() {
    for per_address in [false, true] {
        let broker = Broker::with(|config| {
            let limits = &mut config.limits;
            match per_address {
                true => limits.max_connections_per_address = Some(2),
                false => limits.max_connections = Some(2),
            }
        });
        let mut ada = broker.connect("ada").await;
        let bob = broker.connect("bob").await;
        assert_eq!(Wire::dial(broker.address()).await.rest().await, "");
        ada.expect_quiet().await;
        bob.close(1000).await;
        // Its place is free as soon as its socket is.
        let mut carol = None;
        let clock = Clock::start();
        while carol.is_none() {
            assert!(clock.elapsed() < crate::client::PATIENCE, "the place is not given free");
            let stream = TcpStream::connect(broker.address()).await.unwrap();
            carol = Client::open(stream, "/ws?user=carol", None).await.ok();
        }
        assert_eq!(Wire::dial(broker.address()).await.rest().await, "");
        // HTTP counts as well, while it lasts.
        drop(ada);
        until("ada is gone", || broker.hub().connection_count() == 1).await;
        assert_eq!(http_soon(&broker).await, 200);
        assert_eq!(http_soon(&broker).await, 200);
    }
}

/// The status of `/healthz` as soon as there is room for another connection.
async fn http_soon(broker: &Broker) -> u16 {
    let clock = Clock::start();
    loop {
        let mut raw = Wire::dial(broker.address()).await;
        raw.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        let answer = raw.rest().await;
        if let Some(status) = answer.split(' ').nth(1) {
            return status.parse().unwrap();
        }
        assert!(clock.elapsed() < crate::client::PATIENCE, "no room");
    }
}

#[tokio::test]
async fn a_handshake_must_come_whole_in_time() {
    const TIME: Duration = Duration::from_millis(400);
    let broker = Broker::with(|config| config.limits.max_handshake = TIME);
    let requests =
        ["", "G", "GET /ws HTTP/1.1\r\nHost:", "GET /ws HTTP/1.1\r\nHost: localhost\r\n"];
    for begun in requests {
        let clock = Clock::start();
        let mut raw = Wire::dial(broker.address()).await;
        raw.write(begun.as_bytes()).await;
        let rest = raw.rest().await;
        assert!(!rest.contains("101"), "{rest}");
        let took = took(clock);
        assert!((TIME..TIME * 6).contains(&took), "{begun:?} was closed after {took:?}");
    }
    // A drip of bytes is no excuse.
    let clock = Clock::start();
    let mut raw = Wire::dial(broker.address()).await;
    raw.write(b"GET /ws HTTP/1.1\r\n").await;
    let drip = async {
        loop {
            tokio::time::sleep(TIME / 5).await;
            if raw.try_write(b"X: y\r\n").await.is_err() || clock.elapsed() > TIME * 10 {
                return took(clock);
            }
        }
    };
    let took = drip.await;
    assert!((TIME..TIME * 6).contains(&took), "was closed after {took:?}");
}

/// A head beyond its bound is refused, not collected.
#[tokio::test]
async fn a_head_has_a_bound() {
    let broker = Broker::start();
    let mut raw = Wire::dial(broker.address()).await;
    let mut sent = 0;
    let _ = raw.try_write(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n").await;
    while raw.try_write(format!("X: {}\r\n", "y".repeat(1000)).as_bytes()).await.is_ok() {
        sent += 1000;
        assert!(sent < 8_000_000, "it still reads");
    }
    assert_eq!(broker.hub().connection_count(), 0);
}

#[tokio::test]
async fn the_end_of_a_raw_client_is_seen() {
    let broker = Broker::start();
    let mut ada = Wire::connect(broker.address(), "ada").await;
    ada.write(&close_frame(1000)).await;
    assert_eq!(ada.ended().await, End::Close(1000, String::new()));
    assert_eq!(ada.rest().await, "", "the broker ends the socket itself");
    until("it is gone", || broker.hub().connection_count() == 0).await;
}
