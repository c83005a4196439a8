//! The turns of `compare`, and its tables.

use std::io::{self, Write};

use clap::Args;

use crate::compare::bounds;
use crate::compare::raw::{self, Run};
use crate::compare::samples::{Sample, Samples};
use crate::compare::work::{Scale, Work};
use crate::failure::{Result, fail};
use crate::peer::Peer;
use crate::subject::{Common, Subject};
use crate::table::{Cell, Table, note};

/// Every system on the same work, and herenow's figures beside their bounds
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// The systems to compare
    #[arg(long, value_name = "A,B", value_enum, value_delimiter = ',', default_values_t = Peer::ALL)]
    only: Vec<Peer>,

    /// The works to compare them on
    #[arg(long, value_name = "A,B", value_enum, value_delimiter = ',', default_values_t = Work::ALL)]
    works: Vec<Work>,

    /// How often to measure each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,

    /// A tenth of the load: whether all works, not what it costs
    #[arg(long)]
    quick: bool,

    #[command(flatten)]
    common: Common,
}

/// Runs the mode.
pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let mut run = prepare(args)?;
    let mut samples = Samples::default();
    let mut failed: Vec<(Work, Peer)> = Vec::new();
    for &work in &args.works {
        for repeat in 1..=args.repeats {
            for &peer in args.only.iter().filter(|&&peer| work.suits(peer)) {
                if failed.contains(&(work, peer)) {
                    continue;
                }
                tell(&format!("{}, {}, {repeat} of {}", work.name(), peer.name(), args.repeats));
                match one(args, work, peer, &samples) {
                    Ok(values) => {
                        samples.0.extend(values.into_iter().map(|(metric, value)| Sample {
                            work,
                            peer,
                            repeat,
                            metric,
                            value,
                        }))
                    }
                    Err(failure) => {
                        let line = format!("{} on {}: {failure}", peer.name(), work.name());
                        tell(&line);
                        run.remark(&format!("missing: {line}"));
                        failed.push((work, peer));
                        samples.0.retain(|sample| sample.work != work || sample.peer != peer);
                    }
                }
            }
        }
    }
    if samples.0.is_empty() {
        fail!("nothing could be measured: see above");
    }
    publish(args, &samples, &run)?;
    if let Some((work, peer)) = failed.first() {
        let (work, peer) = (work.name(), peer.name());
        fail!("{} measurements are missing, {peer} on {work} first: see above", failed.len());
    }
    Ok(())
}

/// Finds out what would make half an hour's numbers useless, and what they are numbers of.
fn prepare(args: &CompareArgs) -> Result<Run> {
    if !args.works.iter().any(|work| args.only.iter().any(|&peer| work.suits(peer))) {
        fail!("--only and --works leave nothing to measure");
    }
    if let Some(csv) = &args.common.csv {
        raw::has_heading(csv)?;
    }
    let load = if args.quick { "--quick, a tenth of the load" } else { "the full load" };
    let mut run = Run::new(&format!("compare, {load}, repeats {}", args.repeats));
    for &peer in &args.only {
        let subject = Subject::new(peer, &args.common);
        subject.check()?;
        let version = subject.version().unwrap_or_else(|failure| failure.to_string());
        run.remark(&format!("{}: {version}", peer.name()));
    }
    Ok(run)
}

fn one(
    args: &CompareArgs,
    work: Work,
    peer: Peer,
    samples: &Samples,
) -> Result<Vec<(&'static str, f64)>> {
    let scale = if args.quick { Scale::Quick } else { Scale::Full };
    let subject = Subject::new(peer, &args.common);
    // The floor writes what herenow writes for one delivery of the same work.
    let frame_bytes = samples.median(work, Peer::Herenow, "bytes_per_delivery");
    work.measure(subject, scale, frame_bytes)
}

/// Says on stderr how far the comparison is.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "herenow-bench: {line}");
}

fn publish(args: &CompareArgs, samples: &Samples, run: &Run) -> Result<()> {
    for &work in &args.works {
        note(&format!("\n{}: {}", work.name(), work.what()))?;
        work_table(args, work, samples).publish(None)?;
    }
    note("\nherenow's figures and their bounds")?;
    bounds::table(samples).publish(None)?;
    if args.quick {
        note("--quick: these figures only show that everything works")?;
    }
    args.common.csv.as_deref().map_or(Ok(()), |csv| run.append(csv, &samples.0))
}

fn work_table(args: &CompareArgs, work: Work, samples: &Samples) -> Table {
    let mut table = Table::new(work.columns());
    for &peer in args.only.iter().filter(|&&peer| work.suits(peer)) {
        let mut cells: Vec<Cell> = vec![peer.name().into()];
        for metric in &work.columns()[1..] {
            let value = samples.median(work, peer, metric);
            cells.push(value.map_or(Cell::Nothing, |value| {
                Cell::Number(value, if value.abs() < 10.0 { 3 } else { 1 })
            }));
        }
        table.row(cells);
    }
    table
}
