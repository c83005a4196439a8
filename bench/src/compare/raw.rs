//! The raw numbers of a comparison, as CSV that says by itself when, where and on what they were
//! measured: lines with `#`, which readers of CSV skip when told so, then the rows. Further runs may
//! be appended to the same file; each row names its own.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::clock;
use crate::compare::samples::Sample;
use crate::failure::{Context, Result, fail};
use crate::machine;

const HEADING: &str = "run,work,peer,repeat,metric,value";

/// What is known of a run before it begins, and what went wrong in it.
#[derive(Debug)]
pub(crate) struct Run {
    name: String,
    remarks: Vec<String>,
}

impl Run {
    pub(crate) fn new(what: &str) -> Self {
        let name = clock::utc();
        let remarks =
            vec![format!("run {name}: {what}"), format!("machine: {}", machine::describe())];
        Self { name, remarks }
    }

    /// Adds a line that a reader of the numbers should know.
    pub(crate) fn remark(&mut self, line: &str) {
        self.remarks.push(line.replace('\n', " "));
    }

    fn text(&self, samples: &[Sample], heading: bool) -> String {
        let mut text = String::new();
        for remark in &self.remarks {
            let _ = writeln!(text, "# {remark}");
        }
        if heading {
            let _ = writeln!(text, "{HEADING}");
        }
        for Sample { work, peer, repeat, metric, value } in samples {
            let (run, work, peer) = (&self.name, work.name(), peer.name());
            let _ = writeln!(text, "{run},{work},{peer},{repeat},{metric},{value}");
        }
        text
    }

    /// Appends the run to a file; the heading only if there is none yet.
    pub(crate) fn append(&self, path: &Path, samples: &[Sample]) -> Result<()> {
        let heading = !has_heading(path)?;
        let text = self.text(samples, heading);
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .context(|| format!("--csv {}", path.display()))
    }
}

/// Whether rows of earlier runs are in the file.
///
/// # Errors
/// If it holds something else.
pub(crate) fn has_heading(path: &Path) -> Result<bool> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        read => read.context(|| format!("--csv {}", path.display()))?,
    };
    match text.lines().find(|line| !line.starts_with('#') && !line.is_empty()) {
        None => Ok(false),
        Some(HEADING) => Ok(true),
        Some(_) => fail!("--csv {} holds another table", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::work::Work;
    use crate::peer::Peer;

    #[test]
    fn a_file_says_what_it_holds() {
        let mut run = Run::new("compare");
        run.remark("ws: ws 8.0\nand more");
        let sample =
            Sample { work: Work::Idle, peer: Peer::Ws, repeat: 2, metric: "connect_s", value: 0.5 };
        let text = run.text(&[sample], true);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[0].starts_with("# run 2") && lines[1].starts_with("# machine: "));
        assert_eq!(lines[2..4], ["# ws: ws 8.0 and more", HEADING]);
        assert_eq!(lines[4], format!("{},idle,ws,2,connect_s,0.5", run.name));
        assert_eq!(run.text(&[], false).lines().count(), 3);
    }
}
