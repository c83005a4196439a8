//! Many leases in one request, and many counts.

use serde_json::{Value, json};

use crate::broker::Broker;
use crate::http::{Answer, ask};
use crate::rights::{token, with_identity};

const JSON: &str = "content-type: application/json";

async fn post(broker: &Broker, headers: &[&str], leases: &Value) -> Answer {
    let body = json!({ "leases": leases }).to_string();
    ask(broker.address(), "POST", "/v1/leases", &[&[JSON][..], headers].concat(), &body).await
}

fn statuses(answer: &Answer) -> Vec<u64> {
    let leases = answer.body["leases"].as_array().unwrap();
    leases.iter().map(|lease| lease["status"].as_u64().unwrap()).collect()
}

async fn count(broker: &Broker, channel: &str) -> u64 {
    let path = format!("/v1/channels/{channel}/count");
    ask(broker.address(), "GET", &path, &[], "").await.body["count"].as_u64().unwrap()
}

#[tokio::test]
async fn each_is_answered_for_itself_and_in_its_place() {
    let broker = Broker::start();
    let ada = json!({"channel": "room", "user": "ada", "ttlMs": 60_000, "attributes": {"a": 1}});
    let answer = post(
        &broker,
        &[],
        &json!([
            ada,
            {"channel": "room", "user": "bob"},
            {"channel": "hall", "user": "ada", "end": true},
            {"channel": "", "user": "ada"},
            {"channel": "room"},
            {"channel": "room", "user": "cleo", "ttlMs": 0},
            {"channel": "room", "user": "bob"},
            {"channel": "room", "user": "dan", "end": true, "ttlMs": 5},
            7,
        ]),
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        statuses(&answer),
        [201, 201, 204, 400, 400, 400, 400, 400, 400],
        "{:?}",
        answer.body
    );
    let leases = &answer.body["leases"];
    assert_eq!(leases[0]["heartbeat"], json!({"intervalMs": 30_000, "timeoutMs": 60_000}));
    let fields: Vec<_> = (3..8).map(|n| leases[n]["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["channel", "user", "ttlMs", "user", "end"]);
    assert_eq!(leases[8]["code"], "bad_json");
    assert_eq!(count(&broker, "room").await, 2);

    // As one alone: what was there already, and what ends.
    let again =
        post(&broker, &[], &json!([ada, {"channel": "room", "user": "bob", "end": true}])).await;
    assert_eq!(statuses(&again), [200, 204]);
    assert_eq!(count(&broker, "room").await, 1);
}

#[tokio::test]
async fn what_is_no_list_of_leases_is_refused_whole() {
    let broker = Broker::start();
    let whole = |leases: Vec<Value>| json!({ "leases": leases }).to_string();
    let too_many =
        (0..1_001).map(|n| json!({"channel": "room", "user": format!("u{n}")})).collect();
    for (body, code, field) in [
        (String::new(), "bad_json", None),
        ("[]".to_owned(), "bad_json", None),
        ("{}".to_owned(), "missing_field", Some("leases")),
        (r#"{"leases":7}"#.to_owned(), "bad_json", None),
        (whole(vec![]), "invalid_field", Some("leases")),
        (whole(too_many), "invalid_field", Some("leases")),
    ] {
        let answer = ask(broker.address(), "POST", "/v1/leases", &[JSON], &body).await;
        assert_eq!(answer.status, 400, "{body:.50}");
        assert_eq!(answer.body["code"], code, "{body:.50}");
        assert_eq!(answer.body["field"].as_str(), field, "{body:.50}");
    }
    let large = whole(vec![json!({"pad": "x".repeat(1024 * 1024)})]);
    let answer = ask(broker.address(), "POST", "/v1/leases", &[JSON], &large).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (413, Some("too_large")));
    assert_eq!(broker.hub().channel_count(), 0);
    assert_eq!(broker.hub().backlog().bytes(), 0);
}

/// A thousand with attributes are more bytes than a message may have.
#[tokio::test]
async fn a_thousand_at_once() {
    let broker = Broker::start();
    let attributes = json!({"pad": "x".repeat(500)});
    let lease = |n| json!({"channel": format!("room-{}", n % 10), "user": format!("u{n}"), "attributes": attributes});
    let all: Vec<_> = (0..1_000).map(lease).collect();
    let answer = post(&broker, &[], &json!(all)).await;
    assert_eq!(statuses(&answer), [201; 1_000]);
    let path = "/v1/counts?channels=room-3,room-9,nobody&channels=room-0";
    let counts = ask(broker.address(), "GET", path, &[], "").await;
    let expected = [("room-3", 100), ("room-9", 100), ("nobody", 0), ("room-0", 100)]
        .map(|(channel, count)| json!({"channel": channel, "count": count}));
    assert_eq!(counts.body, json!({ "channels": expected }));
}

#[tokio::test]
async fn counts_are_of_a_hundred_channels_at_most() {
    let broker = Broker::start();
    let names = |count: usize| vec!["a"; count].join(",");
    for (query, status) in [
        (format!("?channels={}", names(100)), 200),
        (format!("?channels={}", names(101)), 400),
        ("?channels=a,,b".to_owned(), 400),
        ("?channels=".to_owned(), 400),
        (String::new(), 400),
    ] {
        let answer = ask(broker.address(), "GET", &format!("/v1/counts{query}"), &[], "").await;
        assert_eq!(answer.status, status, "{query:.30}");
        assert!(status == 200 || answer.body["field"] == "channels", "{:?}", answer.body);
    }
}

/// By a user's token for that user alone, each for itself.
#[tokio::test]
async fn a_user_leases_for_itself_alone() {
    let broker = Broker::with(with_identity);
    let bearer = format!("authorization: Bearer {}", token("--user ada"));
    let leases = json!([{"channel": "room", "user": "ada"}, {"channel": "room", "user": "bob"}]);
    let answer = post(&broker, &[&bearer], &leases).await;
    assert_eq!(statuses(&answer), [201, 403]);
    assert_eq!(answer.body["leases"][1]["code"], "forbidden");
    let nobody = post(&broker, &[], &leases).await;
    assert_eq!(nobody.status, 401);
}

/// A hundred of them count as a request more.
#[tokio::test]
async fn many_leases_count_as_more_than_one_request() {
    let broker = Broker::with(|config| {
        config.limits.max_requests_burst = 5;
        config.limits.max_requests_per_second = 1;
    });
    let all: Vec<_> =
        (0..500).map(|n| json!({"channel": "room", "user": format!("u{n}")})).collect();
    assert_eq!(post(&broker, &[], &json!(all)).await.status, 200);
    assert_eq!(post(&broker, &[], &json!([all[0]])).await.status, 429);
}
