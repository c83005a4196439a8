//! What an operator may set.

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

/// The page asks again three times as often.
const DEMO_LEASE: Duration = Duration::from_secs(60);
