//! All integration tests in one binary: one link, one place to look.
//!
//! - `model`: random histories of the presence core against a simple model of it.
//! - `beat`: random subscribers of a count, who are told in time and not too often.
//! - `visibility`: the same of members that not everyone may see.
//! - `follow`: followers of a channel, and of patterns.
//! - `told`: what a channel of the core tells as values, and what it keeps of it.
//! - `rights`: tokens and keys at work.
//! - `status`, `online`: users apart from any channel: what is told of them, what keeps them online.
//! - `events`, `events_slow`, `events_storm`: server-sent events; slow readers, proxies and logs; and
//!   two hundred streams that are cut.
//! - `http`, `http_bounds`: the HTTP API, and what it bears.
//! - `metrics`: what `/metrics` shows after a script of which every number is known.
//! - `openapi`: the document that describes it.
//! - `demo_viewers`: the demo page's simulated viewers.
//! - `drift`: whether the model of the hand-over still is like the code that it copies.
//! - `house`: which module may know which, and what the core must not touch.
//! - `rules`, `attributes`: the rules of presence, over real sockets.
//! - `away`: windows that are hidden, and whether their user is away.
//! - `liveness`: silence, pings, deadlines.
//! - `lifecycle`: the binary from its flags to its shutdown.
//! - `arrivals`: what the port answers to whoever comes.
//! - `configured`: the configuration file, and its sections for some channels.
//! - `drain`: a shutdown under many clients, and the port for whoever operates the broker.
//! - `deploy`: what `deploy/` names, and `herenow health`.
//! - `terminal`, `doctor`: the commands for people at a terminal; faults between them and a broker.
//! - `identity`: `herenow token`, and the flags of identity.
//! - `fetched_keys`: the keys of tokens, fetched from whoever signs.
//! - `transcripts`: what the documents show.
//! - `readme`: the session that the README shows.
//! - `errors`, `closes`: every error code and every close code, provoked; floods.
//! - `shorthand`: a session typed by hand, to the letter.
//! - `delivery`, `slow`: what a subscriber gets and in which order; readers that stop and crawl.
//! - `lent`: leases, graces and who sees whom, by a model out of the words of the documents.
//! - `levels`: events or counts, by what was asked for and by size.
//! - `backlog`: what slow readers keep, filled to its bound in a running broker.
//! - `outlet`: one connection's way out, by itself.
//! - `letters`: from anybody to one user's connections, and kicks.
//! - `pacing`: what a giant leaves to the others.
//! - `promises`: the list of such sentences, each with its tests.
//! - `promised`: sentences of the reference that nothing else would have missed.
//! - `concurrent`: many at once, who all know the same in the end.
//! - `port`: whose page may ask, what a whole request is, who takes its answer, floods, shutdown.
//! - `proxied`: clients behind proxies: whose address counts; nginx, Caddy and HAProxy as they are shown.
//! - `compressed`: bytes on the line: what is compressed, for whom, and what never is.
//! - `tls`: TLS in the port, and certificates that are replaced.
//! - `signed_out`: what a kick leaves of a user: no lease, and no earlier token.
//! - `where_is`: the channels of one user, page by page.
//! - `counted`: what outlives a connection is counted; much at once, and others' turns.
//! - `operator`: what whoever operates the broker is shown, and the end of one connection.
//! - `social_plus`: what a vendor's library shows only to those who wait.
//! - `webhooks`: back ends that are told by requests, and that refuse, hang or are gone.
//! - `examples`: the bot of `examples/`.
//!
//! Beside them `broker` (brokers to test), `secured` (certificates, and clients that speak TLS), `client` and `wire` (clients, decent and not), `source` (a
//! stream of events), `hooked` (a back end that is told by webhooks), `commands` (to the core), `replica` and `followed` (what an observer knows, by a socket or without) and
//! `seed` (where randomness comes from).

#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do: by panicking")]

mod arrivals;
mod attributes;
mod away;
mod backlog;
mod badge;
mod beat;
mod broken;
mod broker;
mod client;
mod closes;
mod commands;
mod compressed;
mod concurrent;
mod configured;
mod counted;
mod delivery;
mod demo_viewers;
mod deploy;
mod doctor;
mod drain;
mod drift;
mod echo;
mod elsewhere;
mod errors;
mod events;
mod events_slow;
mod events_storm;
mod examples;
mod fetched_keys;
mod follow;
mod followed;
#[path = "../redis/free.rs"]
mod free;
mod hooked;
mod house;
mod http;
mod http_bounds;
mod identity;
mod lent;
mod letters;
mod levels;
mod lifecycle;
mod liveness;
mod logged;
mod many;
mod many_leases;
mod metrics;
mod model;
mod online;
mod openapi;
mod operator;
mod outlet;
mod pacing;
mod place;
mod port;
mod promised;
mod promises;
mod proxied;
mod readme;
mod replica;
mod ride;
mod rights;
mod roles;
mod rules;
mod secured;
mod seed;
mod shorthand;
mod signed_out;
mod slow;
mod slow_lines;
mod social_plus;
mod source;
mod status;
mod swept;
mod terminal;
mod tls;
mod told;
mod transcripts;
mod two_worlds;
mod visibility;
mod webhooks;
mod where_is;
mod wire;
