//! What a subscriber gets, and in which order: resuming, replies, snapshots in parts, storms.

use std::net::SocketAddr;

use herenow::limits::RESULT_BYTES;
use herenow::limits::{LOG_FRAMES, PART_BYTES};
use herenow_protocol::reply::{Answer, SnapshotReason};
use herenow_protocol::{Event, FrameId, ServerFrame, Since};
use serde_json::{Value, json};

use crate::broker::{Broker, Process, until};
use crate::client::{Client, Replica};
use crate::wire::{Got, Wire};

/// A broker that counts no frames: these tests send many.
fn broker() -> Broker {
    Broker::with(|config| {
        config.limits.max_frames_burst = 1_000_000;
        config.limits.max_frames_per_second = 1_000_000;
    })
}

fn subscribe(channel: &str, since: Option<Since>) -> Value {
    json!({"type": "subscribe", "channel": channel, "since": since})
}

fn set(channel: &str, attributes: &Value) -> Value {
    json!({"type": "setAttributes", "channel": channel, "attributes": attributes})
}

/// Subscribes; the `ok`'s `resumed`.
async fn resubscribe(client: &mut Client, channel: &str, since: Option<Since>) -> bool {
    match client.request(subscribe(channel, since)).await {
        ServerFrame::Ok { resumed, level, .. } => {
            assert!(level.is_some());
            resumed.expect("subscribe tells whether it resumed")
        }
        other => panic!("not subscribed: {other:?}"),
    }
}

/// The next frame, which must be a snapshot for this reason.
async fn snapshot(client: &mut Client, replica: &mut Replica, why: SnapshotReason) {
    loop {
        let frame = client.next().await;
        replica.apply(&frame);
        match frame {
            ServerFrame::Snapshot { reason, .. } => assert_eq!(reason, why),
            other => panic!("no snapshot: {other:?}"),
        }
        if replica.is_whole() {
            return;
        }
    }
}

/// The next frame, which must be the only one, about room: its seq.
async fn told(client: &mut Client, replica: &mut Replica) -> u64 {
    let frame = client.next().await;
    replica.apply(&frame);
    match frame {
        ServerFrame::Presence { seq, .. } => seq,
        other => panic!("no presence frame: {other:?}"),
    }
}

#[tokio::test]
async fn at_the_head_a_resume_sends_nothing() {
    let broker = broker();
    let mut ada = broker.connect("ada").await;
    ada.ok("join room a=1").await;
    let mut observer = broker.connect("observer").await;
    let mut replica = observer.observe("room").await;
    observer.kill();

    let mut observer = broker.connect("observer").await;
    assert!(resubscribe(&mut observer, "room", Some(replica.since())).await);
    observer.expect_quiet().await;
    // On the same connection too, over and over.
    for _ in 0..3 {
        assert!(resubscribe(&mut observer, "room", Some(replica.since())).await);
    }
    observer.expect_quiet().await;
    ada.ok("set room a=2").await;
    assert_eq!(told(&mut observer, &mut replica).await, replica.since().seq);
    observer.expect_quiet().await;
    replica.assert_equals(&ada.members("room").await);
}

#[tokio::test]
async fn missed_frames_follow_the_ok() {
    let broker = broker();
    let (mut ada, mut witness) = (broker.connect("ada").await, broker.connect("witness").await);
    let mut seen = witness.observe("room").await;
    let mut observer = broker.connect("observer").await;
    let mut replica = observer.observe("room").await;
    observer.kill();
    // Each change told by itself, since the witness waits for it.
    let mut missed = Vec::new();
    for line in ["join room", "set room a=1", "set room b=2", "leave room", "join room c=3"] {
        ada.ok(line).await;
        let frame = witness.next().await;
        seen.apply(&frame);
        missed.push(frame);
    }
    let mut observer = broker.connect("observer").await;
    observer
        .send_all([
            json!({"type": "subscribe", "channel": "room", "since": replica.since(), "id": 1}),
            json!({"type": "getCount", "channel": "room", "id": 2}),
        ])
        .await;
    let ServerFrame::Ok { id: FrameId::Number(1), resumed: Some(true), .. } = observer.next().await
    else {
        panic!("not resumed")
    };
    // Replies do not wait for what is resumed, nor are they lost behind it.
    let mut answered = false;
    let mut followed = Vec::new();
    while followed.len() < missed.len() || !answered {
        match observer.next().await {
            ServerFrame::Result { id: Some(FrameId::Number(2)), .. } => answered = true,
            frame => {
                replica.apply(&frame);
                followed.push(frame);
            }
        }
    }
    assert_eq!(followed, missed, "what was missed is byte for byte what others were told");
    replica.assert_equals(&ada.members("room").await);
    assert_eq!(replica.since(), seen.since());
    observer.expect_quiet().await;
}

