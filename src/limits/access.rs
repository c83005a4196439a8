//! Who may what: tokens, keys and the files that say so.

use std::ops::RangeInclusive;
use std::time::Duration;

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
