//! Histories that are kept: thought out, or found by chance, where each failed before what it shows was
//! mended. With those that were found stands the seed of what crossed in them.

use super::world::{Action, History, Join, NODES, Place};

/// What chance alone brings together too seldom: a lease that is taken at one node, which does not
/// follow the channel, and renewed at another, of which the first one does not hear, and which outlives
/// what that one knew; as it is, and after the store lost its data.
pub(super) fn wandering_leases() -> [History; 2] {
    let (first, then) = (NODES - 1, 0);
    let at = |slot| Place { slot, at: 0, user: 0, tab: 0 };
    let begins = vec![
        (0, Action::Lease(at(first), 9_000)),
        (2_000, Action::LoseInbox(first)),
        (1_000, Action::Lease(at(then), 60_000)),
    ];
    let goes_on = |last: &[(u64, Action)]| [&begins, last].concat();
    [goes_on(&[(3_000, Action::Rest)]), goes_on(&[(3_000, Action::Empty), (0, Action::Rest)])]
}

/// The same: a node dies, and the store loses what it said there before the others know that it is dead.
/// No burial finds it then, so each of them ends it by itself.
pub(super) fn dead_and_lost() -> History {
    let place = Place { slot: 1, at: 0, user: 0, tab: 0 };
    let join = Join { brings: 0, merge: false, audience: 0, info: 0, graced: false };
    let dies = [(0, Action::Join(place, join)), (3_000, Action::Crash(1))];
    [&dies[..], &[(100, Action::Empty), (0, Action::Rest)]].concat()
}

/// The same: a node stands still for so long that the others bury it, has something to say in a channel
/// where nobody looks when it goes on, and dies before it knows.
pub(super) fn the_last_word_of_a_dead_node() -> History {
    let place = |user| Place { slot: 3, at: 0, user, tab: 0 };
    let join = Join { brings: 0, merge: false, audience: 0, info: 0, graced: false };
    let unfollow = (0..3).map(|slot| (0, Action::Follow(slot, 0, false)));
    let says = [
        (1_000, Action::Join(place(0), join)),
        (2_000, Action::Pause(3, 12_000)),
        (12_000, Action::Join(place(1), join)),
        (100, Action::Crash(3)),
    ];
    unfollow.chain(says).collect()
}

/// The same: the store stands still, and goes on without what it had. Then what a node has to say again may
/// come after what it says of itself.
pub(super) fn lost_while_it_stood_still() -> History {
    let place = |slot, at, user| Place { slot, at, user, tab: 0 };
    let join = Join { brings: 0, merge: false, audience: 0, info: 0, graced: false };
    vec![
        (3_000, Action::Join(place(1, 0, 0), join)),
        (1_200, Action::Rest),
        (2_800, Action::Freeze(6_000)),
        (5_900, Action::Empty),
        (500, Action::Join(place(0, 1, 4), join)),
    ]
}

/// The same, found by chance once in 40,000: the last one leaves at one node, and joins at another in the
/// same moment, while somebody else makes the channel anew, whose numbers begin where they began before.
/// With the seed by which messages cross so.
fn numbers_that_begin_anew() -> (u64, History) {
    let place = |slot, at, user, tab| Place { slot, at, user, tab };
    let join = Join { brings: 0, merge: false, audience: 0, info: 0, graced: false };
    let history = vec![
        // What does nothing rolls dice.
        (71, Action::Leave(place(3, 0, 5, 0))),
        (9, Action::Leave(place(2, 0, 1, 0))),
        (75, Action::EndLease(place(2, 1, 3, 0))),
        (255, Action::Join(place(1, 1, 0, 0), Join { brings: 1, ..join })),
        (125, Action::Leave(place(0, 0, 4, 1))),
        (72, Action::Follow(1, 1, true)),
        (62, Action::Leave(place(1, 1, 0, 0))),
        (0, Action::Join(place(3, 1, 3, 1), Join { merge: true, ..join })),
        (0, Action::Join(place(2, 1, 0, 0), Join { brings: 2, graced: true, ..join })),
    ];
    (3_930_370_786_333_009_762, history)
}

