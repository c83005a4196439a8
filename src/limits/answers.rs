//! Answers over HTTP and WebSocket, and streams of events.

use std::time::Duration;

use super::connection::REPLIES_PAUSE_BYTES;

// Streams of events.

/// How long a shutdown waits for streams of events to end well. A slow reader's is cut then.
pub const SSE_DRAIN: Duration = Duration::from_secs(1);

/// A client whose stream ended by a shutdown comes back after at least so long:
/// [`RECONNECT_SPREAD`](super::RECONNECT_SPREAD) is added.
pub const SSE_RETRY: Duration = Duration::from_secs(1);

// Answers and requests.

/// Members of one result take about so many bytes at most; `next` leads to the rest.
pub const RESULT_BYTES: usize = 64 * 1024;

/// Members of one result, unless `limit` asks for fewer or more.
pub const LIST_DEFAULT: usize = 200;

/// Largest `limit`.
pub const LIST_MAX: usize = 1_000;

/// Channels of one user that are looked at in one go.
pub const USER_BATCH: usize = 256;

/// Channels of one user that a page of them passes over because the asker may not see the user
/// there. The list ends behind them: looking on would cost as much as the user likes, and a page
/// that said that there is more would tell of them. Twice as many as leases can be, unless the
/// broker was told otherwise.
pub const MAX_PASSED_OVER: usize = 2_000;

/// Callers over HTTP that have a token bucket of their own. Beyond it newcomers share one.
pub const MAX_CALLERS: usize = 50_000;

/// How often those who have not asked for a while are looked for among them, in milliseconds.
pub const CALLERS_SWEEP_MS: u64 = 1_000;

/// Bytes of an HTTP request's head.
pub const HEADER_BYTES: usize = 16 * 1024;

/// The same where vendors' clients are served: a hundred long names of users stand in one address.
pub const VENDORS_HEADER_BYTES: usize = 64 * 1024;

const _: () = assert!(RESULT_BYTES >= REPLIES_PAUSE_BYTES && LIST_DEFAULT <= LIST_MAX);
