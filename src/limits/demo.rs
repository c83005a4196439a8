//! The demo page and its simulated viewers.

use std::time::Duration;

/// Simulated viewers of the demo page, in all channels together: enough that a channel passes the usual
/// roster limit, though some of them are always away.
pub const DEMO_VIEWERS: usize = 1_200;

/// From one viewer's coming to the next: 200 come in about a second.
pub const DEMO_STEP: Duration = Duration::from_millis(5);

/// Changes that all viewers together cause in a second on average, once they are there.
pub const DEMO_EVENTS_PER_SECOND: u64 = 40;

/// Time in which a viewer must have its welcome, before it tries again.
pub const DEMO_HANDSHAKE: Duration = Duration::from_secs(10);

/// A viewer's read buffer: it is told hardly anything.
pub const DEMO_READ_BYTES: usize = 1024;

/// Longest wait of a viewer that was refused, in milliseconds.
pub const DEMO_BACK_OFF_MS: u64 = 30_000;
