//! Every bound, in one place: those that an operator may set, and those that belong to the
//! machinery. Only the protocol's own (how long a name may be, say) stand with the protocol, since
//! clients must know them, and the shortest and longest time that a flag takes with the reader of
//! times, on which this file stands.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;

use crate::duration;

/// The bounds that an operator may set.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Bytes of one message from a client
    #[arg(long, env = "HERENOW_MAX_MESSAGE_BYTES", hide_env = true, value_name = "BYTES", default_value = "16384",
          value_parser = clap::value_parser!(u32).range(256..=1 << 20))]
    pub max_message_bytes: u32,

    /// Members of one channel
    #[arg(long, env = "HERENOW_MAX_MEMBERS", hide_env = true, value_name = "N", default_value = "100000",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub max_members: u32,

    /// Members above which a channel's subscribers are told the count instead of every change,
    /// unless they ask for all; 0: always
    #[arg(long, env = "HERENOW_ROSTER_LIMIT", hide_env = true, value_name = "N", default_value = "1000",
          value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub roster_limit: u32,

    /// Bytes of a member's attributes, as JSON without white space
    #[arg(long, env = "HERENOW_MAX_ATTRIBUTE_BYTES", hide_env = true, value_name = "BYTES", default_value = "4096",
          value_parser = clap::value_parser!(u32).range(2..=1 << 20))]
    pub max_attribute_bytes: u32,

    /// Top-level keys of a member's attributes
    #[arg(long, env = "HERENOW_MAX_ATTRIBUTE_KEYS", hide_env = true, value_name = "N", default_value = "64",
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub max_attribute_keys: u32,

    /// Channels that one connection may have joined or subscribed
    #[arg(long, env = "HERENOW_MAX_CHANNELS", hide_env = true, value_name = "N", default_value = "128",
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub max_channels: u32,

    /// Users that one connection may watch
    #[arg(long, env = "HERENOW_MAX_WATCHES", hide_env = true, value_name = "N", default_value = "256",
          value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub max_watches: u32,

    /// Users that are gone of whom the status is kept, and users without a connection that may be
    /// online
    #[arg(long, env = "HERENOW_MAX_STATUSES", hide_env = true, value_name = "N", default_value = "100000",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub max_statuses: u32,

    /// Frames per second that one connection may send in the long run
    #[arg(long, env = "HERENOW_MAX_FRAMES_PER_SECOND", hide_env = true, value_name = "N", default_value = "50",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_frames_per_second: u32,

    /// Frames that one connection may send at once
    #[arg(long, env = "HERENOW_MAX_FRAMES_BURST", hide_env = true, value_name = "N", default_value = "300",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_frames_burst: u32,

    /// Longest grace that a join may ask for
    #[arg(long, env = "HERENOW_MAX_GRACE", hide_env = true, value_name = "TIME", default_value = "60s",
          value_parser = duration::any)]
    pub max_grace: Duration,

    /// Longest life that attributes may be given
    #[arg(long, env = "HERENOW_MAX_TTL", hide_env = true, value_name = "TIME", default_value = "1h",
          value_parser = duration::any)]
    pub max_ttl: Duration,

    /// Longest lease that a request may ask for
    #[arg(long, env = "HERENOW_MAX_LEASE", hide_env = true, value_name = "TIME", default_value = "1h",
          value_parser = duration::positive)]
    pub max_lease: Duration,

    /// Channels in which a user may be before it is refused leases of further ones, and loses
    /// further ones without grace
    #[arg(long, env = "HERENOW_MAX_CHANNELS_PER_USER", hide_env = true, value_name = "N", default_value = "1000",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_channels_per_user: u32,

    /// Members of all channels together
    #[arg(long, env = "HERENOW_MAX_MEMBERSHIPS", hide_env = true, value_name = "N", default_value = "2000000",
          value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub max_memberships: u32,

    /// HTTP requests per second that one caller may make in the long run
    #[arg(long, env = "HERENOW_MAX_REQUESTS_PER_SECOND", hide_env = true, value_name = "N", default_value = "100",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_requests_per_second: u32,

    /// HTTP requests that one caller may make at once
    #[arg(long, env = "HERENOW_MAX_REQUESTS_BURST", hide_env = true, value_name = "N", default_value = "500",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_requests_burst: u32,

    /// Time in which an HTTP request or WebSocket handshake must have come whole
    #[arg(long, env = "HERENOW_MAX_HANDSHAKE", hide_env = true, value_name = "TIME", default_value = "5s",
          value_parser = duration::positive)]
    pub max_handshake: Duration,

    /// How long an HTTP connection may rest between two requests: longer than proxies keep theirs
    #[arg(long, env = "HERENOW_MAX_HTTP_IDLE", hide_env = true, value_name = "TIME", default_value = "150s",
          value_parser = duration::positive)]
    pub max_http_idle: Duration,

    /// Time in which a message that was begun must be finished
    #[arg(long, env = "HERENOW_MAX_MESSAGE_TIME", hide_env = true, value_name = "TIME", default_value = "10s",
          value_parser = duration::positive)]
    pub max_message_time: Duration,

    /// Time in which a slow reader must take at least a byte, of a WebSocket or an HTTP answer
    #[arg(long, env = "HERENOW_MAX_WRITE_TIME", hide_env = true, value_name = "TIME", default_value = "10s",
          value_parser = duration::positive)]
    pub max_write_time: Duration,

    /// Bytes that slow readers may keep in memory in all: rests of frames, and answers
    #[arg(long, env = "HERENOW_MAX_BACKLOG", hide_env = true, value_name = "BYTES", default_value = "67108864",
          value_parser = clap::value_parser!(u32).range(1 << 20..))]
    pub max_backlog: u32,

    /// Bytes that webhooks may keep in memory in all, for receivers that do not take them: each as large
    /// a part as the others
    #[arg(long, env = "HERENOW_MAX_WEBHOOK_BYTES", hide_env = true, value_name = "BYTES", default_value = "33554432",
          value_parser = clap::value_parser!(u32).range(1 << 20..))]
    pub max_webhook_bytes: u32,

    /// Connections in all [default: what the limit on open files allows]
    #[arg(long, env = "HERENOW_MAX_CONNECTIONS", hide_env = true, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: Option<u32>,

    /// WebSockets of one user
    #[arg(long, env = "HERENOW_MAX_CONNECTIONS_PER_USER", hide_env = true, value_name = "N", default_value = "1000",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections_per_user: u32,

    /// Connections from one address, or from one IPv6 network of 64 bits [default: as many as in all]
    #[arg(long, env = "HERENOW_MAX_CONNECTIONS_PER_ADDRESS", hide_env = true, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections_per_address: Option<u32>,

    /// How long the demo page's simulated viewers stay when nobody asks for them again. No flag: only
    /// tests are in a hurry.
    #[arg(skip = DEMO_LEASE)]
    pub demo_lease: Duration,

    /// After so long without an event a stream of events sends a comment. No flag, either.
    #[arg(skip = SSE_KEEP_ALIVE)]
    pub sse_keep_alive: Duration,

    /// Time in which a webhook's receiver must answer. Nor this.
    #[arg(skip = WEBHOOK_TIME)]
    pub webhook_time: Duration,

    /// After a batch was not taken: the first wait, and the longest; each is twice the one before. Nor
    /// this.
    #[arg(skip = WEBHOOK_BACK_OFF)]
    pub webhook_back_off: (Duration, Duration),
}

