//! The steps of burials, one by one.

use super::*;

const DEAD: NodeId = NodeId::new(7);
const OTHER: NodeId = NodeId::new(8);
const MINE: Claimed = Claimed::Mine { runs_ms: 0 };

fn named(names: &[&str]) -> Vec<ChannelName> {
    names.iter().map(|name| ChannelName::parse(name, "channel").unwrap()).collect()
}

fn claim(dead: NodeId) -> Step {
    Step::Claim { dead, for_ms: BURIAL_CLAIM_MS }
}

fn bury(channels: &[&str]) -> Step {
    Step::Bury { dead: DEAD, channels: named(channels) }
}

fn list(cursor: u64) -> Step {
    Step::List { dead: DEAD, cursor }
}

/// A burial that was claimed at that moment, and whose list has to begin.
fn begun(at_ms: u64, claimed: Claimed) -> Burial {
    let mut burial = Burial::default();
    burial.add(DEAD, at_ms);
    let before_ms = at_ms.checked_sub(1);
    assert!(before_ms.is_none_or(|it| burial.step(it) == Step::Rest { until_ms: at_ms }));
    assert_eq!(burial.step(at_ms), claim(DEAD));
    burial.claimed(DEAD, claimed, (at_ms, at_ms + 10));
    assert_eq!(burial.step(at_ms + 10), list(0));
    burial
}

#[test]
fn all_channels_are_walked_through_and_then_the_node_is_forgotten() {
    let mut burial = begun(100, MINE);
    // It is at work there already.
    burial.add(DEAD, 105);
    burial.listed(OTHER, named(&["not this one's"]), 0);
    burial.listed(DEAD, named(&["a", "b", "c"]), 3);
    assert_eq!(burial.step(120), bury(&["a", "b", "c"]));
    burial.buried(DEAD, &named(&["a", "b"]), None, 130);
    assert_eq!(burial.step(130), bury(&["c"]));
    burial.buried(DEAD, &named(&["c"]), None, 140);
    assert_eq!(burial.step(140), list(3));
    burial.listed(DEAD, Vec::new(), 0);
    assert_eq!(burial.step(150), Step::Forget { dead: DEAD });
    burial.forgotten(OTHER);
    assert_eq!(burial.step(150), Step::Forget { dead: DEAD });
    burial.forgotten(DEAD);
    assert_eq!(burial.step(150), Step::Rest { until_ms: NEVER });
}

#[test]
fn a_long_list_is_buried_in_batches() {
    let names: Vec<_> = (0..=BURIAL_BATCH).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut burial = begun(0, MINE);
    burial.listed(DEAD, named(&names), 0);
    assert_eq!(burial.step(20), bury(&names[..BURIAL_BATCH]));
    burial.buried(DEAD, &named(&names[..BURIAL_BATCH]), None, 20);
    assert_eq!(burial.step(20), bury(&names[BURIAL_BATCH..]));
}

#[test]
fn a_claim_is_renewed_when_half_of_it_is_over_and_the_work_goes_on() {
    let mut burial = begun(1_000, MINE);
    burial.listed(DEAD, named(&["a"]), 9);
    let half_ms = 1_000 + BURIAL_CLAIM_MS / 2;
    assert_eq!(burial.step(half_ms - 1), bury(&["a"]));
    assert_eq!(burial.step(half_ms), claim(DEAD));
    burial.claimed(DEAD, MINE, (half_ms, half_ms + 40));
    assert_eq!(burial.step(half_ms + 40), bury(&["a"]));
    burial.buried(DEAD, &named(&["a"]), None, half_ms + 50);
    let next_ms = half_ms + BURIAL_CLAIM_MS / 2;
    assert_eq!(burial.step(next_ms - 1), list(9));
    assert_eq!(burial.step(next_ms), claim(DEAD));
}

/// The latest of the losses that stay counts, and until then the claim is held.
#[test]
fn where_a_loss_stays_all_is_walked_through_once_more_when_it_is_over() {
    let mut burial = begun(0, MINE);
    burial.listed(DEAD, named(&["a", "b"]), 0);
    burial.buried(DEAD, &named(&["a"]), Some(30_000), 100);
    assert_eq!(burial.step(100), bury(&["b"]));
    burial.buried(DEAD, &named(&["b"]), Some(2_000), 200);
    let held = Step::Claim { dead: DEAD, for_ms: 29_900 + BURIAL_CLAIM_MS };
    assert_eq!(burial.step(200), held);
    // Another one begins meanwhile.
    burial.add(OTHER, 150);
    burial.claimed(DEAD, MINE, (200, 210));
    assert_eq!(burial.step(210), claim(OTHER));
    burial.claimed(OTHER, Claimed::Gone, (210, 220));
    let again_ms = 30_100 + BURIAL_REST_MS;
    assert_eq!(burial.step(220), Step::Rest { until_ms: again_ms });
    assert_eq!(burial.step(again_ms), claim(DEAD));
    burial.claimed(DEAD, MINE, (again_ms, again_ms));
    burial.listed(DEAD, Vec::new(), 0);
    assert_eq!(burial.step(again_ms), Step::Forget { dead: DEAD });
}

