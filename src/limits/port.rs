//! The port: accepting, proxies, TLS, and the end.

use std::time::Duration;

// The port.

/// From one sample of the broker's numbers to the next.
pub const SAMPLE_STEP: Duration = Duration::from_secs(10);

/// Samples that are kept: an hour of them, about 40 KB.
pub const SAMPLES: usize = 360;

/// How long a look at the process itself is shown: to count its files takes as long as there are many.
pub const PROCESS_LOOK_MS: u64 = 1_000;

/// Bytes of an HTTP answer that are given to a socket at once. A larger one counts as what slow readers
/// keep until all of it is out.
pub const ANSWER_PART_BYTES: usize = 16 * 1024;

/// When to ask again for an answer that there was no room for.
pub const ANSWER_RETRY_MS: u64 = 1_000;

/// Sockets that the kernel may keep waiting to be accepted.
pub const BACKLOG: i32 = 4096;

/// How long `herenow health` waits for an answer.
pub const PROBE_TIME: Duration = Duration::from_secs(3);

/// Connections to the port for whoever operates the broker.
pub const MAX_OPERATORS: usize = 32;

/// Open files that are not connections of clients: the listeners, epoll, logs, those who operate the
/// broker, and some air.
pub const RESERVED_FILES: u64 = 64 + MAX_OPERATORS as u64;

/// From one line in the log to the next about the same kind of thing that clients do.
pub const FLOOD_LINE: Duration = Duration::from_secs(1);

/// Lines of the log that wait to be written; what comes then is lost. A line has a few hundred bytes, at
/// most some 2 KiB: what strangers chose is cut. So 16 MiB at the most.
pub const LOG_LINES: usize = 8_192;

/// Characters of what panicked that a line in the log shows.
pub const PANIC_CHARS: usize = 500;

/// From one line in the log to the next about lines that were lost.
pub const LOST_LINES_LINE: Duration = Duration::from_secs(1);

/// Characters of an `Origin` or a `Host` that a refusal or a line in the log shows.
pub const SHOWN_CHARS: usize = 120;

/// Connections that are accepted in one go, before others get their turn: each is a task, and they
/// stand before whoever else is woken then.
pub const ACCEPTS_AT_ONCE: usize = 8;

/// How long accepting rests when no descriptor is left.
pub const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// `goaway` spreads reconnects over this time.
pub const RECONNECT_SPREAD: Duration = Duration::from_secs(5);

// Proxies.

/// Addresses that are looked at in what a request says of the proxies that passed it on: enough for any
/// chain of them.
pub const MAX_FORWARDED: usize = 32;

/// Bytes behind the fixed part of a header of the PROXY protocol: addresses, and what a balancer tells
/// beside them.
pub const MAX_PREFACE_BYTES: usize = 4 * 1024;

// TLS.

/// How often the files of the certificate are looked at.
pub const CERTIFICATE_LOOK: Duration = Duration::from_secs(2);

/// Bytes of an HTTP answer that TLS takes before the socket does.
pub const TLS_ANSWER_BYTES: usize = 16 * 1024;
