//! Tokens and keys at work, over WebSocket and HTTP: who gets in, what each may do, whom each sees,
//! and what a fresh token changes.

use clap::Parser;
use herenow::Config;
use herenow::auth::mint::TokenOrder;
use herenow::auth::secret::Secret;
use herenow::clock::Clock;
use herenow_protocol::reply::{Answer as Reply, SnapshotReason};
use herenow_protocol::{ErrorCode, Event, ServerFrame};
use serde_json::json;
use tokio::net::TcpStream;

use crate::broker::{Broker, Process, binary, until};
use crate::client::Client;
use crate::http::{Answer, ask};
use crate::wire::Wire;

pub(crate) const SECRET: &str = "thirty-two bytes are the least of all";
pub(crate) const KEYS: &str = r#"
[[key]]
name = "reader"
secret = "reader-reader-reader"
rights = ["read"]
[[key]]
name = "operator"
secret = "operator-operator-operator"
rights = ["read", "write", "kick"]
"#;
pub(crate) const READER: &str = "reader-reader-reader";
pub(crate) const OPERATOR: &str = "operator-operator-operator";

/// A broker that wants tokens, and knows two back ends.
fn broker() -> Broker {
    broker_with(|_| {})
}

/// The same, less what `change` changes.
pub(crate) fn broker_with(change: impl FnOnce(&mut Config)) -> Broker {
    Broker::with(|config| {
        with_identity(config);
        change(config);
    })
}

/// Tokens, and two back ends.
pub(crate) fn with_identity(config: &mut Config) {
    config.identity.tokens.jwt_secret = Some(Secret::new(SECRET.as_bytes()));
    config.identity.api_keys = Some(Secret::new(KEYS.as_bytes()));
    config.identity.allow_origin = vec!["https://app.example".to_owned()];
}

/// A token as `herenow token` makes them.
pub(crate) fn token(flags: &str) -> String {
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        order: TokenOrder,
    }
    let flags = flags.split_whitespace();
    let mut line = Line::parse_from(std::iter::once("token").chain(flags));
    line.order.tokens.jwt_secret = Some(Secret::new(SECRET.as_bytes()));
    line.order.mint(Clock::start().now()).unwrap()
}

/// A client with that token, past its welcome.
pub(crate) async fn connect(broker: &Broker, token: &str) -> Client {
    let stream = TcpStream::connect(broker.address()).await.unwrap();
    let path = format!("/ws?token={token}");
    let mut client = Client::open(stream, &path, None).await.unwrap().0;
    assert!(matches!(client.next().await, ServerFrame::Welcome { .. }));
    client
}

async fn refused(client: &mut Client, say: &str) -> String {
    match client.request(say).await {
        ServerFrame::Error { code: ErrorCode::Forbidden, message, .. } => message.into_owned(),
        other => panic!("{say}: {other:?}"),
    }
}

pub(crate) async fn http(broker: &Broker, method: &str, path: &str, bearer: &str) -> Answer {
    let header = format!("authorization: Bearer {bearer}");
    ask(broker.address(), method, path, &[&header], "").await
}

