//! Of a giant its summary alone.

use super::one::{ERA, OTHER, One, STORE_MS, live, peers};
use crate::cluster::replica::summing::Counted;
use crate::cluster::summary::{SUMMARY_MS, Summary};
use crate::limits::{SUMMARY_AGAIN_MS, SUMMARY_HELD_MS};

#[test]
fn a_summary_counts_if_it_is_newer_and_holds_while_data_are_lost() {
    let summary = |version, count| Summary {
        era: ERA,
        version,
        now: STORE_MS,
        counted: true,
        count,
        newest: Vec::new(),
    };
    let mut one = One::new();
    one.peers = peers(&[OTHER], &[], &[]);
    let tell = |one: &mut One, summary: &Summary, asked| {
        one.replica.summary_told(summary, asked, &one.peers, one.now)
    };
    let count = |one: &One| one.replica.summary().map(|summary| summary.count);
    assert_eq!(tell(&mut one, &summary(10, 300), None), Counted::AsBefore, "not followed");
    assert!(!one.replica.wants_summary(one.now) && one.replica.is_summary_partial());
    one.replica.follow_summary();
    assert!(one.replica.wants_summary(one.now));
    let asked = one.replica.ask_summary(one.now);
    assert_eq!(asked.version, 0);
    assert!(!one.replica.wants_summary(one.now));
    one.now.mono_ms += SUMMARY_AGAIN_MS;
    assert!(one.replica.wants_summary(one.now));
    assert_eq!(tell(&mut one, &summary(10, 300), Some(asked)), Counted::Anew);
    assert_eq!((count(&one), one.replica.is_summary_partial()), (Some(300), false));
    assert_eq!(tell(&mut one, &summary(10, 301), None), Counted::AsBefore);
    assert_eq!(tell(&mut one, &summary(9, 301), None), Counted::AsBefore);
    assert_eq!(tell(&mut one, &summary(11, 302), None), Counted::Anew);
    assert_eq!(one.replica.ask_summary(one.now).version, 11);
    one.replica.summary_fails();
    assert!(one.replica.wants_summary(one.now));
    // Behind a gap the answer to what is asked since counts, whatever its version.
    let late = one.replica.ask_summary(one.now);
    one.replica.follow_summary();
    assert_eq!(tell(&mut one, &summary(5, 310), Some(late)), Counted::AsBefore);
    let asked = one.replica.ask_summary(one.now);
    assert_eq!(asked.version, 0);
    assert_eq!(tell(&mut one, &summary(5, 310), Some(asked)), Counted::Anew);
    // Data are lost: the last one holds, for a while, until all have said theirs again.
    one.peers = peers(&[], &[OTHER], &[]);
    one.replica.lost_data();
    assert!(one.replica.is_summary_partial() && one.replica.wants_summary(one.now));
    let asked = one.replica.ask_summary(one.now);
    assert_eq!(tell(&mut one, &summary(100, 1), Some(asked)), Counted::AsBefore);
    assert_eq!(count(&one), Some(310));
    one.now.mono_ms += SUMMARY_MS;
    assert!(one.replica.wants_summary(one.now), "sooner than otherwise");
    one.now.mono_ms += SUMMARY_HELD_MS - SUMMARY_MS - 1;
    assert_eq!(tell(&mut one, &summary(101, 2), Some(asked)), Counted::AsBefore);
    one.now.mono_ms += 1;
    assert_eq!(tell(&mut one, &summary(101, 2), Some(asked)), Counted::Anew);
    assert_eq!((count(&one), one.replica.is_summary_partial()), (Some(2), false));
    // And at once when they have.
    one.replica.lost_data();
    one.peers = peers(&[OTHER], &[], &[]);
    assert_eq!(tell(&mut one, &summary(3, 320), None), Counted::Anew);
    let last = Summary { counted: false, ..summary(4, 0) };
    assert_eq!(tell(&mut one, &last, None), Counted::NoLonger);
    assert_eq!(one.replica.counts(), Some(false));
}

/// What never came cannot be lost.
#[test]
fn a_summary_that_never_came_is_awaited_and_not_held_back_after_a_loss() {
    let mut one = One::new();
    one.peers = peers(&[], &[OTHER], &[]);
    one.replica.follow_summary();
    one.replica.lost_data();
    let first = Summary {
        era: ERA,
        version: 3,
        now: STORE_MS,
        counted: true,
        count: 400,
        newest: Vec::new(),
    };
    assert_eq!(one.replica.summary_told(&first, None, &one.peers, one.now), Counted::Anew);
}

/// Whoever knows all knows it better, as long as data are missing.
#[test]
fn a_first_summary_does_not_count_while_all_is_known_and_data_are_lost() {
    let first = Summary {
        era: ERA,
        version: 30,
        now: STORE_MS,
        counted: true,
        count: 1,
        newest: Vec::new(),
    };
    let mut one = One::whole([("bob", live(&[OTHER]))]);
    one.replica.lost_data();
    one.replica.follow_summary();
    let tell = |one: &mut One| one.replica.summary_told(&first, None, &one.peers, one.now);
    one.peers = peers(&[], &[OTHER], &[]);
    assert_eq!(tell(&mut one), Counted::AsBefore);
    one.peers = peers(&[OTHER], &[], &[]);
    one.say();
    assert_eq!(tell(&mut one), Counted::Anew);
}
