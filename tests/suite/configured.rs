//! The configuration file: what it may say, what beats it, what is wrong with it; and what its sections
//! for some channels come to over real sockets.

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::time::Duration;

use clap::Args;
use herenow::Config;
use herenow::auth::{Patterns, Secret};
use herenow::config::{ChannelSection, ConfigFile};
use herenow_protocol::reply::{Answer, HeartbeatInfo, InForce, RemovedReason};
use herenow_protocol::{ErrorCode, Event, Level, LossReason, ServerFrame};
use serde_json::{Value, json};

use crate::broker::{Broker, Process, binary};
use crate::http::ask;
use crate::lifecycle::refused;
use crate::place::TextFile;
use crate::rights::{KEYS, OPERATOR};

/// What `herenow config` says, line by line, less the space between a value and its source.
fn config(command: &mut Command) -> Vec<String> {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let told = String::from_utf8(stdout).unwrap();
    told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn has(lines: &[String], line: &str) {
    assert!(lines.iter().any(|one| one == line), "{line:?} is not in {lines:#?}");
}

fn parsed(text: &str) -> Result<ConfigFile, String> {
    let flags = Config::augment_args(clap::Command::new("herenow"));
    ConfigFile::parse("herenow.toml", text, &flags)
}

fn sections(text: &str) -> Vec<ChannelSection> {
    parsed(text).unwrap().channels()
}

// The file.

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let file = TextFile::new(
        "order",
        "max-members = 11\nroster-limit = 12\nmax-channels = 13\npresence-timeout = \"14s\"\n\
         allow-origin = [\"https://a.example\", \"https://b.example\"]\ndisable-presence = true\n",
    );
    let mut command = binary();
    command.args(["config", "--config", file.path(), "--max-members", "31"]);
    command.env("HERENOW_MAX_MEMBERS", "21").env("HERENOW_ROSTER_LIMIT", "22");
    let lines = config(&mut command);
    has(&lines, "max-members = 31 # flag");
    has(&lines, "roster-limit = 22 # environment: HERENOW_ROSTER_LIMIT");
    has(&lines, "max-channels = 13 # file, line 3");
    has(&lines, "presence-timeout = \"14s\" # file, line 4");
    has(&lines, "allow-origin = [\"https://a.example\", \"https://b.example\"] # file, line 5");
    has(&lines, "disable-presence = true # file, line 6");
    has(&lines, "max-watches = 256 # default");
    has(&lines, "# heartbeat-interval is not set # default");
    // The variable may switch off what the file switches on, and may name the file.
    let mut command = binary();
    command.arg("config").env("HERENOW_CONFIG", file.path());
    command.env("HERENOW_DISABLE_PRESENCE", "no").env("HERENOW_MAX_CHANNELS", "");
    let lines = config(&mut command);
    has(&lines, "disable-presence = false # environment: HERENOW_DISABLE_PRESENCE");
    has(&lines, "max-channels = 13 # file, line 3");
}

#[test]
fn what_config_prints_is_a_file_that_says_the_same_and_holds_no_secret() {
    let secret = "hunter2-hunter2-hunter2-hunter2-hunter2";
    let text = format!(
        "redis-url = \"redis://ada:{secret}@localhost\"\nlog = \"herenow::hub=debug\"\n\
         node-name = 'a \"b\"'\nmax-grace = \"90s\"\n\n[[channel]]\npattern = [\"a-*\", \"b\"]\n\
         max-grace = \"2m\"\nguests-join = false\nroster-limit = 0\n"
    );
    let file = TextFile::new("printed", &text);
    let with = |path: &str| {
        let mut command = binary();
        command.args(["config", "--config", path]);
        command.env("HERENOW_JWT_SECRET", secret).env("HERENOW_REDIS_PASSWORD", secret);
        command.output().unwrap()
    };
    let values = |output: &Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("HERENOW_JWT_SECRET is set, and not shown"), "{text}");
        let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
        (text, table)
    };
    let (printed, first) = values(&with(file.path()));
    assert!(printed.contains("# redis-url is set, and not shown"), "{printed}");
    assert_eq!(first["node-name"].as_str(), Some("a \"b\""));
    assert_eq!(first["channel"][0]["pattern"].as_array().unwrap().len(), 2);
    let again = TextFile::new("printed-again", &printed);
    let output = with(again.path());
    // Its own password needs the Redis that is not shown.
    let (_, second) = values(&output);
    assert_eq!(first, second);
}

