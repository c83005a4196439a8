//! The rules of attributes and of their time to live, over real sockets.

use std::time::Duration;

use herenow::clock::Clock;
use herenow_protocol::ErrorCode;
use serde_json::{Value, json};

use crate::broker::{Broker, took, until};
use crate::client::A_TURN;
use crate::http::ask;

fn set(attributes: &Value, merge: bool, ttl_ms: Option<u64>) -> Value {
    json!({"type": "setAttributes", "channel": "room", "attributes": attributes, "merge": merge,
           "ttlMs": ttl_ms})
}

// Rule 4: setting.

#[tokio::test]
async fn set_overwrites_merge_patches_and_null_means_no_such_key() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    let join = json!({"type": "join", "channel": "room", "attributes": {"a": 1, "none": null}});
    ada.ok(join).await;
    assert_eq!(observer.told().await, r#"join ada {"a":1}"#);
    ada.ok(set(&json!({"b": {"deep": null}, "c": [null], "d": null}), false, None)).await;
    assert_eq!(observer.told().await, r#"update ada {"b":{"deep":null},"c":[null]}"#);
    ada.ok(set(&json!({"b": {"other": 1}, "c": null, "e": "new", "absent": null}), true, None))
        .await;
    assert_eq!(observer.told().await, r#"update ada {"b":{"other":1},"e":"new"}"#);
    ada.ok(set(&json!({}), true, None)).await;
    observer.told_nothing().await;
    ada.ok(set(&json!({"b": null, "e": null}), true, None)).await;
    assert_eq!(observer.told().await, "update ada {}");
    ada.ok(set(&json!({"x": null}), false, None)).await;
    observer.told_nothing().await;
    observer.agrees().await;
}

#[tokio::test]
async fn a_join_that_merges_keeps_what_other_tabs_and_back_ends_wrote() {
    const LARGE: &str = "9007199254740993"; // which no double holds
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok(r#"{"type":"join","channel":"room","attributes":{"mood":"calm"},"graceMs":60000}"#)
        .await;
    observer.told().await;
    let lease = format!(r#"{{"attributes":{{"score":{LARGE},"seat":4}},"merge":true}}"#);
    let path = "/v1/channels/room/members/ada";
    assert_eq!(ask(broker.address(), "PUT", path, &[], &lease).await.status, 200);
    let all = format!(r#"update ada {{"mood":"calm","score":{LARGE},"seat":4}}"#);
    assert_eq!(observer.told().await, all);

    // Beside what lives: it is only patched.
    let mut tab = broker.connect("ada").await;
    let merge = |attributes: Value| {
        json!({"type": "join", "channel": "room", "attributes": attributes, "merge": true,
               "graceMs": 60000})
    };
    tab.ok(merge(json!({"seat": null, "page": 2, "absent": null}))).await;
    let fewer = format!(r#"update ada {{"mood":"calm","page":2,"score":{LARGE}}}"#);
    assert_eq!(observer.told().await, fewer);

    // Behind a loss, where nothing but grace kept it.
    assert_eq!(ask(broker.address(), "DELETE", path, &[], "").await.status, 204);
    ada.kill();
    tab.kill();
    observer.told_nothing().await;
    let mut ada = broker.connect("ada").await;
    ada.ok(merge(json!({"mood": "calm"}))).await;
    ada.ok(r#"{"type":"join","channel":"room","merge":true}"#).await;
    observer.told_nothing().await;
    ada.ok(r#"{"type":"join","channel":"room","attributes":{"mood":"calm"}}"#).await;
    assert_eq!(observer.told().await, r#"update ada {"mood":"calm"}"#, "unless it replaces");
    observer.agrees().await;
}

#[tokio::test]
async fn a_join_that_merges_is_bound_by_what_comes_of_it_and_keeps_deadlines() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok(json!({"type": "join", "channel": "room", "attributes": {"a": "x".repeat(3_000)}}))
        .await;
    observer.told().await;
    let mut tab = broker.connect("ada").await;
    let join = |attributes: Value| json!({"type": "join", "channel": "room", "attributes": attributes, "merge": true});
    let too_large = (ErrorCode::TooLarge, Some("attributes".into()));
    assert_eq!(tab.refused(join(json!({"b": "x".repeat(3_000)}))).await, too_large);
    tab.ok(join(json!({"a": null, "b": 1}))).await;
    assert_eq!(observer.told().await, r#"update ada {"b":1}"#);
    ada.ok(set(&json!({"typing": true, "late": true}), true, Some(100))).await;
    observer.told().await;
    tab.ok(join(json!({"late": true}))).await;
    assert_eq!(observer.told().await, r#"expired ada {"b":1,"late":true}"#);
    observer.agrees().await;
}

#[tokio::test]
async fn equal_attributes_are_not_told() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok(r#"{"type":"join","channel":"room","attributes":{"a":1,"b":{"x":1,"y":"é"}}}"#).await;
    assert_eq!(observer.told().await, r#"join ada {"a":1,"b":{"x":1,"y":"é"}}"#);
    // Equal in value though not in text: order of keys, white space, escapes.
    let again = r#"{"type":"setAttributes","channel":"room",
        "attributes": { "b": {"y": "\u00e9", "x": 1}, "a": 1, "none": null }}"#;
    ada.ok(again).await;
    ada.ok(set(&json!({"a": 1}), true, None)).await;
    observer.told_nothing().await;
}

#[tokio::test]
async fn only_a_connection_that_joined_sets_attributes() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let (mut tab1, mut tab2) = (broker.connect("ada").await, broker.connect("ada").await);
    let not_joined = (ErrorCode::NotJoined, Some("channel".into()));
    tab1.ok("join room a=1").await;
    assert_eq!(observer.told().await, r#"join ada {"a":1}"#);
    assert_eq!(tab2.refused("set room a=2").await, not_joined, "its user is present, it is not");
    tab2.ok("sub room").await;
    assert_eq!(tab2.refused("set room a=2").await, not_joined, "it only observes");
    assert_eq!(tab2.refused("set elsewhere a=2").await, not_joined);
    observer.told_nothing().await;
    tab2.ok("join room").await;
    tab2.ok("set room a=2").await;
    assert_eq!(observer.told().await, r#"update ada {"a":2}"#);
    tab2.ok("leave room").await;
    assert_eq!(tab2.refused("set room a=3").await, not_joined, "it left");
    tab1.ok("set room a=4").await;
    assert_eq!(observer.told().await, r#"update ada {"a":4}"#);
    observer.agrees().await;
}

#[tokio::test]
async fn attributes_vanish_with_the_member() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room mood=happy").await;
    assert_eq!(observer.told().await, r#"join ada {"mood":"happy"}"#);
    ada.ok("leave room").await;
    assert_eq!(observer.told().await, "leave ada left");
    ada.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    ada.ok("set room mood=sad").await;
    assert_eq!(observer.told().await, r#"update ada {"mood":"sad"}"#);
    ada.kill();
    assert_eq!(observer.told().await, "timeout ada connection");
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
}

#[tokio::test]
async fn attributes_beyond_their_bounds_leave_the_old_ones() {
    let broker = Broker::with(|config| {
        config.limits.max_attribute_bytes = 40;
        config.limits.max_attribute_keys = 3;
    });
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    let too_large = (ErrorCode::TooLarge, Some("attributes".into()));
    let join = |attributes| json!({"type": "join", "channel": "room", "attributes": attributes});
    assert_eq!(ada.refused(join(json!({"a": "x".repeat(40)}))).await, too_large);
    observer.told_nothing().await;
    // {"a":"…"} with 32 times x are 40 bytes: as many as may be.
    ada.ok(join(json!({"a": "x".repeat(32)}))).await;
    assert!(observer.told().await.starts_with(r#"join ada {"a":"xxx"#));
    assert_eq!(ada.refused(join(json!({"a": "x".repeat(33)}))).await, too_large);
    assert_eq!(ada.refused(set(&json!({"b": 1}), true, None)).await, too_large);
    ada.ok(set(&json!({"a": 1, "b": 2, "c": 3, "d": null}), false, None)).await;
    assert_eq!(observer.told().await, r#"update ada {"a":1,"b":2,"c":3}"#);
    let four = json!({"a": 0, "b": 0, "c": 0, "d": 0});
    assert_eq!(ada.refused(set(&four, false, None)).await, too_large);
    assert_eq!(ada.refused(set(&json!({"a": 9, "d": 4}), true, None)).await, too_large);
    observer.told_nothing().await;
    // What a refused write would have given a deadline has none.
    assert_eq!(ada.refused(set(&json!({"a": 1, "d": 4}), true, Some(10))).await, too_large);
    ada.ok(set(&json!({"a": null, "d": 4}), true, None)).await;
    assert_eq!(observer.told().await, r#"update ada {"b":2,"c":3,"d":4}"#);
    observer.agrees().await;
}

/// A lost connection's member in grace, and what the user brings when it is back.
#[tokio::test]
async fn a_join_that_finds_only_grace_starts_from_what_it_brings() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let join = |attributes: Value| json!({"type": "join", "channel": "room", "graceMs": 60_000, "attributes": attributes});
    let mut ada = broker.connect("ada").await;
    ada.ok(join(json!({"mood": "happy"}))).await;
    assert_eq!(observer.told().await, r#"join ada {"mood":"happy"}"#);
    let cases = [
        (json!({"mood": "happy"}), None),
        (json!({"mood": "sad"}), Some(r#"update ada {"mood":"sad"}"#)),
        (Value::Null, Some("update ada {}")),
        (Value::Null, None),
        (json!({"mood": null}), None),
        (json!({"mood": "well"}), Some(r#"update ada {"mood":"well"}"#)),
    ];
    for (brought, told) in cases {
        ada.kill();
        until("the connection is gone", || broker.hub().connection_count() == 1).await;
        ada = broker.connect("ada").await;
        ada.ok(join(brought)).await;
        match told {
            Some(told) => assert_eq!(observer.told().await, told),
            None => observer.told_nothing().await,
        }
        observer.agrees().await;
    }
    assert_eq!(observer.client.count("room").await, 1);
    ada.ok("leave room").await;
    assert_eq!(observer.told().await, "leave ada left");
    observer.told_nothing().await;
}

#[tokio::test]
async fn a_returning_tab_never_wipes_a_living_one() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let join = json!({"type": "join", "channel": "room", "graceMs": 60_000});
    let (mut tab1, mut tab2) = (broker.connect("ada").await, broker.connect("ada").await);
    tab1.ok(join.clone()).await;
    tab2.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    tab2.ok("set room mood=happy").await;
    assert_eq!(observer.told().await, r#"update ada {"mood":"happy"}"#);
    tab1.kill();
    until("the connection is gone", || broker.hub().connection_count() == 2).await;
    let mut tab1 = broker.connect("ada").await;
    tab1.ok(join).await;
    observer.told_nothing().await;
    tab2.kill();
    until("the connection is gone", || broker.hub().connection_count() == 2).await;
    observer.told_nothing().await;
    tab1.ok("leave room").await;
    // The source in grace was replaced: nothing else keeps ada.
    assert_eq!(observer.told().await, "leave ada left");
}

// Rule 5: time to live.

#[tokio::test]
async fn a_key_vanishes_when_its_time_is_over() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room mood=happy").await;
    assert_eq!(observer.told().await, r#"join ada {"mood":"happy"}"#);
    let clock = Clock::start();
    ada.ok(set(&json!({"typing": true, "draft": "hi"}), true, Some(400))).await;
    assert_eq!(observer.told().await, r#"update ada {"draft":"hi","mood":"happy","typing":true}"#);
    assert_eq!(observer.told().await, r#"expired ada {"mood":"happy"}"#);
    let took = took(clock);
    assert!(took >= Duration::from_millis(400), "{took:?}");
    assert!(took < Duration::from_millis(3_000), "{took:?}");
    observer.told_nothing().await;
    observer.agrees().await;
}

#[tokio::test]
async fn keys_expire_one_by_one_and_nothing_earlier_comes_back() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room a=old b=old c=old").await;
    observer.told().await;
    ada.ok(set(&json!({"a": "new"}), true, Some(300))).await;
    assert_eq!(observer.told().await, r#"update ada {"a":"new","b":"old","c":"old"}"#);
    ada.ok(set(&json!({"b": "new"}), true, Some(900))).await;
    assert_eq!(observer.told().await, r#"update ada {"a":"new","b":"new","c":"old"}"#);
    assert_eq!(observer.told().await, r#"expired ada {"b":"new","c":"old"}"#);
    assert_eq!(observer.told().await, r#"expired ada {"c":"old"}"#);
    observer.told_nothing().await;
}

/// Every write of a key sets or clears its deadline, one of an equal value too. `late` expires
/// after all the deadlines that were cleared or moved.
#[tokio::test]
async fn every_write_of_a_key_sets_or_clears_its_deadline() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok(r#"join room forever=1 given=1"#).await;
    observer.told().await;
    ada.ok(set(&json!({"cleared": 1, "moved": 1, "other": 1}), true, Some(700))).await;
    observer.told().await;
    // Equal values: nothing is told, deadlines change.
    ada.ok(set(&json!({"cleared": 1}), true, None)).await;
    ada.ok(set(&json!({"moved": 1}), true, Some(60_000))).await;
    ada.ok(set(&json!({"given": 1}), true, Some(700))).await;
    // A write of other keys leaves a deadline alone.
    ada.ok(set(&json!({"late": 1}), true, Some(1_300))).await;
    let told = observer.told().await;
    assert_eq!(
        told,
        r#"update ada {"cleared":1,"forever":1,"given":1,"late":1,"moved":1,"other":1}"#
    );
    let mut told = String::new();
    let end = r#"expired ada {"cleared":1,"forever":1,"moved":1}"#;
    while told != end {
        told = observer.told().await;
        assert!(told.starts_with("expired ada "), "{told}");
        assert!(told.contains(r#""cleared":1,"forever":1"#), "{told}");
        assert!(told.contains(r#""moved":1"#), "{told}");
    }
    observer.told_nothing_for(A_TURN).await;
    observer.agrees().await;
}

#[tokio::test]
async fn what_replaces_all_attributes_clears_all_deadlines() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    observer.told().await;
    for replace in ["set room a=1", "join room a=1"] {
        ada.ok(set(&json!({"a": 1, "b": 2}), false, Some(300))).await;
        assert_eq!(observer.told().await, r#"update ada {"a":1,"b":2}"#);
        ada.ok(replace).await;
        assert_eq!(observer.told().await, r#"update ada {"a":1}"#);
        ada.ok(set(&json!({"late": 1}), true, Some(600))).await;
        assert_eq!(observer.told().await, r#"update ada {"a":1,"late":1}"#);
        assert_eq!(observer.told().await, r#"expired ada {"a":1}"#);
        ada.ok(set(&json!({}), false, None)).await;
        assert_eq!(observer.told().await, "update ada {}");
    }
    // A join that brings none, beside a living source, replaces none.
    ada.ok(set(&json!({"b": 2}), false, Some(300))).await;
    assert_eq!(observer.told().await, r#"update ada {"b":2}"#);
    ada.ok("join room").await;
    assert_eq!(observer.told().await, "expired ada {}");
}

#[tokio::test]
async fn a_deadline_goes_with_its_member() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let (mut ada, mut bob) = (broker.connect("ada").await, broker.connect("bob").await);
    ada.ok("join room").await;
    bob.ok("join room").await;
    assert_eq!([observer.told().await, observer.told().await], ["join ada {}", "join bob {}"]);
    ada.ok(set(&json!({"a": 1}), false, Some(300))).await;
    assert_eq!(observer.told().await, r#"update ada {"a":1}"#);
    ada.ok("leave room").await;
    assert_eq!(observer.told().await, "leave ada left");
    ada.ok("join room a=1").await;
    assert_eq!(observer.told().await, r#"join ada {"a":1}"#);
    bob.ok(set(&json!({"late": 1}), false, Some(600))).await;
    assert_eq!(observer.told().await, r#"update bob {"late":1}"#);
    assert_eq!(observer.told().await, "expired bob {}");
    observer.told_nothing().await;
    observer.agrees().await;
}

/// The grace and the time to live of one member run beside each other.
#[tokio::test]
async fn keys_expire_in_grace_too() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok(json!({"type": "join", "channel": "room", "graceMs": 1_200})).await;
    observer.told().await;
    ada.ok(set(&json!({"typing": true}), false, Some(300))).await;
    assert_eq!(observer.told().await, r#"update ada {"typing":true}"#);
    ada.kill();
    assert_eq!(observer.told().await, "expired ada {}");
    assert_eq!(observer.told().await, "timeout ada connection");
    observer.told_nothing_for(A_TURN).await;
}

#[tokio::test]
async fn a_time_to_live_beyond_its_bounds_is_refused_whole() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    observer.told().await;
    for ttl_ms in [0, 3_600_001] {
        let refused = ada.refused(set(&json!({"a": 1}), false, Some(ttl_ms))).await;
        assert_eq!(refused, (ErrorCode::InvalidField, Some("ttlMs".into())));
    }
    observer.told_nothing().await;
    ada.ok(set(&json!({"a": 1}), false, Some(3_600_000))).await;
    assert_eq!(observer.told().await, r#"update ada {"a":1}"#);
}
