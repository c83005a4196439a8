//! The commands for people at a terminal: a client as any other, which asks a broker and shows what it
//! says. It knows nothing of the broker but its wire, and the broker nothing of it.
//!
//! What channels, users and attributes are called was written by others, and a terminal obeys what is
//! printed on it: so everything of theirs goes through [`safe`].
//!
//! In the order in which the files need each other:
//!
//! - [`safe`]: texts of others, printed so that they steer nothing.
//! - [`moment`]: times as people read them.
//! - [`address`]: where a broker is.
//! - [`heard`]: what a broker says, with whatever is unknown passed over.
//! - [`replica`]: a channel as an observer knows it, pure.
//! - [`back_off`]: whether to come back after a connection ended, and when, pure.
//! - [`lines`]: what happened, a line each, for people or for programs, pure.
//! - [`screen`]: the list as it stands on a terminal, pure.
//! - [`seen`]: what a look at a broker saw, step by step.
//! - [`diagnosis`]: what that means, and what to change, pure.
//! - [`flags`]: where the broker is, and as whom to ask it.
//! - [`out`](mod@out): where it is printed.
//! - [`dial`]: a connection, with TLS where the address says so.
//! - [`ask`]: questions over HTTP.
//! - [`link`]: one WebSocket.
//! - [`stay`]: one WebSocket after another, for as long as it is wanted.
//! - [`who`]: a command, and how a broker is asked over HTTP.
//! - [`watch`], [`join`], [`status`], [`doctor`]: a command each.
//! - [`command`]: all of them, as they are typed.

pub mod address;
pub mod ask;
pub mod back_off;
pub mod command;
pub mod diagnosis;
pub mod dial;
pub mod doctor;
pub mod flags;
pub mod heard;
pub mod join;
pub mod lines;
pub mod link;
pub mod moment;
pub mod out;
pub mod replica;
pub mod safe;
pub mod screen;
pub mod seen;
pub mod status;
pub mod stay;
pub mod watch;
pub mod who;

pub use command::{Typed, run};
pub use flags::TOKEN_VARIABLE;
pub use out::Out;