#[test]
fn what_is_wrong_is_one_line_that_names_key_and_line() {
    for (text, line, says) in [
        ("max-member = 5", 1, "max-member: there is no such key; is max-members meant?"),
        ("\n\nxyzzy = 5", 3, "xyzzy: there is no such key"),
        ("jwt-secret = \"hunter2\"", 1, "jwt-secret: there is no such key"),
        ("config = \"other.toml\"", 1, "config: there is no such key"),
        ("max-members = 0", 1, "max-members: \"0\": 0 is not in 1"),
        ("max-members = -3", 1, "max-members: \"-3\""),
        ("max-members = 1.5", 1, "max-members: must be true, false, a text"),
        ("max-members = true", 1, "max-members: \"true\": invalid digit"),
        ("max-members = [\"1\"]", 1, "max-members: takes one value, not a list"),
        ("presence-timeout = \"soon\"", 1, "presence-timeout: \"soon\": write a time"),
        ("presence-timeout = 10", 1, "presence-timeout: \"10\": write a time"),
        ("insecure-open = \"yes\"", 1, "insecure-open: must be true or false"),
        ("listen = \"nowhere\"", 1, "listen: \"nowhere\""),
        ("log-format = \"yaml\"", 1, "log-format: \"yaml\""),
        ("vendors = \"ably\"", 1, "vendors: \"ably\""),
        ("allow-origin = [1]", 1, "allow-origin: must be a list of texts"),
        ("max-members = 5\nmax-members = 6", 2, "duplicate key"),
        ("max-members 5", 1, ""),
        ("[limits]\nmax-members = 5", 1, "limits: must be"),
        ("[channel]\npattern = \"a\"", 1, "[[channel]]"),
        ("[[channel]]\nroster-limit = 5", 1, "has no pattern"),
        ("[[channel]]\npattern = \"\"", 2, "pattern: must be patterns of 1 to 200 bytes"),
        ("[[channel]]\npattern = []", 2, "pattern: must be one pattern"),
        ("[[channel]]\npattern = \"a\"\nrosterlimit = 5", 3, "is roster-limit meant?"),
        ("[[channel]]\npattern = \"a\"\nlisten = \"127.0.0.1:1\"", 3, "listen: there is no such"),
        ("[[channel]]\npattern = \"a\"\nroster-limit = -1", 3, "roster-limit: \"-1\""),
        ("[[channel]]\npattern = \"a\"\nguests-join = \"no\"", 3, "guests-join: \"no\""),
        (
            "[[channel]]\npattern = \"a\"\nmax-grace = \"1s\"\ndefault-grace = \"2s\"",
            4,
            "default-grace: must be at most max-grace",
        ),
    ] {
        let why = parsed(text).err().unwrap_or_else(|| panic!("{text:?} is taken"));
        assert!(why.starts_with(&format!("herenow.toml, line {line}: ")), "{text:?}: {why}");
        assert!(why.contains(says), "{text:?}: {why}");
        assert!(!why.contains('\n') && !why.contains("hunter2"), "{why:?}");
        let file = TextFile::new("wrong", text);
        let said = refused(binary().args(["--config", file.path()]));
        assert!(said.contains(&format!("line {line}: ")) && said.contains(says), "{said}");
    }
    let many = "[[channel]]\npattern = \"a\"\n".repeat(257);
    assert!(parsed(&many).unwrap_err().contains("at most 256 sections"));
    let said = refused(binary().args(["--config", "/nonexistent/herenow.toml"]));
    assert!(said.contains("--config /nonexistent/herenow.toml"), "{said}");
    let large = TextFile::new("large", &"#".repeat((1 << 20) + 1));
    assert!(refused(binary().args(["--config", large.path()])).contains("larger than"));
    // What no key alone can be checked for.
    let file = TextFile::new("grace", "[[channel]]\npattern = \"a\"\ndefault-grace = \"5m\"\n");
    let said = refused(binary().args(["config", "--config", file.path()]));
    assert!(said.contains("[[channel]] 1: default-grace 5m") && said.contains("1m"), "{said}");
}

/// `herenow nodes` and `herenow token` read what is for them.
#[test]
fn other_commands_read_the_file_too() {
    let secret = TextFile::new("secret", "0123456789abcdef0123456789abcdef");
    let text = format!("jwt-secret-file = {:?}\nmax-members = 5\n", secret.path());
    let file = TextFile::new("for-token", &text);
    let mut command = binary();
    command.args(["token", "--config", file.path(), "--user", "ada"]);
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    assert_eq!(String::from_utf8(stdout).unwrap().split('.').count(), 3);
}

#[tokio::test]
async fn the_binary_serves_by_its_file() {
    let text = "presence-timeout = \"7s\"\nlisten = \"127.0.0.1:0\"\n\n\
                [[channel]]\npattern = \"quick-*\"\npresence-timeout = \"2s\"\n";
    let file = TextFile::new("served", text);
    let mut command = binary();
    command.args(["serve", "--config", file.path()]);
    let process = Process::spawn(command);
    let mut ada = process.connect("ada").await;
    let ServerFrame::Welcome { heartbeat, .. } = ada.welcome() else { panic!() };
    assert_eq!(heartbeat.timeout_ms, 7_000);
    let own = Some(HeartbeatInfo { interval_ms: 1_000, timeout_ms: 2_000 });
    let ServerFrame::Ok { heartbeat, .. } =
        ada.request(json!({"type": "join", "channel": "quick-1"})).await
    else {
        panic!("no ok")
    };
    assert_eq!(heartbeat, own);
    let ServerFrame::Ok { heartbeat, .. } =
        ada.request(json!({"type": "join", "channel": "slow"})).await
    else {
        panic!("no ok")
    };
    assert_eq!(heartbeat, None);
}

