//! What keeps a user online, when it was last seen, and who may be told: by connections, leases,
//! heartbeats and tokens.

use std::sync::Arc;
use std::time::Duration;

use herenow::auth::mint::TokenOrder;
use herenow::auth::{Secret, TokenFlags};
use herenow_protocol::reply::RemovedReason;
use herenow_protocol::{ErrorCode, ServerFrame};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::broker::{Broker, until};
use crate::client::Client;
use crate::http::ask;
use crate::status::{error, id, status, told};

const SECRET: &str = "a secret of at least thirty-two bytes";
const A_WHILE: Duration = Duration::from_millis(60);

fn unix_ms(broker: &Broker) -> u64 {
    broker.hub().clock().now().unix_ms
}

async fn until_connections(broker: &Broker, count: usize) {
    until("they are gone", || broker.hub().connection_count() == count).await;
}

/// A broker that wants tokens.
fn with_tokens() -> Broker {
    Broker::with(|config| {
        config.identity.tokens.jwt_secret = Some(Secret::new(SECRET.as_bytes()));
    })
}

/// A token for `user` with what `change` puts in.
fn token(broker: &Broker, user: &str, change: impl FnOnce(&mut TokenOrder)) -> String {
    let jwt_secret = Some(Secret::new(SECRET.as_bytes()));
    let mut order = TokenOrder {
        user: user.into(),
        role: Vec::new(),
        channel: Vec::new(),
        watch: Vec::new(),
        info: None,
        ttl: Duration::from_secs(3_600),
        tokens: TokenFlags { jwt_secret, ..TokenFlags::default() },
    };
    change(&mut order);
    order.mint(broker.hub().clock().now()).unwrap()
}

async fn connect_with(broker: &Broker, token: &str) -> Client {
    let stream = TcpStream::connect(broker.address()).await.unwrap();
    let path = format!("/ws?token={token}");
    let mut client = Client::open(stream, &path, None).await.unwrap().0;
    assert!(matches!(client.next().await, ServerFrame::Welcome { .. }));
    client
}

#[tokio::test]
async fn whoever_is_online_is_seen_now() {
    let broker = Broker::start();
    let _bob = broker.connect("bob").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("watch bob").await;
    told(&mut ada).await;
    sleep(A_WHILE).await;
    let before = unix_ms(&broker);
    let mut carol = broker.connect("carol").await;
    for watcher in [&mut carol, &mut ada] {
        watcher.ok("watch bob").await;
        assert!(told(watcher).await.last_seen >= Some(before), "not when ada began to watch");
    }
    ada.expect_quiet().await;
}

