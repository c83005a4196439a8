//! The works that systems are compared on: which mode, with which load, and which numbers count.

use clap::ValueEnum;

use crate::failure::Result;
use crate::mode::fanout::{self, Load};
use crate::mode::{heartbeat, idle, levels, pacing, slow, storm};
use crate::peer::{Peer, set_frame_bytes};
use crate::subject::Subject;
use crate::table::median;

/// A work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub(crate) enum Work {
    Fanout1,
    Fanout32,
    Open200,
    Storm1000,
    Storm5000,
    Idle,
    Heartbeat,
    Slow,
    Pacing,
    Levels,
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Full,
    Quick,
}

impl Scale {
    fn of(self, full: u32) -> u32 {
        match self {
            Self::Full => full,
            Self::Quick => full / 10,
        }
    }
}

/// Further channels that each connection subscribes, to tell what one costs.
const FURTHER: u32 = 20;

type Values = Vec<(&'static str, f64)>;

const FANOUT_COLUMNS: &[&str] = &[
    "peer",
    "server_cpu_s_per_million",
    "deliveries_per_s",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "bytes_per_delivery",
    "generator_cpu_s_per_million",
];
const STORM_COLUMNS: &[&str] =
    &["peer", "seconds", "mb", "server_cpu_s", "generator_cpu_s", "server_peak_mib"];
const IDLE_COLUMNS: &[&str] = &[
    "peer",
    "bytes_per_connection",
    "bytes_per_further_subscription",
    "growth_percent",
    "connect_s",
];
const HEARTBEAT_COLUMNS: &[&str] =
    &["peer", "server_us_per_heartbeat", "generator_us_per_heartbeat"];
const SLOW_COLUMNS: &[&str] = &[
    "peer",
    "p99_ms_without",
    "p99_ms_with",
    "p99_ratio",
    "kib_per_slow_reader",
    "let_go",
    "truth_after_s",
];

const PACING_COLUMNS: &[&str] = &[
    "peer",
    "p50_ms_alone",
    "p99_ms_alone",
    "max_ms_alone",
    "p50_ms_beside",
    "p99_ms_beside",
    "max_ms_beside",
    "p99_ratio",
    "queued_ms_beside",
    "giant_deliveries_per_s",
    "giant_p99_ms",
];
const LEVELS_COLUMNS: &[&str] = &[
    "peer",
    "exact_after_s",
    "most_frames",
    "frames_of_allowed",
    "bytes_per_subscriber_per_s",
    "server_cores",
    "bytes_per_connection",
];

impl Work {
    pub(crate) const ALL: [Self; 10] = [
        Self::Fanout1,
        Self::Fanout32,
        Self::Open200,
        Self::Storm1000,
        Self::Storm5000,
        Self::Idle,
        Self::Heartbeat,
        Self::Slow,
        Self::Pacing,
        Self::Levels,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fanout1 => "fanout1",
            Self::Fanout32 => "fanout32",
            Self::Open200 => "open200",
            Self::Storm1000 => "storm1000",
            Self::Storm5000 => "storm5000",
            Self::Idle => "idle",
            Self::Heartbeat => "heartbeat",
            Self::Slow => "slow",
            Self::Pacing => "pacing",
            Self::Levels => "levels",
        }
    }

    /// For the heading of its table.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Fanout1 => "1,000 subscribers, one update outstanding",
            Self::Fanout32 => "1,000 subscribers, 32 updates outstanding",
            Self::Open200 => "2,000 subscribers, 200 updates a second",
            Self::Storm1000 => "1,000 clients join and subscribe one channel at once",
            Self::Storm5000 => "5,000 clients join and subscribe one channel at once",
            Self::Idle => "10,000 connections joined and subscribed over 1,000 channels",
            Self::Heartbeat => "1,000 connections, 20,000 heartbeats a second in all",
            Self::Slow => "2,000 subscribers, 500 updates a second, 100 of them stop for 6 s",
            Self::Pacing => "1,000 small channels, alone and beside one of 9,000 subscribers",
            Self::Levels => "15,000 members subscribe `auto`, 500 a second come and go",
        }
    }

    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Fanout1 | Self::Fanout32 | Self::Open200 => FANOUT_COLUMNS,
            Self::Storm1000 | Self::Storm5000 => STORM_COLUMNS,
            Self::Idle => IDLE_COLUMNS,
            Self::Heartbeat => HEARTBEAT_COLUMNS,
            Self::Slow => SLOW_COLUMNS,
            Self::Pacing => PACING_COLUMNS,
            Self::Levels => LEVELS_COLUMNS,
        }
    }

    /// Whether a system can do it, in reasonable time.
    pub(crate) fn suits(self, peer: Peer) -> bool {
        match self {
            Self::Fanout1 | Self::Fanout32 | Self::Open200 => true,
            // sockudo leaves clients one member short for good: there is no time to measure.
            Self::Storm1000 => peer.has_presence() && peer != Peer::Sockudo,
            Self::Idle => peer.has_presence(),
            // Where every join is a message to everybody, that storm is 25 million messages; and
            // 960,000 deliveries a second are beyond any system that writes each on its own.
            Self::Storm5000 | Self::Slow | Self::Pacing | Self::Levels => peer == Peer::Herenow,
            Self::Heartbeat => peer.has_presence() || peer == Peer::Floor,
        }
    }

    /// Does it once; the numbers by the names of the columns.
    pub(crate) fn measure(
        self,
        subject: Subject,
        scale: Scale,
        frame_bytes: Option<f64>,
    ) -> Result<Values> {
        set_frame_bytes(frame_bytes.map_or(180, |bytes| bytes.round() as usize));
        match self {
            Self::Fanout1 => fan_out(&load(1000, scale.of(500), 1, None), &subject),
            Self::Fanout32 => fan_out(&load(1000, scale.of(1000), 32, None), &subject),
            Self::Open200 => fan_out(&load(scale.of(2000), 600, 1, Some(200)), &subject),
            Self::Storm1000 => storm_of(scale.of(1000), subject),
            Self::Storm5000 => storm_of(scale.of(5000), subject),
            Self::Idle => idle_of(scale, subject),
            Self::Heartbeat => {
                let rate = scale.of(20_000);
                let args = heartbeat::HeartbeatArgs {
                    connections: 1000,
                    rate,
                    seconds: 5,
                    repeats: 1,
                    subject,
                };
                let measured = heartbeat::measure(&args)?;
                Ok(vec![
                    ("server_us_per_heartbeat", measured.server),
                    ("generator_us_per_heartbeat", measured.generator),
                ])
            }
            Self::Slow => slow_of(scale, subject),
            Self::Pacing => pacing_of(scale, subject),
            Self::Levels => levels_of(scale, subject),
        }
    }
}