/// As Standard Webhooks recommends: from 15 to 30 s.
const WEBHOOK_TIME: Duration = Duration::from_secs(15);

/// Soon, since most receivers are merely being replaced; and a minute, at which one that is down for
/// the night costs nothing.
const WEBHOOK_BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Less than what proxies bear of silence: nginx 60 s.
const SSE_KEEP_ALIVE: Duration = Duration::from_secs(15);

// Streams of events.

/// How long a shutdown waits for streams of events to end well. A slow reader's is cut then.
pub const SSE_DRAIN: Duration = Duration::from_secs(1);

/// A client whose stream ended by a shutdown comes back after at least so long:
/// [`RECONNECT_SPREAD`] is added.
pub const SSE_RETRY: Duration = Duration::from_secs(1);

// The demo page.

/// The page asks again three times as often.
const DEMO_LEASE: Duration = Duration::from_secs(60);

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

// The configuration file.

/// Bytes of it. Beyond it, it is some other file.
pub const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// Its sections for some channels: the patterns of all are tried for each new channel.
pub const MAX_CHANNEL_SECTIONS: usize = 256;

// Tokens and keys.

/// Bytes of a token: nothing larger is even looked at.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A token's end is told so long before it comes, in milliseconds: time to fetch another.
pub const EXPIRY_WARNING_MS: u64 = 10_000;

