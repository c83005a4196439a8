//! Every close code, provoked over real sockets: the Close frame comes, and before the end of the
//! socket; and floods of what costs a client little.

use std::time::Duration;

use herenow::clock::Clock;
use herenow::limits::FLOOD_WAIT;
use herenow_protocol::{CloseCode, Event, LeaveReason, LossReason, ServerFrame};
use serde_json::{Value, json};

use crate::broker::{Broker, Process, until};
use crate::client::PATIENCE;
use crate::wire::{
    CLOSE, CONTINUES, ENDS, Got, PING, PONG, TEXT, TEXT_BEGINS, Wire, close_frame, frame, header,
};

/// First byte of a whole binary message.
const BINARY: u8 = 0x82;

/// How to provoke a Close, on a connection that is `user`, has had its welcome, and joined room.
struct Provocation {
    /// What the client sends. Without it the broker closes by itself.
    bytes: Vec<u8>,
    reason: &'static str,
    /// What a watcher of room hears.
    ends: fn(&Event) -> bool,
}

fn lost(event: &Event) -> bool {
    matches!(event, Event::Timeout { reason: LossReason::Connection, .. })
}

fn left(event: &Event) -> bool {
    matches!(event, Event::Leave { reason: LeaveReason::Closed, .. })
}

/// Several ways for each code. Codes that need a broker of their own have tests of their own.
fn provocations(code: CloseCode) -> Vec<Provocation> {
    let all = |reasons: &[(&'static str, Vec<u8>)], ends: fn(&Event) -> bool| -> Vec<_> {
        let one = |(reason, bytes): &(&'static str, Vec<u8>)| Provocation {
            bytes: bytes.clone(),
            reason,
            ends,
        };
        reasons.iter().map(one).collect()
    };
    match code {
        CloseCode::Normal => all(&[("", close_frame(1000))], left),
        CloseCode::Protocol => all(
            &[
                ("frames from a client must be masked", vec![TEXT, 2, b'h', b'b']),
                ("a reserved bit is set", frame(TEXT | 0x40, b"hb")),
                ("the opcode is reserved", frame(0x83, b"")),
                ("the opcode is reserved", frame(0x8b, b"")),
                ("control frames must not be fragmented", frame(PING & 0x0f, b"")),
                ("control frames carry at most 125 bytes", frame(PING, &[0; 126])),
                ("nothing to continue", frame(ENDS, b"x")),
                (
                    "a message began inside another",
                    [frame(TEXT_BEGINS, b"h"), frame(TEXT, b"hb")].concat(),
                ),
                ("a Close code has two bytes", frame(CLOSE, &[3])),
                ("that Close code may not be sent", close_frame(1006)),
            ],
            lost,
        ),
        CloseCode::Unsupported => {
            all(&[("herenow speaks text, not binary", frame(BINARY, b"{}"))], lost)
        }
        CloseCode::InvalidUtf8 => all(
            &[
                ("the message is not UTF-8", frame(TEXT, b"join \xff")),
                ("the Close reason is not UTF-8", frame(CLOSE, &[0x03, 0xe8, 0xff])),
            ],
            lost,
        ),
        CloseCode::TooBig => {
            let reason = "the message is larger than the limit";
            let parts =
                [frame(TEXT_BEGINS, &[b' '; 10_000]), frame(CONTINUES, &[b' '; 10_000])].concat();
            let whole = [header(TEXT, 1 << 20), vec![1, 2, 3, 4]].concat();
            all(&[(reason, whole), (reason, parts), (reason, frame(TEXT, &[b' '; 16_385]))], lost)
        }
        CloseCode::Internal
        | CloseCode::Restart
        | CloseCode::Later
        | CloseCode::Unauthenticated
        | CloseCode::Abuse
        | CloseCode::SlowConsumer
        | CloseCode::NoPong
        | CloseCode::Kicked
        | CloseCode::TokenExpired => Vec::new(),
    }
}

/// The Close frame comes before the end of the socket, also while the client is busy sending; and
/// the membership ends as the rules say, once.
#[tokio::test]
async fn every_violation_gets_its_close_frame() {
    let broker = Broker::start();
    let mut watcher = broker.connect("watcher").await;
    let mut replica = watcher.observe("room").await;
    for code in CloseCode::ALL {
        let provocations = provocations(code);
        for (Provocation { bytes, reason, ends }, busy) in
            provocations.iter().flat_map(|provocation| [(provocation, false), (provocation, true)])
        {
            let mut raw = Wire::connect(broker.address(), "eve").await;
            raw.say("join room").await;
            replica.apply(&watcher.next().await);
            assert_eq!(replica.users(), ["eve"]);
            // A good frame just before is still applied.
            let set = frame(TEXT, b"set room last=words");
            let mut sent = [set, bytes.clone()].concat();
            if busy {
                sent.resize(sent.len() + (1 << 20), b' ');
                raw.write_on(sent);
            } else {
                raw.write(&sent).await;
            }
            let (told, why, texts) = raw.closed().await;
            assert_eq!((told, &*why), (code.number(), *reason), "busy: {busy}");
            assert!(texts.is_empty(), "{texts:?}");
            drop(raw);
            let events = match watcher.events().await {
                update if matches!(&update[..], [Event::UpdateAttributes { .. }]) => {
                    watcher.events().await
                }
                other => other,
            };
            assert!(matches!(&events[..], [end] if ends(end)), "{events:?}");
            replica = watcher.observe("room").await;
            assert!(replica.members().is_empty());
        }
        let elsewhere = [
            CloseCode::Internal,
            CloseCode::Restart,
            CloseCode::Later,
            CloseCode::Unauthenticated,
            CloseCode::Abuse,
            CloseCode::SlowConsumer,
            CloseCode::NoPong,
            CloseCode::Kicked,
            CloseCode::TokenExpired,
        ];
        assert_eq!(provocations.is_empty(), elsewhere.contains(&code), "{code:?}");
    }
    watcher.expect_quiet().await;
    until("all but the watcher are gone", || broker.hub().connection_count() == 1).await;
}

/// Whatever code a client closes with comes back, and it left.
#[tokio::test]
async fn a_close_is_answered_with_its_code() {
    let broker = Broker::start();
    let mut watcher = broker.connect("watcher").await;
    let mut replica = watcher.observe("room").await;
    for (bytes, code) in [
        (close_frame(1001), 1001),
        (close_frame(4999), 4999),
        (frame(CLOSE, b""), 1005),
        (close_frame(3000), 3000),
    ] {
        let mut raw = Wire::connect(broker.address(), "eve").await;
        raw.say("join room").await;
        replica.apply(&watcher.next().await);
        // Behind a Close nothing counts any more.
        raw.write(&[bytes, frame(TEXT, b"set room late=1"), frame(BINARY, b"")].concat()).await;
        let (told, reason, _) = raw.closed().await;
        assert_eq!((told, &*reason), (code, ""));
        let frame = watcher.next().await;
        replica.apply(&frame);
        let ServerFrame::Presence { events, .. } = frame else { panic!("no event") };
        assert!(matches!(&events[..], [end] if left(end)), "{events:?}");
    }
}

#[tokio::test]
async fn without_an_acceptable_name_nobody_comes_in() {
    let broker = Broker::start();
    let long = "x".repeat(201);
    let name = "user must be 1 to 200 bytes of UTF-8";
    for (user, reason) in [
        (&*long, name),
        ("%24admin", "user must not begin with \"$\": such names are reserved"),
        ("a%00b", "user must not contain control characters"),
    ] {
        let mut raw = Wire::open(broker.address(), user).await;
        let told = raw.json().await;
        let expected =
            json!({"type": "error", "code": "unauthenticated", "message": reason, "field": "user"});
        assert_eq!(told, expected);
        let (code, why, texts) = raw.closed().await;
        assert_eq!((code, &*why, texts.len()), (CloseCode::Unauthenticated.number(), reason, 0));
    }
    until("nobody is there", || broker.hub().connection_count() == 0).await;
    assert_eq!(broker.hub().channel_count(), 0);
}

#[tokio::test]
async fn a_stop_says_when_to_come_back() {
    let broker = Broker::start();
    let mut raws = Vec::new();
    for n in 0..5 {
        let mut raw = Wire::connect(broker.address(), &format!("user-{n}")).await;
        raw.say("join room").await;
        raws.push(raw);
    }
    // In the middle of a message, and in the middle of sending much.
    raws[0].write(&frame(TEXT_BEGINS, b"jo")).await;
    raws[1].write(&header(TEXT, 10)[..1]).await;
    raws[2].write_on(frame(PING, b"").repeat(100_000));
    let stop = tokio::spawn(broker.stop());
    for raw in &mut raws {
        let (code, reason, texts) = raw.closed().await;
        if code == CloseCode::Abuse.number() {
            // So many pings are abuse, if they are seen first.
            continue;
        }
        let goaway: Value = serde_json::from_str(texts.last().unwrap()).unwrap();
        assert_eq!((code, &*reason), (CloseCode::Restart.number(), "the broker is shutting down"));
        assert_eq!(goaway["type"], "goaway");
        assert_eq!(goaway["reason"], "the broker is shutting down");
        assert!(goaway["reconnectInMs"].as_u64().unwrap() < 5_000);
        assert!(!texts.iter().any(|text| text.contains("leave")), "told of leaves: {texts:?}");
    }
    drop(raws);
    stop.await.unwrap();
}

/// A task that panics says so, as one that its runtime drops does; only the latter can be provoked
/// from outside.
#[tokio::test]
async fn a_broker_that_fails_says_so() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (over, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let broker = runtime.block_on(async { Broker::start() });
        sender.send(broker.address()).unwrap();
        wait.recv().unwrap();
        drop(runtime);
        drop(broker);
    });
    let mut raw = Wire::connect(receiver.await.unwrap(), "ada").await;
    raw.say(r#"{"type":"join","channel":"room","id":1}"#).await;
    assert_eq!(raw.json().await["type"], "ok");
    over.send(()).unwrap();
    let (code, reason, _) = raw.closed().await;
    assert_eq!((code, &*reason), (CloseCode::Internal.number(), "the broker failed"));
    thread.join().unwrap();
}

