//! Other systems' client libraries.

use std::ops::RangeInclusive;
use std::time::Duration;

// Vendors: Appwrite.

/// Life of a record whose writer names none, in milliseconds: 15 minutes.
pub const APPWRITE_RECORD_MS: u64 = 15 * 60 * 1_000;

/// Characters of a record's status.
pub const APPWRITE_STATUS_CHARS: usize = 256;

/// Characters of a record's id.
pub const APPWRITE_ID_CHARS: usize = 36;

/// Permissions of one record, whatever they permit.
pub const APPWRITE_PERMISSIONS: usize = 100;

/// Bytes of them all, so that a record stays within [`RECORD_BYTES`](super::RECORD_BYTES).
pub const APPWRITE_PERMISSIONS_BYTES: usize = 8 * 1024;

/// Queries of one list or subscription, those within others included.
pub const APPWRITE_QUERIES: usize = 100;

/// Bytes of one query.
pub const APPWRITE_QUERY_BYTES: usize = 4 * 1024;

/// Values of one query.
pub const APPWRITE_QUERY_VALUES: usize = 100;

/// Records of a list, unless `limit` asks for fewer or more.
pub const APPWRITE_LIST_DEFAULT: u64 = 25;

/// Largest `limit` and `offset` of a list.
pub const APPWRITE_LIST_MAX: u64 = 5_000;

/// Bytes of a list's records: it ends behind them, and the next one begins with `cursorAfter`.
pub const APPWRITE_LIST_BYTES: usize = 1024 * 1024;

/// Subscriptions of one socket.
pub const APPWRITE_SUBSCRIPTIONS: usize = 64;

/// Bytes of them all, as they were written: what is made of them takes a few times as much.
pub const APPWRITE_SUBSCRIPTIONS_BYTES: usize = 32 * 1024;

/// Channels of one subscription.
pub const APPWRITE_CHANNELS: usize = 64;

/// Bytes of a channel's name, and of a subscription's id.
pub const APPWRITE_NAME_BYTES: usize = 128;

/// Lists that walk over all records at the same time. Others wait their turn.
pub const APPWRITE_LISTS: usize = 4;

/// Ids of records that are looked at for being free again with each new one, so that the index of
/// ids is never much larger than the records that there are.
pub const APPWRITE_IDS_SWEPT: usize = 4;

// Long polls, as PubNub's.

/// How long a poll is held that has nothing to be told: less than what proxies bear, nginx 60 s.
pub const POLL_HOLD: Duration = Duration::from_secs(50);

/// Messages of one answer. Who is owed more asks again.
pub const POLL_MESSAGES: usize = 100;

/// Names of channels in one request: as many as a WebSocket may have, unless told otherwise.
pub const POLL_CHANNELS: usize = 128;

/// Channels that polls listen to, in the whole broker: each has a ring, a follower and a task, of
/// about 4 KiB without events. A poll that would be one more is cut, and comes back.
pub const POLLED_CHANNELS: usize = 10_000;

/// Events that the ring of a polled channel keeps, however old they are.
pub const POLLED_EVENTS: usize = 500;

/// Events beyond those are kept so long, in milliseconds.
pub const POLLED_AGE_MS: u64 = 60_000;

/// Bytes that one such ring holds, about: what a single poll may have to read through.
pub const POLLED_RING_BYTES: usize = 4 * 1024 * 1024;

/// Bytes that all of them hold together, about: events, and the members as they were told last.
/// Where it is reached, a ring that has something to keep is emptied, and polls that lack an event
/// are told who came and who went instead.
pub const POLLED_BYTES: usize = 64 * 1024 * 1024;

/// Members that a polled channel remembers as gone.
pub const POLLED_GONE: usize = 1_000;

/// Names that a poll is told at most of who came, and of who went, where it lacks events.
pub const POLLED_NAMES: usize = 1_000;

/// A channel that was not polled for so long is listened to no longer, in milliseconds.
pub const POLLED_IDLE_MS: u64 = 300_000;

/// From one number of members to the next where a channel is too large to tell each, in milliseconds.
pub const OCCUPANCY_INTERVAL_MS: u64 = 10_000;

/// Polls that are woken in one go, before others get their turn.
pub const POLL_BATCH: usize = 256;

/// Members in one list, as PubNub's.
pub const HERE_NOW: usize = 1_000;

/// Bytes of members in one answer of lists, or of channels where a user is, about.
pub const HERE_NOW_BYTES: usize = 1024 * 1024;

/// How long a write of attributes waits for the join that was sent before it and came later.
pub const JOIN_WAIT: Duration = Duration::from_millis(1_500);

/// How often it looks.
pub const JOIN_LOOK: Duration = Duration::from_millis(50);

/// How long a client that was heard stays a member: what it may ask for, and what it gets if it does
/// not, in seconds.
pub const POLL_HEARTBEAT_S: RangeInclusive<u64> = 20..=3_600;

/// See [`POLL_HEARTBEAT_S`].
pub const POLL_HEARTBEAT_DEFAULT_S: u64 = 300;

// Vendors.

/// Users whose status is asked for at once, as with Saathii.
pub const SAATHII_USERS: usize = 50;

/// Users whose names and pictures are asked for at once, as with social.plus.
pub const SOCIAL_PLUS_USERS: usize = 100;

/// Viewers of one list, as with social.plus.
pub const SOCIAL_PLUS_VIEWERS: usize = 200;

/// How long who was heard stays in a room of social.plus, in milliseconds.
pub const SOCIAL_PLUS_ROOM_MS: u64 = 60_000;

/// How often clients of social.plus are told to say that they are there, at most, in milliseconds.
pub const SOCIAL_PLUS_BEAT_MS: u64 = 30_000;

/// How long a session of social.plus lasts where no token says so, in milliseconds: a year.
pub const SOCIAL_PLUS_SESSION_MS: u64 = 365 * 24 * 3_600_000;
