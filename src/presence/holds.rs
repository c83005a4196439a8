//! The sources of one member, and how each ends. Most members have one, which needs no list.

use herenow_protocol::LossReason;

use super::source::{Keeper, OwnMark, Source};
use crate::now::Now;

/// One source of a member, with what is known of its end.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) source: Source,
    pub(super) said: Said,
    /// Set when it ends by itself: the connection is gone and the grace runs, or it is a lease.
    /// Boxed, since most are neither.
    pub(super) ends: Option<Box<Ends>>,
}

/// What a source said of itself, in eight bytes: how long its grace is (of another node, how many
/// connections it has), and in the highest bit whether the user is away from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said(u64);

impl Said {
    const AWAY: u64 = 1 << 63;

    pub(super) fn new(number: u64, away: bool) -> Self {
        let mut said = Self(number & !Self::AWAY);
        said.set_away(away);
        said
    }

    fn number(self) -> u64 {
        self.0 & !Self::AWAY
    }

    pub(super) fn is_away(self) -> bool {
        self.0 & Self::AWAY != 0
    }

    fn set_away(&mut self, away: bool) {
        self.0 = if away { self.0 | Self::AWAY } else { self.number() };
    }
}

/// How a source ends by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) at_ms: u64,
    pub(super) reason: LossReason,
    /// When it was last heard, by the wall clock.
    pub(super) last_seen: u64,
}

impl Hold {
    /// Not merely in grace. A lease has an end from its beginning, and is live until then.
    pub(super) fn is_live(&self) -> bool {
        self.ends.is_none() || matches!(self.source, Source::Lease(_))
    }

    /// Whether it is of this node: a connection to it, or a lease that it times.
    pub(super) fn is_own(&self) -> bool {
        match self.source {
            Source::Connection(_) => true,
            Source::Lease(_) => self.ends.is_some(),
            Source::Node(_) => false,
        }
    }

    /// How many live connections it stands for.
    pub(super) fn connections(&self) -> usize {
        match self.source {
            Source::Connection(_) if self.is_live() => 1,
            Source::Node(_) if self.is_live() => self.said.number() as usize,
            Source::Connection(_) | Source::Lease(_) | Source::Node(_) => 0,
        }
    }

    /// The moment at which it ends by itself, if it does.
    pub(super) fn ends_ms(&self) -> Option<u64> {
        self.ends.as_ref().map(|ends| ends.at_ms)
    }
}

/// The sources of a member. Never empty, except between two steps of one change: the last one going
/// is the member going. At most one of this node's own is in grace.
#[derive(Debug)]
pub(super) enum Holds {
    One(Hold),
    #[expect(clippy::box_collection, reason = "no larger for everyone who has only one")]
    Others(Option<Box<Vec<Hold>>>),
}

/// There is one of these for each member of each channel.
const _: () = assert!(size_of::<Holds>() <= 24);

impl Holds {
    /// No source, between two steps of one change.
    pub(super) const NONE: Self = Self::Others(None);

    pub(super) fn as_slice(&self) -> &[Hold] {
        match self {
            Self::One(hold) => std::slice::from_ref(hold),
            Self::Others(None) => &[],
            Self::Others(Some(holds)) => holds,
        }
    }

    /// Whether the user is away from all of them.
    pub(super) fn are_away(&self) -> bool {
        self.iter().all(|hold| hold.said.is_away())
    }

    /// Whether the user is away from all of this node's own; `None`: there is none.
    pub(super) fn own_away(&self) -> Option<bool> {
        self.iter()
            .filter(|hold| hold.is_own())
            .map(|hold| hold.said.is_away())
            .reduce(|a, b| a && b)
    }

    /// Whether one of this node's own is not merely in grace.
    pub(super) fn have_own_live(&self) -> bool {
        self.iter().any(|hold| hold.is_own() && hold.is_live())
    }

    /// The connections to this node, as other nodes are told of them. A grace beside a living
    /// connection is none of their business, but the user is away only if it is from both.
    pub(super) fn own_mark(&self) -> Option<OwnMark> {
        let own = || self.iter().filter(|hold| hold.source.is_connection());
        let away = own().all(|hold| hold.said.is_away());
        let connections: usize = own().map(Hold::connections).sum();
        if connections > 0 {
            let connections = u32::try_from(connections).unwrap_or(u32::MAX);
            return Some(OwnMark::Live { connections, away });
        }
        let Ends { at_ms, reason, last_seen } = *own().find_map(|hold| hold.ends.as_deref())?;
        Some(OwnMark::Lost { ends_ms: at_ms, away, reason, last_seen })
    }

