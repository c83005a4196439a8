//! What vendors' own libraries can't be made to show without waiting: `tests/vendors` runs those.

use herenow::Config;
use herenow::chance::Chance;
use herenow::clock::Clock;
use herenow::config::Vendors;
use serde_json::{Value, json};
use std::time::Duration;

use crate::broker::until;
use crate::http::ask;
use crate::seed::seed;

#[tokio::test]
async fn a_viewer_of_social_plus_is_gone_a_minute_after_its_last_heartbeat() {
    let vendors = Vendors::parse("social-plus").unwrap();
    let listen = ([127, 0, 0, 1], 0).into();
    // Whatever silence ends other memberships.
    let presence_timeout = Duration::from_secs(5);
    let config = Config { listen, vendors, presence_timeout, ..Config::default() };
    let (clock, shift) = Clock::shiftable();
    let chance = Chance::from_seed(seed("social plus"));
    let broker = herenow::start_with(&config, clock, chance).unwrap();
    let at = broker.address();
    let room = "/social-plus/api/v1/presence/rooms/live";
    let bearer: &[&str] = &["authorization: Bearer ada"];
    let beat = async || ask(at, "POST", &format!("{room}/heartbeat"), bearer, "").await.status;
    let count =
        async || -> Value { ask(at, "GET", &format!("{room}/users/count"), bearer, "").await.body };
    assert_eq!(beat().await, 200);
    shift.pass(59_000);
    assert_eq!(count().await, json!({"count": 1}));
    assert_eq!(beat().await, 200);
    shift.pass(59_000);
    assert_eq!(count().await, json!({"count": 1}), "a heartbeat begins the minute anew");
    shift.pass(1_100);
    until("ada is gone", || broker.hub().metrics().members.get() == 0).await;
    assert_eq!(count().await, json!({"count": 0}));
    // The name that the login gave is brought by the heartbeat, and shows in the user's status.
    let login = r#"{"userId":"ada","displayName":"Ada"}"#;
    let session = ask(at, "POST", "/social-plus/api/v5/sessions", &[], login).await.body;
    let bearer = format!("authorization: Bearer {}", session["accessToken"].as_str().unwrap());
    ask(at, "POST", &format!("{room}/heartbeat"), &[&bearer], "").await;
    let status = ask(at, "GET", "/v1/users/ada/status", &[], "").await.body;
    assert_eq!(status["info"], json!({"displayName": "Ada"}));
    let member = ask(at, "GET", "/v1/channels/live/members/ada", &[], "").await.body;
    assert_eq!(member["info"], json!({"displayName": "Ada"}));
}
