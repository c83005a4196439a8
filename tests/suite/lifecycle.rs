//! The binary from its flags to its shutdown.

use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::Duration;

use clap::Args;
use herenow::Config;
use herenow::clock::Clock;
use herenow_protocol::ServerFrame;
use tokio::net::TcpStream;

use crate::broker::{Broker, Process, binary};
use crate::client::{Client, PATIENCE};
use crate::free::free_address;
use crate::wire::{TEXT_BEGINS, Wire, frame};

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