/// So long it may take itself for living, and say something.
#[test]
fn a_node_whose_lease_ran_is_buried_again_when_it_would_have_run_out() {
    let mut burial = begun(1_000, Claimed::Mine { runs_ms: 4_000 });
    burial.listed(DEAD, Vec::new(), 0);
    let rest_ms = 1_010 + 4_000 - 1_020;
    let held = Step::Claim { dead: DEAD, for_ms: rest_ms + BURIAL_CLAIM_MS };
    assert_eq!(burial.step(1_020), held);
    burial.claimed(DEAD, MINE, (1_020, 1_030));
    let again_ms = 1_010 + 4_000 + BURIAL_REST_MS;
    assert_eq!(burial.step(1_030), Step::Rest { until_ms: again_ms });
}

#[test]
fn what_another_node_has_claimed_is_left_to_it_until_the_claim_is_over() {
    let mut burial = Burial::default();
    burial.add(DEAD, 0);
    let others = Claimed::Others { left_ms: 3_000 };
    burial.claimed(DEAD, others, (0, 50));
    let over_ms = 50 + 3_000 + BURIAL_REST_MS;
    assert_eq!(burial.step(60), Step::Rest { until_ms: over_ms });
    // Known already: no sooner for that.
    burial.add(DEAD, 70);
    assert_eq!(burial.step(80), Step::Rest { until_ms: over_ms });
    assert_eq!(burial.step(over_ms), claim(DEAD));
    // And whoever has lost a claim stops.
    let mut burial = begun(0, MINE);
    burial.claimed(OTHER, others, (0, 50));
    assert_eq!(burial.step(50), list(0));
    burial.listed(DEAD, named(&["a"]), 0);
    burial.claimed(DEAD, others, (0, 50));
    assert_eq!(burial.step(50), Step::Rest { until_ms: over_ms });
}

#[test]
fn whoever_lives_again_by_an_old_copy_is_buried_from_the_beginning() {
    let mut burial = begun(0, MINE);
    burial.listed(DEAD, named(&["a"]), 5);
    burial.again(OTHER, 100);
    assert_eq!(burial.step(100), bury(&["a"]));
    burial.again(DEAD, 100);
    assert_eq!(burial.step(100), claim(DEAD));
    burial.claimed(DEAD, MINE, (100, 100));
    assert_eq!(burial.step(100), list(0));
}

#[test]
fn whom_the_store_forgot_needs_no_burial() {
    let mut burial = begun(0, MINE);
    burial.add(OTHER, 0);
    burial.keep(|node| node == DEAD);
    assert_eq!(burial.step(10), list(0));
    burial.keep(|_| false);
    assert_eq!(burial.step(10), Step::Rest { until_ms: NEVER });
}

/// While the store knows the node its burial passes there, and later nobody else does.
#[test]
fn a_mark_of_a_node_that_is_in_no_list_is_cleared_away_by_itself() {
    let mut burial = Burial::default();
    let [channel] = &named(&["a"])[..] else { unreachable!() };
    burial.stray(DEAD, channel);
    burial.keep(|_| true);
    assert_eq!(burial.step(10), Step::Rest { until_ms: NEVER });
    burial.keep(|_| false);
    burial.add(OTHER, 0);
    assert_eq!(burial.step(10), bury(&["a"]));
    // What stays is looked after when its time is over, and only then.
    burial.buried(DEAD, &named(&["a"]), Some(2_000), 30);
    burial.keep(|dead| dead == OTHER);
    assert_eq!(burial.step(30), claim(OTHER));
    burial.forgotten(OTHER);
    let over_ms = 30 + 2_000 + BURIAL_REST_MS;
    assert_eq!(burial.step(40), Step::Rest { until_ms: over_ms });
    assert_eq!(burial.step(over_ms), bury(&["a"]));
    burial.buried(DEAD, &named(&["a"]), None, over_ms);
    assert_eq!(burial.step(over_ms), Step::Rest { until_ms: NEVER });
}

#[test]
fn marks_are_looked_after_up_to_a_bound() {
    let mut burial = Burial::default();
    for number in 0..=MAX_STRAY_NODES {
        burial.stray(DEAD, &named(&[&number.to_string()])[0]);
    }
    assert_eq!(burial.strays.len(), MAX_STRAY_NODES);
}

#[test]
fn while_the_store_does_not_answer_it_rests() {
    let mut burial = begun(0, MINE);
    burial.failed(100);
    let until_ms = 100 + BURIAL_REST_MS;
    assert_eq!(burial.step(until_ms - 1), Step::Rest { until_ms });
    assert_eq!(burial.step(until_ms), list(0));
}

/// Nobody claims another meanwhile; should it come to that, the last claim counts.
#[test]
fn it_works_on_whom_it_claimed_last() {
    let mut burial = begun(0, MINE);
    burial.listed(DEAD, named(&["a"]), 5);
    burial.claimed(OTHER, MINE, (10, 20));
    assert_eq!(burial.step(20), Step::List { dead: OTHER, cursor: 0 });
}
