//! `slow`: what subscribers that stop reading, or crawl, cost the server and the others.
//!
//! One open loop without them, then one with a share of the subscribers stopped, on the same server.
//! Then they read again: how long until each knows every publisher's last update.
//!
//! How it can mislead: the memory of stopped readers is the server's alone; what its kernel keeps in
//! send buffers, and ours in receive buffers, isn't in it, and takes the first hundred KiB. With few
//! updates nothing else is measured. A server that closes stopped readers looks cheap: `let_go` says
//! how many. On resume our kernel tells the server's at once that there is room again, so TCP's
//! back-off of probes to a closed window plays no part unless that message is lost.

use clap::Args;

use crate::broadcast::{Broadcast, SIPS_PER_SECOND};
use crate::failure::{Result, fail};
use crate::mode::fanout::{FanoutFigures, Load, PAIRS_MAX, measure_load};
use crate::procfs::Memory;
use crate::server::Server;
use crate::subject::Subject;
use crate::swarm::Swarm;
use crate::table::{Cell, Table};

/// Members whose attributes change, in turn.
const PUBLISHERS: u32 = 256;

const COLUMNS: &[&str] = &[
    "repeat",
    "peer",
    "subscribers",
    "slow",
    "rate",
    "seconds",
    "p99_ms_without",
    "p99_ms_with",
    "p99_ratio",
    "kib_per_slow_reader",
    "let_go",
    "truth_after_s",
];

/// Subscribers that stop reading, or crawl
#[derive(Args, Debug)]
pub(crate) struct SlowArgs {
    /// Connections that observe the channel
    #[arg(long, value_name = "S", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub(crate) subscribers: u32,

    /// How many of them are slow
    #[arg(long, value_name = "K", default_value_t = 100)]
    pub(crate) slow: u32,

    /// Bytes a second that a slow one reads; 0: it stops
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) crawl: u32,

    /// Updates a second
    #[arg(long, value_name = "R", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,

    /// How long each of the two phases lasts
    #[arg(long, value_name = "S", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,

    /// How often to measure
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeats: u32,

    #[command(flatten)]
    pub(crate) subject: Subject,
}

/// What one run found.
#[derive(Debug)]
pub(crate) struct SlowFigures {
    pub(crate) p99_without: f64,
    pub(crate) p99_with: f64,
    pub(crate) bytes_per_reader: f64,
    pub(crate) let_go: usize,
    pub(crate) truth_after: f64,
}

/// Runs the mode.
pub(crate) fn run(args: &SlowArgs) -> Result<()> {
    let mut table = Table::new(COLUMNS);
    for repeat in 1..=args.repeats as usize {
        let measured = measure(args)?;
        table.row(row(args, repeat, &measured));
    }
    if args.repeats > 1 {
        table.median_row("median");
    }
    table.publish(args.subject.common.csv.as_deref())
}

/// One measurement, on a server of its own.
pub(crate) fn measure(args: &SlowArgs) -> Result<SlowFigures> {
    if args.slow == 0 || args.slow >= args.subscribers {
        fail!("--slow {} must be at least 1 and leave some of {}", args.slow, args.subscribers);
    }
    if u64::from(args.subscribers) * u64::from(PUBLISHERS) > PAIRS_MAX {
        fail!("--subscribers {} is more than the generator can remember", args.subscribers);
    }
    if (1..SIPS_PER_SECOND as u32).contains(&args.crawl) {
        fail!("--crawl {} is less than a byte at a time: at least {SIPS_PER_SECOND}", args.crawl);
    }
    let mut server = args.subject.launch()?;
    let result = both_phases(args, &server);
    server.explain(result)
}

fn both_phases(args: &SlowArgs, server: &Server) -> Result<SlowFigures> {
    let load = Load {
        subscribers: args.subscribers,
        updates: args.rate * args.seconds,
        outstanding: 1,
        rate: Some(args.rate),
        publishers: PUBLISHERS,
        repeats: 1,
    };
    let mut swarm = Swarm::new(server.address)?;
    let dialect = args.subject.peer.dialect(1);
    let subscribers = args.subscribers as usize;
    let mut all = Broadcast::new(dialect, load.publishers as usize, subscribers)?;
    all.gather(&mut swarm, args.subject.deadline())?;
    load.make(args.rate as usize, &mut swarm, &mut all, &args.subject)?;
    let phase = |all: &mut Broadcast, swarm: &mut Swarm| -> Result<(FanoutFigures, f64)> {
        let phase = measure_load(&load, swarm, all, server, &args.subject)?;
        Ok((phase, Memory::of(server.pid)?.resident as f64))
    };
    let (without, resident_without) = phase(&mut all, &mut swarm)?;
    all.stop_readers(&mut swarm, args.slow as usize, args.crawl as usize)?;
    let (with, resident_with) = phase(&mut all, &mut swarm)?;
    let truth_after = all.resume_readers(&mut swarm, args.subject.deadline())?;
    Ok(SlowFigures {
        p99_without: without.latency.quantile_ms(0.99),
        p99_with: with.latency.quantile_ms(0.99),
        bytes_per_reader: (resident_with - resident_without) / f64::from(args.slow),
        let_go: all.let_go,
        truth_after,
    })
}

fn row(args: &SlowArgs, repeat: usize, measured: &SlowFigures) -> Vec<Cell> {
    vec![
        repeat.into(),
        args.subject.peer.name().into(),
        (args.subscribers as usize).into(),
        (args.slow as usize).into(),
        (args.rate as usize).into(),
        (args.seconds as usize).into(),
        Cell::Number(measured.p99_without, 2),
        Cell::Number(measured.p99_with, 2),
        Cell::Number(measured.p99_with / measured.p99_without.max(0.001), 2),
        Cell::Number(measured.bytes_per_reader / 1024.0, 1),
        measured.let_go.into(),
        Cell::Number(measured.truth_after, 3),
    ]
}
