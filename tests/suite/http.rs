//! The HTTP API over real sockets, in open mode: every route, what is refused, and how.

use std::net::SocketAddr;
use std::time::Duration;

use herenow_protocol::{Event, LeaveReason, LossReason};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::broker::{Broker, until};
use crate::client::PATIENCE;

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Value,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| line.split_once(": ").is_some_and(|(key, _)| key == name);
        self.head.lines().find(|l| line(l)).and_then(|line| Some(line.split_once(": ")?.1))
    }

    /// The code of a problem, whose form is checked too.
    pub(crate) fn code(&self) -> &str {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.body["status"], self.status);
        let code = self.body["code"].as_str().unwrap();
        assert_eq!(self.body["type"], format!("urn:herenow:error:{code}"));
        assert!(!self.body["detail"].as_str().unwrap().is_empty());
        code
    }

    fn field(&self) -> Option<&str> {
        self.body["field"].as_str()
    }
}

/// One request on a socket of its own. `headers` are whole lines.
pub(crate) async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> Answer {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    if !body.is_empty() {
        text += &format!("content-length: {}\r\n", body.len());
    }
    headers.iter().for_each(|header| text += &format!("{header}\r\n"));
    text += "\r\n";
    text += body;
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("no answer").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("no head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
    Answer { status, head: head.to_ascii_lowercase(), body }
}

async fn get(broker: &Broker, path: &str) -> Answer {
    ask(broker.address(), "GET", path, &[], "").await
}

async fn put(broker: &Broker, path: &str, body: Value) -> Answer {
    ask(broker.address(), "PUT", path, &[], &body.to_string()).await
}

async fn delete(broker: &Broker, path: &str) -> Answer {
    ask(broker.address(), "DELETE", path, &[], "").await
}

#[tokio::test]
async fn a_channel_is_read_as_it_is() {
    let broker = Broker::start();
    let empty = get(&broker, "/v1/channels/room").await;
    let zeros = json!({"channel": "room", "count": 0, "observers": 0, "connections": 0});
    assert_eq!((empty.status, &empty.body), (200, &zeros));
    let mut ada = broker.connect("ada").await;
    ada.ok("join room mood=happy").await;
    let mut tab = broker.connect("ada").await;
    tab.ok("join room").await;
    tab.ok("sub room").await;
    put(&broker, "/v1/channels/room/members/bob", json!({})).await;
    let read = get(&broker, "/v1/channels/room").await.body;
    assert_eq!(read, json!({"channel": "room", "count": 2, "observers": 1, "connections": 2}));
    let count = get(&broker, "/v1/channels/room/count").await.body;
    assert_eq!(count, json!({"channel": "room", "count": 2}));
    let list = get(&broker, "/v1/channels/room/members").await;
    assert_eq!(list.header("cache-control"), Some("private, max-age=3"));
    let users: Vec<_> =
        list.body["members"].as_array().unwrap().iter().map(|m| &m["user"]).collect();
    assert_eq!((users, &list.body["count"]), (vec![&json!("bob"), &json!("ada")], &json!(2)));
    let one = get(&broker, "/v1/channels/room/members/ada").await.body;
    assert_eq!((&one["channel"], &one["attributes"]), (&json!("room"), &json!({"mood": "happy"})));
    assert!(one["lastSeen"].as_u64() >= one["joinedAt"].as_u64());
    let absent = get(&broker, "/v1/channels/room/members/zoe").await;
    assert_eq!((absent.status, absent.code(), absent.field()), (404, "not_found", Some("user")));
    let channels = get(&broker, "/v1/users/ada/channels").await.body;
    assert_eq!(channels, json!({"user": "ada", "channels": ["room"]}));
    tab.kill();
    until("the tab is gone", || broker.hub().connection_count() == 1).await;
    assert_eq!(get(&broker, "/v1/channels/room").await.body["connections"], 1);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let broker = Broker::start();
    for n in 0..450 {
        put(&broker, &format!("/v1/channels/room/members/user-{n:03}"), json!({})).await;
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/channels/room/members".to_owned());
    for pages in 1.. {
        let page = get(&broker, &path).await.body;
        assert_eq!(page["count"], 450 - (pages - 1), "one leaves between any two pages");
        for member in page["members"].as_array().unwrap() {
            seen.push(member["user"].as_str().unwrap().to_owned());
        }
        delete(&broker, &format!("/v1/channels/room/members/user-{:03}", 449 - pages)).await;
        let Some(next) = page["next"].as_u64() else { break };
        path = format!("/v1/channels/room/members?after={next}");
        assert!(pages < 5);
    }
    let all: Vec<_> = (0..450).rev().map(|n| format!("user-{n:03}")).collect();
    assert_eq!(seen, all, "newest first, nobody twice, and nobody who stayed is passed over");
    for n in 0..5 {
        put(&broker, &format!("/v1/channels/hall-{n}/members/ada"), json!({})).await;
    }
    let mut names = Vec::new();
    let mut path = "/v1/channels?prefix=hall&limit=2".to_owned();
    loop {
        let page = get(&broker, &path).await.body;
        names.extend(page["channels"].as_array().unwrap().iter().map(|c| c["channel"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/channels?prefix=hall&limit=2&after={next}");
    }
    assert_eq!(names, ["hall-0", "hall-1", "hall-2", "hall-3", "hall-4"]);
    let all = get(&broker, "/v1/channels").await.body;
    assert_eq!(all["channels"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_lease_is_presence_without_a_socket() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let bob = "/v1/channels/room/members/bob";
    let lease = json!({"attributes": {"phone": true}, "ttlMs": 900});
    let first = put(&broker, bob, lease).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.body["heartbeat"], json!({"intervalMs": 450, "timeoutMs": 900}));
    assert!(matches!(observer.event().await, Event::Join { .. }));
    let before = broker.hub().clock().now().unix_ms;
    let again = put(&broker, bob, json!({"ttlMs": 900})).await;
    assert_eq!((again.status, &again.body["attributes"]), (200, &json!({"phone": true})));
    assert_eq!(again.body["joinedAt"], first.body["joinedAt"]);
    observer.told_nothing().await;
    let Event::Timeout { reason, last_seen, .. } = observer.event().await else { panic!() };
    assert_eq!(reason, LossReason::Lease);
    assert!((before..before + 500).contains(&last_seen), "when it was asked for last");
    // Beside a connection nobody notices a lease that comes or goes.
    let mut tab = broker.connect("bob").await;
    tab.ok("join room").await;
    assert!(matches!(observer.event().await, Event::Join { .. }));
    assert_eq!(put(&broker, bob, json!({"ttlMs": 60_000})).await.status, 200);
    tab.ok("leave room").await;
    observer.told_nothing().await;
    let gone = delete(&broker, bob).await;
    assert_eq!((gone.status, gone.body), (204, json!("")));
    let Event::Leave { reason, .. } = observer.event().await else { panic!() };
    assert_eq!(reason, LeaveReason::Left);
    assert_eq!(delete(&broker, bob).await.status, 204, "again is fine");
    assert_eq!(broker.hub().channel_count(), 1, "only what is observed is left");
}

#[tokio::test]
async fn who_is_hidden_is_absent() {
    let broker = Broker::start();
    let path = "/v1/channels/room/members/ghost";
    put(&broker, path, json!({"visibleTo": ["user:ada"]})).await;
    let (absent, hidden) =
        (get(&broker, "/v1/channels/room/members/zoe").await, get(&broker, path).await);
    assert_eq!((absent.status, absent.body), (hidden.status, hidden.body));
    for (viewer, sees) in
        [("", false), ("?user=zoe", false), ("?user=ada", true), ("?user=ghost", true)]
    {
        assert_eq!(get(&broker, &format!("{path}{viewer}")).await.status == 200, sees, "{viewer}");
        let list = get(&broker, &format!("/v1/channels/room/members{viewer}")).await.body;
        assert_eq!(list["members"].as_array().unwrap().len(), usize::from(sees), "{viewer}");
        assert_eq!(list["count"], 0, "{viewer}");
        let channels = get(&broker, &format!("/v1/users/ghost/channels{viewer}")).await.body;
        assert_eq!(channels["channels"].as_array().unwrap().len(), usize::from(sees), "{viewer}");
    }
    // Over a socket alike: events, snapshots and queries.
    let (mut ada, mut zoe) = (broker.connect("ada").await, broker.connect("zoe").await);
    ada.ok("sub room").await;
    zoe.ok("sub room").await;
    put(&broker, path, json!({"attributes": {"a": 1}})).await;
    delete(&broker, path).await;
    let told = |client: &crate::client::Client| {
        client.heard().iter().filter(|f| f.contains("ghost")).count()
    };
    until("ada was told", || true).await;
    ada.ok("hb").await;
    zoe.ok("hb").await;
    assert_eq!(told(&zoe), 0);
    while told(&ada) < 2 {
        ada.next().await;
    }
}

#[tokio::test]
async fn statuses_are_read_set_and_kept_alive() {
    let broker = Broker::with(|config| config.presence_timeout = Duration::from_secs(2));
    let bob = "/v1/users/bob/status";
    assert_eq!(get(&broker, bob).await.code(), "not_found");
    let empty = put(&broker, bob, json!({})).await;
    assert_eq!((empty.status, empty.code()), (400, "missing_field"));
    let set = put(&broker, bob, json!({"busy": true, "waitTime": 5, "text": "lunch"})).await;
    assert_eq!((set.status, &set.body["online"]), (200, &json!(false)));
    let beat = ask(broker.address(), "POST", "/v1/users/bob/heartbeat", &[], "").await;
    assert_eq!(beat.body["heartbeat"], json!({"intervalMs": 1000, "timeoutMs": 2000}));
    let read = get(&broker, bob).await.body;
    assert_eq!(
        (&read["online"], &read["busy"], &read["waitTime"]),
        (&json!(true), &json!(true), &json!(5))
    );
    let _ada = broker.connect("ada").await;
    let many = get(&broker, "/v1/users/status?ids=ada,nobody,bob&ids=ada").await.body;
    let users: Vec<_> = many["users"].as_array().unwrap().iter().map(|s| &s["user"]).collect();
    assert_eq!(users, ["ada", "bob"], "known ones, once, as asked for");
    assert_eq!(
        get(&broker, "/v1/users/status?ids=ada%2Cbob").await.body["users"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(delete(&broker, "/v1/users/bob/heartbeat").await.status, 204);
    let read = get(&broker, bob).await.body;
    assert_eq!(read["online"], false);
    assert!(read["lastSeen"].is_u64());
    let ids: Vec<_> = (0..101).map(|n| format!("u{n}")).collect();
    let many = get(&broker, &format!("/v1/users/status?ids={}", ids.join(","))).await;
    assert_eq!((many.status, many.code(), many.field()), (400, "invalid_field", Some("ids")));
    assert_eq!(many.body["detail"], "ids must be at most 100 users");
    // Invisible to others; a user whose name is a path's word is a user like any other.
    put(&broker, bob, json!({"invisible": true})).await;
    assert_eq!(get(&broker, bob).await.body.get("invisible"), None);
    assert_eq!(get(&broker, "/v1/users/bob/status?user=bob").await.body["invisible"], true);
    put(&broker, "/v1/users/status/status", json!({"busy": true})).await;
    assert_eq!(get(&broker, "/v1/users/status/status").await.body["user"], "status");
}

#[tokio::test]
async fn a_back_end_throws_users_out() {
    let broker = Broker::start();
    let mut bob = broker.connect("bob").await;
    let kicked = delete(&broker, "/v1/users/bob/connections").await;
    assert_eq!(kicked.body, json!({"user": "bob", "closed": 1}));
    assert_eq!(bob.ended().await.code(), 4003);
    let nobody = delete(&broker, "/v1/users/bob/connections").await;
    assert_eq!(nobody.body, json!({"user": "bob", "closed": 0}));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let broker = Broker::start();
    let long = "x".repeat(201);
    for (path, field) in [
        ("/v1/channels/room/members?limit=0", "limit"),
        ("/v1/channels/room/members?limit=1001", "limit"),
        ("/v1/channels/room/members?limit=x", "limit"),
        ("/v1/channels/room/members?limit=%2B5", "limit"),
        ("/v1/channels/room/members?limit=", "limit"),
        ("/v1/channels/room/members?after=-1", "after"),
        ("/v1/channels?after=%00", "after"),
        ("/v1/channels/%ff/count", "path"),
        ("/v1/channels/%zz/count", "path"),
        ("/v1/channels/room/members/50%", "path"),
        ("/v1/users/status?ids=%ff", "query"),
        ("/v1/users/status?ids=a%2", "query"),
        ("/v1/channels/%24x/count", "channel"),
        ("/v1/channels/a%07b/count", "channel"),
        (&format!("/v1/channels/{long}/count"), "channel"),
        ("/v1/channels/room/members/%24x", "user"),
        ("/v1/users/status?ids=a,,b", "ids"),
        ("/v1/channels/room/count?user=%00", "user"),
        ("/v1/channels/room/count?user=", "user"),
    ] {
        let refused = get(&broker, path).await;
        let said = (refused.status, refused.code(), refused.field());
        assert_eq!(said, (400, "invalid_field", Some(field)), "{path}");
    }
    let path = "/v1/channels/room/members/ada";
    for (body, status, code, field) in [
        ("{", 400, "bad_json", None),
        ("[]", 400, "bad_json", None),
        ("7", 400, "bad_json", None),
        (r#"{"attributes":7}"#, 400, "invalid_field", Some("attributes")),
        (r#"{"ttlMs":0}"#, 400, "invalid_field", Some("ttlMs")),
        (r#"{"ttlMs":3600001}"#, 400, "invalid_field", Some("ttlMs")),
        (r#"{"ttlMs":"1"}"#, 400, "invalid_field", Some("ttlMs")),
        (r#"{"visibleTo":"any"}"#, 400, "invalid_field", Some("visibleTo")),
        (r#"{"visibleTo":[7]}"#, 400, "invalid_field", Some("visibleTo")),
        (
            &format!(r#"{{"attributes":{{"a":"{}"}}}}"#, "x".repeat(5_000)),
            413,
            "too_large",
            Some("attributes"),
        ),
        (&" ".repeat(20_000), 413, "too_large", Some("body")),
    ] {
        let refused = ask(broker.address(), "PUT", path, &[], body).await;
        assert_eq!(
            (refused.status, refused.code(), refused.field()),
            (status, code, field),
            "{body}"
        );
    }
    let kind = ["content-type: text/plain"];
    let refused = ask(broker.address(), "PUT", path, &kind, "{}").await;
    assert_eq!(
        (refused.status, refused.code(), refused.field()),
        (415, "invalid_field", Some("content-type"))
    );
    for path in ["/v1/nothing", "/v1/channels/room/x", "/nothing/at/all", "/v1/users/a/status/x"] {
        assert_eq!(get(&broker, path).await.code(), "not_found", "{path}");
    }
    assert_eq!(broker.hub().channel_count(), 0, "nothing came of any of it");
}

#[tokio::test]
async fn methods_are_as_http_wants_them() {
    let broker = Broker::start();
    let room = "/v1/channels/room";
    let head = ask(broker.address(), "HEAD", room, &[], "").await;
    let whole = get(&broker, room).await;
    assert_eq!((head.status, head.body), (200, json!("")));
    for name in
        ["content-type", "content-length", "cache-control", "vary", "x-content-type-options"]
    {
        assert!(whole.header(name).is_some(), "{name}");
        assert_eq!(
            head.head.lines().find(|l| l.starts_with(name)),
            whole.head.lines().find(|l| l.starts_with(name))
        );
    }
    let wrong = ask(broker.address(), "POST", room, &[], "").await;
    assert_eq!(
        (wrong.status, wrong.code(), wrong.header("allow")),
        (405, "method_not_allowed", Some("get,head"))
    );
    let options = ask(broker.address(), "OPTIONS", "/v1/channels/room/members/ada", &[], "").await;
    assert_eq!((options.status, options.header("allow")), (204, Some("get,head,put,delete")));
    assert_eq!(options.header("access-control-allow-origin"), None);
    assert_eq!(
        ask(broker.address(), "POST", "/healthz", &[], "").await.code(),
        "method_not_allowed"
    );
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_back() {
    let broker = Broker::with(|config| {
        config.limits.max_requests_per_second = 1;
        config.limits.max_requests_burst = 3;
    });
    for _ in 0..3 {
        assert_eq!(get(&broker, "/v1/channels/room").await.status, 200);
    }
    let refused = get(&broker, "/v1/channels/room").await;
    assert_eq!((refused.status, refused.code()), (429, "rate_limited"));
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    let after_ms = refused.body["retryAfterMs"].as_u64().unwrap();
    assert_eq!(after, after_ms.div_ceil(1_000));
    assert!((1..=4_000).contains(&after_ms), "{after_ms}");
    assert_eq!(get(&broker, "/healthz").await.status, 200, "watching over the broker is free");
    tokio::time::sleep(Duration::from_millis(after_ms)).await;
    assert_eq!(get(&broker, "/v1/channels/room").await.status, 200);
}

#[tokio::test]
async fn without_presence_every_call_says_so() {
    let broker = Broker::with(|config| config.disable_presence = true);
    for path in ["/v1/channels/room", "/v1/users/bob/status", "/v1/channels"] {
        let refused = get(&broker, path).await;
        assert_eq!((refused.status, refused.code()), (403, "presence_disabled"), "{path}");
        assert_eq!(refused.header("retry-after"), None, "it is no passing trouble");
    }
    assert_eq!(get(&broker, "/healthz").await.status, 200);
}

#[tokio::test]
async fn the_broker_tells_how_it_is() {
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    get(&broker, "/v1/channels/room").await;
    get(&broker, "/v1/channels/hall").await;
    assert_eq!(get(&broker, "/readyz").await.body, json!({"status": "ok"}));
    let metrics = get(&broker, "/metrics").await;
    let text = metrics.body.as_str().unwrap();
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for line in [
        "herenow_connections 1",
        "herenow_channels 1",
        "herenow_users 1",
        "herenow_http_requests_total{method=\"GET\",route=\"/v1/channels/{channel}\",status=\"200\"} 2",
        "# EOF",
    ] {
        assert!(text.lines().any(|l| l == line), "no line {line} in {text}");
    }
}

/// Agents that do not know OpenMetrics say so, and would stumble over its end and its counters.
#[tokio::test]
async fn whoever_asks_for_metrics_in_plain_text_gets_the_older_format() {
    let broker = Broker::start();
    get(&broker, "/v1/channels/hall").await;
    let metrics = async |accept: &str| {
        let accept = format!("accept: {accept}");
        ask(broker.address(), "GET", "/metrics", &[&accept], "").await
    };
    let plain = metrics("text/plain; version=0.0.4").await;
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = plain.body.as_str().unwrap();
    let samples = "herenow_http_requests_total";
    for begin in
        [format!("# TYPE {samples} counter"), format!("# HELP {samples} "), format!("{samples}{{")]
    {
        assert!(text.lines().any(|line| line.starts_with(&begin)), "no {begin} in {text}");
    }
    assert!(text.contains("# TYPE herenow_connections gauge"), "{text}");
    assert!(!text.contains("# EOF") && !text.contains("_total_total"), "{text}");
    for both in ["application/openmetrics-text; version=1.0.0, text/plain;q=0.5", "*/*"] {
        let answer = metrics(both).await;
        assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    }
}
