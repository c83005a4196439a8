//! What can be done to a channel, and what became of a member by it.

use herenow_protocol::{
    AttributeMap, Attributes, Audience, LeaveReason, LossReason, UserId, UserStatus,
};

use super::elsewhere::{Elsewhere, Own, Touch};
use super::pending::Cause;
use super::source::Source;
use super::sum::Sum;

/// A change of a channel. Checked as far as one frame alone can be checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `source` makes `user` a member, or keeps it one.
    Join {
        /// The member.
        user: UserId,
        /// What keeps the member present from now on.
        source: Source,
        /// The attributes that it brings, or the keys to patch. A null value means no such key.
        attributes: Option<AttributeMap>,
        /// Patch instead of replace; what only grace kept is patched too.
        merge: bool,
        /// Name, avatar and the like; `None`: the caller does not know them.
        info: Option<Attributes>,
        /// Which viewers may see the member from now on; `None`: as before.
        visible_to: Option<Audience>,
        /// Whether the user is away from the source; `None`: as the source said before, if it is
        /// there, or not.
        away: Option<bool>,
        /// How long the source lasts.
        lasts: Lasts,
    },
    /// `source` keeps `user` present no longer.
    Leave {
        /// The member.
        user: UserId,
        /// Which of the member's sources.
        source: Source,
        /// What observers are told if it was the last.
        reason: LeaveReason,
    },
    /// `source` was lost: its connection broke, or it fell silent.
    Lose {
        /// The member.
        user: UserId,
        /// Which of the member's sources.
        source: Source,
        /// How it was lost. Only a lost connection has grace.
        reason: LossReason,
        /// When it was last heard, by the wall clock.
        last_seen: u64,
        /// Whether it may have the grace that it asked for.
        graced: bool,
    },
    /// The user is away from `source` from now on, or is back. Nothing if that does not keep it
    /// present.
    SetAway {
        /// The member.
        user: UserId,
        /// Which of the member's sources.
        source: Source,
        /// Whether the user is away from it.
        away: bool,
    },
    /// The user came with another token: it has this info now.
    Inform {
        /// The member.
        user: UserId,
        /// Name, avatar and the like.
        info: Attributes,
    },
    /// No source of `user` in grace lives any longer.
    EndGrace {
        /// The member.
        user: UserId,
        /// What observers are told if it was the last.
        reason: LeaveReason,
    },
    /// `source` writes the attributes of `user`.
    SetAttributes {
        /// The member.
        user: UserId,
        /// Which of the member's sources writes.
        source: Source,
        /// The new attributes, or the keys to patch. A null value means no such key.
        attributes: AttributeMap,
        /// Patch instead of replace.
        merge: bool,
        /// How long the written keys live.
        ttl_ms: Option<u64>,
    },
    /// Time has passed: graces, leases, keys and old frames whose time is over end. Never refused.
    Expire,
    /// The channel tells a user's status instead of members, and the status is this now. Never
    /// refused.
    SetStatus(Box<UserStatus>),
    /// The channel tells a user's status, and this is what this node has of that user, and what was
    /// done to it: for other nodes. Never refused.
    KeepOwn(Box<Own>, Touch),
    /// Other nodes have this of a member. Never refused.
    Elsewhere(Box<Elsewhere>),
    /// Other nodes' members are not known but for this; `None`: they are. Never refused.
    Sum(Option<Box<Sum>>),
}

/// How long a source lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// As long as its connection, and so long after that was lost.
    Connection {
        /// Milliseconds; 0: none.
        grace_ms: u64,
    },
    /// So long, unless it joins again.
    Lease {
        /// Milliseconds.
        ttl_ms: u64,
    },
}

/// What became, by a command, of what this node itself has of a member: its own connections and the
/// leases that it times. Who is a member by other nodes alone makes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition<'a> {
    /// The user is a member by this node now and was not before.
    Appeared {
        /// The member.
        user: &'a UserId,
        /// Whether it is away here.
        away: bool,
    },
    /// The user is a member by this node as before, and is away here now, or no longer.
    Turned {
        /// The member.
        user: &'a UserId,
        /// Whether it is away here.
        away: bool,
    },
    /// The user was a member by this node and is not one now. Others may keep it.
    Vanished {
        /// The member.
        user: &'a UserId,
        /// Whether it left or was lost, and why; [`Cause::Own`]: what kept it here is another node's
        /// from now on.
        cause: Cause,
        /// Whether it was away here.
        away: bool,
        /// When the user was last heard in the channel, by the wall clock.
        last_seen: u64,
    },
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
