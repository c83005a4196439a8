//! The two phases of `pacing`, alone and beside the giant, and what is reported of them.

use std::time::Duration;

use clap::Args;

use crate::clock;
use crate::failure::{Result, fail};
use crate::giant::{self, Giant};
use crate::histogram::Histogram;
use crate::mode::pacing::small::Small;
use crate::peer::Peer;
use crate::procfs::{CpuTime, Queued};
use crate::server::Server;
use crate::subject::Subject;
use crate::swarm::{Swarm, TURN};
use crate::table::{Cell, Table, note};

/// Frames a second that the broker allows one connection is 50: stay below.
const FRAMES_PER_SECOND: u32 = 40;
/// Seconds that a member may be silent, well below the broker's 60.
const SILENCE: u32 = 20;
/// Seconds of each load before it is measured.
const WARM_UP: u32 = 1;

const COLUMNS: &[&str] = &[
    "phase",
    "channels",
    "subscribers_each",
    "rate",
    "seconds",
    "deliveries_per_s",
    "folded",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "written_late_p99_ms",
    "queued_ms",
    "server_cores",
    "p99_ratio",
    "giant_subscribers",
    "giant_rate",
    "giant_deliveries_per_s",
    "giant_p99_ms",
];

/// Small channels alone, and beside a giant one (herenow only)
#[derive(Args, Clone, Debug)]
pub(crate) struct PacingArgs {
    /// Small channels
    #[arg(long, value_name = "C", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) channels: u32,

    /// Connections that observe each of them
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) subscribers_each: u32,

    /// Changes a second, over all small channels
    #[arg(long, value_name = "R", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,

    /// How long each of the two phases lasts
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,

    /// Connections that observe the giant channel
    #[arg(long, value_name = "S", default_value_t = 9000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) giant_subscribers: u32,

    /// Its members whose attributes change, in turn; more than the broker's --roster-limit, and
    /// subscribers get counts instead of changes
    #[arg(long, value_name = "P", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) giant_publishers: u32,

    /// Changes a second in the giant channel
    #[arg(long, value_name = "R", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) giant_rate: u32,

    /// By how much the reading of the giant's sockets steps back, as nice(1) counts it
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=19))]
    pub(crate) nice: u32,

    #[command(flatten)]
    pub(crate) subject: Subject,
}

/// What one phase found of the small channels.
#[derive(Debug)]
pub(crate) struct Phase {
    pub(crate) latency: Histogram,
    written_late: Histogram,
    pub(crate) queued_ms: f64,
    deliveries_per_s: f64,
    folded: u64,
    server_cores: f64,
}

/// What one run found.
#[derive(Debug)]
pub(crate) struct PacingFigures {
    pub(crate) alone: Phase,
    pub(crate) beside: Phase,
    pub(crate) giant: giant::Report,
}

impl PacingFigures {
    /// How many times longer the slowest hundredth takes beside the giant.
    pub(crate) fn p99_ratio(&self) -> f64 {
        self.beside.latency.quantile_ms(0.99) / self.alone.latency.quantile_ms(0.99).max(0.001)
    }
}

/// Runs the mode.
pub(crate) fn run(args: &PacingArgs) -> Result<()> {
    let measured = measure(args)?;
    let mut table = Table::new(COLUMNS);
    table.row(row(args, "alone", &measured.alone, None));
    table.row(row(args, "beside", &measured.beside, Some(&measured)));
    table.publish(args.subject.common.csv.as_deref())?;
    note(&format!(
        "the giant's readers used {:.2} of a processor, at nice {}; {} of its changes were folded \
         away for somebody",
        measured.giant.cores, args.nice, measured.giant.folded
    ))
}

/// One measurement, on a server of its own.
pub(crate) fn measure(args: &PacingArgs) -> Result<PacingFigures> {
    check(args)?;
    let mut server = args.subject.launch()?;
    let result = both_phases(args, &server);
    server.explain(result)
}

fn check(args: &PacingArgs) -> Result<()> {
    let PacingArgs { channels, rate, giant_publishers, giant_rate, .. } = *args;
    if args.subject.peer != Peer::Herenow {
        fail!("pacing is measured on herenow only");
    }
    if rate.div_ceil(FRAMES_PER_SECOND) > channels {
        fail!("--rate {rate} is more than {FRAMES_PER_SECOND} a second for each of {channels}");
    }
    if channels > SILENCE * rate {
        fail!("--rate {rate} leaves members of {channels} channels silent for {SILENCE} s");
    }
    if giant_rate > FRAMES_PER_SECOND * giant_publishers {
        fail!("--giant-rate {giant_rate} is too much for {giant_publishers} --giant-publishers");
    }
    Ok(())
}

