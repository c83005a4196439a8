//! The steps of `levels`: gather, come and go, rest; and what is reported of them.

use std::time::{Duration, Instant};

use clap::Args;

use crate::clock;
use crate::failure::{Result, fail};
use crate::mode::levels::observers::Observers;
use crate::peer::Peer;
use crate::procfs::{CpuTime, Memory, reset_peak};
use crate::progress::Progress;
use crate::server::Server;
use crate::subject::Subject;
use crate::swarm::{Swarm, TURN};
use crate::table::{Cell, Table, note};

/// Longer than the second between two count frames: what is owed has come, and what should not come
/// has had the time.
const SETTLE: Duration = Duration::from_millis(1500);
/// Seconds that a visitor stays.
const STAY: usize = 1;
/// How often a member says that it is here.
const HEARTBEAT: f64 = 25.0;
/// Seconds after the last change in which every subscriber's count should be exact.
pub(crate) const EXACT_WITHIN: f64 = 2.0;
const MIB: f64 = 1024.0 * 1024.0;

const COLUMNS: &[&str] = &[
    "members",
    "visitors_per_s",
    "seconds",
    "gather_s",
    "exact_after_s",
    "most_frames",
    "allowed_frames",
    "bytes_per_subscriber_per_s",
    "server_cores",
    "generator_cores",
    "bytes_per_connection",
    "server_peak_mib",
];

/// Counts instead of lists in a very large channel (herenow only)
#[derive(Args, Clone, Debug)]
pub(crate) struct LevelsArgs {
    /// How many members, each of whom subscribes
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub(crate) members: u32,

    /// Further members who come, and who leave, each second
    #[arg(long, value_name = "R", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) visitors: u32,

    /// How long they do
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=3600))]
    pub(crate) seconds: u32,

    /// Above how many members the broker counts, if not by its default
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) roster_limit: u32,

    #[command(flatten)]
    pub(crate) subject: Subject,
}

/// What one run found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LevelsFigures {
    gather: f64,
    pub(crate) exact_after: f64,
    pub(crate) most_frames: u32,
    pub(crate) allowed_frames: u32,
    pub(crate) bytes_per_subscriber_per_s: f64,
    pub(crate) server_cores: f64,
    generator_cores: f64,
    pub(crate) bytes_per_connection: f64,
    peak: u64,
}

/// Runs the mode.
pub(crate) fn run(args: &LevelsArgs) -> Result<()> {
    let measured = measure(args)?;
    let mut table = Table::new(COLUMNS);
    table.row(vec![
        (args.members as usize).into(),
        (args.visitors as usize).into(),
        (args.seconds as usize).into(),
        Cell::Number(measured.gather, 2),
        Cell::Number(measured.exact_after, 2),
        (measured.most_frames as usize).into(),
        (measured.allowed_frames as usize).into(),
        Cell::Number(measured.bytes_per_subscriber_per_s, 0),
        Cell::Number(measured.server_cores, 2),
        Cell::Number(measured.generator_cores, 2),
        Cell::Number(measured.bytes_per_connection, 0),
        Cell::Number(measured.peak as f64 / MIB, 1),
    ]);
    table.publish(args.subject.common.csv.as_deref())?;
    let verdict = |kept: bool| if kept { "yes" } else { "NO" };
    note(&format!(
        "exact at every subscriber within {EXACT_WITHIN} s: {}; at most one count frame at once and \
         one a second: {}",
        verdict(measured.exact_after <= EXACT_WITHIN),
        verdict(measured.most_frames <= measured.allowed_frames)
    ))
}

/// One measurement, on a server of its own.
pub(crate) fn measure(args: &LevelsArgs) -> Result<LevelsFigures> {
    if args.subject.peer != Peer::Herenow {
        fail!("levels are measured on herenow only");
    }
    if args.members <= args.roster_limit {
        let limit = args.roster_limit;
        fail!("{} members are no more than --roster-limit {limit}: none is counted", args.members);
    }
    let mut server = args.subject.launch()?;
    let result = one_run(args, &server);
    server.explain(result)
}

