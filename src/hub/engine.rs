//! The door between the hub and whatever joins the nodes of a cluster. A broker that runs alone has
//! none, and pays nothing for it.
//!
//! The hub tells an engine what it wants by [`Engine`]; what the engine hears of other nodes enters
//! the hub by the methods of `hub/nodes`. The hub never waits for an engine under a lock: what is
//! asked for here is noted and done later, in the engine's own tasks.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use herenow_protocol::{ChannelName, UserId};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::channel::Channel;
use crate::cluster::{Act, Peers, Senders, Told};
use crate::presence::NodeId;

/// What an engine finds out, in a second at most; `None`: the store did not answer.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Option<T>> + Send + 'a>>;

/// What became of a kick on the other nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kicked {
    /// How many connections they closed.
    pub closed: u64,
    /// Not all of them answered in time.
    pub partial: bool,
}

/// All channels that there are, told by their names: for as long as it takes.
pub type Meeting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What became of a kick, in a second at most.
pub type Kicking<'a> = Pin<Box<dyn Future<Output = Kicked> + Send + 'a>>;

/// What joins the nodes. Its methods return at once, and take no lock of the hub's: those that are
/// no question are called with a channel's lock held.
pub trait Engine: fmt::Debug + Send + Sync {
    /// This node. Another one from then on when the others took it for dead.
    fn me(&self) -> NodeId;

    /// What is known of the other nodes, as far as it matters to what is heard of the channel.
    fn peers(&self, channel: &ChannelName) -> Peers;

    /// Whether the store answers. While it does not, what the hub knows may not be all.
    fn is_well(&self) -> bool;

    /// The hearing of now: a number, another one after each moment at which something of the other nodes
    /// may have been missed. What was asked for in it and what was heard since together are what all nodes
    /// know, or knew two seconds ago. `None`: this node may lack more than that, or the others have
    /// taken it for dead.
    fn hearing(&self) -> Option<u64>;

    /// A number that all nodes know, and no client; `None`: the store did not tell it yet. Another
    /// one after the store lost its data.
    fn shared_key(&self) -> Option<u64>;

    /// How many other nodes live, as far as is known.
    fn others(&self) -> usize;

    /// Shows its numbers among all others.
    fn register(&self, registry: &mut Registry);

    /// The channel has something to say to the other nodes: [`Hub::take_say`](super::Hub::take_say)
    /// is called for it soon. Called again and again until it was.
    fn has_to_say(&self, channel: &Arc<Channel>);

    /// From here on what the other nodes have of the channel is heard, and all of it loaded once
    /// now. Called again: it is loaded once more.
    fn follow(&self, channel: &Arc<Channel>);

    /// The channel is not listened to any longer. Nothing if it was not.
    fn unfollow(&self, channel: &ChannelName);

    /// Whether somebody here follows channels by patterns. While that is so the engine tells
    /// [`Hub::meet`](super::Hub::meet) the name of each channel that has a member anywhere, and of
    /// each that begins.
    fn follow_names(&self, wanted: bool);

    /// Of each channel that has a member anywhere when this is called [`Hub::meet`](super::Hub::meet) was
    /// told since: while names are told.
    fn meet_all(&self) -> Meeting<'_>;

    /// Whether the others cannot have taken this node for dead at this moment.
    fn is_surely_alive(&self) -> bool;

    /// Which nodes tell back ends, as it changes.
    fn senders(&self) -> watch::Receiver<Senders>;

    /// What the store has of one user in a channel: [`Told::users`] has that one.
    fn look_up<'a>(&'a self, channel: &'a ChannelName, user: &'a UserId) -> Answering<'a, Told>;

    /// Has all other nodes do something about a user. Nobody waits for them.
    fn order(&self, user: &UserId, act: Act);

    /// Has all other nodes kick a user, and those that come later know of it. A second at most.
    fn kick<'a>(&'a self, user: &'a UserId, act: Act) -> Kicking<'a>;

    /// The first `limit` channels by name behind `after` in which any node may have the user. A hint:
    /// whoever is not there any longer is found out by a look.
    fn channels_of<'a>(
        &'a self,
        user: &'a UserId,
        after: Option<&'a ChannelName>,
        limit: usize,
    ) -> Answering<'a, Vec<ChannelName>>;

    /// The first `limit` channels by name that begin with `prefix`, come after `after`, and may have
    /// a member on any node. A hint, too.
    fn channels<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ChannelName>,
        limit: usize,
    ) -> Answering<'a, Vec<ChannelName>>;
}
