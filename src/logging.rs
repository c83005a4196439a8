//! The log: lines on standard error, written by a thread of their own. Whoever reads them may stand
//! still (a terminal that somebody halted, a program that hangs behind a pipe, a full disk behind that),
//! and nobody who is served may wait for it. So lines wait, few of them, and what comes then is lost and
//! counted.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tokio::time::sleep;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};
use crate::limits::{LOG_LINES, LOST_LINES_LINE};

/// What was lost of the log: there is one in a process.
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// The log, which ends when this is dropped. Lines that still wait are written then, unless that takes more
/// than a second.
#[must_use = "without it nothing is logged"]
#[derive(Debug)]
pub struct Log {
    _written: WorkerGuard,
}

/// Begins to log what the configuration asks for, once in a process and on the current runtime.
///
/// # Errors
/// One line that names the flag.
pub fn start(config: &Config) -> Result<Log, String> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| format!("--log {}: {error}", config.log))?;
    // Standard output is for scripts that wait for the first line.
    let (lines, written) = NonBlockingBuilder::default()
        .buffered_lines_limit(LOG_LINES)
        .thread_name("herenow-log")
        .finish(std::io::stderr());
    let lost = LOST.get_or_init(|| lines.error_counter());
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(lines);
    match config.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    tokio::spawn(tell_lost(lost));
    Ok(Log { _written: written })
}

/// How many lines of the log were lost since the start, because it was not read.
#[must_use]
pub fn lost_lines() -> usize {
    LOST.get().map_or(0, ErrorCounter::dropped_lines)
}

/// Says in the log that some of it was lost, as soon as there is room for that.
async fn tell_lost(lost: &ErrorCounter) {
    let mut told = 0;
    loop {
        sleep(LOST_LINES_LINE).await;
        let count = lost.dropped_lines();
        if count == told {
            continue;
        }
        tracing::warn!(lines = count - told, "part of the log was lost: it was not read");
        // That line can have been lost as well.
        if lost.dropped_lines() == count {
            told = count;
        }
    }
}
