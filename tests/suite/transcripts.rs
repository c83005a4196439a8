//! What the documents show is typed here, and must come out as shown.
//!
//! A `console` block is a shell: `$` is what is typed, the lines below it what comes out. `$ herenow`
//! starts a broker (on a free port, which stands for 8080), `$ npx wscat` opens a WebSocket, or goes
//! on with that of the same user: `>` is typed there and `<` comes back, the welcome left out.
//! `$ curl -N`, `$ herenow watch` and `$ herenow join` go on in a terminal of their own: what the last of
//! them prints is shown below, and below what is typed later. Times in a line of text are passed over. Each chapter (`##`) begins anew, in an empty folder, with a broker without flags unless it
//! starts one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::broker::{Process, binary};
use crate::client::PATIENCE;
use crate::place;
use crate::wire::Wire;

/// One chapter under way.
struct Chapter {
    title: String,
    folder: PathBuf,
    broker: Option<Process>,
    sockets: BTreeMap<String, Wire>,
    /// The socket that `>` and `<` are about.
    open: Option<String>,
    /// Variables that were set.
    prelude: String,
    /// What came out and was not compared yet.
    output: Vec<String>,
    /// What goes on.
    stream: Option<Endless>,
}

/// A command that goes on until the chapter ends.
struct Endless {
    child: Child,
    lines: Receiver<String>,
}

impl Endless {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let lines = out.lines().map_while(Result::ok).filter(|line| !line.is_empty());
            lines.take_while(|line| sender.send(line.trim_end().to_owned()).is_ok()).count()
        });
        Self { child, lines }
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Chapter {
    fn new(title: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir()
            .join(format!("herenow-transcripts-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            title: title.to_owned(),
            folder,
            broker: None,
            sockets: BTreeMap::new(),
            open: None,
            prelude: String::new(),
            output: Vec::new(),
            stream: None,
        }
    }

    fn start(&mut self, flags: &[&str]) {
        let mut command = binary();
        command.current_dir(&self.folder).args(["--listen", "127.0.0.1:0"]).args(flags);
        self.broker = Some(Process::spawn(command));
    }

    fn address(&mut self) -> std::net::SocketAddr {
        if self.broker.is_none() {
            self.start(&[]);
        }
        self.broker.as_ref().unwrap().address()
    }

    async fn line(&mut self, line: &str) {
        if let Some(typed) = line.strip_prefix("$ ") {
            self.finished();
            self.shell(typed).await;
        } else if let Some(typed) = line.strip_prefix("> ") {
            self.socket().say(typed).await;
        } else if let Some(shown) = line.strip_prefix("< ") {
            let heard = self.socket().text().await;
            assert_eq!(blanked(&heard), blanked(shown), "in {}: {heard}", self.title);
        } else {
            let heard = self.heard().unwrap_or_else(|| {
                panic!("in {}: nothing comes out like {line}", self.title);
            });
            assert_eq!(blanked(&heard), blanked(line), "in {}", self.title);
        }
    }

    /// The next line that came out.
    fn heard(&mut self) -> Option<String> {
        if self.output.is_empty() {
            return self.stream.as_ref()?.lines.recv_timeout(PATIENCE).ok();
        }
        Some(self.output.remove(0))
    }

    fn socket(&mut self) -> &mut Wire {
        let user = self.open.as_ref().expect("no wscat was started");
        self.sockets.get_mut(user).unwrap()
    }

    /// All that came out was shown.
    fn finished(&self) {
        assert!(self.output.is_empty(), "in {}: not shown: {:?}", self.title, self.output);
    }

    async fn shell(&mut self, typed: &str) {
        let words: Vec<_> = typed.split_whitespace().collect();
        match &words[..] {
            ["herenow", flags @ ..] if flags.first().is_none_or(|flag| flag.starts_with("--")) => {
                self.start(flags);
            }
            ["herenow", "watch" | "join", ..] => {
                self.address();
                self.stream = Some(Endless::start(self.command(&format!("exec {typed}"))));
            }
            ["npx", "wscat", ..] => self.wscat(typed).await,
            ["curl", "-N", ..] => {
                let address = self.address().to_string();
                // The shell becomes curl, so that killing it leaves nothing behind.
                let typed = typed.replace("127.0.0.1:8080", &address);
                let typed = typed.replacen("curl -N", "exec curl -sN", 1);
                self.stream = Some(Endless::start(self.command(&typed)));
            }
            _ => self.run(typed),
        }
    }

    async fn wscat(&mut self, typed: &str) {
        let url = typed.split(['\'', '"']).nth(1).expect("the address in quotes");
        let path = &url[url.find("/ws").expect("/ws")..];
        let path = self.expand(path);
        self.open = Some(path.clone());
        if self.sockets.contains_key(&path) {
            return;
        }
        let mut raw = Wire::dial(self.address()).await;
        raw.upgrade(&path, "").await;
        let welcome = raw.text().await;
        assert!(welcome.contains("welcome"), "in {}: {welcome}", self.title);
        self.sockets.insert(path, raw);
    }

    /// The path with its variables as they are.
    fn expand(&self, path: &str) -> String {
        let (_, out) = self.sh(&format!("printf %s \"{path}\""));
        out
    }

    fn run(&mut self, typed: &str) {
        let address = self.address().to_string();
        let typed = typed.replace("127.0.0.1:8080", &address);
        if typed
            .split_once('=')
            .is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase()))
        {
            self.prelude += &format!("{typed}\n");
            return;
        }
        let (fine, out) = self.sh(&typed);
        assert!(fine, "in {}: {typed} failed: {out}", self.title);
        let out = out.replace(&address, "127.0.0.1:8080");
        self.output = out.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect();
    }

    fn command(&self, script: &str) -> Command {
        let binary = place::binary();
        let bin = binary.parent().unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command
            .args(["-ec", &format!("{}{script}", self.prelude)])
            .env("PATH", path)
            .envs(
                self.broker
                    .as_ref()
                    .map(|broker| ("HERENOW_URL", format!("http://{}", broker.address()))),
            )
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command
    }

    fn sh(&self, script: &str) -> (bool, String) {
        let ran = self.command(script).output().unwrap();
        let text =
            [ran.stdout, if ran.status.success() { Vec::new() } else { ran.stderr }].concat();
        (ran.status.success(), String::from_utf8(text).unwrap())
    }
}