#[tokio::test]
async fn a_lease_keeps_a_user_online_until_it_ends() {
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    ada.ok("watch bob").await;
    told(&mut ada).await;
    let path = "/v1/channels/room/members/bob";
    let lease = |body: &'static str| ask(broker.address(), "PUT", path, &[], body);
    assert_eq!(lease(r#"{"ttlMs":60000}"#).await.status, 201);
    assert!(told(&mut ada).await.online);
    let before = unix_ms(&broker);
    ask(broker.address(), "DELETE", path, &[], "").await;
    let gone = told(&mut ada).await;
    assert!(!gone.online && gone.last_seen >= Some(before));
    lease(r#"{"ttlMs":200}"#).await;
    let after = unix_ms(&broker);
    assert!(told(&mut ada).await.online);
    let gone = told(&mut ada).await;
    assert!(unix_ms(&broker) >= after + 150, "it had so long");
    assert!(!gone.online && gone.last_seen <= Some(after), "when the lease was taken");
}

/// What ends last was not always heard last.
#[tokio::test]
async fn last_seen_is_the_latest_that_showed_the_user() {
    let broker = Broker::start();
    let hub = broker.hub();
    // A heartbeat before the connection closed.
    hub.heartbeat_user(&id("bob"), None, None, hub.clock().now()).unwrap();
    let bob = broker.connect("bob").await;
    sleep(A_WHILE).await;
    let before = unix_ms(&broker);
    bob.close(1000).await;
    until_connections(&broker, 0).await;
    assert!(status(hub, "bob").unwrap().online);
    hub.stop_heartbeat(&id("bob"));
    let gone = status(hub, "bob").unwrap();
    assert!(!gone.online && gone.last_seen >= Some(before));
    // A laptop is lost, a phone closes while its grace runs.
    let mut laptop = broker.connect("carol").await;
    laptop.ok(json!({"type": "join", "channel": "room", "graceMs": 300})).await;
    let phone = broker.connect("carol").await;
    laptop.kill();
    until_connections(&broker, 1).await;
    sleep(A_WHILE).await;
    let before = unix_ms(&broker);
    phone.close(1000).await;
    until("the grace is over", || !status(hub, "carol").unwrap().online).await;
    assert!(status(hub, "carol").unwrap().last_seen >= Some(before));
    // A heartbeat that speaks for one channel.
    let mut dave = broker.connect("dave").await;
    dave.ok("join room").await;
    sleep(A_WHILE).await;
    let before = unix_ms(&broker);
    dave.ok(json!({"type": "heartbeat", "channels": ["room"]})).await;
    dave.kill();
    until("dave is gone", || !status(hub, "dave").unwrap().online).await;
    assert!(status(hub, "dave").unwrap().last_seen >= Some(before));
}

/// A tab in the background answers pings for hours and says nothing.
#[tokio::test]
async fn what_ends_beside_something_older_counts_too() {
    let broker = Broker::start();
    let hub = broker.hub();
    let background = broker.connect("erin").await;
    let tab = broker.connect("erin").await;
    sleep(A_WHILE).await;
    let before = unix_ms(&broker);
    tab.close(1000).await;
    until_connections(&broker, 1).await;
    background.kill();
    until("erin is gone", || !status(hub, "erin").unwrap().online).await;
    assert!(status(hub, "erin").unwrap().last_seen >= Some(before), "the tab was closed later");
    // A phone's heartbeats, while a laptop's grace runs.
    let mut laptop = broker.connect("frank").await;
    laptop.ok(json!({"type": "join", "channel": "room", "graceMs": 300})).await;
    laptop.kill();
    until_connections(&broker, 0).await;
    sleep(A_WHILE).await;
    let before = unix_ms(&broker);
    hub.heartbeat_user(&id("frank"), None, None, hub.clock().now()).unwrap();
    hub.stop_heartbeat(&id("frank"));
    assert!(status(hub, "frank").unwrap().online, "the grace runs");
    until("the grace is over", || !status(hub, "frank").unwrap().online).await;
    assert!(status(hub, "frank").unwrap().last_seen >= Some(before), "the heartbeat came later");
}

#[tokio::test]
async fn only_so_many_are_online_by_heartbeats() {
    let broker = Broker::with(|config| config.limits.max_statuses = 2);
    let hub = broker.hub();
    let beat = |user| hub.heartbeat_user(&id(user), None, None, hub.clock().now());
    for user in ["x", "y", "x"] {
        beat(user).unwrap();
    }
    let refused = beat("z").unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable);
    assert!(refused.retry_after_ms.is_some());
    assert!(status(hub, "z").is_none(), "nothing is left of it");
    hub.stop_heartbeat(&id("x"));
    beat("z").unwrap();
    assert!(beat("x").is_err(), "it is remembered, but would be one more");
    // Connections have a bound of their own.
    assert!(status(hub, "x").is_some_and(|x| !x.online));
    let _x = broker.connect("x").await;
    assert!(status(hub, "x").unwrap().online);
    beat("x").unwrap();
}

#[tokio::test]
async fn whoever_is_turned_away_was_never_here_and_a_shutdown_ends_nobody() {
    let broker = Broker::start();
    let stream = TcpStream::connect(broker.address()).await.unwrap();
    let mut nobody = Client::open(stream, "/ws?user=%24nobody", None).await.unwrap().0;
    nobody.ended().await;
    assert_eq!(broker.hub().user_count(), 0);
    let mut bob = broker.connect("bob").await;
    let hub = Arc::clone(broker.hub());
    tokio::join!(bob.ended(), broker.stop());
    assert_eq!(hub.connection_count(), 0);
    assert!(status(&hub, "bob").unwrap().online, "it is the broker that went");
}

#[tokio::test]
async fn what_a_token_tells_shows_in_the_status() {
    let broker = with_tokens();
    let mut ada = connect_with(&broker, &token(&broker, "ada", |_| {})).await;
    ada.ok("watch bob").await;
    told(&mut ada).await;
    let named = |name: &str| {
        let info = json!({"name": name}).to_string();
        token(&broker, "bob", |order| order.info = Some(info))
    };
    let mut bob = connect_with(&broker, &named("Bob")).await;
    let online = told(&mut ada).await;
    assert!(online.online);
    assert_eq!(online.info.as_str(), r#"{"name":"Bob"}"#, "one piece of news");
    bob.ok(json!({"type": "auth", "token": named("Robert")})).await;
    assert_eq!(told(&mut ada).await.info.as_str(), r#"{"name":"Robert"}"#);
    // The same again, with other roles: no status depends on them.
    let roles = token(&broker, "ada", |order| order.role = vec!["team:blue".into()]);
    ada.ok(json!({"type": "auth", "token": roles})).await;
    ada.expect_quiet().await;
    let _plain = connect_with(&broker, &token(&broker, "bob", |_| {})).await;
    assert!(told(&mut ada).await.info.is_empty(), "the last token counts");
}

#[tokio::test]
async fn whom_a_token_lets_watch() {
    let broker = with_tokens();
    let team = |order: &mut TokenOrder| order.watch = vec!["team-*".into()];
    let mut ada = connect_with(&broker, &token(&broker, "ada", team)).await;
    assert_eq!(error(&mut ada, "watch team-1 bob").await.code, ErrorCode::Forbidden);
    assert_eq!(broker.hub().channel_count(), 0, "all or none");
    ada.ok("watch team-1").await;
    told(&mut ada).await;
    ada.ok(json!({"type": "auth", "token": token(&broker, "ada", |_| {})})).await;
    ada.ok("watch bob").await;
    told(&mut ada).await;
    ada.ok(json!({"type": "auth", "token": token(&broker, "ada", team)})).await;
    let ServerFrame::Removed { channels, users, reason } = ada.next().await else { panic!() };
    assert_eq!((channels.len(), reason), (0, RemovedReason::Rights));
    assert_eq!(users, [id("bob")]);
    let _bob = connect_with(&broker, &token(&broker, "bob", |_| {})).await;
    ada.expect_quiet().await;
}
