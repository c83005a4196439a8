//! What can be done to a channel.

use herenow_protocol::{AttributeMap, Attributes, Audience, LeaveReason, LossReason, UserId};

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
        /// Name, avatar and the like; `None`: whoever asks does not know them.
        info: Option<Attributes>,
        /// Who may see the member from now on.
        visible_to: Option<Audience>,
        /// How long it lasts.
        lasts: Lasts,
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
    /// The user came with another token: it has this info now.
    Inform {
        /// Who.
        user: UserId,
        /// Name, avatar and the like.
        info: Attributes,
    },
    /// No source of `user` in grace lives any longer.
    EndGrace {
        /// Who.
        user: UserId,
        /// What observers are told if it was the last.
        reason: LeaveReason,
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

impl Command {
    /// Whose presence it changes.
    #[must_use]
    pub fn user(&self) -> &UserId {
        match self {
            Self::Join { user, .. }
            | Self::Leave { user, .. }
            | Self::Lose { user, .. }
            | Self::Inform { user, .. }
            | Self::EndGrace { user, .. }
            | Self::SetAttributes { user, .. } => user,
        }
    }
}

/// How long a source lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// As long as its connection, and so long after that was lost.
    Connection {
        /// Milliseconds; 0: none.
        grace_ms: u64,
    },
    /// So long, unless it joins again: it is the member's [`LEASE`](super::LEASE).
    Lease {
        /// Milliseconds.
        ttl_ms: u64,
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
