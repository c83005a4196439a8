//! The plan of the house: who stands where, and what each part must not know. Where somebody stands
//! is read from where we document it.

use std::collections::BTreeSet;

use super::crates::{self, Reading};
use super::graph::{self, Arrow};
use super::javascript;
use super::sources::Sources;

/// The client library and the pages, line by line as the rooms: files of one line do not know each
/// other. A name that ends with `*` stands for all that begin so.
const JAVASCRIPT: [(&str, &[&str]); 3] = [
    (
        "clients/javascript/src/",
        &[
            "bound clock error page refusal replica shapes stored",
            "address credentials emitter json promise soon",
            "carried outbox requests user",
            "link membership",
            "channel",
            "client",
            "index",
            "fake-channel fake-connection fake-users",
            "session hold",
            "livelike rooms react svelte testing vue",
        ],
    ),
    ("web-demo/", &["dom words breakable viewers", "meter guinea-pig", "view-*", "app admin"]),
    ("web-demo/admin/", &["api pages plot poll words", "window-list", "view-*", "app"]),
];

/// Parts that may know only some of what stands below them: the part, and what it may know beside
/// itself. The first that a file's path begins with holds for it.
const NARROW: [(&str, &[&str]); 33] = [
    ("protocol/src/", &[]),
    ("src/deflate/", &["protocol/src/", "src/limits/", "src/metrics.rs"]),
    ("src/presence/", &["protocol/src/", "src/now.rs", "src/limits/"]),
    (
        "src/cluster/",
        &["protocol/src/", "src/now.rs", "src/limits/", "src/presence/", "src/users/"],
    ),
    ("src/users/", &["protocol/src/", "src/now.rs", "src/limits/", "src/shrink.rs"]),
    (
        "src/auth/",
        &[
            "protocol/src/",
            "src/now.rs",
            "src/duration.rs",
            "src/limits/",
            "src/chance.rs",
            "src/presence/viewer.rs",
        ],
    ),
    ("src/vital.rs", &[]),
    ("src/tls/", &["src/limits/"]),
    ("src/proxy/", &["src/limits/"]),
    ("src/outgoing.rs", &[]),
    ("src/logging.rs", &["src/config.rs", "src/limits/"]),
    ("src/jwks/", &["src/auth/", "src/clock.rs", "src/limits/", "src/outgoing.rs", "src/vital.rs"]),
    // A simulated viewer is a client: it has no way in but the port.
    (
        "src/demo/",
        &[
            "protocol/src/",
            "src/limits/",
            "src/web/accepted.rs",
            "src/web/compressed.rs",
            "src/web/input.rs",
            "src/web/problem.rs",
            "src/web/tagged.rs",
        ],
    ),
    // Somebody at a terminal is a client of some broker, and has no other way in.
    (
        "src/terminal/",
        &[
            "protocol/src/",
            "src/auth/key_source.rs",
            "src/auth/secret.rs",
            "src/chance.rs",
            "src/clock.rs",
            "src/duration.rs",
            "src/limits/",
            "src/outgoing.rs",
        ],
    ),
    // Followers live inside the broker, so this one is a broker.
    ("bench/src/followed_server.rs", &["bench/src/", "protocol/src/", "src/"]),
    // A million users come by sockets only in minutes, so this one is a broker, too.
    ("bench/src/mode/kept.rs", &["bench/src/", "protocol/src/", "src/"]),
    // A measuring client knows the broker by its port, and by what stands on the wire.
    ("bench/src/", &["protocol/src/"]),
    (
        "clients/javascript/src/carried.js",
        &["clients/javascript/src/json.js", "clients/javascript/src/promise.js"],
    ),
    ("clients/javascript/src/replica.js", &[]),
    (
        "clients/javascript/src/session.js",
        &["clients/javascript/src/index.js", "clients/javascript/src/promise.js"],
    ),
    (
        "clients/javascript/src/livelike.js",
        &["clients/javascript/src/promise.js", "clients/javascript/src/session.js"],
    ),
    (
        "clients/javascript/src/rooms.js",
        &["clients/javascript/src/promise.js", "clients/javascript/src/session.js"],
    ),
    ("clients/javascript/src/hold.js", &[]),
    (
        "clients/javascript/src/react.js",
        &["clients/javascript/src/hold.js", "clients/javascript/src/index.js"],
    ),
    ("clients/javascript/src/svelte.js", &["clients/javascript/src/hold.js"]),
    ("clients/javascript/src/vue.js", &["clients/javascript/src/hold.js"]),
    (
        "clients/javascript/src/testing.js",
        &[
            "clients/javascript/src/index.js",
            "clients/javascript/src/fake-channel.js",
            "clients/javascript/src/fake-connection.js",
            "clients/javascript/src/fake-users.js",
        ],
    ),
    ("clients/javascript/src/fake-", &[]),
    ("web-demo/admin/view-channel.js", &["web-demo/", "clients/javascript/src/replica.js"]),
    ("web-demo/admin/", &["web-demo/dom.js"]),
    ("web-demo/app.js", &["web-demo/", "clients/javascript/src/index.js"]),
    (
        "web-demo/guinea-pig.js",
        &["web-demo/breakable.js", "web-demo/words.js", "clients/javascript/src/index.js"],
    ),
    ("web-demo/", &[]),
];

