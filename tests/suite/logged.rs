//! The log: what it looks like, and that it holds up nobody.

use std::io::{BufRead, PipeReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use herenow::clock::Clock;
use herenow::limits::LOG_LINES;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::broker::{Process, binary};
use crate::client::PATIENCE;
use crate::free::free_address;
use crate::http::ask;

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

/// A broker that tells each request, and whose log is read by nobody but the test.
struct Unread {
    child: Child,
    address: SocketAddr,
    log: PipeReader,
}

impl Unread {
    async fn start() -> Self {
        let (log, writer) = std::io::pipe().unwrap();
        let address = free_address();
        let mut command = binary();
        command.args(["--log=debug", "--max-requests-burst=1000000", "--listen"]);
        command.arg(address.to_string()).stdout(Stdio::null()).stderr(writer);
        let child = command.spawn().unwrap();
        let clock = Clock::start();
        while TcpStream::connect(address).await.is_err() {
            assert!(clock.elapsed() < PATIENCE, "it does not listen");
            sleep(Duration::from_millis(10)).await;
        }
        Self { child, address, log }
    }

    /// So many requests, each of which is a line.
    async fn asked(&self, times: usize) {
        let (answers, mut requests) = TcpStream::connect(self.address).await.unwrap().into_split();
        let all = "GET /v1/channels/room HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".repeat(times);
        tokio::spawn(async move {
            requests.write_all(all.as_bytes()).await.unwrap();
            // The other half is open until all is answered.
            std::future::pending::<()>().await;
        });
        let mut lines = BufReader::new(answers).lines();
        let mut count = 0;
        while count < times {
            let line = timeout(PATIENCE, lines.next_line()).await.expect("it stands still");
            // A body has no end of its own, so the next answer begins on its line.
            count += usize::from(line.unwrap().expect("it is gone").contains("HTTP/1.1 200"));
        }
    }

    async fn lost(&self) -> u64 {
        let metrics = ask(self.address, "GET", "/metrics", &[], "").await.body;
        let metrics = metrics.as_str().unwrap();
        let line = metrics.lines().find(|line| line.starts_with("herenow_lost_log_lines_total "));
        line.unwrap().split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines that neither a pipe has room for nor the broker.
const TOO_MANY: usize = LOG_LINES + 4_000;

#[tokio::test]
async fn nobody_waits_for_whoever_reads_the_log() {
    let mut broker = Unread::start().await;
    broker.asked(TOO_MANY).await;
    assert!(broker.lost().await > 0);
    let pid = broker.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let clock = Clock::start();
    let status = loop {
        if let Some(status) = broker.child.try_wait().unwrap() {
            break status;
        }
        assert!(clock.elapsed() < PATIENCE, "it does not end");
        sleep(Duration::from_millis(10)).await;
    };
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn the_log_says_what_it_lost() {
    let broker = Unread::start().await;
    broker.asked(TOO_MANY).await;
    let (sender, said) = channel();
    let log = std::io::BufReader::new(broker.log.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut lines = log.lines().map_while(Result::ok);
        let _ = sender.send(lines.find(|line| line.contains("part of the log was lost")));
    });
    let line = said.recv_timeout(PATIENCE).expect("it is not said").unwrap();
    let lines: u64 = line.split("lines=").nth(1).unwrap().parse().unwrap();
    assert!(lines > 0 && lines <= broker.lost().await, "{line}");
}
