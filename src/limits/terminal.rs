//! Commands at a terminal.

use std::time::Duration;

/// Longest wait before a command at a terminal dials again, in milliseconds: somebody looks.
pub const TERMINAL_BACK_OFF_MS: u64 = 10_000;

/// How long a connection, and a handshake of TLS, may take.
pub const TERMINAL_DIAL: Duration = Duration::from_secs(10);

/// How long an answer may take.
pub const TERMINAL_ANSWER: Duration = Duration::from_secs(10);

/// Bytes of an answer over HTTP.
pub const TERMINAL_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of one message over a WebSocket: what a tick of thousands says with all their attributes.
pub const TERMINAL_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Pages of one list: more than the largest channel has.
pub const TERMINAL_PAGES: usize = 100_000;

/// From one sign of life to the next, where the broker does not want them more often: a connection on
/// which none is answered is dead.
pub const TERMINAL_LIVELY: Duration = Duration::from_secs(10);

/// How long answers to these are waited for at least: several may be on the way.
pub const TERMINAL_PATIENCE: Duration = Duration::from_secs(5);

/// How long goodbyes are waited for.
pub const TERMINAL_GOODBYE: Duration = Duration::from_secs(1);

/// From one drawing of a list to the next, where something happens all the time.
pub const TERMINAL_DRAW: Duration = Duration::from_millis(100);

/// And where nothing does: ages grow, and the terminal may be of another size.
pub const TERMINAL_REDRAW: Duration = Duration::from_millis(500);

/// Columns of a name that others chose.
pub const TERMINAL_NAME: usize = 60;

/// Columns of any other text of theirs.
pub const TERMINAL_TEXT: usize = 240;

/// Lines of what happened that are kept for the screen: as many as a large one has.
pub const TERMINAL_NEWS: usize = 200;

/// By how much two clocks may differ, in milliseconds: what brokers let pass for tokens.
pub const TERMINAL_CLOCK_MS: u64 = 30_000;