fn one_run(args: &LevelsArgs, server: &Server) -> Result<LevelsFigures> {
    let mut swarm = Swarm::new(server.address)?;
    let baseline = Memory::of(server.pid)?.resident as f64;
    let began = clock::now();
    let (members, roster_limit) = (args.members as usize, args.roster_limit as usize);
    let mut observers = Observers::new(members, roster_limit);
    let visitors = 2 * STAY * args.visitors as usize;
    gather(args, &mut swarm, &mut observers, visitors)?;
    let gather = clock::seconds_since(began);
    let mut beats = Beats { began, sent: 0 };
    beats.due(&mut swarm, &mut observers)?;
    swarm.settle(SETTLE, &mut observers)?;
    let resident = Memory::of(server.pid)?.resident as f64;
    reset_peak(server.pid);
    let generator = std::process::id();
    let (server_cpu, generator_cpu) = (CpuTime::of(server.pid)?, CpuTime::of(generator)?);
    let tally = swarm.tally();
    observers.start_counting(visitors);
    let start = clock::now();
    come_and_go(args, &mut swarm, &mut observers, &mut beats)?;
    let last_change = clock::now();
    if !swarm.turn_until(args.subject.deadline(), &mut observers, Observers::all_exact)? {
        fail!("the exact count did not come to all in time: {}", observers.inexact());
    }
    let exact_after = clock::seconds_since(last_change);
    let seconds = clock::seconds_since(start);
    let bytes = swarm.tally().since(tally).bytes as f64;
    let server_cores = CpuTime::of(server.pid)?.since(&server_cpu) / seconds;
    let generator_cores = CpuTime::of(generator)?.since(&generator_cpu) / seconds;
    swarm.settle(SETTLE, &mut observers)?;
    if !observers.all_exact() {
        fail!("the exact count came to all and was lost again: {}", observers.inexact());
    }
    Ok(LevelsFigures {
        gather,
        exact_after,
        most_frames: observers.most_frames(),
        allowed_frames: seconds as u32 + 1,
        bytes_per_subscriber_per_s: bytes / members as f64 / seconds,
        server_cores,
        generator_cores,
        bytes_per_connection: (resident - baseline) / (members + visitors) as f64,
        peak: Memory::of(server.pid)?.peak,
    })
}

/// Connects everybody; returns when every subscriber counts, and counts right.
fn gather(
    args: &LevelsArgs,
    swarm: &mut Swarm,
    observers: &mut Observers,
    visitors: usize,
) -> Result<()> {
    let members = args.members as usize;
    swarm.connect(members + visitors, args.subject.deadline(), observers)?;
    let there = |all: &Observers| all.welcomed == members + visitors && all.all_exact();
    if swarm.turn_until(args.subject.deadline(), observers, there)? {
        return Ok(());
    }
    if observers.welcomed < members + visitors {
        fail!(
            "only {} of {} clients were welcomed in time",
            observers.welcomed,
            members + visitors
        );
    }
    if !observers.any_counted {
        fail!("the broker never sent a count frame: it knows no levels, or lists so many members");
    }
    fail!("the count of all members did not come in time: {}", observers.inexact())
}

/// Visitors join at their rate and leave a second later, until the last has left.
fn come_and_go(
    args: &LevelsArgs,
    swarm: &mut Swarm,
    observers: &mut Observers,
    beats: &mut Beats,
) -> Result<()> {
    let (rate, seconds) = (args.visitors as usize, args.seconds as usize);
    let visits = rate * seconds;
    let steps = visits + STAY * rate;
    let deadline = args.subject.deadline_after((seconds + STAY) as f64);
    let mut progress = Progress::new("visits", steps);
    let start = clock::now();
    let mut step = 0;
    while step < steps {
        let due = start + Duration::from_secs_f64(step as f64 / rate as f64);
        let wait = due.saturating_duration_since(clock::now()).min(TURN);
        if wait.is_zero() {
            // Who leaves goes first, so that there are never more than `rate` at a time.
            if let Some(visit) = step.checked_sub(STAY * rate) {
                observers.leave(visit, swarm)?;
            }
            if step < visits {
                observers.visit(step, swarm)?;
            }
            step += 1;
            if step % args.visitors.min(100) as usize != 0 {
                continue;
            }
        }
        beats.due(swarm, observers)?;
        swarm.turn(wait, observers)?;
        progress.at(step);
        if deadline.passed() {
            fail!("only {step} of {steps} visits could be made in time");
        }
    }
    Ok(())
}

/// The members' heartbeats, spread evenly.
#[derive(Debug)]
struct Beats {
    began: Instant,
    sent: usize,
}

impl Beats {
    /// Sends those that are due.
    fn due(&mut self, swarm: &mut Swarm, observers: &mut Observers) -> Result<()> {
        let members = observers.members();
        let due = (clock::seconds_since(self.began) / HEARTBEAT * members as f64) as usize;
        while self.sent < due {
            observers.heartbeat(self.sent % members, swarm)?;
            self.sent += 1;
        }
        Ok(())
    }
}
