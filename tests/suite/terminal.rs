//! The commands for people at a terminal: `watch`, `who`, `join` and `status`, started as they are typed.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::broker::{Process, binary};
use crate::client::{Client, PATIENCE};
use crate::free::free_address;
use crate::http::ask;
use crate::lifecycle::refused;
use crate::place::TextFile;
use crate::replica::Observer;
use crate::rights::{SECRET, token};

/// A command that asks the broker at `address`, not started yet.
fn typed(address: SocketAddr, words: &[&str]) -> Command {
    let mut command = binary();
    command.env("HERENOW_URL", format!("http://{address}")).args(words);
    command
}

/// What it prints; it must end well.
fn printed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success() && stderr.is_empty(), "{status}: {said}");
    String::from_utf8(stdout).unwrap()
}

/// A command that goes on, killed when this is dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.take_while(|line| sender.send(line.clone()).is_ok()).count()
        });
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Self { child, lines, stderr: Some(stderr) }
    }

    /// The next line that holds these words. Blocks the thread.
    fn line(&self, words: &str) -> String {
        let mut before = Vec::new();
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("nothing says {words:?} after {before:#?}");
            };
            if line.contains(words) {
                return line;
            }
            before.push(line);
        }
    }

    fn interrupt(&self) {
        signal(self.child.id(), "INT");
    }

    /// How it ended, the rest of what it printed, and what it said on standard error.
    fn ended(&mut self) -> (ExitStatus, Vec<String>, String) {
        let rest = std::iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok()).collect();
        let status = self.child.wait().unwrap();
        (status, rest, self.stderr.take().unwrap().join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(id: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status();
    assert!(status.unwrap().success(), "kill -{name} {id}");
}

async fn lease(broker: &Process, user: &str, attributes: Value) {
    let path = format!("/v1/channels/room/members/{user}");
    let body = json!({"attributes": attributes}).to_string();
    let status = ask(broker.address(), "PUT", &path, &[], &body).await.status;
    assert!(status < 300, "{user}: {status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_there_comes_page_by_page() {
    let broker = Process::start(&[]);
    let at = broker.address();
    assert_eq!(printed(&mut typed(at, &["who", "room"])), "");
    for from in [0, 1_000] {
        let lease = |n: usize| json!({"channel": "room", "user": format!("user-{n}")});
        let leases: Vec<_> = (from..from + 700).map(lease).collect();
        let body = json!({"leases": leases}).to_string();
        assert_eq!(ask(at, "POST", "/v1/leases", &[], &body).await.status, 200);
    }
    let all = printed(&mut typed(at, &["who", "room"]));
    assert_eq!(all.lines().count(), 1_400);
    let names: std::collections::BTreeSet<_> =
        all.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(names.len() == 1_400 && names.contains("user-1699"));
    assert_eq!(printed(&mut typed(at, &["who", "room", "--count"])), "1400\n");
    let lines = printed(&mut typed(at, &["who", "room", "--json"]));
    let users: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(users.len() == 1_400 && users[0]["user"] == "user-1699", "{}", users[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_who_comes_and_who_goes_line_by_line() {
    let broker = Process::start(&[]);
    lease(&broker, "dora", json!({"mood": "calm"})).await;
    let mut watch = Running::start(&mut typed(broker.address(), &["watch", "room"]));
    assert!(watch.line("# ").ends_with("# 1 here"));
    assert!(watch.line("= dora").contains(r#"{"mood":"calm"}"#));
    let mut ada = broker.connect("ada").await;
    ada.ok("join room mood=happy").await;
    assert!(watch.line("+ ada").ends_with(r#"+ ada {"mood":"happy"}"#));
    ada.ok("set room mood=sad").await;
    assert!(watch.line("~ ada").ends_with(r#"~ ada {"mood":"sad"}"#));
    ada.ok("leave room").await;
    assert!(watch.line("ada").ends_with("- ada left"));
    ada.ok("join room").await;
    // Who comes and is lost within one tick was never there.
    watch.line("+ ada");
    ada.kill();
    assert!(watch.line("!").ends_with("! ada lost (connection)"));
    // It looks, and is nobody there.
    assert_eq!(printed(&mut typed(broker.address(), &["who", "room", "--count"])), "1\n");
    watch.interrupt();
    let (status, _, said) = watch.ended();
    assert!(status.success() && said.is_empty(), "{status} {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_gets_an_object_for_each_thing() {
    let broker = Process::start(&["--roster-limit=2"]);
    lease(&broker, "dora", json!({"mood": "calm"})).await;
    let watch = Running::start(&mut typed(broker.address(), &["watch", "room", "--json"]));
    let next = |words: &str| serde_json::from_str::<Value>(&watch.line(words)).unwrap();
    let list = next("list");
    assert_eq!((&list["count"], &list["channel"]), (&1.into(), &"room".into()));
    assert_eq!(list["members"][0]["attributes"], json!({"mood": "calm"}));
    lease(&broker, "bob", json!({})).await;
    let join = next("join");
    assert_eq!((&join["user"], &join["count"]), (&"bob".into(), &2.into()));
    // More than are told one by one.
    lease(&broker, "cy", json!({})).await;
    assert_eq!(next(r#""event":"count""#)["count"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_outlives_the_broker() {
    let broker = Process::start(&[]);
    let at = broker.address();
    let mut watch = Running::start(&mut typed(at, &["watch", "room"]));
    watch.line("# 0 here");
    broker.signal("KILL");
    watch.line("trying again in");
    drop(broker);
    let mut command = binary();
    command.args(["--listen", &at.to_string()]);
    let broker = Process::spawn(command);
    watch.line("connected again");
    watch.line("the broker began anew: 0 here");
    lease(&broker, "ada", json!({})).await;
    watch.line("+ ada");
    // Sent away, with the time to come back.
    broker.signal("TERM");
    watch.line("the broker shuts down; trying again in");
    watch.interrupt();
    assert!(watch.ended().0.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_is_present_until_it_is_interrupted() {
    let broker = Process::start(&["--presence-timeout=600ms", "--heartbeat-interval=200ms"]);
    let mut observer = Observer::of(broker.address(), "room").await;
    let words = ["join", "room", "--user=ada", r#"--attributes={"mood":"calm"}"#];
    let mut join = Running::start(&mut typed(broker.address(), &words));
    assert_eq!(observer.told().await, r#"join ada {"mood":"calm"}"#);
    assert_eq!(join.line("present"), "present in room as ada; Ctrl-C leaves");
    // It keeps the cadence that the broker asks for.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(observer.replica.users(), ["ada"]);
    join.interrupt();
    assert_eq!(observer.told().await, "leave ada left");
    let (status, rest, said) = join.ended();
    assert!(status.success() && rest == ["left"] && said.is_empty(), "{status} {rest:?} {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kick_ends_it_with_a_line_that_says_so() {
    let broker = Process::start(&[]);
    let mut join = Running::start(&mut typed(broker.address(), &["join", "room", "--user=ada"]));
    join.line("present");
    let kick = ask(broker.address(), "DELETE", "/v1/users/ada/connections", &[], "").await;
    assert_eq!(kick.status, 200, "{}", kick.body);
    let (status, _, said) = join.ended();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("kicked") && said.lines().count() == 1, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_says_whether_and_where() {
    let broker = Process::start(&[]);
    let status = |words: &[&str]| printed(&mut typed(broker.address(), words));
    assert_eq!(status(&["status", "ada"]), "ada: offline\n");
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    ada.ok(r#"status busy=true text="at lunch""#).await;
    assert_eq!(status(&["status", "ada"]), "ada: online, busy, \"at lunch\"\n  in room\n");
    let json: Value = serde_json::from_str(&status(&["status", "ada", "--json"])).unwrap();
    assert_eq!((&json["online"], &json["channels"]), (&true.into(), &json!(["room"])));
}

/// What others wrote gives no orders to whoever looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_wrote_steers_no_terminal() {
    let broker = Process::start(&[]);
    let at = broker.address();
    let bad = "\u{1b}]0;owned\u{7}\u{9b}2J\r\n\u{202e}";
    lease(&broker, "%E2%80%AEeve", json!({"mood": bad})).await;
    let status = json!({"text": "\u{202e}hi"}).to_string();
    ask(at, "PUT", "/v1/users/%E2%80%AEeve/status", &[], &status).await;
    let watch = Running::start(&mut typed(at, &["watch", "room"]));
    let watched = Running::start(&mut typed(at, &["watch", "room", "--json"]));
    let seen = [
        watch.line("= "),
        watched.line("list"),
        printed(&mut typed(at, &["who", "room"])),
        printed(&mut typed(at, &["who", "room", "--json"])),
        printed(&mut typed(at, &["status", "\u{202e}eve"])),
        printed(&mut typed(at, &["status", "\u{202e}eve", "--json"])),
    ];
    for text in seen {
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(steers) && text.contains("eve"), "{text:?}");
        // The status says in a line of its own where that is.
        let lines = 1 + usize::from(text.ends_with("\n  in room\n"));
        assert_eq!(text.lines().count(), lines, "{text:?}");
    }
}

/// Killed when this is dropped; what it runs on its terminal is gone with it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `script` saw of a command on a terminal of that size.
fn on_a_terminal(at: SocketAddr, words: &str, colors: bool, until: &str) -> String {
    let mut command = Command::new("script");
    let herenow = crate::place::binary();
    let herenow = herenow.display();
    command
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HERENOW_URL", format!("http://{at}"))
        .env("SHELL", "/bin/sh")
        .args(["-qefc", &format!("stty rows 8 cols 40; exec {herenow} {words}"), "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if !colors {
        command.env("NO_COLOR", "1");
    }
    let mut child = Killed(command.spawn().expect("this test needs script (util-linux)"));
    let mut out = child.0.stdout.take().unwrap();
    let (sender, parts) = channel();
    std::thread::spawn(move || {
        let mut some = [0; 4_096];
        while let Ok(read @ 1..) = out.read(&mut some) {
            if sender.send(some[..read].to_vec()).is_err() {
                break;
            }
        }
    });
    let mut text = Vec::new();
    let mut is_told = false;
    loop {
        match parts.recv_timeout(PATIENCE) {
            Ok(part) => text.extend(part),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("{until} never came: {text:?}"),
        }
        if !is_told && String::from_utf8_lossy(&text).contains(until) {
            is_told = true;
            let below = format!("/proc/{0}/task/{0}/children", child.0.id());
            let below = std::fs::read_to_string(below).unwrap();
            signal(below.trim().parse().unwrap(), "INT");
        }
    }
    assert!(child.0.wait().unwrap().success());
    assert!(is_told, "{until} never came");
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_terminal_the_list_is_drawn_in_place() {
    let broker = Process::start(&[]);
    for n in 0..12 {
        lease(&broker, &format!("user-{n}"), json!({})).await;
    }
    let at = broker.address();
    let shown = on_a_terminal(at, "watch room", true, "more");
    assert!(shown.starts_with("\x1b[?1049h\x1b[?25l") && shown.ends_with("\x1b[?25h\x1b[?1049l"));
    let last = shown.rsplit("\x1b[H").next().unwrap();
    assert_eq!(last.matches('\n').count(), 7, "eight rows: {last:?}");
    assert!(last.contains("room · 12 here · live") && last.contains("and 7 more"), "{last:?}");
    assert!(shown.contains("\x1b[1m"), "bold");
    let plain = on_a_terminal(at, "watch room", false, "more");
    assert!(!plain.contains("\x1b[1m") && !plain.contains("\x1b[2m"), "{plain:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_comes_from_a_file_and_may_be_renewed_there() {
    let mut command = binary();
    command.env("HERENOW_JWT_SECRET", SECRET).args(["--listen", "127.0.0.1:0"]);
    let broker = Process::spawn(command);
    let file = TextFile::new("token", &token("--user ada --ttl 2s"));
    let from_file = ["watch", "room", "--token-file", file.path()];
    let watch = Running::start(&mut typed(broker.address(), &from_file));
    watch.line("# 0 here");
    std::fs::write(file.path(), token("--user ada --ttl 1h")).unwrap();
    watch.line("the token has expired");
    watch.line("connected again");
    // With the same token once more there is no use in coming back.
    std::fs::write(file.path(), token("--user ada --ttl 1s")).unwrap();
    let mut watch = Running::start(&mut typed(broker.address(), &from_file));
    let (status, _, said) = watch.ended();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("--token-file") && said.lines().count() == 1, "{said}");
    // Rights are told by their name.
    std::fs::write(file.path(), token("--user ada --channel hall=subscribe")).unwrap();
    let said = refused(&mut typed(broker.address(), &from_file));
    assert!(said.contains("subscribe") && said.contains("forbidden"), "{said}");
}

#[test]
fn what_is_wrong_is_one_line_that_names_what_to_change() {
    let nobody = free_address();
    let token = TextFile::new("bad-token", "two words");
    let with = format!("--token-file={}", token.path());
    for (words, named) in [
        (&["watch", "room"][..], "nothing answers there"),
        (&["join", "room"], "nothing answers there"),
        (&["who", "room"], "--url"),
        (&["status", "ada"], "--url"),
        (&["who", "room", "--url=nowhere"], "--url"),
        (&["watch", "$room"], "CHANNEL"),
        (&["status", "$ada"], "USER"),
        (&["join", "room", "--attributes=5"], "--attributes"),
        (&["watch", "room", "--level=loud"], "--level"),
        (&["who", "room", &with], "--token-file"),
        (&["who", "room", "--token-file=/nowhere"], "--token-file /nowhere"),
        (&["doctor"][..1], "nothingListens"),
    ] {
        let output = typed(nobody, words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{words:?}: {:?}", output.status);
        assert!(said.contains(named) && said.lines().count() == 1, "{words:?}: {said}");
        assert!(!said.contains("two words"), "{said}");
    }
    // A token as an argument would be there for all to read.
    let said = refused(&mut typed(nobody, &["watch", "room", "--token=abc"]));
    assert!(said.contains("--token"), "{said}");
    let both = typed(nobody, &["who", "room", &with]).env("HERENOW_TOKEN", "abc").output().unwrap();
    assert!(String::from_utf8_lossy(&both.stderr).contains("say one of them"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_no_more_ends_it_in_silence() {
    let broker = Process::start(&[]);
    let mut command = typed(broker.address(), &["watch", "room"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("0 here"), "{first}");
    // Nobody holds the other end of the pipe now.
    let mut ada = Client::connect(broker.address(), "ada").await;
    ada.ok("join room").await;
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert!(status.success() && stderr.is_empty(), "{status} {}", String::from_utf8_lossy(&stderr));
}

#[test]
fn where_the_benchmarks_are_is_said() {
    let nobody = ([127, 0, 0, 1], 1).into();
    let said = printed(&mut typed(nobody, &["bench"]));
    assert!(said.contains("bench/README.md") && said.lines().count() == 2, "{said}");
}
