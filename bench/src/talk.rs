//! Talking with a process that was started here, in lines: what it writes to its standard output, and
//! what it reads from its standard input. A child whose parent goes first reads the end of its input.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;

use crate::clock::{self, Deadline};
use crate::failure::{Context, Result, fail};

/// Lines that the child may be ahead: no child here says more before it is asked.
const LINES: usize = 4;

/// Both ways between this process and its child.
#[derive(Debug)]
pub(crate) struct Talk {
    input: ChildStdin,
    lines: Receiver<String>,
}

/// What the child has said.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Line(String),
    /// Nothing yet.
    Nothing,
    /// It will say nothing more.
    Ended,
}

impl Talk {
    /// Talks with `child`, whose standard input and output are pipes.
    ///
    /// # Errors
    /// If they are not.
    pub(crate) fn with(child: &mut Child) -> Result<Self> {
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            fail!("a process that was started here has no pipes");
        };
        let (say, lines) = sync_channel(LINES);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(io::Result::ok) {
                if say.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { input, lines })
    }

    /// Says one line to the child.
    ///
    /// # Errors
    /// If it does not read any more.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}").context(|| format!("{line:?} to our own process"))
    }

    /// The next line of the child, if it has said one.
    pub(crate) fn hear(&self) -> Heard {
        match self.lines.try_recv() {
            Ok(line) => Heard::Line(line),
            Err(TryRecvError::Empty) => Heard::Nothing,
            Err(TryRecvError::Disconnected) => Heard::Ended,
        }
    }

    /// The next line of the child.
    ///
    /// # Errors
    /// If none comes before `deadline`, or none will.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<String> {
        loop {
            match self.hear() {
                Heard::Line(line) => return Ok(line),
                Heard::Ended => fail!("our own process has ended"),
                Heard::Nothing if deadline.passed() => fail!("our own process says nothing"),
                Heard::Nothing => thread::sleep(clock::SHORTEST),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_go_both_ways_until_the_child_ends() {
        let mut command = Command::new("sh");
        command.args(["-c", "read line; echo \"heard $line\""]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut talk = Talk::with(&mut child).unwrap();
        assert_eq!(talk.hear(), Heard::Nothing);
        assert!(talk.wait(Deadline::after(Duration::from_millis(20))).is_err());
        talk.say("you").unwrap();
        let deadline = Deadline::after(Duration::from_secs(10));
        assert_eq!(talk.wait(deadline).unwrap(), "heard you");
        child.wait().unwrap();
        assert!(talk.wait(deadline).unwrap_err().to_string().contains("ended"));
    }
}
