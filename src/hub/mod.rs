//! All channels: finding one by its name, the one door through which it is changed, and telling
//! subscribers and followers what came of it.
//!
//! In the order in which the files need each other:
//!
//! - [`channel_rules`]: what holds in a channel, by its name.
//! - [`subscribers`]: a channel's subscribers, by the level that they asked for.
//! - [`count_pacer`]: when those that are told the count are told again.
//! - `followers`: a channel's followers, and the ring that they read.
//! - `lot`: which channels fall to a follower, where other nodes have one like it.
//! - `clustered`: what a channel of a cluster knows of the other nodes' members.
//! - [`channel`]: one channel shared: its state, its subscribers and followers, its lock.
//! - [`engine`]: what joins the nodes of a cluster, as the hub sees it.
//! - [`pace`]: how long a flusher rests.
//! - `convoy`: those who are given a snapshot together, part by part.
//! - `broadcast`: what one tick has to tell, encoded once for all.
//! - `round`: one tick, and telling it to everybody.
//! - [`timers`]: what is due when.
//! - [`state`]: all channels, all connections, and what holds for them.
//! - `connections`: the connections, and the way from anybody to them.
//! - `wanting`: whether a channel of a cluster is to be followed.
//! - [`door`]: the one way to change a channel, and what follows from a change.
//! - `shared_status`: a user's status in a cluster: what is said of it to other nodes, and heard.
//! - `status`: whether a user is online, and what it sets of itself.
//! - `nodes`: what enters of other nodes, and who waits for it.
//! - `summing`: a giant channel, of which the summary alone is followed.
//! - `turns`: what happens because time passes.
//! - `attending`: asking once, of a channel that other nodes may have members in.
//! - `reading`: what anybody asks of the live state.
//! - `inspecting`: what an operator asks of it: channels by size, sources, connections.
//! - [`follow`]: following a channel, or all that match a pattern, without a socket.
//! - [`sharing`]: the same where other nodes do, too, and each channel is for one of them.
//!
//! Lock order: a connection's, a shard of the map of channels, the patterns of followers, a
//! channel's, a user's entry. At most one of each kind at a time, and never across an await: nothing
//! here that locks is async, except the flusher between its steps. Leaves, under which nothing else
//! is taken: the sets of timers, a follower's list of what is ready and its lot, those who wait for
//! room in the backlog.

mod attending;
mod broadcast;
pub mod channel;
pub mod channel_rules;
mod clustered;
mod connections;
mod convoy;
pub mod count_pacer;
pub mod door;
pub mod engine;
pub mod follow;
mod followers;
mod inspecting;
mod lot;
mod nodes;
pub mod pace;
mod reading;
mod round;
mod shared_status;
pub mod sharing;
pub mod state;
mod status;
pub mod subscribers;
mod summing;
pub mod timers;
mod turns;
mod wanting;

pub use channel::{Channel, Guarded};
pub use channel_rules::ChannelRules;
pub use door::{At, Door};
pub use engine::{Answering, Engine, Kicked, Kicking, Meeting};
pub use follow::{Follower, Told, What};
pub use inspecting::{Held, LiveConnection};
pub use reading::Seen;
pub use sharing::Sharing;
pub use state::Hub;
