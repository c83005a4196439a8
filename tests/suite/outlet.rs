//! One connection's way out, by itself: what a race would have to hit over a broker, step by step.

use std::sync::Arc;

use herenow::auth::Identity;
use herenow::delivery::{
    Backlog, Cursor, Flow, Letter, Outlet, SharedFrame, Subscription, Sweep, Transport,
    Undelivered, Wake, Want,
};
use herenow::presence::{Rest, SnapshotPlace};
use herenow_protocol::reply::SnapshotReason;
use herenow_protocol::{Level, ServerFrame, UserId, encode};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::client::PATIENCE;
use crate::wire::small_socket;

/// More than the buffers of a small socket hold.
const MUCH: usize = 8 << 20;

/// An outlet, and the socket that reads what it writes.
async fn outlet() -> (Arc<Outlet>, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (reader, accepted) =
        tokio::join!(small_socket(listener.local_addr().unwrap()), listener.accept());
    let socket = accepted.unwrap().0;
    socket.writable().await.unwrap();
    let identity = Identity { user: UserId::parse("ada", "user").unwrap(), access: None };
    (Outlet::new(1, Transport::plain(socket), identity, 0, false), reader)
}

fn reply() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::text_message(&ServerFrame::HeartbeatDue { in_ms: 7 }, &mut bytes);
    bytes
}

/// As much room for what slow readers keep as anybody wants.
fn backlog() -> Arc<Backlog> {
    Backlog::new(usize::MAX)
}

