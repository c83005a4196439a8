//! herenow: a self-hosted realtime presence broker. Who is here, now?
//!
//! The rooms, from the core outwards. A room knows rooms of the lines above its own, and no other
//! of its line; no two files need each other, inside a room neither. `tests/suite/house.rs` reads
//! this list and holds the sources to it.
//!
//! 1. [`herenow_protocol`]: the frames, and what they may say.
//! 2. [`now`], `duration`: a moment; times as people type them.
//! 3. [`limits`], [`clock`], [`chance`], [`metrics`], [`vital`], [`token_bucket`], `shrink`, `share`: every
//!    bound; the only readers of time and of randomness; what is counted; work whose failure ends the
//!    broker; how often anybody may ask; giving back the room of a map; what one thing takes of a bound
//!    for all.
//! 4. [`deflate`]: messages compressed, and what clients compressed.
//! 5. [`presence`], [`users`]: one channel's members and what observers are told of them, pure; what
//!    is known of each user apart from any channel.
//! 6. [`cluster`]: what nodes tell each other, and what each makes of it, pure.
//! 7. [`auth`], [`tls`], [`proxy`], [`outgoing`]: who a client is, and what it may do: tokens, API keys,
//!    origins; the certificate that it is shown; where it is, if it comes by a proxy; what we ask others.
//! 8. [`config`]: every flag.
//! 9. [`logging`]: the log, which holds up nobody.
//! 10. [`delivery`]: one connection's way out, and the cursor of each of its subscriptions.
//! 11. [`hub`]: all channels: applying commands, telling subscribers and followers, the timers.
//! 12. [`actions`]: the desk: all that a client may ask, whichever wing it came by.
//! 13. [`web`]: what everything that speaks HTTP shares: callers, rates, input, problems, tables of
//!     operations.
//! 14. [`connection`], [`http`], [`sse`], [`admin`], [`redis`](mod@redis), [`jwks`], [`webhooks`]: the
//!     wings: one WebSocket from its first byte to its last; the HTTP API; server-sent events; what the
//!     operator's page shows of the broker as a whole; what carries one presence over many nodes; the
//!     keys of tokens, fetched; back ends that are told by requests.
//! 15. [`vendors`]: a wing for each vendor whose own client libraries are served.
//! 16. [`demo`]: the pages: their files; simulated viewers, clients of our own port.
//! 17. [`server`]: the port: what is served over HTTP, the upgrade, start and shutdown.
//! 18. [`terminal`]: commands for people, each a client of some broker: of this house it knows next to
//!     nothing, and nobody knows it.
//!
//! ARCHITECTURE.md walks through them in the order of a change.

pub mod actions;
pub mod admin;
pub mod auth;
pub mod chance;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod deflate;
pub mod delivery;
pub mod demo;
mod duration;
pub mod http;
pub mod hub;
pub mod jwks;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod now;
pub mod outgoing;
pub mod presence;
pub mod proxy;
pub mod redis;
pub mod server;
mod share;
mod shrink;
pub mod sse;
pub mod terminal;
pub mod tls;
pub mod token_bucket;
pub mod users;
pub mod vendors;
pub mod vital;
pub mod web;
pub mod webhooks;

pub use config::Config;
pub use server::{Broker, start, start_with};
