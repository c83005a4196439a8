//! `fanout`: what it costs to tell many subscribers of a small change, and how long it takes.
//!
//! Publishers are members whose attributes change; subscribers observe them. With `--outstanding W`
//! a new update is made when one of W has reached everybody; with `--rate R` they are made on time,
//! come what may. A tenth of the updates warms up and is not counted. Latency runs from the moment
//! when an update was due to the moment when the generator has read it.
//!
//! How it can mislead: the server's CPU time includes the kernel's part of each write(2), and on
//! loopback the write also does most of the receiver's work in the kernel. So compare with `floor`,
//! which pays the same. Latency includes the generator's own reading, one subscriber after the
//! other, and in open loop its timer's step of up to 1 ms. CPU time under a millisecond per update
//! needs many updates to be more than noise.

use clap::Args;

use crate::broadcast::Broadcast;
use crate::clock;
use crate::failure::{Result, fail};
use crate::histogram::Histogram;
use crate::peer::{Peer, set_frame_bytes};
use crate::procfs::{CpuTime, Memory};
use crate::server::Server;
use crate::subject::Subject;
use crate::swarm::Swarm;
use crate::table::{Cell, Table};

pub(crate) const COLUMNS: &[&str] = &[
    "repeat",
    "peer",
    "subscribers",
    "updates",
    "load",
    "seconds",
    "deliveries_per_s",
    "folded",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "server_cpu_s_per_million",
    "generator_cpu_s_per_million",
    "bytes_per_delivery",
    "frames_per_delivery",
    "server_peak_mib",
];

/// The generator remembers, in 4 bytes, the last update of each publisher at each subscriber.
pub(crate) const PAIRS_MAX: u64 = 1 << 28;

/// Small changes told to many subscribers
#[derive(Args, Clone, Debug)]
pub(crate) struct FanoutArgs {
    #[command(flatten)]
    pub(crate) load: Load,

    /// Bytes of a frame on the wire (floor only)
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(14..=60_000))]
    pub(crate) bytes: Option<u16>,

    #[command(flatten)]
    pub(crate) subject: Subject,
}

/// The load of a fan-out.
#[derive(Args, Clone, Debug)]
pub(crate) struct Load {
    /// Connections that observe the channel
    #[arg(long, value_name = "S", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) subscribers: u32,

    /// Changes to measure, after a tenth as many for warming up
    #[arg(long, value_name = "U", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    pub(crate) updates: u32,

    /// Updates that may be on their way at the same time
    #[arg(long, value_name = "W", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) outstanding: u32,

    /// Updates a second, whether the ones before have arrived or not
    #[arg(long, value_name = "R", conflicts_with = "outstanding", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: Option<u32>,

    /// Members whose attributes change, in turn
    #[arg(long, value_name = "P", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) publishers: u32,

    /// How often to measure, each time with new connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeats: u32,
}

impl Load {
    /// Makes `updates` updates in the way that the flags say.
    pub(crate) fn make(
        &self,
        updates: usize,
        swarm: &mut Swarm,
        all: &mut Broadcast,
        subject: &Subject,
    ) -> Result<()> {
        match self.rate {
            Some(rate) => {
                let rate = f64::from(rate);
                let deadline = subject.deadline_after(updates as f64 / rate);
                all.open_loop(swarm, updates, rate, deadline)
            }
            None => all.closed_loop(swarm, updates, self.outstanding as usize, subject.deadline()),
        }
    }

    fn name(&self) -> String {
        match self.rate {
            Some(rate) => format!("{rate}/s"),
            None => format!("{} outstanding", self.outstanding),
        }
    }
}

/// What one run found.
#[derive(Debug)]
pub(crate) struct FanoutFigures {
    pub(crate) seconds: f64,
    pub(crate) deliveries: f64,
    pub(crate) folded: u64,
    pub(crate) latency: Histogram,
    pub(crate) server_cpu: f64,
    pub(crate) generator_cpu: f64,
    pub(crate) bytes: f64,
    pub(crate) frames: f64,
    pub(crate) peak: u64,
}

impl FanoutFigures {
    /// CPU seconds of the server for a million deliveries.
    pub(crate) fn server_cpu_per_million(&self) -> f64 {
        self.server_cpu / self.deliveries.max(1.0) * 1e6
    }

    /// CPU seconds of the generator for a million deliveries.
    pub(crate) fn generator_cpu_per_million(&self) -> f64 {
        self.generator_cpu / self.deliveries.max(1.0) * 1e6
    }

