//! How often things are looked at, and how much is done in one go.

use std::time::Duration;

// Threads.

/// Tasks that a thread runs before it looks at the sockets again. With tokio's 61 a change waits for as many
/// turns of whoever floods, or of a giant's pass; with fewer than 16 nothing becomes better.
pub const SOCKETS_EVERY: u32 = 16;

// Telling.

/// How long a channel's news waits after telling it panicked.
pub const PANIC_REST: Duration = Duration::from_secs(1);

// Timers.

/// How often the timers look at what is due, and so by how much they may be late.
pub const TIMER_TURN_MS: u64 = 250;

/// A turn that comes so long after the one before shows that the broker stood still, or has more to
/// do than it can: what came meanwhile is read before anybody is judged by it.
pub const STALL_MS: u64 = 2 * TIMER_TURN_MS;

/// Turns that are left out for that at most, one after the other: a broker that never keeps up
/// must judge all the same.
pub const STALL_TURNS: u32 = 8;

/// Timers of each kind that are taken at once.
pub const TIMER_BATCH: usize = 8;

/// How long timers fire in one go, before others get their turn.
pub const TIMER_SLICE: Duration = Duration::from_millis(1);

/// Members whose time is over that a channel ends in one hold of its lock.
pub const EXPIRY_BATCH: usize = 64;

/// How long whoever looks at a channel waits until all that other nodes have of it is known, in
/// milliseconds. After that it is shown what is.
pub const LOAD_WAIT_MS: u64 = 1_000;

/// How long a channel is followed after somebody asked for it who stays not, in milliseconds: so many
/// questions in a row cost one load.
pub const ATTENTION_MS: u64 = 5_000;

/// Channels that are followed only because somebody asked, in the whole broker. Who asks for one more
/// is answered from what is known.
pub const MAX_ATTENDED: usize = 10_000;

/// Channels that one question (where a user is, which channels there are) has loaded at once.
pub const ATTEND_BATCH: usize = 64;

/// After about so long the allocator gives back pages that nobody uses any more, in milliseconds.
/// Sooner costs more than it gives: what is freed is mostly wanted again at once.
pub const MEMORY_DECAY_MS: isize = 500;

/// From one look for maps that are mostly empty to the next, in turns of the timers.
pub const SHRINK_TURNS: u64 = 40;

// Much at once.

/// Parts of the map of channels. Whatever walks over all channels holds one of them at a time: of a
/// million channels a hundredth.
pub const CHANNEL_SHARDS: usize = 128;

/// Channels of a connection that ends that are given up in one go, before others get their turn.
/// Each leave has its channel tell it, so this is about a millisecond.
pub const PLACES_BATCH: usize = 64;

/// Connections and channels of a user that a kick ends in one go, before others get their turn.
pub const KICK_BATCH: usize = 8;

/// Connections that a shutdown sends away in a second, so that those who take them do not get them all
/// at once: or as many as it takes to have sent all away in half of the drain timeout.
pub const DRAIN_PER_SECOND: u64 = 1_000;

/// From some of them to the next.
pub const DRAIN_STEP: Duration = Duration::from_millis(10);
