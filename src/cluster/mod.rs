//! What the nodes of a cluster tell each other, and what each makes of it: pure. Time comes in as an
//! argument; the store (Redis) is somebody who answers what is said to it. Nothing here touches a
//! socket, a clock, a lock or a runtime.
//!
//! In the order in which the files need each other:
//!
//! - [`record`]: what the store keeps of one user in one channel: its value, and what keeps it there.
//! - [`say`](mod@say): what a node says of its own users, and what it is told.
//! - [`life`]: the nodes themselves: what each says to stay alive, and what it is told.

pub mod life;
pub mod record;
pub mod say;

pub use life::{NodeInfo, NodeSeen, Renew, Renewed};
pub use record::{LeaseMark, Mark, Place, Record, Stamp, Stamped, StoreMs, Written};
pub use say::{Base, Buried, Inbox, LeaseSay, Load, MarkSay, Said, Say, Told, UserSay, UserTold};