fn both_phases(args: &PacingArgs, server: &Server) -> Result<PacingFigures> {
    let mut swarm = Swarm::new(server.address)?;
    let (channels, each) = (args.channels as usize, args.subscribers_each as usize);
    let mut small = Small::new(args.subject.peer.dialect(channels), channels, each)?;
    small.gather(&mut swarm, args.subject.deadline())?;
    let phase = |small: &mut Small, swarm: &mut Swarm| -> Result<Phase> {
        load(args, small, swarm, WARM_UP)?;
        one_phase(args, small, swarm, server)
    };
    let alone = phase(&mut small, &mut swarm)?;
    let mut giant = Giant::start(&giant::Plan {
        address: server.address,
        subscribers: args.giant_subscribers,
        publishers: args.giant_publishers,
        rate: args.giant_rate,
        // From its start to the end of the second phase, and a little longer.
        updates: args.giant_rate * (args.seconds + 2 * WARM_UP + 1),
        timeout: args.subject.timeout(),
        nice: args.nice,
    })?;
    // This swarm lives on while the other process is waited for: pings want answers.
    let deadline = args.subject.deadline();
    while !giant.is_ready()? {
        if deadline.passed() {
            fail!("the giant channel's subscribers were not in place in time");
        }
        swarm.turn(TURN, &mut small)?;
    }
    giant.go()?;
    let beside = phase(&mut small, &mut swarm)?;
    let deadline = args.subject.deadline();
    loop {
        if let Some(giant) = giant.report()? {
            return Ok(PacingFigures { alone, beside, giant });
        }
        if deadline.passed() {
            fail!("the giant channel's changes had not reached every subscriber in time");
        }
        swarm.turn(TURN, &mut small)?;
    }
}

fn load(args: &PacingArgs, small: &mut Small, swarm: &mut Swarm, seconds: u32) -> Result<()> {
    let deadline = args.subject.deadline_after(f64::from(seconds));
    small.open_loop(swarm, (args.rate * seconds) as usize, f64::from(args.rate), deadline)
}

fn one_phase(
    args: &PacingArgs,
    small: &mut Small,
    swarm: &mut Swarm,
    server: &Server,
) -> Result<Phase> {
    let generator = std::process::id();
    let (cpu, queued) = (CpuTime::of(server.pid)?, Queued::of(generator));
    small.start_counting();
    let start = clock::now();
    load(args, small, swarm, args.seconds)?;
    let seconds = clock::seconds_since(start).max(Duration::from_millis(1).as_secs_f64());
    let delivered = small.delivered();
    Ok(Phase {
        latency: delivered.latency.clone(),
        written_late: small.written_late().clone(),
        queued_ms: Queued::of(generator).ms_since(&queued),
        deliveries_per_s: delivered.deliveries as f64 / seconds,
        folded: delivered.folded,
        server_cores: CpuTime::of(server.pid)?.since(&cpu) / seconds,
    })
}

fn row(args: &PacingArgs, name: &str, phase: &Phase, beside: Option<&PacingFigures>) -> Vec<Cell> {
    let of_giant = |value: &dyn Fn(&PacingFigures) -> Cell| beside.map_or(Cell::Nothing, value);
    vec![
        name.into(),
        (args.channels as usize).into(),
        (args.subscribers_each as usize).into(),
        (args.rate as usize).into(),
        (args.seconds as usize).into(),
        Cell::Number(phase.deliveries_per_s, 0),
        (phase.folded as usize).into(),
        Cell::Number(phase.latency.quantile_ms(0.5), 2),
        Cell::Number(phase.latency.quantile_ms(0.99), 2),
        Cell::Number(phase.latency.max_ms(), 2),
        Cell::Number(phase.written_late.quantile_ms(0.99), 2),
        Cell::Number(phase.queued_ms, 3),
        Cell::Number(phase.server_cores, 2),
        of_giant(&|measured| Cell::Number(measured.p99_ratio(), 2)),
        of_giant(&|_| (args.giant_subscribers as usize).into()),
        of_giant(&|_| (args.giant_rate as usize).into()),
        of_giant(&|measured| Cell::Number(measured.giant.deliveries_per_s, 0)),
        of_giant(&|measured| Cell::Number(measured.giant.p99_ms, 2)),
    ]
}
