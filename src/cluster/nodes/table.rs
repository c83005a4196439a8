//! The nodes of a cluster as people are shown them.

use std::fmt::Write as _;
use std::time::Duration;

use crate::presence::NodeId;

/// One node, as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub node: NodeId,
    /// What people call it.
    pub name: String,
    /// What it runs.
    pub version: String,
    /// Whether it shuts down.
    pub draining: bool,
    /// How long its lease lasts, in milliseconds; 0 or less: it has run out.
    pub left_ms: i64,
    /// Members and channels, as it said last.
    pub counts: Option<(u64, u64)>,
}

impl Row {
    fn state(&self) -> &'static str {
        match (self.left_ms > 0, self.draining) {
            (true, false) => "serving",
            (true, true) => "draining",
            (false, true) => "gone",
            (false, false) => "dead",
        }
    }

    fn lease(&self) -> String {
        match u64::try_from(self.left_ms) {
            Ok(left_ms @ 1..) => {
                let tenths = Duration::from_millis(left_ms).as_millis().div_ceil(100);
                format!("{}.{} s", tenths / 10, tenths % 10)
            }
            _ => "over".to_owned(),
        }
    }

    fn cells(&self) -> [String; 7] {
        let of = |count: fn((u64, u64)) -> u64| {
            self.counts.map_or("?".to_owned(), |counts| count(counts).to_string())
        };
        let shown = |text: &str| match text {
            "" => "?".to_owned(),
            // Strangers may have written it.
            text => text.chars().filter(|letter| !letter.is_control()).collect(),
        };
        [
            self.node.to_string(),
            shown(&self.name),
            self.state().to_owned(),
            self.lease(),
            of(|counts| counts.0),
            of(|counts| counts.1),
            shown(&self.version),
        ]
    }
}

const HEADS: [&str; 7] = ["node", "name", "state", "lease", "members", "channels", "version"];

/// Columns of numbers, which end below each other.
const NUMBERS: [usize; 3] = [3, 4, 5];

/// A line for each node, by name, below one that says what is what.
#[must_use]
pub fn table(mut rows: Vec<Row>) -> String {
    if rows.is_empty() {
        return "no nodes\n".to_owned();
    }
    rows.sort_by(|one, other| (&one.name, one.node).cmp(&(&other.name, other.node)));
    let heads = HEADS.map(str::to_owned);
    let lines: Vec<_> = std::iter::once(heads).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| {
        let cells = lines.iter().map(|cells| cells[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..HEADS.len()).map(width).collect();
    let mut text = String::new();
    for cells in &lines {
        let mut line = String::new();
        for (column, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            // Writing to a text cannot fail.
            let _ = match NUMBERS.contains(&column) {
                true => write!(line, "{gap}{cell:>width$}"),
                false => write!(line, "{gap}{cell:<width$}"),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u64, name: &str, left_ms: i64) -> Row {
        Row {
            node: NodeId::new(number),
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            draining: false,
            left_ms,
            counts: Some((12_000, 7)),
        }
    }

    #[test]
    fn people_see_each_node_in_a_line() {
        let draining = Row { draining: true, ..row(2, "blue:8080", 4_010) };
        let gone = Row { draining: true, counts: None, ..row(3, "green:8080", -70) };
        let strange = Row { name: "\u{1b}[2J".to_owned(), version: String::new(), ..row(4, "", 1) };
        let shown = table(vec![row(1, "white:8080", 0), gone, draining, strange]);
        let wanted = "\
node          name        state     lease  members  channels  version
000000000004  [2J         serving   0.1 s    12000         7  ?
000000000002  blue:8080   draining  4.1 s    12000         7  0.1.0
000000000003  green:8080  gone       over        ?         ?  0.1.0
000000000001  white:8080  dead       over    12000         7  0.1.0
";
        assert_eq!(shown, wanted, "\n{shown}");
        assert_eq!(table(Vec::new()), "no nodes\n");
    }
}
