//! What makes no sense, and what goes wrong on the way, ends with one line on stderr that says why, a
//! non-zero exit, and no results, neither on stdout nor in the CSV.

#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do: by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

const BENCH: &str = env!("CARGO_BIN_EXE_herenow-bench");

/// A folder of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// An executable script.
fn script(folder: &Path, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("server.sh");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// Runs the program with a CSV, which must not come to be.
fn run(folder: &Path, args: &[&str]) -> Output {
    let csv = folder.join("rows.csv");
    let output = Command::new(BENCH).args(args).arg("--csv").arg(&csv).output().unwrap();
    assert!(!csv.exists(), "{args:?} left rows");
    output
}

#[track_caller]
fn assert_refused(args: &[&str], output: &Output, why: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{args:?} succeeded");
    assert!(output.status.code().is_some(), "{args:?} was killed: {}", output.status);
    assert!(stderr.contains(why), "{args:?} says {stderr:?}, not {why:?}");
    assert_eq!(stderr.lines().count(), 1, "{args:?} says {stderr:?}");
    assert!(stderr.starts_with("herenow-bench: "), "{args:?} says {stderr:?}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(stdout, "", "{args:?}");
}

/// Command lines, and what their refusal says.
const SENSELESS: &[(&str, &str)] = &[
    ("idle", "<N>"),
    ("idle 0", "0 is not in"),
    ("idle -5", "-5"),
    ("idle ten", "invalid digit"),
    ("idle 10 --channels 0", "--channels"),
    ("idle 10 --channels 20", "more than 10 connections can fill"),
    ("idle 10 --rounds 0", "--rounds"),
    ("idle 10 --channels 5 --further 5", "needs more than 5 channels"),
    ("idle 10 --peer nats", "nats has no members"),
    ("idle 10 --peer nobody", "nobody"),
    ("idle 10 --timeout 0", "write it as"),
    ("idle 10 --timeout 0s", "from 1ms"),
    ("idle 10 --timeout 9999999999999m", "from 1ms"),
    ("idle 10 --server /nowhere/herenow", "no broker at /nowhere/herenow"),
    ("idle 10 --server /", "no broker at /"),
    ("idle 10 --peer ws --server /bin/true", "not for ws"),
    ("idle 10 --peer ws --peers-folder /nowhere", "no such folder"),
    ("idle 10 --url ws://127.0.0.1:1", "--pid"),
    ("idle 10 --pid 1", "--url"),
    ("idle 10 --url ws://127.0.0.1:1 --pid 4294967295", "--pid 4294967295"),
    ("idle 10 --url nonsense --pid 1", "--url nonsense"),
    ("storm 1", "1 is not in"),
    ("storm 10 --repeats 0", "--repeats"),
    ("storm 10 --peer floor", "floor has no members"),
    ("fanout --subscribers 0", "--subscribers"),
    ("fanout --updates 0", "--updates"),
    ("fanout --outstanding 0", "--outstanding"),
    ("fanout --rate 0", "--rate"),
    ("fanout --rate 5 --outstanding 5", "cannot be used with"),
    ("fanout --publishers 0", "--publishers"),
    ("fanout --publishers 8 --outstanding 9", "as many --publishers"),
    ("fanout --bytes 200", "--bytes is for the floor"),
    ("fanout --subscribers 1000000 --publishers 100000", "can remember"),
    ("floor --bytes 1", "--bytes"),
    ("floor --publishers 8 --outstanding 9", "as many --publishers"),
    ("heartbeat 0", "0 is not in"),
    ("heartbeat 10 --rate 0", "--rate"),
    ("heartbeat 10 --rate 1000", "40 a second"),
    ("heartbeat 10 --seconds 0", "--seconds"),
    ("heartbeat 10 --rate 100 --peer nats", "no heartbeats"),
    ("slow --slow 0", "--slow 0"),
    ("slow --subscribers 100 --slow 100", "leave some of 100"),
    ("slow --subscribers 100 --slow 101", "leave some of 100"),
    ("slow --crawl 9", "--crawl 9"),
    ("slow --rate 0", "--rate"),
    ("slow-lines --peer ws", "herenow only"),
    ("slow-lines --cases fast", "fast"),
    ("slow-lines --url ws://127.0.0.1:1 --pid 1", "started here"),
    ("pacing --channels 0", "--channels"),
    ("pacing --channels 10 --rate 401", "40 a second"),
    ("pacing --channels 1000 --rate 49", "silent"),
    ("pacing --rate 0", "--rate"),
    ("pacing --nice 20", "--nice"),
    ("pacing --giant-subscribers 0", "--giant-subscribers"),
    ("pacing --giant-publishers 4 --giant-rate 161", "--giant-publishers"),
    ("pacing --peer ws", "herenow only"),
    ("levels 1", "1 is not in"),
    ("levels 1000", "no more than --roster-limit 1000"),
    ("levels 2000 --visitors 0", "--visitors"),
    ("levels 2000 --seconds 1", "--seconds"),
    ("levels 2000 --peer sockudo", "herenow only"),
    ("followers --followers 0", "--followers"),
    ("followers --followers -1", "-1"),
    ("followers --subscribers 0", "--subscribers"),
    ("followers --subscribers 1048577", "1048577 is not in"),
    ("followers --rate 12", "12 is not in"),
    ("followers --rate 10241", "10241 is not in"),
    ("followers --seconds 0", "--seconds"),
    ("followers --repeats 0", "--repeats"),
    ("followers --peer ws", "herenow only, not on ws"),
    ("followers --server /bin/true", "the broker inside this program"),
    ("followers --url ws://127.0.0.1:1 --pid 1", "the broker inside this program"),
    ("followers --server-arg=--nonsense", "herenow did not start"),
    ("followers --server-arg=--roster-limit=none", "--roster-limit"),
    ("compare --only floor --works storm1000", "nothing to measure"),
    ("compare --only herenow --server /nowhere/herenow", "no broker at"),
    ("compare --only nobody", "nobody"),
    ("compare --repeats 0", "--repeats"),
    ("compare --works sleep", "sleep"),
    ("sleep", "sleep"),
];

#[test]
fn flags_that_make_no_sense() {
    let folder = folder("flags");
    let taken = folder.display().to_string();
    for (line, why) in SENSELESS {
        let args: Vec<&str> = line.split(' ').collect();
        let output = run(&folder, &args);
        assert_refused(&args, &output, why);
    }
    for (csv, why) in [("/nowhere/rows.csv", "folder is not there"), (&taken, "is a folder")] {
        let args = ["idle", "10", "--csv", csv];
        let output = Command::new(BENCH).args(args).output().unwrap();
        assert_refused(&args, &output, why);
    }
}

/// The broker with followers inside is a process of its own, whose refusals its parent passes on.
#[test]
fn a_followed_broker_that_cannot_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (flags, why) in [
        (vec!["--listen", "127.0.0.1:0"], "--channel"),
        (vec!["--listen", "127.0.0.1:0", "--channel", ""], "--channel"),
        (vec!["--listen", "127.0.0.1:0", "--channel", "$user:ada"], "--channel"),
        (vec!["--listen", "127.0.0.1:0", "--channel", "c", "--reading", "some"], "--reading"),
        (vec!["--listen", "127.0.0.1:0", "--channel", "c", "--followers", "x"], "--followers"),
        (vec!["--listen", &taken, "--channel", "c"], &taken),
    ] {
        let mut args = vec!["followed-server"];
        args.extend(flags);
        let output = Command::new(BENCH).args(&args).stdin(Stdio::null()).output().unwrap();
        assert_refused(&args, &output, why);
    }
}

/// It says where it listens, answers each line, and ends with its input.
#[test]
fn a_followed_broker_answers_until_its_input_ends() {
    let mut command = Command::new(BENCH);
    command.args(["followed-server", "--listen", "127.0.0.1:0", "--channel", "c"]);
    command.args(["--followers", "3"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"how far\nhow far\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = stdout.lines().collect();
    assert!(lines[0].starts_with("listening on http://127.0.0.1:"), "{stdout:?}");
    assert_eq!(lines[1..], ["0 0 0 0 0 0"; 2]);
}

#[test]
fn a_file_with_another_table_is_not_appended_to() {
    let csv = folder("another").join("rows.csv");
    fs::write(&csv, "a,b\n1,2\n").unwrap();
    let args = ["compare", "--quick", "--only", "floor", "--csv", csv.to_str().unwrap()];
    let output = Command::new(BENCH).args(args).output().unwrap();
    assert_refused(&args, &output, "holds another table");
    assert_eq!(fs::read_to_string(&csv).unwrap(), "a,b\n1,2\n");
}

#[test]
fn a_system_that_is_not_installed() {
    let folder = folder("not-installed");
    let peer = folder.join("mosquitto");
    fs::create_dir(&peer).unwrap();
    let args = ["idle", "10", "--peer", "mosquitto", "--peers-folder", folder.to_str().unwrap()];
    assert_refused(&args, &run(&folder, &args), "mosquitto did not start");
    fs::write(peer.join("start.sh"), "echo 'it is not installed: install it' >&2; exit 3").unwrap();
    assert_refused(&args, &run(&folder, &args), "it is not installed: install it");
}

#[test]
fn servers_that_do_not_serve() {
    let folder = folder("servers");
    for (text, why) in [
        ("echo 'the port is taken' >&2; exit 1", "the port is taken"),
        // Listens, and dies when the first connections are under way.
        (&*format!("(sleep 0.3; kill $$) & exec '{BENCH}' floor-server \"$@\""), "died in mid-run"),
        // Listens, and says nothing.
        (&*format!("exec '{BENCH}' floor-server \"$@\""), "only 0 of 1 connections"),
    ] {
        let server = script(&folder, text);
        let timeout = if why.starts_with("only") { "300ms" } else { "10s" };
        let args = ["idle", "10", "--timeout", timeout, "--server", &server];
        assert_refused(&args, &run(&folder, &args), why);
    }
    let server = folder.join("no-program");
    fs::write(&server, "").unwrap();
    let args = ["idle", "10", "--server", server.to_str().unwrap()];
    assert_refused(&args, &run(&folder, &args), "cannot start herenow");
}

/// A floor server that is not the program's own child.
struct Floor {
    child: Child,
    url: String,
}

impl Floor {
    fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(BENCH);
        command.args(["floor-server", "--listen", &address.to_string()]);
        let child = command.spawn().unwrap();
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        Self { child, url: format!("ws://{address}") }
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_that_dies_while_it_is_measured() {
    let folder = folder("dies");
    let mut floor = Floor::start();
    let csv = folder.join("rows.csv");
    let pid = floor.child.id().to_string();
    let mut args = vec!["fanout", "--peer", "floor", "--url", &floor.url, "--pid", &pid];
    args.extend(["--subscribers", "10", "--publishers", "1", "--updates", "1000", "--rate", "100"]);
    args.extend(["--csv", csv.to_str().unwrap()]);
    let mut command = Command::new(BENCH);
    command.args(&args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let bench = command.spawn().unwrap();
    thread::sleep(Duration::from_millis(1200));
    let url = floor.url.clone();
    floor.stop();
    let output = bench.wait_with_output().unwrap();
    assert_refused(&["fanout", "--url", &url], &output, "died in mid-run");
    assert!(!csv.exists());
}

#[test]
fn help_is_not_a_refusal() {
    let output = Command::new(BENCH).arg("--help").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let lines = BufReader::new(&*output.stdout).lines().map(Result::unwrap);
    let modes: Vec<_> =
        lines.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect();
    for mode in ["idle", "pacing", "levels", "followers", "compare"] {
        assert!(modes.iter().any(|shown| shown == mode), "{mode} is not in {modes:?}");
    }
    let hidden = ["giant", "floor-server", "followed-server"];
    assert!(!modes.iter().any(|shown| hidden.contains(&shown.as_str())), "{modes:?}");
}
