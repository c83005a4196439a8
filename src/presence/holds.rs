//! The sources of one member, and how each ends. Most members have one, which needs no list.

use herenow_protocol::LossReason;

use super::source::Source;
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

/// What a source said of itself, in eight bytes: how long its grace is, and in the highest bit
/// whether the user is away from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said(u64);

impl Said {
    const AWAY: u64 = 1 << 63;

    pub(super) fn new(grace_ms: u64, away: bool) -> Self {
        let mut said = Self(grace_ms & !Self::AWAY);
        said.set_away(away);
        said
    }

    fn grace_ms(self) -> u64 {
        self.0 & !Self::AWAY
    }

    pub(super) fn is_away(self) -> bool {
        self.0 & Self::AWAY != 0
    }

    fn set_away(&mut self, away: bool) {
        self.0 = if away { self.0 | Self::AWAY } else { self.grace_ms() };
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

    /// The moment at which it ends by itself, if it does.
    pub(super) fn ends_ms(&self) -> Option<u64> {
        self.ends.as_ref().map(|ends| ends.at_ms)
    }
}

/// The sources of a member. Never empty, except between two steps of one change: the last one going
/// is the member going. At most one of them is in grace.
#[derive(Debug)]
pub(super) enum Holds {
    One(Hold),
    #[expect(clippy::box_collection, reason = "no larger for everyone who has only one")]
    Others(Option<Box<Vec<Hold>>>),
}

/// There is one of these for each member of each channel.
const _: () = assert!(size_of::<Holds>() <= 24);

impl Holds {
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
        let grace_ms = self.iter().find(|hold| graced(hold)).map(|hold| hold.said.grace_ms())?;
        if grace_ms == 0 {
            return None;
        }
        let mut ends = Ends { at_ms: now.mono_ms + grace_ms, reason, last_seen };
        let mut away = true;
        self.retain(|hold| {
            let earlier = hold.ends.as_ref().filter(|_| !hold.is_live());
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

    /// Takes out what has ended. The result: how the member was lost by it, if nothing is left.
    pub(super) fn end_due(&mut self, now_ms: u64) -> Option<Ends> {
        let mut latest: Option<Ends> = None;
        self.retain(|hold| {
            let ended = hold.ends.as_deref().filter(|ends| ends.at_ms <= now_ms).copied();
            latest = latest.into_iter().chain(ended).max_by_key(|ends| ends.last_seen);
            ended.is_none()
        });
        latest.filter(|_| self.is_empty())
    }
}
