//! The channels of one user, page by page, over WebSocket and HTTP.

use herenow::limits::{LIST_DEFAULT, LIST_MAX, MAX_PASSED_OVER, RESULT_BYTES};
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::client::Client;
use crate::http::ask;

const MOST: u32 = 3_000;

fn broker() -> Broker {
    Broker::with(|config| {
        config.limits.max_channels_per_user = MOST;
        config.limits.max_requests_burst = 1_000_000;
        config.limits.max_frames_burst = 1_000_000;
        config.limits.max_frames_per_second = 1_000_000;
    })
}

async fn lease(broker: &Broker, channel: &str, visible_to: Value) {
    let path = format!("/v1/channels/{channel}/members/bob");
    let body = json!({"visibleTo": visible_to}).to_string();
    assert_eq!(ask(broker.address(), "PUT", &path, &[], &body).await.status, 201);
}

/// One page over WebSocket: the names, and `next`.
async fn page(client: &mut Client, limit: Value, after: Value) -> (Vec<String>, Value) {
    let ask = json!({"type": "getChannels", "user": "bob", "limit": limit, "after": after});
    let answer = json!(client.answer(ask).await);
    assert_eq!(answer["user"], "bob");
    (serde_json::from_value(answer["channels"].clone()).unwrap(), answer["next"].clone())
}

/// One page over HTTP, as ada or as bob sees it.
async fn read(broker: &Broker, query: &str) -> (Vec<String>, Value) {
    let path = format!("/v1/users/bob/channels?{query}");
    let answer = ask(broker.address(), "GET", &path, &[], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    (serde_json::from_value(answer.body["channels"].clone()).unwrap(), answer.body["next"].clone())
}

#[tokio::test]
async fn channels_come_in_pages_in_one_order() {
    let broker = broker();
    let names: Vec<_> = (0..1_100).map(|n| format!("room-{:04}", n * 7 % 1_100)).collect();
    for name in &names {
        lease(&broker, name, json!(["any"])).await;
    }
    let mut sorted = names.clone();
    sorted.sort();
    let mut ada = broker.connect("ada").await;
    for limit in [json!(null), json!(1), json!(333), json!(LIST_MAX)] {
        if limit == 1 {
            assert_eq!(page(&mut ada, limit, json!(null)).await.0, sorted[..1]);
            continue;
        }
        let (mut all, mut after) = (Vec::new(), json!(null));
        loop {
            let (names, next) = page(&mut ada, limit.clone(), after).await;
            let most = limit.as_u64().unwrap_or(LIST_DEFAULT as u64) as usize;
            assert!(names.len() <= most && (names.len() == most || next.is_null()));
            assert!(next.is_null() || next == json!(names.last()));
            all.extend(names);
            after = next;
            if after.is_null() {
                break;
            }
        }
        assert_eq!(all, sorted, "each once, whatever the page");
    }
    assert_eq!(read(&broker, "limit=2").await, (sorted[..2].to_vec(), json!("room-0001")));
    assert_eq!(read(&broker, "limit=2&after=room-0001").await.0, sorted[2..4]);
    assert_eq!(read(&broker, "after=room-1097").await, (sorted[1_098..].to_vec(), Value::Null));
    assert_eq!(read(&broker, "after=zzz").await, (Vec::new(), Value::Null));
    assert_eq!(read(&broker, "").await.0.len(), LIST_DEFAULT);
    // Typed by hand it is the first page.
    let typed = json!(ada.answer("where bob").await);
    assert_eq!(typed["channels"].as_array().unwrap().len(), LIST_DEFAULT);
    assert_eq!(typed["next"], "room-0199");
    for (bad, field) in
        [("limit=0", "limit"), ("limit=1001", "limit"), ("after=", "after"), ("after=..", "after")]
    {
        let path = format!("/v1/users/bob/channels?{bad}");
        let refused = ask(broker.address(), "GET", &path, &[], "").await;
        assert_eq!((refused.status, &refused.body["field"]), (400, &json!(field)), "{bad}");
    }
    for (bad, field) in [(json!({"limit": 0}), "limit"), (json!({"after": 7}), "after")] {
        let mut ask = json!({"type": "getChannels"});
        ask.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        assert_eq!(ada.refused(ask).await.1.as_deref(), Some(field));
    }
}

/// Long names: a page ends by its bytes.
#[tokio::test]
async fn a_page_has_a_bound_in_bytes() {
    let broker = broker();
    let name = |n: usize| format!("{n:04}{}", "x".repeat(196));
    for n in 0..700 {
        lease(&broker, &name(n), json!(["any"])).await;
    }
    let mut ada = broker.connect("ada").await;
    let (mut all, mut after) = (Vec::new(), json!(null));
    loop {
        let (names, next) = page(&mut ada, json!(LIST_MAX), after).await;
        let bytes: usize = names.iter().map(String::len).sum();
        assert!(bytes <= RESULT_BYTES && !names.is_empty(), "{bytes}");
        all.extend(names);
        after = next;
        if after.is_null() {
            break;
        }
    }
    assert_eq!(all, (0..700).map(name).collect::<Vec<_>>());
}

/// Where the asker may not see bob is passed over without a trace: pages are full, and `next` is
/// there only if there is more for this asker.
#[tokio::test]
async fn hidden_memberships_leave_no_trace_in_pages() {
    let broker = broker();
    for n in 0..900 {
        let name = format!("room-{n:04}");
        let visible = n % 100 == 50;
        lease(&broker, &name, if visible { json!(["any"]) } else { json!([]) }).await;
    }
    let seen: Vec<_> = (0..9).map(|n| format!("room-{:04}", n * 100 + 50)).collect();
    let mut ada = broker.connect("ada").await;
    let (names, next) = page(&mut ada, json!(4), json!(null)).await;
    assert_eq!((names, next.clone()), (seen[..4].to_vec(), json!(seen[3])));
    let (names, next) = page(&mut ada, json!(4), next).await;
    assert_eq!((names, next.clone()), (seen[4..8].to_vec(), json!(seen[7])));
    assert_eq!(page(&mut ada, json!(4), next).await, (seen[8..].to_vec(), json!(null)));
    assert_eq!(page(&mut ada, json!(9), json!(null)).await, (seen.clone(), json!(null)));
    let mut bob = broker.connect("bob").await;
    let (names, next) = page(&mut bob, json!(1_000), json!(null)).await;
    assert_eq!((names.len(), next), (900, json!(null)), "oneself sees all");
}

/// What an asker may not see costs little, however much of it there is.
#[tokio::test]
async fn behind_far_too_many_hidden_ones_the_list_ends() {
    let broker = broker();
    lease(&broker, "a", json!(["any"])).await;
    for n in 0..MAX_PASSED_OVER + 256 {
        lease(&broker, &format!("b-{n:04}"), json!([])).await;
    }
    lease(&broker, "c", json!(["any"])).await;
    let mut ada = broker.connect("ada").await;
    let all = page(&mut ada, json!(null), json!(null)).await;
    assert_eq!(all, (vec!["a".to_owned()], json!(null)), "and `next` tells of nothing");
    assert_eq!(page(&mut ada, json!(null), json!("b-9")).await.0, ["c"]);
}
