//! What a node says of its own users, and what it is told: the store's whole vocabulary.
//!
//! The store does each [`Say`] at once and whole (one script), and nothing else happens between. The
//! version of the channel rises by one for each that changes anything that others need to know, and
//! exactly then a [`Told`] of the users who changed is published to whoever follows the channel. The
//! answer is a [`Told`] of all users whom the say named.
//!
//! How it treats one [`UserSay`], in this order:
//!
//! 1. `fresh`, something live is said, and the record has marks, all of them lost, and no lease: what
//!    is there is forgotten but for the place: attributes and audience start from what is said, or
//!    from nothing, by a write over what was there (its counter plus one, whatever the base).
//! 2. Fields, by their [`Base`].
//! 3. The mark of the node becomes what is said, and each lease what is said of it; another node that
//!    owned it until then is told so in its inbox. If something live is said, or it `ends_grace`, the
//!    lost marks of other nodes go, and those nodes are told so in their inboxes. A loss that is said
//!    again (the same but for an end less than [`SAME_END_MS`] away) changes nothing.
//! 4. Where records are kept, a cause that says when the user was last heard becomes `seen`, if that
//!    is later; and attributes or info that changed are told in the inboxes of all other nodes with
//!    a live mark: who shows a user by itself must know at once that it wants to be invisible.
//! 5. Without a mark and a lease the record goes, value and all. Where records are kept, one with
//!    attributes, info, an audience or `seen` stays instead.
//!
//! Versions: a channel that comes to be begins with the store's clock in microseconds
//! ([`VERSIONS_PER_MS`]), so each later life of a channel has larger ones: also one in the same
//! millisecond, such as behind an outage, when what was said meanwhile is done all at once. Whatever is told of a channel that does not exist
//! names the version with which it would begin.
//!
//! Numbers in lists: a channel that comes to be begins with the store's clock in seconds times
//! [`NUMBER_STEP`](crate::presence::lists::NUMBER_STEP): if the store lost its data, the numbers that
//! it gives are mostly behind those that the nodes still know. A number that is said (again, since data
//! were lost) is kept, but if somebody else has it by then: no two members of a channel have the same,
//! so all nodes list them in the same order.

use herenow_protocol::{Attributes, Audience, ChannelName, LossReason, UserId};

use super::record::{Place, Record, Stamp, StoreMs, Written};
use crate::presence::pending::Cause;
use crate::presence::{Keeper, NodeId};

/// Two ends of one loss that are less than this apart are the same: one was told twice, and took a
/// while each time.
pub const SAME_END_MS: u64 = 1_000;

/// Versions for each millisecond of the store's clock, one for each microsecond: more than a store can
/// do.
pub const VERSIONS_PER_MS: u64 = 1_000;

/// What one node says of some of a channel's users: for each all that it has of them. Times are told
/// as so long from now, since the store's clock counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Say {
    /// Who says it.
    pub node: NodeId,
    /// Of whom: nobody twice.
    pub users: Vec<UserSay>,
    /// How long records are kept after the last mark went, in milliseconds; 0: not at all. Only for
    /// channels of one member: where a user's status is kept.
    pub keep_ms: u64,
}

/// What a node has of one user.
#[derive(Clone, Debug, PartialEq)]
pub struct UserSay {
    /// Of whom.
    pub user: UserId,
    /// What its own sources are; `None`: it has none.
    pub mark: Option<MarkSay>,
    /// What became of leases, each keeper's once. Those that are not named stay as they are.
    pub leases: Vec<(Keeper, LeaseSay)>,
    /// The attributes, with the keys that run out, if the node has something to say of them.
    pub attributes: Option<Said<Written>>,
    /// Name, avatar and the like, likewise.
    pub info: Option<Said<Attributes>>,
    /// Who may see the member, likewise.
    pub audience: Option<Said<Audience>>,
    /// Since when it is there. Always said, mostly with [`Base::IfNone`]. A number of 0, or one that
    /// another has, has the store give one.
    pub place: Said<Place>,
    /// The user came here anew, and its join did not ask to merge: what only grace kept is forgotten.
    pub fresh: bool,
    /// The lost marks of all nodes go, as if something live were said: whoever was thrown out has no
    /// grace anywhere.
    pub ends_grace: bool,
    /// Why the user went, if it did.
    pub why: Option<Cause>,
}

/// A node's own sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkSay {
    /// See [`Mark::Live`](super::Mark::Live).
    Live {
        /// How many connections.
        connections: u32,
        /// Whether the user is away from all of them.
        away: bool,
    },
    /// See [`Mark::Lost`](super::Mark::Lost).
    Lost {
        /// For how many milliseconds more the grace runs.
        for_ms: u64,
        /// Whether the user was away.
        away: bool,
        /// How it was lost.
        reason: LossReason,
        /// When it was last heard, by the wall clock.
        last_seen: u64,
    },
}

