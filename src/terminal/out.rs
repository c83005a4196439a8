//! Where it is printed.

use std::fmt;
use std::io::{ErrorKind, Write};

use clap::builder::styling::Style;

/// Standard output, as whoever starts a command knows it.
pub struct Out {
    sink: Box<dyn Write + Send>,
    /// Somebody looks at it: it can be drawn on.
    pub is_terminal: bool,
    /// And wants to see colours.
    pub colors: bool,
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out").field("is_terminal", &self.is_terminal).finish_non_exhaustive()
    }
}

impl Out {
    /// Prints to `sink`.
    #[must_use]
    pub fn new(sink: Box<dyn Write + Send>, is_terminal: bool, colors: bool) -> Self {
        Self { sink, is_terminal, colors }
    }

    /// Prints as it is, at once.
    ///
    /// # Errors
    /// Why not, in one line; [`is_end`] tells that nobody reads any more.
    pub fn raw(&mut self, text: &str) -> Result<(), String> {
        let written = self.sink.write_all(text.as_bytes()).and_then(|()| self.sink.flush());
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => NOBODY_READS.to_owned(),
            _ => format!("standard output: {error}"),
        })
    }

    /// Prints a line.
    ///
    /// # Errors
    /// As [`Out::raw`].
    pub fn line(&mut self, text: &str) -> Result<(), String> {
        self.raw(&format!("{text}\n"))
    }

    /// Prints a line in that style, if colours are wanted.
    ///
    /// # Errors
    /// As [`Out::raw`].
    pub fn styled(&mut self, text: &str, style: Style) -> Result<(), String> {
        if self.colors { self.line(&format!("{style}{text}{style:#}")) } else { self.line(text) }
    }
}

const NOBODY_READS: &str = "standard output: nobody reads it";

/// Whether an error of [`Out::raw`] says that whoever read has had enough, which is no failure.
#[must_use]
pub fn is_end(why: &str) -> bool {
    why == NOBODY_READS
}