#[tokio::test]
async fn what_cannot_be_resumed_gets_a_snapshot() {
    let broker = broker();
    let (mut ada, mut witness) = (broker.connect("ada").await, broker.connect("witness").await);
    ada.ok("join room").await;
    let mut seen = witness.observe("room").await;
    let old = seen.since();
    for n in 0..=LOG_FRAMES {
        ada.ok(set("room", &json!({"n": n}))).await;
        told(&mut witness, &mut seen).await;
    }
    let mut observer = broker.connect("observer").await;
    let head = seen.since();
    for (since, why) in [
        (json!({"epoch": "00000000", "seq": head.seq}), "another epoch"),
        (json!({"epoch": "no epoch at all", "seq": head.seq}), "no epoch at all"),
        (json!({"epoch": head.epoch, "seq": head.seq + 1}), "the future"),
        (json!({"epoch": head.epoch, "seq": u64::MAX}), "the end of days"),
        (json!(old), "fallen off the log"),
        (json!({"epoch": head.epoch, "seq": 0}), "the beginning"),
        (Value::Null, "no since at all"),
    ] {
        let frame = json!({"type": "subscribe", "channel": "room", "since": since});
        let ServerFrame::Ok { resumed, .. } = observer.request(frame).await else {
            panic!("{why}: not subscribed")
        };
        assert_eq!(resumed, Some(false), "{why}");
        let mut replica = Replica::new("room");
        snapshot(&mut observer, &mut replica, SnapshotReason::Subscribed).await;
        assert_eq!(replica.since(), head, "{why}");
        replica.assert_equals(&witness.members("room").await);
    }
    // The oldest that is still held resumes.
    let held = Since { seq: old.seq + 1, ..old };
    assert!(resubscribe(&mut observer, "room", Some(held)).await);
    for n in 1..=LOG_FRAMES as u64 {
        let ServerFrame::Presence { seq, .. } = observer.next().await else { panic!("no frame") };
        assert_eq!(seq, held.seq + n);
    }
    observer.expect_quiet().await;
}

#[tokio::test]
async fn a_channel_that_vanished_begins_anew() {
    let broker = broker();
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let mut observer = broker.connect("observer").await;
    let replica = observer.observe("room").await;
    observer.ok("unsub room").await;
    ada.ok("leave room").await;
    until("the channel is gone", || broker.hub().channel_count() == 0).await;
    ada.ok("join room").await;
    assert!(!resubscribe(&mut observer, "room", Some(replica.since())).await);
    let mut anew = Replica::new("room");
    snapshot(&mut observer, &mut anew, SnapshotReason::Subscribed).await;
    assert_ne!(anew.since().epoch, replica.since().epoch);
    assert_eq!(anew.users(), ["ada"]);
}

#[tokio::test]
async fn subscribing_again_asks_anew() {
    let broker = broker();
    let mut ada = broker.connect("ada").await;
    let mut replica = ada.observe("room").await;
    let begin = replica.since();
    ada.ok("join room").await;
    told(&mut ada, &mut replica).await;
    ada.ok("set room a=1").await;
    told(&mut ada, &mut replica).await;
    // A fresh snapshot without since, each time.
    for _ in 0..3 {
        assert!(!resubscribe(&mut ada, "room", None).await);
        snapshot(&mut ada, &mut replica, SnapshotReason::Subscribed).await;
        assert_eq!(replica.since().seq, 2);
    }
    // Missed frames with it: also those that this connection has had.
    assert!(resubscribe(&mut ada, "room", Some(begin)).await);
    for seq in 1..=2 {
        let ServerFrame::Presence { seq: told, .. } = ada.next().await else { panic!("no frame") };
        assert_eq!(told, seq);
    }
    ada.expect_quiet().await;
    // Several at once: the last one counts, and nothing comes twice.
    ada.send_all([subscribe("room", None), subscribe("room", None), subscribe("room", None)]).await;
    ada.ok("set room a=2").await;
    snapshot(&mut ada, &mut replica, SnapshotReason::Subscribed).await;
    while replica.since().seq < 3 {
        told(&mut ada, &mut replica).await;
    }
    ada.expect_quiet().await;
    replica.assert_equals(&ada.members("room").await);
}

