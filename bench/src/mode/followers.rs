//! `followers`: what followers inside the broker's process do to the sockets beside them.
//!
//! Changes at a steady rate go to the sockets that observe one channel, in three arrangements, each
//! on a broker of its own: no followers; followers that read and encode everything, each in a task
//! of its own; followers that never read. The arrangements take turns, and begin with another one
//! in each repeat, so that a machine that grows busy or idle favours none. What counts is the
//! medians of all repeats, each divided by that without followers. As in `fanout`, a tenth warms up,
//! and latency runs from the moment when a change was due to its reading.
//!
//! The broker is the one that this program is built with (`followed_server`), because followers are
//! calls and not connections. Steps that followers read are compared with the frames that the
//! channel told, so followers that were not told anything would not go unnoticed.
//!
//! How it can mislead: generator and broker share the processors. Followers read when the pass over
//! the sockets is through, and that is when the generator still reads those sockets: with two
//! processors, what reading followers take is taken from the generator, too, and the ratio is an
//! upper limit for the broker's own part. With more processors it says less about their cost than
//! `server_cpu_s` does. Whatever else runs moves p99 more than followers do: where `told` is well
//! below one frame for each change, ticks had to wait for a processor, and the ratio means nothing;
//! `queued_ms` is how long the generator waited for one, in the mean, each time that it became
//! ready. Encoding for each follower is what a stream for each costs; a follower that only looks
//! at the values costs less.

use clap::Args;

use crate::broadcast::{Broadcast, CHANNEL};
use crate::failure::{Result, fail};
use crate::followed_server::{Account, Reading};
use crate::mode::fanout::{FanoutFigures, Load, measure_load};
use crate::procfs::{Memory, Queued};
use crate::server::Server;
use crate::subject::Subject;
use crate::swarm::Swarm;
use crate::table::{Cell, Table, median, note};
use crate::talk::Talk;

/// Members whose attributes change, in turn.
const PUBLISHERS: u32 = 256;
/// At fewer changes a second a member would be silent for 20 s, a third of what the broker bears.
const SLOWEST: i64 = PUBLISHERS as i64 / 20 + 1;
/// At more, one connection would send more than 40 frames a second; the broker allows 50.
const FASTEST: i64 = PUBLISHERS as i64 * 40;
/// How many times longer the p50 and the p99 of sockets may be beside followers.
const AT_MOST: f64 = 1.2;
/// Long enough for followers to read the last step.
const SETTLE: std::time::Duration = std::time::Duration::from_millis(300);

const COLUMNS: &[&str] = &[
    "repeat",
    "arrangement",
    "followers",
    "subscribers",
    "rate",
    "seconds",
    "folded",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "queued_ms",
    "server_cpu_s",
    "generator_cpu_s",
    "told",
    "steps",
    "missed",
    "resyncs",
    "bytes_per_step",
    "ring_kib",
    "server_mib",
    "p50_ratio",
    "p99_ratio",
];

/// Sockets beside followers in the broker's process (herenow only)
#[derive(Args, Debug)]
pub(crate) struct FollowersArgs {
    /// Followers of the channel, in the arrangements that have some
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    followers: u32,

    /// Connections that observe the channel
    #[arg(long, value_name = "S", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    subscribers: u32,

    /// Changes a second
    #[arg(long, value_name = "R", default_value_t = 50, value_parser = clap::value_parser!(u32).range(SLOWEST..=FASTEST))]
    rate: u32,

    /// How long each arrangement is measured
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,

    /// How often to measure each arrangement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,

    #[command(flatten)]
    subject: Subject,
}

/// Who follows the channel beside the sockets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Arrangement {
    NoFollowers,
    Reading,
    NeverReading,
}

impl Arrangement {
    const ALL: [Self; 3] = [Self::NoFollowers, Self::Reading, Self::NeverReading];

    /// All of them, beginning with another one in each repeat.
    fn in_turn(repeat: usize) -> [Self; 3] {
        let mut all = Self::ALL;
        all.rotate_left(repeat % Self::ALL.len());
        all
    }

    fn name(self) -> &'static str {
        match self {
            Self::NoFollowers => "no followers",
            Self::Reading => "followers that read",
            Self::NeverReading => "followers that never read",
        }
    }

    /// How many followers, and how much they read.
    fn followers(self, many: u32) -> (u32, Reading) {
        match self {
            Self::NoFollowers => (0, Reading::None),
            Self::Reading => (many, Reading::All),
            Self::NeverReading => (many, Reading::None),
        }
    }
}

