//! What each part must not know, read off the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file below `dir` of this package, with its text less comments.
fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                found.push((path, code.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut found);
    assert!(!found.is_empty(), "{dir} has no sources");
    found
}

fn assert_absent(dir: &str, words: &[&str]) {
    for (path, code) in sources(dir) {
        for word in words {
            assert!(!code.contains(word), "{} must not know {word:?}", path.display());
        }
    }
}

/// The core is pure: no io, clock, lock, runtime or randomness.
#[test]
fn presence_is_pure() {
    let impure = [
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
    ];
    assert_absent("src/presence", &impure);
}

/// Imports point one way: each part knows only those before it in the list.
#[test]
fn imports_point_one_way() {
    let order =
        ["presence", "auth", "delivery", "hub", "connection", "web", "http", "demo", "server"];
    for (place, part) in order.iter().enumerate() {
        let later: Vec<_> =
            order[place + 1..].iter().map(|name| format!("crate::{name}")).collect();
        let later: Vec<_> = later.iter().map(String::as_str).collect();
        assert_absent(&format!("src/{part}"), &later);
    }
    assert_absent("src/presence", &["crate::"]);
    assert_absent("protocol/src", &["herenow::", "tokio", "std::net", "std::io", "std::time"]);
}

/// A simulated viewer is a client: it has no way in but the port.
#[test]
fn the_demo_knows_the_broker_by_its_port() {
    let parts = ["presence", "auth", "delivery", "hub", "connection", "http", "server"];
    let inside = parts.map(|part| format!("crate::{part}"));
    let inside: Vec<_> = inside.iter().map(String::as_str).chain(["State<", "state::"]).collect();
    assert_absent("src/demo", &inside);
}

/// What a connection's socket is made of is known in one place, so that TLS changes no other.
#[test]
fn only_the_transport_knows_tcp() {
    for dir in ["src/delivery", "src/hub", "src/connection"] {
        for (path, code) in sources(dir) {
            let is_transport = path.ends_with("delivery/transport.rs");
            for word in ["TcpStream", "socket2", "SockRef", "RawFd"] {
                assert_eq!(code.contains(word), is_transport, "{word:?} in {}", path.display());
            }
        }
    }
}

/// Time is read in one place.
#[test]
fn only_the_clock_reads_the_time() {
    for (path, code) in sources("src") {
        let reads = code.contains("Instant::now") || code.contains("SystemTime::now");
        assert_eq!(reads, path.ends_with("clock.rs"), "{}", path.display());
    }
}