/// What became of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseSay {
    /// It was taken or renewed here: this node times it from now on. Others are told only if it is
    /// new, came from another node, or is away where it was not.
    Take {
        /// For how many milliseconds more it lasts.
        for_ms: u64,
        /// Whether the user is away from it.
        away: bool,
        /// It is said once more, since the store lost data: nothing if there is one that ends later.
        again: bool,
    },
    /// It ran out here. Nothing if another node times it by now.
    RanOut,
    /// It was ended, whoever times it.
    End,
}

/// What a node says of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<T> {
    /// How it stands to what the store has.
    pub base: Base,
    /// The value. Moments in it are so long from now.
    pub value: T,
}

/// How a field that is said stands to what the store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Written by a node that knew what was there, or said again: the larger stamp wins, and of equal
    /// ones what is there stays.
    At(Stamp),
    /// Written by a node that did not know what was there: over it, whatever it is.
    Over,
    /// Only if nobody said anything yet. What was merely merged onto nothing is said so: if there is
    /// something, the node learns it from the answer, merges, and says again.
    IfNone,
}

/// What became of some of a channel's users: published, and the answer to a [`Say`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Names the data that the store holds: another one means that it lost some.
    pub era: u64,
    /// The channel's version, with this.
    pub version: u64,
    /// Whether the version rose by it. Only in an answer it may not have.
    pub changed: bool,
    /// Whether the members are counted instead of listed: all nodes go by what the store says. See
    /// [`summary`](super::summary).
    pub counted: bool,
    /// In an answer: whoever is told owes the channel's summary, and asks for it in so many
    /// milliseconds.
    pub owes_ms: Option<u64>,
    /// What the store's clock shows.
    pub now: StoreMs,
    /// Of whom.
    pub users: Vec<UserTold>,
}

impl Told {
    /// Whether one of the users is a member.
    #[must_use]
    pub fn has_members(&self) -> bool {
        self.users.iter().any(|user| user.record.as_ref().is_some_and(Record::is_member))
    }
}

/// What became of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserTold {
    /// Of whom.
    pub user: UserId,
    /// All that the store has of it now; `None`: it is no member. One that is only kept has neither
    /// marks nor leases, and is no member either.
    pub record: Option<Record>,
    /// Why it went, if it did, or the mark that went last.
    pub why: Option<Cause>,
}

/// All of a channel, as it was at some moment at or after the beginning of the load: records that
/// changed meanwhile may be newer than `version`, and are told again by what is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// As in [`Told`].
    pub era: u64,
    /// The channel's version when the load began. 0: there is no such channel.
    pub version: u64,
    /// As in [`Told`].
    pub counted: bool,
    /// What the store's clock showed then.
    pub now: StoreMs,
    /// All users.
    pub records: Vec<(UserId, Record)>,
}

/// A live source elsewhere ended lost marks of a node, or wrote fields of a kept record where the node
/// has a live one; or a lease that the node owned was ended or taken over elsewhere: it would go on
/// showing the user for as long as it times that. It is told so by itself: it may not follow the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbox {
    /// Whose marks they were.
    pub node: NodeId,
    /// Where.
    pub channel: ChannelName,
    /// The users whose marks they were, as they are now. It may come before or after what is
    /// published, and does not continue it.
    pub told: Told,
}

/// What became of a dead node's part in a channel. Its live marks go, and its lost marks whose time
/// has come; whoever buries it owns its leases, ends and all. It is told in its inbox all the same: it
/// may have come back to a store that lost its data, and live by the word of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buried {
    /// The users that changed.
    pub told: Told,
    /// The latest end of its lost marks that stay until then, if there are any: whoever buries comes
    /// again.
    pub lost_until: Option<StoreMs>,
}

#[cfg(test)]
mod tests {
    use super::super::record::example;
    use super::*;

    #[test]
    fn a_record_that_is_only_kept_is_no_member() {
        let told = |records: &[Option<Record>]| {
            let user = |record: &Option<Record>| {
                let user = UserId::parse("ada", "user").unwrap();
                UserTold { user, record: record.clone(), why: None }
            };
            let users = records.iter().map(user).collect();
            Told { era: 1, version: 1, changed: true, counted: false, owes_ms: None, now: 0, users }
        };
        let (kept, there) = (Some(example(&[], &[])), Some(example(&[false], &[])));
        assert!(!told(&[]).has_members() && !told(&[None, kept.clone()]).has_members());
        assert!(told(&[None, kept, there]).has_members());
        assert!(told(&[Some(example(&[], &[true]))]).has_members());
    }
}
