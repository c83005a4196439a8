//! What can be done to a channel.

use herenow_protocol::{AttributeMap, LeaveReason, LossReason, UserId};

use super::member::SourceId;

/// A change of one user's presence. Checked as far as one frame alone can be checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `source` makes `user` a member, or keeps it one.
    Join {
        /// Who.
        user: UserId,
        /// What keeps the member present from now on.
        source: SourceId,
        /// The attributes that it brings.
        attributes: Option<AttributeMap>,
        /// How long the source lives on when its connection is lost.
        grace_ms: u64,
    },
    /// `source` keeps `user` present no longer.
    Leave {
        /// Who.
        user: UserId,
        /// Which of the member's sources.
        source: SourceId,
        /// What observers are told if it was the last.
        reason: LeaveReason,
    },
    /// `source` was lost: its connection broke, or it fell silent.
    Lose {
        /// Who.
        user: UserId,
        /// Which of the member's sources.
        source: SourceId,
        /// How it was lost. Only a lost connection has grace.
        reason: LossReason,
        /// When it was last heard, by the wall clock.
        last_seen: u64,
    },
    /// `source` writes the attributes of `user`.
    SetAttributes {
        /// Who.
        user: UserId,
        /// Which of the member's sources writes.
        source: SourceId,
        /// The new attributes, or the keys to patch. A null value means no such key.
        attributes: AttributeMap,
        /// Patch instead of replace.
        merge: bool,
        /// How long the written keys live.
        ttl_ms: Option<u64>,
    },
}

/// What a command did to the set of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The user is a member now and was not before.
    Appeared,
    /// The user was a member and is not one now.
    Vanished,
    /// Neither.
    Stayed,
}

/// The bounds that depend on a channel's state.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Members of one channel.
    pub members: usize,
    /// Bytes of a member's attributes, as canonical JSON.
    pub attribute_bytes: usize,
    /// Top-level keys of a member's attributes.
    pub attribute_keys: usize,
    /// Members that `auto` subscribers are told one by one.
    pub roster: usize,
}
