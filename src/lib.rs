//! herenow: a self-hosted realtime presence broker. Who is here, now?
//!
//! The modules, from the core outwards; each knows only those above it:
//!
//! - [`presence`]: one channel's members and what observers are told of them; pure.
//! - [`auth`]: who a client is, and what it may do: tokens, API keys, origins.
//! - [`delivery`]: one connection's way out, and the cursor of each of its subscriptions.
//! - [`hub`]: all channels; applying commands, the tick that tells subscribers, the timers.
//! - [`connection`]: one WebSocket: bytes in, frames, commands, replies, liveness, the end.
//! - [`web`]: what everything that speaks HTTP shares: callers, rates, input, problems, tables of operations.
//! - [`http`]: the HTTP API.
//! - [`sse`]: server-sent events.
//! - [`demo`]: the demo page: its files, and simulated viewers, clients of our own port.
//! - [`server`]: the port: what is served over HTTP, the upgrade, start and shutdown.
//!
//! Beside them [`config`], [`limits`] (every bound), [`allowance`] (how often anybody may ask) and [`clock`] (the only reader of time).
//! ARCHITECTURE.md walks through them in the order of a change.

pub mod actions;
pub mod allowance;
pub mod auth;
pub mod chance;
pub mod clock;
pub mod config;
pub mod connection;
pub mod delivery;
pub mod demo;
mod duration;
pub mod http;
pub mod hub;
pub mod limits;
pub mod metrics;
pub mod now;
pub mod presence;
pub mod server;
pub mod sse;
pub mod users;
pub mod web;

pub use config::Config;
pub use server::{Broker, start, start_with};
