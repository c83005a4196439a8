//! What the nodes of a cluster tell each other, and what each makes of it: pure. Time comes in as an
//! argument; the store (Redis) is somebody who answers what is said to it. Nothing here touches a
//! socket, a clock, a lock or a runtime.
//!
//! In the order in which the files need each other:
//!
//! - [`record`]: what the store keeps of one user in one channel: its value, and what keeps it there.
//! - [`say`](mod@say): what a node says of its own users, and what it is told.
//! - [`summary`]: how many are in a giant channel, and the newest of them.
//! - [`order`]: what a node has all others do about a user.
//! - [`life`]: the nodes themselves: what each says to stay alive, and what it is told.
//! - [`name`]: what things are called in the store.
//! - [`wire`]: the texts in which all of it is said.
//! - [`peers`]: the nodes, as far as it matters to what is heard of them.
//! - [`senders`]: which of them tells back ends of a channel.
//! - [`nodes`]: what one node knows of all nodes: leases, who is dead, and what is to be done.
//! - [`replica`]: one channel: what it has to say of its own users, and what it hears.

pub mod life;
pub mod name;
pub mod nodes;
pub mod order;
pub mod peers;
pub mod record;
pub mod replica;
pub mod say;
pub mod senders;
pub mod summary;
pub mod wire;

pub use life::{NodeInfo, NodeSeen, Renew, Renewed};
pub use nodes::Nodes;
pub use order::{Act, Obeyed, Order};
pub use peers::Peers;
pub use record::{LeaseMark, Mark, Place, Record, Stamp, Stamped, StoreMs, Written};
pub use replica::{Counted, Heard, Loaded, Part, Replica, SummaryAsked};
pub use say::{Base, Buried, Inbox, LeaseSay, Load, MarkSay, Said, Say, Told, UserSay, UserTold};
pub use senders::Senders;
pub use summary::Summary;
