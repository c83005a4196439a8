//! Results: a table for people on stdout, CSV for `bench/runs/`.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use crate::failure::{Context, Result};

/// One value of a row.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Text(String),
    /// A number and how many decimals a person wants to see; CSV keeps more.
    Number(f64, usize),
    /// Not measured, or has no meaning here.
    Nothing,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Number(number as f64, 0)
    }
}

/// Rows under one heading.
#[derive(Debug)]
pub(crate) struct Table {
    columns: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Adds a row `label` with the median of every numeric column.
    pub(crate) fn median_row(&mut self, label: &str) {
        let columns = 0..self.columns.len();
        let mut cells: Vec<Cell> = columns.map(|column| self.median_of(column)).collect();
        if let Some(first) = cells.first_mut() {
            *first = label.into();
        }
        self.rows.push(cells);
    }

    fn median_of(&self, column: usize) -> Cell {
        let mut digits = 0;
        let mut values: Vec<f64> = Vec::new();
        for row in &self.rows {
            match &row[column] {
                Cell::Number(value, decimals) => {
                    digits = *decimals;
                    values.push(*value);
                }
                Cell::Text(text) => return Cell::Text(text.clone()),
                Cell::Nothing => {}
            }
        }
        median(&mut values).map_or(Cell::Nothing, |value| Cell::Number(value, digits))
    }

    /// Prints the table, and appends it to `csv` if given.
    ///
    /// # Errors
    /// If either can't be written.
    pub(crate) fn publish(&self, csv: Option<&Path>) -> Result<()> {
        io::stdout().lock().write_all(self.for_people().as_bytes())?;
        let Some(path) = csv else { return Ok(()) };
        self.append_csv(path).context(|| format!("--csv {}", path.display()))
    }

    fn append_csv(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut text = self.columns.join(",");
        for row in &self.rows {
            text.push('\n');
            let cells: Vec<String> = row.iter().map(csv_cell).collect();
            text.push_str(&cells.join(","));
        }
        text.push('\n');
        file.write_all(text.as_bytes())
    }

    fn for_people(&self) -> String {
        let texts: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(human_cell).collect()).collect();
        let width = |column: usize| {
            let cells = texts.iter().map(|row| row[column].chars().count());
            cells.chain([self.columns[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut out = String::new();
        let heading = self.columns.iter().map(|name| (*name).to_owned()).collect();
        for row in std::iter::once(&heading).chain(&texts) {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(text, width)| format!("{text:>width$}")).collect();
            let _ = writeln!(out, "{}", cells.join("  "));
        }
        out
    }
}

/// The middle of some values (the mean of the middle two); none of none.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

fn human_cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Number(value, decimals) => format!("{value:.decimals$}"),
        Cell::Nothing => "-".to_owned(),
    }
}

fn csv_cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) if text.contains([',', '"', '\n']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Cell::Text(text) => text.clone(),
        Cell::Number(value, decimals) => {
            format!("{value:.*}", decimals + 3 * usize::from(*decimals > 0))
        }
        Cell::Nothing => String::new(),
    }
}

/// Prints a remark under a table.
pub(crate) fn note(text: &str) -> Result<()> {
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_table_lines_up() {
        let mut table = Table::new(&["what", "s"]);
        table.row(vec!["a".into(), Cell::Number(1.0, 1)]);
        table.row(vec!["b".into(), Cell::Number(3.25, 1)]);
        table.median_row("median");
        assert_eq!(table.for_people(), "  what    s\n     a  1.0\n     b  3.2\nmedian  2.1\n");
        assert_eq!(csv_cell(&"a,\"b\"".into()), "\"a,\"\"b\"\"\"");
    }
}
