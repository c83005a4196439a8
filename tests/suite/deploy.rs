//! What `deploy/` holds names only what there is: metrics that are shown, flags that are taken. And
//! `herenow health`, by which a container is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use herenow::Config;
use serde_json::Value;

use crate::broker::{Process, binary};
use crate::lifecycle::refused;

/// What `docs/metrics.md` lists, which a test of its own compares with what is shown.
fn metrics() -> BTreeSet<String> {
    let rows = include_str!("../../docs/metrics.md").lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("| `")?.split_once('`')?;
        Some(name.to_owned())
    });
    rows.collect()
}

/// Every metric that a text names, less what a histogram's parts are called by.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| word.starts_with("herenow_"));
    ours.map(|word| word.trim_end_matches("_bucket").to_owned()).collect()
}

#[test]
fn alerts_and_dashboard_name_metrics_that_there_are() {
    let there = metrics();
    assert!(there.len() > 30, "{there:?}");
    for text in [include_str!("../../deploy/alerts.yml"), include_str!("../../deploy/grafana.json")]
    {
        let named = named(text);
        assert!(named.len() > 5, "{named:?}");
        let gone: Vec<_> = named.difference(&there).collect();
        assert!(gone.is_empty(), "no such metrics: {gone:?}");
    }
    // The dashboard leaves nothing out.
    let dashboard = named(include_str!("../../deploy/grafana.json"));
    let left_out: Vec<_> = there.difference(&dashboard).collect();
    let why = [
        "herenow_node_deaths_total",
        "herenow_redis_connections_total",
        "herenow_redis_strange_total",
    ];
    assert_eq!(left_out, why.iter().collect::<Vec<_>>(), "metrics that no panel shows");
}

#[test]
fn each_panel_has_a_place_and_a_number_of_its_own() {
    let board: Value = serde_json::from_str(include_str!("../../deploy/grafana.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let numbers: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    let places: BTreeSet<_> = panels.iter().map(|panel| panel["gridPos"].to_string()).collect();
    assert!(panels.len() > 10 && numbers.len() == panels.len() && places.len() == panels.len());
    for panel in panels {
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
    }
}

#[test]
fn image_and_service_say_what_the_binary_takes() {
    let flags = Config::augment_args(clap::Command::new("herenow"));
    let variables: BTreeSet<_> =
        flags.get_arguments().filter_map(|flag| flag.get_env()?.to_str()).collect();
    let image = include_str!("../../deploy/Dockerfile");
    let set =
        image.split_whitespace().filter_map(|word| word.split_once('=')).map(|(name, _)| name);
    let ours: Vec<_> = set.filter(|name| name.starts_with("HERENOW_")).collect();
    assert_eq!(ours, ["HERENOW_LISTEN", "HERENOW_ADMIN_LISTEN"]);
    assert!(ours.iter().all(|name| variables.contains(name)), "{ours:?}");
    assert!(image.contains(r#"CMD ["/herenow", "health"]"#) && image.contains("\nUSER 65534"));
    let service = include_str!("../../deploy/herenow.service");
    for line in [
        "ExecStart=/usr/local/bin/herenow --config /etc/herenow/herenow.toml",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "Restart=on-failure",
        "StartLimitIntervalSec=0",
    ] {
        assert!(service.lines().any(|known| known == line), "no {line}");
    }
    // The longest stop that the flags lead to without being set: the parts of it are in the document.
    let Config { drain_delay, drain_timeout, .. } = Config::default();
    let stop = service.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    let stop = humantime::parse_duration(stop).unwrap();
    assert!(stop > drain_delay + drain_timeout + Duration::from_secs(5));
}

#[test]
fn health_asks_the_broker_that_the_flags_are_for() {
    let mut process = Process::start(&["--admin-listen", "127.0.0.1:0", "--drain-delay", "1h"]);
    let admin = process.greeting();
    let admin = admin.split("http://").last().unwrap().split('/').next().unwrap().to_owned();
    let public = process.address().to_string();
    let health = |args: &[&str]| {
        let output = binary().arg("health").args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let well = (Some(0), String::new());
    assert_eq!(health(&["--listen", &public]), well);
    assert_eq!(health(&["--listen", &public, "--admin-listen", &admin, "--ready"]), well);
    // What is asked is there no longer.
    let (code, said) = health(&["--listen", &public, "--ready"]);
    assert!(code == Some(1) && said.contains("404"), "{said}");
    process.signal("TERM");
    let mut said = String::new();
    for _ in 0..200 {
        (_, said) = health(&["--admin-listen", &admin, "--ready"]);
        if said.contains("503") {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(said.contains("503"), "{said}");
    assert_eq!(health(&["--admin-listen", &admin]), well, "it is alive");
    process.signal("TERM");
    process.exited(Duration::from_secs(20));
    let said = refused(binary().args(["health", "--listen", &public]));
    assert!(said.contains(&public), "{said}");
}
