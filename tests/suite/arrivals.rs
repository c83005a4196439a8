//! What the port answers to whoever comes: files, requests, handshakes that are good and that are none,
//! names; and its bounds.

use std::time::Duration;

use herenow::clock::Clock;
use herenow_protocol::{ErrorCode, ServerFrame};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::broker::{Broker, took, until};
use crate::client::{Client, End};
use crate::http::ask;
use crate::replica::Observer;
use crate::wire::{Wire, close_frame, http};

#[tokio::test]
async fn http_answers_what_it_is_asked() {
    let broker = Broker::start();
    let address = broker.address();
    let (status, page) = http(address, "GET / HTTP/1.1").await;
    assert_eq!(status, 200);
    assert!(page.contains("text/html") && page.contains("<html") && page.contains("herenow"));
    let (status, health) = http(address, "GET /healthz HTTP/1.1").await;
    assert!(status == 200 && health.contains("application/json"));
    assert!(health.ends_with(r#"{"status":"ok"}"#), "{health}");
    for path in
        ["/nothing", "/ws/", "/web-demo/index.html", "/../Cargo.toml", "/%2e%2e%2fCargo.toml"]
    {
        assert_eq!(http(address, &format!("GET {path} HTTP/1.1")).await.0, 404, "{path}");
    }
    for line in ["POST / HTTP/1.1", "DELETE /healthz HTTP/1.1", "POST /ws HTTP/1.1"] {
        assert_eq!(http(address, line).await.0, 405, "{line}");
    }
    let (status, said) = http(address, "GET /ws HTTP/1.1").await;
    assert!(status == 400 || status == 426, "{said}");
    assert!(said.contains("WebSocket"), "a person has to see what this is: {said}");
    assert_eq!(http(address, "nonsense").await.0, 400);
}

/// Modules are fetched with CORS, so without its header no other page could import them.
#[tokio::test]
async fn the_client_library_is_served_to_pages_of_any_origin() {
    let broker = Broker::start();
    let foreign = ["origin: https://app.example"];
    let module = ask(broker.address(), "GET", "/client/index.js", &foreign, "").await;
    assert_eq!(module.status, 200);
    assert!(module.body.as_str().unwrap().contains("export"));
    for (name, value) in [
        ("content-type", "text/javascript; charset=utf-8"),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("cache-control", "no-cache"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(module.header(name), Some(value), "{name}");
    }
    let page = ask(broker.address(), "GET", "/app.js", &foreign, "").await;
    assert_eq!(page.header("access-control-allow-origin"), None, "the page is our own");
    for path in ["/client", "/client/", "/client/none.js", "/client/../app.js", "/client/%ff"] {
        assert_eq!(ask(broker.address(), "GET", path, &[], "").await.status, 404, "{path}");
    }
}

/// A page without a bundler wants one request, few bytes, and to ask only once.
#[tokio::test]
async fn the_library_is_one_file_too_that_is_small_and_kept() {
    let broker = Broker::start();
    let get =
        async |path: &str, headers: &[&str]| ask(broker.address(), "GET", path, headers, "").await;
    let newest = get("/client/herenow.js", &["origin: https://app.example"]).await;
    assert_eq!(newest.status, 200);
    assert!(newest.body.as_str().unwrap().contains("export{"));
    let place = newest.header("content-location").unwrap().to_owned();
    let kept = get(&format!("/client/{place}"), &[]).await;
    assert_eq!((kept.status, &kept.body), (200, &newest.body));
    let (fresh, year) = ("no-cache", "public, max-age=31536000, immutable");
    for (answer, cached) in [(&newest, fresh), (&kept, year)] {
        for (name, value) in [
            ("content-type", "text/javascript; charset=utf-8"),
            ("cache-control", cached),
            ("vary", "accept-encoding"),
            ("content-location", &*place),
            ("access-control-allow-origin", "*"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        assert_eq!(answer.header("content-encoding"), None);
    }
    // A page that is older or newer than its broker works, and caches nothing under the wrong name.
    let other = get("/client/herenow-0000000000000000.js", &[]).await;
    assert_eq!((other.status, &other.body), (200, &newest.body));
    assert_eq!(other.header("cache-control"), Some(fresh));

    let head = ["accept-encoding: gzip, deflate, br"];
    let packed = ask(broker.address(), "HEAD", "/client/herenow.js", &head, "").await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let bytes: usize = packed.header("content-length").unwrap().parse().unwrap();
    assert!(bytes < 9_472, "with 480 bytes of headers below 10 KB: {bytes}");
    let tag = packed.header("etag").unwrap();
    assert_ne!(Some(tag), newest.header("etag"), "other bytes have another tag");
    let known = format!("if-none-match: {tag}");
    assert_eq!(get("/client/herenow.js", &[head[0], &known]).await.status, 304);
    assert_eq!(get("/client/herenow.js", &[&known]).await.status, 200, "those bytes it has not");
}

/// A reload asks for every module again, and is sent none that has not changed.
#[tokio::test]
async fn a_file_that_has_not_changed_is_not_sent_again() {
    let broker = Broker::start();
    let get =
        async |path: &str, headers: &[&str]| ask(broker.address(), "GET", path, headers, "").await;
    let mut tags = Vec::new();
    for path in
        ["/", "/app.js", "/style.css", "/client/index.js", "/client/link.js", "/client/herenow.js"]
    {
        let whole = get(path, &[]).await;
        assert_eq!(whole.status, 200, "{path}");
        let tag = whole.header("etag").unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 30, "{path}: {tag}");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            for method in ["GET", "HEAD"] {
                let header = format!("if-none-match: {known}");
                let same = ask(broker.address(), method, path, &[&header], "").await;
                assert_eq!((same.status, &same.body), (304, &Value::from("")), "{path} {known}");
                // No length is better than one that is not the file's (RFC 9110, 8.6).
                assert_eq!(same.header("content-length"), None, "{path}");
                for name in [
                    "etag",
                    "cache-control",
                    "content-security-policy",
                    "cross-origin-resource-policy",
                    "access-control-allow-origin",
                    "x-content-type-options",
                ] {
                    assert_eq!(same.header(name), whole.header(name), "{path}: {name}");
                }
            }
        }
        for other in ["\"x\"", "W/\"\"", "x", "**"] {
            let header = format!("if-none-match: {other}");
            let changed = get(path, &[&header]).await;
            assert_eq!((changed.status, &changed.body), (200, &whole.body), "{path} {other}");
        }
        tags.push(tag);
    }
    assert_eq!(get("/index.html", &[]).await.header("etag"), Some(&*tags[0]), "it is the same");
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 6, "what differs has another tag");
    let none = get("/client/none.js", &["if-none-match: *"]).await;
    assert_eq!((none.status, none.header("etag")), (404, None), "nothing is there to be known");
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    let broker = Broker::start();
    let lines = [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade\r\nUpgrade: chat\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ];
    for lines in lines {
        let mut raw = Wire::dial(broker.address()).await;
        raw.write(format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 4"), "{lines}: {head}");
    }
    assert_eq!(broker.hub().connection_count(), 0);
}

#[tokio::test]
async fn the_subprotocol_is_answered_if_it_was_offered() {
    let broker = Broker::start();
    for (offered, answered) in [
        (None, None),
        (Some("herenow.v1"), Some("herenow.v1")),
        (Some("chat, herenow.v1, bearer.abc"), Some("herenow.v1")),
        (Some("chat,herenow.v1"), Some("herenow.v1")),
        (Some("chat"), None),
        (Some("herenow.v10"), None),
    ] {
        let mut raw = Wire::dial(broker.address()).await;
        let lines = offered.map(|names| format!("Sec-WebSocket-Protocol: {names}\r\n"));
        let head = raw.upgrade("/ws?user=ada", &lines.unwrap_or_default()).await.to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        let told = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol:"));
        assert_eq!(told.map(str::trim), answered, "offered {offered:?}");
        assert!(raw.text().await.contains(r#""user":"ada""#));
    }
}

/// The user of whoever connects with this query.
async fn user_of(broker: &Broker, query: &str) -> String {
    let stream = TcpStream::connect(broker.address()).await.unwrap();
    let mut client = Client::open(stream, &format!("/ws{query}"), None).await.unwrap().0;
    match client.next().await {
        ServerFrame::Welcome { user, .. } => user.as_str().to_owned(),
        other => panic!("{query}: {other:?}"),
    }
}

#[tokio::test]
async fn the_user_is_who_the_query_says() {
    let broker = Broker::start();
    let long = "é".repeat(100);
    for (query, user) in [
        ("?user=ada", "ada"),
        ("?x=1&user=ada&user=bob&y", "ada"),
        ("?user=J%C3%BCrg+M%C3%BCller%2F1%3D%261", "Jürg Müller/1=&1"),
        ("?us%65r=ada", "ada"),
        ("?user=%F0%9F%A6%8A%20fox", "🦊 fox"),
        ("?user=ada%2Bbob%40example.com", "ada+bob@example.com"),
        (&format!("?user={}", "%C3%A9".repeat(100)), &long),
    ] {
        assert_eq!(user_of(&broker, query).await, user, "{query}");
    }
    let mut guests = Vec::new();
    for query in ["", "?", "?user=", "?user", "?name=ada"] {
        let guest = user_of(&broker, query).await;
        assert!(guest.starts_with("guest-") && guest.len() > 12, "{query}: {guest}");
        guests.push(guest);
    }
    guests.sort();
    guests.dedup();
    assert_eq!(guests.len(), 5, "guests are not each other");
}

#[tokio::test]
async fn a_name_against_the_rules_is_an_error_and_a_close() {
    let broker = Broker::start();
    for query in [
        "?user=%00",
        "?user=a%0Ab",
        "?user=%C2%85",
        "?user=$ada",
        "?user=%24ada",
        &format!("?user={}", "x".repeat(201)),
        &format!("?user={}", "%C3%A9".repeat(101)),
    ] {
        let stream = TcpStream::connect(broker.address()).await.unwrap();
        let mut client = Client::open(stream, &format!("/ws{query}"), None).await.unwrap().0;
        let ServerFrame::Error { code, message, field, .. } = client.next().await else {
            panic!("{query}: no error")
        };
        assert_eq!((code, field.as_deref()), (ErrorCode::Unauthenticated, Some("user")), "{query}");
        assert!(message.contains("user"), "{message}");
        assert_eq!(client.ended().await.code(), 4001);
    }
    until("they are gone", || broker.hub().connection_count() == 0).await;
}

/// Unicode goes in and comes out as it is.
#[tokio::test]
async fn names_of_any_script_meet() {
    let broker = Broker::start();
    let mut observer = Observer::of(broker.address(), "café☕").await;
    for user in ["Дарья", "李雷", "👩‍👩‍👧", "a\u{301}", "\"quoted\\\"", "</script>"]
    {
        let mut client = broker.connect(user).await;
        client.ok("join café☕").await;
        assert_eq!(observer.told().await, format!("join {user} {{}}"));
        client.close(1000).await;
        assert_eq!(observer.told().await, format!("leave {user} closed"));
    }
}

#[tokio::test]
async fn connections_over_the_bound_are_closed_at_once() {
    for per_address in [false, true] {
        let broker = Broker::with(|config| {
            let limits = &mut config.limits;
            match per_address {
                true => limits.max_connections_per_address = Some(2),
                false => limits.max_connections = Some(2),
            }
        });
        let mut ada = broker.connect("ada").await;
        let bob = broker.connect("bob").await;
        assert_eq!(Wire::dial(broker.address()).await.rest().await, "");
        ada.expect_quiet().await;
        bob.close(1000).await;
        // Its place is free as soon as its socket is.
        let mut carol = None;
        let clock = Clock::start();
        while carol.is_none() {
            assert!(clock.elapsed() < crate::client::PATIENCE, "the place is not given free");
            let stream = TcpStream::connect(broker.address()).await.unwrap();
            carol = Client::open(stream, "/ws?user=carol", None).await.ok();
        }
        assert_eq!(Wire::dial(broker.address()).await.rest().await, "");
        // HTTP counts as well, while it lasts.
        drop(ada);
        until("ada is gone", || broker.hub().connection_count() == 1).await;
        assert_eq!(http_soon(&broker).await, 200);
        assert_eq!(http_soon(&broker).await, 200);
    }
}

/// The status of `/healthz` as soon as there is room for another connection.
async fn http_soon(broker: &Broker) -> u16 {
    let clock = Clock::start();
    loop {
        let mut raw = Wire::dial(broker.address()).await;
        raw.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        let answer = raw.rest().await;
        if let Some(status) = answer.split(' ').nth(1) {
            return status.parse().unwrap();
        }
        assert!(clock.elapsed() < crate::client::PATIENCE, "no room");
    }
}

#[tokio::test]
async fn a_handshake_must_come_whole_in_time() {
    const TIME: Duration = Duration::from_millis(400);
    let broker = Broker::with(|config| config.limits.max_handshake = TIME);
    let requests =
        ["", "G", "GET /ws HTTP/1.1\r\nHost:", "GET /ws HTTP/1.1\r\nHost: localhost\r\n"];
    for begun in requests {
        let clock = Clock::start();
        let mut raw = Wire::dial(broker.address()).await;
        raw.write(begun.as_bytes()).await;
        let rest = raw.rest().await;
        assert!(!rest.contains("101"), "{rest}");
        let took = took(clock);
        assert!((TIME..TIME * 6).contains(&took), "{begun:?} was closed after {took:?}");
    }
    // A drip of bytes is no excuse.
    let clock = Clock::start();
    let mut raw = Wire::dial(broker.address()).await;
    raw.write(b"GET /ws HTTP/1.1\r\n").await;
    let drip = async {
        loop {
            tokio::time::sleep(TIME / 5).await;
            if raw.try_write(b"X: y\r\n").await.is_err() || clock.elapsed() > TIME * 10 {
                return took(clock);
            }
        }
    };
    let took = drip.await;
    assert!((TIME..TIME * 6).contains(&took), "was closed after {took:?}");
}

/// A head beyond its bound is refused, not collected.
#[tokio::test]
async fn a_head_has_a_bound() {
    let broker = Broker::start();
    let mut raw = Wire::dial(broker.address()).await;
    let mut sent = 0;
    let _ = raw.try_write(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n").await;
    while raw.try_write(format!("X: {}\r\n", "y".repeat(1000)).as_bytes()).await.is_ok() {
        sent += 1000;
        assert!(sent < 8_000_000, "it still reads");
    }
    assert_eq!(broker.hub().connection_count(), 0);
}

#[tokio::test]
async fn the_end_of_a_raw_client_is_seen() {
    let broker = Broker::start();
    let mut ada = Wire::connect(broker.address(), "ada").await;
    ada.write(&close_frame(1000)).await;
    assert_eq!(ada.ended().await, End::Close(1000, String::new()));
    assert_eq!(ada.rest().await, "", "the broker ends the socket itself");
    until("it is gone", || broker.hub().connection_count() == 0).await;
}
