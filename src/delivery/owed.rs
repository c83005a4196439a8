//! What a subscriber is owed: one decision, for passes, for those who wait and for those who catch
//! up.
//!
//! Which level is in force for a subscriber is no state of its own: its cursor says what it was
//! told last, and that is compared with what it asked for and with how the channel stands. So a
//! subscriber that slept through a change of levels needs nobody who remembered it.

use herenow_protocol::reply::{InForce, SnapshotReason};

use super::cursor::{Cursor, Want};
use crate::limits::COUNT_INTERVAL_MS;
use crate::presence::{Asked, SnapshotPlace, Standing};

impl Standing {
    /// What a subscriber is owed that asked for `asked` and stands at `cursor`.
    #[must_use]
    pub fn owed(self, asked: Asked, cursor: Cursor, now_ms: u64) -> Owed {
        let shown_seq = if asked.recent.attributes { self.shown_seq } else { 0 };
        let right_since = self.moved_seq.max(shown_seq);
        match (self.level(asked.level), cursor) {
            (_, Cursor::Dead) => Owed::Nothing,
            (InForce::Events, Cursor::Next(seq)) => Owed::Frames(seq),
            (InForce::Events, Cursor::Want(Want::Snapshot(reason))) => Owed::Snapshot(reason),
            (InForce::Events, Cursor::Within(place)) => Owed::Part(place),
            (InForce::Count, Cursor::Want(Want::Count)) => Owed::Count,
            (InForce::Count, Cursor::Counted { seq, .. }) if seq >= right_since => Owed::Nothing,
            (InForce::Count, Cursor::Counted { at_ms, .. }) => {
                match COUNT_INTERVAL_MS - elapsed_ms(at_ms, now_ms).min(COUNT_INTERVAL_MS) {
                    0 => Owed::Count,
                    in_ms => Owed::CountLater { in_ms },
                }
            }
            (level, _) => Owed::Switch(level),
        }
    }
}

/// Milliseconds since `at_ms`, which was cut to 32 bits: whoever slept for just seven weeks may
/// wait a second more. A `now_ms` read shortly before `at_ms` was is no time at all.
fn elapsed_ms(at_ms: u32, now_ms: u64) -> u64 {
    let elapsed = u64::from((now_ms as u32).wrapping_sub(at_ms));
    if elapsed > u64::from(u32::MAX) - COUNT_INTERVAL_MS { 0 } else { elapsed }
}

/// What a subscriber is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// Nothing.
    Nothing,
    /// The frames from this seq on, if there are any.
    Frames(u64),
    /// A snapshot.
    Snapshot(SnapshotReason),
    /// The next part of a snapshot.
    Part(SnapshotPlace),
    /// A `count` frame, at once.
    Count,
    /// A `count` frame, but the last one is not old enough.
    CountLater {
        /// How long until it is.
        in_ms: u64,
    },
    /// A `level` frame, and the `count` frame or the snapshot that begins the new level.
    Switch(InForce),
}

#[cfg(test)]
mod tests {
    use herenow_protocol::Level;

    use super::*;
    use crate::presence::{Rest, Roster};

    const LISTED: Standing = Standing { roster: Roster::Listed, moved_seq: 7, shown_seq: 9 };
    const PLACE: SnapshotPlace = SnapshotPlace {
        seq: 3,
        reason: SnapshotReason::Subscribed,
        rest: Rest::Public(9),
        missed: false,
        renewed: false,
    };
    const COUNTED: Standing = Standing { roster: Roster::Counted, moved_seq: 7, shown_seq: 9 };

