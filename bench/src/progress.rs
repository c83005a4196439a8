//! How far a long run is, on stderr: a line that renews itself on a terminal, else one line every
//! ten seconds, so that logs stay short. A run of less than two seconds says nothing.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use crate::clock;

const QUIET_SECONDS: f64 = 2.0;
const TERMINAL_SECONDS: f64 = 0.2;
const LOG_SECONDS: f64 = 10.0;

/// A bar that ends with the scope it lives in.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    of: usize,
    began: Instant,
    told: Option<Instant>,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new(what: impl Into<String>, of: usize) -> Self {
        let terminal = io::stderr().is_terminal();
        Self { what: what.into(), of, began: clock::now(), told: None, terminal }
    }

    /// Tells that `done` of all is done, if it is time to tell anything.
    pub(crate) fn at(&mut self, done: usize) {
        let pause = if self.terminal { TERMINAL_SECONDS } else { LOG_SECONDS };
        let since = self.told.map_or(f64::INFINITY, clock::seconds_since);
        if clock::seconds_since(self.began) < QUIET_SECONDS || since < pause {
            return;
        }
        self.told = Some(clock::now());
        let share = 20 * done.min(self.of) / self.of.max(1);
        let bar = format!("[{:<20}] {} {done}/{}", "#".repeat(share), self.what, self.of);
        // Progress is a courtesy: a closed stderr must not end the run.
        let _ = if self.terminal {
            write!(io::stderr(), "\r\x1b[K{bar}")
        } else {
            writeln!(io::stderr(), "{bar}")
        };
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal && self.told.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