// The sections.

fn broker(text: &str) -> Broker {
    let channels = sections(text);
    Broker::with(|config| config.channels = channels)
}

fn join(channel: &str, grace_ms: Option<u64>) -> Value {
    json!({"type": "join", "channel": channel, "graceMs": grace_ms})
}

#[tokio::test]
async fn a_channel_s_bounds_are_those_of_its_section() {
    let broker = broker(
        "[[channel]]\npattern = \"small-*\"\nmax-members = 1\nmax-attribute-bytes = 10\n\
         max-attribute-keys = 1\nroster-limit = 0\n",
    );
    let (mut ada, mut bob) = (broker.connect("ada").await, broker.connect("bob").await);
    let full = json!({"type": "join", "channel": "small-1", "attributes": {"a": "0123456789"}});
    assert_eq!(ada.refused(full).await.0, ErrorCode::TooLarge);
    let keys = json!({"type": "join", "channel": "small-1", "attributes": {"a": 1, "b": 2}});
    assert_eq!(ada.refused(keys.clone()).await.0, ErrorCode::TooLarge);
    ada.ok(join("small-1", None)).await;
    assert_eq!(bob.refused(join("small-1", None)).await.0, ErrorCode::ChannelFull);
    let sub = |channel: &str| json!({"type": "subscribe", "channel": channel});
    let ServerFrame::Ok { level, .. } = bob.request(sub("small-1")).await else { panic!() };
    assert_eq!(level, Some(InForce::Count));
    // Elsewhere all is as ever.
    let mut keys = keys;
    keys["channel"] = json!("large");
    ada.ok(keys).await;
    bob.ok(join("large", None)).await;
    let ServerFrame::Ok { level, .. } = bob.request(sub("large")).await else { panic!() };
    assert_eq!(level, Some(InForce::Events));
}

#[tokio::test]
async fn grace_is_what_the_channel_gives_and_the_ok_tells_it() {
    let broker = broker(
        "[[channel]]\npattern = \"kept\"\ndefault-grace = \"50s\"\n\n\
         [[channel]]\npattern = \"short\"\nmax-grace = \"200ms\"\n\n\
         [[channel]]\npattern = \"long\"\nmax-grace = \"2h\"\n",
    );
    let mut ada = broker.connect("ada").await;
    let ServerFrame::Welcome { limits, .. } = ada.welcome() else { panic!() };
    assert_eq!(limits.grace_ms, 7_200_000, "the longest of any");
    for (channel, asked, told) in [
        ("kept", None, Some(50_000)),
        ("kept", Some(7), None),
        ("short", Some(10_000), Some(200)),
        ("short", None, None),
        ("long", Some(7_200_000), None),
        ("other", Some(7_200_000), Some(60_000)),
        ("other", None, None),
    ] {
        let ServerFrame::Ok { grace_ms, .. } = ada.request(join(channel, asked)).await else {
            panic!("no ok")
        };
        assert_eq!(grace_ms, told, "{channel} {asked:?}");
    }
    let beyond = ada.refused(join("long", Some(7_200_001))).await;
    assert_eq!(beyond, (ErrorCode::InvalidField, Some("graceMs".into())));
    // It is what was told that counts.
    ada.ok(join("short", Some(10_000))).await;
    ada.ok(join("kept", None)).await;
    let mut observer = broker.observer("short").await;
    ada.kill();
    let Event::Timeout { reason, .. } = observer.event().await else { panic!("no timeout") };
    assert_eq!(reason, LossReason::Connection);
    let mut bob = broker.connect("bob").await;
    assert_eq!(bob.count("kept").await, 1);
}

