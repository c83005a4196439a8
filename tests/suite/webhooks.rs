//! Webhooks over real sockets: what a back end is sent, in which order, and what becomes of it where
//! the back end refuses, hangs or is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use herenow::clock::Clock;
use herenow::webhooks::signature::HookSecret;
use herenow_protocol::ChannelName;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::broker::{Broker, Process, binary};
use crate::client::{PATIENCE, QUIET};
use crate::hooked::{
    Answers, HookFile, Mirror, Receiver, SECRET, channels, hook, lease, members, short, unlease,
};
use crate::http::ask;
use crate::lifecycle::refused;
use crate::secured::{Pair, before};
use crate::seed::seed;

/// All lines of `/metrics` that are about webhooks and not 0, by name and webhook.
async fn numbers(broker: &Broker) -> BTreeMap<String, i64> {
    let answer = ask(broker.address(), "GET", "/metrics", &[], "").await;
    let text = answer.body.as_str().unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("herenow_webhook_"));
    let numbers = lines.map(|line| {
        let (name, number) = line.rsplit_once(' ').unwrap();
        (name.replace("{hook=\"", " ").replace("\"}", ""), number.parse().unwrap())
    });
    numbers.filter(|&(_, number)| number != 0).collect()
}

/// Waits until that number of the webhook `all` is at least `least`.
async fn until_number(broker: &Broker, name: &str, least: i64) {
    let name = format!("{name} all");
    let all = async {
        while numbers(broker).await.get(&name).copied().unwrap_or_default() < least {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("{name} never came to {least}"));
}

/// From the first thing, which is that the broker began, to the last leave of a channel that is gone
/// with it.
#[tokio::test]
async fn a_back_end_is_told_all_of_it_in_order_and_signed() {
    let mut receiver = Receiver::start().await;
    let file = HookFile::to(&receiver);
    let broker = Broker::with(|config| file.set(config));
    let first = receiver.sent().await;
    assert!(first.is_signed_by(SECRET));
    assert_eq!(first.headers["content-type"], "application/json");
    let body = first.body();
    assert_eq!(
        (&body["type"], &body["events"][0]["type"]),
        (&json!("presence"), &json!("started"))
    );
    assert!(body["timestamp"].as_str().unwrap().ends_with('Z'), "{body}");

    let mut ada = broker.connect("ada").await;
    ada.ok("join room mood=calm").await;
    let sent = receiver.sent().await;
    assert!(sent.is_signed_by(SECRET) && sent.id() != first.id());
    let [occupied, join] = &sent.items()[..] else { panic!("{sent:?}") };
    let room = ChannelName::parse("room", "channel").unwrap();
    let epoch = broker.hub().find(&room).unwrap().look().presence().epoch();
    let at = &join["events"][0]["at"];
    assert_eq!(
        occupied,
        &json!({"type": "occupied", "channel": "room", "epoch": epoch, "seq": 1, "at": at})
    );
    let event = json!({"event": "join", "user": "ada", "attributes": {"mood": "calm"}, "at": at});
    assert_eq!(
        join,
        &json!({
            "type": "presence", "channel": "room", "epoch": epoch, "seq": 1, "count": 1,
            "events": [event],
        })
    );
    ada.ok("set room mood=happy").await;
    assert_eq!(receiver.lines(1).await, ["room 2 updateAttributes ada"]);
    ada.ok("leave room").await;
    assert_eq!(receiver.lines(2).await, ["room 3 leave ada", "room vacated"]);
    // The same channel, and another history.
    ada.ok("join room").await;
    let again = receiver.told().await;
    assert_eq!((&again["type"], &again["seq"]), (&json!("occupied"), &json!(1)));
    assert_ne!(again["epoch"], occupied["epoch"]);
    ada.kill();
    let lines = receiver.lines(3).await;
    assert_eq!(lines, ["room 1 join ada", "room 2 timeout ada", "room vacated"]);
}

#[tokio::test]
async fn only_what_was_asked_for_is_told() {
    let mut receiver = Receiver::start().await;
    let file = HookFile::new(&[hook(
        "some",
        &receiver.url(),
        "channels = [\"room-*\"]\nevents = [\"leave\", \"occupied\"]",
    )]);
    let broker = Broker::with(|config| file.set(config));
    let at = broker.address();
    for channel in ["hall", "room-1"] {
        lease(at, channel, "ada", &json!({})).await;
        lease(at, channel, "bob", &json!({})).await;
        lease(at, channel, "ada", &json!({"mood": "calm"})).await;
        unlease(at, channel, "ada").await;
    }
    let lines = receiver.lines(3).await;
    assert_eq!(lines[..2], ["* started", "room-1 occupied"]);
    assert!(lines[2].starts_with("room-1 ") && lines[2].ends_with(" leave ada"), "{lines:?}");
}

/// A webhook is the operator's: whom not everyone may see counts like anybody.
#[tokio::test]
async fn members_whom_not_everyone_may_see_are_told() {
    let mut receiver = Receiver::start().await;
    let file = HookFile::to(&receiver);
    let broker = Broker::with(|config| file.set(config));
    let mut ada = broker.connect("ada").await;
    let join = |user: &str| json!({"type": "join", "channel": "room", "visibleTo": [user]});
    ada.ok(join("red")).await;
    let mut bob = broker.connect("bob").await;
    bob.ok("join room").await;
    bob.ok("leave room").await;
    ada.ok("leave room").await;
    let lines = receiver.lines(7).await;
    let whats: Vec<_> = lines.iter().map(|line| line.replace(char::is_numeric, "")).collect();
    assert_eq!(
        whats,
        [
            "* started",
            "room occupied",
            "room  join ada",
            "room  join bob",
            "room  leave bob",
            "room  leave ada",
            "room vacated",
        ]
    );
}

/// Repeated as it is, and nothing before it is taken.
#[tokio::test]
async fn what_is_not_taken_is_sent_again_until_it_is() {
    let mut receiver = Receiver::start().await;
    let file = HookFile::to(&receiver);
    let broker = Broker::with(|config| {
        file.set(config);
        config.limits.webhook_time = Duration::from_millis(300);
    });
    let at = broker.address();
    assert_eq!(receiver.lines(1).await, ["* started"]);
    receiver.answers(Answers::Status(500));
    lease(at, "room", "ada", &json!({})).await;
    let first = receiver.sent().await;
    lease(at, "room", "bob", &json!({})).await;
    // A status, one that leads elsewhere, and none at all.
    for how in [Answers::Status(500), Answers::Status(302), Answers::Status(410), Answers::Not] {
        receiver.answers(how);
        for _ in 0..2 {
            let again = receiver.sent().await;
            assert_eq!((again.id(), &again.raw), (first.id(), &first.raw), "{how:?}");
            assert!(again.is_signed_by(SECRET));
        }
    }
    let numbers = numbers(&broker).await;
    assert!(numbers["failures_total all"] >= 8 && numbers["waiting_bytes all"] > 0, "{numbers:?}");
    assert!(numbers["oldest_time_seconds all"] >= numbers["taken_time_seconds all"]);
    receiver.answers(Answers::Status(200));
    let mut lines = Vec::new();
    while lines.len() < 3 {
        let sent = receiver.sent().await;
        // The one that hung may come once more.
        if sent.id() == first.id() {
            lines.clear();
        }
        lines.extend(sent.items().iter().flat_map(short));
    }
    assert_eq!(lines, ["room occupied", "room 1 join ada", "room 2 join bob"]);
    until_number(&broker, "sent_total", 4).await;
}

/// What there is no room for is one gap in its place, and the list has it.
#[tokio::test]
async fn what_was_dropped_is_said_and_a_list_repairs_it() {
    const BOUND: u32 = 16 * 1024;
    let mut receiver = Receiver::start().await;
    let file = HookFile::to(&receiver);
    let broker = Broker::with(|config| {
        file.set(config);
        config.limits.max_webhook_bytes = BOUND;
    });
    let at = broker.address();
    let mut mirror = Mirror::default();
    mirror.take(&receiver.sent().await, at).await;
    receiver.answers(Answers::Status(503));
    let pad = "x".repeat(1_000);
    for number in 0..100 {
        lease(at, "room", &format!("user-{}", number % 10), &json!({"n": number, "pad": pad}))
            .await;
        let waiting = numbers(&broker).await.get("waiting_bytes all").copied().unwrap_or_default();
        assert!(waiting <= i64::from(BOUND), "{waiting}");
    }
    until_number(&broker, "dropped_total", 1).await;
    receiver.answers(Answers::Status(200));
    lease(at, "hall", "eve", &json!({})).await;
    let (mut items, mut seqs) = (Vec::new(), Vec::new());
    let mut last = String::new();
    while !mirror.channels.contains_key("hall") {
        let sent = receiver.sent().await;
        mirror.take(&sent, at).await;
        if sent.id() != last {
            items.extend(sent.items());
        }
        sent.id().clone_into(&mut last);
    }
    // Nothing lies between what is told and what is said to be lacking.
    for item in items.iter().filter(|item| item["channel"] == "room") {
        match item["type"].as_str() {
            Some("presence") => seqs.push((&item["seq"], &item["seq"])),
            Some("gap") => seqs.push((&item["from"], &item["to"])),
            _ => {}
        }
    }
    let mut next = 1;
    for (from, to) in &seqs {
        assert_eq!(from.as_u64(), Some(next), "{seqs:?}");
        next = to.as_u64().unwrap() + 1;
    }
    let room = ChannelName::parse("room", "channel").unwrap();
    let last = broker.hub().find(&room).unwrap().look().presence().next_seq();
    assert_eq!(next, last, "{seqs:?}");
    assert_eq!(mirror.channels["room"], members(at, "room").await);
    assert_eq!(numbers(&broker).await["gaps_total all"], mirror.repairs as i64);
    assert!(mirror.repairs > 0);
}

/// The one never answers; the other is told everything, and so is whoever subscribes.
#[tokio::test]
async fn a_back_end_that_never_answers_slows_nobody() {
    const BOUND: u32 = 64 * 1024;
    let (mut gone, mut well) = (Receiver::start().await, Receiver::start().await);
    gone.answers(Answers::Not);
    let file = HookFile::new(&[hook("gone", &gone.url(), ""), hook("well", &well.url(), "")]);
    let broker = Broker::with(|config| {
        file.set(config);
        config.limits.max_webhook_bytes = BOUND;
    });
    let mut room = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    assert_eq!(room.told().await, "join ada {}");
    assert_eq!(well.lines(3).await, ["* started", "room occupied", "room 1 join ada"]);
    for number in 0..500 {
        ada.ok(json!({"type": "setAttributes", "channel": "room", "attributes": {"n": number}}))
            .await;
        assert_eq!(room.told().await, format!("update ada {{\"n\":{number}}}"));
        let lines = well.lines(1).await;
        assert_eq!(lines, [format!("room {} updateAttributes ada", number + 2)]);
    }
    let numbers = numbers(&broker).await;
    assert!(numbers["waiting_bytes gone"] <= i64::from(BOUND / 2), "{numbers:?}");
    assert!(numbers["dropped_total gone"] > 0, "{numbers:?}");
    assert_eq!(numbers.get("dropped_total well"), None);
    assert_eq!(gone.sent().await.items().len(), 1);
    assert!(gone.already().is_none());
}

/// The mirror of a back end equals the broker whenever both rest, whatever became of either: ten
/// histories.
#[tokio::test]
async fn a_mirror_equals_the_broker_whenever_both_rest() {
    let seed = seed("webhooks");
    let mut repairs = 0;
    for number in 0..10 {
        repairs += mirrored(Rng::with_seed(seed.wrapping_add(number))).await;
    }
    assert!(repairs > 10, "hardly anything was lacking: {repairs}");
}

async fn mirrored(mut rng: Rng) -> usize {
    let mut receiver = Receiver::start().await;
    let file = HookFile::to(&receiver);
    let mut mirror = Mirror::default();
    for _ in 0..2 {
        let broker = Broker::with(|config| {
            file.set(config);
            config.limits.max_webhook_bytes = 8 * 1024;
            config.limits.webhook_time = Duration::from_millis(100);
        });
        let at = broker.address();
        for _ in 0..8 {
            receiver.answers(match rng.u8(..5) {
                0 => Answers::Status(500),
                1 => Answers::Not,
                _ => Answers::Status(204),
            });
            for _ in 0..rng.usize(1..40) {
                let (channel, user) = (rng.u8(..3), rng.u8(..6));
                let (channel, user) = (format!("room-{channel}"), format!("user-{user}"));
                if rng.u8(..3) == 0 {
                    unlease(at, &channel, &user).await;
                } else {
                    let pad = "x".repeat(rng.usize(..400));
                    lease(at, &channel, &user, &json!({"n": rng.u16(..), "pad": pad})).await;
                }
            }
            receiver.answers(Answers::Status(204));
            rests(&broker, &mut receiver, &mut mirror).await;
        }
        // Whatever the old one still has to say comes before the new one begins.
        broker.stop().await;
        while let Some(sent) = receiver.already() {
            mirror.take(&sent, at).await;
        }
    }
    mirror.repairs
}

/// Takes in what comes until nothing waits, and compares.
async fn rests(broker: &Broker, receiver: &mut Receiver, mirror: &mut Mirror) {
    let at = broker.address();
    let rest = async {
        loop {
            while let Some(sent) = receiver.already() {
                mirror.take(&sent, at).await;
            }
            let mut truth = BTreeMap::new();
            for channel in channels(at).await {
                let members = members(at, &channel).await;
                truth.insert(channel, members);
            }
            let waits = numbers(broker).await.contains_key("waiting_bytes all");
            if !waits && mirror.channels == truth {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let rested = timeout(PATIENCE, rest).await;
    assert!(rested.is_ok(), "never equal: {mirror:?} {:?}", numbers(broker).await);
}

#[tokio::test]
async fn a_shutdown_gives_what_waits_a_moment() {
    let mut receiver = Receiver::start().await;
    let file = HookFile::to(&receiver);
    let broker = Broker::with(|config| file.set(config));
    receiver.answers(Answers::Status(500));
    lease(broker.address(), "room", "ada", &json!({})).await;
    until_number(&broker, "failures_total", 1).await;
    receiver.answers(Answers::Status(200));
    broker.stop().await;
    let mut lines = Vec::new();
    while let Some(sent) = receiver.already() {
        lines.extend(sent.items().iter().flat_map(short));
    }
    assert_eq!(lines.last().unwrap(), "room 1 join ada", "{lines:?}");
}

// The file, and reading it again.

#[tokio::test]
async fn the_file_is_read_again() {
    let (mut old, mut new) = (Receiver::start().await, Receiver::start().await);
    let file = HookFile::to(&old);
    let broker = Broker::with(|config| file.set(config));
    let at = broker.address();
    lease(at, "room", "ada", &json!({})).await;
    assert_eq!(old.lines(3).await, ["* started", "room occupied", "room 1 join ada"]);
    // Another secret beside the old one: nothing is lacking, and both sign.
    let second = "whsec_c2Vjb25kc2Vjb25kc2Vjb25kc2Vjb25k";
    let rotated = hook("all", &old.url(), "");
    let rotated =
        rotated.replace(&format!("\"{SECRET}\""), &format!("[\"{SECRET}\", \"{second}\"]"));
    file.write(&[rotated]);
    broker.reload().await;
    lease(at, "room", "bob", &json!({})).await;
    let sent = old.sent().await;
    assert!(sent.is_signed_by(SECRET) && sent.is_signed_by(second));
    assert_eq!(short(&sent.items()[0]), ["room 2 join bob"]);
    // What can't be used changes nothing.
    file.write(&["nonsense".to_owned()]);
    broker.reload().await;
    lease(at, "room", "cleo", &json!({})).await;
    assert_eq!(old.lines(1).await, ["room 3 join cleo"]);
    // One goes, one comes: it lacks what was before, and is told so, in general and of each channel.
    file.write(&[hook("new", &new.url(), "")]);
    broker.reload().await;
    let began = new.told().await;
    assert_eq!(began, json!({"type": "gap", "reason": "began"}));
    let lacking = new.told().await;
    let span = ["type", "channel", "from", "to"].map(|key| lacking[key].clone());
    assert_eq!(span, [json!("gap"), json!("room"), json!(1), json!(3)]);
    lease(at, "room", "dan", &json!({})).await;
    assert_eq!(new.lines(1).await, ["room 4 join dan"]);
    tokio::time::sleep(QUIET).await;
    assert!(old.already().is_none());
    assert!(numbers(&broker).await.keys().all(|name| name.ends_with(" new")));
}

#[test]
fn what_is_wrong_ends_the_start_with_a_line() {
    let file = HookFile::new(&[hook("a", "https://127.0.0.1/", "")]);
    let with = |flags: &[&str]| {
        let mut command = binary();
        command.args(["--listen", "127.0.0.1:0", "--webhooks-file", file.path()]).args(flags);
        refused(&mut command)
    };
    let line = with(&[]);
    assert!(line.contains("[[hook]] 1: url must not be of a loopback or private"), "{line}");
    file.write(&[hook("a", "https://example.com/", "evnets = []")]);
    let line = with(&[]);
    assert!(line.contains("[[hook]] 1: has an unknown field \"evnets\""), "{line}");
    assert!(line.contains(file.path()) && !line.contains(SECRET), "{line}");
}

/// A name is judged by where it leads, when it is connected to.
#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let file = HookFile::new(&[hook("all", &format!("https://localhost:{port}/hook"), "")]);
    let broker = Broker::with(|config| {
        file.set(config);
        config.webhooks.webhooks_allow_private = false;
    });
    until_number(&broker, "failures_total", 3).await;
    assert!(timeout(QUIET, listener.accept()).await.is_err());
}

/// Over TLS, as whom the system trusts; and to nobody else. The binary, since its environment says whom.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_go_to_whom_the_system_trusts() {
    let (trusted, other) = (Pair::new(), Pair::new());
    for (pair, is_taken) in [(&trusted, true), (&other, false)] {
        let mut receiver = Receiver::start().await;
        let outside = before(receiver.address, pair).await;
        let url = format!("https://localhost:{}/hook", outside.port());
        let file = HookFile::new(&[hook("all", &url, "")]);
        let mut command = binary();
        command.env("SSL_CERT_FILE", trusted.certificate());
        command.args(["--listen", "127.0.0.1:0", "--webhooks-allow-private"]);
        command.args(["--webhooks-file", file.path()]);
        let mut broker = Process::spawn(command);
        if is_taken {
            assert_eq!(receiver.lines(1).await, ["* started"]);
        }
        broker.signal("TERM");
        let (_, log) = broker.exited(PATIENCE);
        assert_eq!(log.contains("a webhook is not taken"), !is_taken, "{log}");
        assert!(receiver.already().is_none());
    }
}

// What people see of it.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_test_verifies_and_shows_what_it_is_sent() {
    let mut command = binary();
    command.args(["webhook-test", "--listen", "127.0.0.1:0"]).env("HERENOW_WEBHOOK_SECRET", SECRET);
    let receiver = Process::spawn(command);
    let at = receiver.address();
    let file = HookFile::new(&[hook("all", &format!("http://{at}/"), "")]);
    let broker = Broker::with(|config| file.set(config));
    assert!(receiver.line().ends_with(" verified"));
    assert_eq!(receiver.line(), "* started");
    lease(broker.address(), "room", "ada", &json!({"mood": "calm"})).await;
    assert!(receiver.line().ends_with(" verified"));
    let occupied = receiver.line();
    assert!(occupied.starts_with("room ") && occupied.ends_with(" 1 occupied"), "{occupied}");
    assert!(receiver.line().ends_with(" 1 join ada {\"mood\":\"calm\"}"));
    // Whoever has no secret.
    assert_eq!(ask(at, "POST", "/", &[], "{}").await.status, 401);
    assert_eq!(receiver.line(), "refused with 401: there is no webhook-id");
    let why = refused(binary().args(["webhook-test", "--listen", "127.0.0.1:0"]));
    assert!(why.contains("--secret-file or HERENOW_WEBHOOK_SECRET"), "{why}");
}

/// The lines of `docs/webhooks.md` with which back ends verify what comes.
#[test]
fn the_document_verifies_in_node_and_python() {
    let document = include_str!("../../docs/webhooks.md").split("## Verifying").nth(1).unwrap();
    let shown = |language: &str| {
        let code = document.split(&format!("```{language}\n")).nth(1).unwrap();
        code.split("```").next().unwrap().to_owned()
    };
    let (id, body) = ("msg_1", "{\"events\":[]}");
    let unix_s = Clock::start().now().unix_ms / 1_000;
    let signed = HookSecret::parse(SECRET).unwrap().sign(id, unix_s, body.as_bytes());
    let headers = json!({
        "webhook-id": id,
        "webhook-timestamp": unix_s.to_string(),
        "webhook-signature": format!("v1,AAAA {signed}"),
    });
    let asks_node = "console.log(isFromBroker(JSON.parse(process.env.HEADERS), process.env.BODY));";
    let asks_python = "import json\n\
        print(is_from_broker(json.loads(os.environ['HEADERS']), os.environ['BODY'].encode()))";
    for (command, flags, code) in [
        ("node", &["--input-type=module", "-e"][..], shown("js") + asks_node),
        ("python3", &["-c"][..], shown("python") + asks_python),
    ] {
        for (body, says) in [(body, "true"), ("{\"events\":[5]}", "false")] {
            let mut command = std::process::Command::new(command);
            command.args(flags).arg(&code).env("HEADERS", headers.to_string());
            let output = command.env("BODY", body).env("SECRET", SECRET).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap().to_lowercase();
            assert_eq!(said.trim(), says, "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// `docs/metrics.md` has a row for each number of a webhook, and no other.
#[tokio::test]
async fn the_document_names_the_numbers_of_webhooks() {
    let receiver = Receiver::start().await;
    let file = HookFile::to(&receiver);
    let broker = Broker::with(|config| file.set(config));
    let answer = ask(broker.address(), "GET", "/metrics", &[], "").await;
    let text = answer.body.as_str().unwrap();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let shown = types.filter(|line| line.starts_with("herenow_webhook_")).map(|line| {
        let (name, kind) = line.split_once(' ').unwrap();
        let total = if kind == "counter" { "_total" } else { "" };
        format!("| `{name}{total}` | {kind} | `hook` |")
    });
    let mut shown: Vec<_> = shown.collect();
    let document = include_str!("../../docs/metrics.md").split("## Webhooks").nth(1).unwrap();
    let rows = document.split("\n## ").next().unwrap().lines();
    let rows = rows.filter(|line| line.starts_with("| `herenow_"));
    let mut rows: Vec<String> = rows
        .map(|row| {
            assert!(row.contains('?'), "no question: {row}");
            row.splitn(5, '|').take(4).map(|cell| format!("{cell}|")).collect()
        })
        .collect();
    shown.sort();
    rows.sort();
    assert_eq!(rows, shown);
}