/// Users who are remembered as signed out: a kick beyond it forgets the oldest.
pub const MAX_SIGNED_OUT: usize = 100_000;

/// For so long after a kick the user's earlier tokens are refused, in milliseconds: a day. Tokens
/// should live for less.
pub const SIGNED_OUT_MS: u64 = 24 * 60 * 60 * 1_000;

/// Shortest secret of tokens, for HS256: as long as the hash (RFC 7518, section 3.2).
pub const MIN_TOKEN_SECRET_BYTES: usize = 32;

/// Bytes of an RSA modulus: from what RFC 7518, section 3.3 asks for to what the library takes.
pub const RSA_BYTES: RangeInclusive<usize> = 256..=512;

/// Bytes of a file with keys. Beyond it, it is some other file.
pub const MAX_KEY_FILE_BYTES: u64 = 1024 * 1024;

/// Bytes of a set of keys that is fetched.
pub const MAX_JWKS_BYTES: usize = 256 * 1024;

/// Time for a set of keys to come whole.
pub const JWKS_TIME: Duration = Duration::from_secs(5);

/// How long a token whose key is not known waits for fresh ones: shorter than a handshake may take.
pub const JWKS_WAIT: Duration = Duration::from_secs(3);

/// Between two times that keys are fetched since a token needs one. Whoever makes up names of keys gets
/// no more out of us.
pub const JWKS_PAUSE: Duration = Duration::from_secs(5);

/// When to send a token again whose key was not known: fresh ones may have been fetched.
pub const JWKS_RETRY_MS: u64 = 5_000;

/// How long a set of keys is good if its answer does not say (`Cache-Control: max-age`).
pub const JWKS_AGE: Duration = Duration::from_secs(10 * 60);

/// What is taken of an answer that says how long its keys are good.
pub const JWKS_AGES: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3_600);

/// After keys could not be fetched: the first wait, and the longest; each is twice the one before.
pub const JWKS_BACK_OFF: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(60);

/// Bytes of a token's `info`, as JSON without white space: it is shown with every member.
pub const MAX_INFO_BYTES: usize = 1024;

/// Patterns of one of a token's claims: all of them are tried for every channel or user.
pub const MAX_PATTERNS: usize = 64;

/// Bytes of one such pattern.
pub const MAX_PATTERN_BYTES: usize = 200;

/// Bytes of an API key's secret: long enough not to be guessed, short enough for a header.
pub const API_KEY_BYTES: RangeInclusive<usize> = 16..=256;

/// Bytes of an API key's name.
pub const MAX_API_KEY_NAME_BYTES: usize = 64;

// Presence records.