impl Drop for Chapter {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A line of text without the moments and ages in it, if there are any.
fn timeless(line: &str) -> String {
    let is_clock = |word: &str| {
        let shape =
            |(n, byte): (usize, u8)| if n % 3 == 2 { byte == b':' } else { byte.is_ascii_digit() };
        word.len() == 8 && word.bytes().enumerate().all(shape)
    };
    let is_age = |word: &str| {
        let number = word.strip_suffix(['s', 'm', 'h', 'd']).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let words: Vec<_> = line.split_whitespace().collect();
    if !words.iter().any(|word| is_clock(word) || is_age(word)) {
        return line.to_owned();
    }
    words.into_iter().filter(|word| !is_clock(word) && !is_age(word)).collect::<Vec<_>>().join(" ")
}

/// A line with what differs from run to run blanked out.
fn blanked(line: &str) -> Value {
    const MOMENTS: [&str; 13] = [
        "sight",
        "epoch",
        "at",
        "joinedAt",
        "now",
        "connection",
        "lastSeen",
        "createdAt",
        "updatedAt",
        "next",
        "last_seen",
        "created_at",
        "updated_at",
    ];
    fn blank(value: &mut Value) {
        match value {
            Value::Object(map) => {
                // How many ticks told of what a list shows.
                let is_list = map.contains_key("members") && !map.contains_key("reason");
                for (key, value) in map {
                    if is_list && key == "seq" {
                        *value = Value::Null;
                        continue;
                    }
                    if MOMENTS.contains(&key.as_str()) {
                        *value = Value::Null
                    } else {
                        blank(value)
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(blank),
            _ => {}
        }
    }
    if line.starts_with("id: ") {
        return Value::from("id");
    }
    let json = line.strip_prefix("data: ").unwrap_or(line);
    let mut value = serde_json::from_str(json).unwrap_or_else(|_| Value::from(timeless(line)));
    blank(&mut value);
    value
}

/// Types a document's console blocks; the result: how many lines were typed.
async fn type_document(text: &str) -> usize {
    let mut chapter = Chapter::new("the beginning");
    let (mut in_block, mut typed) = (false, 0);
    for line in text.lines() {
        match line {
            "```console" => in_block = true,
            "```" => {
                chapter.finished();
                in_block = false;
            }
            _ if in_block && !line.trim().is_empty() => {
                typed += usize::from(line.starts_with(['$', '>']));
                chapter.line(line).await;
            }
            _ if line.starts_with("## ") => {
                chapter = Chapter::new(line);
            }
            _ => {}
        }
    }
    typed
}

#[tokio::test]
async fn the_recipes_come_out_as_shown() {
    let typed = type_document(include_str!("../../docs/recipes.md")).await;
    assert!(typed >= 40, "only {typed} lines were typed");
}

#[tokio::test]
async fn the_http_document_comes_out_as_shown() {
    let typed = type_document(include_str!("../../docs/http.md")).await;
    assert!(typed >= 20, "only {typed} lines were typed");
}

#[tokio::test]
async fn the_vendors_document_comes_out_as_shown() {
    let typed = type_document(include_str!("../../docs/vendors.md")).await;
    assert!(typed >= 16, "only {typed} lines were typed");
}

#[tokio::test]
async fn the_terminal_document_comes_out_as_shown() {
    let typed = type_document(include_str!("../../docs/terminal.md")).await;
    assert!(typed >= 12, "only {typed} lines were typed");
}

#[tokio::test]
async fn the_readme_comes_out_as_shown() {
    let typed = type_document(include_str!("../../README.md")).await;
    assert!(typed >= 4, "only {typed} lines were typed");
}
