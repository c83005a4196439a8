//! Silence, pings and deadlines. These tests let time pass, since that is what they are about: all
//! of them at once, each of them little of it.

use std::time::Duration;

use herenow::Config;
use herenow::clock::Clock;
use herenow_protocol::reply::{Answer, RemovedReason};
use herenow_protocol::{ChannelName, ErrorCode, Event, ServerFrame};
use serde_json::json;
use tokio::time::interval;
use tokio_tungstenite::tungstenite::Message;

use crate::broker::{Broker, Process, took};
use crate::client::{A_TURN, Client, PATIENCE};
use crate::replica::{Observer, short};
use crate::wire::{CONTINUES, ENDS, Got, PING, PONG, TEXT, TEXT_BEGINS, Wire, frame};

/// The presence timeout of these tests. Two thirds of it are 1.333 s.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How late the broker may notice, on a machine that is busy with other things.
const LATEST: Duration = Duration::from_secs(3);

fn short_timeout(config: &mut Config) {
    config.presence_timeout = TIMEOUT;
}

/// Where no nudge is awaited: the broker's timers may step over it.
const SHORTER: Duration = Duration::from_millis(1_200);
/// As [`LATEST`].
const LATEST_OF_SHORTER: Duration = Duration::from_millis(2_200);

fn shorter_timeout(config: &mut Config) {
    config.presence_timeout = SHORTER;
}

fn short_pings(config: &mut Config) {
    config.ping_interval = Duration::from_millis(500);
    config.pong_timeout = Duration::from_millis(500);
}

async fn removed(client: &mut Client) -> Vec<String> {
    match client.next().await {
        ServerFrame::Removed { mut channels, reason: RemovedReason::Heartbeat, .. } => {
            channels.sort();
            channels.iter().map(|name: &ChannelName| name.as_str().to_owned()).collect()
        }
        other => panic!("not removed: {other:?}"),
    }
}

async fn nudged(client: &mut Client) -> u64 {
    match client.next().await {
        ServerFrame::HeartbeatDue { in_ms } => in_ms,
        other => panic!("no heartbeatDue: {other:?}"),
    }
}

/// The whole course: nudged once, timed out once and not early, still connected, back again.
async fn falls_silent_and_comes_back(mut ada: Client, mut observer: Observer) {
    let clock = Clock::start();
    ada.ok(json!({"type": "join", "channel": "room", "graceMs": 60_000})).await;
    assert_eq!(observer.told().await, "join ada {}");
    let in_ms = nudged(&mut ada).await;
    assert!(took(clock) >= TIMEOUT * 2 / 3, "nudged after {:?}", clock.elapsed());
    assert!((1..=667).contains(&in_ms), "{in_ms} ms left");
    // Only a lost connection has grace: this one is not lost but silent.
    let event = observer.event().await;
    let took = took(clock);
    assert!((TIMEOUT..LATEST).contains(&took), "timed out after {took:?}");
    assert_eq!(short(&event), "timeout ada heartbeat");
    let Event::Timeout { last_seen, at, .. } = event else { panic!("no timeout") };
    assert!((2_000..3_000).contains(&(at - last_seen)), "seen at {last_seen}, gone at {at}");
    assert_eq!(removed(&mut ada).await, ["room"]);
    // The socket is alive, and it is no member.
    assert_eq!(ada.refused("set room a=1").await.0, ErrorCode::NotJoined);
    let Answer::Channels { channels, .. } = ada.answer("where").await else { panic!() };
    assert!(channels.is_empty());
    ada.expect_quiet().await;
    observer.told_nothing().await;
    ada.ok("join room back=1").await;
    assert_eq!(observer.told().await, r#"join ada {"back":1}"#);
    ada.kill();
    assert_eq!(observer.told().await, "timeout ada connection");
    observer.told_nothing_for(A_TURN).await;
}

#[tokio::test]
async fn silence_is_a_timeout_in_its_window_and_once() {
    let broker = Broker::with(short_timeout);
    let (ada, observer) = (broker.connect("ada").await, broker.observer("room").await);
    falls_silent_and_comes_back(ada, observer).await;
}

#[tokio::test]
async fn the_binary_keeps_the_same_times() {
    let process = Process::start(&["--presence-timeout", "2s"]);
    let observer = Observer::of(process.address(), "room").await;
    falls_silent_and_comes_back(process.connect("ada").await, observer).await;
}

/// As when its process is stopped: the kernel still takes bytes, nobody reads them.
#[tokio::test]
async fn who_does_not_even_read_times_out_all_the_same() {
    let broker = Broker::with(shorter_timeout);
    let mut observer = broker.observer("room").await;
    let clock = Clock::start();
    let mut ada = Wire::connect(broker.address(), "ada").await;
    ada.say("join room").await;
    ada.say("sub room").await;
    assert_eq!(observer.told().await, "join ada {}");
    assert_eq!(observer.told().await, "timeout ada heartbeat");
    let took = took(clock);
    assert!((SHORTER..LATEST_OF_SHORTER).contains(&took), "timed out after {took:?}");
    observer.told_nothing_for(A_TURN).await;
}

#[tokio::test]
async fn one_silence_is_one_nudge_for_all_channels() {
    let broker = Broker::with(short_timeout);
    let mut ada = broker.connect("ada").await;
    ada.send_all(["join room", "join den"]).await;
    assert!((1..=667).contains(&nudged(&mut ada).await));
    ada.ok("hb").await;
    ada.expect_quiet().await;
    nudged(&mut ada).await;
    assert_eq!(removed(&mut ada).await, ["den", "room"], "both in one frame");
    ada.expect_quiet_for(A_TURN).await;
}

#[tokio::test]
async fn who_only_observes_is_neither_nudged_nor_removed() {
    let broker = Broker::with(shorter_timeout);
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    assert_eq!(observer.told().await, "timeout ada heartbeat");
    // As silent as ada, for longer.
    observer.told_nothing().await;
}

/// Speaks as often as `speak` is called, four times a second, until `room` tells a timeout of ada;
/// the time that took.
async fn timed_out_after(observer: &mut Observer, mut speak: impl AsyncFnMut()) -> Duration {
    let clock = Clock::start();
    let mut pace = interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            told = observer.told() => {
                assert_eq!(told, "timeout ada heartbeat");
                return took(clock);
            }
            _ = pace.tick() => {
                assert!(clock.elapsed() < PATIENCE, "no timeout");
                speak().await;
            }
        }
    }
}