/// Paths into other people's code that few files may take: how the path begins or ends, and in which
/// files it may.
const OUTSIDE: [(&str, &[&str]); 16] = [
    ("…::Instant::now", &["src/clock.rs", "bench/"]),
    ("…::SystemTime::now", &["src/clock.rs", "bench/"]),
    ("fastrand::…", &["src/chance.rs", "bench/"]),
    ("getrandom::…", &[]),
    ("rand::…", &[]),
    (
        "socket2::…",
        &[
            "src/delivery/kernel.rs",
            "src/delivery/tls.rs",
            "src/delivery/transport.rs",
            "src/server/",
            "bench/",
        ],
    ),
    (
        "…::TcpStream",
        &[
            "src/delivery/kernel.rs",
            "src/delivery/tls.rs",
            "src/delivery/transport.rs",
            "src/server/",
            "src/demo/visitor.rs",
            "src/terminal/dial.rs",
            "bench/",
        ],
    ),
    ("…::RawFd", &["src/delivery/transport.rs", "bench/"]),
    ("std::env::…", &["src/main.rs", "bench/"]),
    ("std::io::stdout", &["src/main.rs", "bench/"]),
    ("std::io::stderr", &["src/main.rs", "src/logging.rs", "bench/"]),
    ("print", &["bench/"]),
    ("println", &["bench/"]),
    ("eprint", &["bench/"]),
    ("eprintln", &["bench/"]),
    ("dbg", &[]),
];

/// A generator that was handed in, or is made from a seed that was: it makes no randomness.
const SEEDED: [&str; 2] = ["fastrand::Rng", "fastrand::Rng::with_seed"];

/// Words that parts must not even hold: the part, and the words.
const WORDS: [(&str, &[&str]); 4] = [
    // The core is pure: no io, clock, lock, runtime or randomness.
    (
        "src/presence/",
        &[
            "tokio",
            "futures",
            "async ",
            ".await",
            "Instant",
            "SystemTime",
            "std::time",
            "std::io",
            "std::net",
            "std::fs",
            "std::env",
            "std::thread",
            "std::sync::Mutex",
            "RwLock",
            "Atomic",
            "parking_lot",
            "dashmap",
            "fastrand",
            "tracing",
            "thread_local",
            "static ",
            "socket",
        ],
    ),
    ("protocol/src/", &["herenow::", "tokio", "std::net", "std::io", "std::time"]),
    ("clients/javascript/src/carried.js", PURE_JAVASCRIPT),
    ("clients/javascript/src/replica.js", PURE_JAVASCRIPT),
];

const PURE_JAVASCRIPT: &[&str] = &[
    "Date",
    "performance",
    "setTimeout",
    "setInterval",
    "random",
    "WebSocket",
    "fetch",
    "window",
    "document",
    "globalThis",
    "async ",
    "await ",
];