/// Longest life of a presence record, in milliseconds: 30 days. `--max-lease` does not hold for them,
/// since vendors' client libraries know no other bound.
pub const MAX_RECORD_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// Bytes of a record's attributes beside what its writer brings and `--max-attribute-bytes` bounds:
/// its status, its permissions, its id and times.
pub const RECORD_BYTES: usize = 16 * 1024;

/// Top-level keys of a record.
pub const RECORD_KEYS: usize = 3;

// Vendors: Appwrite.

/// Life of a record whose writer names none, in milliseconds: 15 minutes.
pub const APPWRITE_RECORD_MS: u64 = 15 * 60 * 1_000;

/// Characters of a record's status.
pub const APPWRITE_STATUS_CHARS: usize = 256;

/// Characters of a record's id.
pub const APPWRITE_ID_CHARS: usize = 36;

/// Permissions of one record, whatever they permit.
pub const APPWRITE_PERMISSIONS: usize = 100;

/// Bytes of them all, so that a record stays within [`RECORD_BYTES`].
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
/// [`OWN_PART_BYTES`] or so, so 1 MiB. Beyond it the same part is encoded again for who is to see it.
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

// Webhooks.

/// Webhooks that there may be: each encodes for itself what happens in its channels.
pub const MAX_WEBHOOKS: usize = 32;

/// Bytes of a webhook's name, which is a label of its metrics.
pub const MAX_WEBHOOK_NAME_BYTES: usize = 64;

/// Bytes of a webhook's address.
pub const MAX_WEBHOOK_URL_BYTES: usize = 2_048;

/// Bytes of a webhook's secret, as Standard Webhooks says.
pub const WEBHOOK_SECRET_BYTES: RangeInclusive<usize> = 24..=64;

/// Secrets of one webhook: two, while one takes the other's place.
pub const MAX_WEBHOOK_SECRETS: usize = 2;

/// A batch ends at about so many bytes. A single item may be larger.
pub const WEBHOOK_BATCH_BYTES: usize = 256 * 1024;

/// Items of one batch.
pub const WEBHOOK_BATCH_ITEMS: usize = 1_000;

/// Of what a webhook may keep, this part is for saying what it could not keep.
pub const WEBHOOK_GAPS_PART: usize = 8;

/// Bytes that are read of a receiver's answer, so that its connection can be used again.
pub const WEBHOOK_ANSWER_BYTES: usize = 16 * 1024;

/// Longest wait that a receiver may ask for (`Retry-After`).
pub const WEBHOOK_RETRY_AFTER: Duration = Duration::from_secs(600);

/// What happened in channels is taken over into a webhook's memory so many times before others get
/// their turn.
pub const WEBHOOK_TURN: usize = 64;

/// When the nodes are others than before, each goes on telling what it told for so long: by then all know who
/// died, and so do their lists.
pub const WEBHOOK_SETTLE: Duration = Duration::from_secs(3);

/// How often a node that the others may have taken for dead looks whether it may tell receivers again.
pub const WEBHOOK_LOOK: Duration = Duration::from_millis(50);

/// How long a shutdown waits for receivers to take what waits for them.
pub const WEBHOOK_DRAIN: Duration = Duration::from_secs(1);

/// How far a receiver's clock and the broker's may be apart.
pub const WEBHOOK_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Bytes of a batch that `herenow webhook-test` takes.
pub const WEBHOOK_TEST_BYTES: usize = 4 * 1024 * 1024;

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

// The pass over a channel's subscribers.

/// Subscribers that a pass takes from the channel in one go: so few that what it fetched of the
/// last is still at hand when it gets there.
pub const PASS_BATCH: usize = 64;

/// Batches after which a pass gives others their turn: about 1.5 ms of writing. Each turn wakes
/// another thread, which is why not after each.
pub const PASS_TURN: usize = 4;

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

// One connection.

/// Bytes read from a socket at once: one buffer for each thread, not for each connection.
pub const READ_BYTES: usize = 64 * 1024;

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
/// times larger, up to [`PART_BYTES`].
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

