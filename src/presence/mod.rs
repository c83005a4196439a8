//! Who is in a channel, what observers are told of it, and in which order: pure and synchronous.
//!
//! Time comes in as an argument and randomness as an epoch; nothing here touches a socket, a
//! clock, a lock or a runtime (a test reads these files and holds them to it). What goes in are
//! [`Command`]s and ticks; what comes out are [`Transition`]s at once, and at the tick the frames
//! for sockets ([`Bundle`]) and the same as values ([`Changes`]).
//!
//! In the order in which the files need each other:
//!
//! - [`source`]: what keeps a member present.
//! - `holds`: the sources of one member, and how each ends.
//! - [`member`]: a member, as observers see it and as the broker keeps it.
//! - [`viewer`]: who looks, and whom it may see.
//! - `hidden`: the members that not everyone may see, by who may.
//! - [`sum`]: how many there are, where nothing else is known of them.
//! - [`pending`]: what observers saw before, until the tick tells them what is now.
//! - [`elsewhere`]: what this node knows of a member by itself, and what it hears from other nodes.
//! - [`command`]: what can be done to a channel, and what became of a member by it.
//! - `shared`: what a channel notes that other nodes have members of, too.
//! - [`frames`]: how many events or members make up one frame.
//! - [`changes`]: what one tick tells, as values.
//! - [`unlogged`]: who must not resume, because it may have missed what no log holds.
//! - [`log`]: the last frames, for subscribers that lag or come back.
//! - [`ring`]: the last ticks as values, for followers.
//! - [`snapshot`]: a part of the whole state as a frame.
//! - [`asked`]: what a subscriber asked to be told.
//! - [`roster`]: whether a channel is small enough to be told member by member.
//! - [`tally`]: how many members there are, as a frame.
//! - [`channel`]: the state of one channel, and the one function that changes it.
//! - [`sources`]: what becomes of a member when what keeps it present changes.
//! - [`lists`]: where members stand in its lists.
//! - [`sharing`]: what this node has to tell others of the channel.
//! - [`hearing`]: what the channel hears of its members from other nodes.
//! - `summing`: a giant, of which nobody here is told each change.
//! - [`expiry`]: what ends because time passes.
//! - [`tick`]: what observers are told of the changes since the last tick.
//! - [`reading`]: what anybody may ask.
//! - [`partial`]: where not all members are known.
//! - [`sweep`]: the whole state, part by part.
//! - [`news`]: what a follower is told, as values and as frames.
//! - [`follow`]: how one follower walks from a snapshot through the ring.

pub mod asked;
pub mod changes;
pub mod channel;
pub mod command;
pub mod elsewhere;
pub mod expiry;
pub mod follow;
pub mod frames;
pub mod hearing;
mod hidden;
mod holds;
pub mod lists;
pub mod log;
pub mod member;
pub mod news;
pub mod partial;
pub mod pending;
pub mod reading;
pub mod ring;
pub mod roster;
mod shared;
pub mod sharing;
pub mod snapshot;
pub mod source;
pub mod sources;
pub mod sum;
mod summing;
pub mod sweep;
pub mod tally;
pub mod tick;
pub mod unlogged;
pub mod viewer;

pub use asked::{Asked, Recent};
pub use changes::{Changes, Sight};
pub use channel::ChannelState;
pub use command::{Bounds, Command, Lasts, Transition};
pub use elsewhere::{Elsewhere, HeldElsewhere, Own, Touch, ValueElsewhere};
pub use follow::{Follow, Next};
pub use member::{Member, Profile};
pub use news::{Last, News};
pub use pending::{Cause, Changed};
pub use reading::{Heard, Page};
pub use ring::{Ring, Step};
pub use roster::{Roster, Standing};
pub use snapshot::{Part, Rest, SnapshotPlace};
pub use source::{ConnectionId, Keeper, NodeId, OwnMark, Source};
pub use sum::Sum;
pub use tally::Tally;
pub use tick::{Bundle, Tick};
pub use viewer::Viewer;