    /// Bytes on the wire for each delivery.
    pub(crate) fn bytes_per_delivery(&self) -> f64 {
        self.bytes / self.deliveries.max(1.0)
    }
}

/// Runs the mode.
pub(crate) fn run(args: &FanoutArgs) -> Result<()> {
    let table = measure(args)?;
    table.publish(args.subject.common.csv.as_deref())
}

/// The table of all repeats, with their median if there are several.
pub(crate) fn measure(args: &FanoutArgs) -> Result<Table> {
    if args.load.outstanding > args.load.publishers {
        fail!("--outstanding {} needs as many --publishers", args.load.outstanding);
    }
    if let Some(bytes) = args.bytes {
        if !matches!(args.subject.peer, Peer::Floor | Peer::FloorBatched) {
            fail!("--bytes is for the floor: every other system decides on its own bytes");
        }
        set_frame_bytes(usize::from(bytes));
    }
    let mut table = Table::new(COLUMNS);
    for repeat in 1..=args.load.repeats as usize {
        let measured = measure_once(&args.load, &args.subject)?;
        table.row(row(args, repeat, &measured));
    }
    if args.load.repeats > 1 {
        table.median_row("median");
    }
    Ok(table)
}

/// One measurement, on a server of its own.
pub(crate) fn measure_once(load: &Load, subject: &Subject) -> Result<FanoutFigures> {
    if u64::from(load.subscribers) * u64::from(load.publishers) > PAIRS_MAX {
        fail!("--subscribers × --publishers is more than the generator can remember, {PAIRS_MAX}");
    }
    let mut server = subject.launch()?;
    let result = one_run(load, subject, &server);
    server.explain(result)
}

fn one_run(load: &Load, subject: &Subject, server: &Server) -> Result<FanoutFigures> {
    let mut swarm = Swarm::new(server.address)?;
    let (publishers, subscribers) = (load.publishers as usize, load.subscribers as usize);
    let mut all = Broadcast::new(subject.peer.dialect(1), publishers, subscribers)?;
    all.gather(&mut swarm, subject.deadline())?;
    let updates = load.updates as usize;
    load.make((updates / 10).max(load.outstanding as usize), &mut swarm, &mut all, subject)?;
    measure_load(load, &mut swarm, &mut all, server, subject)
}

/// Makes the load's updates and counts what they took.
pub(crate) fn measure_load(
    load: &Load,
    swarm: &mut Swarm,
    all: &mut Broadcast,
    server: &Server,
    subject: &Subject,
) -> Result<FanoutFigures> {
    let generator = std::process::id();
    all.start_counting();
    let (server_before, generator_before) = (CpuTime::of(server.pid)?, CpuTime::of(generator)?);
    let tally_before = swarm.tally();
    let start = clock::now();
    load.make(load.updates as usize, swarm, all, subject)?;
    let seconds = clock::seconds_since(start);
    let tally = swarm.tally().since(tally_before);
    let delivered = all.delivered();
    Ok(FanoutFigures {
        seconds,
        deliveries: delivered.deliveries as f64,
        folded: delivered.folded,
        latency: delivered.latency.clone(),
        server_cpu: CpuTime::of(server.pid)?.since(&server_before),
        generator_cpu: CpuTime::of(generator)?.since(&generator_before),
        bytes: tally.bytes as f64,
        frames: tally.frames as f64,
        peak: Memory::of(server.pid)?.peak,
    })
}

fn row(args: &FanoutArgs, repeat: usize, measured: &FanoutFigures) -> Vec<Cell> {
    vec![
        repeat.into(),
        args.subject.peer.name().into(),
        (args.load.subscribers as usize).into(),
        (args.load.updates as usize).into(),
        Cell::Text(args.load.name()),
        Cell::Number(measured.seconds, 2),
        Cell::Number(measured.deliveries / measured.seconds, 0),
        (measured.folded as usize).into(),
        Cell::Number(measured.latency.quantile_ms(0.5), 2),
        Cell::Number(measured.latency.quantile_ms(0.99), 2),
        Cell::Number(measured.latency.max_ms(), 2),
        Cell::Number(measured.server_cpu_per_million(), 2),
        Cell::Number(measured.generator_cpu_per_million(), 2),
        Cell::Number(measured.bytes_per_delivery(), 1),
        Cell::Number(measured.frames / measured.deliveries.max(1.0), 3),
        Cell::Number(measured.peak as f64 / f64::from(1 << 20), 1),
    ]
}
