//! What herenow set out to reach, and whether this run shows it.

use crate::compare::samples::Samples;
use crate::compare::work::Work;
use crate::mode::levels::EXACT_WITHIN;
use crate::peer::Peer;
use crate::table::{Cell, Table};

const CPU: &str = "server_cpu_s_per_million";
/// Only whole systems count as the best of the peers, not the floors.
const PEERS: [Peer; 5] = [Peer::Mosquitto, Peer::Socketio, Peer::Ws, Peer::Nats, Peer::Sockudo];

/// What a figure is divided by.
#[derive(Clone, Copy)]
enum Against {
    Nothing,
    One(Peer),
    Best,
}

/// A figure, what it is divided by, and what must not be exceeded.
type Bound = (&'static str, Work, &'static str, Against, f64);

const BOUNDS: [Bound; 22] = [
    ("fan-out, 1 outstanding: CPU, × floor", Work::Fanout1, CPU, Against::One(Peer::Floor), 1.05),
    ("fan-out, 1 outstanding: CPU, × best peer", Work::Fanout1, CPU, Against::Best, 0.8),
    (
        "fan-out, 32 outstanding: CPU, × batched floor",
        Work::Fanout32,
        CPU,
        Against::One(Peer::FloorBatched),
        1.2,
    ),
    ("open loop, 200/s: CPU, × floor", Work::Open200, CPU, Against::One(Peer::Floor), 0.25),
    ("open loop, 200/s: p99, ms", Work::Open200, "p99_ms", Against::Nothing, 100.0),
    ("storm of 1,000: seconds", Work::Storm1000, "seconds", Against::Nothing, 0.2),
    ("storm of 1,000: seconds, × best peer", Work::Storm1000, "seconds", Against::Best, 0.1),
    ("storm of 5,000: seconds", Work::Storm5000, "seconds", Against::Nothing, 1.0),
    // Half of those seconds and more are the generator's, which shares the machine.
    ("storm of 5,000: the broker's CPU s", Work::Storm5000, "server_cpu_s", Against::Nothing, 1.0),
    ("idle: bytes per connection", Work::Idle, "bytes_per_connection", Against::Nothing, 2048.0),
    (
        "idle: bytes per connection, × mosquitto",
        Work::Idle,
        "bytes_per_connection",
        Against::One(Peer::Mosquitto),
        0.3,
    ),
    (
        "idle: bytes per further subscription",
        Work::Idle,
        "bytes_per_further_subscription",
        Against::Nothing,
        150.0,
    ),
    (
        "idle: growth after coming again 5 times, %",
        Work::Idle,
        "growth_percent",
        Against::Nothing,
        5.0,
    ),
    (
        "heartbeat: CPU, × reading and dropping",
        Work::Heartbeat,
        "server_us_per_heartbeat",
        Against::One(Peer::Floor),
        1.3,
    ),
    ("slow readers: KiB each", Work::Slow, "kib_per_slow_reader", Against::Nothing, 64.0),
    ("slow readers: others' p99, × without", Work::Slow, "p99_ratio", Against::Nothing, 1.2),
    ("slow readers: seconds to the truth", Work::Slow, "truth_after_s", Against::Nothing, 1.0),
    ("slow readers: let go", Work::Slow, "let_go", Against::Nothing, 0.0),
    ("beside a giant: p99, ms", Work::Pacing, "p99_ms_beside", Against::Nothing, 10.0),
    ("beside a giant: p99, × alone", Work::Pacing, "p99_ratio", Against::Nothing, 2.0),
    (
        "levels: seconds to the exact count",
        Work::Levels,
        "exact_after_s",
        Against::Nothing,
        EXACT_WITHIN,
    ),
    (
        "levels: count frames, × one at once and one a second",
        Work::Levels,
        "frames_of_allowed",
        Against::Nothing,
        1.0,
    ),
];

/// Each figure beside its bound.
pub(crate) fn table(samples: &Samples) -> Table {
    let mut table = Table::new(&["figure", "measured", "at_most", "verdict"]);
    for (name, work, metric, against, bound) in BOUNDS {
        let value = figure(samples, work, metric, against);
        let verdict = match value {
            None => "not measured",
            Some(value) if value <= bound => "reached",
            Some(_) => "MISSED",
        };
        let measured = value.map_or(Cell::Nothing, |value| Cell::Number(value, 3));
        table.row(vec![name.into(), measured, Cell::Number(bound, 2), verdict.into()]);
    }
    table
}

fn figure(samples: &Samples, work: Work, metric: &str, against: Against) -> Option<f64> {
    let own = samples.median(work, Peer::Herenow, metric)?;
    let of = |peer| samples.median(work, peer, metric);
    match against {
        Against::Nothing => Some(own),
        Against::One(peer) => Some(own / of(peer)?),
        Against::Best => Some(own / PEERS.into_iter().filter_map(of).min_by(f64::total_cmp)?),
    }
}
