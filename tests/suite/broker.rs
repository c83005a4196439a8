//! Brokers to test: one inside the test's own runtime, and the real binary as a process.
//!
//! On `#[tokio::test]`'s single thread broker and clients take turns, so that whatever a client
//! sends with one write is applied before any tick: folding can be seen. The process has threads.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use herenow::Config;
use herenow::chance::Chance;
use herenow::clock::Clock;
use herenow::hub::Hub;

use crate::client::{Client, PATIENCE};
use crate::place;
use crate::replica::Observer;

/// Waits until `holds`: for what nobody is told of. The test fails if it never does.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Clock::start();
    while !holds() {
        assert!(clock.elapsed() < PATIENCE, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How long it took since `clock` was started, seen from a broker that counts whole milliseconds:
/// what it waited for lies in here, never before.
pub(crate) fn took(clock: Clock) -> Duration {
    clock.elapsed() + Duration::from_millis(1)
}

/// How late this machine is: what a test's thread overslept, and the broker on it.
pub(crate) struct Lateness(Arc<AtomicU64>);

impl Lateness {
    /// Watched from now on.
    pub(crate) fn watched() -> Self {
        const NAP: Duration = Duration::from_millis(5);
        let late_ms = Arc::new(AtomicU64::new(0));
        let (watch, watched) = (Arc::downgrade(&late_ms), Self(late_ms));
        tokio::spawn(async move {
            while watch.strong_count() > 0 {
                let clock = Clock::start();
                tokio::time::sleep(NAP).await;
                let late = clock.elapsed().saturating_sub(2 * NAP).as_millis();
                if let Some(late_ms) = watch.upgrade() {
                    late_ms.fetch_add(late as u64, Ordering::Relaxed);
                }
            }
        });
        watched
    }

    /// In all, since it was watched.
    pub(crate) fn so_far(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// A broker on the test's own runtime, gone with it.
pub(crate) struct Broker(herenow::Broker);

impl Broker {
    /// A broker with the defaults, on a free port of loopback.
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// A broker with the defaults less what `change` changes.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let chance = Chance::from_entropy();
        Self::on(Clock::start(), chance, change)
    }

    /// As [`Broker::with`], on a clock and with a chance that the test has.
    pub(crate) fn on(clock: Clock, chance: Chance, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
        change(&mut config);
        Self(herenow::server::start_with(&config, clock, chance).unwrap())
    }

    /// Where a client on this machine reaches it.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.0.address();
        if address.ip().is_unspecified() {
            return ([127, 0, 0, 1], address.port()).into();
        }
        address
    }

    /// Where it listens for whoever operates it.
    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        self.0.admin_address()
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        self.0.hub()
    }

    /// What of it failed, once something has.
    pub(crate) async fn failed(&self) -> &'static str {
        self.0.failed().await
    }

    /// How many streams of events are open.
    pub(crate) fn stream_count(&self) -> usize {
        self.0.stream_count()
    }

    /// A client who is `user`, and has had its welcome.
    pub(crate) async fn connect(&self, user: &str) -> Client {
        Client::connect(self.address(), user).await
    }

    /// Somebody who observes `channel`.
    pub(crate) async fn observer(&self, channel: &str) -> Observer {
        Observer::of(self.address(), channel).await
    }

    /// As SIGHUP does.
    pub(crate) async fn reload(&self) {
        self.0.reload().await;
    }

    pub(crate) async fn stop(self) {
        self.0.stop().await;
    }
}

/// The binary, killed when this is dropped. Its environment is empty but for what is given.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

/// The binary, not started yet, with an empty environment.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(place::binary());
    command.env_clear().stdin(Stdio::null());
    command
}

impl Process {
    /// Starts it on a free port of loopback with these `flags`, and waits until it listens.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut command = binary();
        command.args(["--listen", "127.0.0.1:0"]).args(flags);
        Self::spawn(command)
    }

    /// Starts `command`, made from [`binary`], and waits until it listens.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let address = ([0, 0, 0, 0], 0).into();
        let mut process = Self { child, address, lines, stderr: Some(stderr) };
        let first = process.lines.recv_timeout(PATIENCE);
        let said = first.as_deref().ok().and_then(|line| {
            let said = line.strip_prefix("listening on http")?;
            said.trim_start_matches('s').strip_prefix("://")
        });
        match said.and_then(|address| address.parse().ok()) {
            Some(address) => process.address = address,
            None => {
                let _ = process.child.kill();
                panic!("no address in the first line {first:?}; {}", process.stderr());
            }
        }
        process
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it says after its first line, until it has been quiet for a while.
    pub(crate) fn greeting(&self) -> String {
        let quiet = Duration::from_millis(500);
        std::iter::from_fn(|| self.lines.recv_timeout(quiet).ok()).collect::<Vec<_>>().join("\n")
    }

    /// The next line that it says. Blocks the thread.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it says nothing")
    }

    /// The process id: for `/proc`, and for signals.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A client who is `user`, and has had its welcome.
    pub(crate) async fn connect(&self, user: &str) -> Client {
        Client::connect(self.address, user).await
    }

    /// Sends it a signal: `TERM`, `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(status.unwrap().success(), "kill -{name}");
    }

    /// Waits at most `within` for it to exit by itself; its status and what it wrote on standard
    /// error. Blocks the thread.
    pub(crate) fn exited(&mut self, within: Duration) -> (ExitStatus, String) {
        // Its standard output ends when it does.
        loop {
            match self.lines.recv_timeout(within) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("still running after {within:?}"),
            }
        }
        let status = self.child.wait().unwrap();
        (status, self.stderr())
    }

    fn stderr(&mut self) -> String {
        self.stderr.take().map(|thread| thread.join().unwrap()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