/// What one measurement found, or the medians of several.
#[derive(Clone, Debug, Default)]
struct Figures {
    folded: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    queued_ms: f64,
    server_cpu: f64,
    generator_cpu: f64,
    told: f64,
    steps: f64,
    missed: f64,
    resyncs: f64,
    bytes: f64,
    ring_bytes: f64,
    resident: f64,
}

impl Figures {
    fn medians(all: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            median(&mut all.iter().map(figure).collect::<Vec<_>>()).unwrap_or(0.0)
        };
        Self {
            folded: of(|one| one.folded),
            p50_ms: of(|one| one.p50_ms),
            p99_ms: of(|one| one.p99_ms),
            max_ms: of(|one| one.max_ms),
            queued_ms: of(|one| one.queued_ms),
            server_cpu: of(|one| one.server_cpu),
            generator_cpu: of(|one| one.generator_cpu),
            told: of(|one| one.told),
            steps: of(|one| one.steps),
            missed: of(|one| one.missed),
            resyncs: of(|one| one.resyncs),
            bytes: of(|one| one.bytes),
            ring_bytes: of(|one| one.ring_bytes),
            resident: of(|one| one.resident),
        }
    }

    /// How many times longer p50 and p99 are than those of `base`.
    fn ratios(&self, base: &Self) -> (f64, f64) {
        (self.p50_ms / base.p50_ms.max(0.001), self.p99_ms / base.p99_ms.max(0.001))
    }
}

/// Runs the mode.
pub(crate) fn run(args: &FollowersArgs) -> Result<()> {
    let mut table = Table::new(COLUMNS);
    let mut found = Arrangement::ALL.map(|arrangement| (arrangement, Vec::new()));
    for repeat in 0..args.repeats as usize {
        for arrangement in Arrangement::in_turn(repeat) {
            let measured = measure(args, arrangement)?;
            table.row(row(args, (repeat + 1).into(), arrangement, &measured, None));
            let mut of_all = found.iter_mut();
            if let Some((_, all)) = of_all.find(|(known, _)| *known == arrangement) {
                all.push(measured);
            }
        }
    }
    let medians = found.map(|(arrangement, all)| (arrangement, Figures::medians(&all)));
    let [(_, base), beside @ ..] = &medians;
    for (arrangement, figures) in &medians {
        table.row(row(args, "median".into(), *arrangement, figures, Some(base)));
    }
    table.publish(args.subject.common.csv.as_deref())?;
    beside.iter().try_for_each(|(arrangement, figures)| {
        note(&verdict(arrangement.name(), figures.ratios(base).1))
    })
}

fn verdict(name: &str, p99_ratio: f64) -> String {
    let word = if p99_ratio <= AT_MOST { "reached" } else { "MISSED" };
    format!("{name}: sockets' p99, × without followers: {p99_ratio:.2}, at most {AT_MOST}: {word}")
}

/// One measurement, on a broker of its own.
fn measure(args: &FollowersArgs, arrangement: Arrangement) -> Result<Figures> {
    let (followers, reading) = arrangement.followers(args.followers);
    let reading = match reading {
        Reading::All => "all",
        Reading::None => "none",
    };
    let many = followers.to_string();
    let mode =
        ["followed-server", "--channel", CHANNEL, "--followers", &many, "--reading", reading];
    let (mut server, mut talk) = args.subject.launch_own(&mode)?;
    let result = one_run(args, arrangement, &server, &mut talk);
    server.explain(result)
}

fn one_run(
    args: &FollowersArgs,
    arrangement: Arrangement,
    server: &Server,
    talk: &mut Talk,
) -> Result<Figures> {
    // It says where it listens when its followers are in place.
    talk.wait(args.subject.deadline())?;
    let load = Load {
        subscribers: args.subscribers,
        updates: args.rate * args.seconds,
        outstanding: 1,
        rate: Some(args.rate),
        publishers: PUBLISHERS,
        repeats: 1,
    };
    let mut swarm = Swarm::new(server.address)?;
    let subscribers = args.subscribers as usize;
    let mut all =
        Broadcast::new(args.subject.peer.dialect(1), load.publishers as usize, subscribers)?;
    all.gather(&mut swarm, args.subject.deadline())?;
    load.make((load.updates / 10).max(1) as usize, &mut swarm, &mut all, &args.subject)?;
    swarm.settle(SETTLE, &mut all)?;
    let generator = std::process::id();
    let (before, queued) = (ask(talk, &args.subject)?, Queued::of(generator));
    let measured = measure_load(&load, &mut swarm, &mut all, server, &args.subject)?;
    let queued_ms = Queued::of(generator).ms_since(&queued);
    swarm.settle(SETTLE, &mut all)?;
    let account = ask(talk, &args.subject)?.since(&before);
    figures(args, arrangement, server, &measured, &account, queued_ms)
}