/// All that is wrong with the plan, or with `sources` by it, a line each.
pub(crate) fn faults(sources: &Sources) -> Vec<String> {
    let reading = crates::read(sources);
    let mut arrows = reading.arrows.clone();
    arrows.extend(javascript::arrows(sources));
    let mut faults = reading.faults.clone();
    for circle in graph::circles(&arrows) {
        faults.push(format!("a circle: {}", circle.join(" → ")));
    }
    faults.extend(orders(sources).iter().flat_map(|order| order.faults(sources, &arrows)));
    faults.extend(arrows.iter().filter_map(too_far));
    faults.extend(outside(&reading));
    faults.extend(facades(&reading));
    faults.extend(words(sources));
    faults.extend(inside_rooms(sources, &arrows));
    faults.extend(table(sources));
    faults.extend(gone(sources));
    faults
}

/// The lines in which the parts of one folder stand.
struct Order<'a> {
    /// Where it is documented.
    told_in: &'a str,
    folder: &'a str,
    lines: Vec<Vec<String>>,
}

fn orders(sources: &Sources) -> Vec<Order<'static>> {
    let mut orders = Vec::new();
    for (told_in, folder) in [("src/lib.rs", "src/"), ("bench/src/main.rs", "bench/src/")] {
        let lines = sources[told_in].lines().filter_map(line_of_order).collect();
        orders.push(Order { told_in, folder, lines });
    }
    for (folder, lines) in JAVASCRIPT {
        let lines = lines.iter().map(|line| line.split(' ').map(str::to_owned).collect());
        orders.push(Order { told_in: "tests/suite/house/plan.rs", folder, lines: lines.collect() });
    }
    orders
}

/// The names in `//! 3. [`this`], [`that`]: what they are`.
fn line_of_order(line: &str) -> Option<Vec<String>> {
    let (number, rest) = line.strip_prefix("//! ")?.split_once(". ")?;
    number.parse::<u32>().ok()?;
    let (names, _) = rest.split_once(": ")?;
    Some(names.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

impl Order<'_> {
    fn faults(&self, sources: &Sources, arrows: &[Arrow]) -> Vec<String> {
        let mut faults = Vec::new();
        let parts: BTreeSet<_> = sources.keys().filter_map(|path| self.part(path)).collect();
        for part in parts.into_iter().filter(|part| self.line_of(part).is_none()) {
            let Self { folder, told_in, .. } = self;
            faults.push(format!("{folder}{part} has no place in the order of {told_in}"));
        }
        for Arrow { from, to, what } in arrows {
            let (Some(part), Some(other)) = (self.part(from), self.part(to)) else { continue };
            let (Some(stands), Some(needed)) = (self.line(from), self.line(to)) else { continue };
            if part == other || needed < stands {
                continue;
            }
            let stands = if needed == stands { "beside" } else { "above" };
            faults.push(format!(
                "{from} needs {to}, which stands {stands} it: {what} ({})",
                self.told_in
            ));
        }
        faults
    }

    /// The part that a file belongs to: the folder, or the file by itself. What holds all parts
    /// together is none.
    fn part<'a>(&self, path: &'a str) -> Option<&'a str> {
        let part = path.strip_prefix(self.folder)?.split('/').next()?;
        let part = part.strip_suffix(".rs").or(part.strip_suffix(".js")).unwrap_or(part);
        (!matches!(part, "lib" | "main" | "mod" | "tests")).then_some(part)
    }

    fn line(&self, path: &str) -> Option<usize> {
        self.line_of(self.part(path)?)
    }

    fn line_of(&self, part: &str) -> Option<usize> {
        let is_it = |name: &String| match name.strip_suffix('*') {
            Some(begin) => part.starts_with(begin),
            None => part == name,
        };
        self.lines.iter().position(|line| line.iter().any(is_it))
    }
}

/// An arrow that leads out of what a part may know.
fn too_far(arrow: &Arrow) -> Option<String> {
    let Arrow { from, to, what } = arrow;
    let (part, may) = NARROW.iter().find(|(part, _)| from.starts_with(part))?;
    let is_fine = to.starts_with(part) || may.iter().any(|may| to.starts_with(may));
    (!is_fine).then(|| format!("{from} needs {to}, which is none of what {part} may know: {what}"))
}

