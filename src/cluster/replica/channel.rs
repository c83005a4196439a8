//! What a channel knows of what was said and heard of it.

use herenow_protocol::UserId;

use crate::cluster::peers::Peers;
use crate::cluster::record::{Record, StoreMs};
use crate::cluster::say::{Say, Told};
use crate::now::Now;
use crate::presence::pending::Cause;
use crate::presence::{ChannelState, Command, Keeper, NodeId};

/// What a channel knows of what was said and heard of it.
#[derive(Debug)]
pub struct Replica {
    me: NodeId,
    keep_ms: u64,
}

/// What follows from something that was heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// To be applied, in this order.
    pub commands: Vec<Command>,
    /// Something was missed: the channel is to be loaded again.
    pub load_again: bool,
}

/// What follows from the end of a load.
#[derive(Debug, Default)]
pub struct Loaded {
    /// To be applied, in this order.
    pub commands: Vec<Command>,
    /// Whether that is all. Otherwise the load is to be ended again, in another hold of the lock.
    pub done: bool,
    /// Something was missed: the channel is to be loaded again.
    pub load_again: bool,
}

/// A part of something that walks over all users, in several holds of the lock.
#[derive(Debug, Default)]
pub struct Part {
    /// To be applied, in this order.
    pub commands: Vec<Command>,
    /// Where to go on; `None`: that is all.
    pub next: Option<UserId>,
}

impl Replica {
    /// What the node `me` knows of a channel that comes to be. `keep_ms`: how long records are kept
    /// after the last mark went, in milliseconds; 0 but for channels that keep a user's status.
    #[must_use]
    pub fn new(me: NodeId, keep_ms: u64) -> Self {
        Self { me, keep_ms }
    }

    // Saying.

    /// Notes what commands did to the channel. After each of them, in the same hold of the lock.
    pub fn note(&mut self, _state: &mut ChannelState) {}

    /// Whether [`Replica::say`] has something to say now: something differs from what was said last, and
    /// nothing is in flight.
    #[must_use]
    pub fn has_to_say(&self) -> bool {
        false
    }

    /// Whether the channel may go: nothing is to be said, nothing is in flight, and nobody follows.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        true
    }

    /// What is to be said now, at most [`SAY_USERS`](crate::limits::SAY_USERS) users and about
    /// [`SAY_BYTES`](crate::limits::SAY_BYTES); the rest once this was answered. Until then it is in
    /// flight: [`Replica::answered`] or [`Replica::unanswered`] ends that.
    pub fn say(&mut self, _state: &ChannelState, _now: Now) -> Option<Say> {
        None
    }

    /// The store has done what is in flight, and answered this.
    pub fn answered(
        &mut self,
        _told: &Told,
        _state: &ChannelState,
        _peers: &Peers,
        _now: Now,
    ) -> Heard {
        Heard::default()
    }

    /// It is not known whether the store has done what is in flight: it is said again.
    pub fn unanswered(&mut self) {}

    /// A lease is ended here although another node may time it. What the channel does by a command of
    /// its own it notes by itself; this is for a lease that it does not know.
    pub fn ended_lease(&mut self, _user: &UserId, _keeper: Keeper) {}

    /// The connection to the store is a new one: all of this node's own is said again, part by part.
    /// That changes nothing where it is there.
    pub fn say_all(&mut self) {}

    /// As [`Replica::say_all`], and the store holds other data than before, which may lack anything: by
    /// the run id of its process, say. What is missing in them is kept until it is known to be gone.
    /// (Another era is found out here.)
    pub fn lost_data(&mut self) {}

    /// This node was taken for dead, and goes on under another id: all of its own is said again. The old
    /// id is among the dead of [`Peers`] from then on.
    pub fn reborn(&mut self, me: NodeId) {
        self.me = me;
    }

    // Hearing.

    /// The store published this to those who follow the channel.
    pub fn told(
        &mut self,
        _told: &Told,
        _state: &ChannelState,
        _peers: &Peers,
        _now: Now,
    ) -> Heard {
        Heard::default()
    }

    /// The store told this apart from what it published: in this node's inbox, or as the answer to a
    /// burial. Also where nobody follows.
    pub fn told_apart(
        &mut self,
        _told: &Told,
        _state: &ChannelState,
        _peers: &Peers,
        _now: Now,
    ) -> Heard {
        Heard::default()
    }

    /// What `node`, which is among the dead of `peers`, had of users here ends, from the user `from` on
    /// (`None`: all), for that cause. Losses whose grace runs stay until that is over, and leases are
    /// timed by whoever buries the node.
    pub fn bury(
        &mut self,
        _node: NodeId,
        _cause: Cause,
        _from: Option<&UserId>,
        _state: &ChannelState,
        _peers: &Peers,
        _now: Now,
    ) -> Part {
        Part::default()
    }

    // Following.

    /// From here on what is published is [`Replica::told`], without a gap; a load is to come. Also after
    /// a gap, such as a connection that broke: what is known stays until then.
    pub fn follow(&mut self) {}

    /// Whether what is published is told here.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        false
    }

    /// Whether all members on all nodes are known.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        false
    }

    /// Whether the channel is to be loaded (again) now: to be asked about once a second while it is
    /// followed, since that follows from `peers`, too.
    #[must_use]
    pub fn wants_load(&self, _peers: &Peers) -> bool {
        false
    }

    /// A load begins, of data of that era, when the channel had that version and the store's clock showed
    /// that (as in [`Load`](crate::cluster::Load)). Its parts follow, and [`Replica::load_ends`].
    pub fn load_begins(&mut self, _data: (u64, u64, StoreMs), _peers: &Peers, _now: Now) {}

    /// A part of the load. Some users may come twice.
    pub fn load_part(
        &mut self,
        _records: &[(UserId, Record)],
        _state: &ChannelState,
        _peers: &Peers,
        _now: Now,
    ) -> Vec<Command> {
        Vec::new()
    }

    /// All parts have come: whom the load did not name goes. To be called again until it is done.
    pub fn load_ends(&mut self, _state: &ChannelState, _peers: &Peers, _now: Now) -> Loaded {
        Loaded { done: true, ..Loaded::default() }
    }

    /// The load failed. Another one is to come.
    pub fn load_fails(&mut self) {}

    /// What is published is not told here any longer, and what other nodes have is forgotten, from the
    /// user `from` on. To be called again with what is next.
    pub fn unfollow(&mut self, _from: Option<&UserId>, _state: &ChannelState, _now: Now) -> Part {
        Part::default()
    }

    /// What the store was last heard to have of the user: of all users while the channel is followed, of
    /// this node's own otherwise.
    #[must_use]
    pub fn record(&self, _user: &UserId) -> Option<&Record> {
        None
    }
}
