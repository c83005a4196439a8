//! Bytes on the line: what is compressed, for whom, and what never is.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use herenow::config::{Compression, Vendors};
use herenow::hub::At;
use herenow::limits::{SQUEEZE_BYTES, SQUEEZE_READERS};
use herenow::presence::{Lasts, Source};
use herenow_protocol::reply::Answer as Told;
use herenow_protocol::{AttributeMap, ChannelName, ServerFrame, UserId};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::broker::{Broker, until};
use crate::client::{Client, PATIENCE, Replica};
use crate::commands;
use crate::rights::{token, with_identity};
use crate::wire::{
    CLOSE, CONTINUES, ENDS, Got, PING, SQUEEZED, TEXT, Wire, deflated, frame, small_socket,
};

const TEXT_BEGINS: u8 = crate::wire::TEXT_BEGINS;

/// Members that no connection keeps present, each with a mood.
fn fill(broker: &Broker, channel: &str, members: usize) {
    let room = ChannelName::parse(channel, "channel").unwrap();
    for n in 0..members {
        let user = UserId::parse(&format!("user-{n:05}"), "user").unwrap();
        let mood = ["happy", "sad", "proud", "calm"][n % 4];
        let attributes: AttributeMap =
            serde_json::from_value(json!({"mood": mood, "n": n * 7919 % 1000})).unwrap();
        let lasts = Lasts::Lease { ttl_ms: 3_600_000 };
        let join = commands::join(user, Source::LEASE, Some(attributes), None, lasts);
        let hub = broker.hub();
        hub.enter(At::Named(&room), |door| door.apply(join, hub.clock().now())).unwrap();
    }
}

/// Subscribes, and reads until it has the whole snapshot.
async fn observe(wire: &mut Wire, channel: &str) -> Replica {
    observe_as(Replica::new(channel), wire, channel).await
}

async fn observe_as(mut replica: Replica, wire: &mut Wire, channel: &str) -> Replica {
    wire.say(&json!({"type": "subscribe", "channel": channel, "level": "events"}).to_string())
        .await;
    while !replica.is_whole() {
        replica.apply(&wire.frame().await.unwrap());
    }
    replica
}

/// Whoever takes it compressed is told the same as whoever does not, in a fifth of the bytes.
#[tokio::test]
async fn a_snapshot_of_ten_thousand_comes_in_a_fifth_of_the_bytes() {
    const MEMBERS: usize = 10_000;
    let broker = Broker::start();
    fill(&broker, "room", MEMBERS);
    let mut plain = Wire::connect(broker.address(), "plain").await;
    let mut small = Wire::connect_squeezing(broker.address(), "small").await;
    let (of_plain, of_small) =
        (observe(&mut plain, "room").await, observe(&mut small, "room").await);
    assert_eq!(of_plain.members().len(), MEMBERS);
    assert_eq!(of_plain.members(), of_small.members());
    let (large, small) = (plain.came, small.came);
    assert_eq!(large.squeezed, 0);
    assert!(small.squeezed > 5 && small.plain <= 3, "{small:?}");
    assert!(small.bytes * 5 <= large.bytes, "{} of {} bytes", small.bytes, large.bytes);
    let metrics = broker.hub().metrics();
    let (from, to) = (metrics.squeezed_from.get() as usize, metrics.squeezed_to.get() as usize);
    assert!(from + 1_000 > large.bytes && to < small.bytes, "{from} {to}");
}

fn number_of_ada(replica: &Replica) -> Option<Value> {
    let ada = replica.members().values().find(|member| member.user.as_str() == "ada")?;
    Some(json!(ada.attributes)["n"].clone())
}

