//! A user's status: online or not, what it sets, who is told, and being thrown out.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use herenow::hub::Hub;
use herenow_protocol::reply::Answer;
use herenow_protocol::{
    ChannelName, CloseCode, ErrorCode, Event, LeaveReason, Refusal, ServerFrame, StatusPatch,
    UserId, UserStatus,
};
use serde_json::json;

use crate::broker::{Broker, until};
use crate::client::{A_TURN, Client, Say};
use crate::wire::small_socket;

pub(crate) fn id(user: &str) -> UserId {
    UserId::parse(user, "user").unwrap()
}

/// The next frame, which must be a status.
pub(crate) async fn told(client: &mut Client) -> UserStatus {
    match client.next().await {
        ServerFrame::Status { status } => status,
        other => panic!("no status: {other:?}"),
    }
}

/// The refusal of what is said.
pub(crate) async fn error(client: &mut Client, say: impl Into<Say>) -> Refusal {
    match client.request(say).await {
        ServerFrame::Error { code, message, retry_after_ms, .. } => {
            Refusal { retry_after_ms, ..Refusal::new(code, message) }
        }
        other => panic!("no error: {other:?}"),
    }
}

pub(crate) fn status(hub: &Hub, user: &str) -> Option<UserStatus> {
    hub.status(&id(user), false, hub.clock().now())
}

#[tokio::test]
async fn a_watcher_sees_users_come_and_go() {
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    ada.ok("watch bob").await;
    let nobody = told(&mut ada).await;
    assert_eq!(nobody, UserStatus::unknown(id("bob")), "as long as nobody knows him");
    let before = broker.hub().clock().now().unix_ms;
    let bob = broker.connect("bob").await;
    let online = told(&mut ada).await;
    assert!(online.online && !online.busy && online.created_at >= Some(before));
    // A second tab is no news, nor is it when the first goes.
    let tab = broker.connect("bob").await;
    bob.close(1000).await;
    ada.expect_quiet().await;
    tab.close(1000).await;
    let gone = told(&mut ada).await;
    assert!(!gone.online && gone.last_seen >= Some(before));
    assert_eq!(gone.created_at, online.created_at);
    // Nobody is told who no longer watches.
    ada.ok("unwatch bob carol").await;
    drop(broker.connect("bob").await);
    ada.expect_quiet().await;
    assert_eq!(broker.hub().channel_count(), 0, "a status that nobody watches is no channel");
}

#[tokio::test]
async fn grace_keeps_a_user_online_as_it_keeps_its_membership() {
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    let mut bob = broker.connect("bob").await;
    bob.ok(json!({"type": "join", "channel": "room", "graceMs": 600})).await;
    ada.ok("watch bob").await;
    assert!(told(&mut ada).await.online);
    let heard = broker.hub().clock().now().unix_ms;
    bob.kill();
    until("the connection is gone", || broker.hub().connection_count() == 1).await;
    assert!(status(broker.hub(), "bob").unwrap().online);
    ada.expect_quiet().await;
    let gone = told(&mut ada).await;
    assert!(!gone.online);
    assert!(gone.last_seen <= Some(heard), "when it was last heard, not when the grace was over");
}

#[tokio::test]
async fn what_a_user_sets_is_told_to_whoever_watches() {
    let broker = Broker::start();
    let (mut ada, mut bob) = (broker.connect("ada").await, broker.connect("bob").await);
    ada.ok("watch bob").await;
    bob.ok("watch bob").await;
    told(&mut ada).await;
    told(&mut bob).await;
    for (say, busy, wait_time, text) in [
        ("status busy=true waitTime=5", true, Some(5), None),
        ("status text=lunch", true, Some(5), Some("lunch")),
        ("status waitTime=null busy=false", false, None, Some("lunch")),
        ("status text=null", false, None, None),
    ] {
        bob.ok(say).await;
        for client in [&mut ada, &mut bob] {
            let status = told(client).await;
            assert!(status.online);
            assert_eq!((status.busy, status.wait_time), (busy, wait_time), "{say}");
            assert_eq!(status.text.as_deref(), text, "{say}");
        }
    }
    // What changes nothing is no news; nothing to set is a mistake.
    bob.ok("status busy=false invisible=false").await;
    ada.expect_quiet().await;
    let empty = error(&mut bob, json!({"type": "setStatus"})).await;
    assert_eq!(empty.code, ErrorCode::MissingField);
    assert_eq!(empty.message, "no status field to set: give busy, invisible, waitTime or text");
    // Watching again tells again.
    ada.ok("watch bob").await;
    assert!(told(&mut ada).await.online);
}

