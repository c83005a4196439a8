//! What was found, each figure beside what it must not exceed.

use crate::failure::{Result, fail};
use crate::table::{Cell, Table};

const COLUMNS: &[&str] = &["case", "figure", "measured", "at_most", "verdict"];

/// The rows of a run, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Figures(Vec<(&'static str, String, f64, Option<f64>)>);

impl Figures {
    /// A figure that must not be above `at_most`.
    pub(super) fn bound(&mut self, case: &'static str, what: &str, measured: f64, at_most: f64) {
        self.0.push((case, what.to_owned(), measured, Some(at_most)));
    }

    /// A figure without which the others mean little.
    pub(super) fn tell(&mut self, case: &'static str, what: &str, measured: f64) {
        self.0.push((case, what.to_owned(), measured, None));
    }

    /// All of them.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(COLUMNS);
        for (case, what, measured, at_most) in &self.0 {
            let verdict = match at_most {
                None => "",
                Some(at_most) if holds(*measured, *at_most) => "holds",
                Some(_) => "MISSED",
            };
            let at_most = at_most.map_or(Cell::Nothing, |at_most| Cell::Number(at_most, 2));
            let measured = Cell::Number(*measured, 2);
            table.row(vec![
                (*case).into(),
                what.as_str().into(),
                measured,
                at_most,
                verdict.into(),
            ]);
        }
        table
    }

    /// # Errors
    /// If a bound does not hold.
    pub(super) fn judge(&self) -> Result<()> {
        let bounds =
            self.0.iter().filter_map(|(.., measured, at_most)| Some((*measured, (*at_most)?)));
        let (held, missed): (Vec<_>, Vec<_>) =
            bounds.partition(|&(measured, at_most)| holds(measured, at_most));
        if !missed.is_empty() {
            fail!("{} of {} bounds do not hold", missed.len(), held.len() + missed.len());
        }
        Ok(())
    }
}

/// No figure at all (NaN) holds nothing.
fn holds(measured: f64, at_most: f64) -> bool {
    measured <= at_most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_its_bound_fails_the_run() {
        let mut figures = Figures::default();
        figures.tell("a", "x", 9.0);
        figures.bound("a", "y", 1.0, 1.0);
        assert!(figures.judge().is_ok());
        figures.bound("a", "z", 1.1, 1.0);
        figures.bound("a", "nothing", f64::NAN, 1.0);
        assert_eq!(figures.judge().unwrap_err().to_string(), "2 of 3 bounds do not hold");
    }
}
