//! `idle N`: what a connection costs that is joined, subscribed and silent.
//!
//! N connections over C channels are opened at the pace at which the server takes them. When every
//! one has seen all members of its channel, the server's resident memory is read, less what it had
//! after a single connection had come and gone, and divided by N. With `--rounds` all leave and come
//! again.
//!
//! How it can mislead: resident memory is the process's alone; each socket costs the kernel some
//! KiB more, the same for every server. Few connections share the server's fixed costs among
//! themselves and look dear. An allocator that keeps freed pages looks like a leak in round 2 and
//! like none in round 3.

use std::time::{Duration, Instant};

use clap::Args;

use crate::attendees::Attendees;
use crate::clock;
use crate::failure::{Result, fail};
use crate::population::Population;
use crate::procfs::{CpuTime, Memory};
use crate::server::Server;
use crate::subject::Subject;
use crate::swarm::Swarm;
use crate::table::{Cell, Table, note};

/// How long after the last change the memory is read.
const SETTLE: Duration = Duration::from_secs(1);
/// A round longer than this needs heartbeats, lest members time out.
const HEARTBEAT_AFTER: f64 = 15.0;
const MIB: f64 = 1024.0 * 1024.0;

const COLUMNS: &[&str] = &[
    "round",
    "peer",
    "connections",
    "channels",
    "connect_s",
    "quiet_s",
    "baseline_mib",
    "resident_mib",
    "bytes_per_connection",
    "bytes_per_further_subscription",
    "after_leaving_mib",
    "server_cpu_s",
    "generator_cpu_s",
];

/// Memory of idle connections
#[derive(Args, Debug)]
pub(crate) struct IdleArgs {
    /// How many connections
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections: u32,

    /// Over how many channels they spread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) channels: u32,

    /// How often all of them come and leave
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,

    /// Further channels that each connection subscribes, after it was measured without
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) further: u32,

    #[command(flatten)]
    pub(crate) subject: Subject,
}

/// Runs the mode.
pub(crate) fn run(args: &IdleArgs) -> Result<()> {
    let (baseline, rounds) = measure(args)?;
    let mut table = Table::new(COLUMNS);
    for (round, measured) in rounds.iter().enumerate() {
        table.row(row(args, round + 1, baseline, measured));
    }
    table.publish(args.subject.common.csv.as_deref())?;
    if let [first, .., last] = rounds.as_slice() {
        let growth = 100.0 * (last.resident / first.resident - 1.0);
        note(&format!(
            "resident with all connections: {growth:+.1} % from the first round to the last"
        ))?;
    }
    Ok(())
}

/// The resident bytes after a first connection came and went, and all rounds on one server.
pub(crate) fn measure(args: &IdleArgs) -> Result<(f64, Vec<IdleFigures>)> {
    if !args.subject.peer.has_presence() {
        fail!("{} has no members to be", args.subject.peer.name());
    }
    if args.channels > args.connections {
        fail!(
            "--channels {} is more than {} connections can fill",
            args.channels,
            args.connections
        );
    }
    if args.further >= args.channels {
        fail!("--further {} needs more than {} channels", args.further, args.channels);
    }
    let mut server = args.subject.launch()?;
    let result = all_rounds(args, &server);
    server.explain(result)
}

fn all_rounds(args: &IdleArgs, server: &Server) -> Result<(f64, Vec<IdleFigures>)> {
    let mut swarm = Swarm::new(server.address)?;
    warm_up(args, &mut swarm)?;
    let baseline = Memory::of(server.pid)?.resident as f64;
    let mut measured = Vec::new();
    for _ in 0..args.rounds {
        let mut attendees = attendees(args, args.connections, args.channels);
        measured.push(one_round(args, server, &mut swarm, &mut attendees)?);
    }
    Ok((baseline, measured))
}

fn attendees(args: &IdleArgs, users: u32, channels: u32) -> Attendees {
    let (users, channels) = (users as usize, channels as usize);
    let population = Population { users, channels, prefix: "idle".to_owned() };
    Attendees::new(args.subject.peer.dialect(channels), population, true)
}

/// Has one connection come and go, so that what the server loads for the first of all is not
/// divided among them.
fn warm_up(args: &IdleArgs, swarm: &mut Swarm) -> Result<()> {
    let mut attendees = attendees(args, 1, 1);
    swarm.connect(1, args.subject.deadline(), &mut attendees)?;
    if !swarm
        .turn_until(args.subject.deadline(), &mut attendees, |attendees| attendees.complete == 1)?
    {
        fail!("the first connection did not become complete in time");
    }
    attendees.leave();
    swarm.close_all(args.subject.deadline(), &mut attendees)?;
    swarm.settle(SETTLE, &mut attendees)
}