fn ask(talk: &mut Talk, subject: &Subject) -> Result<Account> {
    talk.say("how far")?;
    let line = talk.wait(subject.deadline())?;
    match Account::parse(&line) {
        Some(account) => Ok(account),
        None => fail!("the broker's process says {line:?}"),
    }
}

fn figures(
    args: &FollowersArgs,
    arrangement: Arrangement,
    server: &Server,
    measured: &FanoutFigures,
    account: &Account,
    queued_ms: f64,
) -> Result<Figures> {
    if account.told == 0 {
        fail!("the channel told nothing");
    }
    let missed = match arrangement {
        Arrangement::Reading => account.missed(args.followers)?,
        Arrangement::NoFollowers | Arrangement::NeverReading => 0,
    };
    Ok(Figures {
        folded: measured.folded as f64,
        p50_ms: measured.latency.quantile_ms(0.5),
        p99_ms: measured.latency.quantile_ms(0.99),
        max_ms: measured.latency.max_ms(),
        queued_ms,
        server_cpu: measured.server_cpu,
        generator_cpu: measured.generator_cpu,
        told: account.told as f64,
        steps: account.steps as f64,
        missed: missed as f64,
        resyncs: account.resyncs as f64,
        bytes: account.bytes as f64,
        ring_bytes: account.ring_bytes as f64,
        resident: Memory::of(server.pid)?.resident as f64,
    })
}

/// `base`: the medians without followers, for a row of medians.
fn row(
    args: &FollowersArgs,
    label: Cell,
    arrangement: Arrangement,
    figures: &Figures,
    base: Option<&Figures>,
) -> Vec<Cell> {
    let (followers, _) = arrangement.followers(args.followers);
    let of_readers = |value, decimals| match arrangement {
        Arrangement::Reading => Cell::Number(value, decimals),
        Arrangement::NoFollowers | Arrangement::NeverReading => Cell::Nothing,
    };
    let ratios = base.map(|base| figures.ratios(base));
    let ratio = |value: Option<f64>| value.map_or(Cell::Nothing, |value| Cell::Number(value, 2));
    vec![
        label,
        arrangement.name().into(),
        (followers as usize).into(),
        (args.subscribers as usize).into(),
        (args.rate as usize).into(),
        (args.seconds as usize).into(),
        Cell::Number(figures.folded, 0),
        Cell::Number(figures.p50_ms, 2),
        Cell::Number(figures.p99_ms, 2),
        Cell::Number(figures.max_ms, 2),
        Cell::Number(figures.queued_ms, 3),
        Cell::Number(figures.server_cpu, 2),
        Cell::Number(figures.generator_cpu, 2),
        Cell::Number(figures.told, 0),
        of_readers(figures.steps, 0),
        of_readers(figures.missed, 0),
        of_readers(figures.resyncs, 0),
        of_readers(figures.bytes / figures.steps.max(1.0), 1),
        Cell::Number(figures.ring_bytes / 1024.0, 1),
        Cell::Number(figures.resident / f64::from(1 << 20), 1),
        ratio(ratios.map(|(p50, _)| p50)),
        ratio(ratios.map(|(_, p99)| p99)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_arrangement_is_the_first_in_turn() {
        for repeat in 0..6 {
            let turn = Arrangement::in_turn(repeat);
            assert_eq!(turn[0], Arrangement::ALL[repeat % 3]);
            assert!(Arrangement::ALL.iter().all(|one| turn.contains(one)), "{turn:?}");
        }
    }

    #[test]
    fn ratios_are_those_of_medians() {
        let of = |p50_ms, p99_ms| Figures { p50_ms, p99_ms, ..Figures::default() };
        let base = Figures::medians(&[of(2.0, 10.0), of(4.0, 90.0), of(1.0, 20.0)]);
        let beside = Figures::medians(&[of(3.0, 24.0), of(1.0, 1.0), of(9.0, 80.0)]);
        assert_eq!(beside.ratios(&base), (1.5, 1.2));
        assert!(verdict("x", 1.2).contains("reached") && verdict("x", 1.201).contains("MISSED"));
        assert_eq!(Figures::medians(&[]).p99_ms.to_bits(), 0);
    }
}
