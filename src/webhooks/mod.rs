//! Webhooks: what becomes of channels, sent to back ends as signed HTTP requests. It stands on a
//! [`Follower`](crate::hub::Follower) of changes alone, which is never told anything late for a
//! receiver that is slow: what waits for one lies in its own queue, within its own bound.
//!
//! In the order in which the files need each other:
//!
//! - [`signature`]: secrets, and what Standard Webhooks says of signing and verifying.
//! - [`item`]: what a batch is made of.
//! - [`queue`]: what waits for a receiver, and what it must be told that it lacks.
//! - [`back_off`]: when to try again.
//! - [`file`](mod@file): what an operator says of each webhook.
//! - `post`: one try to send.
//! - `hook`: one webhook: what follows for it, and what sends.
//! - [`hooks`]: all of them.
//! - [`receiver`]: `herenow webhook-test`, which takes what is sent, and shows it.

pub mod back_off;
pub mod file;
mod hook;
pub mod hooks;
pub mod item;
mod post;
pub mod queue;
pub mod receiver;
pub mod signature;

pub use hooks::Hooks;
pub use receiver::{ReceiverFlags, receive};