/// Both read on, beside each other, and are told each change in the same words.
#[tokio::test]
async fn a_client_that_takes_it_and_one_that_does_not_are_told_the_same() {
    let broker = Broker::start();
    fill(&broker, "room", 50);
    let mut crowd = Vec::new();
    for n in 0..SQUEEZE_READERS {
        let mut one = broker.connect(&format!("reader-{n}")).await;
        one.observe("room").await;
        crowd.push(one);
    }
    let mut plain = Wire::connect(broker.address(), "plain").await;
    let mut small = Wire::connect_squeezing(broker.address(), "small").await;
    let mut replicas = [observe(&mut plain, "room").await, observe(&mut small, "room").await];
    let begun = small.came;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    for (n, bytes) in [(0, 10), (1, 3_000), (2, 100), (3, 2_000)] {
        let attributes = json!({"n": n, "text": "x".repeat(bytes)});
        ada.ok(json!({"type": "setAttributes", "channel": "room", "attributes": attributes})).await;
        for (wire, replica) in [&mut plain, &mut small].into_iter().zip(&mut replicas) {
            while number_of_ada(replica) != Some(json!(n)) {
                replica.apply(&wire.frame().await.unwrap());
            }
        }
    }
    assert_eq!(replicas[0].members(), replicas[1].members());
    let squeezed = small.came.squeezed - begun.squeezed;
    assert_eq!(squeezed, 2, "the large ones, and no other: {:?}", small.came);
    // A list, too.
    for wire in [&mut plain, &mut small] {
        wire.say(r#"{"type":"getMembers","channel":"room","id":1}"#).await;
    }
    let before = small.came.squeezed;
    let (one, other) = (plain.json().await, small.json().await);
    assert_eq!(one, other);
    assert_eq!((one["type"].as_str(), small.came.squeezed), (Some("result"), before + 1));
}

/// A tick that few are told stays as it is: it would cost more than it saves.
#[tokio::test]
async fn a_tick_for_a_few_is_not_compressed() {
    let broker = Broker::start();
    let mut small = Wire::connect_squeezing(broker.address(), "small").await;
    let mut replica = observe(&mut small, "room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok(json!({"type": "join", "channel": "room", "attributes": {"text": "x".repeat(3_000)}}))
        .await;
    replica.apply(&small.frame().await.unwrap());
    assert_eq!((replica.members().len(), small.came.squeezed), (1, 0));
}

/// What clients send: whole, in parts, with anything between; and what is wrong with it.
#[tokio::test]
async fn a_client_compresses_what_it_says() {
    let broker = Broker::with(|config| config.limits.max_message_bytes = 16_384);
    let connect = || Wire::connect_squeezing(broker.address(), "ada");
    let mut ada = connect().await;
    let ask = |id: u64| {
        deflated(format!(r#"{{"type":"getCount","channel":"room","id":{id}}}"#).as_bytes())
    };
    let (whole, parts) = (ask(1), ask(2));
    let (first, rest) = parts.split_at(9);
    let stream = [
        frame(TEXT | SQUEEZED, &whole),
        frame(TEXT_BEGINS | SQUEEZED, first),
        frame(PING, b"between"),
        frame(CONTINUES, b""),
        frame(ENDS, rest),
        frame(TEXT, br#"{"type":"getCount","channel":"room","id":3}"#),
    ];
    ada.write(&stream.concat()).await;
    assert_eq!(ada.json().await["id"], 1);
    assert_eq!(ada.next().await, Got::Pong(b"between".to_vec()));
    assert_eq!(
        (ada.json().await["id"].clone(), ada.json().await["id"].clone()),
        (json!(2), json!(3))
    );
    // An empty message asks for nothing, as it does without compression.
    ada.write(&frame(TEXT | SQUEEZED, &[0])).await;
    assert_eq!(ada.json().await["code"], "unknown_type");

    let bomb = deflated(&vec![b' '; 4 << 20]);
    assert!(bomb.len() < 16_384);
    for (bytes, code) in [
        (frame(TEXT | SQUEEZED, &bomb), 1009),
        (frame(TEXT | SQUEEZED, &[0xff; 20]), 1007),
        (frame(TEXT | SQUEEZED, &deflated(&[0xc0, 0xaf])), 1007),
        (frame(PING | SQUEEZED, b""), 1002),
        (frame(CLOSE | SQUEEZED, b""), 1002),
        ([frame(TEXT_BEGINS | SQUEEZED, first), frame(ENDS | SQUEEZED, rest)].concat(), 1002),
        (frame(TEXT | 0x20, b"x"), 1002),
    ] {
        let mut wire = connect().await;
        wire.write(&bytes).await;
        assert_eq!(wire.ended().await.code(), code, "{:02x?}", &bytes[..bytes.len().min(20)]);
    }
    // Nothing was negotiated: as ever.
    let mut plain = Wire::connect(broker.address(), "plain").await;
    plain.write(&frame(TEXT | SQUEEZED, &whole)).await;
    assert_eq!(plain.ended().await.code(), 1002);
}

#[tokio::test]
async fn it_is_negotiated_as_the_rfc_says_and_not_at_all_if_it_is_off() {
    let on = Broker::with(|config| config.vendors = Vendors::parse("all").unwrap());
    let off = Broker::with(|config| config.compression = Compression::Off);
    let answer = async |broker: &Broker, path: &str, offer: &str| {
        let mut wire = Wire::dial(broker.address()).await;
        let head = wire.upgrade(path, offer).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let lines: Vec<_> = head.lines().filter_map(|line| line.split_once(": ")).collect();
        let line =
            lines.iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"));
        line.map(|(_, value)| (*value).to_owned())
    };
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let small = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n";
    let yes = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(answer(&on, "/ws?user=ada", offer).await.as_deref(), Some(yes));
    let two = [small, offer].concat();
    assert_eq!(answer(&on, "/ws?user=ada", &two).await.as_deref(), Some(yes), "the second");
    for (broker, path, offer) in [
        (&on, "/ws?user=ada", ""),
        (&on, "/ws?user=ada", small),
        (&on, "/ws?user=ada", "Sec-WebSocket-Extensions: permessage-deflate; x=1\r\n"),
        (&off, "/ws?user=ada", offer),
        // A vendor's frames are made for each connection.
        (&on, "/appwrite/v1/realtime?project=p&channels[]=presences", offer),
    ] {
        assert_eq!(answer(broker, path, offer).await, None, "{path} {offer}");
    }
    // And what was not negotiated is not understood.
    let mut wire = Wire::connect(off.address(), "ada").await;
    fill(&off, "room", 200);
    observe(&mut wire, "room").await;
    assert_eq!(wire.came.squeezed, 0);
}

/// Whoever reads slowly and takes it compressed keeps no more alive than what it was sent, and comes to
/// know the truth.
#[tokio::test]
async fn a_slow_reader_takes_it_compressed_and_nothing_is_kept_afterwards() {
    let broker = Broker::with(|config| {
        config.limits.max_frames_burst = 1_000_000;
        config.limits.max_frames_per_second = 1_000_000;
        config.limits.max_write_time = Duration::from_secs(60);
        config.limits.roster_limit = 10_000;
    });
    fill(&broker, "room", 3_000);
    let stream = small_socket(broker.address()).await;
    let mut slow = Wire::squeezing(stream, "user=slow").await;
    let mut asleep = observe_as(Replica::lagging("room"), &mut slow, "room").await;
    // So much that no log holds it, of words that do not get small.
    let mut random = fastrand::Rng::with_seed(15);
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    for n in 0..2_000 {
        let text: String = (0..600).map(|_| random.alphanumeric()).collect();
        let attributes = json!({"n": n, "text": text});
        ada.ok(json!({"type": "setAttributes", "channel": "room", "attributes": attributes})).await;
    }
    let mut bob = broker.connect("bob").await;
    bob.ok("join room").await;
    let awake = bob.observe("room").await;
    let before = slow.came;
    slow.sip(3_000);
    while asleep.since() != awake.since() || !asleep.is_whole() {
        asleep.apply(&slow.frame().await.unwrap());
    }
    assert_eq!(asleep.members(), awake.members());
    assert!(slow.came.squeezed > before.squeezed + 5, "{before:?} {:?}", slow.came);
    until("nothing is kept", || broker.hub().backlog().bytes() == 0).await;
}

/// What one user wrote never stands compressed beside what only others may see.
#[tokio::test]
async fn what_not_everyone_may_see_is_never_compressed() {
    let broker = Broker::with(with_identity);
    let address = broker.address();
    let connect = async |flags: &str| {
        let query = format!("token={}", token(flags));
        Wire::squeezing(TcpStream::connect(address).await.unwrap(), &query).await
    };
    fill(&broker, "room", 100);
    let mut boss = connect("--user boss --role staff").await;
    let mut guest = connect("--user guest").await;
    let mut ada = connect("--user ada").await;
    let secret = json!({"type": "join", "channel": "room", "visibleTo": ["staff"],
                        "attributes": {"text": "secret ".repeat(300)}});
    ada.say(&secret.to_string()).await;
    ada.say(r#"{"type":"getCount","channel":"room","id":1}"#).await;
    assert_eq!(ada.json().await["id"], 1);
    // The snapshot: what all see is compressed, the rest behind it is not.
    for (wire, sees) in [(&mut boss, 101), (&mut guest, 100)] {
        wire.say("sub room").await;
        let (mut known, mut more) = (0, true);
        while more {
            let part = wire.json().await;
            known += part["members"].as_array().unwrap().len();
            more = part["more"] == true;
        }
        assert_eq!(known, sees);
    }
    assert!(boss.came.squeezed > 0 && guest.came.squeezed > 0);
    assert_eq!(guest.came.plain, 1, "the welcome alone: {:?}", guest.came);
    assert_eq!(boss.came.plain, 2, "and whom only it sees: {:?}", boss.came);
    // What a tick tells of it.
    let secret = json!({"type": "setAttributes", "channel": "room",
                        "attributes": {"text": "hidden ".repeat(300)}});
    ada.say(&secret.to_string()).await;
    let before = boss.came;
    assert_eq!(boss.json().await["type"], "presence");
    // And a list.
    for wire in [&mut boss, &mut guest] {
        wire.say(r#"{"type":"getMembers","channel":"room","id":1}"#).await;
    }
    assert_eq!(boss.json().await["type"], "result");
    assert_eq!((boss.came.squeezed, boss.came.plain), (before.squeezed, before.plain + 2));
    let before = guest.came;
    assert_eq!(guest.json().await["type"], "result");
    assert_eq!(guest.came.squeezed, before.squeezed + 1);
}

/// Sends a GET; the head in small letters, and the body as it came.
async fn get(broker: &Broker, path: &str, headers: &str) -> (String, Vec<u8>) {
    let address = broker.address();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let text =
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("no answer").unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap().to_ascii_lowercase(), body)
}

fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(body).read_to_end(&mut plain).unwrap();
    plain
}

const GZIP: &str = "accept-encoding: gzip, br\r\n";

#[tokio::test]
async fn http_answers_are_gzipped_from_a_kibibyte_on() {
    let broker = Broker::start();
    fill(&broker, "room", 150);
    fill(&broker, "few", 3);
    for path in ["/v1/channels/room/members", "/openapi.json", "/app.js", "/"] {
        let (head, plain) = get(&broker, path, "").await;
        assert!(
            !head.contains("content-encoding") && head.contains("vary: accept-encoding"),
            "{head}"
        );
        let (head, body) = get(&broker, path, GZIP).await;
        assert!(head.contains("content-encoding: gzip\r\n"), "{path}: {head}");
        assert!(head.contains("vary: accept-encoding\r\n"), "{path}: {head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{path}: {head}");
        assert!(plain.len() >= SQUEEZE_BYTES && body.len() * 2 < plain.len(), "{path}");
        assert_eq!(unzipped(&body), plain, "{path}");
    }
    let (head, body) = get(&broker, "/metrics", GZIP).await;
    assert!(
        head.contains("vary: accept\r\n") && head.contains("vary: accept-encoding\r\n"),
        "{head}"
    );
    assert!(unzipped(&body).starts_with(b"# HELP"));
    // A small one, one who takes it not, and what is no answer at all.
    for (path, headers) in [
        ("/v1/channels/few/members", GZIP),
        ("/v1/channels/room/members", "accept-encoding: gzip;q=0, *\r\n"),
        ("/v1/channels/room/members", "accept-encoding: identity;q=0\r\n"),
        ("/v1/nothing", GZIP),
    ] {
        let (head, body) = get(&broker, path, headers).await;
        assert!(!head.contains("content-encoding"), "{path}: {head}");
        assert!(serde_json::from_slice::<Value>(&body).is_ok(), "{path}");
    }
    let off = Broker::with(|config| config.compression = Compression::Off);
    fill(&off, "room", 150);
    let (head, _) = get(&off, "/v1/channels/room/members", GZIP).await;
    assert!(!head.contains("content-encoding") && !head.contains("accept-encoding"), "{head}");
}

/// The compressed form has the plain one's tag, a weak one; and whoever names it is sent nothing again.
#[tokio::test]
async fn tags_hold_for_both_forms() {
    let broker = Broker::start();
    let tag = |head: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        line.to_owned()
    };
    for path in ["/app.js", "/openapi.json"] {
        let (plain, zipped) = (get(&broker, path, "").await.0, get(&broker, path, GZIP).await.0);
        assert!(tag(&plain).starts_with('"'), "{plain}");
        assert_eq!(format!("w/{}", tag(&plain)), tag(&zipped));
        let asked = format!("{GZIP}if-none-match: {}\r\n", tag(&zipped).replace("w/", "W/"));
        let (head, body) = get(&broker, path, &asked).await;
        assert!(head.starts_with("http/1.1 304") && body.is_empty(), "{head}");
        assert!(head.contains("vary: accept-encoding\r\n") && tag(&head) == tag(&zipped), "{head}");
    }
}

/// What a reader does not take counts as what it is by then: fewer bytes, and not none.
#[tokio::test]
async fn a_compressed_answer_counts_until_it_is_taken() {
    let broker = Broker::start();
    let room = ChannelName::parse("room", "channel").unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    for n in 0..40 {
        let user = UserId::parse(&format!("user-{n}"), "user").unwrap();
        let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(1_800).collect();
        let attributes = serde_json::from_value(json!({ "noise": noise })).unwrap();
        let lasts = Lasts::Lease { ttl_ms: 3_600_000 };
        let join = commands::join(user, Source::LEASE, Some(attributes), None, lasts);
        let hub = broker.hub();
        hub.enter(At::Named(&room), |door| door.apply(join, hub.clock().now())).unwrap();
    }
    let address = broker.address();
    let mut socket = small_socket(address).await;
    let request =
        format!("GET /v1/channels/room/members HTTP/1.1\r\nhost: {address}\r\n{GZIP}\r\n");
    // So many, one behind the other, that the kernel does not keep them all.
    socket.write_all(request.repeat(20).as_bytes()).await.unwrap();
    let held = || broker.hub().backlog().bytes();
    until("an answer counts", || held() > 0).await;
    assert!(held() < 70_000, "{}", held());
    drop(socket);
    until("it is gone", || held() == 0).await;
}

/// A stream is told at once and never compressed.
#[tokio::test]
async fn event_streams_are_not_compressed() {
    let broker = Broker::start();
    fill(&broker, "room", 300);
    let address = broker.address();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let text = format!("GET /v1/channels/room/events HTTP/1.1\r\nhost: {address}\r\n{GZIP}\r\n");
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut came = Vec::new();
    let whole = async {
        while !String::from_utf8_lossy(&came).contains("user-00000") {
            assert!(socket.read_buf(&mut came).await.unwrap() > 0);
        }
    };
    timeout(PATIENCE, whole).await.expect("no snapshot");
    assert!(!String::from_utf8_lossy(&came).to_ascii_lowercase().contains("content-encoding"));
}

/// A back end that sees whom not everyone may see is answered as it always was.
#[tokio::test]
async fn a_list_over_http_with_the_hidden_is_not_compressed() {
    let broker = Broker::with(with_identity);
    fill(&broker, "room", 150);
    let of = |flags: &str| format!("{GZIP}authorization: Bearer {}\r\n", token(flags));
    let path = "/v1/channels/room/members";
    let boss = of("--user boss --role staff");
    let (head, _) = get(&broker, path, &boss).await;
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let query = format!("/ws?token={}", token("--user ada"));
    let stream = TcpStream::connect(broker.address()).await.unwrap();
    let mut ada = Client::open(stream, &query, None).await.unwrap().0;
    ada.ok(json!({"type": "join", "channel": "room", "visibleTo": ["staff"]})).await;
    let Told::Members { count, .. } =
        ada.answer(json!({"type": "getMembers", "channel": "room"})).await
    else {
        panic!("no members")
    };
    assert_eq!(count, 150);
    let (head, _) = get(&broker, path, &boss).await;
    assert!(!head.contains("content-encoding"), "{head}");
    let (head, body) = get(&broker, path, &of("--user guest")).await;
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let list: Value = serde_json::from_slice(&unzipped(&body)).unwrap();
    assert_eq!(list["members"].as_array().unwrap().len(), 150);
}

/// Large and small, one behind the other, both ways.
#[tokio::test]
async fn replies_are_compressed_in_the_order_of_their_commands() {
    let broker = Broker::start();
    fill(&broker, "room", 100);
    let mut ada = Wire::connect_squeezing(broker.address(), "ada").await;
    let asked: Vec<u8> = (0..20_u64)
        .flat_map(|id| {
            let what = if id % 2 == 0 { "getMembers" } else { "getCount" };
            let text = json!({"type": what, "channel": "room", "id": id}).to_string();
            frame(TEXT | SQUEEZED, &deflated(text.as_bytes()))
        })
        .collect();
    ada.write(&asked).await;
    for id in 0..20_u64 {
        match ada.frame().await {
            Some(ServerFrame::Result { id: told, .. }) => assert_eq!(json!(told), json!(id)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ada.came.squeezed, 10);
}
