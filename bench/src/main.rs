//! `herenow-bench`: measures herenow, and the systems that people would pick instead, on the same
//! work. `bench/README.md` says how to run it and what it found.
//!
//! Imports point one way: every line below knows only lines above it, and so do the files inside a
//! folder.
//!
//! 1. [`failure`], [`clock`], [`machine`], [`frame`]: errors, time, the machine, WebSocket frames.
//! 2. [`histogram`], [`progress`], [`table`], [`procfs`], [`inflate`]: latencies; what people see; CPU
//!    and memory; messages that were compressed.
//! 3. [`population`], [`replica`], [`talk`]: which users are expected in which channel; what a client
//!    knows of one; a process that is talked with.
//! 4. [`socket`], [`server`]: one connection; the process under test.
//! 5. [`peer`]: what each system's clients say, and what its answers mean.
//! 6. [`swarm`], [`subject`], [`floor_server`], [`followed_server`]: connections by the thousand, on
//!    one thread; which server is measured; the machine's own limit; a broker with followers inside.
//! 7. [`attendees`], [`broadcast`]: clients that know each other; clients that are told of changes.
//! 8. [`giant`]: a load that another process makes.
//! 9. [`mode`]: what is measured, one file each.
//! 10. [`compare`]: all modes over all systems.

mod attendees;
mod broadcast;
mod clock;
mod compare;
mod failure;
mod floor_server;
mod followed_server;
mod frame;
mod giant;
mod histogram;
mod inflate;
mod machine;
mod mode;
mod peer;
mod population;
mod procfs;
mod progress;
mod replica;
mod server;
mod socket;
mod subject;
mod swarm;
mod table;
mod talk;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::failure::{Context, Result};

/// Load generator for herenow and the systems people would pick instead
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    Idle(mode::idle::IdleArgs),
    Storm(mode::storm::StormArgs),
    Fanout(mode::fanout::FanoutArgs),
    Heartbeat(mode::heartbeat::HeartbeatArgs),
    Slow(mode::slow::SlowArgs),
    SlowLines(mode::slow_lines::SlowLinesArgs),
    Pacing(mode::pacing::PacingArgs),
    Levels(mode::levels::LevelsArgs),
    Followers(mode::followers::FollowersArgs),
    Outlived(mode::outlived::OutlivedArgs),
    Kept(mode::kept::KeptArgs),
    Polls(mode::polls::PollsArgs),
    Floor(mode::floor::FloorArgs),
    Compare(compare::CompareArgs),
    #[command(hide = true)]
    FloorServer(floor_server::FloorServerArgs),
    #[command(hide = true)]
    FollowedServer(Box<followed_server::FollowedServerArgs>),
    #[command(hide = true)]
    Giant(giant::GiantArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !is_refusal(error.kind()) => {
            let _ = error.print();
            return if error.use_stderr() { BAD_FLAGS.into() } else { ExitCode::SUCCESS };
        }
        Err(error) => {
            tell(&one_line(&error.render().to_string()));
            return BAD_FLAGS.into();
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

/// The exit code of a command line that makes no sense.
const BAD_FLAGS: u8 = 2;

fn tell(line: &str) {
    // If stderr is closed there is nobody to tell; the exit code remains.
    let _ = writeln!(io::stderr(), "herenow-bench: {line}");
}

/// Whether a person asked for something that can't be, not for help.
fn is_refusal(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// A refused command line in one line, like every other failure: without the usage that follows.
fn one_line(error: &str) -> String {
    let paragraph = error.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

fn run(cli: &Cli) -> Result<()> {
    // One descriptor for each connection, here and in the server, which inherits the limit.
    rlimit::increase_nofile_limit(u64::MAX).context(|| "the limit on open files".to_owned())?;
    match &cli.mode {
        Mode::Idle(args) => mode::idle::run(args),
        Mode::Storm(args) => mode::storm::run(args),
        Mode::Fanout(args) => mode::fanout::run(args),
        Mode::Heartbeat(args) => mode::heartbeat::run(args),
        Mode::Slow(args) => mode::slow::run(args),
        Mode::SlowLines(args) => mode::slow_lines::run(args),
        Mode::Pacing(args) => mode::pacing::run(args),
        Mode::Levels(args) => mode::levels::run(args),
        Mode::Followers(args) => mode::followers::run(args),
        Mode::Outlived(args) => mode::outlived::run(args),
        Mode::Kept(args) => mode::kept::run(args),
        Mode::Polls(args) => mode::polls::run(args),
        Mode::Floor(args) => mode::floor::run(args),
        Mode::Compare(args) => compare::run(args),
        Mode::FloorServer(args) => floor_server::run(args),
        Mode::FollowedServer(args) => followed_server::run(args),
        Mode::Giant(args) => giant::run(args),
    }
}
