//! Connections to a Redis that is stopped, stands still, and comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use herenow::auth::Secret;
use herenow::chance::Chance;
use herenow::clock::Clock;
use herenow::config::ClusterFlags;
use herenow::metrics::RedisMetrics;
use herenow::redis::Address;
use herenow::redis::ear::Ear;
use herenow::redis::line::{Failed, Line};
use tokio::time::{sleep, timeout};

use crate::server::Redis;

/// Longer than anything takes, on a machine that has much else to do.
const SOON: Duration = Duration::from_secs(30);

fn address(redis: &Redis) -> Address {
    let url = Some(Secret::new(redis.url().as_bytes()));
    Address::of(&ClusterFlags { redis_url: url, ..ClusterFlags::default() }).unwrap().unwrap()
}

fn line(redis: &Redis) -> Arc<Line> {
    let chance = Arc::new(Chance::from_entropy());
    let metrics = Arc::new(RedisMetrics::default());
    let line = Arc::new(Line::new(address(redis), Clock::start(), chance, metrics));
    let kept = Arc::clone(&line);
    tokio::spawn(async move { kept.keep().await });
    line
}

async fn ping(line: &Line) -> Result<String, Failed> {
    line.ask(|mut wire| async move { redis::cmd("PING").query_async(&mut wire).await }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_killed_is_connected_anew_and_known_as_another_one() {
    let mut redis = Redis::start();
    let line = line(&redis);
    let mut joined = line.joined();
    assert_eq!(ping(&line).await, Err(Failed::Away), "not connected yet");
    let first = timeout(SOON, joined.wait_for(Option::is_some)).await.unwrap().unwrap().clone();
    assert_eq!(ping(&line).await.as_deref(), Ok("PONG"));
    redis.kill();
    timeout(SOON, joined.wait_for(Option::is_none)).await.unwrap().unwrap();
    assert!(!line.is_well());
    assert_eq!(ping(&line).await, Err(Failed::Away));
    redis.revive();
    let second = timeout(SOON, joined.wait_for(Option::is_some)).await.unwrap().unwrap().clone();
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(second.number > first.number && second.runs != first.runs);
    assert_eq!(ping(&line).await.as_deref(), Ok("PONG"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_stands_still_every_question_ends() {
    let redis = Redis::start();
    let line = line(&redis);
    let mut joined = line.joined();
    timeout(SOON, joined.wait_for(Option::is_some)).await.unwrap().unwrap();
    redis.stand_still(true);
    let start = Instant::now();
    while line.is_well() {
        let answer = timeout(SOON, ping(&line)).await.expect("a question without an end");
        assert!(answer.is_err(), "{answer:?}");
        assert!(start.elapsed() < SOON, "nobody noticed");
    }
    redis.stand_still(false);
    let start = Instant::now();
    while ping(&line).await.is_err() {
        assert!(start.elapsed() < SOON, "it does not come back");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_heard_and_whatever_may_be_missed_is_noticed() {
    let mut redis = Redis::start();
    let chance = Arc::new(Chance::from_entropy());
    let metrics = Arc::new(RedisMetrics::default());
    let (ear, mut heard) =
        Ear::new(address(&redis), "herenow", Clock::start(), chance, Arc::clone(&metrics));
    let ear = Arc::new(ear);
    let kept = Arc::clone(&ear);
    tokio::spawn(async move { kept.keep().await });
    let mut whole = ear.whole();
    timeout(SOON, whole.wait_for(|&whole| whole > 0)).await.unwrap().unwrap();
    assert!(ear.listen("room").await);
    redis.ask("PUBLISH room one");
    let one = timeout(SOON, heard.recv()).await.unwrap().unwrap();
    assert_eq!((&*one.topic, &*one.text), ("room", &b"one"[..]));

    // The connection stays, but nothing comes by it: the ear finds out by itself.
    redis.stand_still(true);
    timeout(SOON, whole.wait_for(|&whole| whole == 0)).await.unwrap().unwrap();
    redis.stand_still(false);
    timeout(SOON, whole.wait_for(|&whole| whole > 0)).await.unwrap().unwrap();
    redis.ask("PUBLISH room two");
    let two = timeout(SOON, heard.recv()).await.unwrap().unwrap();
    assert_eq!(&*two.text, b"two");

    redis.kill();
    timeout(SOON, whole.wait_for(|&whole| whole == 0)).await.unwrap().unwrap();
    redis.revive();
    timeout(SOON, whole.wait_for(|&whole| whole > 0)).await.unwrap().unwrap();
    redis.ask("PUBLISH room three");
    let three = timeout(SOON, heard.recv()).await.unwrap().unwrap();
    assert_eq!(&*three.text, b"three");
    ear.ignore("room").await;
    redis.ask("PUBLISH room four");
    ear.listen("hall").await;
    redis.ask("PUBLISH hall five");
    let five = timeout(SOON, heard.recv()).await.unwrap().unwrap();
    assert_eq!(&*five.text, b"five");
}