#[tokio::test]
async fn silence_is_judged_by_each_channel_s_own_timeout() {
    let broker = broker("[[channel]]\npattern = \"quick\"\npresence-timeout = \"600ms\"\n");
    let mut ada = broker.connect("ada").await;
    ada.ok(join("quick", None)).await;
    ada.ok(join("slow", None)).await;
    let (mut quick, mut slow) = (broker.observer("quick").await, broker.observer("slow").await);
    let ServerFrame::HeartbeatDue { in_ms } = ada.next().await else { panic!("no nudge") };
    assert!(in_ms <= 200, "{in_ms}");
    let ServerFrame::Removed { channels, reason, .. } = ada.next().await else { panic!() };
    assert_eq!((channels.len(), reason), (1, RemovedReason::Heartbeat));
    assert_eq!(channels[0].as_str(), "quick");
    let Event::Timeout { reason, .. } = quick.event().await else { panic!("no timeout") };
    assert_eq!(reason, LossReason::Heartbeat);
    slow.told_nothing_for(Duration::from_millis(300)).await;
    // A lease is as long, unless it says so itself.
    let path = |channel: &str| format!("/v1/channels/{channel}/members/bob");
    let lease = ask(broker.address(), "PUT", &path("quick"), &[], "").await;
    assert_eq!(lease.body["heartbeat"], json!({"intervalMs": 300, "timeoutMs": 600}));
    let lease = ask(broker.address(), "PUT", &path("slow"), &[], "").await;
    assert_eq!(lease.body["heartbeat"], json!({"intervalMs": 30_000, "timeoutMs": 60_000}));
}

/// Without tokens, back ends with keys may do what those may not whose names nobody vouches for.
#[tokio::test]
async fn guests_join_and_look_where_they_may() {
    let channels = sections(
        "[[channel]]\npattern = \"stage-*\"\nguests-join = false\n\n\
         [[channel]]\npattern = \"staff-*\"\nguests-join = false\nguests-look = false\n",
    );
    let broker = Broker::with(|config| {
        config.identity.api_keys = Some(Secret::new(KEYS.as_bytes()));
        config.channels = channels;
    });
    let address = broker.address();
    let key = format!("authorization: Bearer {OPERATOR}");
    let path = |channel: &str| format!("/v1/channels/{channel}/members/eve");
    for channel in ["stage-1", "staff-1"] {
        let lease = ask(address, "PUT", &path(channel), &[&key], "").await;
        assert_eq!(lease.status, 201, "{lease:?}");
        // A guest who says that it is eve is not.
        for method in ["PUT", "DELETE"] {
            let refused = ask(address, method, &path(channel), &[], "").await;
            assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{channel} {method}");
        }
    }
    let mut eve = broker.connect("eve").await;
    let forbidden = (ErrorCode::Forbidden, Some("channel".to_owned()));
    for channel in ["stage-1", "staff-1", "staff-2"] {
        assert_eq!(eve.refused(join(channel, None)).await, forbidden, "{channel}");
    }
    for channel in ["staff-1", "staff-2"] {
        for frame in ["subscribe", "getMembers", "getCount"] {
            let say = json!({"type": frame, "channel": channel});
            assert_eq!(eve.refused(say).await, forbidden, "{frame} {channel}");
        }
        for what in ["", "/count", "/members", "/events"] {
            let path = format!("/v1/channels/{channel}{what}");
            let refused = ask(address, "GET", &path, &[], "").await;
            assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{path}");
        }
    }
    assert_eq!(eve.count("stage-1").await, 1);
    eve.ok(json!({"type": "subscribe", "channel": "stage-1"})).await;
    eve.ok(join("hall", None)).await;
    // Nor do lists name what they may not look into.
    let mut ada = broker.connect("ada").await;
    let Answer::Channels { channels, .. } =
        ada.answer(json!({"type": "getChannels", "user": "eve"})).await
    else {
        panic!("no channels")
    };
    let names: Vec<_> = channels.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["hall", "stage-1"]);
    let named = |list: &Value| -> Vec<String> {
        let channels = list["channels"].as_array().unwrap().iter();
        channels.map(|one| one["channel"].as_str().unwrap().to_owned()).collect()
    };
    let list = ask(address, "GET", "/v1/channels", &[], "").await;
    assert_eq!(named(&list.body), ["hall", "stage-1"], "{list:?}");
    let list = ask(address, "GET", "/v1/channels", &[&key], "").await;
    assert_eq!(named(&list.body), ["hall", "staff-1", "stage-1"], "{list:?}");
    // Whoever follows all channels is told of those alone.
    let all = Patterns::parse(["*"]).unwrap();
    let anyone = herenow::auth::Credential::Anyone(None);
    let mut follower = broker.hub().follow_all(all, anyone, Level::Events).unwrap();
    ask(address, "PUT", &path("staff-3"), &[&key], "").await;
    ask(address, "PUT", &path("zoo"), &[&key], "").await;
    // It is added to channels that were there before it by a task of its own, so in any order.
    let mut told = BTreeSet::new();
    while told.len() < 3 {
        told.insert(follower.next().await.channel.as_str().to_owned());
    }
    let soon = Duration::from_millis(300);
    while let Ok(more) = tokio::time::timeout(soon, follower.next()).await {
        told.insert(more.channel.as_str().to_owned());
    }
    assert_eq!(told.into_iter().collect::<Vec<_>>(), ["hall", "stage-1", "zoo"]);
}
