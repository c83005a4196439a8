//! The cases in turn, each on a broker of its own.

use clap::{Args, ValueEnum};

use crate::failure::Result;
use crate::mode::slow_lines::figures::Figures;
use crate::mode::slow_lines::{busy, enter, hidden, many};
use crate::subject::Subject;

/// What can be measured, as the head of the folder has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Case {
    Enter,
    Busy,
    Many,
    Hidden,
}

/// Many readers behind slow lines, at full size, each figure beside its bound (herenow only)
#[derive(Args, Debug)]
pub(crate) struct SlowLinesArgs {
    /// Only these cases
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Case::Enter, Case::Busy, Case::Many, Case::Hidden])]
    cases: Vec<Case>,

    #[command(flatten)]
    pub(crate) subject: Subject,
}

/// Runs the mode.
///
/// # Errors
/// If a case could not be measured, or a bound does not hold.
pub(crate) fn run(args: &SlowLinesArgs) -> Result<()> {
    let mut figures = Figures::default();
    for case in &args.cases {
        let measure = match case {
            Case::Enter => enter::measure,
            Case::Busy => busy::measure,
            Case::Many => many::measure,
            Case::Hidden => hidden::measure,
        };
        measure(&args.subject, &mut figures)?;
    }
    figures.table().publish(args.subject.common.csv.as_deref())?;
    figures.judge()
}