fn load(subscribers: u32, updates: u32, outstanding: u32, rate: Option<u32>) -> Load {
    Load { subscribers, updates, outstanding, rate, publishers: 256, repeats: 1 }
}

fn fan_out(load: &Load, subject: &Subject) -> Result<Values> {
    let measured = fanout::measure_once(load, subject)?;
    Ok(vec![
        ("server_cpu_s_per_million", measured.server_cpu_per_million()),
        ("deliveries_per_s", measured.deliveries / measured.seconds),
        ("p50_ms", measured.latency.quantile_ms(0.5)),
        ("p99_ms", measured.latency.quantile_ms(0.99)),
        ("max_ms", measured.latency.max_ms()),
        ("bytes_per_delivery", measured.bytes_per_delivery()),
        ("generator_cpu_s_per_million", measured.generator_cpu_per_million()),
    ])
}

fn storm_of(clients: u32, subject: Subject) -> Result<Values> {
    // The broker is quick enough to be asked more than once a repeat.
    let repeats = if subject.peer == Peer::Herenow { 7 } else { 1 };
    let all = storm::measure(&storm::StormArgs { clients, repeats, subject })?;
    let middle = |value: fn(&storm::StormFigures) -> f64| {
        median(&mut all.iter().map(value).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    };
    Ok(vec![
        ("seconds", middle(|one| one.seconds)),
        ("mb", middle(|one| one.bytes as f64 / 1e6)),
        ("server_cpu_s", middle(|one| one.server_cpu)),
        ("generator_cpu_s", middle(|one| one.generator_cpu)),
        ("server_peak_mib", middle(|one| one.peak as f64 / f64::from(1 << 20))),
    ])
}

fn idle_of(scale: Scale, subject: Subject) -> Result<Values> {
    let connections = scale.of(10_000);
    let channels = connections / 10;
    let idle = |rounds, further, subject| {
        idle::measure(&idle::IdleArgs { connections, channels, rounds, further, subject })
    };
    let each = |bytes: f64| bytes / f64::from(connections);
    let rounds = if subject.peer == Peer::Herenow { 6 } else { 1 };
    let (baseline, measured) = idle(rounds, 0, subject.clone())?;
    let mut values = Vec::new();
    if let Some(first) = measured.first() {
        values.push(("bytes_per_connection", each(first.resident - baseline)));
        values.push(("connect_s", first.connect));
    }
    if let [first, .., last] = measured.as_slice() {
        values.push(("growth_percent", 100.0 * (last.resident / first.resident - 1.0)));
    }
    // Only herenow subscribes channels that it has not joined in the same words everywhere.
    if subject.peer == Peer::Herenow {
        let (_, measured) = idle(1, FURTHER, subject)?;
        if let [idle::IdleFigures { resident, with_further: Some(with), .. }] = measured.as_slice()
        {
            let one = each(with - resident) / f64::from(FURTHER);
            values.push(("bytes_per_further_subscription", one));
        }
    }
    Ok(values)
}

fn slow_of(scale: Scale, subject: Subject) -> Result<Values> {
    let (subscribers, slow) = (scale.of(2000), scale.of(100));
    let args =
        slow::SlowArgs { subscribers, slow, crawl: 0, rate: 500, seconds: 6, repeats: 1, subject };
    let measured = slow::measure(&args)?;
    Ok(vec![
        ("p99_ms_without", measured.p99_without),
        ("p99_ms_with", measured.p99_with),
        ("p99_ratio", measured.p99_with / measured.p99_without.max(0.001)),
        ("kib_per_slow_reader", measured.bytes_per_reader / 1024.0),
        ("let_go", measured.let_go as f64),
        ("truth_after_s", measured.truth_after),
    ])
}

fn pacing_of(scale: Scale, subject: Subject) -> Result<Values> {
    let args = pacing::PacingArgs {
        channels: scale.of(1000),
        subscribers_each: 2,
        rate: scale.of(1000),
        seconds: scale.of(20),
        giant_subscribers: scale.of(9000),
        giant_publishers: 256,
        giant_rate: 200,
        nice: 10,
        subject,
    };
    let measured = pacing::measure(&args)?;
    let (alone, beside) = (&measured.alone.latency, &measured.beside.latency);
    Ok(vec![
        ("p50_ms_alone", alone.quantile_ms(0.5)),
        ("p99_ms_alone", alone.quantile_ms(0.99)),
        ("max_ms_alone", alone.max_ms()),
        ("p50_ms_beside", beside.quantile_ms(0.5)),
        ("p99_ms_beside", beside.quantile_ms(0.99)),
        ("max_ms_beside", beside.max_ms()),
        ("p99_ratio", measured.p99_ratio()),
        ("queued_ms_beside", measured.beside.queued_ms),
        ("giant_deliveries_per_s", measured.giant.deliveries_per_s),
        ("giant_p99_ms", measured.giant.p99_ms),
    ])
}

fn levels_of(scale: Scale, subject: Subject) -> Result<Values> {
    // A tenth of the members is still more than the broker lists.
    let args = levels::LevelsArgs {
        members: scale.of(15_000),
        visitors: scale.of(500),
        seconds: 10,
        roster_limit: 1000,
        subject,
    };
    let measured = levels::measure(&args)?;
    let (most, allowed) = (f64::from(measured.most_frames), f64::from(measured.allowed_frames));
    Ok(vec![
        ("exact_after_s", measured.exact_after),
        ("most_frames", most),
        ("frames_of_allowed", most / allowed),
        ("bytes_per_subscriber_per_s", measured.bytes_per_subscriber_per_s),
        ("server_cores", measured.server_cores),
        ("bytes_per_connection", measured.bytes_per_connection),
    ])
}