    /// The leases: whose, when each ends if it is timed here, and whether the user is away from it.
    pub(super) fn leases(&self) -> impl Iterator<Item = (Keeper, Option<u64>, bool)> {
        self.iter().filter_map(|hold| match hold.source {
            Source::Lease(keeper) => Some((keeper, hold.ends_ms(), hold.said.is_away())),
            Source::Connection(_) | Source::Node(_) => None,
        })
    }

    /// What the live source says of being away; `None`: it is none of these.
    pub(super) fn away_of(&self, source: Source) -> Option<bool> {
        let mut live = self.iter().filter(|hold| hold.source == source && hold.is_live());
        live.next().map(|hold| hold.said.is_away())
    }

    /// The user is away from the live source from now on, or is not.
    pub(super) fn set_away(&mut self, source: Source, away: bool) {
        let holds = self.as_mut_slice().iter_mut();
        let live = holds.filter(|hold| hold.source == source && hold.is_live());
        live.for_each(|hold| hold.said.set_away(away));
    }

    fn as_mut_slice(&mut self) -> &mut [Hold] {
        match self {
            Self::One(hold) => std::slice::from_mut(hold),
            Self::Others(None) => &mut [],
            Self::Others(Some(holds)) => holds,
        }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Hold> {
        self.as_slice().iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    pub(super) fn push(&mut self, hold: Hold) {
        *self = match std::mem::replace(self, Self::Others(None)) {
            Self::Others(None) => Self::One(hold),
            Self::One(first) => Self::Others(Some(Box::new(vec![first, hold]))),
            Self::Others(Some(mut holds)) => {
                holds.push(hold);
                Self::Others(Some(holds))
            }
        };
    }

    /// Keeps those that `wanted` says.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(&Hold) -> bool) {
        match self {
            Self::One(hold) => {
                if !wanted(hold) {
                    *self = Self::Others(None);
                }
            }
            Self::Others(None) => {}
            Self::Others(Some(holds)) => {
                holds.retain(wanted);
                if holds.len() < 2 {
                    *self = holds.pop().map_or(Self::Others(None), Self::One);
                }
            }
        }
    }

    /// The connection `source` was lost, and its grace begins, if it asked for one: the result is
    /// when that is over. Graces of one member are one, which ends with the last of them: otherwise
    /// a thousand connections would leave a thousand behind. The user is away from the one if it is
    /// from all of them.
    pub(super) fn begin_grace(
        &mut self,
        source: Source,
        reason: LossReason,
        last_seen: u64,
        now: Now,
    ) -> Option<u64> {
        let graced = |hold: &Hold| hold.source == source && hold.ends.is_none();
        let grace_ms = self.iter().find(|hold| graced(hold)).map(|hold| hold.said.number())?;
        if grace_ms == 0 {
            return None;
        }
        let mut ends = Ends { at_ms: now.mono_ms + grace_ms, reason, last_seen };
        let mut away = true;
        self.retain(|hold| {
            let earlier = hold.ends.as_ref().filter(|_| hold.is_own() && !hold.is_live());
            if let Some(earlier) = earlier {
                ends.at_ms = ends.at_ms.max(earlier.at_ms);
                ends.last_seen = ends.last_seen.max(earlier.last_seen);
                away &= hold.said.is_away();
            }
            earlier.is_none()
        });
        let hold = self.as_mut_slice().iter_mut().find(|hold| hold.source == source)?;
        hold.ends = Some(Box::new(ends));
        hold.said.set_away(away && hold.said.is_away());
        Some(ends.at_ms)
    }

    /// Takes out what has ended. The result: how the last of it was lost.
    pub(super) fn end_due(&mut self, now_ms: u64) -> Option<Ends> {
        let mut latest: Option<Ends> = None;
        self.retain(|hold| {
            let ended = hold.ends.as_deref().filter(|ends| ends.at_ms <= now_ms).copied();
            latest = latest.into_iter().chain(ended).max_by_key(|ends| ends.last_seen);
            ended.is_none()
        });
        latest
    }
}