// Other nodes.

/// How long the nodes of a cluster remember a user's status after it was last online, or set something,
/// in milliseconds: a week.
pub const STATUS_KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// Users who were signed out, in one command of Redis.
pub const SIGNED_OUT_BATCH: usize = 512;

/// How long a kick waits for the other nodes to tell how many connections they closed.
pub const KICK_WAIT: Duration = Duration::from_secs(1);

/// Users of one channel of whom a node says something in one go: a script of about a millisecond, in
/// which the store does nothing else.
pub const SAY_USERS: usize = 128;

/// Bytes of attributes and the like in it, about: the last user of it may bring more.
pub const SAY_BYTES: usize = 64 * 1024;

/// How much later than its own node a node ends another's loss by itself, in milliseconds: that node
/// tells of it, unless it is gone.
pub const LOSS_SLACK_MS: u64 = 1_000;

/// Moments at which members of a shared channel got larger numbers, that it keeps apart: 24 bytes each.
pub const LEAPS: usize = 32;

/// Users of a channel that are looked at in one hold of its lock, where all of them are.
pub const REPLICA_BATCH: usize = 256;

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

/// Characters of an `Origin` or a `Host` that a refusal or a line in the log shows.
pub const SHOWN_CHARS: usize = 120;

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

// Many nodes.

/// What is to be done about other nodes, and waits: a few for each node that dies.
pub const MAX_DEEDS: usize = 10_000;

/// What `--node-timeout` may be: shorter than a pause of a machine that is busy, and every pause is a
/// death; longer, and nobody notices one.
pub const NODE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(600);

/// Bytes of `--redis-prefix`.
pub const MAX_REDIS_PREFIX: usize = 64;

/// Bytes of `--node-name`.
pub const MAX_NODE_NAME: usize = 64;

/// How long connecting to Redis may take, login and the first questions each.
pub const REDIS_CONNECT: Duration = Duration::from_secs(2);

/// How long a broker that starts waits for Redis to answer all that it asks.
pub const REDIS_START: Duration = Duration::from_secs(5);

/// How long any command to Redis may take, a script included: it takes a millisecond. Redis may have
/// done it all the same.
pub const REDIS_COMMAND: Duration = Duration::from_secs(2);

/// From one attempt to connect to Redis anew to the next: twice as long each time, up to the second.
pub const REDIS_BACK_OFF: RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_secs(1);

/// How often a connection that hears what is published is asked to show that it does.
pub const REDIS_PROBE: Duration = Duration::from_secs(1);

/// An answer about other nodes' members says that it may not be all if it did not for so long: so much
/// older than true an answer is at most that says nothing.
pub const REDIS_PROBE_LATE: Duration = Duration::from_secs(2);

/// It is connected anew if it did not for so long.
pub const REDIS_PROBE_LOST: Duration = Duration::from_secs(3);

/// Says that are in flight at the same time, each of another channel.
pub const SAYS_IN_FLIGHT: usize = 64;

/// Locks by which hints of channels are kept right, one channel each but for chance: many more than
/// says in flight, so that hardly any waits for another.
pub const HINT_TURNS: usize = 1_024;

/// Hints that perhaps lead nowhere, and wait to be looked into.
pub const MAX_DOUBTS: usize = 10_000;

/// How often renewals of leases in a channel are said, in milliseconds.
pub const RENEWALS_EVERY_MS: u64 = 1_000;

/// Leases that one request may take, refresh and end.
pub const LEASES_MAX: usize = 1_000;

/// Bytes of such a request: a kibibyte for each. What is being read of such counts against
/// `--max-backlog`.
pub const LEASES_BYTES: usize = 1024 * 1024;

/// Of them so many count as one request more for the caller's rate: what a request costs by itself.
pub const LEASES_OF_A_REQUEST: usize = 100;

/// Of one request so many are done side by side, where the store of a cluster is waited for.
pub const LEASES_AT_ONCE: usize = 64;