fn outside(reading: &Reading) -> Vec<String> {
    let mut faults = Vec::new();
    for (file, path) in &reading.outside {
        for (what, may) in OUTSIDE {
            let is_it = match (what.strip_prefix('…'), what.strip_suffix("::…")) {
                (Some(end), _) => path.ends_with(end),
                (_, Some(begin)) => {
                    path.strip_prefix(begin).is_some_and(|rest| rest.starts_with("::"))
                        && !SEEDED.contains(&path.as_str())
                }
                _ => path == what,
            };
            if is_it && !may.iter().any(|may| file.starts_with(may)) {
                faults.push(format!("{file} must not know {path}"));
            }
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// Code in a facade is code that its children could need.
fn facades(reading: &Reading) -> Vec<String> {
    let facades = reading.has_code.iter().filter(|path| path.ends_with("/mod.rs"));
    facades.map(|path| format!("{path} is a facade and holds code")).collect()
}

fn words(sources: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    for (part, words) in WORDS {
        for (path, text) in sources.iter().filter(|(path, _)| path.starts_with(part)) {
            let code = javascript::code(text);
            let found = words.iter().filter(|word| code.contains(**word));
            faults.extend(found.map(|word| format!("{path} must not know {word:?}")));
        }
    }
    faults
}

/// Where a facade says that its files stand in order, each knows only those that are listed before.
fn inside_rooms(sources: &Sources, arrows: &[Arrow]) -> Vec<String> {
    let mut faults = Vec::new();
    for (facade, text) in sources.iter().filter(|(path, _)| path.ends_with("/mod.rs")) {
        if !text.contains("In the order in which the files need each other") {
            continue;
        }
        let listed = text.lines().filter_map(|line| {
            let (names, _) = line.strip_prefix("//! - ")?.split_once(": ")?;
            Some(names.split('`').skip(1).step_by(2).map(str::to_owned).collect())
        });
        let folder = facade.trim_end_matches("mod.rs");
        let order = Order { told_in: facade, folder, lines: listed.collect() };
        faults.extend(order.faults(sources, arrows));
    }
    faults
}

/// What ARCHITECTURE.md names as `room/file` and is no file.
fn gone(sources: &Sources) -> Vec<String> {
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '*');
    let rooms: BTreeSet<_> = sources
        .keys()
        .filter_map(|path| path.strip_prefix("src/")?.split_once('/'))
        .map(|(room, _)| room)
        .collect();
    let mut faults = Vec::new();
    for word in sources["ARCHITECTURE.md"].split(|c| !is_of_path(c)) {
        let Some((first, rest)) = word.split_once('/') else { continue };
        let rest = rest.trim_end_matches(".rs").trim_end_matches(['/', '.']);
        let path = match first {
            "protocol" if rest.starts_with("vectors") => continue,
            "protocol" => format!("protocol/src/{}", rest.trim_start_matches("src/")),
            room if rooms.contains(room) => format!("src/{room}/{rest}"),
            _ => continue,
        };
        let is_there =
            [".rs", "/mod.rs"].iter().any(|end| sources.contains_key(&(path.clone() + end)));
        if !rest.is_empty() && !is_there && !word.ends_with(".md") {
            faults.push(format!("ARCHITECTURE.md names {word}, which is gone"));
        }
    }
    faults
}

/// The table of ARCHITECTURE.md has every part in the order of `src/lib.rs`.
fn table(sources: &Sources) -> Vec<String> {
    let rows = sources["ARCHITECTURE.md"].lines().filter_map(|line| {
        let (first, _) = line.strip_prefix("| ")?.split_once(" |")?;
        first.starts_with('`').then_some(first)
    });
    let named = rows.flat_map(|first| first.split('`').skip(1).step_by(2));
    let rooms: Vec<_> = named.filter_map(|name| name.strip_prefix("src/")).collect();
    let order = orders(sources).swap_remove(0);
    let mut faults = Vec::new();
    let mut last = 0;
    for room in &rooms {
        match order.line(&format!("src/{room}")) {
            None => faults.push(format!("ARCHITECTURE.md has src/{room}, which has no place")),
            Some(line) if line < last => {
                faults.push(format!("ARCHITECTURE.md has src/{room} above what it knows"));
            }
            Some(line) => last = line,
        }
    }
    let parts: BTreeSet<_> = sources.keys().filter_map(|path| order.part(path)).collect();
    for part in parts {
        let names = [format!("{part}/"), format!("{part}.rs")];
        if !rooms.iter().any(|room| names.iter().any(|name| name == room)) {
            faults.push(format!("ARCHITECTURE.md lacks src/{part}"));
        }
    }
    faults
}
