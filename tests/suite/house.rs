//! What each part must not know, read off the sources. `house/plan.rs` says what that is.

mod crates;
mod graph;
mod javascript;
mod plan;
mod sources;
mod syntax;

use sources::Sources;

#[test]
fn arrows_point_one_way_and_make_no_circles() {
    let faults = plan::faults(&sources::ours());
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Our sources with `text` at the end of the file, which must be there.
fn planted(file: &str, text: &str) -> Sources {
    let mut sources = sources::ours();
    let source = sources.get_mut(file).unwrap_or_else(|| panic!("{file} is gone"));
    source.push_str(text);
    sources
}

/// Each of `wanted` is found, and nothing that does not mention `file`.
fn assert_found(sources: &Sources, file: &str, wanted: &[&str]) {
    let faults = plan::faults(sources);
    for wanted in wanted {
        let is_found = faults.iter().any(|fault| fault.contains(wanted));
        assert!(is_found, "not found: {wanted}\n{}", faults.join("\n"));
    }
    let stray: Vec<_> = faults.iter().filter(|fault| !fault.contains(file)).collect();
    assert!(stray.is_empty(), "not planted: {stray:?}");
}

#[test]
fn an_arrow_back_up_is_found_however_it_is_written() {
    let file = "src/delivery/cursor.rs";
    let found = "src/delivery/cursor.rs needs src/hub/pace.rs, which stands above it: ";
    let ways = [
        "use crate::hub::pace::Pace;",
        "use super::super::hub::pace::Pace as Slowness;",
        // One group hides it, and a module is as good as what it holds.
        "use crate::{now::{NEVER, Now}, hub::{pace::{self, Pace}}};",
        "use crate::hub::pace::*;",
        "fn hidden() { use crate::hub::pace::Pace; }",
        "fn spelled(pace: &crate::hub::pace::Pace) {}",
        "fn called() { format!(\"{:?}\", (1, crate::hub::pace::Pace::default())); }",
        "#[derive(Args)] struct A { #[arg(value_parser = crate::hub::pace::Pace::read)] a: u8 }",
        "#[derive(Serialize)] struct A { #[serde(with = \"crate::hub::pace::Pace::read\")] a: u8 }",
        "macro_rules! pace { () => { $crate::hub::pace::Pace::default() } }",
        "mod inside { use super::super::super::hub::pace::Pace; }",
    ];
    for way in ways {
        assert_found(&planted(file, way), file, &[found]);
    }
    // Through the facade and another name for it.
    let facade = "use crate::hub as center; fn wide(hub: &center::Hub) {}";
    let state = "src/delivery/cursor.rs needs src/hub/state.rs, which stands above it: center::Hub";
    assert_found(&planted(file, facade), file, &[state]);
    let all = "use crate::hub::*; fn wide(hub: &Hub) {}";
    let state = "src/delivery/cursor.rs needs src/hub/state.rs, which stands above it: Hub";
    assert_found(&planted(file, all), file, &[state]);
}

#[test]
fn tests_may_know_what_they_test_with() {
    let file = "src/delivery/cursor.rs";
    let tests = "#[cfg(test)] mod more { use crate::hub::pace::Pace; }";
    assert_found(&planted(file, tests), file, &[]);
    let faults = plan::faults(&planted(file, "#[cfg(not(test))] use crate::hub::pace::Pace;"));
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn a_wing_that_knows_another_is_found() {
    let file = "src/http/health.rs";
    let sources = planted(file, "use crate::connection::{Dialect as _};");
    let found = "src/http/health.rs needs src/connection/dialect.rs, which stands beside it: ";
    assert_found(&sources, file, &[found]);
}

#[test]
fn a_circle_inside_a_room_is_found() {
    let file = "src/hub/followers.rs";
    let sources = planted(file, "use super::{pace, channel::{Channel as Whole}};");
    let found = "a circle: src/hub/channel.rs → src/hub/followers.rs → src/hub/channel.rs";
    assert_found(&sources, file, &[found]);

    // No circle yet, and not the order that the facade tells.
    let file = "src/hub/pace.rs";
    let back =
        "src/hub/pace.rs needs src/hub/timers.rs, which stands above it: super::timers (src/hub";
    assert_found(&planted(file, "use super::timers;"), file, &[back]);

    // A facade that holds what its child needs.
    let mut sources = planted("src/hub/mod.rs", "pub(super) const PACE: u8 = 1;");
    let child = "src/hub/pace.rs";
    sources.get_mut(child).unwrap().push_str("const MINE: u8 = super::PACE;");
    let circle = "a circle: src/hub/mod.rs → src/hub/pace.rs → src/hub/mod.rs";
    assert_found(&sources, "src/hub/mod.rs", &["src/hub/mod.rs is a facade and holds", circle]);

    let file = "protocol/src/shorthand.rs";
    let sources = planted(file, "use crate::parse as whole;");
    let found = "a circle: protocol/src/parse.rs → protocol/src/shorthand.rs → protocol/src/parse";
    assert_found(&sources, file, &[found]);

    let file = "bench/src/compare/samples.rs";
    let sources = planted(file, "use crate::compare::bounds;");
    let found = "a circle: bench/src/compare/bounds.rs → bench/src/compare/samples.rs → bench/src";
    assert_found(&sources, file, &[found]);
}

#[test]
fn a_circle_and_an_arrow_back_in_javascript_are_found() {
    let file = "clients/javascript/src/emitter.js";
    for way in [
        "import { Membership } from './membership.js';",
        "import {\n  Membership,\n} from \"./membership.js\";",
        "export * from '../src/membership.js'",
        "const late = () => import('./membership.js');",
        "import './membership.js'",
    ] {
        let circle = "a circle: clients/javascript/src/emitter.js → clients/javascript/src/membership.js → clients/javascript/src/emit";
        let back = "clients/javascript/src/emitter.js needs clients/javascript/src/membership.js, which stands above it: ";
        assert_found(&planted(file, way), file, &[circle, back]);
    }
    let types = "\n/** @typedef {import('./channel.js').Channel} Channel */\n";
    assert_found(&planted(file, types), file, &[]);

    let file = "web-demo/view-feed.js";
    let sources = planted(file, "import { WireView } from './view-wire.js';");
    let beside = "web-demo/view-feed.js needs web-demo/view-wire.js, which stands beside it: ";
    assert_found(&sources, file, &[beside]);
    let sources = planted(file, "import { connect } from './client/index.js';");
    assert_found(
        &sources,
        file,
        &["web-demo/view-feed.js needs clients/javascript/src/index.js, which is none"],
    );
}

#[test]
fn what_only_one_file_may_do_is_found_elsewhere() {
    let file = "src/hub/pace.rs";
    let found = |what: &str| format!("src/hub/pace.rs must not know {what}");
    for (way, what) in [
        ("fn now() { std::time::Instant::now(); }", "std::time::Instant::now"),
        (
            "use std::time::{self, Instant as I}; fn now() -> I { I::now() }",
            "std::time::Instant::now",
        ),
        ("use std::time; fn now() { time::SystemTime::now(); }", "std::time::SystemTime::now"),
        ("fn now() { vec![tokio::time::Instant::now()]; }", "tokio::time::Instant::now"),
        ("fn dice() -> u64 { fastrand::u64(..) }", "fastrand::u64"),
        ("use fastrand::Rng; fn dice() -> Rng { Rng::new() }", "fastrand::Rng::new"),
        ("use tokio::net::TcpStream as Wire;", "tokio::net::TcpStream"),
        ("use std::os::fd::{AsRawFd, RawFd};", "std::os::fd::RawFd"),
        ("fn read() { std::env::var(\"A\"); }", "std::env::var"),
        ("use std::io; fn say() { writeln!(io::stderr(), \"\"); }", "std::io::stderr"),
        ("fn say() { println!(\"here\"); }", "println"),
    ] {
        assert_found(&planted(file, way), file, &[&found(what)]);
    }
    let fine = "use fastrand::Rng; fn dice(seed: u64) -> Rng { Rng::with_seed(seed) }";
    assert_found(&planted(file, fine), file, &[]);
}

#[test]
fn the_core_stays_pure() {
    let file = "src/presence/tally.rs";
    let sources = planted(file, "\nuse std::sync::atomic::AtomicU64;");
    assert_found(&sources, file, &["src/presence/tally.rs must not know \"Atomic\""]);
    let found = "src/presence/tally.rs needs src/clock.rs, which is none of what src/presence/ may";
    assert_found(&planted(file, "use crate::clock::Clock;"), file, &[found]);
    let file = "src/auth/caller.rs";
    let sources = planted(file, "use crate::presence::{Member, Viewer as Eye};");
    assert_found(
        &sources,
        file,
        &["needs src/presence/member.rs, which is none of what src/auth/"],
    );
    let file = "clients/javascript/src/replica.js";
    let sources = planted(file, "\nconst now = Date.now();");
    assert_found(&sources, file, &["clients/javascript/src/replica.js must not know \"Date\""]);
}

#[test]
fn a_room_without_a_place_is_found() {
    let mut sources = planted("src/lib.rs", "mod attic;");
    sources.insert("src/attic/mod.rs".into(), "pub mod box_of_letters;".into());
    sources.insert("src/attic/box_of_letters.rs".into(), "use crate::server::Broker;".into());
    let wanted =
        ["src/attic has no place in the order of src/lib.rs", "ARCHITECTURE.md lacks src/attic"];
    assert_found(&sources, "src/attic", &wanted);

    let mut sources = sources::ours();
    let plan = sources.get_mut("ARCHITECTURE.md").unwrap();
    let row = plan.lines().find(|line| line.starts_with("| `src/hub/` |")).unwrap().to_owned();
    *plan = plan
        .replace(&row, "")
        .replace("| `clients/javascript/` |", &format!("{row}\n| `clients/javascript/` |"));
    let wanted = ["ARCHITECTURE.md has src/hub/ above what it knows"];
    assert_found(&sources, "ARCHITECTURE.md", &wanted);
    let sources = planted("ARCHITECTURE.md", "a word of `hub/telling` and protocol/src/gone.rs.");
    let wanted = ["names hub/telling, which is gone", "names protocol/src/gone.rs., which is gone"];
    assert_found(&sources, "ARCHITECTURE.md", &wanted);
}

#[test]
fn what_cannot_be_followed_is_found() {
    let file = "src/hub/pace.rs";
    let sources = planted(file, "use crate::hub::nowhere::Nothing;");
    assert_found(&sources, file, &["src/hub/pace.rs: nobody can tell where crate::hub::nowhere"]);
    let sources = planted(file, "#[path = \"elsewhere.rs\"] mod hidden;");
    assert_found(&sources, file, &["behind #[path]", "declares hidden, which has no file"]);
}