/// A channel that never rests, and clients who come and go: each gets a snapshot or resumes, then
/// each frame once, and nothing behind the `ok` of `unsubscribe`. On the binary's several threads.
#[tokio::test]
async fn nothing_follows_an_unsubscribe_however_busy_the_channel() {
    let broker = Process::start(&["--max-frames-burst=1000000"]);
    let address = broker.address();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = Vec::new();
    for user in ["ada", "bob"] {
        let (mut writer, stopped) = (broker.connect(user).await, stopped.clone());
        writers.push(tokio::spawn(async move {
            writer.ok("join room").await;
            let mut n = 0;
            while !*stopped.borrow() {
                n += 1;
                writer.ok(set("room", &json!({"n": n}))).await;
            }
            n
        }));
    }
    let others: Vec<_> = (0..6).map(|n| tokio::spawn(come_and_go(address, n))).collect();
    for other in others {
        let (heard, resumed) = other.await.unwrap();
        assert!(heard > 0 && resumed > 0, "{heard} frames, {resumed} times resumed");
    }
    stop.send(true).unwrap();
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
}

/// How many frames were heard, and how often it resumed.
async fn come_and_go(address: SocketAddr, n: usize) -> (usize, usize) {
    let mut client = Client::connect(address, &format!("observer-{n}")).await;
    let (mut heard, mut resumed) = (0, 0);
    let mut known = Replica::new("room");
    for round in 0..60 {
        let since = (known.is_whole() && round % 3 > 0).then(|| known.since());
        if resubscribe(&mut client, "room", since).await {
            resumed += 1;
        } else {
            known = Replica::new("room");
        }
        // Some stop at once, some after a few frames.
        for _ in 0..round % 4 {
            known.apply(&client.next().await);
            heard += 1;
        }
        client.send(json!({"type": "unsubscribe", "channel": "room", "id": "last"})).await;
        loop {
            match client.next().await {
                ServerFrame::Ok { id: FrameId::Text(id), .. } if &*id == "last" => break,
                frame => known.apply(&frame),
            }
        }
        // Whoever waits falls behind so far that it can't resume: only before it begins anew.
        match round % 3 {
            2 => client.expect_quiet().await,
            _ => client.expect_quiet_so_far().await,
        }
    }
    (heard, resumed)
}

