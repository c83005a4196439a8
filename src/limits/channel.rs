//! What a channel keeps, and what is told of it.

use std::time::Duration;

// Presence records.

/// Longest life of a presence record, in milliseconds: 30 days. `--max-lease` does not hold for them,
/// since vendors' client libraries know no other bound.
pub const MAX_RECORD_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// Bytes of a record's attributes beside what its writer brings and `--max-attribute-bytes` bounds:
/// its status, its permissions, its id and times.
pub const RECORD_BYTES: usize = 16 * 1024;

/// Top-level keys of a record.
pub const RECORD_KEYS: usize = 3;

// What a channel keeps and tells.

/// Most frames that a channel's log holds.
pub const LOG_FRAMES: usize = 256;

/// Most bytes that a channel's log holds.
pub const LOG_BYTES: usize = 64 * 1024;

/// Bytes that the logs of all channels take together. Where it is reached, a channel that has
/// something to tell empties its log, and who lags or comes back takes a snapshot.
pub const LOGS_BYTES: usize = 64 * 1024 * 1024;

/// A frame in the log older than this is dropped, in milliseconds: long enough for a reconnect,
/// short enough that a quiet channel soon costs nothing.
pub const LOG_AGE_MS: u64 = 120_000;

/// A frame or a part of a snapshot ends when its members take about so many bytes: no frame of ours
/// is a burden to read.
pub const PART_BYTES: usize = 64 * 1024;

/// The newest members that come with a count take so many bytes at most, their attributes included:
/// whoever is told a count must not be burdened more than by a part of a list.
pub const RECENT_BYTES: usize = PART_BYTES;

/// Frames with a count that a tick keeps to share, of about [`RECENT_BYTES`] at most, so 512 KiB: one
/// for each number of newest members that somebody asked for. Beyond it the same frame may be encoded
/// again.
pub const MAX_SHARED_KINDS: usize = 8;

/// Parts of snapshots with members whom not everyone may see that a tick keeps to share: of
/// [`OWN_PART_BYTES`](super::OWN_PART_BYTES) or so, so 1 MiB. Beyond it the same part is encoded again for who is to see it.
pub const OWN_PARTS: usize = 64;

/// Roles that a channel remembers of which some viewers were told what no log holds. Beyond it
/// nobody resumes for a while.
pub const MAX_UNLOGGED_ROLES: usize = 1024;

/// From one count to the next at least so long, in milliseconds, for every subscriber.
pub const COUNT_INTERVAL_MS: u64 = 1_000;

// Followers.

/// Most ticks that the ring of a channel with followers holds.
pub const RING_STEPS: usize = 1024;

/// Bytes that the ring of a channel with followers holds, about.
pub const RING_BYTES: usize = 1024 * 1024;

/// A tick in a ring older than this is dropped, in milliseconds: as in the log, time for whoever
/// comes back.
pub const RING_AGE_MS: u64 = LOG_AGE_MS;

/// Bytes that the rings of all channels hold together, about. Where it is reached, a channel that
/// has something to tell empties its ring, and its followers take a snapshot.
pub const RINGS_BYTES: usize = 64 * 1024 * 1024;

/// Followers of a pattern that there may be: each is compared with the name of every new channel.
pub const MAX_PATTERN_FOLLOWERS: usize = 1_000;

/// Channels that a follower of a pattern is attached to or taken from in one go, before others get
/// their turn.
pub const FOLLOW_BATCH: usize = 256;

// The pass over a channel's subscribers.

/// Subscribers that a pass takes from the channel in one go, before others get their turn: so few that
/// what it fetched of the last is still at hand when it gets there. About 0.3 ms of writing, which small
/// channels wait beside a giant; with four times as many their p99 is half as much again, and a pass costs
/// the same.
pub const PASS_BATCH: usize = 64;

/// After a pass that told of several changes at once the flusher rests for this share of what the
/// pass cost: as long, so that no busy channel takes more than half of one processor, and small ones
/// are told within milliseconds beside a giant. A busy channel folds what comes meanwhile: with a
/// quarter, 200 changes a second to 2,000 subscribers cost half as much again.
pub const REST_SHARE: f64 = 1.0;

/// It rests too where others took at least this share of a pass's cost when they were given a turn:
/// others wait for the processor.
pub const OTHERS_SHARE: f64 = 0.25;

/// Shortest rest, since the runtime's timers know no less: a shorter one is saved up.
pub const REST_MIN: Duration = Duration::from_millis(1);

/// Longest rest, and so the longest that a change waits to be told.
pub const REST_MAX: Duration = Duration::from_secs(1);
