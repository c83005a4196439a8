//! What becomes of a broker in which a bug panics. The bug is a clock that shows no moment there can be:
//! whoever reads it panics.

use std::time::Duration;

use herenow::chance::Chance;
use herenow::clock::Clock;
use herenow::limits::PANIC_REST;
use herenow::presence::{Command, Source};
use herenow_protocol::{ChannelName, LeaveReason, UserId};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::broker::Broker;
use crate::client::PATIENCE;

#[tokio::test]
async fn whoever_runs_a_broker_hears_that_its_timers_are_gone() {
    let (clock, shift) = Clock::shiftable();
    let broker = Broker::on(clock, Chance::from_seed(1), |_| {});
    assert!(timeout(Duration::from_millis(500), broker.failed()).await.is_err());
    shift.pass(u64::MAX);
    assert_eq!(timeout(PATIENCE, broker.failed()).await.unwrap(), "the timers");
}

#[tokio::test]
async fn what_could_not_be_told_is_told_after_a_rest() {
    let (clock, shift) = Clock::shiftable();
    let broker = Broker::on(clock, Chance::from_seed(1), |_| {});
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    let room = ChannelName::parse("room", "channel").unwrap();
    let leave = Command::Leave {
        user: UserId::parse("ada", "user").unwrap(),
        source: Source::connection(broker.hub().connections_opened()),
        reason: LeaveReason::Left,
    };
    let now = clock.now();
    broker.hub().enter_existing(&room, |door| door.apply(leave, now).unwrap());
    shift.pass(u64::MAX);
    // The flusher stands before this task now, on the one thread.
    yield_now().await;
    // The clock is right again.
    shift.pass(1);
    assert!(timeout(PANIC_REST / 2, observer.told()).await.is_err(), "it did not panic");
    sleep(PANIC_REST / 2).await;
    assert_eq!(timeout(PATIENCE, observer.told()).await.unwrap(), "leave ada left");
}