#[tokio::test]
async fn a_token_comes_in_by_any_of_three_doors() {
    let broker = broker();
    let token = token("--user ada");
    let bearer = format!("herenow.v1, bearer.{token}");
    for (path, protocols) in
        [(format!("/ws?token={token}"), None), ("/ws?user=eve".to_owned(), Some(bearer.as_str()))]
    {
        let stream = TcpStream::connect(broker.address()).await.unwrap();
        let (mut client, response) = Client::open(stream, &path, protocols).await.unwrap();
        let answered = response.headers().get("sec-websocket-protocol");
        assert_eq!(answered.map(|name| name.to_str().unwrap()), protocols.map(|_| "herenow.v1"));
        let ServerFrame::Welcome { user, .. } = client.next().await else { panic!() };
        assert_eq!(user.as_str(), "ada", "whatever ?user= says");
    }
    let mut raw = Wire::dial(broker.address()).await;
    raw.upgrade("/ws", &format!("Authorization: Bearer {token}\r\n")).await;
    assert!(raw.text().await.contains(r#""user":"ada""#));
}

#[tokio::test]
async fn without_a_good_token_nobody_comes_in() {
    let broker = broker();
    let good = token("--user ada");
    let expired = token("--user ada --ttl 10ms");
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let (head, rest) = good.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let large = "x".repeat(9_000);
    for (bad, code, close) in [
        (String::new(), "unauthenticated", 4001),
        ("nonsense".to_owned(), "unauthenticated", 4001),
        (format!("{head}.{claims}."), "unauthenticated", 4001),
        (format!("{head}.{claims}.A{signature}"), "unauthenticated", 4001),
        // {"alg":"none"}
        (format!("eyJhbGciOiJub25lIn0.{claims}."), "unauthenticated", 4001),
        (OPERATOR.to_owned(), "unauthenticated", 4001),
        (large, "unauthenticated", 4001),
        (expired, "token_expired", 4102),
    ] {
        let path = format!("/ws?token={bad}");
        let stream = TcpStream::connect(broker.address()).await.unwrap();
        let mut client = Client::open(stream, &path, None).await.unwrap().0;
        let ServerFrame::Error { code: told, field, message, .. } = client.next().await else {
            panic!()
        };
        assert_eq!((json!(told), field.as_deref()), (json!(code), Some("token")), "{bad}");
        assert!(bad.len() < 5 || !message.contains(&bad), "a token is never repeated");
        assert_eq!(client.ended().await.code(), close);
        if bad == OPERATOR {
            continue;
        }
        let answer = http(&broker, "GET", "/v1/channels/room/count", &bad).await;
        assert_eq!((answer.status, answer.code()), (401, code), "{bad}");
        assert_eq!(answer.header("www-authenticate"), Some("bearer"));
    }
    let answer = ask(broker.address(), "GET", "/v1/channels/room/count", &[], "").await;
    assert_eq!((answer.status, answer.code()), (401, "unauthenticated"));
    until("nobody is in", || broker.hub().connection_count() == 0).await;
    assert_eq!(broker.hub().user_count(), 0, "whoever was turned away was never there");
}

#[tokio::test]
async fn a_token_grants_what_it_says_and_refusals_name_the_right() {
    let broker = broker();
    let flags =
        "--user ada --channel room-*=subscribe --channel hall=join --channel yard=count --watch b*";
    let token = token(flags);
    let mut ada = connect(&broker, &token).await;
    let lacks = |right: &str| {
        format!("channel needs the right \"{right}\", which the token does not grant")
    };
    for (say, right) in [
        ("join room-1", "join"),
        ("sub hall", "subscribe"),
        ("sub yard", "subscribe"),
        ("who yard", "list"),
        ("get yard bob", "list"),
        ("sub other count", "count"),
        ("count other", "count"),
    ] {
        assert_eq!(refused(&mut ada, say).await, lacks(right), "{say}");
    }
    for say in ["sub room-1", "sub room-2 count", "sub yard count", "join hall", "watch ada bob"] {
        ada.ok(say).await;
    }
    assert_eq!(
        refused(&mut ada, "watch bob carol").await,
        "users needs the right to watch \"carol\", which the token does not grant"
    );
    let mut bob = connect(&broker, &self::token("--user bob")).await;
    bob.ok("join room-1").await;
    bob.ok("join other").await;
    let Reply::Channels { channels, .. } = ada.answer("where bob").await else { panic!() };
    assert_eq!(channels.iter().map(|c| c.as_str()).collect::<Vec<_>>(), ["room-1"]);
    // Over HTTP alike.
    for (method, path, status) in [
        ("GET", "/v1/channels/room-1/members", 200),
        ("GET", "/v1/channels/yard/count", 200),
        ("GET", "/v1/channels/yard/members", 403),
        ("GET", "/v1/channels/other", 403),
        ("GET", "/v1/channels/other/members/bob", 403),
        ("GET", "/v1/channels/other/members/nobody", 403),
        ("PUT", "/v1/channels/hall/members/ada", 200),
        ("PUT", "/v1/channels/hall/members/bob", 403),
        ("PUT", "/v1/channels/room-1/members/ada", 403),
        ("DELETE", "/v1/channels/hall/members/bob", 403),
        ("GET", "/v1/users/bob/status", 200),
        ("GET", "/v1/users/carol/status", 403),
        ("GET", "/v1/users/status?ids=bob,carol", 403),
        ("POST", "/v1/users/ada/heartbeat", 200),
        ("POST", "/v1/users/bob/heartbeat", 403),
        ("DELETE", "/v1/users/bob/heartbeat", 403),
        ("GET", "/v1/channels", 403),
        ("DELETE", "/v1/users/bob/connections", 403),
    ] {
        let answer = http(&broker, method, path, &token).await;
        assert_eq!(answer.status, status, "{method} {path}: {:?}", answer.body);
        assert!(status != 403 || answer.code() == "forbidden");
    }
    let where_bob = http(&broker, "GET", "/v1/users/bob/channels", &token).await.body;
    assert_eq!(where_bob["channels"], json!(["room-1"]));
}

#[tokio::test]
async fn back_ends_do_what_their_keys_say() {
    let broker = broker();
    let mut bob = connect(&broker, &token("--user bob")).await;
    bob.ok(json!({"type": "join", "channel": "room", "visibleTo": []})).await;
    for (method, path, reader, operator) in [
        ("GET", "/v1/channels", 200, 200),
        ("GET", "/v1/channels/room/members/bob", 200, 200),
        ("GET", "/v1/users/bob/channels", 200, 200),
        ("GET", "/v1/users/bob/status", 200, 200),
        ("PUT", "/v1/channels/room/members/carol", 403, 201),
        ("DELETE", "/v1/channels/room/members/carol", 403, 204),
        ("POST", "/v1/users/carol/heartbeat", 403, 200),
        ("DELETE", "/v1/users/carol/heartbeat", 403, 204),
        ("DELETE", "/v1/users/bob/connections", 403, 200),
    ] {
        for (key, status) in [(READER, reader), (OPERATOR, operator)] {
            let answer = http(&broker, method, path, key).await;
            assert_eq!(answer.status, status, "{method} {path} with {key}: {:?}", answer.body);
        }
    }
    assert_eq!(bob.ended().await.code(), 4003);
}

#[tokio::test]
async fn roles_say_who_sees_whom() {
    let broker = broker();
    let mut blue = connect(&broker, &token("--user ada --role team:blue")).await;
    let mut red = connect(&broker, &token("--user zoe --role team:red")).await;
    let ghost_token = token(r#"--user ghost --info {"name":"Casper"}"#);
    let mut ghost = connect(&broker, &ghost_token).await;
    let of_blue = blue.observe("room").await;
    let of_red = red.observe("room").await;
    let join = |to: &str| json!({"type": "join", "channel": "room", "visibleTo": [to]});
    ghost.ok(join("team:blue")).await;
    let ServerFrame::Presence { seq, count, events, .. } = blue.next().await else { panic!() };
    assert_eq!((seq, count), (of_blue.since().seq, 0), "the same seq again, and nobody counts it");
    let [Event::Join { info, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(info.as_str(), r#"{"name":"Casper"}"#);
    red.expect_quiet().await;
    for (viewer, sees) in [(&mut blue, 1), (&mut red, 0)] {
        let Reply::Members { count, members, .. } = viewer.answer("who room").await else {
            panic!()
        };
        assert_eq!((count, members.len()), (0, sees));
    }
    // From blue to red: each is told what it comes to for them, in one step.
    ghost.ok(join("team:red")).await;
    let events = blue.events().await;
    assert!(matches!(&events[..], [Event::Leave { .. }]), "{events:?}");
    let events = red.events().await;
    assert!(matches!(&events[..], [Event::Join { .. }]), "{events:?}");
    // In sight of all, and so a member that joins now: red, who knows it, is told since when.
    ghost.ok(join("any")).await;
    let ServerFrame::Presence { seq, count, events, .. } = blue.next().await else { panic!() };
    assert_eq!((seq, count), (of_red.since().seq + 1, 1));
    assert!(matches!(&events[..], [Event::Join { .. }]), "{events:?}");
    let ServerFrame::Presence { events, .. } = red.next().await else { panic!() };
    let [Event::UpdateAttributes { joined_at: Some(joined_at), at, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(joined_at, at);
    // A snapshot has what its viewer may see, the restricted behind the others.
    ghost.ok(join("team:blue")).await;
    blue.events().await;
    red.events().await;
    red.ok("join room").await;
    blue.ok("unsub room").await;
    while blue.already().is_some() {}
    blue.ok("sub room").await;
    for (expected, last) in [("zoe", false), ("ghost", true)] {
        let ServerFrame::Snapshot { count, members, more, .. } = blue.next().await else {
            panic!()
        };
        let users: Vec<_> = members.iter().map(|member| member.user.as_str()).collect();
        assert_eq!((users, count, more), (vec![expected], 1, !last));
    }
}

#[tokio::test]
async fn a_fresh_token_changes_what_is_seen_and_granted() {
    let broker = broker();
    let mut observer = connect(&broker, &token("--user observer")).await;
    observer.observe("room").await;
    let mut ghost = connect(&broker, &token("--user ghost")).await;
    ghost.ok(json!({"type": "join", "channel": "hall", "visibleTo": ["staff"]})).await;
    let mut ada = connect(&broker, &token(r#"--user ada --info {"name":"Ada"}"#)).await;
    for say in ["join room", "sub hall", "sub yard", "watch bob"] {
        ada.ok(say).await;
    }
    assert!(matches!(&observer.events().await[..], [Event::Join { .. }]));
    let auth = |token: &str| json!({"type": "auth", "token": token});
    // Nothing comes of a bad one, or another user's.
    let bad = [
        ("nonsense".to_owned(), ErrorCode::Unauthenticated),
        (token("--user eve"), ErrorCode::Forbidden),
    ];
    for (bad, expected) in bad {
        let ServerFrame::Error { code, field, .. } = ada.request(auth(&bad)).await else {
            panic!()
        };
        assert_eq!((code, field.as_deref()), (expected, Some("token")));
    }
    while ada.already().is_some() {}
    // Another role: what it sees of hall is told anew. Another name: observers are told.
    ada.ok(auth(&token(r#"--user ada --role staff --info {"name":"Adele"}"#))).await;
    let mut seen = Vec::new();
    while seen.is_empty() {
        if let ServerFrame::Snapshot { channel, members, reason, .. } = ada.next().await
            && channel.as_str() == "hall"
            && reason == SnapshotReason::Resync
        {
            seen.extend(members);
        }
    }
    assert_eq!(seen[0].user.as_str(), "ghost");
    let events = observer.events().await;
    let [Event::UpdateAttributes { info: Some(info), .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(info.as_str(), r#"{"name":"Adele"}"#);
    // Fewer rights: what they no longer grant ends, and is told.
    let less = token(
        "--user ada --role staff --channel hall=count --channel yard=subscribe --watch nobody",
    );
    ada.send(auth(&less)).await;
    let removed = loop {
        if let ServerFrame::Removed { channels, users, .. } = ada.next().await {
            break (channels, users);
        }
    };
    let names: Vec<_> = removed.0.iter().map(|name| name.as_str()).collect();
    assert_eq!((names, removed.1[0].as_str()), (vec!["room", "hall"], "bob"));
    assert!(matches!(&observer.events().await[..], [Event::Leave { .. }]));
}

#[tokio::test]
async fn a_token_that_ends_is_announced_and_ends_the_connection() {
    let broker = broker();
    let mut ada = connect(&broker, &token("--user ada --ttl 3s")).await;
    let ServerFrame::Error { code, message, field, .. } = ada.next().await else { panic!() };
    assert_eq!((code, field.as_deref()), (ErrorCode::TokenExpired, Some("token")));
    assert!(message.starts_with("token expires in "), "{message}");
    let mut bob = connect(&broker, &token("--user bob --ttl 3s")).await;
    bob.next().await;
    bob.ok(json!({"type": "auth", "token": token("--user bob --ttl 1h")})).await;
    assert_eq!(ada.ended().await.code(), 4102);
    bob.ok("join room").await;
}

#[tokio::test]
async fn pages_of_other_origins_stay_out() {
    let broker = broker();
    let bearer = format!("authorization: Bearer {OPERATOR}");
    let page = |origin: &str| format!("origin: {origin}");
    let own = page(&format!("http://{}", broker.address()));
    let (allowed, foreign) = (page("https://app.example"), page("https://evil.example"));
    let room = "/v1/channels/room";
    let address = broker.address();
    for (origin, status) in [(&own, 200), (&allowed, 200), (&foreign, 403)] {
        let answer = ask(address, "GET", room, &[origin, &bearer], "").await;
        assert_eq!(answer.status, status, "{origin}");
        let readable = answer.header("access-control-allow-origin");
        assert_eq!(readable, (status == 200).then(|| &origin["origin: ".len()..]));
        let preflight = [origin.as_str(), "access-control-request-method: PUT"];
        let answer = ask(address, "OPTIONS", room, &preflight, "").await;
        assert_eq!(answer.status, if status == 200 { 204 } else { 403 });
        let headers = answer.header("access-control-allow-headers").unwrap_or_default();
        for tracing in ["traceparent", "tracestate", "baggage", "sentry-trace", "x-requested-with"]
        {
            assert_eq!(headers.split(", ").any(|name| name == tracing), status == 200, "{tracing}");
        }
        let methods = answer.header("access-control-allow-methods");
        assert_eq!(methods.is_some_and(|m| m.contains("put")), status == 200);
        let mut raw = Wire::dial(address).await;
        let head = raw.upgrade("/ws", &format!("{origin}\r\n")).await;
        let same = origin == &own;
        // Its Host is another, so that only the list counts.
        let expected = if status == 200 && !same { "101" } else { "403" };
        assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{origin}: {head}");
    }
}

/// Everything that a token or a key passes through, at the most talkative level.
#[tokio::test]
async fn no_token_is_ever_logged() {
    let mut command = binary();
    command.env("HERENOW_JWT_SECRET", SECRET).env("HERENOW_API_KEYS", KEYS);
    command.args(["--listen", "127.0.0.1:0", "--log", "trace"]);
    let mut process = Process::spawn(command);
    let address = process.address();
    let token = token("--user ada");
    let path = format!("/ws?token={token}");
    let stream = TcpStream::connect(address).await.unwrap();
    let mut ada = Client::open(stream, &path, None).await.unwrap().0;
    ada.next().await;
    ada.ok(json!({"type": "auth", "token": token})).await;
    for bearer in [&token, OPERATOR, "wrong-wrong-wrong-wrong"] {
        ask(address, "GET", "/v1/channels", &[&format!("authorization: Bearer {bearer}")], "")
            .await;
    }
    ada.close(1000).await;
    process.signal("TERM");
    let (_, log) = process.exited(crate::client::PATIENCE);
    assert!(log.contains("request") && log.contains("disconnected"), "the log is not there: {log}");
    for secret in [&token, SECRET, OPERATOR, "wrong-wrong-wrong-wrong"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
