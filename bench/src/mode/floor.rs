//! `floor`: what the machine itself takes for a fan-out: a bare loop of write(2) of the same bytes to
//! the same number of sockets, read by the same generator. Plain: one write for each update and
//! subscriber. Batched: one write for all updates that wait.
//!
//! How it can mislead: a server can be below the plain floor when it batches, and below the batched
//! one when it folds changes away or packs them tighter; `--bytes` should be what the server under
//! test sends for one delivery.

use clap::Args;

use crate::failure::Result;
use crate::mode::fanout::{self, FanoutArgs, Load};
use crate::peer::Peer;
use crate::subject::{Common, Subject};

/// A bare loop of write(2): the machine's limit for a fan-out
#[derive(Args, Debug)]
pub(crate) struct FloorArgs {
    #[command(flatten)]
    load: Load,

    /// Bytes of a frame on the wire
    #[arg(long, value_name = "BYTES", default_value_t = 180, value_parser = clap::value_parser!(u16).range(14..=60_000))]
    bytes: u16,

    #[command(flatten)]
    common: Common,
}

/// Runs the mode.
pub(crate) fn run(args: &FloorArgs) -> Result<()> {
    let mut tables = Vec::new();
    for peer in [Peer::Floor, Peer::FloorBatched] {
        let subject = Subject::new(peer, &args.common);
        let fanout = FanoutArgs { load: args.load.clone(), bytes: Some(args.bytes), subject };
        tables.push(fanout::measure(&fanout)?);
    }
    tables.iter().try_for_each(|table| table.publish(args.common.csv.as_deref()))
}