    /// Whoever asked for a level is at it whatever the channel's size; `auto` goes by the size.
    #[test]
    fn a_cursor_of_the_other_level_is_owed_a_switch() {
        use InForce::{Count, Events};
        let of_events = [
            Cursor::Next(3),
            Cursor::Want(Want::Snapshot(SnapshotReason::Subscribed)),
            Cursor::Want(Want::Snapshot(SnapshotReason::Resync)),
            Cursor::Want(Want::Snapshot(SnapshotReason::Level)),
            Cursor::Within(PLACE),
        ];
        let of_count = [
            Cursor::Want(Want::Count),
            Cursor::Counted { seq: 7, at_ms: 0 },
            Cursor::Counted { seq: 6, at_ms: 0 },
            Cursor::Counted { seq: 6, at_ms: 4_999 },
        ];
        for (asked, standing, level) in [
            (Level::Events, LISTED, Events),
            (Level::Events, COUNTED, Events),
            (Level::Count, LISTED, Count),
            (Level::Count, COUNTED, Count),
            (Level::Auto, LISTED, Events),
            (Level::Auto, COUNTED, Count),
        ] {
            assert_eq!(standing.level(asked), level);
            assert_eq!(standing.owed(asked.into(), Cursor::Dead, 5_000), Owed::Nothing);
            for (cursors, of) in [(&of_events[..], Events), (&of_count[..], Count)] {
                for &cursor in cursors {
                    assert_eq!(cursor.level(), Some(of));
                    let switched =
                        standing.owed(asked.into(), cursor, 5_000) == Owed::Switch(level);
                    assert_eq!(switched, of != level, "{asked:?} {standing:?} {cursor:?}");
                }
            }
        }
    }

    #[test]
    fn at_events_it_is_what_it_lacks() {
        let owed = |cursor| LISTED.owed(Level::Auto.into(), cursor, 0);
        assert_eq!(owed(Cursor::Next(3)), Owed::Frames(3));
        assert_eq!(owed(Cursor::Within(PLACE)), Owed::Part(PLACE));
        for reason in [SnapshotReason::Subscribed, SnapshotReason::Resync, SnapshotReason::Level] {
            assert_eq!(owed(Cursor::Want(Want::Snapshot(reason))), Owed::Snapshot(reason));
        }
    }

    #[test]
    fn at_count_it_is_the_last_state_at_most_once_a_second() {
        let owed = |cursor, now_ms| COUNTED.owed(Level::Count.into(), cursor, now_ms);
        assert_eq!(owed(Cursor::Want(Want::Count), 0), Owed::Count);
        let told = |seq, at_ms| Cursor::Counted { seq, at_ms };
        assert_eq!(owed(told(7, 0), 90_000), Owed::Nothing, "told since somebody moved");
        assert_eq!(owed(told(9, 0), 90_000), Owed::Nothing);
        assert_eq!(owed(told(6, 5_000), 5_000), Owed::CountLater { in_ms: 1_000 });
        assert_eq!(owed(told(6, 5_000), 5_999), Owed::CountLater { in_ms: 1 });
        assert_eq!(owed(told(6, 5_000), 6_000), Owed::Count);
        assert_eq!(owed(told(6, 5_000), 1 << 31), Owed::Count);
        // By somebody who read the clock just before.
        assert_eq!(owed(told(6, 5_000), 4_990), Owed::CountLater { in_ms: 1_000 });
        assert_eq!(owed(told(6, 5_000), 4_001), Owed::CountLater { in_ms: 1_000 });
        assert_eq!(owed(told(6, 5_000), 4_000), Owed::CountLater { in_ms: 1_000 });
        assert_eq!(owed(told(6, 5_000), 3_999), Owed::Count, "no clock is that far behind");
        // Across the end of 32 bits.
        let end = u64::from(u32::MAX);
        assert_eq!(owed(told(6, u32::MAX), end + 1_000), Owed::Count);
        assert_eq!(owed(told(6, u32::MAX), end + 999), Owed::CountLater { in_ms: 1 });
    }

    /// Only whoever is shown what members carry is told that it changed.
    #[test]
    fn with_attributes_it_is_the_last_of_those_too() {
        let told = |seq| Cursor::Counted { seq, at_ms: 0 };
        for (limit, attributes, owed) in [
            (None, false, Owed::Nothing),
            (Some(20), false, Owed::Nothing),
            (Some(20), true, Owed::Count),
        ] {
            let asked = Asked::new(Level::Count, limit, attributes);
            assert_eq!(COUNTED.owed(asked, told(8), 5_000), owed, "{asked:?}");
            assert_eq!(COUNTED.owed(asked, told(9), 5_000), Owed::Nothing, "{asked:?}");
        }
        let standing = Standing { shown_seq: 5, ..COUNTED };
        let asked = Asked::new(Level::Count, Some(20), true);
        assert_eq!(standing.owed(asked, told(6), 5_000), Owed::Count, "somebody came since");
        assert_eq!(standing.owed(asked, told(7), 5_000), Owed::Nothing);
    }
}