#[tokio::test]
async fn a_heartbeat_that_names_channels_is_for_these_alone() {
    let broker = Broker::with(shorter_timeout);
    let (mut den, mut room) = (broker.observer("den").await, broker.observer("room").await);
    let mut ada = broker.connect("ada").await;
    ada.send_all(["join room", "join den"]).await;
    assert_eq!((den.told().await, room.told().await), ("join ada {}".into(), "join ada {}".into()));
    let took = timed_out_after(&mut room, async || ada.send("hb den").await).await;
    assert!(took < LATEST_OF_SHORTER, "after {took:?}");
    den.told_nothing().await;
    let took = timed_out_after(&mut den, async || ada.send("hb room nowhere").await).await;
    assert!(took < LATEST_OF_SHORTER, "after {took:?}");
}

/// Whatever text comes, somebody is there.
#[tokio::test]
async fn any_text_frame_speaks_for_all_channels() {
    let broker = Broker::with(|config| {
        shorter_timeout(config);
        // Refused for coming too fast is heard, too.
        config.limits.max_frames_per_second = 3;
        config.limits.max_frames_burst = 6;
    });
    let (mut den, mut room) = (broker.observer("den").await, broker.observer("room").await);
    let mut ada = broker.connect("ada").await;
    ada.send_all(["join room", "join den"]).await;
    assert_eq!((den.told().await, room.told().await), ("join ada {}".into(), "join ada {}".into()));
    let all = ["hello?", "{", "", "hb", r#"{"type":"nonsense"}"#, "count den", "{}", "leave attic"];
    let mut said = 0;
    let took = timed_out_after(&mut room, async || {
        // For 2.5 s, and then no more.
        if said < 11 {
            ada.send(all[said % all.len()]).await;
            said += 1;
        }
    });
    let took = took.await;
    assert!(took >= Duration::from_millis(2_500) + SHORTER, "after {took:?}");
    assert_eq!(den.told().await, "timeout ada heartbeat");
}

#[tokio::test]
async fn pings_and_pongs_are_no_heartbeats() {
    let broker = Broker::with(|config| {
        shorter_timeout(config);
        short_pings(config);
    });
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    let took = timed_out_after(&mut observer, async || {
        let (ping, pong) = (Message::Ping("p".into()), Message::Pong("p".into()));
        ada.send_messages([ping, pong]).await;
    });
    let took = took.await;
    assert!(took < LATEST_OF_SHORTER, "after {took:?}");
}

/// Reads until the broker pings.
async fn pinged(raw: &mut Wire) {
    loop {
        match raw.next().await {
            Got::Ping(_) => return,
            Got::Text(_) => {}
            other => panic!("neither text nor ping: {other:?}"),
        }
    }
}

#[tokio::test]
async fn who_answers_no_ping_is_closed_with_4101() {
    let broker = Broker::with(short_pings);
    let mut observer = broker.observer("room").await;
    let clock = Clock::start();
    let mut ada = Wire::connect(broker.address(), "ada").await;
    ada.say("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    pinged(&mut ada).await;
    assert!(took(clock) >= Duration::from_millis(500), "pinged after {:?}", clock.elapsed());
    // The observer answers its pings as long as somebody reads them.
    let (end, told) = tokio::join!(ada.ended(), observer.told());
    let took = took(clock);
    assert_eq!(end.code(), 4101);
    assert!((Duration::from_secs(1)..LATEST).contains(&took), "closed after {took:?}");
    assert_eq!(told, "timeout ada connection");
    observer.told_nothing_for(A_TURN).await;
}

/// An answer is anything: a pong, a message, or a part of one.
#[tokio::test]
async fn any_byte_answers_a_ping() {
    let broker = Broker::with(short_pings);
    let clock = Clock::start();
    let mut ada = Wire::connect(broker.address(), "ada").await;
    pinged(&mut ada).await;
    ada.write(&frame(PONG, b"")).await;
    pinged(&mut ada).await;
    ada.say("hello?").await;
    pinged(&mut ada).await;
    ada.write(&frame(PONG, b"never asked for")).await;
    pinged(&mut ada).await;
    ada.write(&frame(TEXT, b"count room")[..3]).await;
    pinged(&mut ada).await;
    assert!(clock.elapsed() > Duration::from_secs(2));
    assert_eq!(ada.ended().await.code(), 4101, "then it falls silent");
}

#[tokio::test]
async fn a_message_begun_and_not_finished_closes_with_4008() {
    const TIME: Duration = Duration::from_millis(400);
    let broker = Broker::with(|config| config.limits.max_message_time = TIME);
    let mut observer = broker.observer("room").await;
    let text = frame(TEXT, b"join room");
    let part = frame(TEXT_BEGINS, b"join");
    let beginnings: [&[u8]; 4] = [&part, &text[..1], &text[..5], &text[..text.len() - 1]];
    for beginning in beginnings {
        let mut ada = Wire::connect(broker.address(), "ada").await;
        let clock = Clock::start();
        ada.write(beginning).await;
        let end = ada.ended().await;
        assert_eq!(end.code(), 4008, "after {beginning:02x?}");
        let took = took(clock);
        assert!((TIME..LATEST).contains(&took), "after {took:?}");
    }
    observer.told_nothing_for(A_TURN).await;
}

#[tokio::test]
async fn going_on_for_ever_is_not_finishing() {
    const TIME: Duration = Duration::from_millis(1_000);
    let broker = Broker::with(|config| config.limits.max_message_time = TIME);
    let mut observer = broker.observer("room").await;
    let mut ada = Wire::connect(broker.address(), "ada").await;
    // Finished in time, and another begun behind it at once: that one has its own time.
    let clock = Clock::start();
    ada.write(&frame(TEXT_BEGINS, b"join ")).await;
    tokio::time::sleep(TIME / 2).await;
    ada.write(&[frame(ENDS, b"room"), frame(TEXT_BEGINS, b"hb")].concat()).await;
    assert_eq!(observer.told().await, "join ada {}");
    let mut pace = interval(TIME / 5);
    let end = loop {
        tokio::select! {
            end = ada.ended() => break end,
            _ = pace.tick() => {}
        }
        // Not even with pings in between, which are allowed there.
        let more = [frame(CONTINUES, b" "), frame(PING, b""), frame(CONTINUES, b"")].concat();
        ada.write(&more).await;
    };
    assert_eq!(end.code(), 4008);
    let took = took(clock);
    assert!((TIME + TIME / 2..LATEST + TIME).contains(&took), "after {took:?}");
    assert_eq!(observer.told().await, "timeout ada connection");
}

/// A whole broker may stand still: a suspended machine, a starved process. What clients sent
/// meanwhile waits in its sockets, and is read before anybody is judged.
#[tokio::test]
async fn a_broker_that_stood_still_evicts_nobody_who_is_alive() {
    let broker = Process::start(&["--presence-timeout", "2s"]);
    let mut observer = Observer::of(broker.address(), "room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    broker.signal("STOP");
    let mut beats = interval(Duration::from_millis(250));
    for beat in 0..16 {
        beats.tick().await;
        ada.send("hb").await;
        if beat == 12 {
            broker.signal("CONT");
        }
    }
    observer.told_nothing_for(A_TURN).await;
}
