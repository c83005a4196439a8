//! What a kick leaves of a user: no connection, no lease unless it is to stay, and no token that was
//! signed before.

use std::time::Duration;

use herenow::clock::Clock;
use herenow_protocol::{CloseCode, ErrorCode, Event, LeaveReason, ServerFrame};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::broker::Broker;
use crate::client::Client;
use crate::http::ask;
use crate::rights::{self, OPERATOR, READER, SECRET, http};
use crate::wire::Wire;

fn now_s() -> u64 {
    Clock::start().now().unix_ms / 1_000
}

/// A token of `user` that was signed in that second, or does not say when.
fn token(user: &str, issued_s: Option<u64>) -> String {
    let mut claims = json!({"sub": user, "exp": now_s() + 600});
    if let Some(second) = issued_s {
        claims["iat"] = json!(second);
    }
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap()
}

async fn kick(broker: &Broker, path: &str) -> Value {
    let answer = http(broker, "DELETE", path, OPERATOR).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// The first frame for whoever connects with the token, and the code of the Close behind an error.
async fn come(broker: &Broker, token: &str) -> (Client, Option<(ErrorCode, u16)>) {
    let stream = TcpStream::connect(broker.address()).await.unwrap();
    let mut client = Client::open(stream, &format!("/ws?token={token}"), None).await.unwrap().0;
    match client.next().await {
        ServerFrame::Welcome { .. } => (client, None),
        ServerFrame::Error { code, message, .. } => {
            assert!(message.contains("signed out") && !message.contains(token), "{message}");
            let close = client.ended().await.code();
            (client, Some((code, close)))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tokens_from_before_a_kick_are_refused_everywhere() {
    let broker = rights::broker_with(|_| {});
    let second = now_s();
    let old = [token("ada", Some(second - 1)), token("ada", None)];
    for token in &old {
        assert_eq!(come(&broker, token).await.1, None, "nobody was kicked");
    }
    let (mut connected, _) = come(&broker, &old[0]).await;
    kick(&broker, "/v1/users/ada/connections").await;
    assert_eq!(connected.ended().await.code(), CloseCode::Kicked.number());
    let unauthenticated = (ErrorCode::Unauthenticated, CloseCode::Unauthenticated.number());
    // Signed in the second of the kick, or later, as a clock that is a little ahead has it.
    let (mut fresh, refused) = come(&broker, &token("ada", Some(now_s()))).await;
    assert_eq!(refused, None);
    assert_eq!(come(&broker, &token("ada", Some(now_s() + 2))).await.1, None);
    for token in &old {
        assert_eq!(come(&broker, token).await.1, Some(unauthenticated));
        let (code, field) = fresh.refused(json!({"type": "auth", "token": token})).await;
        assert_eq!((code, field.as_deref()), (ErrorCode::Unauthenticated, Some("token")));
        for path in ["/v1/channels/room", "/v1/users/bob/channels", "/v1/channels/room/events"] {
            let answer = http(&broker, "GET", path, token).await;
            assert_eq!((answer.status, answer.code()), (401, "unauthenticated"), "{path}");
        }
        let in_address = format!("/v1/channels/room/events?token={token}");
        assert_eq!(ask(broker.address(), "GET", &in_address, &[], "").await.status, 401);
        let lease = http(&broker, "PUT", "/v1/channels/room/members/ada", token).await;
        assert_eq!(lease.status, 401);
    }
    fresh.ok("join room").await;
    assert_eq!(come(&broker, &token("bob", None)).await.1, None, "others are who they were");
}

#[tokio::test]
async fn a_kick_counts_from_the_second_it_falls_into() {
    let broker = rights::broker_with(|_| {});
    let before = token("ada", Some(now_s()));
    let after_it = now_s() + 1;
    // By the broker's clock, which may be a moment behind ours: it is the kick's.
    while broker.hub().clock().now().unix_ms / 1_000 < after_it {
        sleep(Duration::from_millis(20)).await;
    }
    kick(&broker, "/v1/users/ada/connections").await;
    assert!(come(&broker, &before).await.1.is_some());
    assert_eq!(come(&broker, &token("ada", Some(after_it + 1))).await.1, None);
    kick(&broker, "/v1/users/ada/connections").await;
    assert!(come(&broker, &before).await.1.is_some(), "a second kick takes nothing back");
}

#[tokio::test]
async fn a_kick_ends_leases_unless_they_are_to_stay() {
    let broker = Broker::start();
    let at = broker.address();
    let mut observer = broker.connect("observer").await;
    observer.observe("room").await;
    let lease = async |user: &str, channel: &str| {
        let path = format!("/v1/channels/{channel}/members/{user}");
        assert_eq!(ask(at, "PUT", &path, &[], "").await.status, 201);
    };
    for user in ["ada", "bob"] {
        lease(user, "room").await;
        lease(user, "hall").await;
    }
    for _ in 0..2 {
        observer.events().await;
    }
    let kicked = ask(at, "DELETE", "/v1/users/bob/connections?leases=keep", &[], "").await;
    assert_eq!(kicked.body, json!({"user": "bob", "closed": 0}));
    for bad in ["leases=", "leases=end", "leases=Keep"] {
        let path = format!("/v1/users/ada/connections?{bad}");
        let refused = ask(at, "DELETE", &path, &[], "").await;
        assert_eq!((refused.status, refused.code()), (400, "invalid_field"));
        assert_eq!(refused.body["field"], "leases");
    }
    observer.expect_quiet().await;
    let kicked = ask(at, "DELETE", "/v1/users/ada/connections", &[], "").await;
    assert_eq!(kicked.body, json!({"user": "ada", "closed": 0}));
    match observer.events().await.as_slice() {
        [Event::Leave { user, reason: LeaveReason::Kicked, .. }] => {
            assert_eq!(user.as_str(), "ada")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(observer.count("hall").await, 1, "everywhere");
    assert_eq!(observer.count("room").await, 1);
    lease("ada", "room").await;
}

/// The head came, and was let in, before the kick; the body comes behind it.
#[tokio::test]
async fn a_request_that_waits_out_a_kick_leases_nothing() {
    let broker = rights::broker_with(|_| {});
    let mut put = Wire::dial(broker.address()).await;
    let bearer = token("ada", Some(now_s() - 5));
    let head = format!(
        "PUT /v1/channels/room/members/ada HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         authorization: Bearer {bearer}\r\ncontent-length: 2\r\n\r\n{{"
    );
    put.write(head.as_bytes()).await;
    // Certainly read: what came later on another connection was answered.
    sleep(Duration::from_millis(100)).await;
    kick(&broker, "/v1/users/ada/connections").await;
    put.write(b"}").await;
    let answer = put.rest().await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let count = http(&broker, "GET", "/v1/channels/room/count", READER).await;
    assert_eq!(count.body["count"], 0);
}

/// A stream that was begun with an earlier token is one of what a kick ends.
#[tokio::test]
async fn a_kick_ends_streams() {
    let broker = rights::broker_with(|config| {
        config.limits.sse_keep_alive = Duration::from_millis(100);
    });
    let mut stream = Wire::dial(broker.address()).await;
    let bearer = token("ada", Some(now_s() - 5));
    let head = format!(
        "GET /v1/channels/room/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         authorization: Bearer {bearer}\r\n\r\n"
    );
    stream.write(head.as_bytes()).await;
    assert!(stream.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(broker.stream_count(), 1);
    kick(&broker, "/v1/users/ada/connections").await;
    stream.rest().await;
    crate::broker::until("the stream is over", || broker.stream_count() == 0).await;
}
