//! What the broker's parts cost by themselves, without sockets: parsing, applying, telling,
//! expiring. `cargo bench -p herenow-bench` measures; `cargo test` runs each once.
//!
//! - `scene`: channels with members in them.
//! - `parse`: a text → a request.
//! - `apply`: a command → a channel changed.
//! - `tell`: what a channel says at a tick, and as a snapshot.
//! - `expire`: what passes because time does.
//!
//! How the figures can mislead: a loop keeps in the caches what a broker with many channels has to
//! fetch. They show what a change of the code costs, not what a broker needs.

#![expect(clippy::unwrap_used, reason = "whatever fails here is a mistake in the benchmark")]

mod apply;
mod expire;
mod parse;
mod scene;
mod tell;

fn main() {
    divan::main();
}
