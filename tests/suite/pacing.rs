//! Pacing: after a pass that told of several changes the flusher rests for as long as the pass took,
//! so that one channel never takes all there is. After one that told of a single change it does not
//! rest: there is nothing to fold.
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

/// A giant of which the first and the last subscriber, in the order of a pass, are read.
struct Giant {
    first: Client,
    last: Client,
    /// Nobody reads these: their sockets hold all that comes.
    _crowd: Vec<Client>,
}

async fn giant(broker: &Process, crowd: usize) -> Giant {
    let mut first = broker.connect("first").await;
    first.observe("giant").await;
    let mut unread = Vec::new();
    for number in 0..crowd {
        let mut one = broker.connect(&format!("crowd-{number}")).await;
        one.observe("giant").await;
        unread.push(one);
    }
    let mut last = broker.connect("last").await;
    last.observe("giant").await;
    Giant { first, last, _crowd: unread }
}

async fn restless(broker: &Process) -> Client {
    let mut restless = broker.connect("restless").await;
    restless.ok("join giant").await;
    restless
}

async fn change(restless: &mut Client, step: u64) {
    let set = json!({"type": "setAttributes", "channel": "giant", "attributes": {"step": step}});
    restless.ok(set).await;
}

/// Between the first and the last subscriber of a pass lies its cost, between the last of one and
/// the first of the next the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_giant_rests_as_long_as_it_writes() {
    // Where the readers had no turn for long, they read the first and the last at one time.
    for _ in 0..5 {
        let (passes, rests) = passes_and_rests().await;
        if passes > REST_MIN {
            assert!(2 * rests > passes, "rests {rests:?} after passes of {passes:?}");
            return;
        }
    }
    panic!("all passes are too short to tell");
}

/// How long a pass takes, and a rest, in the median.
async fn passes_and_rests() -> (Duration, Duration) {
    let broker = Process::start(&["--max-frames-per-second=1000000", "--max-frames-burst=1000000"]);
    let Giant { first, last, _crowd } = giant(&broker, CROWD).await;
    let clock = Clock::start();
    let (first, last) = (tokio::spawn(arrivals(first, clock)), tokio::spawn(arrivals(last, clock)));
    let mut restless = restless(&broker).await;
    let mut step = 0;
    while !(first.is_finished() && last.is_finished()) {
        step += 1;
        change(&mut restless, step).await;
    }
    let (first, last) = (first.await.unwrap(), last.await.unwrap());
    let passes = median((2..FRAMES).map(|seq| last[&seq].saturating_sub(first[&seq])));
    let rests = median((2..FRAMES).map(|seq| first[&(seq + 1)].saturating_sub(last[&seq])));
    (passes, rests)
}

/// When the one change that was under way has come to the last subscriber, the next comes at once: less
/// than half a pass later, where a rest would be a whole one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_change_at_a_time_is_not_rested_after() {
    let broker = Process::start(&["--max-frames-per-second=1000000", "--max-frames-burst=1000000"]);
    let Giant { mut first, mut last, _crowd } = giant(&broker, 2 * CROWD).await;
    let mut restless = restless(&broker).await;
    let clock = Clock::start();
    let (mut passes, mut gaps, mut ended) = (Vec::new(), Vec::new(), None);
    for step in 0..FRAMES {
        change(&mut restless, step).await;
        let began = arrival(&mut first, clock).await;
        if let Some(ended) = ended {
            gaps.push(began.saturating_sub(ended));
        }
        let end = arrival(&mut last, clock).await;
        passes.push(end.saturating_sub(began));
        ended = Some(end);
    }
    let (pass, gap) = (median(passes.into_iter()), median(gaps.into_iter()));
    assert!(pass > 2 * REST_MIN, "a pass of {pass:?} is too short to tell");
    assert!(2 * gap < pass, "{gap:?} from one to the next after passes of {pass:?}");
}

async fn arrival(client: &mut Client, clock: Clock) -> Duration {
    let told = async {
        while !matches!(client.next().await, ServerFrame::Presence { .. }) {}
        clock.elapsed()
    };
    timeout(PATIENCE, told).await.expect("the giant stopped")
}