/// The same, once in 300,000: what is heard of somebody in a life of the channel before comes late, when
/// another has that number in the life that has begun in the same second.
fn numbers_of_a_life_before() -> (u64, History) {
    let place = |slot, at, user, tab| Place { slot, at, user, tab };
    let join = Join { brings: 0, merge: false, audience: 0, info: 0, graced: false };
    let merging = Join { merge: true, ..join };
    let history = vec![
        (486, Action::Lease(place(2, 0, 4, 1), 5_210)),
        (238, Action::Join(place(3, 0, 1, 0), Join { brings: 1, ..join })),
        (1_772, Action::Join(place(0, 0, 5, 0), Join { brings: 1, info: 1, graced: true, ..join })),
        (260, Action::Freeze(3_679)),
        (427, Action::Away(place(0, 1, 3, 0), false)),
        (620, Action::Crash(0)),
        (1_010, Action::Lose(place(2, 0, 2, 1))),
        (923, Action::Freeze(7_660)),
        (104, Action::Join(place(2, 0, 4, 0), Join { audience: 4, ..join })),
        (737, Action::Join(place(2, 1, 0, 0), Join { graced: true, ..merging })),
        (328, Action::Crash(1)),
        (515, Action::Lose(place(3, 0, 5, 0))),
        (572, Action::Lose(place(2, 1, 0, 0))),
        (2_803, Action::Join(place(3, 1, 3, 1), Join { brings: 2, ..merging })),
        (423, Action::Join(place(2, 1, 5, 1), Join { brings: 2, ..merging })),
        (612, Action::Write(place(1, 1, 1, 1), 70, false, false)),
        (479, Action::Freeze(4_292)),
        (737, Action::Lease(place(2, 1, 4, 0), 5_662)),
        (1_414, Action::Leave(place(3, 1, 4, 1))),
        (373, Action::EndLease(place(2, 0, 3, 1))),
        (507, Action::Lose(place(2, 1, 5, 1))),
    ];
    (3_737_573_478_854_143_435, history)
}

/// The same, once in 250,000: a node that was taken for dead brings back what another wrote in a life of
/// the record that is over, by the stamp with which that one writes next.
fn stamps_of_a_life_before() -> (u64, History) {
    let place = |slot, at, user, tab| Place { slot, at, user, tab };
    let join = Join { brings: 0, merge: false, audience: 0, info: 0, graced: true };
    let merging = Join { merge: true, ..join };
    let history = vec![
        (5_481, Action::Follow(0, 0, false)),
        (417, Action::Join(place(3, 0, 3, 0), merging)),
        (1_451, Action::Follow(3, 0, true)),
        (3_298, Action::Join(place(2, 1, 4, 0), Join { brings: 2, ..join })),
        (193, Action::Join(place(0, 0, 3, 1), Join { brings: 1, audience: 4, ..merging })),
        (3_015, Action::Lease(place(3, 1, 3, 0), 13_976)),
        (497, Action::Cut(3, (true, true), 7_303)),
        (1_433, Action::Cut(0, (false, true), 1_807)),
        (117, Action::Lose(place(0, 0, 3, 1))),
        (4_935, Action::Join(place(0, 0, 3, 1), Join { audience: 3, ..join })),
    ];
    (2_159_194_835_244_819_903, history)
}

/// Found once in 300,000: a summary that was published before a gap comes behind it, and one that was
/// answered before the gap is newer.
fn a_summary_that_is_older() -> (u64, History) {
    let place = |slot, at, user, tab| Place { slot, at, user, tab };
    let join = Join { brings: 0, merge: false, audience: 0, info: 0, graced: false };
    let merging = Join { merge: true, brings: 1, ..join };
    let history = vec![
        (56, Action::Join(place(2, 0, 3, 0), Join { brings: 2, audience: 1, ..merging })),
        (60, Action::Join(place(3, 1, 5, 1), join)),
        (24, Action::Lease(place(3, 1, 3, 1), 19_792)),
        (90, Action::Join(place(0, 1, 4, 1), Join { graced: true, ..join })),
        (85, Action::Join(place(0, 1, 1, 0), Join { audience: 4, info: 2, ..join })),
        (44, Action::Join(place(3, 1, 0, 1), merging)),
        (83, Action::EndLease(place(2, 0, 5, 1))),
        (55, Action::Crash(3)),
        (35, Action::Cut(1, (true, true), 5_890)),
        (80, Action::Lease(place(0, 1, 3, 0), 19_952)),
        (13, Action::Cut(2, (true, false), 1_950)),
        (54, Action::Write(place(3, 0, 1, 0), 76, false, true)),
        (91, Action::Join(place(0, 0, 1, 0), Join { brings: 1, graced: true, ..join })),
        (44, Action::Lease(place(2, 0, 4, 0), 16_399)),
        (6, Action::Lose(place(3, 1, 0, 1))),
        (152, Action::Join(place(1, 0, 4, 1), merging)),
        (81, Action::Freeze(3_287)),
    ];
    (3_623_136_806_431_262_903, history)
}

