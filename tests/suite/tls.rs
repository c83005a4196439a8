//! TLS in the port: what holds of a plain connection holds over it, and the certificate is replaced while
//! clients are connected.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use herenow::auth::Identity;
use herenow::clock::Clock;
use herenow::delivery::{
    Backlog, Cursor, Flow, Outlet, SharedFrame, Subscription, Sweep, Transport,
};
use herenow::tls::{Shown, TlsFlags};
use herenow_protocol::reply::MemberView;
use herenow_protocol::{Level, ServerFrame, UserId};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::client::TlsStream;

use crate::broker::{Broker, binary, took, until};
use crate::client::{Client, PATIENCE};
use crate::secured::{Pair, bridge, secure, seen};
use crate::seed::seed;
use crate::slow::crawl;
use crate::wire::{CLOSE, Wire, frame, http, small_socket};

/// What `openssl s_client` makes of the port, with a request behind the handshake.
fn s_client(address: SocketAddr, pair: &Pair, flags: &str) -> (bool, String) {
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-ign_eof"])
        .args(["-verify_return_error", "-CAfile"])
        .arg(pair.certificate())
        .args(flags.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs openssl");
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    // It is gone already where there was no handshake.
    let _ = client.stdin.take().unwrap().write_all(request.as_bytes());
    let output = client.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

#[test]
fn openssl_speaks_12_and_13_with_it_and_nothing_older() {
    let pair = Pair::new();
    let broker = pair.start(&[]);
    for (flags, says) in
        [("-tls1_2 -alpn h2,http/1.1", "TLSv1.2"), ("-tls1_3 -alpn h2,http/1.1", "TLSv1.3")]
    {
        let (done, told) = s_client(broker.address(), &pair, flags);
        assert!(done && told.contains("HTTP/1.1 200 OK"), "{flags}: {told}");
        for told_too in [says, "ALPN protocol: http/1.1", "Verify return code: 0"] {
            assert!(told.contains(told_too), "{flags}: no {told_too:?} in {told}");
        }
    }
    for flags in ["-tls1_1 -cipher ALL:@SECLEVEL=0", "-tls1_2 -alpn h2"] {
        let (done, told) = s_client(broker.address(), &pair, flags);
        assert!(!done && told.contains("alert"), "{flags}: {told}");
    }
}

#[tokio::test]
async fn a_websocket_over_tls_is_one_as_any() {
    let pair = Pair::new();
    let broker = Broker::with(|config| pair.set(config));
    let at = bridge(broker.address()).await;
    let mut ada = Client::connect(at, "ada").await;
    let mut room = ada.observe("room").await;
    let mut bob = Client::connect(at, "bob").await;
    bob.ok("join room mood=happy").await;
    room.apply(&ada.next().await);
    assert_eq!(room.users(), ["bob"]);
    // What comes in one record with the handshake, or in two, is read.
    let mut both = secure(TcpStream::connect(broker.address()).await.unwrap()).await;
    let bytes = [upgrade("eve").as_bytes(), &frame(0x81, b"join room")].concat();
    both.write_all(&bytes).await.unwrap();
    room.apply(&ada.next().await);
    both.write_all(&frame(CLOSE, &1000u16.to_be_bytes())).await.unwrap();
    let mut told = Vec::new();
    timeout(PATIENCE, both.read_to_end(&mut told)).await.unwrap().expect("no close_notify");
    assert!(told.ends_with(&[CLOSE, 2, 3, 232]), "{:?}", String::from_utf8_lossy(&told));
    room.apply(&ada.next().await);
    assert_eq!(room.users(), ["bob"]);
    // A crash is one.
    bob.kill();
    room.apply(&ada.next().await);
    assert!(room.users().is_empty());
    assert_eq!(ada.close(1000).await.code(), 1000);
    assert_eq!(http(at, "GET /v1/channels/room HTTP/1.1").await.0, 200);
    // Who speaks no TLS is told nothing, and costs nothing.
    let mut plain = Wire::dial(broker.address()).await;
    plain.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(!plain.rest().await.contains("HTTP"));
    let hub = Arc::clone(broker.hub());
    until("all are gone", || hub.connection_count() == 0).await;
    timeout(PATIENCE, broker.stop()).await.expect("it does not stop");
}

/// A shutdown says goodbye over TLS, too.
#[tokio::test]
async fn a_shutdown_over_tls_sends_goaway_and_a_close_frame() {
    let pair = Pair::new();
    let broker = Broker::with(|config| pair.set(config));
    let at = bridge(broker.address()).await;
    let mut wire = Wire::connect(at, "ada").await;
    let stop = tokio::spawn(broker.stop());
    let (code, _, texts) = wire.closed().await;
    assert!(code == 1012 && texts.iter().any(|text| text.contains("goaway")), "{code} {texts:?}");
    drop(wire);
    timeout(PATIENCE, stop).await.expect("it does not stop").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_never_interleave_over_tls() {
    let pair = Pair::new();
    let broker = pair.start(&["--max-frames-burst=1000000", "--max-attribute-bytes=16384"]);
    let at = bridge(broker.address()).await;
    for most in [100, 3_000, 30_000] {
        crawl(at, most).await;
    }
}

/// Of who takes nothing hardly anything is kept; it disturbs nobody, and is let go in time.
#[tokio::test]
async fn a_reader_that_takes_nothing_is_let_go() {
    let pair = Pair::new();
    let broker = Broker::with(|config| {
        pair.set(config);
        config.limits.max_write_time = Duration::from_secs(1);
        config.limits.max_frames_burst = 1_000_000;
    });
    let at = broker.address();
    // Its records lie unread in its socket.
    let mut slow = secure(small_socket(at).await).await;
    slow.write_all(upgrade("slow").as_bytes()).await.unwrap();
    slow.write_all(&frame(0x81, b"sub room")).await.unwrap();
    let through = bridge(at).await;
    let mut ada = Client::connect(through, "ada").await;
    let mut bob = Client::connect(through, "bob").await;
    let mut room = bob.observe("room").await;
    ada.ok("join room").await;
    let backlog = Arc::clone(broker.hub().backlog());
    let mut most = 0;
    let clock = Clock::start();
    // As long as there is something to tell: whoever has all of it in its socket is not slow.
    for n in 0.. {
        if broker.hub().connection_count() == 2 {
            break;
        }
        assert!(clock.elapsed() < PATIENCE, "it is never let go");
        // What did not change is not told: all of it does each time.
        let text = ["x", "y"][n % 2].repeat(3_000);
        let attributes = json!({"n": n, "text": text});
        let set = json!({"type": "setAttributes", "channel": "room", "attributes": attributes});
        ada.ok(set).await;
        most = most.max(backlog.bytes());
        let told = |member: &MemberView| member.attributes.to_map().get("n") == Some(&json!(n));
        while !room.members().values().any(told) {
            room.apply(&bob.next().await);
        }
    }
    // Frames for which there is no room are not even sealed.
    assert!(most < 8_000, "{most} bytes are kept");
    until("nothing is kept of it", || backlog.bytes() == 0).await;
    drop(slow);
}

fn upgrade(user: &str) -> String {
    format!(
        "GET /ws?user={user} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// Answers over HTTP that nobody takes end as they do without TLS.
#[tokio::test]
async fn an_answer_that_is_not_taken_is_given_up() {
    let pair = Pair::new();
    let broker = Broker::with(|config| {
        pair.set(config);
        config.limits.max_write_time = Duration::from_secs(1);
        config.limits.max_connections_per_address = Some(1);
    });
    let mut slow = secure(small_socket(broker.address()).await).await;
    let request = "GET /client/herenow.js HTTP/1.1\r\nhost: localhost\r\n\r\n";
    slow.write_all(request.repeat(40).as_bytes()).await.unwrap();
    let clock = Clock::start();
    // The only connection that there may be is free again once it is given up.
    let again = async {
        loop {
            let stream = TcpStream::connect(broker.address()).await.unwrap();
            let mut wire = Wire::of(stream);
            // The first byte of a handshake.
            let begun = wire.try_write(&[0x16]).await;
            if begun.is_ok() && wire.is_open_for(Duration::from_millis(50)).await {
                return;
            }
        }
    };
    timeout(PATIENCE, again).await.expect("it is never given up");
    assert!(took(clock) >= Duration::from_secs(1));
    drop(slow);
}

/// Who begins a handshake and does not finish it is gone in time, and its place is free.
#[tokio::test]
async fn half_a_handshake_ends_in_time() {
    let pair = Pair::new();
    let broker = Broker::with(|config| {
        pair.set(config);
        config.limits.max_handshake = Duration::from_millis(500);
    });
    let clock = Clock::start();
    let mut silent = Wire::dial(broker.address()).await;
    let mut begun = Wire::dial(broker.address()).await;
    // The first bytes of a ClientHello, whose rest does not come.
    begun.write(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).await;
    for wire in [&mut silent, &mut begun] {
        wire.rest().await;
        let took = took(clock);
        assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(10), "{took:?}");
    }
    // And so is who asks for nothing behind it.
    let mut asks_nothing = secure(TcpStream::connect(broker.address()).await.unwrap()).await;
    let mut told = Vec::new();
    let end = timeout(PATIENCE, asks_nothing.read_to_end(&mut told)).await.expect("it stays");
    assert!(told.is_empty(), "{end:?} {told:?}");
}

/// Clients come, go and talk while the certificate is replaced three times: nobody loses anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_under_load() {
    const TALKERS: usize = 8;
    let pair = Pair::new();
    let mut broker = pair.start(&["--max-frames-burst=1000000"]);
    let at = bridge(broker.address()).await;
    let mut witness = Client::connect(at, "witness").await;
    let mut room = witness.observe("room").await;
    let witness = tokio::spawn(async move {
        let mut most = 0;
        while most < TALKERS || !room.users().is_empty() {
            let frame = witness.next().await;
            assert!(matches!(frame, ServerFrame::Presence { .. }), "it lost some: {frame:?}");
            room.apply(&frame);
            most = most.max(room.users().len());
        }
    });
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let talkers: Vec<_> = (0..TALKERS)
        .map(|n| {
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                let mut talker = Client::connect(at, &format!("talker-{n}")).await;
                talker.ok("join room").await;
                let mut said = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    talker
                        .ok(json!({"type": "setAttributes", "channel": "room",
                        "attributes": {"n": said}}))
                        .await;
                    // Others come meanwhile, each with a handshake of its own.
                    let mut guest = Client::connect(at, &format!("guest-{n}")).await;
                    guest.request("count room").await;
                    assert_eq!(guest.close(1000).await.code(), 1000);
                    said += 1;
                }
                (talker, said)
            })
        })
        .collect();
    let mut before = pair.shown();
    assert_eq!(seen(broker.address()).await, before);
    for signal in [false, true, false] {
        pair.renew();
        let now = pair.shown();
        assert_ne!(before, now);
        if signal {
            broker.signal("HUP");
        }
        let clock = Clock::start();
        while seen(broker.address()).await != now {
            assert!(clock.elapsed() < PATIENCE, "the new one is never shown");
            sleep(Duration::from_millis(50)).await;
        }
        before = now;
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    for talker in talkers {
        let (mut talker, said) = talker.await.unwrap();
        assert!(said > 3, "{said}");
        talker.ok("leave room").await;
    }
    timeout(PATIENCE, witness).await.expect("it is not told the end").unwrap();
    broker.signal("TERM");
    let (status, log) = broker.exited(PATIENCE);
    assert!(status.success() && log.matches("shown the certificate anew").count() == 3, "{log}");
}

/// Files that can't be used change nothing but the log, which names flag and file in one line.
#[tokio::test]
async fn a_broken_pair_keeps_the_one_before() {
    let (pair, other) = (Pair::new(), Pair::new());
    let mut broker = pair.start(&[]);
    let good = pair.shown();
    let key = std::fs::read(pair.key()).unwrap();
    std::fs::copy(other.key(), pair.key()).unwrap();
    broker.signal("HUP");
    std::fs::write(pair.certificate(), "rubbish").unwrap();
    broker.signal("HUP");
    sleep(Duration::from_millis(300)).await;
    assert_eq!(seen(broker.address()).await, good);
    // Whoever mends it need not say so.
    std::fs::copy(other.certificate(), pair.certificate()).unwrap();
    let clock = Clock::start();
    while seen(broker.address()).await != other.shown() {
        assert!(clock.elapsed() < PATIENCE, "what was mended is never shown");
        sleep(Duration::from_millis(50)).await;
    }
    broker.signal("TERM");
    let (_, log) = broker.exited(PATIENCE);
    let bad: Vec<_> = log.lines().filter(|line| line.contains("stays as it was")).collect();
    assert!(!bad.is_empty() && bad.iter().all(|line| line.contains("--tls-cert-file")), "{log}");
    let secret = String::from_utf8(key).unwrap();
    assert!(secret.lines().all(|line| !log.contains(line)), "{log}");
}

#[test]
fn flags_that_name_no_pair_are_one_clear_line() {
    let (pair, other) = (Pair::new(), Pair::new());
    let rubbish = pair.certificate().with_file_name("rubbish");
    std::fs::write(&rubbish, "rubbish").unwrap();
    let (certificate, key, others) = (pair.certificate(), pair.key(), other.key());
    for (flags, says) in [
        ([Some(&certificate), None], "--tls-cert-file: needs --tls-key-file"),
        ([None, Some(&key)], "--tls-key-file: needs --tls-cert-file"),
        ([Some(&rubbish), Some(&key)], "must hold certificates in PEM"),
        ([Some(&key), Some(&key)], "must hold certificates in PEM"),
        ([Some(&certificate), Some(&rubbish)], "must hold a private key in PEM"),
        ([Some(&certificate), Some(&certificate)], "must hold a private key in PEM"),
        ([Some(&certificate), Some(&others)], "is not the key of the certificate"),
        ([Some(&certificate.join("no")), Some(&key)], "--tls-cert-file "),
    ] {
        let mut command = binary();
        for (flag, file) in ["--tls-cert-file", "--tls-key-file"].iter().zip(flags) {
            file.map(|file| command.arg(flag).arg(file));
        }
        let output = command.args(["--listen", "127.0.0.1:0"]).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(says), "{says}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

/// An outlet over TLS, and the client that reads what it writes.
async fn outlet(pair: &Pair) -> (Arc<Outlet>, TlsStream<TcpStream>) {
    let flags =
        TlsFlags { tls_cert_file: Some(pair.certificate()), tls_key_file: Some(pair.key()) };
    let terms = Shown::of(&flags).unwrap().unwrap().terms().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (client, accepted) =
        tokio::join!(small_socket(listener.local_addr().unwrap()), listener.accept());
    let socket = accepted.unwrap().0;
    socket2::SockRef::from(&socket).set_send_buffer_size(64 * 1024).unwrap();
    let (client, ours) = tokio::join!(secure(client), TlsAcceptor::from(terms).accept(socket));
    let (socket, session) = ours.unwrap().into_inner();
    socket.writable().await.unwrap();
    let identity = Identity { user: UserId::parse("ada", "user").unwrap(), access: None };
    (Outlet::new(1, Transport::tls(socket, session), identity, 0, false), client)
}

/// Whatever is written in whichever sizes, and however the client reads: it gets each byte that was
/// taken, once, in order, and none of a frame that was not.
#[tokio::test]
async fn each_byte_is_sealed_once() {
    let mut random = fastrand::Rng::with_seed(seed("each_byte_is_sealed_once"));
    let pair = Pair::new();
    let (mut cut, mut refused, mut rounds) = (0, 0, 0..40);
    // How much the kernel takes at once is its own affair: until enough was cut.
    while rounds.next().is_some_and(|round| round < 4 || cut <= 10 || refused <= 10) {
        let (outlet, mut client) = outlet(&pair).await;
        let subscription = Subscription::new(Arc::clone(&outlet), Level::Events.into());
        let (roomy, full) = (Backlog::new(usize::MAX), Backlog::new(0));
        outlet.lock().set_cursor(&subscription, Cursor::Next(0));
        let (mut seq, mut expected, mut got) = (0, Vec::new(), Vec::new());
        for step in 0..3_000u32 {
            let most = [40, 2_000, 40_000][random.usize(..3)];
            let bytes = random.usize(2..most);
            let payload: Vec<u8> = (0..bytes).map(|n| (step as usize * 31 + n) as u8).collect();
            let (from, to) = (Cursor::Next(seq), Cursor::Next(seq + 1));
            match random.u8(..8) {
                0 | 1 => {
                    let frame = SharedFrame::new(payload.clone());
                    let backlog = if random.bool() { &roomy } else { &full };
                    subscription.visit(from, to, &frame, backlog);
                    if outlet.lock().cursor(&subscription) == to {
                        (seq, cut) = (seq + 1, cut + usize::from(roomy.bytes() > 0));
                        expected.extend(payload);
                    } else {
                        refused += 1;
                    }
                }
                2 if outlet.lock().queued() < 10_000 => {
                    let mut sending = outlet.lock();
                    sending.queue(|out| out.extend_from_slice(&payload));
                    sending.flush_replies();
                    expected.extend(payload);
                }
                3 | 4 => {
                    let mut sending = outlet.lock();
                    if sending.flow() == Flow::Choked && sending.resume() == Sweep::Done {
                        let lacks = (&payload[..], bytes);
                        let swept = sending.catch_up(&subscription, to, lacks, &roomy);
                        if sending.cursor(&subscription) == to {
                            seq += 1;
                            expected.extend(payload);
                        }
                        if swept == Sweep::Done {
                            sending.flowing();
                        }
                    }
                }
                _ if random.u8(..4) > 0 => {
                    let mut sip = vec![0; bytes];
                    let read = client.read(&mut sip);
                    if let Ok(read) = timeout(Duration::from_millis(1), read).await {
                        got.extend_from_slice(&sip[..read.unwrap()]);
                    }
                }
                _ => {}
            }
        }
        let drain = async {
            while got.len() < expected.len() {
                let mut sip = vec![0; 9_000];
                tokio::select! {
                    read = client.read(&mut sip) => got.extend_from_slice(&sip[..read.unwrap()]),
                    () = sleep(Duration::from_millis(5)) => drop(outlet.lock().resume()),
                }
            }
        };
        timeout(PATIENCE, drain).await.expect("some of it never comes");
        assert!(got == expected, "what came is not what was taken");
        assert_eq!(outlet.lock().resume(), Sweep::Done);
    }
    assert!(cut > 10 && refused > 10, "hardly anything was cut: {cut}, {refused}");
}