/// What a client pipelines is answered in its order, each once, and before the frames that tell of
/// it, however many come in one write.
#[tokio::test]
async fn replies_come_in_order_and_before_their_effects() {
    let broker = Process::start(&["--max-frames-burst=1000000"]);
    let mut noise = broker.connect("noise").await;
    noise.ok("join room").await;
    for round in 0..20 {
        let mut ada = broker.connect("ada").await;
        ada.ok("sub room").await;
        let mut frames = Vec::new();
        let mut effects = Vec::new();
        for n in 0..100 {
            let id = frames.len() as i64;
            frames.push(match n % 7 {
                0 => json!({"type": "join", "channel": "room", "id": id}),
                1 | 2 => json!({"type": "setAttributes", "channel": "room", "id": id,
                                "attributes": {"n": format!("{round}-{n}")}}),
                3 => json!({"type": "getCount", "channel": "room", "id": id}),
                4 => json!({"type": "dance", "id": id}),
                5 => json!({"type": "heartbeat", "id": id}),
                _ => json!({"type": "leave", "channel": "room", "id": id}),
            });
            if n % 7 == 1 || n % 7 == 2 {
                effects.push((format!("{round}-{n}"), id));
            }
        }
        noise.send(set("room", &json!({"round": round}))).await;
        let last = frames.len() as i64 - 1;
        // In a few writes, so that ticks fall between.
        for some in frames.chunks(30) {
            ada.send_all(some.iter().cloned()).await;
        }
        let mut answered = -1;
        while answered < last {
            match ada.next().await {
                ServerFrame::Ok { id: FrameId::Number(id), .. }
                | ServerFrame::Result { id: Some(FrameId::Number(id)), .. }
                | ServerFrame::Error { id: Some(FrameId::Number(id)), .. } => {
                    assert_eq!(id, answered + 1);
                    answered = id;
                }
                ServerFrame::Presence { events, .. } => {
                    for event in events {
                        let (Event::Join { user, attributes, .. }
                        | Event::UpdateAttributes { user, attributes, .. }) = event
                        else {
                            continue;
                        };
                        let told = json!(attributes)["n"].as_str().unwrap_or_default().to_owned();
                        if let Some((_, cause)) = effects.iter().find(|(n, _)| *n == told) {
                            assert_eq!(user.as_str(), "ada");
                            assert!(*cause <= answered, "{told} came before its reply");
                        }
                    }
                }
                ServerFrame::Snapshot { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        ada.close(1000).await;
    }
}

/// A frame of its own for each change, and each heard by whoever made it: reply, then effect.
#[tokio::test]
async fn a_reply_comes_just_before_the_frame_of_its_own_effect() {
    let broker = Process::start(&["--max-frames-burst=1000000"]);
    let mut ada = broker.connect("ada").await;
    let mut replica = ada.observe("room").await;
    for n in 0..200 {
        let frame = if n % 5 == 4 {
            json!({"type": "leave", "channel": "room", "id": n})
        } else {
            json!({"type": "join", "channel": "room", "id": n, "attributes": {"n": n}})
        };
        ada.send(frame).await;
        let ok = ada.next().await;
        assert!(matches!(ok, ServerFrame::Ok { id: FrameId::Number(id), .. } if id == n), "{ok:?}");
        told(&mut ada, &mut replica).await;
    }
}

#[tokio::test]
async fn a_large_snapshot_comes_in_parts_that_assemble() {
    let broker = broker();
    let mut members = Vec::new();
    for n in 0..50 {
        let mut member = broker.connect(&format!("user-{n}")).await;
        let text = "x".repeat(4_000 - n * 10);
        member.ok(json!({"type": "join", "channel": "room", "attributes": {"t": text}})).await;
        members.push(member);
    }
    let mut observer = Wire::connect(broker.address(), "observer").await;
    observer.say("sub room").await;
    let mut replica = Replica::new("room");
    let mut parts = 0;
    while !replica.is_whole() {
        let Got::Text(text) = observer.next().await else { panic!("no text") };
        assert!(text.len() <= PART_BYTES, "a part of {} bytes", text.len());
        let frame: ServerFrame = serde_json::from_str(&text).unwrap();
        let ServerFrame::Snapshot { count, members, .. } = &frame else { panic!("{frame:?}") };
        assert_eq!(*count, 50, "each part tells the whole count");
        assert!(!members.is_empty());
        replica.apply(&frame);
        parts += 1;
    }
    assert!(parts >= 3, "{parts} parts");
    // Newest first, page by page as in the parts.
    let query = json!({"type": "getMembers", "channel": "room", "limit": 1_000});
    let Answer::Members { members: page, next: Some(_), .. } = members[0].answer(query).await
    else {
        panic!("not a first page")
    };
    let bytes: usize = page.iter().map(|member| json!(member).to_string().len()).sum();
    assert!(bytes <= RESULT_BYTES, "a page of {bytes} bytes");
    let truth = members[0].all_members("room").await;
    let order: Vec<_> = truth.iter().map(|member| member.user.to_string()).collect();
    let newest_first: Vec<_> = (0..50).rev().map(|n| format!("user-{n}")).collect();
    assert_eq!(order, newest_first);
    replica.assert_equals(&truth);
    // And goes on from there.
    members[7].ok("set room small=1").await;
    replica.apply(&observer.frame().await.unwrap());
    assert_eq!(json!(replica.members())["user-7"]["attributes"], json!({"small": 1}));
}

/// As many changes at once as make more than one frame: the frames of one tick have seqs and counts
/// of their own.
#[tokio::test]
async fn a_large_tick_comes_in_frames_that_add_up() {
    let broker = broker();
    let mut observer = broker.connect("observer").await;
    let mut replica = observer.observe("room").await;
    let mut clients = Vec::new();
    for n in 0..50 {
        clients.push(broker.connect(&format!("user-{n}")).await);
    }
    // On one thread all of these are applied before the flusher has its turn.
    for client in &mut clients {
        let text = "x".repeat(4_000);
        client.send(json!({"type": "join", "channel": "room", "attributes": {"t": text}})).await;
    }
    let mut largest = 0;
    while replica.members().len() < 50 {
        let frame = observer.next().await;
        replica.apply(&frame);
        let ServerFrame::Presence { events, .. } = frame else { panic!("no presence frame") };
        assert!(json!(events).to_string().len() <= PART_BYTES);
        largest = largest.max(events.len());
    }
    assert!(largest >= 10, "a frame for almost each change");
    for client in clients {
        client.kill();
    }
    while !replica.members().is_empty() {
        told(&mut observer, &mut replica).await;
    }
}