/// Found once in a million: lost data forget the burial of a node, which lives on by them under its old
/// name, is buried again, and says behind that what it says in a channel where nobody looks. Then it dies.
pub(super) fn what_a_buried_node_says() -> (u64, History) {
    let place = Place { slot: 3, at: 1, user: 3, tab: 0 };
    let join = Join { brings: 0, merge: false, audience: 4, info: 0, graced: true };
    let history = vec![
        (8_858, Action::Follow(2, 1, false)),
        (6_118, Action::Follow(1, 1, false)),
        (38_669, Action::Follow(0, 1, false)),
        (11_736, Action::Join(place, join)),
        (1_844, Action::Pause(3, 11_980)),
        (8_236, Action::Empty),
        (8_102, Action::Crash(3)),
    ];
    (4_505_409_156_085_734_231, history)
}

/// Found once in 275,000: data are lost, and somebody whom another node has, too, goes before this one has
/// said it again. It has nothing to say then, and what was lost went on counting here.
fn who_goes_unsaid() -> (u64, History) {
    let place = |slot, at, user, tab| Place { slot, at, user, tab };
    let join = Join { brings: 0, merge: true, audience: 0, info: 0, graced: false };
    let history = vec![
        (707, Action::Join(place(2, 1, 4, 1), Join { brings: 1, ..join })),
        (289, Action::Lease(place(1, 1, 5, 0), 5_252)),
        (74, Action::Lease(place(0, 0, 5, 1), 5_153)),
        (824, Action::Leave(place(2, 0, 4, 1))),
        (54, Action::Write(place(0, 0, 0, 1), 20, true, false)),
        (35, Action::LoseAnswer(2)),
        (78, Action::Empty),
        (37, Action::Join(place(2, 1, 2, 1), Join { brings: 2, ..join })),
        (4, Action::Join(place(3, 1, 4, 0), Join { merge: false, ..join })),
        (218, Action::Lose(place(2, 1, 4, 1))),
    ];
    (1_200_197_052_366_991_257, history)
}

/// The same, of somebody whose grace ends while the node stands still.
fn who_ends_unsaid() -> (u64, History) {
    let place = |slot, at, user, tab| Place { slot, at, user, tab };
    let join = Join { brings: 0, merge: false, audience: 0, info: 0, graced: false };
    let merging = Join { merge: true, ..join };
    let history = vec![
        (770, Action::Join(place(3, 0, 5, 0), Join { brings: 2, audience: 1, ..merging })),
        (4_508, Action::Join(place(1, 1, 1, 1), Join { brings: 1, graced: true, ..merging })),
        (224, Action::Lease(place(3, 0, 1, 0), 10_294)),
        (710, Action::Join(place(1, 0, 4, 0), Join { graced: true, ..join })),
        (905, Action::Join(place(3, 0, 4, 0), join)),
        (114, Action::Join(place(0, 0, 5, 0), Join { info: 2, graced: true, ..merging })),
        (880, Action::Join(place(2, 1, 5, 0), join)),
        (6, Action::EndLease(place(0, 0, 4, 0))),
        (18, Action::Write(place(1, 0, 3, 1), 13, true, true)),
        (413, Action::Lose(place(3, 1, 4, 1))),
        (454, Action::Join(place(1, 1, 2, 1), merging)),
        (
            555,
            Action::Join(
                place(3, 0, 2, 1),
                Join { brings: 1, audience: 1, info: 2, graced: true, ..merging },
            ),
        ),
        (263, Action::Lose(place(0, 0, 5, 0))),
        (960, Action::Pause(0, 5_475)),
        (2_184, Action::Empty),
        (204, Action::LoseAnswer(0)),
        (4_720, Action::Lose(place(2, 1, 5, 0))),
    ];
    (3_383_371_752_874_174_145, history)
}

/// Those that chance found, and a seed under which each failed.
pub(super) fn found() -> [(u64, History); 7] {
    [
        numbers_that_begin_anew(),
        numbers_of_a_life_before(),
        stamps_of_a_life_before(),
        a_summary_that_is_older(),
        what_a_buried_node_says(),
        who_goes_unsaid(),
        who_ends_unsaid(),
    ]
}
