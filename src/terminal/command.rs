//! The commands as they are typed.

use clap::Subcommand;

use super::doctor::{DoctorFlags, doctor};
use super::flags::TokenFlags;
use super::join::{JoinFlags, join};
use super::out::{Out, is_end};
use super::status::{StatusFlags, status};
use super::stay::Stop;
use super::watch::{WatchFlags, watch};
use super::who::{WhoFlags, who};
use crate::auth::Secret;

/// A command for somebody at a terminal.
#[derive(Debug, Subcommand)]
pub enum Typed {
    /// Watch a channel live: who is there, who comes and who goes
    Watch {
        /// What, and how.
        #[command(flatten)]
        flags: Box<WatchFlags>,
    },
    /// Print who is in a channel now
    Who {
        /// Where.
        #[command(flatten)]
        flags: Box<WhoFlags>,
    },
    /// Be present in a channel until Ctrl-C
    Join {
        /// Where, and as whom.
        #[command(flatten)]
        flags: Box<JoinFlags>,
    },
    /// Print whether a user is online, and where
    Status {
        /// Whose.
        #[command(flatten)]
        flags: Box<StatusFlags>,
    },
    /// Look at what stands between here and a broker, and say what to change
    Doctor {
        /// Which broker.
        #[command(flatten)]
        flags: Box<DoctorFlags>,
    },
    /// Say where the benchmarks are
    Bench,
}

impl Typed {
    fn tokens(&mut self) -> Option<&mut TokenFlags> {
        match self {
            Self::Watch { flags } => Some(&mut flags.tokens),
            Self::Who { flags } => Some(&mut flags.tokens),
            Self::Join { flags } => Some(&mut flags.tokens),
            Self::Status { flags } => Some(&mut flags.tokens),
            Self::Doctor { flags } => Some(&mut flags.tokens),
            Self::Bench => None,
        }
    }

    /// Takes what has no flag.
    pub fn take_token(&mut self, token: Option<Secret>) {
        if let Some(tokens) = self.tokens() {
            tokens.token = token;
        }
    }
}

/// Does what was typed, until `stop`.
///
/// # Errors
/// One line that names what to change.
pub async fn run(typed: Typed, mut out: Out, mut stop: Stop) -> Result<(), String> {
    let done = match typed {
        Typed::Watch { flags } => watch(*flags, out, stop).await,
        Typed::Join { flags } => join(*flags, out, stop).await,
        Typed::Doctor { flags } => doctor(&flags, out, stop).await,
        Typed::Who { flags } => tokio::select! {
            () = &mut stop => Err("ended before all was read".to_owned()),
            done = who(&flags, out) => done,
        },
        Typed::Status { flags } => tokio::select! {
            () = &mut stop => Err("ended before all was read".to_owned()),
            done = status(&flags, out) => done,
        },
        Typed::Bench => out.line(BENCH),
    };
    match done {
        Err(why) if is_end(&why) => Ok(()),
        done => done,
    }
}

const BENCH: &str = "The benchmarks come with the source: cargo build --release --workspace, then \
                     target/release/herenow-bench compare\nbench/README.md has the figures, and says how \
                     to repeat them.";