#[tokio::test]
async fn without_a_pong_the_connection_ends() {
    let broker = Broker::with(|config| {
        config.ping_interval = Duration::from_millis(100);
        config.pong_timeout = Duration::from_millis(100);
    });
    let mut raw = Wire::connect(broker.address(), "mute").await;
    assert_eq!(raw.next().await, Got::Ping(Vec::new()));
    let (code, reason, _) = raw.closed().await;
    assert_eq!((code, &*reason), (CloseCode::NoPong.number(), "no sign of life after a ping"));
}

/// A reader that stops is let go after the write timeout. It was stopped in mid-frame, so it gets
/// no Close frame (and if its socket should take one, then with the right code); others notice
/// nothing.
#[tokio::test]
async fn a_reader_that_stops_is_let_go() {
    let flags = [
        "--max-write-time=500ms",
        "--max-frames-burst=100000",
        "--log=herenow=debug",
        "--log-format=json",
    ];
    let mut broker = Process::start(&flags);
    let mut stopped = Wire::connect_small(broker.address(), "stopped").await;
    stopped.say("join room").await;
    stopped.say("sub room").await;
    assert_eq!(stopped.json().await["type"], "snapshot");
    let mut watcher = broker.connect("watcher").await;
    let mut replica = watcher.observe("room").await;
    let mut writer = broker.connect("writer").await;
    writer.ok("join room").await;
    // More than all the buffers on the way hold, and then nothing until it is let go.
    let mut n = 0;
    while replica.users() != ["writer"] {
        if n < 200 {
            n += 1;
            let text = format!("{n}:{}", "x".repeat(4_000));
            writer
                .ok(json!({"type": "setAttributes", "channel": "room",
                             "attributes": {"text": text}}))
                .await;
        }
        replica.apply(&watcher.next().await);
    }
    let mut frames = 0;
    let end = loop {
        match stopped.next().await {
            Got::Text(_) => frames += 1,
            other => break other,
        }
    };
    assert!(frames > 0 && frames < n, "{frames} of {n}");
    let too_slow =
        Got::Close(CloseCode::SlowConsumer.number(), "the connection reads too slowly".into());
    assert!(end == Got::Cut || end == too_slow, "{end:?}");
    broker.signal("TERM");
    let (_, log) = broker.exited(PATIENCE);
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let its: Vec<_> = lines.filter(|line| line["fields"]["user"] == "stopped").collect();
    assert_eq!(its.len(), 1, "{log}");
    let end = its[0]["fields"]["end"].as_str().unwrap();
    assert!(end.contains("code: SlowConsumer"), "{end}");
}

