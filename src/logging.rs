//! The log: lines on standard error, written by a thread of their own. Whoever reads them may stand
//! still (a terminal that somebody halted, a program that hangs behind a pipe, a full disk behind that),
//! and nobody who is served may wait for it. So lines wait, few of them, and what comes then is lost and
//! counted.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::sleep;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};
use crate::limits::{LOG_LINES, LOST_LINES_LINE, PANIC_CHARS};

/// What was lost of the log: there is one in a process.
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// How often anything panicked.
static PANICS: AtomicU64 = AtomicU64::new(0);

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
    log_panics();
    Ok(Log { _written: written })
}

/// How many lines of the log were lost since the start, because it was not read.
#[must_use]
pub fn lost_lines() -> usize {
    LOST.get().map_or(0, ErrorCounter::dropped_lines)
}

/// How often anything panicked since the start, which is a bug each time.
#[must_use]
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// From here on a panic is counted, and a line as any other; where nothing is logged it is told as Rust
/// tells it.
fn log_panics() {
    let told_by_rust = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        if tracing::enabled!(tracing::Level::ERROR) {
            log_panic(panic);
        } else {
            told_by_rust(panic);
        }
    }));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    // It may quote what strangers chose.
    let what: String = panic.payload_as_str().unwrap_or("?").chars().take(PANIC_CHARS).collect();
    let at = panic.location().map(ToString::to_string);
    // With RUST_BACKTRACE=1.
    let trace = Backtrace::capture();
    let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
    tracing::error!(what, at, trace, "a bug: something panicked");
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

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use super::*;

    /// Set where this very test runs in a process of its own, to the level of its log.
    const LEVEL: &str = "HERENOW_TEST_PANICS_AT";

    /// Runs this very test with a log of that level.
    fn panics_at(level: &str) -> Output {
        let name = "logging::tests::what_panics_is_counted_and_a_line_of_the_log";
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", name, "--nocapture"]).env(LEVEL, level).env("RUST_BACKTRACE", "1");
        test.output().unwrap()
    }

    #[tokio::main(flavor = "current_thread")]
    async fn panic_in_a_task(level: String) {
        let config = Config { log: level, log_format: LogFormat::Json, ..Config::default() };
        let _log = start(&config).unwrap();
        let long = "\u{1b}[2J\n".repeat(PANIC_CHARS);
        assert!(tokio::spawn(async move { panic!("{long}") }).await.is_err());
        assert_eq!(panics(), 1);
    }

    #[test]
    fn what_panics_is_counted_and_a_line_of_the_log() {
        if let Ok(level) = std::env::var(LEVEL) {
            return panic_in_a_task(level);
        }
        let Output { status, stderr, .. } = panics_at("error");
        let text = String::from_utf8(stderr).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let fields = &line["fields"];
        assert!(status.success() && fields["message"] == "a bug: something panicked", "{text}");
        assert_eq!(fields["what"].as_str().unwrap().chars().count(), PANIC_CHARS);
        assert!(fields["at"].as_str().unwrap().contains("logging.rs:"), "{text}");
        assert!(fields["trace"].as_str().unwrap().contains("panic_in_a_task"), "{text}");
        // Where nothing is logged it is told all the same.
        let Output { status, stderr, .. } = panics_at("off");
        let text = String::from_utf8(stderr).unwrap();
        assert!(status.success() && text.contains("panicked at"), "{text}");
    }
}
