//! The HTTP API at its bounds: bodies that do not come, callers that come too often, a broker that
//! goes, and what holds for every answer.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::broker::{Broker, until};
use crate::http::{Answer, ask};
use crate::rights::{self, OPERATOR, READER};
use crate::wire::{Wire, small_socket};

const MEMBER: &str = "/v1/channels/room/members/ada";

async fn get(broker: &Broker, path: &str, headers: &[&str]) -> Answer {
    ask(broker.address(), "GET", path, headers, "").await
}

/// Sends the beginning of a PUT, and reads the status and the code of the answer.
async fn begun(broker: &Broker, headers: &str, body: &str) -> (u16, String) {
    let mut raw = Wire::dial(broker.address()).await;
    let text = format!("PUT {MEMBER} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n{body}");
    raw.write(text.as_bytes()).await;
    let answer = raw.rest().await;
    let status = answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let code = answer.split(r#""code":""#).nth(1).and_then(|rest| rest.split('"').next());
    (status.parse().unwrap(), code.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let broker = Broker::with(|config| config.limits.max_handshake = Duration::from_millis(300));
    let late = begun(&broker, "content-length: 10", r#"{"ttl"#).await;
    assert_eq!(late, (408, "bad_json".into()));
    let broken = begun(&broker, "transfer-encoding: chunked", "no chunk\r\n").await;
    assert_eq!(broken, (400, "bad_json".into()), "it is not too large");
    let large =
        begun(&broker, "transfer-encoding: chunked", &format!("4e20\r\n{:20000}", "")).await;
    assert_eq!(large, (413, "too_large".into()), "found out before it has ended");
    assert_eq!(broker.hub().channel_count(), 0);
}

#[tokio::test]
async fn a_user_gets_no_lease_of_one_channel_too_many() {
    let broker = Broker::with(|config| config.limits.max_channels_per_user = 2);
    let lease = async |method: &str, channel: &str| {
        let path = format!("/v1/channels/{channel}/members/ada");
        ask(broker.address(), method, &path, &[], "").await
    };
    for channel in ["one", "two"] {
        assert_eq!(lease("PUT", channel).await.status, 201);
    }
    let refused = lease("PUT", "three").await;
    assert_eq!((refused.status, refused.code()), (409, "too_many_channels"));
    assert_eq!(refused.body["field"], "channel");
    assert_eq!(broker.hub().channel_count(), 2, "a refusal makes no channel");
    assert_eq!(lease("PUT", "two").await.status, 200, "a lease that there is goes on");
    let bob = ask(broker.address(), "PUT", "/v1/channels/three/members/bob", &[], "").await;
    assert_eq!(bob.status, 201, "each user has a limit of its own");
    assert_eq!(lease("DELETE", "one").await.status, 204);
    assert_eq!(lease("PUT", "three").await.status, 201, "there is room again");
    // A connection may join what it may; leases are no way to keep more than that.
    let mut tab = broker.connect("ada").await;
    tab.ok("join four").await;
    let beside = lease("PUT", "four").await;
    assert_eq!((beside.status, beside.code()), (409, "too_many_channels"));
    assert_eq!(lease("PUT", "two").await.status, 200, "what it has is renewed all the same");
    tab.ok("leave four").await;
    assert_eq!(lease("DELETE", "three").await.status, 204);
    tab.ok("join four").await;
    assert_eq!(lease("PUT", "four").await.status, 200, "it is in no more channels than before");
}

#[tokio::test]
async fn every_answer_says_what_it_is_and_every_refusal_why() {
    let broker = Broker::start();
    for (path, status) in [
        ("/", 200),
        ("/app.js", 200),
        ("/openapi.json", 200),
        ("/healthz", 200),
        ("/metrics", 200),
        ("/v1/channels/room", 200),
        ("/no-such-page", 404),
        ("/%ff", 404),
        ("/no/such/page", 404),
        ("/v1", 404),
        ("/v1/", 404),
        ("/v1/nothing", 404),
        ("/v1/%zz", 400),
        ("/ws", 400),
    ] {
        let answer = get(&broker, path, &[]).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        let kept = answer.header("cache-control").unwrap();
        assert!(kept == "no-store" || kept == "no-cache" && !path.starts_with("/v1"), "{path}");
        if status != 200 {
            answer.code();
        }
        let head = ask(broker.address(), "HEAD", path, &[], "").await;
        assert_eq!((head.status, head.body), (status, json!("")), "{path}");
    }
    let answer = get(&broker, "/ws", &["origin: https://evil.example"]).await;
    assert_eq!((answer.status, answer.code()), (403, "forbidden"));
    for method in ["PATCH", "TRACE", "BREW"] {
        for (path, allow) in [(MEMBER, "get,head,put,delete"), ("/readyz", "get,head")] {
            let answer = ask(broker.address(), method, path, &[], "").await;
            assert_eq!((answer.status, answer.code()), (405, "method_not_allowed"), "{method}");
            assert_eq!(answer.header("allow"), Some(allow));
        }
    }
}

#[tokio::test]
async fn each_caller_is_counted_apart_and_bad_tokens_by_their_address() {
    let broker = rights::broker_with(|config| {
        config.limits.max_requests_per_second = 1;
        config.limits.max_requests_burst = 3;
    });
    let (ada, bob) = (rights::token("--user ada"), rights::token("--user bob"));
    for bearer in [OPERATOR, READER, &ada, &bob] {
        let header = format!("authorization: Bearer {bearer}");
        for expected in [200, 200, 200, 429] {
            let answer = get(&broker, "/v1/channels/room", &[&header]).await;
            assert_eq!(answer.status, expected, "{bearer}");
        }
    }
    let guess = ["authorization: Bearer operator-operator-operatos"];
    for (headers, expected) in
        [(&guess[..], 401), (&[], 401), (&guess, 401), (&guess, 429), (&[], 429)]
    {
        let answer = get(&broker, "/v1/channels/room", headers).await;
        assert_eq!(answer.status, expected);
        assert_eq!(answer.header("www-authenticate").is_some(), expected == 401);
        assert_eq!(answer.header("retry-after").is_some(), expected == 429);
    }
    let text = get(&broker, "/metrics", &[]).await.body.as_str().unwrap().to_owned();
    for line in [
        r#"herenow_http_refusals_total{code="rate_limited"} 6"#,
        r#"herenow_http_refusals_total{code="unauthenticated"} 3"#,
    ] {
        assert!(text.lines().any(|l| l == line), "no line {line} in {text}");
    }
}

#[tokio::test]
async fn a_broker_that_goes_is_alive_and_not_ready() {
    let broker = Broker::start();
    broker.connect("ada").await.close(1000).await;
    let text = get(&broker, "/metrics", &[]).await.body.as_str().unwrap().to_owned();
    let opened = "herenow_connections_opened_total 1";
    assert!(text.lines().any(|l| l == opened), "no line {opened} in {text}");
    assert_eq!(get(&broker, "/readyz", &[]).await.status, 200);
    broker.hub().prepare_to_leave();
    let answer = get(&broker, "/readyz", &[]).await;
    assert_eq!((answer.status, answer.code()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(get(&broker, "/healthz", &[]).await.status, 200);
}

/// Who asks for long answers and takes none of them fills what is kept for slow readers, and no more: who
/// asks for as much is to come back, who asks for little is answered, and all is given back.
#[tokio::test]
async fn answers_that_nobody_takes_are_bounded_in_all() {
    const MOST: u32 = 512 << 10;
    let broker = Broker::with(|config| {
        config.limits.max_backlog = MOST;
        config.limits.max_write_time = Duration::from_secs(2);
        config.limits.max_requests_burst = 100_000;
    });
    let pad = json!({"attributes": {"pad": "x".repeat(3_900)}}).to_string();
    let json = ["content-type: application/json"];
    for n in 0..20 {
        let path = format!("/v1/channels/room/members/user-{n}");
        assert_eq!(ask(broker.address(), "PUT", &path, &json, &pad).await.status, 201);
    }
    let list = "/v1/channels/room/members?limit=1000";
    let whole = get(&broker, list, &[]).await;
    // A page is not longer than that.
    assert_eq!(whole.body["members"].as_array().unwrap().len(), 16);
    until("nothing is kept", || broker.hub().backlog().bytes() == 0).await;
    let mut slow = Vec::new();
    for n in 0..80 {
        let mut socket = small_socket(broker.address()).await;
        let list = format!("/v1/channels/room/members?limit={}", 7 + n % 10);
        let request = format!("GET {list} HTTP/1.1\r\nhost: {}\r\n\r\n", broker.address());
        // The kernel takes the first ones, and not always whole.
        socket.write_all(request.repeat(50).as_bytes()).await.unwrap();
        slow.push(socket);
    }
    until("as much is kept as may be", || broker.hub().backlog().is_full()).await;
    // Beyond the bound is what was begun last.
    assert!(broker.hub().backlog().bytes() < MOST as usize + (256 << 10));
    let refused = get(&broker, list, &[]).await;
    assert_eq!((refused.status, refused.code()), (503, "unavailable"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(get(&broker, "/v1/channels/room/count", &[]).await.status, 200);
    until("they are given up", || broker.hub().backlog().bytes() == 0).await;
    assert_eq!(get(&broker, list, &[]).await.body, whole.body);
    drop(slow);
}