#[tokio::test]
async fn whoever_is_invisible_looks_offline_to_all_others() {
    let broker = Broker::start();
    let (mut ada, mut bob) = (broker.connect("ada").await, broker.connect("bob").await);
    bob.ok("status busy=true text=hi").await;
    ada.ok("watch bob").await;
    bob.ok("watch bob").await;
    told(&mut ada).await;
    told(&mut bob).await;
    bob.ok("status invisible=true").await;
    let shown = told(&mut ada).await;
    assert!(!shown.online && !shown.busy && !shown.invisible);
    assert_eq!(shown.text.as_deref(), Some("hi"));
    let own = told(&mut bob).await;
    assert!(own.online && own.busy && own.invisible);
    // Nothing of what bob does shows, be it that he goes.
    bob.ok("status text=secret").await;
    told(&mut bob).await;
    bob.close(1000).await;
    until("bob is gone", || broker.hub().connection_count() == 1).await;
    ada.expect_quiet().await;
    assert_eq!(status(broker.hub(), "bob").unwrap(), shown);
    let mut bob = broker.connect("bob").await;
    ada.expect_quiet().await;
    bob.ok("status invisible=false").await;
    let shown = told(&mut ada).await;
    assert!(shown.online && shown.busy);
    assert_eq!(shown.text.as_deref(), Some("secret"));
}

#[tokio::test]
async fn heartbeats_without_a_socket_keep_a_user_online() {
    let broker = Broker::with(|config| config.presence_timeout = Duration::from_millis(600));
    let hub = broker.hub();
    let mut ada = broker.connect("ada").await;
    ada.ok("watch bob").await;
    told(&mut ada).await;
    let beat = || hub.heartbeat_user(&id("bob"), None, None, hub.clock().now()).unwrap();
    beat();
    let first = told(&mut ada).await;
    assert!(first.online);
    tokio::time::sleep(Duration::from_millis(400)).await;
    let before = hub.clock().now().unix_ms;
    beat();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(status(hub, "bob").unwrap().online, "the second lasts as long again");
    ada.expect_quiet().await;
    let gone = told(&mut ada).await;
    assert!(!gone.online);
    assert!(gone.last_seen >= Some(before) && gone.last_seen < Some(before + 300), "the last beat");
    beat();
    assert!(told(&mut ada).await.online);
    hub.stop_heartbeat(&id("bob"));
    assert!(!told(&mut ada).await.online, "at once");
    hub.stop_heartbeat(&id("bob"));
    ada.expect_quiet_for(A_TURN).await;
}

/// A watcher that sleeps through thousands of changes misses some, and never the last.
#[tokio::test]
async fn a_watcher_that_slept_is_told_the_last_status() {
    const CHANGES: u32 = 2_000;
    let broker = Broker::with(|config| {
        config.limits.max_frames_burst = 1_000_000;
        config.limits.max_frames_per_second = 1_000_000;
        config.limits.max_write_time = Duration::from_secs(60);
    });
    let mut slow = Client::over(small_socket(broker.address()).await, "slow").await;
    slow.ok("watch bob").await;
    assert!(slow.already().is_none(), "the ok comes before what it brings");
    let mut bob = broker.connect("bob").await;
    bob.ok("watch bob").await;
    told(&mut bob).await;
    for n in 0..CHANGES {
        bob.ok(json!({"type": "setStatus", "waitTime": n, "text": "x".repeat(256)})).await;
        assert_eq!(told(&mut bob).await.wait_time, Some(n), "each is told to who keeps up");
    }
    let (mut last, mut frames) = (None, 0);
    while last != Some(CHANGES - 1) {
        let next = told(&mut slow).await.wait_time;
        assert!(last < next || last.is_none(), "{next:?} after {last:?}");
        (last, frames) = (next, frames + 1);
    }
    assert!(frames < CHANGES, "it missed nothing, so nothing was tested");
    slow.expect_quiet().await;
}

