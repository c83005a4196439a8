//! Pacing: after a pass the flusher rests for as long as the pass took, so that one channel never
//! takes all there is.
//!
//! Told by the ratio of two times of the same run, because neither means anything on its own. On a
//! machine that does other things too the ratio strays by a fifth, so that here only a flusher that
//! does not rest is found. How long a rest is decided to be is tested to the nanosecond beside the
//! decision, in `hub::pace`.

use std::collections::BTreeMap;
use std::time::Duration;

use herenow::clock::Clock;
use herenow::limits::REST_MIN;
use herenow_protocol::ServerFrame;
use serde_json::json;
use tokio::time::timeout;

use crate::broker::Process;
use crate::client::{Client, PATIENCE};

const CROWD: usize = 600;
const FRAMES: u64 = 40;

/// When each frame of the giant came.
async fn arrivals(mut client: Client, clock: Clock) -> BTreeMap<u64, Duration> {
    let mut arrivals = BTreeMap::new();
    let all = async {
        loop {
            if let ServerFrame::Presence { seq, .. } = client.next().await {
                arrivals.insert(seq, clock.elapsed());
                if seq >= FRAMES {
                    return;
                }
            }
        }
    };
    timeout(PATIENCE, all).await.expect("the giant stopped");
    arrivals
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Between the first and the last subscriber of a pass lies its cost, between the last of one and
/// the first of the next the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_giant_rests_as_long_as_it_writes() {
    let broker = Process::start(&["--max-frames-per-second=1000000", "--max-frames-burst=1000000"]);
    let mut first = broker.connect("first").await;
    first.observe("giant").await;
    // Nobody reads these: their sockets hold all that comes.
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let mut one = broker.connect(&format!("crowd-{number}")).await;
        one.observe("giant").await;
        crowd.push(one);
    }
    let mut last = broker.connect("last").await;
    last.observe("giant").await;

    let clock = Clock::start();
    let (first, last) = (tokio::spawn(arrivals(first, clock)), tokio::spawn(arrivals(last, clock)));
    let mut restless = broker.connect("restless").await;
    restless.ok("join giant").await;
    let mut step = 0;
    while !(first.is_finished() && last.is_finished()) {
        step += 1;
        restless
            .ok(json!({"type": "setAttributes", "channel": "giant", "attributes": {"step": step}}))
            .await;
    }
    let (first, last) = (first.await.unwrap(), last.await.unwrap());
    let passes = median((2..FRAMES).map(|seq| last[&seq].saturating_sub(first[&seq])));
    let rests = median((2..FRAMES).map(|seq| first[&(seq + 1)].saturating_sub(last[&seq])));
    assert!(passes > REST_MIN, "a pass of {passes:?} is too short to tell");
    assert!(2 * rests > passes, "rests {rests:?} after passes of {passes:?}");
}