#[tokio::test]
async fn messages_must_be_finished_in_time() {
    let broker = Broker::with(|config| {
        config.limits.max_message_time = Duration::from_millis(300);
    });
    let reason = "a message was begun and not finished";
    let whole = frame(TEXT, b"join room");
    for half in [
        whole[..1].to_vec(),
        whole[..4].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        frame(TEXT_BEGINS, b"join"),
        // Pings between the parts change nothing.
        [frame(TEXT_BEGINS, b"join"), frame(PING, b""), frame(CONTINUES, b"")].concat(),
    ] {
        let mut raw = Wire::connect(broker.address(), "eve").await;
        raw.write(&half).await;
        let (code, why, _) = raw.closed().await;
        assert_eq!((code, &*why), (CloseCode::Abuse.number(), reason));
    }
    // Parts that come and come are no excuse.
    let mut raw = Wire::connect(broker.address(), "eve").await;
    raw.write(&frame(TEXT_BEGINS, b"join")).await;
    raw.write_again_and_again(frame(CONTINUES, b""), Duration::from_millis(20));
    let end = raw.closed().await;
    assert_eq!((end.0, &*end.1), (CloseCode::Abuse.number(), reason));
    assert_eq!(broker.hub().channel_count(), 0);
}

/// Frames are counted below messages, so those that carry nothing count too.
#[tokio::test]
async fn floods_of_little_frames_are_abuse() {
    let broker = Broker::start();
    for (first, flood) in [
        (frame(TEXT_BEGINS, b"h"), frame(CONTINUES, b"")),
        (Vec::new(), frame(PING, b"")),
        (Vec::new(), frame(PONG, b"")),
        (Vec::new(), frame(TEXT, b"hb")),
    ] {
        let mut raw = Wire::connect(broker.address(), "eve").await;
        raw.write_on([first, flood.repeat(20_000)].concat());
        let (code, why, _) = raw.closed().await;
        assert_eq!((code, &*why), (4008, "far more frames than allowed"));
    }
}