/// Of two changes at once the channel knows the one that holds. Looked at from inside: what a
/// socket tells comes too slowly for the two to meet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_last_is_what_is_so() {
    const ROUNDS: u32 = 5_000;
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    ada.ok("watch bob").await;
    let hub = Arc::clone(broker.hub());
    let raced = tokio::task::spawn_blocking(move || {
        let gate = Barrier::new(3);
        let race = |racer: u32| {
            for round in 0..ROUNDS {
                gate.wait();
                let wait_time = Some(Some(round * 2 + racer));
                let patch = StatusPatch { wait_time, ..StatusPatch::default() };
                hub.set_status(&id("bob"), patch, hub.clock().now());
                gate.wait();
            }
        };
        let name = ChannelName::of_shown_status(&id("bob"));
        std::thread::scope(|scope| {
            scope.spawn(|| race(0));
            scope.spawn(|| race(1));
            let stale = (0..ROUNDS).filter(|_| {
                gate.wait();
                gate.wait();
                let told = hub.look(&name, |guarded| guarded.presence().told_status().cloned());
                let told = told.flatten().unwrap();
                told.wait_time != status(&hub, "bob").unwrap().wait_time
            });
            stale.count()
        })
    });
    assert_eq!(raced.await.unwrap(), 0, "rounds after which watchers know an older status");
}

#[tokio::test]
async fn only_so_many_are_watched_and_remembered() {
    let broker = Broker::with(|config| {
        config.limits.max_watches = 3;
        config.limits.max_statuses = 2;
    });
    let mut ada = broker.connect("ada").await;
    ada.ok("watch b c").await;
    told(&mut ada).await;
    told(&mut ada).await;
    let refused = error(&mut ada, "watch b d e").await;
    assert_eq!(refused.code, ErrorCode::TooManyChannels);
    assert_eq!(refused.message, "users would be more than the 3 that a connection may watch");
    ada.expect_quiet().await;
    ada.ok("watch b d").await;
    told(&mut ada).await;
    told(&mut ada).await;
    ada.ok("join room").await;
    let Answer::Channels { channels, .. } = ada.answer("where ada").await else { panic!() };
    assert_eq!(channels.len(), 1, "watching is not being somewhere");
    // Of those who are gone, the last two.
    for user in ["x", "y", "z", "x"] {
        broker.connect(user).await.close(1000).await;
        until("it is gone", || broker.hub().connection_count() == 1).await;
    }
    let known = ["x", "y", "z"].map(|user| status(broker.hub(), user).is_some());
    assert_eq!(known, [true, false, true]);
}

#[tokio::test]
async fn a_kick_ends_connections_and_graces_and_says_so() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut bob = broker.connect("bob").await;
    // Kicked is kicked: the grace that it asked for is for connections that are lost.
    bob.ok(json!({"type": "join", "channel": "room", "graceMs": 60_000})).await;
    let mut lost = broker.connect("carol").await;
    lost.ok(json!({"type": "join", "channel": "room", "graceMs": 60_000})).await;
    observer.event().await;
    observer.event().await;
    lost.kill();
    until("carol is lost", || broker.hub().connection_count() == 2).await;
    for (user, connections) in [("bob", 1), ("carol", 0)] {
        assert_eq!(broker.hub().kick(&id(user), broker.hub().clock().now()).await, connections);
        let Event::Leave { reason, user: who, .. } = observer.event().await else { panic!() };
        assert_eq!((reason, who.as_str()), (LeaveReason::Kicked, user));
    }
    assert_eq!(bob.ended().await.code(), CloseCode::Kicked.number());
    until("bob is gone", || !status(broker.hub(), "bob").unwrap().online).await;
}

#[tokio::test]
async fn without_presence_every_request_is_told_so() {
    let broker = Broker::with(|config| config.disable_presence = true);
    let mut ada = broker.connect("ada").await;
    for say in ["join room", "sub room", "hb", "who room", "where", "status busy=true", "watch bob"]
    {
        let refused = error(&mut ada, say).await;
        assert_eq!(refused.code, ErrorCode::PresenceDisabled, "{say}");
        assert_eq!(refused.message, "presence is switched off for this broker");
        assert_eq!(refused.retry_after_ms, None, "trying again does not help");
    }
    ada.send("help").await;
    assert!(matches!(ada.next().await, ServerFrame::Help { .. }));
}
