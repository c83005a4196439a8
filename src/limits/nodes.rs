//! Many nodes: what one says, hears and clears away.

use std::ops::RangeInclusive;
use std::time::Duration;

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