/// After so many of them others get their turn.
pub const LEASES_TURN: usize = 50;

/// Channels that one request may have counted.
pub const COUNTS_MAX: usize = 100;

/// After so long a comparison with what an old copy of the data has is begun again, if it did not get
/// through.
pub const COMPARE_AGAIN: Duration = Duration::from_secs(1);

/// After about so long what was not answered is said again.
pub const SAY_AGAIN: Duration = Duration::from_millis(200);

/// And what Redis refused: that is no matter of time.
pub const SAY_REFUSED: Duration = Duration::from_secs(2);

/// Who follows the summary of a channel asks for it so often, in milliseconds, if nothing is told:
/// whoever owed it may have died.
pub const SUMMARY_AGAIN_MS: u64 = 3_000;

/// After Redis lost data the last summary of a channel holds until all nodes have said theirs again, but
/// no longer than this, in milliseconds: one that never had anything there may not be known to have.
pub const SUMMARY_HELD_MS: u64 = 30_000;

/// After so long a channel that is being loaded is looked at again that was to be loaded once more.
pub const LOAD_TURN: Duration = Duration::from_millis(20);

/// Channels that are loaded at the same time.
pub const LOADS_AT_ONCE: usize = 8;

/// Messages that are taken in before others get their turn.
pub const HEARD_BATCH: usize = 64;

/// While somebody follows channels by patterns: how often Redis is asked which there are. New ones are
/// heard of at once; this is for what may have been missed.
pub const NAMES_EVERY: Duration = Duration::from_secs(10);

/// How long a node that shuts down has for saying the rest to the others.
pub const FLUSH_TIME: Duration = Duration::from_secs(5);

/// Records that Redis is asked for at once where a channel is loaded, and channels of a node.
pub const LOAD_PAGE: usize = 256;

/// Names of channels that Redis is asked for at once.
pub const INDEX_PAGE: usize = 1_000;

/// Topics that are begun or ended to be listened to at the same time, each by a command of its own.
pub const SUBSCRIBE_TURNS: usize = 64;

/// Topics that are listened to by one command.
pub const SUBSCRIBE_BATCH: usize = 256;

/// Bytes of what was published and is not yet read, in the whole broker, about. Above it what comes
/// is dropped, and what this node follows is loaded anew.
pub const HEARD_BYTES: usize = 64 * 1024 * 1024;

/// Messages of it.
pub const HEARD_MESSAGES: usize = 65_536;

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

const _: () = assert!(OWN_PART_BYTES < WHOLE_BYTES);
const _: () = assert!(RESULT_BYTES >= REPLIES_PAUSE_BYTES && LIST_DEFAULT <= LIST_MAX);

// Many nodes.

/// Most bytes of one text that is read from Redis: what a node is told of a channel, or a record of
/// it. Whole, until it is read; there is one for each connection to Redis at most.
pub const MAX_STORE_TEXT_BYTES: usize = 64 * 1024 * 1024;

// Nodes of a cluster.

/// Nodes that were judged dead whose ids are kept, since something of theirs may still be heard. Eight
/// bytes each: a hundred nodes that are replaced every day need as many in a month.
pub const MAX_DEAD_NODES: usize = 4_096;

/// Nodes that were heard of and are in no list of nodes yet, and marks of theirs that are to be cleared
/// away: those above that wait until they are heard of again.
pub const MAX_STRAY_NODES: usize = 1_024;

/// Channels from which what a dead node left is taken in one go.
pub const BURIAL_BATCH: usize = 64;

/// How long one node alone clears away what a dead one left, in milliseconds, unless it says again that
/// it does: then another may have died.
pub const BURIAL_CLAIM_MS: u64 = 10_000;

/// How long a burial rests when the store does not answer, in milliseconds.
pub const BURIAL_REST_MS: u64 = 500;

// At a terminal.

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