/// What one round found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdleFigures {
    pub(crate) connect: f64,
    quiet: f64,
    pub(crate) resident: f64,
    pub(crate) with_further: Option<f64>,
    after_leaving: f64,
    server_cpu: f64,
    generator_cpu: f64,
}

fn one_round(
    args: &IdleArgs,
    server: &Server,
    swarm: &mut Swarm,
    attendees: &mut Attendees,
) -> Result<IdleFigures> {
    let generator = std::process::id();
    let (server_before, generator_before) = (CpuTime::of(server.pid)?, CpuTime::of(generator)?);
    let start = clock::now();
    swarm.connect(args.connections as usize, args.subject.deadline(), attendees)?;
    let connect = clock::seconds_since(start);
    let users = attendees.population.users;
    if !swarm
        .turn_until(args.subject.deadline(), attendees, |attendees| attendees.complete == users)?
    {
        attendees.verify()?;
        fail!("only {} of {users} connections became complete in time", attendees.complete);
    }
    let quiet = clock::seconds_since(start);
    let server_cpu = CpuTime::of(server.pid)?.since(&server_before);
    let generator_cpu = CpuTime::of(generator)?.since(&generator_before);
    keep_alive(start, swarm, attendees)?;
    swarm.settle(SETTLE, attendees)?;
    attendees.verify()?;
    let resident = Memory::of(server.pid)?.resident as f64;
    let with_further = subscribe_further(args, server, swarm, attendees)?;
    attendees.leave();
    swarm.close_all(args.subject.deadline(), attendees)?;
    swarm.settle(SETTLE, attendees)?;
    let after_leaving = Memory::of(server.pid)?.resident as f64;
    Ok(IdleFigures {
        connect,
        quiet,
        resident,
        with_further,
        after_leaving,
        server_cpu,
        generator_cpu,
    })
}

/// Subscribes every connection to its neighbours' channels; the resident bytes after that.
fn subscribe_further(
    args: &IdleArgs,
    server: &Server,
    swarm: &mut Swarm,
    attendees: &mut Attendees,
) -> Result<Option<f64>> {
    if args.further == 0 {
        return Ok(None);
    }
    let start = clock::now();
    for who in attendees.all() {
        let mut frames = Vec::new();
        for step in 1..=args.further as usize {
            let channel = attendees.population.channel(who + step);
            attendees.dialect.observe(&Population::user(who), &channel, &mut frames);
        }
        swarm.send(who, attendees, |out| out.extend_from_slice(&frames))?;
        if who % 100 == 0 {
            swarm.turn(Duration::ZERO, attendees)?;
        }
    }
    let expected = attendees.population.users * args.further as usize;
    let deadline = args.subject.deadline();
    if !swarm
        .turn_until(deadline, attendees, |attendees| attendees.foreign_snapshots >= expected)?
    {
        fail!("only {} of {expected} further snapshots came in time", attendees.foreign_snapshots);
    }
    keep_alive(start, swarm, attendees)?;
    swarm.settle(SETTLE, attendees)?;
    Ok(Some(Memory::of(server.pid)?.resident as f64))
}

/// Heartbeats on every connection, if the round has lasted long.
fn keep_alive(start: Instant, swarm: &mut Swarm, attendees: &mut Attendees) -> Result<()> {
    if clock::seconds_since(start) < HEARTBEAT_AFTER {
        return Ok(());
    }
    let mut heartbeat = Vec::new();
    attendees.dialect.heartbeat(&mut heartbeat);
    for who in 0..swarm.len() {
        swarm.send(who, attendees, |out| out.extend_from_slice(&heartbeat))?;
    }
    Ok(())
}

fn row(args: &IdleArgs, round: usize, baseline: f64, measured: &IdleFigures) -> Vec<Cell> {
    let connections = f64::from(args.connections);
    let further = connections * f64::from(args.further);
    vec![
        round.into(),
        args.subject.peer.name().into(),
        (args.connections as usize).into(),
        (args.channels as usize).into(),
        Cell::Number(measured.connect, 2),
        Cell::Number(measured.quiet, 2),
        Cell::Number(baseline / MIB, 2),
        Cell::Number(measured.resident / MIB, 2),
        Cell::Number((measured.resident - baseline) / connections, 0),
        measured
            .with_further
            .map_or(Cell::Nothing, |with| Cell::Number((with - measured.resident) / further, 1)),
        Cell::Number(measured.after_leaving / MIB, 2),
        Cell::Number(measured.server_cpu, 2),
        Cell::Number(measured.generator_cpu, 2),
    ]
}
