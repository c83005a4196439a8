//! One connection: what it reads, and what waits for it.

use std::time::Duration;

// One connection.

/// Bytes read from a socket at once, before others get their turn if there is more: one buffer for each
/// thread, not for each connection. More than well-meant clients send at once; who floods sends two
/// thousand empty fragments in it, which take 0.1 ms.
pub const READ_BYTES: usize = 16 * 1024;

/// Replies that a slow reader has not taken: above this the broker stops reading from it.
pub const REPLIES_PAUSE_BYTES: usize = 16 * 1024;

/// Letters that wait in one connection's mailbox. A reader that takes what it is sent has none: so
/// many come at once, or are left by a slow reader.
pub const MAILBOX_LETTERS: usize = 64;

/// Bytes of them, as long as they are in our own protocol. A larger letter is never taken.
pub const MAILBOX_BYTES: usize = 64 * 1024;

/// What a slow reader is caught up by in one go, before others get their turn.
pub const SWEEP_BYTES: usize = 64 * 1024;

/// What a channel spends on snapshots between two ticks, about: whoever is still in the midst of one
/// goes on behind the next tick. A part is told whole.
pub const RIDE_SLICE: Duration = Duration::from_millis(25);

/// And so many bytes at least: a channel of a few thousand members is told in one go, so that who keeps
/// pace in it has a snapshot of one moment, and a storm of joins no detour.
pub const RIDE_BYTES: usize = 512 * 1024;

/// What is made for one connection alone ends at about so many bytes: a part of a snapshot, or some
/// frames of the log. A single member or frame may be larger. Parts that several share are as many
/// times larger, up to [`PART_BYTES`](super::PART_BYTES).
pub const OWN_PART_BYTES: usize = 16 * 1024;

/// A socket of which the kernel says that it has room takes so many bytes whole: that is said only
/// while a third of its buffer is free, which is more than 40 KiB.
pub const WHOLE_BYTES: usize = SEND_BUFFER_BYTES / 2;

/// Over TLS more than so many bytes are sealed only if the kernel says that there is room for them, which
/// costs a question. The rest of a smaller record, which a full socket did not take, is kept: so many bytes
/// of each slow reader, and nowhere counted.
pub const UNASKED_BYTES: usize = 1024;

/// A channel in which nothing was told for so long is quiet, in milliseconds: who is in the midst of a
/// snapshot that the log does not reach back to any more begins anew then, since what follows will be
/// the truth. Shorter than the second in which people expect it, longer than a rest usually is.
pub const QUIET_MS: u64 = 250;

/// A cut frame's rest is copied up to this size; a larger one stays shared.
pub const TAIL_COPY_BYTES: usize = 16 * 1024;

/// Snapshots that a client asks for are charged in units of so many bytes, and small ones not at all.
pub const SNAPSHOT_UNIT_BYTES: usize = 4 * 1024;

/// What a connection may ask for of them at once: 64 MiB, which is 128 channels of half a megabyte.
/// Beyond it a `subscribe` that needs a snapshot is refused for a while.
pub const SNAPSHOT_UNITS_BURST: u32 = 16 * 1024;

/// And in a second, in the long run: one MiB.
pub const SNAPSHOT_UNITS_PER_SECOND: u32 = 256;

/// SO_SNDBUF of every socket (the kernel doubles it): small enough that a slow reader shows.
pub const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// How long the socket of a connection that the broker closed is still read, so that the client
/// gets the Close frame and no reset instead.
pub const LINGER: Duration = Duration::from_secs(1);

/// And how much of it: a message that is too large is seldom larger than this. Who goes on sending has the
/// rest of the time to look, and is cut then.
pub const LINGER_BYTES: usize = 1024 * 1024;

/// How long whoever sends far more frames than allowed waits for the Close at the most, half of it at the
/// least, and is not read. Two hundred that are cut at once come back four thousand times a second.
pub const FLOOD_WAIT: Duration = Duration::from_secs(2);

// Compression.

/// Bytes from which a message, or an HTTP answer, is compressed: a smaller one fits a packet as it is.
pub const SQUEEZE_BYTES: usize = 1024;

/// How hard. Measured with lists of members: level 1 takes half of the time (0.1 ms for 64 KiB) and
/// leaves half as much again; from level 3 on it takes ever more time for hardly anything.
pub const SQUEEZE_LEVEL: u32 = 2;

/// Who is told a tick must be so many that its frame is compressed: a frame of 2 KiB takes about as
/// long as three are told it, and that shall be little of what all of them take.
pub const SQUEEZE_READERS: usize = 64;

/// Answers with a tag that are kept as they were compressed: more than there are files, some 8 KiB each.
pub const PACKED_ANSWERS: usize = 128;

const _: () = assert!(OWN_PART_BYTES < WHOLE_BYTES);
