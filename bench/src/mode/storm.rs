//! `storm N`: N clients join and subscribe one channel at once; how long until each knows all.
//!
//! Connections are opened and welcomed before the clock starts. It stops when the last client's
//! replica holds all N members; then every replica is checked member by member. herenow's frames
//! are parsed whole and applied strictly (a gap in seq ends the run); other systems have no seq, so
//! there a member counts as seen when a message to this client named it.
//!
//! How it can mislead: N clients in one process share one processor with each other, so with many
//! clients the generator is slower than a good server. Its CPU time stands beside the server's, and
//! a remark says so when it was busy throughout: then the server's CPU time is its own part of the
//! work, and the wall time is mostly the generator's.

use std::time::Duration;

use clap::Args;

use crate::attendees::Attendees;
use crate::clock;
use crate::failure::{Result, fail};
use crate::population::Population;
use crate::procfs::{self, CpuTime, Memory};
use crate::progress::Progress;
use crate::server::Server;
use crate::subject::Subject;
use crate::swarm::Swarm;
use crate::table::{Cell, Table, median, note};

/// After the clock stopped: what is wrong shows in this time.
const SETTLE: Duration = Duration::from_millis(200);
/// Clients that send before the generator looks at what came back.
const BATCH: usize = 100;
/// A generator that was busy for more than this share of the time held the server up.
const BUSY_SHARE: f64 = 0.8;
const MIB: f64 = 1024.0 * 1024.0;

const COLUMNS: &[&str] = &[
    "repeat",
    "peer",
    "clients",
    "seconds",
    "mb",
    "frames",
    "server_cpu_s",
    "generator_cpu_s",
    "server_peak_mib",
];

/// Many clients join and subscribe one channel at once
#[derive(Args, Debug)]
pub(crate) struct StormArgs {
    /// How many clients
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) clients: u32,

    /// How often, each time in a new channel with new connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeats: u32,

    #[command(flatten)]
    pub(crate) subject: Subject,
}

/// What one storm took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StormFigures {
    pub(crate) seconds: f64,
    pub(crate) bytes: u64,
    frames: u64,
    pub(crate) server_cpu: f64,
    pub(crate) generator_cpu: f64,
    pub(crate) peak: u64,
}

/// Runs the mode.
pub(crate) fn run(args: &StormArgs) -> Result<()> {
    let measured = measure(args)?;
    let mut table = Table::new(COLUMNS);
    for (repeat, one) in measured.iter().enumerate() {
        table.row(row(args, repeat + 1, one));
    }
    table.median_row("median");
    table.publish(args.subject.common.csv.as_deref())?;
    note(&format!("{} of {} storms complete, no member missing", measured.len(), args.repeats))?;
    let mut busy: Vec<f64> = measured.iter().map(|one| one.generator_cpu / one.seconds).collect();
    let busy = median(&mut busy).unwrap_or(0.0);
    if busy > BUSY_SHARE {
        let mut own: Vec<f64> = measured.iter().map(|one| one.server_cpu).collect();
        note(&format!(
            "the generator was busy {:.0} % of the time and held the server up: the server's own \
             part is {:.3} CPU s",
            100.0 * busy,
            median(&mut own).unwrap_or(0.0)
        ))?;
    }
    Ok(())
}

/// All repeats, on one server.
pub(crate) fn measure(args: &StormArgs) -> Result<Vec<StormFigures>> {
    if !args.subject.peer.has_presence() {
        fail!("{} has no members to know", args.subject.peer.name());
    }
    let mut server = args.subject.launch()?;
    let result = repeats(args, &server);
    server.explain(result)
}

fn repeats(args: &StormArgs, server: &Server) -> Result<Vec<StormFigures>> {
    let mut swarm = Swarm::new(server.address)?;
    let mut progress = Progress::new("storms", args.repeats as usize);
    let mut measured = Vec::new();
    for repeat in 0..args.repeats as usize {
        let prefix = format!("storm-{repeat}");
        let population = Population { users: args.clients as usize, channels: 1, prefix };
        let mut attendees = Attendees::new(args.subject.peer.dialect(1), population, false);
        measured.push(one_storm(args, server, &mut swarm, &mut attendees)?);
        progress.at(repeat + 1);
    }
    Ok(measured)
}

fn one_storm(
    args: &StormArgs,
    server: &Server,
    swarm: &mut Swarm,
    attendees: &mut Attendees,
) -> Result<StormFigures> {
    let users = attendees.population.users;
    swarm.connect(users, args.subject.deadline(), attendees)?;
    if !swarm
        .turn_until(args.subject.deadline(), attendees, |attendees| attendees.welcomed == users)?
    {
        fail!("only {} of {users} clients were welcomed in time", attendees.welcomed);
    }
    let requests: Vec<Vec<u8>> = attendees.all().map(|who| request(attendees, who)).collect();
    procfs::reset_peak(server.pid);
    let generator = std::process::id();
    let (server_before, generator_before) = (CpuTime::of(server.pid)?, CpuTime::of(generator)?);
    let tally_before = swarm.tally();
    let start = clock::now();
    for (who, request) in requests.iter().enumerate() {
        swarm.send(who, attendees, |out| out.extend_from_slice(request))?;
        if who % BATCH == BATCH - 1 {
            swarm.turn(Duration::ZERO, attendees)?;
        }
    }
    if !swarm
        .turn_until(args.subject.deadline(), attendees, |attendees| attendees.complete == users)?
    {
        attendees.verify()?;
        fail!("only {} of {users} clients became complete in time", attendees.complete);
    }
    let seconds = clock::seconds_since(start);
    let tally = swarm.tally().since(tally_before);
    let server_cpu = CpuTime::of(server.pid)?.since(&server_before);
    let generator_cpu = CpuTime::of(generator)?.since(&generator_before);
    swarm.settle(SETTLE, attendees)?;
    attendees.verify()?;
    let peak = Memory::of(server.pid)?.peak;
    attendees.leave();
    swarm.close_all(args.subject.deadline(), attendees)?;
    Ok(StormFigures {
        seconds,
        bytes: tally.bytes,
        frames: tally.frames,
        server_cpu,
        generator_cpu,
        peak,
    })
}

fn request(attendees: &Attendees, who: usize) -> Vec<u8> {
    let mut request = Vec::new();
    attendees.enter(who, &mut request);
    request
}

fn row(args: &StormArgs, repeat: usize, measured: &StormFigures) -> Vec<Cell> {
    vec![
        repeat.into(),
        args.subject.peer.name().into(),
        (args.clients as usize).into(),
        Cell::Number(measured.seconds, 3),
        Cell::Number(measured.bytes as f64 / 1e6, 1),
        (measured.frames as usize).into(),
        Cell::Number(measured.server_cpu, 3),
        Cell::Number(measured.generator_cpu, 3),
        Cell::Number(measured.peak as f64 / MIB, 1),
    ]
}