/// Cut at once it would be back at once, and that costs the broker far more than what it sends. Others do
/// not wait to be told.
#[tokio::test]
async fn whoever_floods_is_gone_at_once_and_waits_for_its_close() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut raw = Wire::connect(broker.address(), "eve").await;
    raw.write(&frame(TEXT, b"join room")).await;
    assert_eq!(observer.told().await, "join eve {}");
    let clock = Clock::start();
    raw.write_on(frame(PING, b"").repeat(20_000));
    assert_eq!(observer.told().await, "timeout eve connection");
    let told = clock.elapsed();
    assert_eq!(raw.closed().await.0, CloseCode::Abuse.number());
    let least = FLOOD_WAIT / 2;
    assert!(clock.elapsed() >= least, "closed after {:?}", clock.elapsed());
    assert!(told < clock.elapsed(), "told after {told:?}");
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident_kib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Whoever asks and does not read is not read either, so the answers stay few; and once it reads,
/// each has its answer, in order.
#[tokio::test]
async fn whoever_does_not_read_answers_is_not_heard() {
    let broker = Process::start(&[
        "--max-frames-burst=1000000",
        "--max-frames-per-second=1000000",
        "--max-write-time=60s",
    ]);
    let before = resident_kib(broker.id());
    for pings in [true, false] {
        let ask = |n: u64| {
            if pings {
                let mut payload = [b'x'; 125];
                payload[..8].copy_from_slice(&n.to_be_bytes());
                frame(PING, &payload)
            } else {
                frame(
                    TEXT,
                    format!(r#"{{"type":"getCount","channel":"room","id":{n}}}"#).as_bytes(),
                )
            }
        };
        let mut raw = Wire::connect_small(broker.address(), "eve").await;
        // Writes until nothing more is taken for a while.
        let (mut asked, mut bytes) = (0, Vec::new());
        loop {
            if bytes.is_empty() {
                bytes = (asked..asked + 100).flat_map(ask).collect();
                asked += 100;
            }
            assert!(asked < 400_000, "50 MB were taken");
            let writer = raw.writer();
            let taken = tokio::time::timeout(Duration::from_secs(1), writer.writable()).await;
            if taken.is_err() {
                break;
            }
            if let Ok(written) = writer.try_write(&bytes) {
                bytes.drain(..written);
            }
        }
        let grown = resident_kib(broker.id()).saturating_sub(before);
        assert!(grown < 8 * 1024, "{grown} KiB for {asked} unread answers");
        // Now it reads, and the rest is taken.
        raw.write_on(bytes);
        for n in 0..asked {
            match raw.next().await {
                Got::Pong(payload) => assert_eq!(payload[..8], n.to_be_bytes()),
                Got::Text(text) => {
                    let expected =
                        json!({"type": "result", "id": n, "channel": "room", "count": 0});
                    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
                }
                other => panic!("{other:?} for {n}"),
            }
        }
    }
}
