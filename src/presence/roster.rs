//! Whether a channel is small enough to be told member by member.

use herenow_protocol::Level;
use herenow_protocol::reply::InForce;

/// What `auto` subscribers of a channel are told. Decided at the tick, so that log, state and mode
/// agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roster {
    /// Every change.
    #[default]
    Listed,
    /// The number of members, and the newest of them.
    Counted,
}

impl Roster {
    /// What comes next in a channel of so many `members`. Above `limit` they are counted, and
    /// listed again only at four fifths of it: a channel that stays about the limit does not make
    /// its subscribers change their minds at every join.
    #[must_use]
    pub fn next(self, members: usize, limit: usize) -> Self {
        match self {
            Self::Listed if members > limit => Self::Counted,
            Self::Counted if members * 5 <= limit * 4 => Self::Listed,
            stays => stays,
        }
    }
}

/// How a channel stands, as far as it matters to what its subscribers are owed. Changes at a tick
/// only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What `auto` means here.
    pub roster: Roster,
    /// The last frame that told of a member that came or went. A count since then is still right.
    pub moved_seq: u64,
    /// The last frame that told of what one of the newest members carries, if that was noted: a count
    /// with attributes is right since the later of the two.
    pub shown_seq: u64,
}

impl Standing {
    /// The level that a subscriber who asked for `asked` should be at.
    #[must_use]
    pub fn level(self, asked: Level) -> InForce {
        match (asked, self.roster) {
            (Level::Events, _) | (Level::Auto, Roster::Listed) => InForce::Events,
            (Level::Count, _) | (Level::Auto, Roster::Counted) => InForce::Count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(limit: usize, sizes: impl IntoIterator<Item = usize>) -> Vec<(usize, Roster)> {
        let mut roster = Roster::default();
        let mut changes = Vec::new();
        for members in sizes {
            let next = roster.next(members, limit);
            if next != roster {
                changes.push((members, next));
            }
            roster = next;
        }
        changes
    }

    #[test]
    fn it_changes_above_the_limit_and_at_four_fifths() {
        let up_and_down = |limit: usize| (0..=limit + 3).chain((0..=limit + 3).rev());
        for (limit, up, down) in [(0, 1, 0), (1, 2, 0), (5, 6, 4), (9, 10, 7), (1_000, 1_001, 800)]
        {
            let expected = [(up, Roster::Counted), (down, Roster::Listed)];
            assert_eq!(walk(limit, up_and_down(limit)), expected, "limit {limit}");
        }
    }

    #[test]
    fn at_the_edge_it_stays() {
        let edge = [10, 11, 10, 11, 9, 11, 9, 10, 11];
        assert_eq!(walk(10, edge), [(11, Roster::Counted)]);
        assert_eq!(walk(10, [11, 8, 9, 10, 9, 8]), [(11, Roster::Counted), (8, Roster::Listed)]);
    }
}
