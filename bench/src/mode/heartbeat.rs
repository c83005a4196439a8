//! `heartbeat N`: what a heartbeat costs the server.
//!
//! N connections, joined and subscribed in channels of ten, send heartbeats in turn, at a rate over
//! all of them. Against the floor: the same frames are read by one thread with epoll and dropped.
//!
//! How it can mislead: the server's timers and pings run on and are counted, too; at low rates they
//! and the wake-ups from sleep are most of the cost, so compare at one rate only. A server that is
//! busy reads several connections in one turn of its poll and is cheaper by the heartbeat.

use std::time::Duration;

use clap::Args;

use crate::attendees::Attendees;
use crate::clock;
use crate::failure::{Result, fail};
use crate::peer::Peer;
use crate::population::Population;
use crate::procfs::CpuTime;
use crate::progress::Progress;
use crate::server::Server;
use crate::subject::Subject;
use crate::swarm::Swarm;
use crate::table::{Cell, Table};

const CHANNEL_SIZE: usize = 10;
const SETTLE: Duration = Duration::from_millis(300);

const COLUMNS: &[&str] = &[
    "repeat",
    "peer",
    "connections",
    "rate",
    "heartbeats",
    "server_us_per_heartbeat",
    "generator_us_per_heartbeat",
];

/// CPU time of heartbeats
#[derive(Args, Debug)]
pub(crate) struct HeartbeatArgs {
    /// How many connections
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections: u32,

    /// Heartbeats a second, over all connections
    #[arg(long, value_name = "R", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,

    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,

    /// How often to measure
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeats: u32,

    #[command(flatten)]
    pub(crate) subject: Subject,
}

/// Microseconds of CPU for each heartbeat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeartbeatFigures {
    pub(crate) server: f64,
    pub(crate) generator: f64,
}

/// Runs the mode.
pub(crate) fn run(args: &HeartbeatArgs) -> Result<()> {
    let mut table = Table::new(COLUMNS);
    for repeat in 1..=args.repeats as usize {
        let measured = measure(args)?;
        table.row(vec![
            repeat.into(),
            args.subject.peer.name().into(),
            (args.connections as usize).into(),
            (args.rate as usize).into(),
            ((args.rate * args.seconds) as usize).into(),
            Cell::Number(measured.server, 2),
            Cell::Number(measured.generator, 2),
        ]);
    }
    if args.repeats > 1 {
        table.median_row("median");
    }
    table.publish(args.subject.common.csv.as_deref())
}

/// One measurement, on a server of its own.
pub(crate) fn measure(args: &HeartbeatArgs) -> Result<HeartbeatFigures> {
    if args.subject.peer == Peer::Nats || args.subject.peer == Peer::FloorBatched {
        fail!("{} has no heartbeats to compare", args.subject.peer.name());
    }
    if args.rate > 40 * args.connections {
        fail!("--rate {} is more than 40 a second for each connection", args.rate);
    }
    let mut server = args.subject.launch()?;
    let result = beat(args, &server);
    server.explain(result)
}

fn beat(args: &HeartbeatArgs, server: &Server) -> Result<HeartbeatFigures> {
    let users = args.connections as usize;
    let channels = users.div_ceil(CHANNEL_SIZE);
    let population = Population { users, channels, prefix: "heartbeat".to_owned() };
    let mut attendees = Attendees::new(args.subject.peer.dialect(channels), population, true);
    let mut swarm = Swarm::new(server.address)?;
    swarm.connect(users, args.subject.deadline(), &mut attendees)?;
    let complete = |attendees: &Attendees| attendees.complete == users;
    if args.subject.peer.has_presence()
        && !swarm.turn_until(args.subject.deadline(), &mut attendees, complete)?
    {
        fail!("only {} of {users} connections became complete in time", attendees.complete);
    }
    send_all(&mut swarm, &mut attendees, users, f64::from(args.rate))?; // warms up
    swarm.settle(SETTLE, &mut attendees)?;
    let generator = std::process::id();
    let (server_before, generator_before) = (CpuTime::of(server.pid)?, CpuTime::of(generator)?);
    let heartbeats = (args.rate * args.seconds) as usize;
    send_all(&mut swarm, &mut attendees, heartbeats, f64::from(args.rate))?;
    swarm.settle(SETTLE, &mut attendees)?;
    let per_heartbeat = 1e6 / heartbeats as f64;
    Ok(HeartbeatFigures {
        server: CpuTime::of(server.pid)?.since(&server_before) * per_heartbeat,
        generator: CpuTime::of(generator)?.since(&generator_before) * per_heartbeat,
    })
}

fn send_all(swarm: &mut Swarm, attendees: &mut Attendees, count: usize, rate: f64) -> Result<()> {
    let mut frame = Vec::new();
    attendees.dialect.heartbeat(&mut frame);
    let mut progress = Progress::new("heartbeats", count);
    let start = clock::now();
    let mut sent = 0;
    while sent < count {
        let due = ((clock::seconds_since(start) * rate) as usize + 1).min(count);
        while sent < due {
            swarm.send(sent % swarm.len(), attendees, |out| out.extend_from_slice(&frame))?;
            sent += 1;
        }
        swarm.turn(Duration::from_millis(1), attendees)?;
        progress.at(sent);
    }
    Ok(())
}
