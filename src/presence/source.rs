//! What keeps a member present.

use std::fmt;

use herenow_protocol::LossReason;

/// What keeps a member present. A member may have several sources, and goes with the last of them.
///
/// Eight bytes: there is one of these for each source of each member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A connection to this process that joined.
    Connection(ConnectionId),
    /// A lease, which ends by itself unless it is renewed. Each keeper holds at most one for a
    /// member, and ends only its own.
    Lease(Keeper),
    /// Another node of the cluster, on which the user has a source of its own.
    Node(NodeId),
}

impl Source {
    /// The lease that our own HTTP API holds.
    pub const LEASE: Self = Self::Lease(Keeper::Herenow);

    /// The source that is the connection of this number.
    #[must_use]
    pub fn connection(number: u64) -> Self {
        Self::Connection(ConnectionId::new(number))
    }

    /// Whether it is a connection to this process.
    #[must_use]
    pub fn is_connection(self) -> bool {
        matches!(self, Self::Connection(_))
    }
}

/// A member of a million costs eight bytes here, not sixteen.
const _: () = assert!(size_of::<Source>() == 8);

/// Who renews and ends a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Keeper {
    /// Our own HTTP API.
    Herenow,
    /// The gateway for a vendor's SDK, by the number that it has in this process.
    Vendor(u8),
}

/// The connections that keep a member present here. Moments are of the broker's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnMark {
    /// There are some.
    Live {
        /// How many.
        connections: u32,
        /// Whether the user is away from all of them.
        away: bool,
    },
    /// The last one was lost, and its grace runs.
    Lost {
        /// When that is over.
        ends_ms: u64,
        /// Whether the user was away.
        away: bool,
        /// How it was lost.
        reason: LossReason,
        /// When it was last heard, by the wall clock.
        last_seen: u64,
    },
}

/// A number of 48 bits: as small as an enum of eight bytes needs it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Bits48([u16; 3]);

impl Bits48 {
    const fn new(number: u64) -> Self {
        Self([(number >> 32) as u16, (number >> 16) as u16, number as u16])
    }

    fn number(self) -> u64 {
        self.0.into_iter().fold(0, |number, part| number << 16 | u64::from(part))
    }
}

/// A node of the cluster: random, and another one each time that a process begins, or finds that
/// the others took it for dead. 48 bits: among a million nodes over the years two are the same with
/// a chance of 1 in 500.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(Bits48);

impl NodeId {
    /// The id that says `number`, of which the lowest 48 bits count.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(Bits48::new(number))
    }

    /// The id that `text` spells: twelve hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let whole = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        whole.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self::new)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0.number())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{self}")
    }
}

/// The number of a connection, never used twice by a process. 48 bits: with a million new
/// connections each second they last for eight years.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(Bits48);

impl ConnectionId {
    /// The id that says `number`, of which the lowest 48 bits count.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(Bits48::new(number))
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0.number()
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_48_bits_is_kept_whole() {
        for number in [0, 1, u64::from(u32::MAX), u64::from(u32::MAX) + 1, (1 << 48) - 1] {
            assert_eq!(ConnectionId::new(number).number(), number);
        }
        assert!(ConnectionId::new(1 << 32) > ConnectionId::new(u64::from(u32::MAX)));
    }
}
