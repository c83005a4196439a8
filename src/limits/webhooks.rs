//! Webhooks.

use std::ops::RangeInclusive;
use std::time::Duration;

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
