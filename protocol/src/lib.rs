//! The wire protocol of herenow, version 1: every frame in both directions as a type, the rules of
//! names, and the codes of errors and closes. It knows nothing of sockets, clocks or state.
//!
//! In the order in which a frame meets them:
//!
//! - [`name`]: what a channel or a user may be called.
//! - [`role`]: what a viewer is, and who may see a member.
//! - [`attributes`]: a member's small JSON object, kept as canonical text.
//! - [`status`]: what shows of a user apart from any channel.
//! - [`request`]: what a client asks; the types that a client serializes and the broker applies.
//! - [`mod@parse`]: bytes of a text message → [`ClientFrame`], or the [`Refusal`] that says why not.
//! - [`shorthand`]: the same requests as a person types them into `wscat`.
//! - [`reply`]: what the broker sends: [`ServerFrame`] and the [`Event`]s inside it.
//! - [`error`], [`close`]: the codes of refusals and of ended connections.
//! - [`encode`]: a server frame as the bytes of one WebSocket text message.
//!
//! `protocol/README.md` is the reference for people who write a client in another language.

pub mod attributes;
pub mod close;
pub mod encode;
pub mod error;
mod json;
pub mod name;
pub mod parse;
pub mod reply;
pub mod request;
pub mod role;
#[cfg(feature = "schema")]
pub mod schema;
pub mod shorthand;
pub mod status;

pub use attributes::{AttributeMap, Attributes};
pub use close::{BACK_SOON, CloseCode};
pub use error::{ErrorCode, Refusal};
pub use name::{ChannelName, UserId};
pub use parse::{Rejected, parse};
pub use reply::{Event, LeaveReason, LossReason, ServerFrame};
pub use request::{
    ClientFrame, Epoch, FrameId, Heartbeat, Lease, Level, Request, Sight, Since, Token,
};
pub use role::{Audience, Role};
pub use status::{StatusPatch, UserStatus};

/// The version that `welcome` tells. A client that reads another number should stop and say so.
pub const PROTOCOL_VERSION: u32 = 1;

/// The WebSocket subprotocol that the broker answers when a client offers it.
pub const SUBPROTOCOL: &str = "herenow.v1";