/// Reads so many bytes, and lets the outlet go on as its task would.
async fn read(outlet: &Arc<Outlet>, reader: &mut TcpStream, most: usize) -> Vec<u8> {
    let mut read = Vec::new();
    let reading = async {
        while read.len() < most {
            tokio::select! {
                more = reader.read_buf(&mut read) => assert!(more.unwrap() > 0),
                ready = outlet.transport().writable() => {
                    ready.unwrap();
                    let mut sending = outlet.lock();
                    if sending.resume() == Sweep::Done {
                        sending.flowing();
                    }
                    drop(sending);
                    tokio::task::yield_now().await;
                }
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("nothing more comes");
    read
}

/// A socket that was full and takes bytes again is still nobody's but its own task's: neither a
/// pass nor a reply gets between the parts of a cut frame, or ahead of it.
#[tokio::test]
async fn what_was_cut_goes_first() {
    let (outlet, mut reader) = outlet().await;
    let subscription = Subscription::new(Arc::clone(&outlet), Level::Events.into());
    outlet.lock().set_cursor(&subscription, Cursor::Next(1));
    let first = SharedFrame::new(vec![b'1'; MUCH]);
    subscription.visit(Cursor::Next(1), Cursor::Next(2), &first, &backlog());
    assert_eq!(outlet.lock().flow(), Flow::Choked);
    // What was begun counts as sent: its rest is owed.
    assert_eq!(outlet.lock().cursor(&subscription), Cursor::Next(2));

    // Its task finds the socket full, and then the reader takes as much as makes it free again.
    assert_eq!(outlet.lock().resume(), Sweep::Full);
    let mut got = Vec::new();
    let freed = async {
        loop {
            tokio::select! {
                biased;
                ready = outlet.transport().writable() => return ready.unwrap(),
                more = reader.read_buf(&mut got) => assert!(more.unwrap() > 0),
            }
        }
    };
    timeout(PATIENCE, freed).await.expect("the socket stays full");
    // The next frame and a reply come, and must wait.
    let second = SharedFrame::new(vec![b'2'; 100]);
    subscription.visit(Cursor::Next(2), Cursor::Next(3), &second, &backlog());
    let reply = reply();
    let mut sending = outlet.lock();
    assert_eq!(sending.cursor(&subscription), Cursor::Next(2), "a pass got in");
    sending.queue(|out| out.extend_from_slice(&reply));
    sending.flush_replies();
    assert_eq!(sending.queued(), reply.len(), "a reply got in");
    drop(sending);

    got.extend(read(&outlet, &mut reader, MUCH + reply.len() - got.len()).await);
    assert!(got[..MUCH].iter().all(|&byte| byte == b'1'));
    assert_eq!(got[MUCH..], reply);
    assert_eq!(outlet.lock().flow(), Flow::Flowing);
    // Now the pass may write: what it is for, and nothing else.
    subscription.visit(Cursor::Next(1), Cursor::Next(2), &first, &backlog());
    subscription.visit(Cursor::Next(3), Cursor::Next(4), &first, &backlog());
    subscription.visit(Cursor::Next(2), Cursor::Next(3), &second, &backlog());
    assert_eq!(read(&outlet, &mut reader, 100).await, [b'2'; 100]);
    assert_eq!(outlet.lock().cursor(&subscription), Cursor::Next(3));
    assert_eq!(outlet.lock().sent() as usize, MUCH + reply.len() + 100);
}

/// The same for the frames that its own task writes when it catches up.
#[tokio::test]
async fn what_was_cut_while_catching_up_is_not_lost() {
    let (outlet, mut reader) = outlet().await;
    let subscription = Subscription::new(Arc::clone(&outlet), Level::Events.into());
    let mut sending = outlet.lock();
    sending.set_cursor(&subscription, Cursor::Next(1));
    sending.hold_passes();
    assert_eq!(
        sending.catch_up(&subscription, Cursor::Next(5), (&vec![b'1'; MUCH], MUCH), &backlog()),
        Sweep::Full
    );
    assert_eq!((sending.flow(), sending.cursor(&subscription)), (Flow::Choked, Cursor::Next(5)));
    drop(sending);
    assert_eq!(read(&outlet, &mut reader, MUCH).await, vec![b'1'; MUCH]);
    assert_eq!(outlet.lock().flow(), Flow::Flowing);
}

/// The rest of a frame counts until it is out, once for all who keep it; a small one that nobody else
/// keeps is copied, and counts by itself. A connection that ends keeps nothing.
#[tokio::test]
async fn what_slow_readers_keep_is_counted() {
    let backlog = backlog();
    let mut slow = Vec::new();
    let shared = SharedFrame::new(vec![b'1'; MUCH]);
    for _ in 0..3 {
        let (outlet, reader) = outlet().await;
        let subscription = Subscription::new(Arc::clone(&outlet), Level::Events.into());
        outlet.lock().set_cursor(&subscription, Cursor::Next(1));
        assert!(subscription.visit(Cursor::Next(1), Cursor::Next(2), &shared, &backlog));
        assert_eq!(backlog.bytes(), MUCH, "counted once");
        slow.push((outlet, reader));
    }
    // They keep its bytes, and not the frame.
    assert_eq!(Arc::strong_count(&shared), 1);
    drop(shared);
    slow[0].0.lock().queue(|out| out.extend_from_slice(&[b'2'; 500]));
    slow[0].0.lock().count_replies(&backlog);
    assert_eq!(backlog.bytes(), MUCH + 500);
    for (last, (outlet, mut reader)) in [false, false, true].into_iter().zip(slow) {
        if last {
            assert_eq!(read(&outlet, &mut reader, MUCH).await, vec![b'1'; MUCH]);
        } else {
            outlet.lock().close(Some(b"\x03\xe8"));
            let letter = Letter::new(ServerFrame::HeartbeatDue { in_ms: 7 });
            assert_eq!(outlet.post(letter), Err(Undelivered::Closed));
            let mut got = Vec::new();
            drop(outlet);
            drop(reader.read_buf(&mut got).await);
        }
        assert_eq!(backlog.bytes(), if last { 0 } else { MUCH }, "last: {last}");
    }
}

/// Where slow readers keep as much as they may, whoever reads is told as ever, and whoever does not
/// gets nothing whose rest had to be kept.
#[tokio::test]
async fn a_full_backlog_grows_no_more() {
    let backlog = Backlog::new(100);
    let (glutton, _unread) = outlet().await;
    let kept = Subscription::new(Arc::clone(&glutton), Level::Events.into());
    glutton.lock().set_cursor(&kept, Cursor::Next(1));
    let large = SharedFrame::new(vec![b'1'; MUCH]);
    assert!(kept.visit(Cursor::Next(1), Cursor::Next(2), &large, &backlog));
    assert!(backlog.is_full());

    let (outlet, mut reader) = outlet().await;
    let subscription = Subscription::new(Arc::clone(&outlet), Level::Events.into());
    outlet.lock().set_cursor(&subscription, Cursor::Next(1));
    let small = SharedFrame::new(vec![b'2'; 20_000]);
    let (mut seq, mut got) = (1, 0);
    while subscription.visit(Cursor::Next(seq), Cursor::Next(seq + 1), &small, &backlog) {
        seq += 1;
    }
    assert!(seq > 1, "a reader with room was told nothing");
    let mut sending = outlet.lock();
    let state = (sending.flow(), sending.cursor(&subscription));
    assert_eq!(state, (Flow::Choked, Cursor::Next(seq)), "it keeps its place");
    assert_eq!(backlog.bytes(), MUCH);
    let large = vec![b'3'; MUCH];
    let to = Cursor::Next(seq + 1);
    assert_eq!(sending.catch_up(&subscription, to, (&large, MUCH), &backlog), Sweep::NoRoom);
    assert_eq!(sending.catch_up(&subscription, to, (small.bytes(), 20_000), &backlog), Sweep::Full);
    assert_eq!(sending.cursor(&subscription), Cursor::Next(seq));
    drop(sending);
    while got < 20_000 * (seq as usize - 1) {
        let mut some = Vec::new();
        got += timeout(PATIENCE, reader.read_buf(&mut some)).await.unwrap().unwrap();
    }
    outlet.transport().writable().await.unwrap();
    let mut sending = outlet.lock();
    assert_eq!(sending.catch_up(&subscription, to, (small.bytes(), 20_000), &backlog), Sweep::Done);
    assert_eq!((sending.cursor(&subscription), backlog.bytes()), (to, MUCH));
}

/// What is told once and kept nowhere is had at once, or with the snapshot that comes instead.
#[tokio::test]
async fn what_no_log_keeps_is_had_at_once_or_with_a_snapshot() {
    let (outlet, mut reader) = outlet().await;
    let (backlog, frame) = (backlog(), SharedFrame::new(vec![b'1'; 100]));
    let subscription = Subscription::new(Arc::clone(&outlet), Level::Events.into());
    let (from, to) = (Cursor::Next(3), Cursor::Next(4));
    let resync = Cursor::Want(Want::Snapshot(SnapshotReason::Resync));
    // Whether the channel is to be asked for a snapshot, and where the subscriber stands then.
    let visited = |at| {
        outlet.lock().set_cursor(&subscription, at);
        let asks = subscription.visit_once(from, to, &frame, &backlog);
        (asks, outlet.lock().cursor(&subscription))
    };
    assert_eq!(visited(from), (false, to), "it has it");
    assert_eq!(visited(Cursor::Next(2)), (true, resync), "it lacks something before it");
    assert_eq!(visited(resync), (false, resync), "it was asked for");
    // The parts to come have it, those that came may contradict it.
    let (reason, rest) = (SnapshotReason::Subscribed, Rest::Public(9));
    let place = SnapshotPlace { seq: 2, reason, rest, missed: false, renewed: false };
    let missed = SnapshotPlace { missed: true, ..place };
    assert_eq!(visited(Cursor::Within(place)), (false, Cursor::Within(missed)));
    outlet.lock().hold_passes();
    assert_eq!(visited(from), (false, resync), "its task asks, once it has caught up");
    outlet.lock().close(None);
    assert_eq!(visited(from), (false, from), "it is gone");

    drop((subscription, outlet));
    let mut got = Vec::new();
    timeout(PATIENCE, reader.read_to_end(&mut got)).await.expect("the socket is open").unwrap();
    assert_eq!(got, frame.bytes());
}

/// Whoever goes on alone is held by its own task from then on: no pass gets in between.
#[tokio::test]
async fn whoever_is_where_it_is_thought_goes_on_alone() {
    let (outlet, _reader) = outlet().await;
    let subscription = Subscription::new(Arc::clone(&outlet), Level::Events.into());
    let (from, to) = (Cursor::Next(3), Cursor::Next(4));
    let stands = || {
        let sending = outlet.lock();
        (sending.flow(), sending.cursor(&subscription))
    };
    outlet.lock().set_cursor(&subscription, Cursor::Next(2));
    assert!(!subscription.go_on_alone(from, to), "it is elsewhere");
    assert_eq!(stands(), (Flow::Flowing, Cursor::Next(2)));
    outlet.lock().set_cursor(&subscription, from);
    assert!(subscription.go_on_alone(from, to));
    assert_eq!(stands(), (Flow::Choked, to));
    outlet.lock().set_cursor(&subscription, from);
    assert!(!subscription.go_on_alone(from, to), "its task is at it");
    assert_eq!(stands(), (Flow::Choked, from));
}

/// A timer that fires late, after another was armed or none, wakes nobody.
#[tokio::test]
async fn only_the_timer_that_is_armed_wakes_the_task() {
    let (outlet, _reader) = outlet().await;
    assert_eq!(outlet.arm(20), Some(Outlet::NEVER));
    assert_eq!(outlet.arm(30), None, "it is woken earlier anyway");
    assert_eq!(outlet.arm(20), None, "it is woken then anyway");
    assert_eq!(outlet.arm(10), Some(20));
    outlet.fire(20);
    assert!(!outlet.take_wake(Wake::Timer));
    outlet.fire(10);
    assert!(outlet.take_wake(Wake::Timer) && !outlet.take_wake(Wake::Timer));
    outlet.fire(10);
    assert!(!outlet.take_wake(Wake::Timer), "it fires once");
    assert_eq!(outlet.arm(40), Some(Outlet::NEVER));
    assert_eq!(outlet.disarm(), 40);
    outlet.fire(40);
    assert!(!outlet.take_wake(Wake::Timer));
}
