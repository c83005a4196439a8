//! Who is in a channel, what observers are told of it, and in which order: pure and synchronous.
//!
//! Time comes in as an argument and randomness as an epoch; nothing here touches a socket, a
//! clock, a lock or a runtime (a test reads these files and holds them to it). What goes in are
//! [`Command`]s, what comes out are [`Bundle`]s of frames, ready for the wire, and [`View`]s.
//!
//! - [`command`]: what can be done to a channel.
//! - [`channel`]: the state, and the one way to change it; beside it its tick, and its reading.
//! - [`member`]: a member, and the sources that keep it present.
//! - [`pending`]: what observers saw before, until the tick tells them what is now.
//! - [`viewer`]: who looks, and whom it may see.
//! - [`restricted`]: what those are told who see more than everyone.
//! - [`log`]: the last frames, for subscribers that lag or come back.
//! - [`snapshot`]: the whole state as frames.
//! - [`roster`]: whether a channel is small enough to be told member by member.
//! - [`tally`], [`beat`]: how many there are as a frame, and when it is told again.
//! - [`record`]: what is kept of a user apart from any channel.
//! - [`expiry`]: when silence is too long.

pub mod beat;
pub mod channel;
pub mod command;
pub mod expiry;
pub mod log;
pub mod member;
pub mod pending;
pub mod record;
pub mod restricted;
pub mod roster;
pub mod snapshot;
pub mod tally;
pub mod viewer;

pub use beat::Beat;
pub use channel::{Bundle, Channel, Heard, Page, Tick};
pub use command::{Bounds, Change, Command, Lasts};
pub use member::{LEASE, Member, Profile, SourceId};
pub use record::Record;
pub use restricted::Aside;
pub use roster::Roster;
pub use snapshot::View;
pub use tally::Tally;
pub use viewer::Viewer;

/// A moment, as the one reader of clocks saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on a clock that only goes forward. All that is ever compared.
    pub mono_ms: u64,
    /// Milliseconds since 1970. Only ever shown.
    pub unix_ms: u64,
}

impl Now {
    /// What the wall clock would have shown at `mono_ms`, a moment not after this one.
    #[must_use]
    pub fn unix_at(self, mono_ms: u64) -> u64 {
        self.unix_ms.saturating_sub(self.mono_ms.saturating_sub(mono_ms))
    }
}
