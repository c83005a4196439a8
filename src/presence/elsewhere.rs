//! What this node knows of a member by itself, and what it hears of it from other nodes.

use std::sync::Arc;

use herenow_protocol::{Attributes, Audience, LossReason, UserId};

use super::member::Member;
use super::pending::Cause;
use super::source::{Keeper, OwnMark, Source};

/// What this node itself has of a member: its own connections, and the leases that it times. It may
/// have neither, where the member is here by other nodes alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Own {
    /// The member as it is here. Its value is what was written here or heard from elsewhere last.
    pub member: Arc<Member>,
    /// Its connections to this node; `None`: it has none, not even one in grace.
    pub mark: Option<OwnMark>,
    /// The leases that are timed here: whose, when each ends, and whether the user is away from it.
    pub leases: Vec<(Keeper, u64, bool)>,
    /// The keys that vanish by themselves, each with its moment.
    pub ends: Vec<(Box<str>, u64)>,
}

/// What commands of this node's own did to a user since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touch {
    /// The attributes were written whole.
    pub wrote: bool,
    /// Keys of them were patched, and not before they were written whole.
    pub patched: bool,
    /// A token told its name, avatar and the like.
    pub informed: bool,
    /// A join named who may see it.
    pub shown: bool,
    /// It was given a place in the lists anew, with a number that holds until the store gave one: it
    /// came, or more may see it.
    pub placed: bool,
    /// It came without asking to merge, and had no live source of this node's own before: what only
    /// grace kept, wherever that runs, is forgotten.
    pub fresh: bool,
    /// What merely grace kept was ended here, and some of that was of other nodes.
    pub ended_grace: bool,
    /// Leases that ended here, and whether they ran out rather than were ended. One that another
    /// node times can be ended here all the same.
    pub ended: Vec<(Keeper, bool)>,
    /// Why its last source of this node's own went, if it did and none came since.
    pub why: Option<Cause>,
}

/// What other nodes have of a member, all of it: it replaces what was heard of that before. Never
/// refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Elsewhere {
    /// The member.
    pub user: UserId,
    /// What keeps it present elsewhere: nodes, and leases that are timed there.
    pub held: Vec<HeldElsewhere>,
    /// Leases that are timed here from now on (their node died): whose, when each ends, and whether
    /// the user is away from it.
    pub took: Vec<(Keeper, u64, bool)>,
    /// Leases that were timed here and are no longer: another node times them, or ended them.
    pub gave: Vec<Keeper>,
    /// A live source elsewhere ended what merely grace keeps here.
    pub ends_grace: bool,
    /// What the member is, as far as it is to be taken from elsewhere.
    pub value: ValueElsewhere,
    /// Why it goes, if nothing is left that keeps it.
    pub cause: Cause,
}

/// Something that keeps a member present on another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldElsewhere {
    /// A node, or a lease.
    pub source: Source,
    /// How many connections: to be counted with one's own.
    pub connections: u32,
    /// Whether the user is away from it.
    pub away: bool,
    /// Set where the node lost its last connection: when the grace ends, how it was lost, and when it
    /// was last heard, by the wall clock.
    pub ends: Option<(u64, LossReason, u64)>,
}

/// Keys of attributes that vanish by themselves, each with its moment.
pub type KeyEnds = Vec<(Box<str>, u64)>;

/// What a member is, as far as it is to be taken from elsewhere; `None`: as it is here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueElsewhere {
    /// The attributes, and the keys of them that vanish by themselves, each with its moment.
    pub attributes: Option<(Attributes, KeyEnds)>,
    /// Name, avatar and the like.
    pub info: Option<Attributes>,
    /// Who may see it.
    pub visible_to: Option<Audience>,
    /// When it joined, by the wall clock.
    pub joined_at: Option<u64>,
    /// Its number in lists, which all nodes share: whoever has it here stands behind all others until
    /// that one's is told. A number that changes alone is told to nobody.
    pub number: Option<u64>,
}

impl Elsewhere {
    /// Whether it is told because a node is gone.
    #[must_use]
    pub fn is_of_dead(&self) -> bool {
        matches!(self.cause, Cause::Lost(LossReason::Node, _))
    }
}
